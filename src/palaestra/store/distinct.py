"""The distinct strings of Arrow arrays, and which of them stands in each row: for columns with few, such as names.

Arrow's own dictionary (`dictionary_encode`) takes any column, at 9 to 14 ns a row. Where a column has at most 2,048
distinct values of at most 128 bytes, and none is missing, its bytes are read here eight at a time and looked up in a
table that stays in the nearest cache, at 3 to 5 ns a row. A hash finds the place, all bytes are compared.

Not here: what becomes of other columns (`coding.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

_MOST_VALUES, _MOST_BYTES, _SLOT_BITS = 2048, 128, 13
_AT_ONCE = 32
_ROW = 5 + (_MOST_BYTES - _AT_ONCE) // 8
"""A value that is known: its first two words and its last two, its size, the words between; words may overlap."""
_FIRST = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)
_ONE, _TWO, _THREE, _FOUR, _EIGHT, _SIXTEEN, _MOST = map(np.uint64, (1, 2, 3, 4, 8, 16, _MOST_BYTES))
_ROW_WORDS, _LAST_SLOT, _SLOT_SHIFT, _FREE = map(np.uint64, (_ROW, (1 << _SLOT_BITS) - 1, 64 - _SLOT_BITS, 65_535))
_A, _B = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9))


def distinct(column: pa.ChunkedArray, place_B: NDArray[np.unsignedinteger]) -> list[str] | None:
    """The distinct strings in the order in which they are met, and in `place_B` the place of each row's among them.

    Args:
        column: the strings.
        place_B: where the places are written, as uint8 (for at most 255 strings) or uint16; shape (B,).

    Returns:
        None if the column holds no strings, or more, longer or missing ones.
    """
    if column.null_count or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    slots = np.full(1 << _SLOT_BITS, _FREE, dtype=np.uint16)
    known = np.empty(min(_MOST_VALUES, np.iinfo(place_B.dtype).max) * _ROW, dtype=np.uint64)
    count = end = 0
    for chunk in column.chunks:
        for edge_B, bytes_ in _readable(chunk):
            start, end = end, end + len(edge_B) - 1
            words = np.ndarray(len(bytes_) - 7, dtype=np.uint64, buffer=bytes_, strides=(1,))
            edge_B.flags.writeable = words.flags.writeable = False  # so that there is one kind of array to compile for
            count = _places(edge_B, words, _FIRST, slots, known, count, place_B[start:end])
            if count < 0:
                return None
    return [_text(row) for row in known[: count * _ROW].reshape(count, _ROW)]


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


def _text(row: NDArray[np.uint64]) -> str:
    """The value of a row of the table."""
    first, last, size, rest = row[:2].tobytes(), row[2:4].tobytes(), int(row[4]), row[5:].tobytes()
    if size <= 8:  # noqa: PLR2004 - one word
        return first[:size].decode()
    inner = (first + rest)[: max(size - len(last), 8)]
    return (inner + last[len(inner) + len(last) - size :]).decode()


@njit(cache=True, nogil=True, error_model="numpy")
def _places(edge_B: Any, words: Any, first: Any, slots: Any, known: Any, count: int, place_B: Any) -> int:
    """The number of values that are known now, -1 where this table does not serve; `words[i]` is bytes i to i + 7.

    A value of 9 to 32 bytes is four words whatever its length, so that there is nothing to foretell. Numbers are
    unsigned, or each place would be looked at for being negative.
    """
    start, zero, most = np.uint64(edge_B[0]), np.uint64(0), len(known) // _ROW
    for r in range(np.uint64(len(place_B))):
        end = np.uint64(edge_B[r + _ONE])
        size = end - start
        if size <= _EIGHT:
            w0 = w1 = w2 = w3 = words[start] & first[size]
            slot = _slot((w0 ^ size) * _A)
            while True:
                place = np.uint64(slots[slot])
                at = place * _ROW_WORDS
                if place == _FREE or ((known[at] ^ w0) | (known[at + _FOUR] ^ size)) == zero:
                    break
                slot = (slot + _ONE) & _LAST_SLOT
        else:
            w0, w1 = words[start], words[start + min(_EIGHT, size - _EIGHT)]
            w2, w3 = words[end - min(_SIXTEEN, size)], words[end - _EIGHT]
            slot = _slot(_rest_hashed(words, start, size, (w0 * _A) ^ (w3 * _B) ^ ((w1 ^ w2) * _A) ^ size))
            while True:
                place = np.uint64(slots[slot])
                at = place * _ROW_WORDS
                if place == _FREE:
                    break
                differ = (
                    (known[at] ^ w0) | (known[at + _ONE] ^ w1) | (known[at + _TWO] ^ w2) | (known[at + _THREE] ^ w3)
                )
                if (differ | (known[at + _FOUR] ^ size)) == zero and _same_rest(known, at, words, start, size):
                    break
                slot = (slot + _ONE) & _LAST_SLOT
        if place == _FREE:
            if count == most or size > _MOST:
                return -1
            place = np.uint64(count)
            at, slots[slot], count = place * _ROW_WORDS, place, count + 1
            known[at], known[at + _ONE], known[at + _TWO], known[at + _THREE] = w0, w1, w2, w3
            known[at + _FOUR] = size
            _keep_rest(known, at, words, start, size)
        place_B[r] = place
        start = end
    return count


@njit(nogil=True)
def _slot(hashed: Any) -> Any:
    return ((hashed ^ (hashed >> np.uint64(32))) * _B) >> _SLOT_SHIFT


@njit(nogil=True)
def _rest_hashed(words: Any, start: Any, size: Any, hashed: Any) -> Any:
    k = _SIXTEEN
    while k + _SIXTEEN < size:
        hashed = (hashed ^ words[start + k]) * _A
        k += _EIGHT
    return hashed


@njit(nogil=True)
def _keep_rest(known: Any, at: Any, words: Any, start: Any, size: Any) -> None:
    k = _SIXTEEN
    while k + _SIXTEEN < size:
        known[at + _THREE + (k >> _THREE)] = words[start + k]
        k += _EIGHT


@njit(nogil=True)
def _same_rest(known: Any, at: Any, words: Any, start: Any, size: Any) -> bool:
    same, k = True, _SIXTEEN
    while k + _SIXTEEN < size:
        same &= known[at + _THREE + (k >> _THREE)] == words[start + k]
        k += _EIGHT
    return same
