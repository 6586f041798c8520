"""The distinct strings of Arrow arrays, and which of them stands in each row: for columns with few, such as names.

Arrow's own dictionary (`dictionary_encode`) takes any column, at 9 to 14 ns a row. Where a column has at most 2,048
distinct values of at most 128 bytes, and none is missing, its bytes are read here eight at a time and looked up in a
table that stays in the nearest cache, at 2 to 6 ns a row. A hash finds the place, all bytes are compared.

Not here: what becomes of other columns (`coding.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

_MOST_VALUES, _MOST_WORDS, _SLOTS = 2048, 16, 8192
_ROW = _MOST_WORDS + 1
_FREE = 65_535
_AT_ONCE = 32
_ROWS_IN_CACHE = 4096
_MASK = np.array([(1 << 8 * min(max(size - at, 0), 8)) - 1 for size in range(33) for at in (0, 8, 16, 24)], np.uint64)
_ONE, _TWO, _THREE, _FOUR, _EIGHT = map(np.uint64, (1, 2, 3, 4, 8))
_A, _B, _C, _D = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93))


def distinct(column: pa.ChunkedArray) -> tuple[NDArray[np.uint16], list[str]] | None:
    """The place of each row's string among the distinct ones, which are in the order in which they are met.

    Returns:
        None if the column holds no strings, or more, longer or missing ones.
    """
    if column.null_count or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    slots = np.full(_SLOTS, _FREE, dtype=np.uint16)
    known = np.empty(_MOST_VALUES * _ROW + 1, dtype=np.uint64)
    place_B = np.empty(len(column), dtype=np.uint16)
    count = end = 0
    for chunk in column.chunks:
        for edge_B, bytes_ in _readable(chunk):
            start, end = end, end + len(edge_B) - 1
            words = np.ndarray(len(bytes_) - 7, dtype=np.uint64, buffer=bytes_, strides=(1,))
            for array in (edge_B, bytes_, words):
                array.flags.writeable = False  # so that there is one kind of array to compile for
            count = _look_up(edge_B, bytes_, words, _MASK, slots, known, count, place_B[start:end])
            if count < 0:
                return None
    return place_B, [row[:-1].tobytes()[: row[-1]].decode() for row in known[: count * _ROW].reshape(count, _ROW)]


def _readable(chunk: pa.Array) -> Iterator[tuple[NDArray[np.signedinteger], NDArray[np.uint8]]]:
    """Where the strings of a chunk begin and end in which bytes, so that so many can be read from each beginning."""
    if not len(chunk):
        return
    _, offsets, data = chunk.buffers()
    edge_B = np.frombuffer(offsets, dtype=np.int32 if pa.types.is_string(chunk.type) else np.int64)
    edge_B = edge_B[chunk.offset : chunk.offset + len(chunk) + 1]
    bytes_ = np.frombuffer(data or b"", dtype=np.uint8)
    inner = int(np.searchsorted(edge_B[1:], len(bytes_) - _AT_ONCE, side="right"))
    if inner:
        yield edge_B[: inner + 1], bytes_
    if inner < len(chunk):
        last = bytes_[edge_B[inner] : edge_B[-1]]
        yield edge_B[inner:] - edge_B[inner], np.append(last, np.zeros(_AT_ONCE, dtype=np.uint8))


@njit(cache=True, nogil=True, error_model="numpy")
def _look_up(
    edge_B: Any, bytes_: Any, words: Any, mask: Any, slots: Any, known: Any, count: int, place_B: Any
) -> int:  # fmt: skip
    """The number of values that are known now, -1 where this table does not serve; `words[i]` is bytes i to i + 7."""
    for low in range(0, len(place_B), _ROWS_IN_CACHE):
        high = min(low + _ROWS_IN_CACHE, len(place_B))
        _ask(edge_B[low : high + 1], bytes_, known[-1:])
        count = _places(edge_B[low : high + 1], words, mask, slots, known, count, place_B[low:high])
        if count < 0:
            break
    return count


@njit(nogil=True)
def _ask(edge_B: Any, bytes_: Any, sum_1: Any) -> None:
    """Read all that the rows need: lines of the cache come at once that would be waited for one after another."""
    seen = np.uint64(0)
    for at in range(np.uint64(edge_B[0]), np.uint64(edge_B[-1]), np.uint64(64)):
        seen += np.uint64(bytes_[at])
    for r in range(0, len(edge_B), 8):
        seen += np.uint64(edge_B[r])
    sum_1[0] = seen


@njit(nogil=True, error_model="numpy")
def _places(edge_B: Any, words: Any, mask: Any, slots: Any, known: Any, count: int, place_B: Any) -> int:
    """A value of at most 32 bytes is four words whatever its length, so that there is nothing to foretell.

    Numbers are unsigned, or each place would be looked at for being negative.
    """
    row_words, last_slot, zero = np.uint64(_ROW), np.uint64(len(slots) - 1), np.uint64(0)
    full, start = len(known) // _ROW, np.uint64(edge_B[0])
    for r in range(np.uint64(len(place_B))):
        end = np.uint64(edge_B[r + _ONE])
        size = end - start
        hashed, w1, w2, w3 = size, zero, zero, zero
        if size <= _EIGHT:
            w0 = words[start] & mask[size * _FOUR]
        else:
            at = min(size, np.uint64(_AT_ONCE)) * _FOUR
            w0, w1 = words[start], words[start + _EIGHT] & mask[at + _ONE]
            w2 = words[start + np.uint64(16)] & mask[at + _TWO]
            w3 = words[start + np.uint64(24)] & mask[at + _THREE]
            hashed = _rest_hashed(words, start, size)
        hashed ^= (w0 * _A) ^ (w1 * _B) ^ (w2 * _C) ^ (w3 * _D)
        slot = (((hashed ^ (hashed >> np.uint64(32))) * _A) >> np.uint64(40)) & last_slot
        while True:
            place = np.uint64(slots[slot])
            at = place * row_words
            if place == np.uint64(_FREE):
                if count == full or size > np.uint64(8 * _MOST_WORDS):
                    return -1
                place = np.uint64(count)
                at, slots[slot], count = place * row_words, place, count + 1
                known[at], known[at + _ONE], known[at + _TWO], known[at + _THREE] = w0, w1, w2, w3
                known[at + np.uint64(_MOST_WORDS)] = size
                _keep_rest(known, at, words, start, size)
                break
            differ = (known[at] ^ w0) | (known[at + _ONE] ^ w1) | (known[at + _TWO] ^ w2)
            differ |= (known[at + _THREE] ^ w3) | (known[at + np.uint64(_MOST_WORDS)] ^ size)
            if differ == zero and _same_rest(known, at, words, start, size):
                break
            slot = (slot + _ONE) & last_slot
        place_B[r] = place
        start = end
    return count


@njit(nogil=True)
def _word(words: Any, start: Any, k: Any, size: Any) -> Any:
    """Bytes k to k + 7 of a value, zeros after its end."""
    spare = _EIGHT - min(size - k, _EIGHT)
    return (words[start + k] << (spare * _EIGHT)) >> (spare * _EIGHT)


@njit(nogil=True)
def _rest_hashed(words: Any, start: Any, size: Any) -> Any:
    hashed, k = size, np.uint64(_AT_ONCE)
    while k < size:
        hashed = (hashed ^ _word(words, start, k, size)) * _A
        k += _EIGHT
    return hashed


@njit(nogil=True)
def _keep_rest(known: Any, at: Any, words: Any, start: Any, size: Any) -> None:
    k = np.uint64(_AT_ONCE)
    while k < size:
        known[at + (k >> _THREE)] = _word(words, start, k, size)
        k += _EIGHT


@njit(nogil=True)
def _same_rest(known: Any, at: Any, words: Any, start: Any, size: Any) -> bool:
    same, k = True, np.uint64(_AT_ONCE)
    while k < size:
        same &= known[at + (k >> _THREE)] == _word(words, start, k, size)
        k += _EIGHT
    return same
