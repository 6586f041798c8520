"""The paired-comparison logistic model of Bradley and Terry (1952), fitted by Newton on a table of counts.

    P(i beats j) = 1 / (1 + exp(theta_j - theta_i)),    a tie is half a win for each

The cost of a fit depends on the number of models M, not of votes: one pass over the votes makes the table, each Newton
step solves one M x M system. Only differences of theta are determined; the gauge sum(theta) = 0 is imposed exactly, by
adding a constant matrix to the (singular) information, and never by a ridge, which would shrink ratings and intervals.

The covariance is the sandwich of Huber (1967) and White (1982), each vote its own cluster. A tie is an outcome of 1/2,
so it needs the table of ties beside the table of wins.

Not here: whether the maximum exists (the caller checks that wins connect all models both ways), or what is a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_expit

Array = NDArray[np.float64]

_MOST_STEPS = 100
_MOST_HALVINGS = 30
_LAST_STEP = 1e-7
"""Newton's error squares itself with each step: after one of this size, nothing is left that a double could hold."""


@dataclass(frozen=True, slots=True)
class PairedFit:
    """Strengths in natural units (log odds), with sum zero; `information_MM` is singular along the gauge."""

    theta_M: Array
    information_MM: Array
    log_likelihood: float
    iterations: int
    converged: bool


def fit_paired(wins_MM: Array) -> PairedFit:
    """The maximum-likelihood strengths.

    Args:
        wins_MM: `wins_MM[i, j]` is how often i beat j, a tie counting half in both directions; real numbers, shape
            (M, M), M >= 2, zero diagonal. The graph of positive entries must be strongly connected, or the maximum is
            not finite and `converged` comes back False.

    Raises:
        numpy.linalg.LinAlgError: the numbers lie too far apart for the arithmetic.
    """
    theta_M = np.zeros(len(wins_MM))
    likelihood = paired_log_likelihood(wins_MM, theta_M)
    met_MM = wins_MM + wins_MM.T
    for iteration in range(1, _MOST_STEPS + 1):
        p_MM = expit(_differences(theta_M))
        score_M = (wins_MM - met_MM * p_MM).sum(axis=1)
        step_M = _solve(_laplacian(met_MM * p_MM * (1 - p_MM)), score_M)
        theta_M, likelihood = _line_search(wins_MM, theta_M, likelihood, step_M)
        if np.abs(step_M).max() < _LAST_STEP:
            return PairedFit(theta_M, _information(wins_MM, theta_M), likelihood, iteration, converged=True)
    return PairedFit(theta_M, _information(wins_MM, theta_M), likelihood, _MOST_STEPS, converged=False)


def paired_log_likelihood(wins_MM: Array, theta_M: Array) -> float:
    """Log-likelihood of a table of wins, natural logarithm; shapes (M, M) and (M,)."""
    return float(np.sum(wins_MM * log_expit(_differences(theta_M))))


def sandwich_covariance(fit: PairedFit, wins_MM: Array, ties_MM: Array) -> Array:
    """The robust covariance of the strengths, shape (M, M), in squared natural units.

    Args:
        fit: the fit; its table may hold more than the votes (see `ranking.bradley_terry`), the residuals do not.
        wins_MM: `wins_MM[i, j]` is how often i beat j, ties left out.
        ties_MM: how often i and j tied, symmetric.
    """
    p_MM = expit(_differences(fit.theta_M))
    squared_MM = wins_MM * (1 - p_MM) ** 2 + wins_MM.T * p_MM**2 + ties_MM * (0.5 - p_MM) ** 2
    half_MM = _solve(fit.information_MM, _laplacian(squared_MM))
    return _solve(fit.information_MM, half_MM.T)


def inverse_information(fit: PairedFit) -> Array:
    """The model's own covariance of the strengths, shape (M, M): what would hold if every vote followed the model."""
    centred_MM = np.eye(len(fit.theta_M)) - 1 / len(fit.theta_M)
    return _solve(fit.information_MM, centred_MM)


def _differences(theta_M: Array) -> Array:
    return theta_M[:, None] - theta_M[None, :]


def _information(wins_MM: Array, theta_M: Array) -> Array:
    p_MM = expit(_differences(theta_M))
    return _laplacian((wins_MM + wins_MM.T) * p_MM * (1 - p_MM))


def _laplacian(weights_MM: Array) -> Array:
    """Sum over pairs of weight times (e_i - e_j)(e_i - e_j)'; symmetric weights, each pair counted once."""
    return np.diag(weights_MM.sum(axis=1)) - weights_MM


def _solve(information_MM: Array, right: Array) -> Array:
    """Solve on the space of contrasts: the constant direction is filled with the matrix's own scale."""
    count = len(information_MM)
    scale = max(np.trace(information_MM) / count, np.finfo(float).tiny)
    factor = cho_factor(information_MM + scale / count, lower=True)
    solved = cho_solve(factor, right)
    return solved - solved.mean(axis=0)


def _line_search(wins_MM: Array, theta_M: Array, likelihood: float, step_M: Array) -> tuple[Array, float]:
    """Where the longest of step, step/2, step/4 ... leads that does not lower the likelihood, and what it is there."""
    slack = 1e-12 * abs(likelihood)
    for halving in range(_MOST_HALVINGS):
        candidate_M = theta_M + step_M / 2**halving
        reached = paired_log_likelihood(wins_MM, candidate_M)
        if reached >= likelihood - slack:
            return candidate_M, reached
    return theta_M, likelihood
