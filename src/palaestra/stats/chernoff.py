"""Bounds on the chance of what one voter did, given what everybody else's votes say; compiled.

Chernoff (1952): P(T >= t) <= min over u >= 0 of E e^(uT) / e^(ut), here for sums over votes of a number that depends
on each
vote's outcome. Valid at any number of votes, without normality. What is asked of a voter is `ranking/fraud.py`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from palaestra.stats.likelihoods import outcome_probabilities

_NEAR = 1e-6


@njit(cache=True)
def without_votes(
    first: Any, second: Any, outcome: Any, weight: Any, model: Any, theta_M: Any, shape: Any, inverse_QQ: Any
):
    """Strengths and shape without these votes: a Newton step against their score, with everybody's information."""
    size, step = len(theta_M), 1e-5
    score_Q = np.zeros(len(inverse_QQ))
    for r in range(len(outcome)):
        i, j, o = first[r], second[r], outcome[r]
        d, c = theta_M[i] - theta_M[j], (theta_M[i] + theta_M[j]) / 2
        along_d = _slope(model, o, d, c, shape, step, 0.0, 0.0)
        along_c = _slope(model, o, d, c, shape, 0.0, step, 0.0)
        score_Q[i] += weight[r] * (along_d + along_c / 2)
        score_Q[j] -= weight[r] * (along_d - along_c / 2)
        if len(inverse_QQ) > size:
            score_Q[size] += weight[r] * _slope(model, o, d, c, shape, 0.0, 0.0, step)
    moved_Q = inverse_QQ @ score_Q
    return theta_M - moved_Q[:size], shape - (moved_Q[size] if len(inverse_QQ) > size else 0.0)


@njit(inline="always")
def _slope(model: Any, o: Any, d: float, c: float, s: float, by_d: float, by_c: float, by_s: float):  # noqa: ANN202
    """The derivative of an outcome's log-probability along one of its coordinates."""
    up = outcome_probabilities(model, d + by_d, c + by_c, s + by_s)[o]
    down = outcome_probabilities(model, d - by_d, c - by_c, s - by_s)[o]
    return (np.log(max(up, 1e-300)) - np.log(max(down, 1e-300))) / (2 * (by_d + by_c + by_s))


@njit(cache=True)
def voter_tails(first: Any, second: Any, outcome: Any, weight: Any, model: Any, theta_M: Any, shape: Any):
    """The least bound of one voter, which it is, how many there are, and the agreement with the order of strengths.

    Bounds are numbered: 0 too surprising, 1 too little so, 2 + m model m pushed up, 2 + M + m down, for the models
    that the voter met. The agreement is NaN without a decided vote.
    """
    count, size = len(outcome), len(theta_M)
    chance, surprise, push = np.empty((count, 4)), np.empty((count, 4)), np.empty((count, 4))
    agreed, decided = 0.0, 0.0
    for r in range(count):
        i, j = first[r], second[r]
        d, c = theta_M[i] - theta_M[j], (theta_M[i] + theta_M[j]) / 2
        chances = outcome_probabilities(model, d, c, shape)
        expected = chances[0] + (chances[2] + chances[3]) / 2
        for o in range(4):
            chance[r, o] = chances[o]
            surprise[r, o] = -np.log(max(chances[o], 1e-12))
            push[r, o] = (1.0 if o == 0 else (0.0 if o == 1 else 0.5)) - expected
        if outcome[r] < 2:  # noqa: PLR2004 - wins
            decided += weight[r]
            agreed += weight[r] if (d > 0) == (outcome[r] == 0) else 0.0
    sign = np.ones(count)
    least, which, asked = chernoff(chance, surprise, outcome, weight, sign, 1.0), 0, 2
    p = chernoff(chance, surprise, outcome, weight, sign, -1.0)
    if p < least:
        least, which = p, 1
    for m in range(size):
        met = False
        for r in range(count):
            sign[r] = 1.0 if first[r] == m else (-1.0 if second[r] == m else 0.0)
            met = met or sign[r] != 0.0
        if met:
            asked += 2
            for way in range(2):
                p = chernoff(chance, push, outcome, weight, sign, 1.0 - 2.0 * way)
                if p < least:
                    least, which = p, 2 + way * size + m
    return least, which, asked, agreed / decided if decided > 0 else np.nan


@njit(cache=True)
def chernoff(chance: Any, value: Any, outcome: Any, weight: Any, sign: Any, direction: float):
    """Chernoff's bound on the chance of a sum at least as large as the one that happened, in the direction given.

    The exponent is convex in u; its derivative is found zero by Newton's method with bisection.
    """
    low, high, u = 0.0, 64.0, 0.5
    reached = 0.0
    for r in range(len(outcome)):
        reached += weight[r] * sign[r] * direction * value[r, outcome[r]]  # a row of n votes is n draws
    best = 0.0
    for _ in range(40):
        exponent, slope, curve = -u * reached, -reached, 0.0
        for r in range(len(outcome)):
            factor = sign[r] * direction
            if factor == 0.0:
                continue
            total, first, second, largest = 0.0, 0.0, 0.0, -1e300
            for o in range(4):
                if chance[r, o] > 0:
                    largest = max(largest, u * factor * value[r, o])
            for o in range(4):
                if chance[r, o] > 0:
                    t = factor * value[r, o]
                    e = chance[r, o] * np.exp(u * t - largest)
                    total += e
                    first += e * t
                    second += e * t * t
            exponent += weight[r] * (largest + np.log(total))
            slope += weight[r] * first / total
            curve += weight[r] * (second / total - (first / total) ** 2)
        best = min(best, exponent)
        if slope > 0:
            high = u
        else:
            low = u
        newton = u - slope / curve if curve > 0 else -1.0
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - u) < _NEAR:
            break
        u = following
    return np.exp(best)
