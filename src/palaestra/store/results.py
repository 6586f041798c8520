"""Results of models on benchmarks from files: CSV, JSON lines, JSON and Parquet, each also compressed.

A row holds the fields of the record `Result` and no others, since a misspelled optional column would
be lost unseen. Rows are checked one by one: there is one for each model and benchmark, not one for each answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import Result
from palaestra.store.records import read_rows


def read_results(path: str | Path) -> list[Result]:
    """Read and check results, in the order of the file.

    Raises:
        InputError: the file cannot be read, holds no results, or has a malformed row, which is named with its column.
    """
    rows = read_rows(path, "results")
    path = Path(path)
    return [_checked(path, number, row) for number, row in enumerate(rows, start=1)]


def _checked(path: Path, number: int, row: dict[str, Any]) -> Result:
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
