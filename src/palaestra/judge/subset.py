"""The smallest set of questions that still separates models, chosen on some models and tested on others.

A choice by the same models that then judge it always looks good. So the models are split in two halves, again and
again (seeded): questions are put in an order by the one half, and the boards of their first n are measured on the
other. Beside it stand random orders, and random orders that give each topic its share, measured on the same models.

    separability   share of pairs of models whose intervals, mean ± z sd / √n, do not overlap
    paired         share of pairs whose difference, question by question, is more than z standard errors from zero: the
                   test that does not count how much questions differ in difficulty as noise
    spearman       with the board of all questions, of which the subset is a part

Orders by `greedy`: next comes the question with which the mean margin over pairs (see `value.py`), each capped at 1.2
so that no pair counts for more once it is apart, is greatest. By `information`: once, from the most informative down.

Not here: a claim about verdicts of another judge or another baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import rankdata

from palaestra.errors import InputError
from palaestra.judge.items import Items, gaps, items
from palaestra.judge.selection import by_information, greedily, in_shares
from palaestra.judge.value import margin, mean_and_half
from palaestra.schema.record import Record, Struct

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Way = Literal["chosen", "random", "stratified"]

KINDS = ("separability", "paired", "spearman")
_POINTS = 50
"""Sizes at which the curve is measured, all questions among them."""
_LEAST_MODELS = 6
_LEAST_SIZE = 5


class SubsetConfig(BaseModel):
    """How questions are chosen, and how the choice is tested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None = Field(default=None, ge=_LEAST_SIZE)
    """How many questions; if not given, as few as `keep` allows."""
    keep: float = Field(default=0.95, gt=0, le=1)
    """The share of the separability of all questions that the subset must keep, on models that did not choose it."""
    by: Literal["greedy", "information"] = "greedy"
    """How the order of questions is found."""
    splits: int = Field(default=20, ge=2)
    """Splits of the models into a half that chooses and a half that tests."""
    draws: int = Field(default=5, ge=1)
    """Random orders for each split, of either kind."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the models' intervals; and the share of splits within the range that the curve gives."""
    seed: int = Field(default=0, ge=0)
    """Seed of splits and orders."""


class CurvePoint(Struct):
    """A measure on held-out models, for subsets of one size: its mean over splits, and the range that holds most.

    `gain` is the same for the difference to the random subsets, split by split; None for these themselves.
    """

    way: Way
    size: int
    measure: str
    mean: float
    lower: float
    upper: float
    gain: float | None
    gain_lower: float | None
    gain_upper: float | None


class Subset(Record):
    """The questions chosen, in their order, by all models; and the curve of what such a choice is worth."""

    record_name = "subset"

    questions: tuple[str, ...]
    of: int
    """Questions that there were."""
    models: int
    curve: tuple[CurvePoint, ...]
    settings: SubsetConfig
    warnings: tuple[str, ...] = ()

    def at(self, size: int, measure: str = "separability", way: Way = "chosen") -> CurvePoint:
        """The point of the curve at the smallest size that is no smaller."""
        points = (one for one in self.curve if (one.way, one.measure) == (way, measure) and one.size >= size)
        return min(points, key=lambda one: one.size)

    def table(self) -> pl.DataFrame:
        """One row a point of the curve."""
        return pl.DataFrame([point.model_dump() for point in self.curve], infer_schema_length=None)


def subset(
    verdicts: pl.DataFrame,
    baseline: str | None = None,
    config: SubsetConfig | None = None,
    *,
    topics: Mapping[str, str | None] | None = None,
    progress: Callable[[], None] | None = None,
    **settings: Any,  # noqa: ANN401 - SubsetConfig's fields
) -> Subset:
    """Choose questions.

    Args:
        verdicts: with the columns of `Verdict`.
        baseline: the model that the others were compared with; if not given, the one that is in every verdict.
        config: settings.
        topics: the topic of each question; if not given, the category of its verdicts.
        progress: called after each split.
        **settings: or the settings by name.

    Raises:
        InputError: verdicts are not against one baseline, there are fewer than six models, fewer questions than were
            asked for, or, without a size, no two models that all questions separate.
        pydantic.ValidationError: a setting is none of these.
    """
    config = SubsetConfig(**((config.model_dump() if config else {}) | settings))
    table = items(verdicts, baseline)
    points_QM = table.points_QM
    _check(table, config)
    topic_Q = _topics(table, topics)
    sizes = _sizes(len(points_QM), config.size)
    rng = np.random.default_rng(config.seed)
    found: dict[Way, list[Floats]] = {}
    for _ in range(config.splits):
        order_M = rng.permutation(points_QM.shape[1])
        half = len(order_M) // 2
        choosing, testing_QM = points_QM[:, order_M[:half]], points_QM[:, order_M[half:]]
        orders: dict[Way, list[Integers]] = {"chosen": [_order(choosing, config)]}
        orders["random"] = [rng.permutation(len(points_QM)) for _ in range(config.draws)]
        if topic_Q is not None:
            orders["stratified"] = [in_shares(topic_Q, rng) for _ in range(config.draws)]
        for way, many in orders.items():
            measured = [measured_along(testing_QM, order_Q, sizes, config.confidence) for order_Q in many]
            found.setdefault(way, []).append(np.mean(measured, axis=0))
        if progress is not None:
            progress()
    curve = _curve(found, sizes, config.confidence)
    size = config.size or _smallest(curve, config.keep)
    chosen_Q = _order(points_QM, config)[:size]
    return Subset(
        questions=tuple(table.questions[place] for place in chosen_Q),
        of=len(points_QM),
        models=points_QM.shape[1],
        curve=curve,
        settings=config,
        warnings=tuple(_warnings(table, topic_Q)),
    )


def measured_along(points_QM: Floats, order_Q: Integers, sizes: Sequence[int], confidence: float) -> Floats:
    """Separability, paired separability and Spearman of the first n questions of an order, shape (sizes, 3)."""
    ordered_QM = points_QM[order_Q]
    there_QM = (~np.isnan(ordered_QM)).astype(float)
    known_QM = np.nan_to_num(ordered_QM)
    first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole_M = known_QM.sum(axis=0) / there_QM.sum(axis=0)
    sums_3M, sums_4MM = np.zeros((3, len(whole_M))), np.zeros((4, len(whole_M), len(whole_M)))
    found, start = [], 0
    for size in sizes:
        there, known = there_QM[start:size], known_QM[start:size]
        sums_3M += [there.sum(axis=0), known.sum(axis=0), (known**2).sum(axis=0)]
        sums_4MM += [there.T @ there, known.T @ there, (known**2).T @ there, known.T @ known]
        mean_M, half_M = mean_and_half(*sums_3M, confidence)
        apart_P = margin(np.abs(mean_M[first_P] - mean_M[second_P]), half_M[first_P] + half_M[second_P]) > 1
        gap_P, half_P = mean_and_half(*_differences(sums_4MM, first_P, second_P), confidence)
        found.append([apart_P.mean(), (margin(np.abs(gap_P), half_P) > 1).mean(), _spearman(mean_M, whole_M)])
        start = size
    return np.array(found)


def _differences(sums_4MM: Floats, first_P: Integers, second_P: Integers) -> tuple[Floats, Floats, Floats]:
    """Number, sum and sum of squares of the differences of two models, on the questions that both have."""
    both_MM, sums_MM, squares_MM, products_MM = sums_4MM
    parts = (both_MM, sums_MM - sums_MM.T, squares_MM + squares_MM.T - 2 * products_MM)
    count_P, sum_P, square_P = (one[first_P, second_P] for one in parts)
    return count_P, sum_P, square_P


def _spearman(x_M: Floats, y_M: Floats) -> float:
    """Rank correlation of the models that both have; zero where one side is level."""
    there_M = ~np.isnan(x_M) & ~np.isnan(y_M)
    x_M, y_M = (np.round(one[there_M], 12) for one in (x_M, y_M))
    x_M, y_M = (rankdata(one) - (len(one) + 1) / 2 for one in (x_M, y_M))
    spread = np.sqrt((x_M**2).sum() * (y_M**2).sum())
    return float((x_M * y_M).sum() / spread) if spread else 0.0


def _order(points_QM: Floats, config: SubsetConfig) -> Integers:
    choose = greedily if config.by == "greedy" else by_information
    return choose(points_QM, config.confidence)


def _sizes(questions: int, wanted: int | None) -> list[int]:
    step = max(1, round(questions / _POINTS))
    grid = {size for size in range(step, questions, step) if size >= _LEAST_SIZE} | {questions}
    return sorted(grid | ({wanted} if wanted else set()))


def _curve(found: Mapping[Way, list[Floats]], sizes: Sequence[int], confidence: float) -> tuple[CurvePoint, ...]:
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    random = np.array(found["random"])
    curve = []
    for way, splits in found.items():
        values = np.array(splits)
        gains = values - random
        lower, upper = np.quantile(values, ends, axis=0)
        gain_lower, gain_upper = np.quantile(gains, ends, axis=0)
        for row, size in enumerate(sizes):
            for column, measure in enumerate(KINDS):
                at = (row, column)
                gained = (gains.mean(axis=0)[at], gain_lower[at], gain_upper[at]) if way != "random" else (None,) * 3
                curve.append(
                    CurvePoint(
                        way=way, size=size, measure=measure, mean=values.mean(axis=0)[at], lower=lower[at],
                        upper=upper[at], gain=gained[0], gain_lower=gained[1], gain_upper=gained[2],
                    )
                )  # fmt: skip
    return tuple(curve)


def _smallest(curve: Sequence[CurvePoint], keep: float) -> int:
    """The smallest size from which on the mean separability of held-out models stays at the share to keep."""
    chosen = [one for one in curve if one.way == "chosen" and one.measure == "separability"]
    if not chosen[-1].mean:
        raise InputError("found no two models that all questions separate, so there is nothing to keep; give a size")
    least = keep * chosen[-1].mean - 1e-12
    short = [one.size for one in chosen if one.mean < least]
    return min(one.size for one in chosen if not short or one.size > short[-1])


def _topics(table: Items, topics: Mapping[str, str | None] | None) -> Integers | None:
    """The topic of each question as a number, None where there are none to tell apart."""
    named = [topics.get(question) for question in table.questions] if topics is not None else table.category_Q
    known = sorted({name for name in named if name is not None})
    if topics is not None and not known:
        raise InputError(
            "found no topic of these questions, expected a file of questions with theirs, under the same ids"
        )
    places = {name: number for number, name in enumerate(known)}
    return np.array([places.get(name, len(known)) for name in named]) if len(known) > 1 else None


def _check(table: Items, config: SubsetConfig) -> None:
    questions, models = table.points_QM.shape
    if models < _LEAST_MODELS:
        raise InputError(
            f"found {models} models besides the baseline, expected at least {_LEAST_MODELS}: half of them test"
        )
    if questions < 2 * _LEAST_SIZE or (config.size or 0) > questions:
        raise InputError(f"found {questions} questions, expected at least {max(config.size or 0, 2 * _LEAST_SIZE)}")


def _warnings(table: Items, topic_Q: Integers | None) -> list[str]:
    said = gaps(table)
    if topic_Q is None:
        said.append("the questions have no topics: random subsets are not stratified")
    return said
