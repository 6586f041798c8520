"""Whether chances hold: of pairs to which a reward gives 70 %, do 70 % go that way?

    log loss      minus the mean logarithm of the chance that was given to what happened
    Brier score   the mean squared gap between chance and what happened                         Brier (1950)
    slope         what differences would have to be multiplied by to be log-odds; 1 holds, below 1 is too sure
                  (Cox, 1958). One over it is the temperature of Guo et al. (2017)
    reliability   pairs in classes by the chance of the one that is held to be better, and the share that went its way

A pair has no first side by nature, so that every pair is looked at from the side that is held to be better. Level pairs
are left out. Intervals let pairs of one prompt depend on each other (`stats/clustered.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import brentq
from scipy.special import expit, logit

from palaestra.rewards.comparisons import Floats, Integers
from palaestra.stats import clustered

_EDGE = 1e-12
_STEEP = 1e4


class Figure(BaseModel):
    """A number with its interval, which is not there where a single prompt stands behind it."""

    model_config = ConfigDict(frozen=True)

    value: float
    lower: float | None = None
    upper: float | None = None
    rows: int
    prompts: int

    @classmethod
    def of(cls, found: clustered.Estimate) -> Figure:
        """The same, of an estimate."""
        return cls(value=found.value, lower=found.lower, upper=found.upper, rows=found.rows, prompts=found.clusters)

    def words(self, factor: float = 1.0, digits: int = 3) -> str:
        """As `0.631 (0.611 to 0.651)`."""
        value = f"{factor * self.value:.{digits}f}"
        if self.lower is None or self.upper is None:
            return value
        return f"{value} ({factor * self.lower:.{digits}f} to {factor * self.upper:.{digits}f})"


class ReliabilityClass(BaseModel):
    """Pairs with about the same chance."""

    model_config = ConfigDict(frozen=True)

    chance: float
    """The mean chance of the side that is held to be better."""
    share: Figure
    """How often that side was preferred."""


class Calibration(BaseModel):
    """How well chances hold."""

    model_config = ConfigDict(frozen=True)

    log_loss: Figure
    brier: Figure
    slope: Figure | None
    """None where the pairs are told apart without a fault, or not at all."""
    expected_error: float
    """The mean gap between chance and share over the classes."""
    classes: tuple[ReliabilityClass, ...]


def calibrate(
    chance_B: Floats,
    won_B: NDArray[np.bool_],
    cluster_B: Integers,
    weight_B: Floats,
    *,
    confidence: float,
    classes: int = 8,
) -> Calibration:
    """Measure chances against what happened.

    Args:
        chance_B: of the first, given that the two are not level.
        won_B: whether the first was preferred.
        cluster_B: the prompt of each pair.
        weight_B: what each counts.
        confidence: of the intervals.
        classes: of the reliability table, about equally large.
    """
    chance_B = np.clip(chance_B, _EDGE, 1 - _EDGE)
    loss_B = -np.log(np.where(won_B, chance_B, 1 - chance_B))
    rows = _classes(chance_B, won_B, cluster_B, confidence, classes)
    return Calibration(
        log_loss=Figure.of(clustered.mean(loss_B, cluster_B, confidence, weight_B)),
        brier=Figure.of(clustered.mean((chance_B - won_B) ** 2, cluster_B, confidence, weight_B)),
        slope=_slope(np.where(won_B, 1, -1) * logit(chance_B), cluster_B, weight_B, confidence),
        expected_error=_gap(rows),
        classes=rows,
    )


def _slope(toward_B: Floats, cluster_B: Integers, weight_B: Floats, confidence: float) -> Figure | None:
    """The factor that maximises the likelihood, with the interval of an M-estimate in clusters."""

    def score(factor: float) -> float:
        return float(weight_B @ (toward_B * expit(-factor * toward_B)))

    if not (toward_B > 0).any() or not (toward_B < 0).any() or score(-_STEEP) <= 0 or score(_STEEP) >= 0:
        return None
    factor = float(brentq(score, -_STEEP, _STEEP, xtol=1e-10))
    over_B = expit(-factor * toward_B)
    information = float(weight_B @ (toward_B**2 * over_B * (1 - over_B)))
    place_B, clusters = clustered.numbered(cluster_B)
    sums_G = np.bincount(place_B, weight_B * toward_B * over_B, clusters)
    se = float(np.sqrt(clusters / max(clusters - 1, 1) * float(sums_G @ sums_G))) / information
    return Figure.of(clustered.around(factor, se, len(toward_B), clusters, confidence))


def _classes(
    chance_B: Floats, won_B: NDArray[np.bool_], cluster_B: Integers, confidence: float, classes: int
) -> tuple[ReliabilityClass, ...]:
    sure_B = np.maximum(chance_B, 1 - chance_B)
    right_B = won_B == (chance_B > 0.5)  # noqa: PLR2004 - even
    told_B = np.flatnonzero(chance_B != 0.5)  # noqa: PLR2004 - no side is held to be better
    order_B = told_B[np.argsort(sure_B[told_B], kind="stable")]
    return tuple(
        ReliabilityClass(
            chance=float(sure_B[these].mean()),
            share=Figure.of(clustered.share(right_B[these], cluster_B[these], confidence)),
        )
        for these in np.array_split(order_B, min(classes, len(order_B)) or 1)
        if len(these)
    )


def _gap(classes: Sequence[ReliabilityClass]) -> float:
    rows = sum(one.share.rows for one in classes)
    return sum(one.share.rows * abs(one.share.value - one.chance) for one in classes) / rows if rows else 0.0
