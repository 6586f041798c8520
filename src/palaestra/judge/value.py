"""What each question of a benchmark is worth: how far it tells models apart, and how far it is noise.

    discrimination   corrected item-total correlation (Henrysson, 1963): over models, the correlation of the points on
                     this question with the mean of the points on all others
    flips            the share of pairs of verdicts that name another winner when the answers are swapped
    information      what the question does for the pairs that the benchmark separates. A pair's margin is the distance
                     of the two means over the sum of the half widths of their intervals, mean ± z sd / √n; it is above
                     1 iff the intervals do not overlap. Leaving a question out changes the margin; information is that
                     loss as a share of the margin, averaged over the separated pairs, times 2 n: 1 for a question like
                     the average one, 0 for one that changes nothing, below 0 where separation is better without it
    constant         the share of models that got the same points, that of the median; near-constant from 0.95 on

Intervals of discrimination and information are over models (bootstrap, as in `agreement.py`), those of shares are
Wilson's (1927). Each holds by itself: among 500 questions, some look good or bad by luck.

Not here: which questions to keep (`subset.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtri

from palaestra.judge.items import Items, gaps, items
from palaestra.schema.record import Record, Struct
from palaestra.stats.quality import recentred

Floats = NDArray[np.float64]

_CELLS = 2_000_000
_NOTHING = 1e-12
"""A variance below this is none."""


class ValueConfig(BaseModel):
    """How questions are valued."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the models' intervals, which say what is separated, and of the questions'."""
    constant_from: float = Field(default=0.95, gt=0.5, le=1)
    """The share of models with the same points from which a question is called near-constant."""
    rounds: int = Field(default=400, ge=100)
    """Bootstrap rounds over models."""
    seed: int = Field(default=0, ge=0)
    """Seed of the rounds."""


class QuestionValue(Struct):
    """One question's line. None: not defined, as discrimination where all models have the same points."""

    question_id: str
    category: str | None
    models: int
    """Models with a verdict on it."""
    points: float
    """Their mean points against the baseline, 0 to 1."""
    discrimination: float | None
    discrimination_lower: float | None
    discrimination_upper: float | None
    information: float | None
    information_lower: float | None
    information_upper: float | None
    flips: float | None
    """None where no pair of verdicts is there in both orders."""
    flips_lower: float | None
    flips_upper: float | None
    constant: float
    constant_lower: float
    constant_upper: float
    near_constant: bool


class QuestionValues(Record):
    """All questions, the most informative first, and the benchmark that they make."""

    record_name = "question_values"

    questions: tuple[QuestionValue, ...]
    models: int
    separability: float
    """The share of pairs of models whose intervals do not overlap."""
    flips: float | None
    """Over all questions."""
    without_label: int
    """Verdicts that hold none, and are left out."""
    settings: ValueConfig
    warnings: tuple[str, ...] = ()

    def table(self) -> pl.DataFrame:
        """One row a question, with the fields of `QuestionValue`."""
        return pl.DataFrame([line.model_dump() for line in self.questions], infer_schema_length=None)


def value(
    verdicts: pl.DataFrame,
    baseline: str | None = None,
    config: ValueConfig | None = None,
    **settings: Any,  # noqa: ANN401 - ValueConfig's fields
) -> QuestionValues:
    """The worth of each question.

    Args:
        verdicts: with the columns of `Verdict`.
        baseline: the model that the others were compared with; if not given, the one that is in every verdict.
        config: settings.
        **settings: or the settings by name.

    Raises:
        InputError: verdicts are not against one baseline, or there are fewer than three models or questions.
        pydantic.ValidationError: a setting is none of these.
    """
    config = ValueConfig(**((config.model_dump() if config else {}) | settings))
    table = items(verdicts, baseline)
    models = len(table.models)
    rng = np.random.default_rng(config.seed)
    drawn_RM = rng.multinomial(models, np.full(models, 1 / models), size=config.rounds).astype(np.float64)
    weight_RM = np.vstack([np.ones(models), drawn_RM])
    found = _Found(
        discrimination(table.points_QM, weight_RM),
        information(table.points_QM, weight_RM, config.confidence),
        _constant(table.points_QM),
    )
    lines = [_line(table, found, question, config) for question in range(len(table.questions))]
    lines.sort(key=lambda line: (line.information is None, -(line.information or 0), line.question_id))
    apart_P = np.abs(margins(table.points_QM, config.confidence)) > 1
    pairs = table.pairs_Q.sum()
    return QuestionValues(
        questions=tuple(lines),
        models=models,
        separability=float(apart_P.mean()),
        flips=float(table.flips_Q.sum() / pairs) if pairs else None,
        without_label=table.without_label,
        settings=config,
        warnings=tuple(_warnings(table, apart_P)),
    )


def margins(points_QM: Floats, confidence: float) -> Floats:
    """The signed margin of each pair i < j of models, shape (P,), as above: positive where i has more points."""
    first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
    there_QM = ~np.isnan(points_QM)
    sums = np.where(there_QM, points_QM, 0.0)
    mean_M, half_M = mean_and_half(there_QM.sum(axis=0), sums.sum(axis=0), (sums**2).sum(axis=0), confidence)
    return margin(mean_M[first_P] - mean_M[second_P], half_M[first_P] + half_M[second_P])


def mean_and_half(count: Any, total: Floats, squares: Floats, confidence: float) -> tuple[Floats, Floats]:  # noqa: ANN401 - numbers or an array of them
    """Mean and half width of its normal interval, from count, sum and sum of squares; infinite from one value."""
    count = np.asarray(count, dtype=float)
    mean = total / np.where(count > 0, count, np.nan)
    variance = np.maximum(squares - count * mean**2, 0) / np.where(count > 1, count - 1, np.nan)
    half = ndtri((1 + confidence) / 2) * np.sqrt(variance / count)
    return mean, np.where(np.isnan(half), np.inf, half)


def margin(distance: Floats, halves: Floats) -> Floats:
    """Distance over half widths; none where the distance is none, infinite where only the half widths are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(distance) < _NOTHING, 0.0, np.nan_to_num(distance / halves, nan=0.0, posinf=np.inf))


def discrimination(points_QM: Floats, weight_RM: Floats) -> Floats:
    """Corrected item-total correlations over models with weights, shape (R, Q); NaN where one side does not vary."""
    there_QM = ~np.isnan(points_QM)
    there = there_QM.astype(float)
    known_QM = np.where(there_QM, points_QM, 0.0)
    others_QM = there.sum(axis=0) - there
    rest_QM = (known_QM.sum(axis=0) - known_QM) / np.where(others_QM > 0, others_QM, np.nan)
    usable_QM = there_QM & (others_QM > 0)
    x_QM, y_QM = (_centred(values, usable_QM) for values in (points_QM, rest_QM))
    weight = weight_RM @ usable_QM.T.astype(float)
    weight = np.where(weight > 0, weight, np.nan)
    x, y, xx, yy, xy = (weight_RM @ values.T / weight for values in (x_QM, y_QM, x_QM**2, y_QM**2, x_QM * y_QM))
    own, rest = xx - x**2, yy - y**2
    spread = np.sqrt(np.where((own > _NOTHING) & (rest > _NOTHING), own * rest, np.nan))
    return np.clip((xy - x * y) / spread, -1, 1)


def information(points_QM: Floats, weight_RM: Floats, confidence: float) -> Floats:
    """Information over models with weights, shape (R, Q); NaN where no pair is separated."""
    first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
    whole_P = margins(points_QM, confidence)
    keep_P = (np.abs(whole_P) > 1) & np.isfinite(whole_P)
    first_P, second_P, whole_P = first_P[keep_P], second_P[keep_P], whole_P[keep_P]
    pair_RP = weight_RM[:, first_P] * weight_RM[:, second_P]
    total_R = pair_RP.sum(axis=1, keepdims=True)
    there_QM = ~np.isnan(points_QM)
    known_QM = np.where(there_QM, points_QM, 0.0)
    sums = (there_QM.astype(float), known_QM, known_QM**2)
    mean_QM, half_QM = mean_and_half(*(one.sum(axis=0) - one for one in sums), confidence)
    step = max(1, _CELLS // max(1, len(whole_P)))
    found = []
    for start in range(0, len(points_QM), step):
        mean, half = mean_QM[start : start + step], half_QM[start : start + step]
        without = margin(mean[:, first_P] - mean[:, second_P], half[:, first_P] + half[:, second_P])
        found.append(pair_RP @ (1 - without / whole_P).T)
    return 2 * len(points_QM) * np.hstack(found) / np.where(total_R > 0, total_R, np.nan)


def wilson(share: float, count: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a share of `count`."""
    z = float(ndtri((1 + confidence) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


class _Found(NamedTuple):
    discrimination_RQ: Floats
    information_RQ: Floats
    constant_Q: Floats


def _centred(values_QM: Floats, there_QM: NDArray[np.bool_]) -> Floats:
    """Values less their mean over models, so that sums of squares lose no digits; zero where there is none."""
    count_Q = np.maximum(there_QM.sum(axis=1, keepdims=True), 1)
    known_QM = np.where(there_QM, values_QM, 0.0)
    return np.where(there_QM, known_QM - known_QM.sum(axis=1, keepdims=True) / count_Q, 0.0)


def _constant(points_QM: Floats) -> Floats:
    """The share of models with the points of the median."""
    same_QM = np.abs(points_QM - np.nanquantile(points_QM, 0.5, axis=1, keepdims=True, method="lower")) < 1e-9  # noqa: PLR2004 - rounding
    return same_QM.sum(axis=1) / (~np.isnan(points_QM)).sum(axis=1)


def _line(table: Items, found: _Found, question: int, config: ValueConfig) -> QuestionValue:
    there = ~np.isnan(table.points_QM[question])
    flips, pairs = table.flips_Q[question], table.pairs_Q[question]
    constant = float(found.constant_Q[question])
    discriminates = _signed(found.discrimination_RQ[:, question], config.confidence)
    informs = _free(found.information_RQ[:, question], config.confidence)
    flipped = (None,) * 3 if not pairs else (flips / pairs, *wilson(flips / pairs, pairs, config.confidence))
    low, high = wilson(constant, int(there.sum()), config.confidence)
    parts = {"discrimination": discriminates, "information": informs, "flips": flipped}
    named = {
        f"{name}{end}": number
        for name, numbers in parts.items()
        for end, number in zip(("", "_lower", "_upper"), numbers, strict=True)
    }
    return QuestionValue(
        question_id=table.questions[question],
        category=table.category_Q[question],
        models=int(there.sum()),
        points=float(table.points_QM[question, there].mean()),
        constant=constant,
        constant_lower=low,
        constant_upper=high,
        near_constant=constant >= config.constant_from,
        **named,
    )


def _signed(values_R: Floats, confidence: float) -> tuple[float | None, float | None, float | None]:
    """A correlation, in the first round, and its interval from the others."""
    return _numbers(values_R[0], *recentred(float(values_R[0]), values_R[1:], confidence, signed=True))


def _free(values_R: Floats, confidence: float) -> tuple[float | None, float | None, float | None]:
    """The same for a number without bounds: its rounds moved to it."""
    drawn_R = values_R[1:][~np.isnan(values_R[1:])]
    if np.isnan(values_R[0]) or not len(drawn_R):
        return None, None, None
    ends_2 = np.quantile(drawn_R - drawn_R.mean(), [(1 - confidence) / 2, (1 + confidence) / 2])
    return _numbers(values_R[0], *(values_R[0] + ends_2))


def _numbers(*values: float) -> tuple[float | None, float | None, float | None]:
    first, low, high = (None if np.isnan(number) else float(number) for number in values)
    return first, low, high


def _warnings(table: Items, apart_P: NDArray[np.bool_]) -> list[str]:
    said = gaps(table)
    if not apart_P.any():
        said.append("no two models are separated: information is not defined")
    return said
