"""From a mixture to the score of each domain: three laws, of which the one that foretells left-out mixtures best is taken.

    exponential   log (L_d - floor_d) = c_d + a_d . w                 Ye et al., Data mixing laws (2024); losses only
    linear        s_d = c_d + a_d . w                                 Liu et al., RegMix (2024), by ridge regression
    quadratic     s_d = c_d + a_d . w + w' B_d w

With runs of several sizes each has one more term, b_d log N, N being tokens: with the exponential law that is a power law,
L_d = floor_d + exp(c_d + a_d . w) N^b_d. Coefficients are held back by a ridge (the constant is not). Ridge and floor
are chosen for each score by the error on mixtures left out, which has a closed form: of the rows G of a mixture,
(I - H_GG)^-1 e_G. All seeds of a mixture are left out together, else they would foretell each other.

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

Name = Literal["exponential", "linear", "quadratic"]
Measure = Literal["loss", "score"]
"""Whether less is better, or more."""

LEAST_MIXTURES = 4
_RIDGES = tuple(10.0**power for power in np.arange(-5, 3.1, 0.5))
"""Times the number of runs; features are scaled to a mean square of one."""
_FLOORS = (0.0, 0.5, 0.75, 0.9)
"""What of the lowest loss no mixture takes away."""
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

    def group_R(self) -> NDArray[np.int64]:  # noqa: N802 - the axis
        """The number of each run's mixture; seeds of one mixture, at one size, share it."""
        key_RD = np.column_stack([np.round(self.weight_RD, 9), np.log(self.tokens_R)])
        return np.unique(key_RD, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Features:
    """What a law sees of a mixture. Scales do not depend on the order of domains."""

    quadratic: bool
    scales: tuple[float, float]
    tokens: tuple[float, float] | None
    """Mean and spread of log tokens; None where all runs have the same."""

    @classmethod
    def of(cls, runs: Runs, *, quadratic: bool) -> Self:
        """Scaled to these runs."""
        apart_RD = runs.weight_RD - 1 / runs.weight_RD.shape[1]
        squares_R = (apart_RD**2).sum(axis=1)
        scales = (float(np.sqrt(squares_R.mean())) or 1.0, float(np.sqrt((squares_R**2).mean())) or 1.0)
        log_R = np.log(runs.tokens_R)
        return cls(quadratic, scales, (float(log_R.mean()), float(log_R.std())) if log_R.std() > 0 else None)

    def matrix(self, weight_ND: Floats, tokens_N: Floats | float) -> Floats:
        """Shape (N, F); without a constant."""
        apart_ND = weight_ND - 1 / weight_ND.shape[1]
        parts = [apart_ND / self.scales[0]]
        if self.quadratic:
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
        return self.value(self.features.matrix(weight_ND, tokens) @ self.slope_FS + self.constant_S)

    def value(self, linear_NS: Floats) -> Floats:
        """From the scale on which the law is linear to losses or scores."""
        return self.floor_S + np.exp(np.minimum(linear_NS, _MOST_LOG)) if self.name == "exponential" else linear_NS

    def linear(self, value_RS: Floats) -> Floats:
        """The other way."""
        return np.log(value_RS - self.floor_S) if self.name == "exponential" else value_RS


def fit_laws(runs: Runs, measure: Measure) -> tuple[Law, ...]:
    """Every law that these runs allow, the best first: the least squared error on left-out mixtures, over the variance.

    Raises:
        InputError: there are too few mixtures.
    """
    mixtures = len(np.unique(runs.group_R()))
    if mixtures < LEAST_MIXTURES:
        raise InputError(f"found {mixtures} different mixtures with scores, expected at least {LEAST_MIXTURES}")
    names: list[Name] = ["linear", "quadratic"]
    if measure == "loss" and (runs.value_RS > 0).all():
        names.insert(0, "exponential")
    laws = [fit_law(runs, name) for name in names]
    return tuple(sorted(laws, key=lambda law: relative_error(law, runs)))


def relative_error(law: Law, runs: Runs) -> float:
    """The squared error on left-out mixtures over the variance of the runs, mean over scored domains; 1 is useless."""
    variance_S = runs.value_RS.var(axis=0)
    return float(np.mean(law.error_S**2 / np.where(variance_S > 0, variance_S, 1.0)))


def fit_law(runs: Runs, name: Name) -> Law:
    """One law, its ridge and floor chosen score by score."""
    features = Features.of(runs, quadratic=name == "quadratic")
    ridge = _Ridge(features.matrix(runs.weight_RD, runs.tokens_R), runs.group_R())
    floors = _FLOORS if name == "exponential" else (0.0,)
    fits = [
        _fitted(ridge, value_R, floors, logarithms=name == "exponential") for value_R in np.ascontiguousarray(runs.value_RS.T)
    ]
    return Law(
        name=name,
        scored=runs.scored,
        features=features,
        constant_S=np.array([fit.constant for fit in fits]),
        slope_FS=np.column_stack([fit.slope_F for fit in fits]),
        ridge_S=np.array([fit.ridge for fit in fits]),
        floor_S=np.array([fit.floor for fit in fits]),
        held_out_RS=np.column_stack([fit.held_out_R for fit in fits]),
        error_S=np.array([fit.error for fit in fits]),
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    constant: float
    slope_F: Floats
    ridge: float
    floor: float
    held_out_R: Floats
    error: float


class _Ridge:
    """Ridge regressions on one matrix, for many ridges and targets, with closed forms for what is left out."""

    def __init__(self, feature_RF: Floats, group_R: NDArray[np.int64]) -> None:
        self.mean_F = feature_RF.mean(axis=0)
        self.left_RK, self.size_K, self.right_KF = np.linalg.svd(feature_RF - self.mean_F, full_matrices=False)
        self.groups = [np.flatnonzero(group_R == group) for group in np.unique(group_R)]
        self.held_out_LRR = self._held_out_LRR()

    def _held_out_LRR(self) -> Floats:  # noqa: N802 - the axes
        """For each ridge, what maps targets to what each row is foretold to be by all rows of other mixtures."""
        rows, penalty_L1 = len(self.left_RK), len(self.left_RK) * np.array(_RIDGES)[:, None]
        kept_LK = self.size_K**2 / (self.size_K**2 + penalty_L1)
        hat_LRR = 1 / rows + (self.left_RK * kept_LK[:, None, :]) @ self.left_RK.T
        error_LRR = np.eye(rows) - hat_LRR
        held_LRR = np.empty_like(error_LRR)
        for group in self.groups:
            left_LGG = np.linalg.pinv(error_LRR[:, group[:, None], group], hermitian=True)
            held_LRR[:, group] = np.eye(rows)[group] - left_LGG @ error_LRR[:, group]
        return held_LRR

    def slope(self, target_R: Floats, ridge: float) -> Floats:
        """Coefficients, shape (F,)."""
        shrunk_K = self.size_K / (self.size_K**2 + ridge * len(self.left_RK))
        return self.right_KF.T @ (shrunk_K * (self.left_RK.T @ target_R))


def _fitted(ridge: _Ridge, value_R: Floats, floors: Sequence[float], *, logarithms: bool) -> _Fit:
    best: _Fit | None = None
    for share in floors:
        floor = share * float(value_R.min()) if logarithms else 0.0
        target_R = np.log(value_R - floor) if logarithms else value_R
        held_LR = ridge.held_out_LRR @ target_R
        held_LR = floor + np.exp(np.minimum(held_LR, _MOST_LOG)) if logarithms else held_LR
        error_L = np.sqrt(np.mean((held_LR - value_R) ** 2, axis=1))
        place = int(error_L.argmin())
        if best is None or error_L[place] < best.error:
            slope_F = ridge.slope(target_R, _RIDGES[place])
            constant = float(target_R.mean() - ridge.mean_F @ slope_F)
            best = _Fit(constant, slope_F, _RIDGES[place], floor, held_LR[place], float(error_L[place]))
    assert best is not None  # noqa: S101 - there is a floor and a ridge
    return best
