"""Distinct strings, found eight bytes at a time: the same as Arrow finds, wherever the bytes lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.store.distinct import distinct

LONG = "a name whose first thirty-two bytes are those of another, "
SIZES = (np.uint8, np.uint16)
KINDS = [pa.string(), pa.large_string()]
texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "\0", "\0\0", "a", "a\0", "é", "Zoë 🦉", "eight by", "eight byt", LONG, LONG + "1", LONG + "2"]
    ),
    st.integers(0, 128).map(lambda size: "x" * size),
)


def read(column: pa.ChunkedArray) -> list[str]:
    found = [(place_B, distinct(column, place_B)) for place_B in (np.empty(len(column), kind) for kind in SIZES)]
    (small_B, few), (place_B, values) = found
    assert values is not None
    assert few == (values if len(values) < 256 else None)
    assert few is None or small_B.tolist() == place_B.tolist()
    assert len(set(values)) == len(values)
    assert set(place_B.tolist()) == set(range(len(values)))
    return [values[place] for place in place_B]


@settings(deadline=None)
@given(st.lists(texts, max_size=60), st.sampled_from(KINDS), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_every_row_finds_its_string(rows: Sequence[str], kind: pa.DataType, start: int, length: int, cut: int) -> None:
    array = pa.array(rows, type=kind)
    assert read(pa.chunked_array([array])) == list(rows)
    part = array.slice(start, length)
    assert read(pa.chunked_array([part.slice(0, cut), part.slice(cut), array], type=kind)) == [*part.to_pylist(), *rows]


@pytest.mark.parametrize("kind", KINDS)
def test_strings_that_end_with_their_buffer(kind: pa.DataType) -> None:
    for rows in (["abc"], ["model_a", "tie"], [""], ["x" * 128], ["é" * 20, "y" * 33, "z"]):
        whole = pa.array(rows, type=kind)
        _, edges, data = whole.buffers()
        width = np.dtype(np.int32 if kind == pa.string() else np.int64).itemsize
        exact = pa.py_buffer(data.to_pybytes()[: sum(len(row.encode()) for row in rows)]) if data else pa.py_buffer(b"")
        edges = pa.py_buffer(edges.to_pybytes()[: width * (len(rows) + 1)])
        assert read(pa.chunked_array([pa.Array.from_buffers(kind, len(rows), [None, edges, exact])])) == rows


def test_strings_that_share_all_but_one_byte() -> None:
    rows = [LONG[:place] + "!" + LONG[place + 1 :] for place in range(len(LONG))] + [LONG[:size] for size in range(58)]
    assert read(pa.chunked_array([pa.array(rows * 3)])) == rows * 3


def test_many_rows_and_two_thousand_names() -> None:
    names = [f"vendor-{number % 7}/model-{number}-{'long' * (number % 9)}" for number in range(2048)]
    rows = np.random.default_rng(0).choice(names, 20_000).tolist() + names
    assert read(pa.chunked_array([pa.array(rows[:777]), pa.array(rows[777:])])) == rows


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None]),
        pa.array([str(number) for number in range(2049)]),
        pa.array(["a", "x" * 129]),
        pa.array(["a"], type=pa.string_view()),
        pa.array(["a"]).dictionary_encode(),
        pa.array([1]),
    ],
)
def test_what_is_left_to_arrow(column: pa.Array) -> None:
    assert distinct(pa.chunked_array([column]), np.empty(len(column), np.uint16)) is None
