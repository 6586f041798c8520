"""The loops over votes of a head, compiled: loss and gradient, losses vote by vote, expected outcomes of all pairs.

Votes lie in the order of their prompts, so that a prompt's vector is read once. The likelihood of one vote and its
derivatives are those of `stats/likelihoods.py`; what is added here is where the strengths come from.

Not here: the search for the minimum (`fitting.py`), and the same losses on tensors (`losses.py`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from palaestra.stats.likelihoods import bradley_terry, grounded, log_probability, outcome_probabilities, rao_kupper

Floats = NDArray[np.float64]
_RAO_KUPPER, _GROUNDED = 1, 3
_LEAST_ETA = 1e-6


@njit(cache=True, nogil=True, fastmath=True)
def _dot(w_K: Floats, z_K: NDArray[np.float32]) -> float:
    total = 0.0
    for k in range(len(z_K)):
        total += w_K[k] * z_K[k]
    return total


@njit(cache=True, nogil=True, fastmath=True)
def _add(w_K: Floats, factor: float, z_K: NDArray[np.float32]) -> None:
    for k in range(len(z_K)):
        w_K[k] += factor * z_K[k]


@njit(cache=True, nogil=True)
def tie_parameter(model: int, raw: float) -> float:
    """What the head's number means: eta = softplus(raw) above zero for Rao and Kupper, itself for the grounded."""
    if model == _RAO_KUPPER:
        return max(raw, 0.0) + math.log1p(math.exp(-abs(raw))) + _LEAST_ETA
    return raw


@njit(cache=True, nogil=True)
def loss_pass(  # noqa: PLR0917 - compiled
    model: int,
    z_PK: NDArray[np.float32],
    prompt_B: NDArray[np.int32],
    first_B: NDArray[np.int32],
    second_B: NDArray[np.int32],
    outcome_B: NDArray[np.int8],
    weight_B: Floats,
    a_M: Floats,
    w_MK: Floats,
    tie_C: Floats,
    low: int,
    high: int,
    grad_a_M: Floats,
    grad_w_MK: Floats,
    grad_tie_C: Floats,
) -> float:
    """The negative log-likelihood of some votes; gradients are added to the last three.

    `tie_C` is the intercept of the parameter of ties, and its weights.
    """
    loss = 0.0
    for b in range(low, high):
        weight = weight_B[b]
        if weight == 0.0:
            continue
        i, j, outcome = first_B[b], second_B[b], outcome_B[b]
        z_K = z_PK[prompt_B[b]]
        u, v = a_M[i] + _dot(w_MK[i], z_K), a_M[j] + _dot(w_MK[j], z_K)
        raw, s, by_raw, by_u, by_v = 0.0, 0.0, 0.0, 0.0, 0.0
        if model == 0:
            by_u, _ = bradley_terry(outcome, u - v)
            by_v = -by_u
        else:
            raw = tie_C[0] + _dot(tie_C[1:], z_K)
            s = tie_parameter(model, raw)
            if model == _RAO_KUPPER:
                by_u, by_s, _, _, _ = rao_kupper(outcome, u - v, s)
                by_v = -by_u
                by_raw = by_s / (1.0 + math.exp(-raw))
            else:
                found = grounded(outcome, u - v, (u + v) / 2, s)
                by_u, by_v, by_raw = found[0] + found[1] / 2, found[1] / 2 - found[0], found[2]
            grad_tie_C[0] -= weight * by_raw
            _add(grad_tie_C[1:], -weight * by_raw, z_K)
        loss -= weight * log_probability(model, outcome, u - v, (u + v) / 2, s)
        grad_a_M[i] -= weight * by_u
        grad_a_M[j] -= weight * by_v
        _add(grad_w_MK[i], -weight * by_u, z_K)
        _add(grad_w_MK[j], -weight * by_v, z_K)
    return loss


@njit(cache=True, nogil=True)
def vote_losses(model: int, outcome_B: NDArray[np.int8], first_B: Floats, second_B: Floats, shape_B: Floats) -> Floats:
    """The negative log-likelihood of each vote, given the strengths of its sides and the parameter of ties."""
    loss_B = np.empty(len(outcome_B))
    for b in range(len(outcome_B)):
        d, c = first_B[b] - second_B[b], (first_B[b] + second_B[b]) / 2
        loss_B[b] = -log_probability(model, outcome_B[b], d, c, shape_B[b])
    return loss_B


@njit(cache=True, nogil=True)
def expected_scores(model: int, first_B: Floats, second_B: Floats, shape_B: Floats) -> Floats:
    """The chance that the first side wins each vote, and half of that of neither."""
    score_B = np.empty(len(first_B))
    for b in range(len(first_B)):
        d, c = first_B[b] - second_B[b], (first_B[b] + second_B[b]) / 2
        win, loss, _, _ = outcome_probabilities(model, d, c, shape_B[b])
        score_B[b] = 0.5 + 0.5 * (win - loss)
    return score_B


@njit(cache=True, nogil=True)
def expected_outcomes(model: int, beta_PM: Floats, shape_P: Floats, weight_P: Floats, table_OMM: Floats) -> None:
    """Add the chances of the four outcomes of all pairs, summed over prompts, above the diagonal of (4, M, M)."""
    prompts, models = beta_PM.shape
    for p in range(prompts):
        for i in range(models):
            for j in range(i + 1, models):
                u, v = beta_PM[p, i], beta_PM[p, j]
                found = outcome_probabilities(model, u - v, (u + v) / 2, shape_P[p])
                for o in range(4):
                    table_OMM[o, i, j] += weight_P[p] * found[o]
