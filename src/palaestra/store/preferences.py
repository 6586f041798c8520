"""Preferences from files and from an arena's votes, whatever their format (`preference_rows.py`); and to files.

A row without its prompt, without a reply or with an outcome that its format does not know is malformed: it is named,
and an error unless as many may be left out. Not here: how preferences are learnt from (`rewards/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import Battle, Preference, from_table, to_table
from palaestra.store.preference_rows import FORMATS, IDS, LABELS, Row, Translate, recognised
from palaestra.store.records import read_rows, write_lines
from palaestra.store.sources import is_database
from palaestra.whole_file import whole_file


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """Preferences in the order of their source, a line on each row that was left out, and whose format it was."""

    preferences: tuple[Preference, ...]
    skipped: tuple[str, ...] = ()
    format: str = "preference"


def read_preferences(source: str | Path, *, skip_bad: int = 0) -> PreferenceFile:
    """Read preferences.

    Args:
        source: a path, or the URL of an arena's database.
        skip_bad: how many malformed rows may be left out.

    Raises:
        InputError: the file cannot be read, has columns of no format, or more malformed rows than allowed; the row is
            named.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        from palaestra.store.ballots import read_battles

        rows = [_row_of(battle) for battle in read_battles(str(source))]
        return _read("the ledger", rows, FORMATS["votes"], skip_bad, "votes")
    path = Path(source)
    if _is_ours(path):
        return _ours(path)
    found = read_rows(path, "preferences")
    name = recognised(str(path), found[0])
    return _read(str(path), found, FORMATS[name], skip_bad, name)


def write_preferences(path: str | Path, preferences: Sequence[Preference]) -> None:
    """Write preferences as Parquet or JSON lines, by the path's suffix; the file is there whole or not at all.

    Raises:
        InputError: the suffix is another one, or the path cannot be written.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        write_lines(path, (preference.to_dict() for preference in preferences))
    elif path.suffix == ".parquet":
        with whole_file(path, "preferences to ") as part:
            pq.write_table(to_table(Preference, preferences), part)
    else:
        raise InputError(f"found {path.name!r}, expected a name that ends in .parquet or .jsonl")


def _is_ours(path: Path) -> bool:
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return (pq.read_schema(path).metadata or {}).get(b"schema") == Preference.schema_id().encode()
    except (OSError, ValueError):
        return False


def _ours(path: Path) -> PreferenceFile:
    try:
        found = tuple(from_table(Preference, pq.read_table(path)))
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(f"cannot read {path}: {str(error).partition(chr(10))[0]}; expected preferences") from error
    if not found:
        raise InputError(f"{path}: found no rows, expected preferences")
    return PreferenceFile(found)


def _read(source: str, rows: Iterable[Row], translate: Translate, skip_bad: int, name: str) -> PreferenceFile:
    kept: list[Preference] = []
    skipped: list[str] = []
    ids: set[str] = set()
    for number, row in enumerate(rows, start=1):
        try:
            found = [_preference(fields, row, number) for fields in translate(row)]
            _refuse_repeated(found, ids)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            skipped.append(f"{source}: row {number}: {_said(error)}")
            if len(skipped) > skip_bad:
                more = f" (row {number} is one more than the {skip_bad} that may be left out)" if skip_bad else ""
                raise InputError(f"{skipped[-1]}{more}") from error
            continue
        ids.update(each.id for each in found)
        kept += found
    if not kept:
        raise InputError(f"{source}: found no preference, expected at least one")
    return PreferenceFile(tuple(kept), tuple(skipped), name)


def _refuse_repeated(found: Sequence[Preference], ids: set[str]) -> None:
    if twice := [each.id for each in found if each.id in ids]:
        raise ValueError(f"found the id {twice[0]!r}, which an earlier row has, expected one of its own")


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    return f"found no {error.args[0]}, expected one" if isinstance(error, KeyError) else str(error)


def _preference(fields: Row, row: Row, number: int) -> Preference:
    own = next((str(row[name]) for name in IDS if row.get(name) is not None), str(number))
    suffix = fields.pop("suffix", "")
    known: Row = {
        "id": f"{own}{suffix}",
        "category": _text_or_none(row, "category", "subset", "scenario"),
        "language": _text_or_none(row, "language"),
        "voter": _text_or_none(row, "voter", "judge", "judge_hash"),
        "source": _text_or_none(row, "source"),
        "labels": {name: str(row[name]).lower() for name in LABELS if row.get(name) is not None},
        "weight": 1.0 if row.get("weight") is None else float(row["weight"]),
    }
    empty = [place for place, reply in enumerate(fields["replies"], start=1) if not isinstance(reply, str)]
    if empty:
        raise ValueError(f"reply {empty[0]}: found {fields['replies'][empty[0] - 1]!r:.60}, expected a text")
    return Preference.model_validate(known | fields)


def _text_or_none(row: Row, *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name) is not None), None)


def _row_of(battle: Battle) -> Row:
    row = battle.model_dump(mode="json", include={"id", "winner", "model_a", "model_b", "voter", "language", "weight"})
    return row | {"conversation_a": list(battle.conversation_a), "conversation_b": list(battle.conversation_b)}
