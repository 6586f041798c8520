"""Prediction-powered Bradley-Terry ratings: people's votes on a few comparisons, a judge's verdicts on many.

The loss of a comparison with points t for its first model (a tie is one half) is l(t) = log(1 + e^d) - t d, d the
difference of the two strengths (Bradley and Terry, 1952). Minimised is, as PPI++ does for any M-estimator
(Angelopoulos, Duchi and Zrnic, 2023),

    mean over the labelled of l(y) - w l(f), + w times the mean over the others of l(f)

which is convex for 0 <= w <= 1. The covariance is the sandwich H⁻¹ V H⁻¹, V the sum over clusters of the squared sums
of slopes, each sample's about its own mean. The weight w has the least mean variance of all strengths (the trace).
Strengths have mean zero. Not here: means (`ppi.py`), other models of ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from palaestra.judge.ppi import numbering, tuned
from palaestra.stats.clustered import quantile
from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

_MOST_STEPS = 60
_FARTHEST = 25.0
"""Strengths beyond this have no finite maximum behind them: odds of 1e10."""
_TUNING_ROUNDS = 2
_SINGULAR = 1e-10
_MOST_PULL = 0.5


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Comparisons of numbered models with points of the first; shape (B,)."""

    first_B: Integers
    second_B: Integers
    points_B: Floats

    def __len__(self) -> int:
        """Their number B."""
        return len(self.points_B)

    def said(self, points_B: Floats) -> Comparisons:
        """The same comparisons with other points."""
        return Comparisons(self.first_B, self.second_B, points_B)

    def and_(self, more: Comparisons) -> Comparisons:
        """These and more of them."""
        return Comparisons(
            np.concatenate([self.first_B, more.first_B]),
            np.concatenate([self.second_B, more.second_B]),
            np.concatenate([self.points_B, more.points_B]),
        )


@dataclass(frozen=True, slots=True)
class Strengths:
    """Strengths in log odds with mean zero, their covariance and intervals, and the judge's weight in them."""

    theta_M: Floats
    covariance_MM: Floats
    half_M: Floats
    """Half the width of each interval."""
    weight: float


def people_strengths(
    models: int, votes: Comparisons, confidence: float, cluster_B: Integers | None = None
) -> Strengths | None:
    """By people alone, or by any rater alone; None where the votes leave some strength without bound."""
    nothing = Comparisons(votes.first_B[:1], votes.second_B[:1], votes.points_B[:1])
    clusters = None if cluster_B is None else (cluster_B, cluster_B[:1])
    return ppi_strengths(models, votes, votes.points_B, nothing, confidence, clusters=clusters, weight=0.0)


def ppi_strengths(
    models: int,
    labelled: Comparisons,
    judged_B: Floats,
    others: Comparisons,
    confidence: float,
    *,
    clusters: tuple[Integers, Integers] | None = None,
    weight: float | None = None,
) -> Strengths | None:
    """Strengths from few votes and many verdicts.

    Args:
        models: their number M.
        labelled: comparisons with the points that people gave.
        judged_B: the judge's points on the same.
        others: comparisons with the judge's points.
        confidence: of the intervals.
        clusters: the cluster of each labelled and of each other, numbered alike; None where all are independent.
        weight: the judge's; None for the best one.

    Returns:
        The strengths; None where the comparisons leave some strength without bound.

    Raises:
        ValueError: fewer than two labelled (or clusters with some), or no others.
    """
    if len(labelled) < 2 or len(others) == 0:  # noqa: PLR2004 - a variance needs two
        raise ValueError(f"found {len(labelled)} labelled and {len(others)} others, expected at least two and one")
    samples = _Samples(models, labelled, labelled.said(judged_B), others, clusters)
    with one_thread():
        at = samples.minimum(0.5 if weight is None else weight)
        if weight is None:
            for _ in range(_TUNING_ROUNDS):
                if at is None:
                    return None
                weight = samples.best_weight(at)
                at = samples.minimum(weight, at.theta_M)
        return None if at is None or weight is None else samples.strengths(at, weight, confidence)


@dataclass(frozen=True, slots=True)
class _Minimum:
    theta_M: Floats
    inverse_MM: Floats


class _Samples:
    """The labelled by people, the labelled by the judge, the others by the judge; and sums over them."""

    def __init__(
        self,
        models: int,
        people: Comparisons,
        judged: Comparisons,
        others: Comparisons,
        clusters: tuple[Integers, Integers] | None,
    ) -> None:
        self._models, self._people, self._judged, self._others = models, people, judged, others
        self._place_n, self._place_o, self._number, self._there = numbering(len(people), len(others), clusters)

    def minimum(self, weight: float, start_M: Floats | None = None) -> _Minimum | None:
        """Newton's method with halved steps; None where there is no finite minimum."""
        parts = ((self._people, 1.0), (self._judged, -weight), (self._others, weight))
        weight_MM, wanted_M = np.zeros((self._models, self._models)), np.zeros(self._models)
        for sample, share in parts:
            np.add.at(weight_MM, (sample.first_B, sample.second_B), share / len(sample))
            gain_B = share / len(sample) * sample.points_B
            np.add.at(wanted_M, sample.first_B, gain_B)
            np.add.at(wanted_M, sample.second_B, -gain_B)
        theta_M = np.zeros(self._models) if start_M is None else start_M
        loss = _loss(theta_M, weight_MM, wanted_M)
        for _ in range(_MOST_STEPS):
            slope_M, inverse_MM = _slope(theta_M, weight_MM, wanted_M), _inverse(theta_M, weight_MM)
            step_M = -inverse_MM @ slope_M
            if not np.isfinite(step_M).all() or np.abs(theta_M).max() > _FARTHEST:
                return None
            if np.abs(step_M).max() < 1e-9:  # noqa: PLR2004 - Newton's error squares itself
                return _Minimum(theta_M, inverse_MM) if _bounded(theta_M, weight_MM) else None
            while (next_loss := _loss(theta_M + step_M, weight_MM, wanted_M)) > loss + 1e-12 * abs(loss):
                step_M = step_M / 2
                if np.abs(step_M).max() < 1e-12:  # noqa: PLR2004 - nothing is left of it
                    break
            theta_M, loss = theta_M + step_M, next_loss
        return None

    def best_weight(self, at: _Minimum) -> float:
        """The weight with the least trace of the covariance."""
        people_GM, judge_GM = self._slopes(at)
        people_GM, judge_GM = people_GM @ at.inverse_MM, judge_GM @ at.inverse_MM
        return tuned(float((people_GM * judge_GM).sum()), float((judge_GM * judge_GM).sum()))

    def strengths(self, at: _Minimum, weight: float, confidence: float) -> Strengths:
        """The strengths with their sandwich."""
        people_GM, judge_GM = self._slopes(at)
        part_GM = (people_GM + weight * judge_GM) @ at.inverse_MM
        covariance_MM = self._there / (self._there - 1) * part_GM.T @ part_GM
        half_M = quantile(self._there, confidence) * np.sqrt(np.diag(covariance_MM))
        return Strengths(at.theta_M, covariance_MM, half_M, weight)

    def _slopes(self, at: _Minimum) -> tuple[Floats, Floats]:
        """What each cluster adds to the slope: by people, and by the judge for a unit of weight; shape (G, M)."""
        people_GM = self._summed(self._people, self._place_n, at)
        judge_GM = self._summed(self._others, self._place_o, at) - self._summed(self._judged, self._place_n, at)
        return people_GM, judge_GM

    @staticmethod
    def _pull(sample: Comparisons, p_B: Floats, at: _Minimum) -> Floats:
        """How much each comparison pulls its own fit towards itself (leverage), at most a half."""
        first_B, second_B, inverse_MM = sample.first_B, sample.second_B, at.inverse_MM
        spread_B = inverse_MM[first_B, first_B] + inverse_MM[second_B, second_B] - 2 * inverse_MM[first_B, second_B]
        return np.minimum(p_B * (1 - p_B) * spread_B / len(sample), _MOST_PULL)

    def _summed(self, sample: Comparisons, place_B: Integers, at: _Minimum) -> Floats:
        """Slopes about their mean, summed by cluster."""
        p_B = expit(at.theta_M[sample.first_B] - at.theta_M[sample.second_B])
        miss_B = (p_B - sample.points_B) / len(sample) / (1 - self._pull(sample, p_B, at))
        sums_GM = np.zeros((self._number, self._models))
        np.add.at(sums_GM, (place_B, sample.first_B), miss_B)
        np.add.at(sums_GM, (place_B, sample.second_B), -miss_B)
        size_G = np.bincount(place_B, minlength=self._number)
        return sums_GM - np.outer(size_G, sums_GM.sum(axis=0) / len(sample))


def _loss(theta_M: Floats, weight_MM: Floats, wanted_M: Floats) -> float:
    d_MM = theta_M[:, None] - theta_M
    return float((weight_MM * np.logaddexp(0.0, d_MM)).sum() - wanted_M @ theta_M)


def _slope(theta_M: Floats, weight_MM: Floats, wanted_M: Floats) -> Floats:
    expected_MM = weight_MM * expit(theta_M[:, None] - theta_M)
    return expected_MM.sum(axis=1) - expected_MM.sum(axis=0) - wanted_M


def _curve(theta_M: Floats, weight_MM: Floats) -> tuple[Floats, float]:
    """The second derivatives, filled along the level of all strengths with a number of their own size, over that."""
    p_MM = expit(theta_M[:, None] - theta_M)
    each_MM = weight_MM * p_MM * (1 - p_MM)
    each_MM = each_MM + each_MM.T
    curve_MM = np.diag(each_MM.sum(axis=1)) - each_MM
    level = max(float(np.trace(curve_MM)) / len(theta_M), np.finfo(float).tiny)
    return curve_MM / level + 1 / len(theta_M), level


def _bounded(theta_M: Floats, weight_MM: Floats) -> bool:
    """Whether comparisons hold all strengths together."""
    return float(np.linalg.eigvalsh(_curve(theta_M, weight_MM)[0])[0]) > _SINGULAR


def _inverse(theta_M: Floats, weight_MM: Floats) -> Floats:
    """The inverse of the second derivatives on strengths of mean zero; not finite where they are singular there."""
    curve_MM, level = _curve(theta_M, weight_MM)
    try:
        return np.asarray(np.linalg.inv(curve_MM) / level - 1 / (len(theta_M) * level), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full_like(curve_MM, np.nan)
