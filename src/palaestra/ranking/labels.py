"""Labels of votes as truths, in whatever shape a release has put them into columns.

A column of labels (`category_tag`, `occupational_tags`, `dedup_tag`) holds, vote by vote,

    a struct of booleans              {"math": true, "hard": false}
    a struct of structs               {"math_v0.1": {"math": true}, "if_v0.1": {"if": true, "score": 4}}
    a map, or a list of its entries   [{"key": "math", "value": true}]
    the JSON text of one of the first two

and here it becomes one mask a label, by the label's own name; scores are not labels. A label that a vote does not have
is false. Not here: what a category is made from (`categories`), and making labels.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from palaestra.errors import InputError

Mask = NDArray[np.bool_]

_TRUE, _FALSE = ["true", "1", "1.0", "yes"], ["false", "0", "0.0", "no"]


def tagged(frame: pl.DataFrame, column: str) -> dict[str, Mask]:
    """The labels of a column of tags, each of shape (B,); none where there is no such column.

    Of two versions of a label (`math_v0.1`, `math_v0.2`) the later one counts.

    Raises:
        InputError: the column holds something else.
    """
    return _tagged(frame[column]) if column in frame.columns else {}


def truth(values: pl.Series) -> Mask:
    """A column of truths, as booleans, numbers 0 and 1, or their text; a missing one is false.

    Raises:
        InputError: a value is neither true nor false.
    """
    if values.dtype not in {pl.Boolean, pl.Null}:
        words = values.cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
        _refuse(values, ~(words.is_in([*_TRUE, *_FALSE])) | (words.is_null() & values.is_not_null()), "true or false")
        values = words.is_in(_TRUE)
    return values.cast(pl.Boolean).fill_null(value=False).to_numpy()


def numbers(values: pl.Series) -> pl.Series:
    """A column of numbers, also from their text; gaps stay gaps.

    Raises:
        InputError: a value is no number.
    """
    found = values.cast(pl.Float64, strict=False)
    _refuse(values, found.is_null() & values.is_not_null(), "a number")
    return found


def _refuse(values: pl.Series, wrong: pl.Series, expected: str) -> None:
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(f"column {values.name}: row {row + 1} holds {values[row]!r}, expected {expected} or nothing")


def _tagged(tags: pl.Series) -> dict[str, Mask]:
    if tags.dtype == pl.String:
        tags = _decoded(tags)
    if isinstance(tags.dtype, pl.List) and tags.dtype.inner == pl.Struct({"key": pl.String, "value": pl.Boolean}):
        tags = tags.cast(pl.Map(pl.String, pl.Boolean))
    if tags.dtype == pl.Map(pl.String, pl.Boolean):
        names = tags.map.keys().explode().unique().drop_nulls().sort()
        return {name: truth(tags.map.get(name)) for name in names}
    if isinstance(tags.dtype, pl.Struct):
        return _of_struct(tags)
    if tags.dtype == pl.Null:
        return {}
    raise InputError(
        f"column {tags.name}: found values of type {tags.dtype}, expected labels by name (a struct, a map, their JSON)"
    )


def _of_struct(tags: pl.Series) -> dict[str, Mask]:
    found: dict[str, Mask] = {}
    for name in sorted(tags.struct.fields):
        value = tags.struct.field(name)
        if isinstance(value.dtype, pl.Struct):
            found |= _of_struct(value)
        elif value.dtype in {pl.Boolean, pl.Null}:
            found[name] = truth(value)
    return found


def _decoded(tags: pl.Series) -> pl.Series:
    try:
        return tags.str.json_decode(infer_schema_length=None)
    except PolarsError as error:
        example = tags.drop_nulls().first()
        raise InputError(
            f'column {tags.name}: expected JSON such as {{"math": true}}, found text such as {example!r}: '
            f"{str(error).splitlines()[0]}"
        ) from error
