"""Columns of text as codes: each distinct value is looked at once, and no row becomes a Python string.

Each column is gone through in slices, so that all cores have work to the end: by `distinct.py` where it serves, by
Arrow elsewhere. A column that has a dictionary already, a Categorical or an Enum, is only looked up in it. Strings are
not copied on the way.

Not here: what a value may be (`checking.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from palaestra.store.distinct import distinct

Codes = NDArray[np.unsignedinteger]
Mask = NDArray[np.bool_]
T = TypeVar("T")
R = TypeVar("R")

_SLICE = 1 << 19


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a column: the place of each row's value among the values, of which None is a missing one."""

    place_B: Codes
    values: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Text:
    """A column of text in parts, each with its values, and whether each of these surely occurs.

    `room_B` has a byte for each row; places of parts with few values lie there.
    """

    parts: tuple[Part, ...]
    room_B: NDArray[np.uint8]
    tight: bool

    def values(self) -> set[str]:
        """The distinct values, without the missing one."""
        return {value for part in self.parts for value in part.values if value is not None}


def encode(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Text]:
    """The columns with their values; these are text or dictionaries of text."""
    rooms = {name: np.empty(len(column), dtype=np.uint8) for name, column in columns.items()}
    slices = {
        name: [(column.slice(at, _SLICE), rooms[name][at : at + _SLICE]) for at in range(0, len(column), _SLICE)]
        for name, column in columns.items()
    }
    tasks = list(chain.from_iterable(slices.values()))
    parts = iter(_each(lambda task: _encoded(*task), tasks, _many(columns.values())))
    return {
        name: Text(
            tuple(chain.from_iterable(next(parts) for _ in slices[name])),
            rooms[name],
            tight=not pa.types.is_dictionary(column.type),
        )
        for name, column in columns.items()
    }


def numbered(columns: Mapping[str, tuple[Text, Callable[[str], int], int]]) -> dict[str, Codes]:
    """The number of the value in each row.

    Args:
        columns: for each name the text, which is not read again, the number of a value, and the number of a missing
            one, which is the greatest.

    Returns:
        Arrays of shape (B,), of the least unsigned type.
    """
    found: dict[str, Codes] = {}
    tasks: list[tuple[Codes, Codes, Codes]] = []
    for name, (text, number, missing) in columns.items():
        small = least(missing) is np.uint8
        code_B = found[name] = text.room_B if small else np.empty(len(text.room_B), dtype=least(missing))
        end = 0
        for part in text.parts:
            start, end = end, end + len(part.place_B)
            numbers = [missing if value is None else number(value) for value in part.values]
            tasks.append((part.place_B, np.array(numbers, dtype=code_B.dtype), code_B[start:end]))
    _each(lambda task: _renumber(*task), tasks, _many(found.values()))
    return found


def enums(columns: Mapping[str, tuple[Codes, list[str]]]) -> dict[str, pl.Series]:
    """Codes as Enums; each code must be the place of a category."""

    def made(name: str) -> pl.Series:
        code_B, categories = columns[name]
        return pl.Series(name, code_B.astype(least(len(categories)), copy=False)).cat.to(pl.Enum(categories))

    made_of_all = _each(made, list(columns), _many(codes for codes, _ in columns.values()))
    return dict(zip(columns, made_of_all, strict=True))


def in_use(categories: list[str], *columns: Codes) -> tuple[list[str], list[Codes]]:
    """The categories that occur in the columns, and the columns in places among these."""
    used = np.zeros(len(categories), dtype=bool)
    for code_B in columns:
        _mark(code_B, len(used) - used.sum(), used)
    if used.all():
        return categories, list(columns)
    kept = [category for category, there in zip(categories, used, strict=True) if there]
    place = (np.cumsum(used) - 1).clip(0).astype(least(len(kept)))
    placed = [np.empty(len(code_B), dtype=place.dtype) for code_B in columns]
    for code_B, place_B in zip(columns, placed, strict=True):
        _renumber(code_B, place, place_B)
    return kept, placed


def least(categories: int) -> type[np.unsignedinteger]:
    """The unsigned type in which polars holds an Enum of so many categories, and that has room for one number more."""
    return np.uint8 if categories < 2**8 else np.uint16 if categories < 2**16 else np.uint32


def _many(columns: Iterable[Sized]) -> bool:
    """Whether there are more rows than threads are worth the while for."""
    return any(len(column) > _SLICE for column in columns)


def _each(work: Callable[[T], R], tasks: Sequence[T], many: bool) -> list[R]:  # noqa: FBT001
    """The work on each of the tasks, on all cores if there are many rows."""
    if not many:
        return list(map(work, tasks))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(work, tasks))


def _encoded(part: pa.ChunkedArray, room_B: NDArray[np.uint8]) -> list[Part]:
    if not pa.types.is_dictionary(part.type):
        for place_B in (room_B, np.empty(len(part), dtype=np.uint16)):
            values = distinct(part, place_B)
            if values is not None:
                return [Part(place_B, values)]
        part = part.dictionary_encode()
    return [_of_dictionary(chunk) for chunk in part.chunks]


def _of_dictionary(chunk: pa.DictionaryArray) -> Part:
    values, places = chunk.dictionary.to_pylist(), chunk.indices
    if places.null_count:
        places = places.cast(pa.int64()).fill_null(len(values))
    kind = np.uint16 if len(values) < 2**16 else np.uint32
    return Part(places.to_numpy(zero_copy_only=False).astype(kind), [*values, None])


@njit(cache=True, nogil=True)
def _renumber(place_B: Any, number: Any, code_B: Any) -> None:  # noqa: ANN401 - compiled
    for r in range(len(place_B)):
        code_B[r] = number[place_B[r]]


@njit(cache=True, nogil=True)
def _mark(code_B: Any, missing: int, used: Any) -> None:  # noqa: ANN401 - compiled
    """Note which codes occur, until none is missing."""
    for r in range(len(code_B)):
        if not used[code_B[r]]:
            used[code_B[r]] = True
            missing -= 1
        if missing == 0:
            break
