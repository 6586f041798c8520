"""How sure a law is: refits on noise like that of the runs, and bands that hold for all mixtures at once.

Each round gives every run the residual of a run that is drawn, left out: e / (1 - h), of all domains together, since
they were measured on one model (the bootstrap of residuals, Efron, 1979); ridges and floors are then chosen anew. Seeds
of one mixture say how large chance is at least: where the residuals are smaller, they are scaled up to that. Standard
errors are those of few runs, so their multiples are Student's.

The best mixture is chosen after looking, so an interval for it alone would be too narrow. Bands are taken from the
largest deviation over all mixtures looked at, in standard errors: they hold for whichever is chosen. What they do
not hold is that the form of the law is right; runs of the predicted best are there for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palaestra.posttrain.mixture.law import LOGARITHMS, Law, Ridge, Runs, value_of
from palaestra.posttrain.mixture.simplex import Floats

_SURE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Rounds:
    """Laws of the rounds, which share all but their coefficients."""

    law: Law
    constant_BS: Floats
    slope_BFS: Floats
    floor_BS: Floats
    freedom: float
    """Runs less coefficients, as far as the ridge lets them go."""

    def predict(self, weight_ND: Floats, tokens: Floats | float) -> Floats:
        """What each round foretells, shape (B, N, S)."""
        feature_NF = self.law.features.matrix(weight_ND, tokens)
        linear_BNS = np.einsum("nf,bfs->bns", feature_NF, self.slope_BFS, optimize=True) + self.constant_BS[:, None]
        return value_of(self.law.name, linear_BNS, self.floor_BS[:, None])


def noise_floor(runs: Runs, value_RS: Floats) -> Floats:
    """How much a value changes with the seed alone: the standard deviation within mixtures, pooled, shape (S,).

    Nought where no mixture has two seeds.
    """
    group_R = runs.group_R()
    squares_S, freedom = np.zeros(value_RS.shape[1]), 0
    for group in np.unique(group_R):
        same_RS = value_RS[group_R == group]
        squares_S += ((same_RS - same_RS.mean(axis=0)) ** 2).sum(axis=0)
        freedom += len(same_RS) - 1
    return np.sqrt(squares_S / freedom) if freedom else squares_S


def refits(law: Law, runs: Runs, *, rounds: int, seed: int) -> Rounds:
    """Refit the law on noise like that of the runs, ridges and floors chosen anew.

    Args:
        law: fitted to these runs.
        runs: them.
        rounds: how many.
        seed: of what is drawn.
    """
    feature_RF = law.features.matrix(runs.weight_RD, runs.tokens_R)
    ridge = Ridge(feature_RF, runs.group_R())
    target_RS, fitted_RS = law.linear(runs.value_RS), feature_RF @ law.slope_FS + law.constant_S
    leverage_RS = ridge.leverage_RN(law.ridge_S)
    residual_RS = _inflated((target_RS - fitted_RS) / (1 - leverage_RS.clip(max=_SURE)), noise_floor(runs, target_RS))
    drawn_BR = np.random.default_rng(seed).integers(len(feature_RF), size=(rounds, len(feature_RF)))
    fits = []
    for place, residual_R in enumerate(residual_RS.T):
        linear_RB = fitted_RS[:, [place]] + residual_R[drawn_BR].T
        value_RB = value_of(law.name, linear_RB, law.floor_S[place])
        fits.append(ridge.fit(value_RB, logarithms=law.name in LOGARITHMS))
    return Rounds(
        law,
        np.stack([fit.constant_N for fit in fits], axis=1),
        np.stack([fit.slope_FN.T for fit in fits], axis=2),
        np.stack([fit.floor_N for fit in fits], axis=1),
        max(float(len(feature_RF) - leverage_RS.sum(axis=0).max()), 1.0),
    )


def _inflated(residual_RS: Floats, floor_S: Floats) -> Floats:
    """Residuals about nought, at least of the size of the noise floor."""
    residual_RS = residual_RS - residual_RS.mean(axis=0)
    size_S = np.sqrt(np.mean(residual_RS**2, axis=0))
    return residual_RS * np.maximum(floor_S / np.where(size_S > 0, size_S, np.inf), 1.0)


@dataclass(frozen=True, slots=True)
class Band:
    """Intervals that hold for all entries at once."""

    value: Floats
    lower: Floats
    upper: Floats


def band(value: Floats, round_B: Floats, confidence: float, freedom: float) -> Band:
    """Value plus and minus so many standard errors that the largest deviation of a round stays within them.

    Args:
        value: of any shape.
        round_B: the same in each round, shape (B, ...).
        confidence: the share of rounds.
        freedom: degrees of freedom of the standard errors.
    """
    from scipy.stats import norm, t

    error = np.sqrt(((round_B - value) ** 2).mean(axis=0))
    deviation_B = np.abs(round_B - value) / np.where(error > 0, error, np.inf)
    most = np.quantile(deviation_B.reshape(len(round_B), -1).max(axis=1), confidence)
    reach = float(t.isf(norm.sf(most), freedom)) * error
    return Band(value, value - reach, value + reach)
