"""The columns of a frame of votes, under our names: whatever kind of frame it is, and only those that are wanted.

polars, pandas and Arrow frames are taken apart without a copy. Columns that are not wanted are not looked at.

Not here: what stands in the columns (`checking.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from palaestra.errors import VoteFileError

REQUIRED = ("model_a", "model_b", "winner")
ALIASES = {"voter": ("judge", "judge_hash", "user"), "tstamp": ("timestamp",)}

TEXT = (pl.String, pl.Categorical, pl.Enum)
_NUMBER = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
KINDS_OF_COLUMNS: dict[str, tuple[tuple[type[pl.DataType], ...], str]] = {
    "model_a": ((*TEXT, *_NUMBER), "names as text"),
    "model_b": ((*TEXT, *_NUMBER), "names as text"),
    "winner": (TEXT, "text"),
    "weight": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "propensity": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "tstamp": ((*_NUMBER, *TEXT, pl.Datetime, pl.Date), "seconds since 1970 or times"),
}

Columns = dict[str, "pl.Series | pa.ChunkedArray"]
Wanted = Collection[str] | Callable[[Sequence[str]], Collection[str]]
"""Columns by name, or a function that says which of those that are there."""


def columns_of(frame: Any, *, source: str, wanted: Wanted | None = None) -> Columns:  # noqa: ANN401 - any frame
    """The wanted columns by name, as series; names and outcomes stay in Arrow if that is where they are.

    Raises:
        VoteFileError: this is no frame, it lacks a column or has one twice or of another type.
    """
    return _canonical(source, _taken_apart(source, frame, wanted))


def kept_columns(source: str, there: Sequence[str], wanted: Wanted | None) -> list[str]:
    """The columns of a vote, its weight, and those that are wanted, by our names or by those that are read as ours.

    Raises:
        VoteFileError: one that is named is not there.
    """
    if wanted is None:
        return list(there)
    keep = {*REQUIRED, "weight"}
    for name in wanted if isinstance(wanted, Collection) else wanted(there):
        spelled = [other for other in (name, *ALIASES.get(name, ())) if other in there]
        if not spelled:
            raise VoteFileError(f"{source}: found no column {name}, expected one of {', '.join(there)}")
        keep.add(spelled[0])
    return [name for name in there if name in keep]


def _taken_apart(source: str, frame: Any, wanted: Wanted | None) -> Columns:  # noqa: ANN401 - any frame
    """The wanted columns by name; names and outcomes stay in Arrow if that is where they are."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.select(kept_columns(source, frame.collect_schema().names(), wanted)).collect()
    if isinstance(frame, pl.DataFrame):
        return {name: frame[name] for name in kept_columns(source, frame.columns, wanted)}
    try:
        table = _in_arrow(source, frame, wanted)
        text = [name for name in REQUIRED if name in table.column_names and _is_text(table.schema.field(name).type)]
        rest = pl.DataFrame(pl.from_arrow(table.drop_columns(text)))
    except (pa.ArrowException, PolarsError, TypeError, ValueError) as error:
        if isinstance(error, VoteFileError):
            raise
        raise VoteFileError(
            f"{source}: found {type(frame).__name__}, expected a polars, pandas or Arrow frame of votes: {error}"
        ) from error
    return {name: table[name] if name in text else rest[name] for name in table.column_names}


def _in_arrow(source: str, frame: Any, wanted: Wanted | None) -> pa.Table:  # noqa: ANN401 - pandas, or what Arrow takes
    if type(frame).__module__.partition(".")[0] == "pandas":
        kept = kept_columns(source, list(map(str, frame.columns)), wanted)
        part = frame.loc[:, [str(name) in kept for name in frame.columns]]
        table = pa.Table.from_pandas(
            part, preserve_index=False, nthreads=1
        )  # threads cost more than columns without copies
    else:
        table = pa.table(frame)
        table = table.select(kept_columns(source, table.column_names, wanted))
    for name in set(REQUIRED) & set(table.column_names):
        kind = table.schema.field(name).type
        if pa.types.is_dictionary(kind) and not _is_text(kind):  # numbers as categories
            place = table.column_names.index(name)
            table = table.set_column(place, name, table[name].cast(kind.value_type))
    return table


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _canonical(source: str, columns: Columns) -> Columns:
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
