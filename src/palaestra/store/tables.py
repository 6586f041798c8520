"""Small tables of others, read in columns: Parquet and CSV as they are, JSON lines and JSON row by row.

Everything in a CSV is text, and an empty field is a missing one. Not here: votes, of which there are millions
(`formats.py`), and rows that are looked at one by one (`records.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from palaestra.errors import InputError
from palaestra.store.records import kind_of, read_rows

_READERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": lambda data: pl.read_csv(data, infer_schema=False),
}


def read_table(path: str | Path, what: str) -> pl.DataFrame:
    """A file as columns of texts and numbers, in its order; what is nested in JSON is left out.

    Args:
        path: the file.
        what: what its rows are, for messages: `verdicts`.

    Raises:
        InputError: no such file, another suffix, unreadable content, or no rows.
    """
    path = Path(path)
    if kind_of(path) not in _READERS or not path.is_file():
        return in_columns(read_rows(path, what))
    try:
        with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
            frame = _READERS[kind_of(path)](stream.read())
    except (OSError, PolarsError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path}: {said}; expected a table of {what}") from error
    if frame.is_empty():
        raise InputError(f"{path}: found no rows, expected {what}")
    return frame


def in_columns(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as columns of texts and numbers; what is nested is left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    flat = {name: values for name, values in columns.items() if not any(isinstance(v, list | dict) for v in values)}
    return pl.DataFrame({name: pl.Series(name, values, strict=False) for name, values in flat.items()})
