"""The loops of Bradley and Terry's model without covariates, compiled: all votes of a pair have one probability.

So a pair's votes are three sums (won, lost, drawn), and one exponential serves them all, however many rows there are.

Not here: models with a shape, covariates (`kernels.py`), who calls this with what (`passes.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from palaestra.stats.likelihoods import exp_fast, softplus_fast

_BLOCK = 256
_REORDER = {"reassoc", "contract", "arcp", "nsz"}


@njit(inline="always")
def _hash(seed: Any, number: Any) -> Any:
    """Of both together (splitmix64)."""
    z = seed + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always")
def multiplier(draws: Any, seed: Any, number: Any) -> float:
    """A hash of seed and number, looked up."""
    return draws[_hash(seed, number) & np.uint64(len(draws) - 1)]


@njit(cache=True, nogil=True)
def deal_counts(votes_B: Any, share: int, seed: Any, dealt_B: Any) -> None:
    """Of so many votes each, how many are dealt, each with probability share / 2**16: binomial numbers.

    A bit is a vote: 64 are dealt at once by 16 random words, one for each digit of the share, the last digit first.
    """
    drawn = 0
    for r in range(len(votes_B)):
        dealt = 0
        for at in range(0, votes_B[r], 64):
            chosen = np.uint64(0)
            for digit in range(16):
                word = _hash(seed, drawn)
                drawn += 1
                chosen = chosen | word if (share >> digit) & 1 else chosen & word
            spare = np.uint64(max(64 - (votes_B[r] - at), 0))
            chosen = (chosen << spare) >> spare
            dealt += _ones(chosen)
        dealt_B[r] = dealt


@njit(inline="always")
def _ones(word: Any) -> Any:
    """How many bits are set."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit
def weight_of(weight_B: Any, r: Any) -> float:
    """The weight of a row; one stands for all (`rows.compact`)."""
    return weight_B[r] if len(weight_B) > 1 else weight_B[0]


@njit(nogil=True, fastmath=_REORDER)
def _records(
    start_P: Any, outcome_B: Any, weight_B: Any, at: Any, pairs: Any, draws: Any, seed: Any, cluster_B: Any,
    sums_3K: Any,
) -> None:  # fmt: skip
    """The weights won, lost and drawn of so many pairs from one on, shape (3, K)."""
    resampled, clustered = len(draws) > 0, len(cluster_B) > 0
    for k in range(pairs):
        won, lost, drawn = 0.0, 0.0, 0.0
        for r in range(start_P[at + k], start_P[at + k + 1]):
            w, o = weight_of(weight_B, r), outcome_B[r]
            if resampled:
                w *= multiplier(draws, seed, cluster_B[r] if clustered else r)
            won += w if o == 0 else 0.0
            lost += w if o == 1 else 0.0
            drawn += w if o > 1 else 0.0
        sums_3K[0, k], sums_3K[1, k], sums_3K[2, k] = won, lost, drawn


@njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
def pass_pairs(
    middle: Any, first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, theta_M: Any, low: Any,
    high: Any, draws: Any, seed: Any, cluster_B: Any, score_Q: Any, lower_QQ: Any,
) -> None:  # fmt: skip
    """Score and information, or the middle of the sandwich."""
    sums_3K, g, h = np.empty((3, _BLOCK)), np.empty(_BLOCK), np.empty(_BLOCK)
    won, lost, drawn = sums_3K
    for at in range(low, high, _BLOCK):
        n = min(_BLOCK, high - at)
        _records(start_P, outcome_B, weight_B, at, n, draws, seed, cluster_B, sums_3K)
        for k in range(n):
            g[k] = theta_M[second_P[at + k]] - theta_M[first_P[at + k]]
        for k in range(n):
            p = 1.0 / (1.0 + exp_fast(g[k]))
            q, even = 1.0 - p, 0.5 - p
            g[k] = won[k] * q - lost[k] * p + drawn[k] * even
            if middle:
                h[k] = won[k] * q * q + lost[k] * p * p + drawn[k] * even * even
            else:
                h[k] = (won[k] + lost[k] + drawn[k]) * p * q
        for k in range(n):
            i, j = first_P[at + k], second_P[at + k]
            score_Q[i] += g[k]
            score_Q[j] -= g[k]
            lower_QQ[i, i] += h[k]
            lower_QQ[j, j] += h[k]
            lower_QQ[j, i] -= h[k]


@njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
def likelihood_pairs(
    first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, theta_M: Any, low: Any, high: Any,
    draws: Any, cluster_B: Any,
) -> float:  # fmt: skip
    """The log-likelihood."""
    total, sums_3K, gap = 0.0, np.empty((3, _BLOCK)), np.empty(_BLOCK)
    won, lost, drawn = sums_3K
    for at in range(low, high, _BLOCK):
        n = min(_BLOCK, high - at)
        _records(start_P, outcome_B, weight_B, at, n, draws, np.uint64(0), cluster_B, sums_3K)
        for k in range(n):
            gap[k] = theta_M[first_P[at + k]] - theta_M[second_P[at + k]]
        for k in range(n):
            seen = won[k] + lost[k] + drawn[k]
            total += (won[k] + drawn[k] / 2) * gap[k] - seen * softplus_fast(gap[k])
    return total
