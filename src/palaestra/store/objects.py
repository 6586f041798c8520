"""JSON gone through object by object: slow, but knows the line of a fault, and what to do with a column of mixed types.

Not here: JSON whose objects have columns in common, which polars reads (`formats.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from palaestra.errors import VoteFileError
from palaestra.store.columns import KINDS_OF_COLUMNS


def objects(path: Path, data: bytes, *, lines: bool) -> pl.DataFrame:
    """The objects of a JSON list, or of one object a line; a foreign column without a common type becomes JSON text.

    Raises:
        VoteFileError: this is no JSON, or no list of objects.
        PolarsError: one of our columns has no common type.
    """
    rows = _rows(path, data, lines=lines)
    try:
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except PolarsError:
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pl.concat([_column(name, [row.get(name) for row in rows]) for name in names], how="horizontal")


def _rows(path: Path, data: bytes, *, lines: bool) -> list[dict[str, object]]:
    try:
        rows = [json.loads(line) for line in data.splitlines() if line.strip()] if lines else json.loads(data)
    except RecursionError as error:
        raise VoteFileError(f"{path}: nested too deeply; expected a flat object for each vote") from error
    except ValueError as error:
        where = ""
        if lines:
            text = enumerate(data.splitlines(), start=1)
            where = f", line {next(number for number, line in text if line.strip() and not _is_json(line))}"
        raise VoteFileError(f"{path}{where}: {error}; expected JSON") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise VoteFileError(f"{path}: expected a list of objects, one for each vote")
    return rows


def _column(name: str, values: list[object]) -> pl.DataFrame:
    try:
        return pl.DataFrame([{name: value} for value in values], infer_schema_length=None, strict=False)
    except PolarsError:
        if name in KINDS_OF_COLUMNS:
            raise
        return pl.DataFrame({name: [None if value is None else json.dumps(value) for value in values]})


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
