"""Checked frames: whatever frame the votes come in, the same codes leave, and only votes that are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import VoteFileError
from palaestra.store import coding
from palaestra.store.formats import check_votes

OUTCOMES = ["model_a", "model_b", "tie", "both_bad"]
READ_AS = {outcome: outcome for outcome in OUTCOMES} | {"tie (bothbad)": "both_bad", "both bad": "both_bad"}
ROWS = [
    ("Çiğdem", "Ada", "tie"),
    ("Ada", "Bea", "model_a"),
    ("Bea", "Çiğdem", "both bad"),
    ("Ada", "Zoë 🦉", "model_b"),
]

Row = tuple[str | None, str | None, str | None]
names = st.none() | st.sampled_from(
    ["Ada", "Bea", "Çiğdem", "Zoë 🦉", "", " ", "a name that is longer than twelve bytes", "007"]
)
winners = st.none() | st.sampled_from([*READ_AS, "Tie", "model_c"])
some_rows = st.lists(st.tuples(names, names, winners), max_size=40)


def polars_frame(rows: Sequence[Row]) -> pl.DataFrame:
    schema = dict.fromkeys(("model_a", "model_b", "winner"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def categories(rows: Sequence[Row], column: int) -> list[str]:
    return ["never used", *{str(row[column]): None for row in reversed(rows) if row[column] is not None}]


FRAMES: dict[str, Callable[[Sequence[Row]], Any]] = {
    "polars": polars_frame,
    "polars in chunks": lambda rows: pl.concat([polars_frame(rows[:2]), polars_frame(rows[2:])], rechunk=False),
    "polars lazy": lambda rows: polars_frame(rows).lazy(),
    "polars categorical": lambda rows: polars_frame(rows).cast(pl.Categorical),
    "polars enum": lambda rows: polars_frame(rows).with_columns(
        pl.col(name).cast(pl.Enum(categories(rows, place)))
        for place, name in enumerate(("model_a", "model_b", "winner"))
    ),
    "pandas": lambda rows: pd.DataFrame(rows, columns=["model_a", "model_b", "winner"], dtype="str"),
    "pandas objects": lambda rows: pd.DataFrame(rows, columns=["model_a", "model_b", "winner"], dtype="object"),
    "pandas with an index": lambda rows: pd.DataFrame(
        rows, columns=["model_a", "model_b", "winner"], dtype="str", index=range(len(rows), 0, -1)
    ),
    "pandas categories": lambda rows: pd.DataFrame(rows, columns=["model_a", "model_b", "winner"], dtype="category"),
    "arrow": lambda rows: polars_frame(rows).to_arrow(),
    "arrow views": lambda rows: polars_frame(rows).to_arrow(compat_level=pl.CompatLevel.newest()),
    "arrow dictionaries in chunks": lambda rows: pa.concat_tables(
        [
            pa.table(
                {
                    name: pa.chunked_array([column]).dictionary_encode()
                    for name, column in zip(
                        ("model_a", "model_b", "winner"),
                        (pa.array([row[place] for row in part], type=pa.string()) for place in range(3)),
                        strict=True,
                    )
                }
            )
            for part in (rows[:3], rows[3:])
        ]
    ),
}


def is_whole(row: Row) -> bool:
    a, b, winner = row
    return a is not None and b is not None and bool(a.strip() and b.strip()) and a != b and winner in READ_AS


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_brings_the_same_votes(kind: str) -> None:
    frame = check_votes(FRAMES[kind](ROWS)).frame
    assert frame.rows() == [(a, b, READ_AS[winner]) for a, b, winner in ROWS]
    assert frame.schema == {
        "model_a": pl.Enum(["Ada", "Bea", "Zoë 🦉", "Çiğdem"]),
        "model_b": pl.Enum(["Ada", "Bea", "Zoë 🦉", "Çiğdem"]),
        "winner": pl.Enum(OUTCOMES),
    }


@settings(max_examples=60, deadline=None)
@given(rows=some_rows, kind=st.sampled_from(list(FRAMES)))
def test_whole_votes_stay_and_the_first_other_is_named(rows: Sequence[Row], kind: str) -> None:
    whole = [(a, b, READ_AS[str(winner)]) for a, b, winner in filter(is_whole, rows)]
    bad = [number for number, row in enumerate(rows, start=1) if not is_whole(row)]
    frame = FRAMES[kind](rows)
    read = check_votes(frame, skip_bad=len(rows))
    assert read.frame.rows() == whole
    met = sorted({str(name) for a, b, _ in whole for name in (a, b)})
    assert read.frame.schema["model_a"] == read.frame.schema["model_b"] == pl.Enum(met)
    assert [int(line.split("row ")[1].split(",")[0]) for line in read.skipped] == bad
    if bad:
        with pytest.raises(VoteFileError, match=rf"^the frame: row {bad[0]}, column"):
            check_votes(frame, skip_bad=len(bad) - 1)


@given(rows=some_rows.filter(lambda rows: all(map(is_whole, rows))))
@settings(deadline=None)
def test_a_checked_frame_is_left_as_it_is(rows: Sequence[Row]) -> None:
    once = check_votes(polars_frame(rows).with_columns(weight=pl.lit(2), voter=pl.lit("v"))).frame
    twice = check_votes(once)
    assert twice.frame.equals(once)
    assert twice.frame.schema == once.schema
    if rows:
        assert np.shares_memory(once["model_a"].to_physical().to_numpy(), twice.codes["model_a"])


def test_a_checked_frame_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    once = check_votes(polars_frame(ROWS)).frame
    monkeypatch.setattr("palaestra.store.checking.encode", lambda _: pytest.fail("hashed again"))
    assert check_votes(once.head(2)).frame.rows() == once.head(2).rows()


def test_a_checked_frame_that_was_spoilt_is_found_out() -> None:
    frame = check_votes(polars_frame(ROWS)).frame
    for spoilt, said in [
        (frame.with_columns(model_b=pl.col("model_a")), "on both sides"),
        (frame.with_columns(model_a=pl.lit(None, dtype=frame.schema["model_a"])), "found no name"),
        (frame.with_columns(weight=pl.lit(-1.0)), "found -1.0, expected a number"),
    ]:
        with pytest.raises(VoteFileError, match=said):
            check_votes(spoilt)


def test_long_columns_are_coded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_SLICE", 3)
    rows = [(f"m{i}", f"m{i + 1}", OUTCOMES[i % 4]) for i in range(100)]
    for kind, make in FRAMES.items():
        assert check_votes(make(rows)).frame.rows() == rows, kind


@pytest.mark.parametrize(("models", "kind"), [(2, pl.UInt8), (255, pl.UInt8), (256, pl.UInt16), (70_000, pl.UInt32)])
def test_codes_are_as_small_as_can_be(models: int, kind: type[pl.DataType]) -> None:
    rows = [(f"m{i:05}", f"m{i + 1:05}", "tie") for i in range(models - 1)]
    frame = check_votes(polars_frame([*rows, ("", "m00000", "tie")]), skip_bad=1).frame
    assert frame.rows() == rows
    assert frame["model_a"].to_physical().dtype == kind


def test_numbers_can_be_names() -> None:
    numbers = pd.DataFrame({"model_a": [7, 7], "model_b": pd.Categorical([8, 9]), "winner": ["tie", "tie"]})
    assert check_votes(numbers).frame.rows() == [("7", "8", "tie"), ("7", "9", "tie")]


def test_only_wanted_columns_are_kept() -> None:
    extra = {"weight": 2, "judge": "v1", "turn": 3, "talk": "long", "timestamp": 1}
    frame = polars_frame(ROWS).with_columns(pl.lit(value).alias(name) for name, value in extra.items())
    kept = ["model_a", "model_b", "winner", "weight", "voter", "turn"]
    for any_frame in (frame, frame.lazy(), frame.to_pandas(), frame.to_arrow()):
        assert check_votes(any_frame, wanted=["voter", "turn"]).frame.columns == kept
        chosen = check_votes(any_frame, wanted=lambda there: [name for name in there if name in {"judge", "turn"}])
        assert chosen.frame.columns == kept
        assert check_votes(any_frame, wanted=()).frame.columns == kept[:4]
        with pytest.raises(
            VoteFileError, match="found no column citations, expected one of model_a, model_b, winner, weight"
        ):
            check_votes(any_frame, wanted=["citations"])


def test_what_pandas_knows_as_text_number_and_time() -> None:
    frame = pd.DataFrame(ROWS, columns=["model_a", "model_b", "winner"])
    frame["weight"] = np.arange(1, 5, dtype=np.int32)
    frame["propensity"] = [0.5, None, 1.0, 0.25]
    frame["timestamp"] = pd.to_datetime(["2024-01-02 03:04:05+02:00"] * 3 + [None])
    frame["user"] = [1, 2, 3, 4]
    read = check_votes(frame).frame
    assert read.schema["weight"] == read.schema["propensity"] == pl.Float64
    assert read["propensity"].to_list() == [0.5, None, 1.0, 0.25]
    assert read["tstamp"].to_list() == [datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)] * 3 + [None]
    assert read["voter"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize("nonsense", [7, [1, 2], {"model_a": object()}, pd.DataFrame({"model_a": [1, "x", object()]})])
def test_what_is_no_frame_of_votes(nonsense: object) -> None:
    with pytest.raises(VoteFileError, match="expected a polars, pandas or Arrow frame of votes"):
        check_votes(nonsense)
