"""Results of models on benchmarks from files: CSV, JSON lines, JSON and Parquet, each also compressed.

A row holds the fields of the record `Result` and no others, since a misspelled optional column would
be lost unseen. Rows are checked one by one: there is one for each model and benchmark, not one for each answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import Result

_COMPRESSED = (".gz", ".zst")
_KINDS = ".parquet, .csv, .jsonl, .ndjson or .json, also with .gz or .zst"


def read_results(path: str | Path) -> list[Result]:
    """Read and check results, in the order of the file.

    Raises:
        InputError: the file cannot be read, holds no results, or has a malformed row, which is named with its column.
    """
    path = Path(path)
    kind = path.suffixes[-2] if path.suffix in _COMPRESSED and len(path.suffixes) > 1 else path.suffix
    if kind not in _READERS or not path.is_file():
        found = f"found {path.name!r}" if path.is_file() else f"no file {path}"
        raise InputError(f"{found}; expected a file of results: {_KINDS}")
    try:
        with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
            rows = _READERS[kind](stream.read())
    except (OSError, PolarsError, pa.ArrowException, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"cannot read {path}: {said}; expected {_KINDS}") from error
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: found no rows, expected one for each model and benchmark")
    return [_checked(path, number, row) for number, row in enumerate(rows, start=1)]


def _checked(path: Path, number: int, row: Any) -> Result:  # noqa: ANN401 - whatever the file holds
    if not isinstance(row, dict):
        raise InputError(f"{path}: row {number}: found {row!r}, expected an object with the fields of a result")
    try:
        return Result.from_dict({key: value for key, value in row.items() if value is not None})
    except ValidationError as error:
        raise InputError(f"{path}: row {number}, {_told(error, row)}") from error
    except InputError as error:
        raise InputError(f"{path}: row {number}: {error}") from error


def _told(error: ValidationError, row: dict[str, Any]) -> str:
    """The first fault of a row: column, what was found, what was expected."""
    fault = error.errors(include_url=False)[0]
    said = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return f"columns of {row.get('model')} on {row.get('benchmark')}: {said}"
    column = fault["loc"][0]
    if fault["type"] == "extra_forbidden":
        return f"column {column}: found an unknown column, expected only {', '.join(Result.model_fields)}"
    found = "found nothing" if fault["type"] == "missing" else f"found {fault['input']!r}"
    return f"column {column}: {found}: {said[0].lower()}{said[1:]}"


def _csv(data: bytes) -> list[dict[str, Any]]:
    """Everything as text: a model may be called 007. An empty field is a missing one."""
    return pl.read_csv(data, infer_schema=False, null_values=[""], encoding="utf8").to_dicts()


def _lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines() if line.strip()]


_READERS: dict[str, Callable[[bytes], Any]] = {
    ".parquet": lambda data: pl.read_parquet(data).to_dicts(),
    ".csv": _csv,
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": json.loads,
}
