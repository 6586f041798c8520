"""Votes checked and coded, in columns at once: names and outcomes are looked at once for each distinct value.

A frame of votes comes as polars, pandas or Arrow; it leaves as polars, with `model_a` and `model_b` as Enums over one sorted
tuple of the names that occur, `winner` as an Enum of the four outcomes, numbers and times in one type. A malformed row is an
error that names source, row (from 1) and column, or, up to a number that the caller allows, a row left out and told of.
A frame that has been checked before is checked again for next to nothing.

Not here: files (`formats.py`), other tools' columns (`foreign.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from palaestra.errors import VoteFileError
from palaestra.schema import Winner

Mask = NDArray[np.bool_]
Codes = NDArray[np.signedinteger]

ALIASES = {"voter": ("judge", "judge_hash", "user"), "tstamp": ("timestamp",)}
REQUIRED = ("model_a", "model_b", "winner")
OUTCOMES = [winner.value for winner in Winner]
_SPELLINGS = {"tie (bothbad)": Winner.BOTH_BAD.value, "both bad": Winner.BOTH_BAD.value}
_HEAVIEST = 1e9
_SLICE = 1 << 19
_FIRST_TIME, _LAST_TIME = -62_135_596_800, 253_402_300_800
"""Seconds since 1970 of the years 1 and 10000: what a time can be. Milliseconds fall outside."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_NUMBER = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
KINDS_OF_COLUMNS: dict[str, tuple[tuple[type[pl.DataType], ...], str]] = {
    "model_a": ((*_TEXT, *_NUMBER), "names as text"),
    "model_b": ((*_TEXT, *_NUMBER), "names as text"),
    "winner": (_TEXT, "text"),
    "weight": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "propensity": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "tstamp": ((*_NUMBER, *_TEXT, pl.Datetime, pl.Date), "seconds since 1970 or times"),
}


@dataclass(frozen=True, slots=True)
class VoteFile:
    """Votes with the columns of the interface, a line on each row that was left out, and whose format it was."""

    frame: pl.DataFrame
    skipped: tuple[str, ...] = ()
    format: str = "palaestra"


@dataclass(frozen=True, slots=True)
class _Coded:
    """A column of text: its distinct values, and which one stands in each row, -1 for none."""

    values: list[str]
    code_B: Codes

    def mapped(self, numbers: list[int]) -> Codes:
        """The numbers that the values stand for, row by row; -1 where there is none."""
        small = np.int16 if max(numbers, default=0) < 2**15 else np.int32
        return np.array([*numbers, -1], dtype=small)[self.code_B]


Wanted = Callable[[Sequence[str]], Collection[str]]
"""Which of some columns are wanted."""


def check_votes(
    frame: Any,  # noqa: ANN401 - any frame
    *,
    source: str = "the frame",
    skip_bad: int = 0,
    wanted: Wanted | None = None,
) -> VoteFile:
    """Check votes that are in memory, as those of a file are; there may be none.

    Args:
        frame: a polars, pandas or Arrow frame with the columns of a vote file.
        source: what messages call it.
        skip_bad: how many malformed rows may be left out.
        wanted: which columns are kept beside the three that make a vote; all of them if left out.

    Raises:
        VoteFileError: it lacks a column, has one of another type, or more malformed rows than allowed.
    """
    columns = _canonical(source, _taken_apart(source, frame, wanted))
    a, b, winner = _encoded(columns)
    names = sorted({*a.values, *b.values})
    place = {name: number for number, name in enumerate(names)}
    first_B, second_B = (side.mapped([place[name] for name in side.values]) for side in (a, b))
    outcome_B = winner.mapped([_outcome(value) for value in winner.values])
    rest = pl.DataFrame([column for name, column in columns.items() if name not in REQUIRED])
    typed = rest.with_columns(*_times(rest), *_numbers(rest))
    complaints = [*_in_codes(names, first_B, second_B, outcome_B), *_in_values(rest, typed)]
    kept_B, skipped = _judged(source, columns, complaints, skip_bad)
    if kept_B is not None:
        first_B, second_B, outcome_B, typed = first_B[kept_B], second_B[kept_B], outcome_B[kept_B], typed.filter(kept_B)
    coded = [
        _enum("model_a", first_B, names, used := _used(len(names), first_B, second_B)),
        _enum("model_b", second_B, names, used),
        _enum("winner", outcome_B, OUTCOMES, np.ones(len(OUTCOMES), dtype=bool)),
    ]
    by_name = {column.name: column for column in [*coded, *typed.get_columns()]}
    return VoteFile(pl.DataFrame([by_name[name] for name in columns]), skipped)


def kept_columns(names: Sequence[str], wanted: Wanted | None) -> list[str]:
    """The columns that are read: those of a vote, by any of their names, and those that are wanted."""
    if wanted is None:
        return list(names)
    keep = {*REQUIRED, *wanted(names)}
    return [name for name in names if name in keep]


def _taken_apart(source: str, frame: Any, wanted: Wanted | None) -> dict[str, Any]:  # noqa: ANN401 - any frame
    """The columns by name, those of text left in Arrow if that is where they are."""
    if isinstance(frame, pl.DataFrame):
        return {name: frame[name] for name in kept_columns(frame.columns, wanted)}
    try:
        table = _arrow(frame, wanted)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise VoteFileError(
            f"{source}: found {type(frame).__name__}, expected a polars, pandas or Arrow frame of votes: {error}"
        ) from error
    text = {name for name in table.column_names if name in REQUIRED and pa.types.is_large_string(table[name].type)}
    rest = pl.DataFrame(pl.from_arrow(table.drop_columns(list(text)))) if text else pl.DataFrame(pl.from_arrow(table))
    return {name: table[name] if name in text else rest[name] for name in table.column_names}


def _arrow(frame: Any, wanted: Wanted | None) -> pa.Table:  # noqa: ANN401 - any frame
    if type(frame).__module__.partition(".")[0] == "pandas":
        columns = kept_columns([str(name) for name in frame.columns], wanted)
        return pa.Table.from_pandas(frame, columns=columns, preserve_index=False)
    table = frame.collect().to_arrow() if isinstance(frame, pl.LazyFrame) else pa.table(frame)
    return table.select(kept_columns(table.column_names, wanted))


def _canonical(source: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Our names for the columns, and only types that can be what they should be."""
    for name, others in ALIASES.items():
        present = [other for other in others if other in columns]
        if name not in columns and present:
            columns = {name if key == present[0] else key: column for key, column in columns.items()}
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise VoteFileError(
            f"{source}: no column {', '.join(missing)}; found {', '.join(columns) or 'none'}, expected at least "
            f"{', '.join(REQUIRED)}"
        )
    twice = [name for name in KINDS_OF_COLUMNS if f"{name}_duplicated_0" in columns]  # polars' name for it
    if twice:
        raise VoteFileError(f"{source}: found more than one column {', '.join(twice)}, expected one")
    for name, (kinds, expected) in KINDS_OF_COLUMNS.items():
        found = columns[name].dtype if isinstance(columns.get(name), pl.Series) else pl.Null()
        if not isinstance(found, (pl.Null, *kinds)):
            raise VoteFileError(f"{source}: column {name}: found values of type {found}, expected {expected}")
    return {name: column.alias(name) if isinstance(column, pl.Series) else column for name, column in columns.items()}


def _encoded(columns: dict[str, Any]) -> list[_Coded]:
    """The three columns of a vote as codes; text in slices, so that all threads have work to the end."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        tasks = []
        for name in REQUIRED:
            column = columns[name]
            if isinstance(column, pl.Series) and isinstance(column.dtype, pl.Enum):
                codes = column.to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
                tasks.append(_Coded(column.dtype.categories.to_list(), codes))
                continue
            text = column.cast(pl.String).to_arrow() if isinstance(column, pl.Series) else column
            slices = [text.slice(start, _SLICE) for start in range(0, max(len(text), 1), _SLICE)]
            tasks.append([threads.submit(one.dictionary_encode) for one in slices])
        return [task if isinstance(task, _Coded) else _united([one.result() for one in task]) for task in tasks]


def _united(slices: list[Any]) -> _Coded:
    chunks = [chunk for one in slices for chunk in (one.chunks if isinstance(one, pa.ChunkedArray) else [one])]
    if not chunks:
        return _Coded([], np.zeros(0, dtype=np.int32))
    coded = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    codes = coded.indices.fill_null(-1) if coded.indices.null_count else coded.indices
    return _Coded(coded.dictionary.to_pylist(), codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False))


def _outcome(value: str) -> int:
    value = _SPELLINGS.get(value, value)
    return OUTCOMES.index(value) if value in OUTCOMES else -1


def _used(count: int, *codes: Codes) -> Mask:
    used = np.zeros(count, dtype=bool)
    for code_B in codes:
        used[code_B] = True
    return used


def _enum(name: str, code_B: Codes, categories: list[str], used: Mask) -> pl.Series:
    """Codes as an Enum over the categories in use."""
    if not used.all():
        code_B = (np.cumsum(used) - 1)[code_B]
        categories = [category for category, there in zip(categories, used, strict=True) if there]
    small = np.uint8 if len(categories) < 2**8 else np.uint16 if len(categories) < 2**16 else np.uint32
    return pl.Series(name, code_B.astype(small)).cat.to(pl.Enum(categories))


Complaint = tuple[str, str, Mask]


def _in_codes(names: list[str], first_B: Codes, second_B: Codes, outcome_B: Codes) -> list[Complaint]:
    nameless = "found no name, expected the name of a model"
    outcomes = f"found {{!r}}, expected {', '.join(OUTCOMES)} (or {', '.join(map(repr, _SPELLINGS))})"
    blank = [number for number, name in enumerate(names) if not name.strip()]
    return [
        ("model_a", nameless, (first_B < 0) | np.isin(first_B, blank) if blank else first_B < 0),
        ("model_b", nameless, (second_B < 0) | np.isin(second_B, blank) if blank else second_B < 0),
        ("winner", outcomes, outcome_B < 0),
        ("model_b", "found {!r} on both sides, expected two models", first_B == second_B),
    ]


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


def _in_values(rest: pl.DataFrame, typed: pl.DataFrame) -> list[Complaint]:
    return [
        (name, expected, (bad(typed[name]) & (rest[name].is_not_null() if may_be_missing else True)).to_numpy())
        for name, expected, bad, may_be_missing in _VALUE_RULES
        if name in rest.columns
    ]


def _judged(
    source: str, columns: dict[str, Any], complaints: list[Complaint], skip_bad: int
) -> tuple[Mask | None, tuple[str, ...]]:
    """Which rows stay (None: all of them), and a line on each of the others, which may be `skip_bad` at most."""
    if not any(bad_B.any() for _, _, bad_B in complaints):
        return None, ()
    malformed_B = np.logical_or.reduce([bad_B for _, _, bad_B in complaints])
    said: dict[int, str] = {}
    for name, expected, bad_B in complaints:
        for index in np.flatnonzero(bad_B)[: skip_bad + 1].tolist():
            found = columns[name][index]
            found = found.as_py() if isinstance(found, pa.Scalar) else found
            said.setdefault(index, f"{source}: row {index + 1}, column {name}: {expected.format(found)}")
    number = int(malformed_B.sum())
    if number > skip_bad:
        raise VoteFileError(said[min(said)] + (f" ({number} rows are malformed)" if number > 1 else ""))
    return ~malformed_B, tuple(said[index] for index in sorted(said))


def _numbers(frame: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Float64, strict=False) for name in ("weight", "propensity") if name in frame.columns]


def _times(frame: pl.DataFrame) -> list[pl.Expr]:
    """Seconds or ISO text as a time in UTC; text without a zone is taken as UTC."""
    if "tstamp" not in frame.columns:
        return []
    column, kind = pl.col("tstamp"), frame.schema["tstamp"]
    if isinstance(kind, pl.Datetime):
        zoned = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        return [zoned.cast(pl.Datetime("us", "UTC"))]
    if kind == pl.Date:
        return [column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")]
    if isinstance(kind, _TEXT):
        column = column.cast(pl.String)
    seconds = column.cast(pl.Float64, strict=False)
    microseconds = pl.when(seconds.is_between(_FIRST_TIME, _LAST_TIME, closed="left")).then((seconds * 1e6).round())
    read = microseconds.cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(kind, _TEXT):
        return [pl.coalesce(read, _iso(column)).alias("tstamp")]
    return [read.alias("tstamp")]


def _iso(column: pl.Expr) -> pl.Expr:
    """ISO text in any mixture of its spellings: T or a blank, with or without seconds and zone, or a date alone."""
    spelled = (
        column.str.strip_chars()
        .str.replace(r"^(\d{4}-\d\d-\d\d)[ t]", "${1}T")
        .str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
        .str.replace(r"(T\d\d:\d\d)(Z|z|[+-]|$)", "${1}:00${2}")
        .str.replace(r"\s*(Z|z| ?UTC)$", "+00:00")
        .str.replace(r"(T[\d:.]+[+-]\d\d)$", "${1}:00")
        .str.replace(r"(T\d\d:\d\d:\d\d(?:\.\d+)?)$", "${1}+00:00")
    )
    return spelled.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
