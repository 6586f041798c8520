"""Foretold held against measured: the law on left-out mixtures, and the predicted best on runs of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palaestra.posttrain.mixture.best import Best, Interval, Target
from palaestra.posttrain.mixture.law import Law, Runs
from palaestra.posttrain.mixture.simplex import Floats, uniform

_ROUNDS = 1000
_FEW = 2


@dataclass(frozen=True, slots=True)
class Checks:
    """How well the law foretold. All of the target, in the units of scores."""

    foretold_R: Floats
    """Of each run, its mixture left out."""
    measured_R: Floats
    spearman: Interval
    """Between the two, over runs."""
    error: float
    """The root mean square of their difference."""
    noise: float
    """How much the target changes with the seed alone; nought where no mixture has two."""
    best_measured: Interval | None
    """The predicted best, mean over its seeds; None where it was not run."""
    best_error: float | None
    """Measured less foretold, of the predicted best."""
    gain_measured: Interval | None
    """How much better than all domains alike it was, by Welch's t; None with fewer than two seeds of either."""


def checks(
    law: Law, runs: Runs, target: Target, best: Best, best_KS: Floats, *, confidence: float, seed: int
) -> Checks:
    """Hold what was foretold against what was measured.

    Args:
        law: the chosen one.
        runs: what it was fitted to.
        target: what is looked at.
        best: the predicted best.
        best_KS: what its runs scored; perhaps none.
        confidence: of intervals.
        seed: of the resampling.
    """
    from palaestra.posttrain.mixture.spread import noise_floor

    foretold_R, measured_R = target.value(law.held_out_RS), target.value(runs.value_RS)
    best_K = target.value(best_KS)
    level = _mean(best_K, confidence) if len(best_K) else None
    whole_R = runs.tokens_R == runs.tokens_R.max()
    centre_R = whole_R & (np.abs(runs.weight_RD - uniform(len(runs.domains))) < 1e-9).all(axis=1)  # noqa: PLR2004
    return Checks(
        foretold_R, measured_R, _spearman(foretold_R, measured_R, confidence, seed),
        float(np.sqrt(np.mean((foretold_R - measured_R) ** 2))),
        float(noise_floor(runs, measured_R[:, None])[0]), level,
        None if level is None else level.value - best.target.value,
        _difference(target.sign * best_K, target.sign * measured_R[centre_R], confidence),
    )  # fmt: skip


def _spearman(one_R: Floats, other_R: Floats, confidence: float, seed: int) -> Interval:
    """Spearman's rank correlation, with an interval over runs drawn with replacement; nought where one is constant."""
    from scipy.stats import rankdata

    def of(place_R: np.ndarray) -> float:
        first_R, second_R = rankdata(one_R[place_R]), rankdata(other_R[place_R])
        if not first_R.std() or not second_R.std():
            return 0.0
        return float(np.corrcoef(first_R, second_R)[0, 1])

    drawn = np.random.default_rng(seed).integers(len(one_R), size=(_ROUNDS, len(one_R)))
    low, high = np.quantile([of(place_R) for place_R in drawn], [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(of(np.arange(len(one_R))), float(low), float(high))


def _mean(value_K: Floats, confidence: float) -> Interval:
    """A mean with Student's interval; one value has none."""
    from scipy.stats import t

    mean = float(value_K.mean())
    if len(value_K) < _FEW:
        return Interval(mean, -np.inf, np.inf)
    reach = float(t.ppf((1 + confidence) / 2, len(value_K) - 1) * value_K.std(ddof=1) / np.sqrt(len(value_K)))
    return Interval(mean, mean - reach, mean + reach)


def _difference(one_K: Floats, other_K: Floats, confidence: float) -> Interval | None:
    """The difference of two means (Welch, 1947)."""
    from scipy.stats import ttest_ind

    if min(len(one_K), len(other_K)) < _FEW:
        return None
    found = ttest_ind(one_K, other_K, equal_var=False).confidence_interval(confidence)
    return Interval(float(one_K.mean() - other_K.mean()), float(found.low), float(found.high))
