"""Columns of text as codes: each distinct value is looked at once, and no row becomes a Python string.

Arrow makes the dictionary (about 12 ns a row), each column in slices, so that all cores have work to the end; a column
that has a dictionary already, a Categorical or an Enum, is only looked up in it. Strings are not copied on the way.

Not here: what a value may be (`checking.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Codes = NDArray[np.unsignedinteger]
Mask = NDArray[np.bool_]

_SLICE = 1 << 19


@dataclass(frozen=True, slots=True)
class Text:
    """A column of text with its dictionary, in parts, and whether each value of the dictionary surely occurs."""

    parts: tuple[pa.ChunkedArray, ...]
    tight: bool

    def values(self) -> set[str]:
        """The distinct values, without the missing one."""
        chunks = chain.from_iterable(part.chunks for part in self.parts)
        return {value for chunk in chunks for value in chunk.dictionary.to_pylist() if value is not None}


def encode(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Text]:
    """The columns with a dictionary each; values of text or dictionaries of text."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        started = {
            name: [threads.submit(_encoded, column.slice(start, _SLICE)) for start in range(0, len(column), _SLICE)]
            for name, column in columns.items()
        }
    return {
        name: Text(tuple(part.result() for part in started[name]), tight=not pa.types.is_dictionary(column.type))
        for name, column in columns.items()
    }


def numbered(columns: Mapping[str, tuple[Text, Callable[[str], int], int]]) -> dict[str, Codes]:
    """The number of the value in each row.

    Args:
        columns: for each name the text, the number of a value, and the number of a missing one, which is the greatest.

    Returns:
        Arrays of shape (B,), of the least unsigned type.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = {
            name: [threads.submit(_numbers, part, number, missing) for part in text.parts]
            for name, (text, number, missing) in columns.items()
        }
    none = {name: np.empty(0, dtype=least(missing)) for name, (_, _, missing) in columns.items()}
    return {name: np.concatenate([none[name], *(part.result() for part in parts)]) for name, parts in found.items()}


def enum(name: str, code_B: Codes, categories: list[str]) -> pl.Series:
    """Codes as an Enum; each must be the place of a category."""
    return pl.Series(name, code_B.astype(least(len(categories)), copy=False)).cat.to(pl.Enum(categories))


def in_use(categories: list[str], *columns: Codes) -> tuple[list[str], list[Codes]]:
    """The categories that occur in the columns, and the columns in places among these."""
    used = np.zeros(len(categories), dtype=bool)
    for code_B in columns:
        used[code_B] = True
    if used.all():
        return categories, list(columns)
    place = (np.cumsum(used) - 1).clip(0).astype(least(int(used.sum())))
    kept = [category for category, there in zip(categories, used, strict=True) if there]
    return kept, [place[code_B] for code_B in columns]


def least(categories: int) -> type[np.unsignedinteger]:
    """The unsigned type in which polars holds an Enum of so many categories, and that has room for one number more."""
    return np.uint8 if categories < 2**8 else np.uint16 if categories < 2**16 else np.uint32


def _encoded(part: pa.ChunkedArray) -> pa.ChunkedArray:
    return part if pa.types.is_dictionary(part.type) else part.dictionary_encode()


def _numbers(part: pa.ChunkedArray, number: Callable[[str], int], missing: int) -> Codes:
    kind = least(missing)
    table, known = np.zeros(0, dtype=kind), None
    numbers = [np.empty(0, dtype=kind)]
    for chunk in part.chunks:
        if known is None or not chunk.dictionary.equals(known):
            known = chunk.dictionary
            values = [missing if value is None else number(value) for value in known.to_pylist()]
            table = np.array([*values, missing], dtype=kind)
        places = chunk.indices
        if places.null_count:
            places = places.cast(pa.int64()).fill_null(len(known))
        numbers.append(np.take(table, places.to_numpy(zero_copy_only=False)))
    return np.concatenate(numbers)
