"""Verdicts as what a judge saw and said: who was A, who was B, and A's points; games paired, pairs turned one way.

`points` is 1 where A won, 0.5 for a tie, 0 where B won: by the label, or where there is none by which side has the
greater chance (`preference`). A verdict with neither could not be read and is left out; so is a model that meets
itself. Of repeated verdicts on one pair in one order the first is paired with the first of the other order, and so on.
Not here: files (`verdict_files.py`), figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.judge.verdict import POINTS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_NEEDED = ("question_id", "judge", "model_a", "model_b")
PAIR = ("question_id", "first", "second")
"""A question and two models by name: what a rater gives one opinion on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one judge said: columns question_id, model_a, model_b, points, and how many verdicts could not be read."""

    judge: str
    frame: pl.DataFrame
    unread: int


def judges(verdicts: pl.DataFrame) -> list[Seen]:
    """What each judge said, under each protocol, by name.

    Raises:
        InputError: a column is missing, there is no pair of two models, or nothing can be read.
    """
    frame = with_points(verdicts)
    if frame.is_empty():
        raise InputError("found no verdict on two different models, expected pairs of models")
    if frame["points"].null_count() == frame.height:
        raise InputError("found no verdict that can be read, expected labels or preferences")
    many = frame.select("judge", "protocol").unique().group_by("judge").len().filter(pl.col("len") > 1)["judge"]
    name = pl.when(pl.col("judge").is_in(many.to_list())).then(
        pl.concat_str("judge", pl.lit(" ("), "protocol", pl.lit(")"))
    )
    frame = frame.with_columns(judge=name.otherwise("judge"))
    return list(_each(frame))


def _each(frame: pl.DataFrame) -> Iterator[Seen]:
    for (judge,), part in frame.sort("judge", maintain_order=True).group_by("judge", maintain_order=True):
        read = part.filter(pl.col("points").is_not_null())
        if read.height:
            yield Seen(
                str(judge), read.select("question_id", "model_a", "model_b", "points"), part.height - read.height
            )


def with_points(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with A's points, without those on a model and itself.

    Raises:
        InputError: a column is missing.
    """
    missing = [name for name in _NEEDED if name not in verdicts.columns]
    if missing or not {"label", "preference", "points"} & set(verdicts.columns):
        raise InputError(
            f"verdicts: found the columns {', '.join(verdicts.columns) or 'none'}, expected {', '.join(_NEEDED)} and "
            "label or preference"
        )
    points = pl.lit(None, dtype=pl.Float64)
    if "points" in verdicts.columns:
        points = pl.col("points").cast(pl.Float64)
    if "label" in verdicts.columns:
        points = pl.coalesce(points, pl.col("label").replace_strict(POINTS, default=None, return_dtype=pl.Float64))
    if "preference" in verdicts.columns:
        lean = pl.col("preference").cast(pl.Float64).fill_nan(None)
        points = pl.coalesce(points, ((lean - 0.5).sign() + 1) / 2)
    protocol = pl.col("protocol").cast(pl.String) if "protocol" in verdicts.columns else pl.lit("")
    names = [pl.col(name).cast(pl.String) for name in _NEEDED]
    frame = verdicts.with_columns(*names, points=points, protocol=protocol)
    return frame.filter(pl.col("model_a") != pl.col("model_b"))


def turned(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows with `first` and `second` by name and `score`, the points of the first; `swapped` where it was B."""
    swapped = pl.col("model_a") > pl.col("model_b")
    return frame.with_columns(
        first=pl.min_horizontal("model_a", "model_b"),
        second=pl.max_horizontal("model_a", "model_b"),
        swapped=swapped,
        score=pl.when(swapped).then(1 - pl.col("points")).otherwise("points"),
    )


def both_games(frame: pl.DataFrame) -> pl.DataFrame:
    """Pairs judged in both orders: `question_id`, `first`, `second`, and A's points in each order, `one` and `two`."""
    rows = turned(frame).with_columns(turn=pl.int_range(pl.len()).over(*PAIR, "swapped"))
    one = rows.filter(~pl.col("swapped")).select(*PAIR, "turn", one="points")
    two = rows.filter("swapped").select(*PAIR, "turn", two="points")
    return one.join(two, on=[*PAIR, "turn"], maintain_order="left").drop("turn")


def opinions(frame: pl.DataFrame) -> pl.DataFrame:
    """One row a question and pair: `score`, the mean points of the first model over all games, and `games`."""
    return turned(frame).group_by(*PAIR, maintain_order=True).agg(pl.col("score").mean(), games=pl.len())


def clusters(frame: pl.DataFrame) -> Integers:
    """The questions of rows, numbered from zero."""
    return frame["question_id"].rank("dense").to_numpy().astype(np.int64) - 1
