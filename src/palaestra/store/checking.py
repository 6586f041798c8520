"""Votes checked and coded, in columns at once: names and outcomes are looked at once for each distinct value.

A frame of votes comes as polars, pandas or Arrow; it leaves as polars, with `model_a` and `model_b` as Enums over
one sorted tuple of the names that occur, `winner` as an Enum of the four outcomes, numbers and times in one type. A
malformed row is an error that names source, row (from 1) and column, or, up to a number that the caller allows, a row
left out and told of. A frame that has been checked before is checked again for next to nothing; after rows were taken
out of it, names that no longer occur may be among its categories.

Not here: files (`formats.py`), other tools' columns (`foreign.py`), which columns there are (`columns.py`), the coding
(`coding.py`), spellings of times (`times.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from palaestra.errors import VoteFileError
from palaestra.schema import Winner
from palaestra.store.coding import Codes, Mask, encode, enums, in_use, numbered
from palaestra.store.columns import REQUIRED, TEXT, Columns, Wanted, columns_of
from palaestra.store.times import in_utc

OUTCOMES = [winner.value for winner in Winner]
_SPELLINGS = {"tie (bothbad)": Winner.BOTH_BAD.value, "both bad": Winner.BOTH_BAD.value}
_HEAVIEST = 1e9

Rows = NDArray[np.signedinteger]


@dataclass(frozen=True)
class VoteFile:
    """Votes with the columns of the interface, a line on each row that was left out, and whose format it was.

    `codes` holds `model_a` and `model_b` as places in `names`, which are sorted, and `winner` as one in `OUTCOMES`;
    `others` holds the other columns. `frame` is made of all these when it is first asked for.
    """

    names: list[str]
    codes: dict[str, Codes]
    others: pl.DataFrame
    order: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    format: str = "palaestra"

    def __len__(self) -> int:
        """The number of votes."""
        return len(self.codes["winner"])

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The votes as a table, in the order of the source's columns."""
        return as_frame(self.names, self.codes, self.others).select(self.order)


def as_frame(names: Sequence[str], codes: Mapping[str, Codes], others: pl.DataFrame) -> pl.DataFrame:
    """Coded votes as a table: `model_a` and `model_b` as Enums over the names, `winner` over the outcomes."""
    columns = enums({name: (codes[name], OUTCOMES if name == "winner" else list(names)) for name in REQUIRED})
    return pl.DataFrame([*columns.values(), *others])


def rows_of(others: pl.DataFrame, kept_B: Mask) -> pl.DataFrame:
    """Some rows of the other columns, of which there may be none."""
    return others.filter(pl.Series(kept_B)) if others.columns else others


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a column, in words around the value that was found, and in which rows. Shape (B,).

    `found` holds the values that are shown, if not those of the column itself.
    """

    column: str
    said: str
    bad_B: Mask
    found: pl.Series | None = None


def check_votes(
    frame: Any,  # noqa: ANN401 - any frame
    *,
    source: str = "the frame",
    skip_bad: int = 0,
    wanted: Wanted | None = None,
    row_B: Rows | None = None,
) -> VoteFile:
    """Check votes that are in memory, as those of a file are; there may be none.

    Args:
        frame: a polars, pandas or Arrow frame with the columns of a vote file.
        source: what messages call it.
        skip_bad: how many malformed rows may be left out.
        wanted: which columns are kept beside those that make a vote; all of them if left out.
        row_B: which row of the source, from 0, each row of the frame came from; if left out, the same.

    Raises:
        VoteFileError: it lacks a column, has one of another type, or more malformed rows than allowed.
    """
    columns = columns_of(frame, source=source, wanted=wanted)
    checked = _as_checked(columns)
    names, codes, tight = checked or _coded(columns)
    rest = {name: column for name, column in columns.items() if name not in REQUIRED}
    typed = {name: _typed(column) for name, column in rest.items()}
    kept_B, skipped = sift(source, columns, [*_in_codes(names, codes), *_in_values(rest, typed)], skip_bad, row_B)
    others = pl.DataFrame(list(typed.values()))
    if kept_B is not None:
        codes = {name: code_B[kept_B] for name, code_B in codes.items()}
        others = rows_of(others, kept_B)
    if kept_B is not None or not tight:
        names, (codes["model_a"], codes["model_b"]) = in_use(names, codes["model_a"], codes["model_b"])
    return VoteFile(names, codes, others, tuple(columns), skipped)


def sift(
    source: str,
    columns: Columns | pl.DataFrame,
    complaints: Sequence[Complaint],
    skip_bad: int,
    row_B: Rows | None = None,
) -> tuple[Mask | None, tuple[str, ...]]:
    """Which rows stay (None: all of them), and a line on each of the others.

    Args:
        source: what messages call it.
        columns: where the complaints have found what they complain about.
        complaints: the first one about a row is the one that is told.
        skip_bad: how many rows may be left out.
        row_B: which row of the source each row came from.

    Raises:
        VoteFileError: more rows than that are malformed.
    """
    complaints = [complaint for complaint in complaints if complaint.bad_B.any()]
    if not complaints:
        return None, ()
    malformed_B = np.logical_or.reduce([complaint.bad_B for complaint in complaints])
    rows_B = np.flatnonzero(malformed_B) if row_B is None else np.unique(row_B[malformed_B])
    said: dict[int, str] = {}
    for complaint in complaints:
        for index in np.flatnonzero(complaint.bad_B)[: 2 * skip_bad + 1].tolist():
            found = (columns[complaint.column] if complaint.found is None else complaint.found)[index]
            found = found.as_py() if isinstance(found, pa.Scalar) else found
            row = index if row_B is None else int(row_B[index])
            said.setdefault(row, f"{source}: row {row + 1}, column {complaint.column}: {complaint.said.format(found)}")
    if len(rows_B) > skip_bad:
        raise VoteFileError(said[min(said)] + (f" ({len(rows_B)} rows are malformed)" if len(rows_B) > 1 else ""))
    kept_B = ~malformed_B if row_B is None else ~np.isin(row_B, rows_B)
    return kept_B, tuple(said[row] for row in sorted(said))


Coded = tuple[list[str], dict[str, Codes], bool]
"""Sorted names, the codes of the three columns (after the last place: none), and whether each name surely occurs."""


def _as_checked(columns: Columns) -> Coded | None:
    """The codes of a frame that was checked before, as they are; None for any other frame."""
    three = {name: columns[name] for name in REQUIRED}
    if any(not isinstance(column, pl.Series) or column.null_count() for column in three.values()):
        return None
    kind = three["model_a"].dtype
    if not isinstance(kind, pl.Enum) or three["model_b"].dtype != kind or three["winner"].dtype != pl.Enum(OUTCOMES):
        return None
    names = kind.categories.to_list()
    if names != sorted(names) or any(map(_is_blank, names)):
        return None
    return names, {name: column.to_physical().to_numpy() for name, column in three.items()}, True


def _coded(columns: Columns) -> Coded:
    text = encode({name: _as_text(columns[name]) for name in REQUIRED})
    a, b = text["model_a"], text["model_b"]
    names = sorted(name for name in a.values() | b.values() if not _is_blank(name))
    place = {name: number for number, name in enumerate(names)}
    outcome = {value: number for number, value in enumerate(OUTCOMES)}
    outcome |= {spelling: outcome[value] for spelling, value in _SPELLINGS.items()}
    sides = {
        side: (text[side], lambda name: place.get(name, len(names)), len(names)) for side in ("model_a", "model_b")
    }
    winner = {"winner": (text["winner"], lambda value: outcome.get(value, len(OUTCOMES)), len(OUTCOMES))}
    return names, numbered(sides | winner), a.tight and b.tight


def _as_text(column: pl.Series | pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column, pa.ChunkedArray):
        return column
    column = column if isinstance(column.dtype, TEXT) else column.cast(pl.String)
    return column.to_frame().to_arrow(compat_level=pl.CompatLevel.newest())[0]


def _is_blank(name: str) -> bool:
    """Also with a NUL, which is what polars makes of half a character in JSON."""
    return not name.strip() or "\0" in name


def _in_codes(names: list[str], codes: dict[str, Codes]) -> list[Complaint]:
    first_B, second_B = codes["model_a"], codes["model_b"]
    if _whole(first_B, second_B, codes["winner"], first_B.dtype.type(len(names)), np.uint8(len(OUTCOMES))):
        return []
    nameless = "found no name, expected the name of a model"
    outcomes = f"found {{!r}}, expected {', '.join(OUTCOMES)} (or {', '.join(map(repr, _SPELLINGS))})"
    return [
        Complaint("model_a", nameless, first_B == len(names)),
        Complaint("model_b", nameless, second_B == len(names)),
        Complaint("winner", outcomes, codes["winner"] == len(OUTCOMES)),
        Complaint("model_b", "found {!r} on both sides, expected two models", first_B == second_B),
    ]


@njit(cache=True, nogil=True)
def _whole(first_B: Any, second_B: Any, outcome_B: Any, nobody: Any, nothing: Any) -> bool:  # noqa: ANN401 - compiled
    """Whether each row has two models and an outcome."""
    wrong = False
    for r in range(len(outcome_B)):
        wrong |= (first_B[r] == nobody) | (second_B[r] == nobody) | (first_B[r] == second_B[r])
        wrong |= outcome_B[r] == nothing
    return not wrong


_VALUE_RULES: list[tuple[str, str, Callable[[pl.Series], pl.Series], bool]] = [
    (
        "weight",  # a vote without a weight, where others have one, is a fault of the file
        f"found {{!r}}, expected a number from 0 to {_HEAVIEST:.0e}",
        lambda number: number.is_null() | ~number.is_between(0, _HEAVIEST),
        False,
    ),
    (
        "propensity",
        "found {!r}, expected a probability above 0 and at most 1",
        lambda number: number.is_null() | ~((number > 0) & (number <= 1)),
        True,
    ),
    (
        "tstamp",
        "found {!r}, expected seconds since 1970 (not milliseconds) or an ISO time",
        lambda time: time.is_null(),
        True,
    ),
]


def _in_values(rest: Columns, typed: Columns) -> list[Complaint]:
    return [
        Complaint(
            name, expected, (bad(typed[name]) & (rest[name].is_not_null() if may_be_missing else True)).to_numpy()
        )
        for name, expected, bad, may_be_missing in _VALUE_RULES
        if name in rest
    ]


def _typed(column: pl.Series) -> pl.Series:
    """Weights, propensities and times in one type; what cannot be read as one is missing."""
    if column.name in {"weight", "propensity"}:
        return column.cast(pl.Float64, strict=False)
    return in_utc(column) if column.name == "tstamp" else column
