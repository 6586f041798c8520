"""From a mixture to the score of each domain: laws, of which the one that best foretells left-out mixtures is taken.

    constant      s_d = c_d                                           the mixture does not matter
    exponential   log (L_d - floor_d) = c_d + a_d . w                 Ye et al., Data mixing laws (2024); losses only
    linear        s_d = c_d + a_d . w                                 Liu et al., RegMix (2024), by ridge regression
    quadratic     s_d = c_d + a_d . w + w' B_d w
    curved        log (L_d - floor_d) = c_d + a_d . w + w' B_d w      losses only; where one domain alone is far off

With runs of several sizes each has one more term, b_d log N, N being tokens: with the exponential law that is a power
law, L_d = floor_d + exp(c_d + a_d . w) N^b_d. Coefficients are held back by a ridge (the constant is not). Ridge and
floor are chosen for each score by the error on mixtures left out, which has a closed form: of the rows G of a mixture,
(I - H_GG)^-1 e_G. All seeds of a mixture are left out together, else they would foretell each other. A law with more
coefficients is taken only if its error is lower by more than the standard error of that (Breiman et al., 1984).

Not here: how sure the law is (`spread.py`), its best mixture (`best.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.posttrain.mixture.simplex import Floats

Name = Literal["constant", "exponential", "linear", "quadratic", "curved"]
Measure = Literal["loss", "score"]
"""Whether less is better, or more."""

LOGARITHMS = frozenset({"exponential", "curved"})
"""Laws of the logarithm of a loss above a floor."""
_BENT = frozenset({"quadratic", "curved"})
LEAST_MIXTURES = 4
RIDGES = tuple(10.0**power for power in range(-5, 4))
"""Times the number of runs; features are scaled to a mean square of one."""
FLOORS = (0.0, 0.3, 0.5, 0.7, 0.85, 0.95)
"""What of the lowest loss no mixture takes away."""
_CLEARLY = 1.0
"""Standard errors by which a law must be better than a simpler one."""
_NOUGHT = 1e-12
_MOST_LOG = 100.0
"""What is foretold far outside the runs is large, not infinite."""
_FREE = 10.0
"""Tokens are scaled up, so that the ridge hardly holds their exponent back."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What was measured: a row a run."""

    domains: tuple[str, ...]
    scored: tuple[str, ...]
    weight_RD: Floats
    tokens_R: Floats
    value_RS: Floats
    """Losses or scores, by scored domain."""

    def group_R(self) -> NDArray[np.int64]:
        """The number of each run's mixture; seeds of one mixture, at one size, share it."""
        key_RD = np.column_stack([np.round(self.weight_RD, 9), np.log(self.tokens_R)])
        return np.unique(key_RD, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Features:
    """What a law sees of a mixture. Scales do not depend on the order of domains."""

    law: Name
    scales: tuple[float, float]
    tokens: tuple[float, float] | None
    """Mean and spread of log tokens; None where all runs have the same."""

    @classmethod
    def of(cls, runs: Runs, law: Name) -> Self:
        """Scaled to these runs."""
        apart_RD = runs.weight_RD - 1 / runs.weight_RD.shape[1]
        squares_R = (apart_RD**2).sum(axis=1)
        scales = (float(np.sqrt(squares_R.mean())) or 1.0, float(np.sqrt((squares_R**2).mean())) or 1.0)
        log_R = np.log(runs.tokens_R)
        return cls(law, scales, (float(log_R.mean()), float(log_R.std())) if log_R.std() > 0 else None)

    def matrix(self, weight_ND: Floats, tokens_N: Floats | float) -> Floats:
        """Shape (N, F); without a constant."""
        apart_ND = weight_ND - 1 / weight_ND.shape[1]
        parts = [apart_ND / self.scales[0] if self.law != "constant" else np.zeros((len(apart_ND), 1))]
        if self.law in _BENT:
            one, other = np.triu_indices(weight_ND.shape[1])
            twice_F = np.where(one == other, 1.0, np.sqrt(2.0))  # so that the sum of squares is |x|^4
            parts.append(apart_ND[:, one] * apart_ND[:, other] * twice_F / self.scales[1])
        if self.tokens is not None:
            mean, spread = self.tokens
            log_N = np.broadcast_to(np.log(np.asarray(tokens_N, dtype=np.float64)), len(weight_ND))
            parts.append(_FREE * (log_N[:, None] - mean) / spread)
        return np.hstack(parts)


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law: of each scored domain a constant, slopes, and a floor where the law is of logarithms."""

    name: Name
    scored: tuple[str, ...]
    features: Features
    constant_S: Floats
    slope_FS: Floats
    ridge_S: Floats
    floor_S: Floats
    held_out_RS: Floats
    """What it foretells of each run when the run's mixture is left out."""
    error_S: Floats
    """The root mean square of what is wrong with that."""

    def predict(self, weight_ND: Floats, tokens: Floats | float) -> Floats:
        """Values of mixtures, shape (N, S)."""
        linear_NS = self.features.matrix(weight_ND, tokens) @ self.slope_FS + self.constant_S
        return value_of(self.name, linear_NS, self.floor_S)

    def linear(self, value_RS: Floats) -> Floats:
        """To the scale on which the law is linear."""
        return np.log(value_RS - self.floor_S) if self.name in LOGARITHMS else value_RS


def value_of(name: Name, linear: Floats, floor: Floats) -> Floats:
    """From the scale on which a law is linear to losses or scores."""
    return floor + np.exp(np.minimum(linear, _MOST_LOG)) if name in LOGARITHMS else linear


def fit_laws(runs: Runs, measure: Measure) -> tuple[Law, ...]:
    """Every law that these runs allow, the chosen one first.

    Raises:
        InputError: there are too few mixtures.
    """
    mixtures = len(np.unique(runs.group_R()))
    if mixtures < LEAST_MIXTURES:
        raise InputError(f"found {mixtures} different mixtures with scores, expected at least {LEAST_MIXTURES}")
    logarithms = measure == "loss" and bool((runs.value_RS > 0).all())

    def fitted(*names: Name) -> list[Law]:
        """The one with the least error first."""
        laws = [fit_law(runs, name) for name in names if logarithms or name not in LOGARITHMS]
        return sorted(laws, key=lambda law: _error_R(law, runs).mean())

    laws = [
        *fitted("constant"),
        *(straight := fitted("exponential", "linear")),
        *(bent := fitted("quadratic", "curved")),
    ]
    chosen = laws[0]
    for law in (straight[0], bent[0]):
        chosen = law if _clearly_better(law, chosen, runs) else chosen
    return tuple(sorted(laws, key=lambda law: law is not chosen))


def relative_error(law: Law, runs: Runs) -> float:
    """The squared error on left-out mixtures over the variance of the runs, mean over scored domains; 1 is useless."""
    return float(_error_R(law, runs).mean())


def _error_R(law: Law, runs: Runs) -> Floats:
    variance_S = runs.value_RS.var(axis=0)
    return ((law.held_out_RS - runs.value_RS) ** 2 / np.where(variance_S > 0, variance_S, 1.0)).mean(axis=1)


def _clearly_better(law: Law, simpler: Law, runs: Runs) -> bool:
    """Whether the error is lower by more than one standard error, over mixtures."""
    group_R = runs.group_R()
    gain_R = _error_R(simpler, runs) - _error_R(law, runs)
    gain_G = np.bincount(group_R, gain_R) / np.bincount(group_R)
    return bool(gain_G.mean() > _CLEARLY * gain_G.std(ddof=1) / np.sqrt(len(gain_G)))


def fit_law(runs: Runs, name: Name) -> Law:
    """One law, its ridge and floor chosen score by score."""
    features = Features.of(runs, name)
    ridge = Ridge(features.matrix(runs.weight_RD, runs.tokens_R), runs.group_R())
    fit = ridge.fit(runs.value_RS, logarithms=name in LOGARITHMS)
    error_S = np.sqrt(np.mean((fit.held_out_RN - runs.value_RS) ** 2, axis=0))
    return Law(
        name, runs.scored, features, fit.constant_N, fit.slope_FN, fit.ridge_N, fit.floor_N, fit.held_out_RN, error_S
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """Regressions of N targets, each with the ridge and the floor that foretell left-out mixtures best."""

    constant_N: Floats
    slope_FN: Floats
    ridge_N: Floats
    floor_N: Floats
    held_out_RN: Floats


class Ridge:
    """Ridge regressions on one matrix, for many ridges and targets, with closed forms for what is left out.

    Args:
        feature_RF: of each run.
        group_R: the mixture of each run.
    """

    def __init__(self, feature_RF: Floats, group_R: NDArray[np.int64]) -> None:
        self.mean_F = feature_RF.mean(axis=0)
        self.left_RK, self.size_K, self.right_KF = np.linalg.svd(feature_RF - self.mean_F, full_matrices=False)
        penalty_L1 = len(feature_RF) * np.array(RIDGES)[:, None]
        self.kept_LK = self.size_K**2 / (self.size_K**2 + penalty_L1)
        self._held_out_LRR = self._left_out([np.flatnonzero(group_R == group) for group in np.unique(group_R)])

    def _left_out(self, groups: Sequence[NDArray[np.int64]]) -> Floats:
        """For each ridge, what maps targets to what each row is foretold to be by all rows of other mixtures."""
        rows = len(self.left_RK)
        hat_LRR = 1 / rows + (self.left_RK * self.kept_LK[:, None, :]) @ self.left_RK.T
        error_LRR = np.eye(rows) - hat_LRR
        held_LRR = np.empty_like(error_LRR)
        for group in groups:
            left_LGG = np.linalg.pinv(error_LRR[:, group[:, None], group], hermitian=True)
            held_LRR[:, group] = np.eye(rows)[group] - left_LGG @ error_LRR[:, group]
        return held_LRR

    def fit(self, value_RN: Floats, *, logarithms: bool) -> Fit:
        """Regress each column, or the logarithm of what it has above a floor."""
        tried = [self._at_floor(value_RN, share) for share in FLOORS] if logarithms else [self._straight(value_RN)]
        error_CN = np.stack([((fit.held_out_RN - value_RN) ** 2).mean(axis=0) for fit in tried])
        best_N, column_N = error_CN.argmin(axis=0), np.arange(value_RN.shape[1])

        def chosen(name: str) -> Floats:
            return np.stack([getattr(fit, name) for fit in tried])[best_N, ..., column_N].T

        return Fit(*(chosen(name) for name in ("constant_N", "slope_FN", "ridge_N", "floor_N", "held_out_RN")))

    def _at_floor(self, value_RN: Floats, share: float) -> Fit:
        floor_N = share * value_RN.min(axis=0)
        return self._ridged(np.log(value_RN - floor_N), value_RN, floor_N, logarithms=True)

    def _straight(self, value_RN: Floats) -> Fit:
        return self._ridged(value_RN, value_RN, np.zeros(value_RN.shape[1]), logarithms=False)

    def _ridged(self, target_RN: Floats, value_RN: Floats, floor_N: Floats, *, logarithms: bool) -> Fit:
        held_LRN = self._held_out_LRR @ target_RN
        held_LRN = floor_N + np.exp(np.minimum(held_LRN, _MOST_LOG)) if logarithms else held_LRN
        place_N = ((held_LRN - value_RN) ** 2).mean(axis=1).argmin(axis=0)
        inverse_K = np.divide(1.0, self.size_K, out=np.zeros_like(self.size_K), where=self.size_K > _NOUGHT)
        slope_FN = self.right_KF.T @ ((self.kept_LK[place_N] * inverse_K).T * (self.left_RK.T @ target_RN))
        constant_N = target_RN.mean(axis=0) - self.mean_F @ slope_FN
        held_RN = np.take_along_axis(held_LRN, place_N[None, None], axis=0)[0]
        return Fit(constant_N, slope_FN, np.array(RIDGES)[place_N], floor_N, held_RN)

    def leverage_RN(self, ridge_N: Floats) -> Floats:
        """How much each row draws its own fit."""
        kept_NK = self.size_K**2 / (self.size_K**2 + len(self.left_RK) * ridge_N[:, None])
        return 1 / len(self.left_RK) + self.left_RK**2 @ kept_NK.T
