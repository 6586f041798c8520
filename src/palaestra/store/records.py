"""Rows of a file as dictionaries: Parquet, CSV, JSON lines and JSON, each also as .gz or .zst; and rows written whole.

For files of hundreds of thousands of rows, each of which is looked at: questions, answers, verdicts, results. Votes,
of which there are millions, are read in columns (`formats.py`).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from palaestra.errors import InputError
from palaestra.whole_file import whole_file

_COMPRESSED = (".gz", ".zst")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""How half of a surrogate pair may stand in JSON."""
KINDS = ".parquet, .csv, .jsonl, .ndjson or .json, also with .gz or .zst"


def kind_of(path: Path) -> str:
    """The suffix that says how a file is written, that of its compression aside."""
    return path.suffixes[-2] if path.suffix in _COMPRESSED and len(path.suffixes) > 1 else path.suffix


def read_rows(path: str | Path, what: str) -> list[dict[str, Any]]:
    """The rows of a file, in its order. Everything in a CSV is text, and an empty field there is a missing one.

    Half of a surrogate pair, as a model leaves where it was cut off in an emoji, is replaced by U+FFFD.

    Args:
        path: the file.
        what: what its rows are, for messages: `questions`.

    Raises:
        InputError: no such file, another suffix, unreadable content (with its line, where lines are read), or no rows.
    """
    path = Path(path)
    kind = kind_of(path)
    if not path.is_file():
        raise InputError(f"no file {path}; expected a file of {what}: {KINDS}")
    if kind not in _READERS:
        raise InputError(f"found {path.name!r}; expected a file of {what}: {KINDS}")
    try:
        with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
            data = stream.read()
            rows = _READERS[kind](data)
            if _HALF.search(data):
                rows = without_halves(rows)
    except (OSError, PolarsError, pa.ArrowException, ValueError, RecursionError, csv.Error) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"cannot read {path}: {said}; expected {KINDS}") from error
    if not isinstance(rows, list):
        raise InputError(f"{path}: found no rows, but one value ({type(rows).__name__}); expected a list of {what}")
    if not rows:
        raise InputError(f"{path}: found no rows, expected {what}")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: found {row!r:.80}, expected an object")
    return rows


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines; the file is there whole or not at all, and the same rows give the same bytes.

    Raises:
        InputError: the path cannot be written.
    """
    _write(Path(path), (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_list(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON list, a row a line, likewise.

    Raises:
        InputError: the path cannot be written.
    """
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    _write(Path(path), (f"[\n{lines}\n]\n",))


def write_text(path: str | Path, text: str) -> None:
    """Write a text, likewise.

    Raises:
        InputError: the path cannot be written.
    """
    _write(Path(path), (text,))


def _write(path: Path, parts: Iterable[str]) -> None:
    with whole_file(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(parts)


def _csv(data: bytes) -> list[dict[str, Any]]:
    """Everything as text: a model may be called 007."""
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    found = []
    for row in rows:
        if None in row:  # the fields after the last named one
            raise ValueError(f"line {rows.line_num} has more fields than the head")
        found.append({name: value for name, value in row.items() if value not in {None, ""}})
    return found


def without_halves(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The value with every half of a surrogate pair, which no file can hold, replaced."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [without_halves(each) for each in value]
    return (
        {without_halves(name): without_halves(each) for name, each in value.items()}
        if isinstance(value, dict)
        else value
    )


def _lines(data: bytes) -> list[Any]:
    rows = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return rows


_READERS: dict[str, Callable[[bytes], Any]] = {
    ".parquet": lambda data: pl.read_parquet(data).to_dicts(),
    ".csv": _csv,
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": json.loads,
}
