"""Labels in every shape in which releases hold them: the same truths come out."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.ranking.labels import numbers, tagged, truth

flat = st.lists(
    st.none() | st.dictionaries(st.sampled_from(["math", "if", "hard"]), st.sampled_from([True, False, None])),
    min_size=1,
    max_size=8,
)


def as_map(rows: list[dict[str, Any] | None]) -> pl.DataFrame:
    entries = [None if row is None else list(row.items()) for row in rows]
    table = pa.table({"category_tag": pa.array(entries, type=pa.map_(pa.string(), pa.bool_()))})
    return pl.DataFrame(pl.from_arrow(table))


def as_entries(rows: list[dict[str, Any] | None]) -> pl.DataFrame:
    entry = pl.List(pl.Struct({"key": pl.String, "value": pl.Boolean}))
    entries = [None if row is None else [{"key": key, "value": value} for key, value in row.items()] for row in rows]
    return pl.DataFrame({"category_tag": pl.Series(entries, dtype=entry)})


def as_struct(rows: list[dict[str, Any] | None]) -> pl.DataFrame:
    kind = pl.Struct(dict.fromkeys(["hard", "if", "math"], pl.Boolean))
    return pl.DataFrame({"category_tag": pl.Series(rows, dtype=kind)})


def as_json(rows: list[dict[str, Any] | None]) -> pl.DataFrame:
    texts = [None if row is None else json.dumps(row) for row in rows]
    return pl.DataFrame({"category_tag": pl.Series(texts, dtype=pl.String)})


@settings(deadline=None)
@given(flat)
def test_maps_entries_structs_and_json_say_the_same(rows: list[dict[str, Any] | None]) -> None:
    for shape in (as_map, as_entries, as_struct, as_json):
        found = tagged(shape(rows), "category_tag")
        for name in ("math", "if", "hard"):
            expected = [bool(row and row.get(name)) for row in rows]
            assert name in found or not any(expected), shape.__name__
            assert found.get(name, truth(pl.Series([False] * len(rows)))).tolist() == expected, shape.__name__


def test_groups_with_a_version_are_looked_into_and_scores_are_no_labels() -> None:
    rows = [
        {"math_v0.1": {"math": True}, "if_v0.1": {"if": False, "score": 2}, "creative_writing_v0.1": None},
        {"math_v0.1": None, "if_v0.1": {"if": True, "score": 5}, "creative_writing_v0.1": {"score": "yes"}},
        None,
    ]
    found = tagged(pl.DataFrame({"category_tag": rows}), "category_tag")
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "math": [True, False, False],
        "if": [False, True, False],
    }


def test_of_two_versions_of_a_label_the_later_counts() -> None:
    rows = [{"math_v0.2": {"math": False}, "math_v0.1": {"math": True}}]
    assert tagged(pl.DataFrame({"category_tag": rows}), "category_tag")["math"].tolist() == [False]


def test_no_column_and_a_column_of_nothing_have_no_labels() -> None:
    assert tagged(pl.DataFrame({"x": [1]}), "category_tag") == {}
    assert tagged(pl.DataFrame({"category_tag": [None, None]}), "category_tag") == {}


def test_text_that_is_no_json_is_shown() -> None:
    with pytest.raises(
        InputError, match=r"column category_tag: expected JSON .* found text such as \"\{'math': True\}\""
    ):
        tagged(pl.DataFrame({"category_tag": ["{'math': True}"]}), "category_tag")


@pytest.mark.parametrize("values", [[1, 2], ["3"], ['["math"]'], [["math"]]])
def test_labels_of_another_kind_are_refused(values: list[Any]) -> None:
    with pytest.raises(InputError, match="column category_tag: found values of type"):
        tagged(pl.DataFrame({"category_tag": values}), "category_tag")


@pytest.mark.parametrize(
    "values", [[True, False, None], [1, 0, None], [1.0, 0.0, None], ["True", " no", None], ["1", "0", None]]
)
def test_truths_are_read_from_booleans_numbers_and_text(values: list[Any]) -> None:
    assert truth(pl.Series(values)).tolist() == [True, False, False]


@pytest.mark.parametrize("values", [[1, 0, 2], ["yes", "no", "perhaps"], [0.0, 1.0, 0.5]])
def test_what_is_neither_true_nor_false_is_named_by_row(values: list[Any]) -> None:
    with pytest.raises(InputError, match=r"column math: row 3 holds .* expected true or false or nothing"):
        truth(pl.Series("math", values))


def test_numbers_keep_gaps_and_refuse_words() -> None:
    assert numbers(pl.Series(["3", None])).to_list() == [3.0, None]
    with pytest.raises(InputError, match="column turn: row 2 holds 'two', expected a number"):
        numbers(pl.Series("turn", ["1", "two"]))
