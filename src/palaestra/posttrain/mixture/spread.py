"""How sure a law is: refits on noise like that of the runs, and bands that hold for all mixtures at once.

Each round gives every run its left-out residual, e / (1 - h), with a sign of chance (the wild bootstrap of Wu, 1986, with the
residuals that MacKinnon and White, 1985, call HC3), the same sign in all domains, since they were measured on one
model. Seeds of one mixture say how large chance is at least: where the residuals are smaller, they are scaled up to that.

The best mixture is chosen after looking, so an interval for it alone would be too narrow. Bands are taken from the
largest deviation over all mixtures looked at, in standard errors: they hold for whichever is chosen. What they do
not hold is that the form of the law is right; runs of the predicted best are there for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palaestra.posttrain.mixture.law import Law, Runs
from palaestra.posttrain.mixture.simplex import Floats

_SURE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Rounds:
    """Laws of the rounds, which share all but their coefficients."""

    law: Law
    constant_BS: Floats
    slope_BFS: Floats

    def predict(self, weight_ND: Floats, tokens: Floats | float) -> Floats:
        """What each round foretells, shape (B, N, S)."""
        feature_NF = self.law.features.matrix(weight_ND, tokens)
        return self.law.value(np.einsum("nf,bfs->bns", feature_NF, self.slope_BFS, optimize=True) + self.constant_BS[:, None])


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


def seeds_freedom(runs: Runs) -> int:
    """Degrees of freedom of the noise floor."""
    group_R = runs.group_R()
    return len(group_R) - len(np.unique(group_R))


def refits(law: Law, runs: Runs, *, rounds: int, seed: int) -> Rounds:
    """Refit the law on noise like that of the runs.

    Args:
        law: fitted to these runs.
        runs: them.
        rounds: how many.
        seed: of the signs.
    """
    feature_RF = law.features.matrix(runs.weight_RD, runs.tokens_R)
    target_RS, centre_RF = law.linear(runs.value_RS), feature_RF - feature_RF.mean(axis=0)
    floor_S = noise_floor(runs, target_RS)
    sign_BR = np.random.default_rng(seed).choice([-1.0, 1.0], size=(rounds, len(feature_RF)))
    constants, slopes = [], []
    for place in range(target_RS.shape[1]):
        map_FR, hat_R = _linear_map(centre_RF, float(law.ridge_S[place]))
        fitted_R = feature_RF @ law.slope_FS[:, place] + law.constant_S[place]
        residual_R = _inflated(target_RS[:, place] - fitted_R, hat_R, float(floor_S[place]))
        change_BR = sign_BR * residual_R
        slope_BF = law.slope_FS[:, place] + change_BR @ map_FR.T
        slopes.append(slope_BF)
        constants.append(target_RS[:, place].mean() + change_BR.mean(axis=1) - slope_BF @ feature_RF.mean(axis=0))
    return Rounds(law, np.stack(constants, axis=1), np.stack(slopes, axis=2))


def _linear_map(centre_RF: Floats, ridge: float) -> tuple[Floats, Floats]:
    """What maps targets to slopes, shape (F, R), and the leverage of each run."""
    left_RK, size_K, right_KF = np.linalg.svd(centre_RF, full_matrices=False)
    penalty = ridge * len(centre_RF)
    map_FR = (right_KF.T * (size_K / (size_K**2 + penalty))) @ left_RK.T
    hat_R = 1 / len(centre_RF) + (left_RK**2 * (size_K**2 / (size_K**2 + penalty))).sum(axis=1)
    return map_FR, hat_R


def _inflated(error_R: Floats, hat_R: Floats, floor: float) -> Floats:
    residual_R = error_R / (1 - np.minimum(hat_R, _SURE))
    size = float(np.sqrt(np.mean(residual_R**2)))
    if size >= floor:
        return residual_R
    return residual_R * (floor / size) if size > 0 else np.full_like(residual_R, floor)


@dataclass(frozen=True, slots=True)
class Band:
    """Intervals that hold for all entries at once."""

    value: Floats
    lower: Floats
    upper: Floats


def band(value: Floats, round_B: Floats, confidence: float) -> Band:
    """Value plus and minus so many standard errors that the largest deviation of a round stays within them.

    Args:
        value: of any shape.
        round_B: the same in each round, shape (B, ...).
        confidence: the share of rounds.
    """
    error = np.sqrt(((round_B - value) ** 2).mean(axis=0))
    deviation_B = np.abs(round_B - value) / np.where(error > 0, error, np.inf)
    most_B = deviation_B.reshape(len(round_B), -1).max(axis=1)
    reach = float(np.quantile(most_B, confidence)) * error
    return Band(value, value - reach, value + reach)


