"""Ranks that admit their uncertainty: model by model from intervals, or for all models at once from the covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DRAWS = 1000
_BLOCK = 64
"""Draws at once: of 100 models they fill 25 KiB."""


def rank_bounds(lower_M: Floats, upper_M: Floats) -> tuple[Integers, Integers]:
    """The best and the worst rank of each model that the intervals allow.

    The best one is the rule of the public leaderboards: one plus the number of models whose interval lies wholly above.
    The worst one counts down in the same way those that lie wholly below. Each interval holds by itself, so the ranges
    do not hold for all models at once.

    Args:
        lower_M: lower ends of the intervals, shape (M,).
        upper_M: upper ends, shape (M,).
    """
    above_MM = lower_M[:, None] > upper_M[None, :]
    return 1 + above_MM.sum(axis=0), len(lower_M) - above_MM.sum(axis=1)


def simultaneous_rank_bounds(
    theta_M: Floats, covariance_MM: Floats, *, confidence: float, seed: int, root_MQ: Floats | None = None
) -> tuple[Integers, Integers]:
    """Rank ranges that hold for all models at once with the given confidence (Mogstad et al., 2024).

    All differences of two models are tested together: the critical value is a quantile of the greatest of all
    studentised differences under the covariance, found by simulation, and found again over what remains once some pairs
    are told apart (stepdown, Romano and Wolf, 2005). A model's best rank is one plus the number of those surely above
    it.

    Args:
        theta_M: strengths, shape (M,).
        covariance_MM: their covariance; only that of differences is used.
        confidence: of all ranges together.
        seed: of the simulation, 1000 draws.
        root_MQ: a matrix whose product with its own transpose is the covariance, where one is known, such as what is
            left of few draws less their mean; found from the covariance if left out.
    """
    count = len(theta_M)
    variance_M = np.diag(covariance_MM)
    spread_MM = np.sqrt(np.maximum(variance_M[:, None] + variance_M[None, :] - 2 * covariance_MM, 0))
    known_MM = spread_MM > 1e-12 * max(spread_MM.max(), 1e-300)
    inverse_MM = np.where(known_MM, 1 / np.where(known_MM, spread_MM, 1), 0)
    studentised_MM = (theta_M[:, None] - theta_M[None, :]) * inverse_MM
    root_MQ = _root(covariance_MM) if root_MQ is None else root_MQ
    normal_RQ = np.random.default_rng(seed).standard_normal((_DRAWS, root_MQ.shape[1]), dtype=np.float32)
    noise_MR = root_MQ.astype(np.float32) @ normal_RQ.T
    above_MM = studentised_MM > ndtri(1 - (1 - confidence) / max(count * (count - 1), 1))  # beyond any quantile below
    while True:
        first, second = np.nonzero(np.triu(known_MM & ~(above_MM | above_MM.T), 1))
        if not len(first):
            break
        greatest_R = _greatest(noise_MR, first, second, inverse_MM[first, second].astype(np.float32))
        found_MM = studentised_MM > np.quantile(greatest_R, confidence)
        if not (found_MM & ~above_MM).any():
            break
        above_MM |= found_MM
    return 1 + above_MM.sum(axis=0), count - above_MM.sum(axis=1)


def _root(covariance_MM: Floats) -> Floats:
    """A matrix whose product with its own transpose is the covariance, up to a shift of all models by one number."""
    level = np.trace(covariance_MM) / len(covariance_MM)
    try:
        return np.linalg.cholesky(covariance_MM + level)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance_MM)
        return vectors * np.sqrt(np.maximum(values, 0))


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def _greatest(noise_MR: Any, first_P: Any, second_P: Any, inverse_P: Any) -> Any:  # noqa: ANN401 - compiled
    """The greatest studentised difference of each draw over some pairs, shape (R,).

    Draws come in blocks that stay in the nearest cache for all pairs. Pairs come by two, and what is kept is chosen by
    `if`: of one pair alone the compiler would make a conditional store, and of `max` a loop over single numbers, each
    several times slower.
    """
    greatest_R, last = np.zeros(noise_MR.shape[1], dtype=np.float32), len(first_P) - 1
    for low in range(0, len(greatest_R), _BLOCK):
        block_MR, most_R = noise_MR[:, low : low + _BLOCK].copy(), greatest_R[low : low + _BLOCK]
        for p in range(0, last + 1, 2):
            q = min(p + 1, last)
            i_R, j_R, by_p = block_MR[first_P[p]], block_MR[second_P[p]], inverse_P[p]
            k_R, l_R, by_q = block_MR[first_P[q]], block_MR[second_P[q]], inverse_P[q]
            for r in range(len(most_R)):
                one, other, most = abs(i_R[r] - j_R[r]) * by_p, abs(k_R[r] - l_R[r]) * by_q, most_R[r]
                most = one if one > most else most  # noqa: FURB136
                most_R[r] = other if other > most else most  # noqa: FURB136
    return greatest_R
