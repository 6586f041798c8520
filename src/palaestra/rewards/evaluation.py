"""What a reward is worth: how often it prefers what people preferred, and what style has to do with that.

All figures are over pairs of replies of which one is better; level pairs are left out, and counted. A pair whose
rewards are equal is half right. The pairs of one ranking together count one, times its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from palaestra.rewards.calibration import Calibration, Figure, calibrate
from palaestra.rewards.comparisons import FIRST, LEVEL, Comparisons, Floats
from palaestra.rewards.cross_fit import CrossFit
from palaestra.rewards.ensemble import StyleEffect
from palaestra.rewards.likelihood import Law, chance, left_out
from palaestra.schema import Preference
from palaestra.stats import clustered

_FEWEST = 20
"""Pairs that a part of the data needs, to be shown by itself."""


class Part(BaseModel):
    """Accuracy in a part of the data."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """category, language or source."""
    name: str
    accuracy: Figure


class StyleReport(BaseModel):
    """What style has to do with a reward."""

    model_config = ConfigDict(frozen=True)

    effects: tuple[StyleEffect, ...]
    absent: tuple[str, ...]
    """Columns in which replies hardly ever differ, or that follow from the others."""
    length_correlation: Figure | None
    """Of differences of the score with differences of log length; as the reward is given."""
    length_correlation_whole: Figure | None
    """The same with all of style in the score."""
    accuracy_whole: Figure
    """With all of style in the score."""
    accuracy_bare: Figure
    """With nothing of style in it."""
    cost: Figure
    """Accuracy with all of style less accuracy as the reward is given."""


class Evaluation(BaseModel):
    """A reward on prompts that it was not trained on."""

    model_config = ConfigDict(frozen=True)

    preferences: int
    prompts: int
    pairs: int
    level_pairs: int
    unused_pairs: int
    """Level pairs of which the loss learns nothing."""
    law: Law
    ridge: float | None
    """None is an infinite one: style alone."""
    ridges: tuple[tuple[float | None, float], ...]
    """Each ridge that was tried, and its held-out log loss."""
    accuracy: Figure
    accuracy_style_alone: Figure
    accuracy_longer: Figure
    """Of whoever always takes the longer reply."""
    gain_on_style_alone: Figure
    calibration: Calibration
    style: StyleReport
    parts: tuple[Part, ...]


class Judged:
    """Decided pairs, and what rewards say of them."""

    def __init__(self, comparisons: Comparisons, confidence: float) -> None:
        self._at_B = np.flatnonzero((comparisons.outcome_B != LEVEL) & (comparisons.weight_B > 0))
        self.confidence = confidence
        self.first_B, self.second_B = comparisons.first_B[self._at_B], comparisons.second_B[self._at_B]
        self.won_B: NDArray[np.bool_] = comparisons.outcome_B[self._at_B] == FIRST
        self.of_B = comparisons.of_B[self._at_B]
        self.cluster_B = comparisons.cluster_Q[self.of_B]
        self.weight_B = comparisons.weight_Q[self.of_B] / np.bincount(self.of_B)[self.of_B]

    def differences(self, reward_N: Floats) -> Floats:
        """How much higher the first is."""
        return reward_N[self.first_B] - reward_N[self.second_B]

    def hits(self, reward_N: Floats) -> Floats:
        """1 where the better one has the higher reward, 1/2 where they are equal."""
        d_B = self.differences(reward_N)
        return np.where(d_B == 0, 0.5, (d_B > 0) == self.won_B)

    def mean(self, value_B: Floats, among_B: NDArray[np.bool_] | None = None) -> Figure:
        """The mean over pairs, or over some of them."""
        at = slice(None) if among_B is None else among_B
        return Figure.of(clustered.mean(value_B[at], self.cluster_B[at], self.confidence, self.weight_B[at]))

    def accuracy(self, reward_N: Floats, among_B: NDArray[np.bool_] | None = None) -> Figure:
        """How often the better reply has the higher reward: Wilson's interval where all pairs count the same."""
        hit_B = self.hits(reward_N)
        at = np.ones(len(hit_B), dtype=bool) if among_B is None else among_B
        if np.ptp(self.weight_B[at]) < 1e-12 and not (hit_B[at] == 0.5).any():  # noqa: PLR2004 - equal weights, no halves
            return Figure.of(clustered.share(hit_B[at] == 1, self.cluster_B[at], self.confidence))
        return self.mean(hit_B, at)

    def correlation(self, reward_N: Floats, other_N: Floats) -> Figure | None:
        """The correlation of differences, from whichever side they are looked at; None where one has none."""
        d_B, e_B = self.differences(reward_N), self.differences(other_N)
        place_B, clusters = clustered.numbered(self.cluster_B)
        sums_GK: Floats = np.stack(
            [np.bincount(place_B, self.weight_B * part_B, clusters) for part_B in (d_B * e_B, d_B**2, e_B**2)], axis=1
        ).astype(np.float64)
        if not (sums_GK.sum(axis=0)[1:] > 0).all():
            return None

        def ratio(sums_NK: Floats) -> Floats:
            return sums_NK[:, 0] / np.sqrt(np.maximum(sums_NK[:, 1] * sums_NK[:, 2], 1e-300))

        return Figure.of(clustered.jackknife(sums_GK, ratio, len(d_B), self.confidence))

    def parts(self, reward_N: Floats, preferences: Sequence[Preference]) -> tuple[Part, ...]:
        """Accuracy by category, language and source, where there are two or more with enough pairs."""
        found: list[Part] = []
        for kind, of in _PARTS.items():
            named_B = np.array([of(preferences[place]) or "" for place in self.of_B])
            names = [name for name in np.unique(named_B) if name and (named_B == name).sum() >= _FEWEST]
            if len(names) > 1:
                found += [
                    Part(kind=kind, name=str(name), accuracy=self.accuracy(reward_N, named_B == name)) for name in names
                ]
        return tuple(found)


_PARTS: dict[str, Callable[[Preference], str | None]] = {
    "category": lambda one: one.category,
    "language": lambda one: one.language,
    "source": lambda one: one.source,
}


def evaluate(
    crossed: CrossFit,
    preferences: Sequence[Preference],
    comparisons: Comparisons,
    *,
    law: Law,
    log_length_N: Floats,
    effects: tuple[StyleEffect, ...],
    absent: tuple[str, ...],
    confidence: float,
) -> Evaluation:
    """All figures of a trained head, on the prompts that each fold's model has not seen."""
    judged = Judged(comparisons, confidence)
    hits = {name: judged.hits(getattr(crossed, name)) for name in ("reward_N", "whole_N", "style_N")}
    shape_B = crossed.shape_Q[judged.of_B]
    chance_B = chance(law, judged.differences(crossed.reward_N), shape_B)
    style = StyleReport(
        effects=effects,
        absent=absent,
        length_correlation=judged.correlation(crossed.reward_N, log_length_N),
        length_correlation_whole=judged.correlation(crossed.whole_N, log_length_N),
        accuracy_whole=judged.accuracy(crossed.whole_N),
        accuracy_bare=judged.accuracy(crossed.bare_N),
        cost=judged.mean(hits["whole_N"] - hits["reward_N"]),
    )
    return Evaluation(
        preferences=len(preferences),
        prompts=comparisons.clusters,
        pairs=len(judged.first_B),
        level_pairs=int((comparisons.outcome_B == LEVEL).sum()),
        unused_pairs=left_out(law, comparisons),
        law=law,
        ridge=_finite(crossed.ridge),
        ridges=tuple(
            (_finite(float(ridge)), float(loss)) for ridge, loss in zip(crossed.ridge_R, crossed.loss_R, strict=True)
        ),
        accuracy=judged.accuracy(crossed.reward_N),
        accuracy_style_alone=judged.accuracy(crossed.style_N),
        accuracy_longer=judged.accuracy(log_length_N),
        gain_on_style_alone=judged.mean(hits["reward_N"] - hits["style_N"]),
        calibration=calibrate(chance_B, judged.won_B, judged.cluster_B, judged.weight_B, confidence=confidence),
        style=style,
        parts=judged.parts(crossed.reward_N, preferences),
    )


def _finite(ridge: float) -> float | None:
    return ridge if np.isfinite(ridge) else None
