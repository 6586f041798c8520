"""The loops over votes, compiled.

Rows of one pair lie together (`rows.py`), so what they share is read once and the matrix is touched once a pair; what
rows do by themselves is done in blocks that stay in the nearest cache and compile to vectors. Each loop works on a
range of pairs and adds to the sums that it is given. Python is not needed while they run.

Not here: who calls them with what (`passes.py`), the model without covariates and shape (`pair_kernels.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from palaestra.stats.likelihoods import (
    VoteModel,
    bradley_terry,
    davidson,
    exp_fast,
    grounded,
    log_probability,
    rao_kupper,
    softplus_fast,
    win_probability,
)
from palaestra.stats.pair_kernels import multiplier, weight_of

_BT, _RK, _DAVIDSON, _GROUNDED = (int(model) for model in VoteModel)
_BLOCK = 256
BINS = 10


_REORDER = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
def pass_bradley_terry(
    middle: Any, first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, x_FB: Any, theta_M: Any,
    beta_F: Any, low: Any, high: Any, draws: Any, seed: Any, cluster_B: Any, score_Q: Any, lower_QQ: Any,
) -> None:  # fmt: skip
    """The model with one coordinate: whole blocks of rows in vectors, whatever pairs they belong to."""
    features, count = len(x_FB), len(theta_M)
    resampled, clustered = len(draws) > 0, len(cluster_B) > 0
    g, h, w = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    hx, x_score, squares = np.empty((features, _BLOCK)), np.zeros(features), np.zeros((features, features))
    pair = low
    at, end = start_P[low], start_P[high]
    while at < end:
        n = min(_BLOCK, end - at)
        filling, r = pair, 0
        while r < n:
            stop = min(n, start_P[filling + 1] - at)
            gap = theta_M[first_P[filling]] - theta_M[second_P[filling]]
            g[r:stop] = gap
            r = stop
            filling += 1
        for f in range(features):
            x, beta = x_FB[f, at : at + n], beta_F[f]
            for r in range(n):
                g[r] += beta * x[r]
        for r in range(n):
            w[r] = weight_of(weight_B, at + r)
        if resampled:
            for r in range(n):
                w[r] *= multiplier(draws, seed, cluster_B[at + r] if clustered else at + r)
        for r in range(n):
            g[r], h[r] = bradley_terry(outcome_B[at + r], g[r])
        if middle:
            for r in range(n):
                h[r] = g[r] * g[r]
        for r in range(n):
            g[r] *= w[r]
            h[r] *= w[r]
        for f in range(features):
            x, weighed, total = x_FB[f, at : at + n], hx[f], 0.0
            for r in range(n):
                weighed[r] = h[r] * x[r]
                total += g[r] * x[r]
            x_score[f] += total
            for q in range(f + 1):
                x, total = x_FB[q, at : at + n], 0.0
                for r in range(n):
                    total += weighed[r] * x[r]
                squares[f, q] += total
        r = 0
        while r < n:
            stop = min(n, start_P[pair + 1] - at)
            i, j = first_P[pair], second_P[pair]
            score, information = 0.0, 0.0
            for k in range(r, stop):
                score += g[k]
                information += h[k]
            score_Q[i] += score
            score_Q[j] -= score
            lower_QQ[i, i] += information
            lower_QQ[j, j] += information
            lower_QQ[max(i, j), min(i, j)] -= information
            for f in range(features):
                total, weighed = 0.0, hx[f]
                for k in range(r, stop):
                    total += weighed[k]
                lower_QQ[count + f, i] += total
                lower_QQ[count + f, j] -= total
            r = stop
            if start_P[pair + 1] <= at + n:
                pair += 1
        at += n
    score_Q[count:] += x_score
    lower_QQ[count:, count:] += squares


@njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
def pass_general(
    model: Any, middle: Any, first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, x_FB: Any,
    theta_M: Any, beta_F: Any, shape: Any, low: Any, high: Any, draws: Any, seed: Any, cluster_B: Any, score_Q: Any,
    lower_QQ: Any,
) -> None:  # fmt: skip
    """Score and information, or the middle, under a model with a shape: pair by pair."""
    features, count = len(x_FB), len(theta_M)
    last = count + features
    resampled, clustered = len(draws) > 0, len(cluster_B) > 0
    local = np.empty((9, _BLOCK))  # scores in d, c, s; information in dd, dc, ds, cc, cs, ss
    sums, w = np.empty(9), np.empty(_BLOCK)
    x_score, x_own = np.zeros(features), np.empty((3, features))
    for pair in range(low, high):
        i, j = first_P[pair], second_P[pair]
        gap, level = theta_M[i] - theta_M[j], (theta_M[i] + theta_M[j]) / 2
        sums[:] = 0.0
        x_own[:] = 0.0
        at, end = start_P[pair], start_P[pair + 1]
        while at < end:
            n = min(_BLOCK, end - at)
            g, h = local[0], local[3]
            for r in range(n):
                w[r] = weight_of(weight_B, at + r)
                g[r] = gap
            if resampled:
                for r in range(n):
                    w[r] *= multiplier(draws, seed, cluster_B[at + r] if clustered else at + r)
            for f in range(features):
                for r in range(n):
                    g[r] += beta_F[f] * x_FB[f, at + r]
            for r in range(n):
                _general(model, outcome_B[at + r], g[r], level, shape, local, r)
            if middle:
                for r in range(n):
                    c, s = local[1, r], local[2, r]
                    h[r], local[4, r], local[5, r] = g[r] * g[r], g[r] * c, g[r] * s
                    local[6, r], local[7, r], local[8, r] = c * c, c * s, s * s
            for k in range(9):
                for r in range(n):
                    local[k, r] *= w[r]
                    sums[k] += local[k, r]
            for f in range(features):
                a, b = 0.0, 0.0
                for r in range(n):
                    a += g[r] * x_FB[f, at + r]
                    b += h[r] * x_FB[f, at + r]
                x_score[f] += a
                x_own[0, f] += b
                for k in (1, 2):
                    for r in range(n):
                        x_own[k, f] += local[3 + k, r] * x_FB[f, at + r]
                for q in range(f + 1):
                    b = 0.0
                    for r in range(n):
                        b += h[r] * x_FB[f, at + r] * x_FB[q, at + r]
                    lower_QQ[count + f, count + q] += b
            at += n
        score_Q[i] += sums[0] + sums[1] / 2
        score_Q[j] -= sums[0] - sums[1] / 2
        lower_QQ[i, i] += sums[3] + sums[4] + sums[6] / 4
        lower_QQ[j, j] += sums[3] - sums[4] + sums[6] / 4
        lower_QQ[max(i, j), min(i, j)] += sums[6] / 4 - sums[3]
        for f in range(features):
            lower_QQ[count + f, i] += x_own[0, f] + x_own[1, f] / 2
            lower_QQ[count + f, j] -= x_own[0, f] - x_own[1, f] / 2
        score_Q[last] += sums[2]
        lower_QQ[last, i] += sums[5] + sums[7] / 2
        lower_QQ[last, j] -= sums[5] - sums[7] / 2
        lower_QQ[last, last] += sums[8]
        for f in range(features):
            lower_QQ[last, count + f] += x_own[2, f]
    for f in range(features):
        score_Q[count + f] += x_score[f]


@njit(inline="always")
def _general(model: Any, outcome: Any, d: Any, c: Any, s: Any, local: Any, r: Any) -> None:
    """Derivatives of one vote under a model with a shape, into column r of the block."""
    if model == _GROUNDED:
        for k, value in enumerate(grounded(outcome, d, c, s)):
            local[k, r] = value
        return
    one = rao_kupper(outcome, d, s) if model == _RK else davidson(outcome, d, s)
    local[0, r], local[2, r] = one[0], one[1]
    local[3, r], local[5, r], local[8, r] = one[2], one[3], one[4]
    local[1, r] = local[4, r] = local[6, r] = local[7, r] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_pass(
    model: Any, first_P: Any, second_P: Any, pair_B: Any, outcome_B: Any, weight_B: Any, x_FB: Any, theta_M: Any,
    beta_F: Any, shape: Any, order_B: Any, start_C: Any, middle_QQ: Any,
) -> None:  # fmt: skip
    """Outer products of the summed scores of clusters; rows in the order of `order_B`."""
    features, count = len(x_FB), len(theta_M)
    last, size = count + features, len(middle_QQ)
    score_Q, touched_Q, mark_Q = np.zeros(size), np.empty(size, np.int64), np.zeros(size, np.bool_)
    local = np.empty((9, 1))
    for cluster in range(len(start_C) - 1):
        touched = 0
        for position in range(start_C[cluster], start_C[cluster + 1]):
            r = order_B[position]
            i, j = first_P[pair_B[r]], second_P[pair_B[r]]
            d = theta_M[i] - theta_M[j]
            for f in range(features):
                d += beta_F[f] * x_FB[f, r]
            if model == _BT:
                local[0, 0], local[3, 0] = bradley_terry(outcome_B[r], d)
                local[1, 0] = local[2, 0] = 0.0
            else:
                _general(model, outcome_B[r], d, (theta_M[i] + theta_M[j]) / 2, shape, local, 0)
            w = weight_of(weight_B, r)
            g, c = w * local[0, 0], w * local[1, 0] / 2
            score_Q[i] += g + c
            score_Q[j] -= g - c
            for f in range(features):
                score_Q[count + f] += g * x_FB[f, r]
            if model != _BT:
                score_Q[last] += w * local[2, 0]
            for q in (i, j):
                if not mark_Q[q]:
                    mark_Q[q] = True
                    touched_Q[touched] = q
                    touched += 1
        for q in range(count, size):
            touched_Q[touched] = q
            touched += 1
        for one in range(touched):
            for other in range(touched):
                middle_QQ[touched_Q[one], touched_Q[other]] += score_Q[touched_Q[one]] * score_Q[touched_Q[other]]
        for one in range(touched):
            score_Q[touched_Q[one]] = 0.0
            mark_Q[touched_Q[one]] = False


@njit(cache=True, nogil=True, error_model="numpy")
def forecast_pass(
    model: Any, first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, x_FB: Any, theta_M: Any,
    beta_F: Any, shape: Any, low: Any, high: Any, sums_2O: Any, bins: Any,
) -> None:  # fmt: skip
    """Weights and log-likelihood by outcome, and three sums for each tenth of the expected score.

    Rows of weight zero are many where votes are held out; the others of a block are brought together first.
    """
    held, d, expected, said = np.empty(_BLOCK, np.int64), np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for pair in range(low, high):
        i, j = first_P[pair], second_P[pair]
        gap, level = theta_M[i] - theta_M[j], (theta_M[i] + theta_M[j]) / 2
        for at in range(start_P[pair], start_P[pair + 1], _BLOCK):
            n = 0
            for r in range(at, min(at + _BLOCK, start_P[pair + 1])):
                held[n] = r
                n += weight_of(weight_B, r) != 0.0
            d[:n] = gap
            for f in range(len(x_FB)):
                for k in range(n):
                    d[k] += beta_F[f] * x_FB[f, held[k]]
            if model == _BT:
                for k in range(n):
                    expected[k], said[k] = 1.0 / (1.0 + exp_fast(-d[k])), softplus_fast(-d[k])
            else:
                for k in range(n):
                    expected[k] = win_probability(model, d[k], level, shape)
                    said[k] = -log_probability(model, outcome_B[held[k]], d[k], level, shape)
            for k in range(n):
                w, o = weight_of(weight_B, held[k]), outcome_B[held[k]]
                y = 1.0 if o == 0 else (0.0 if o == 1 else 0.5)
                sums_2O[0, o] += w
                sums_2O[1, o] -= w * (said[k] + (1.0 - y) * d[k] if model == _BT else said[k])
                tenth = min(int(expected[k] * BINS), BINS - 1)
                bins[0, tenth] += w
                bins[1, tenth] += w * expected[k]
                bins[2, tenth] += w * y


@njit(cache=True, nogil=True, fastmath=_REORDER, error_model="numpy")
def likelihood_pass(
    first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, x_FB: Any, theta_M: Any, beta_F: Any,
    low: Any, high: Any,
) -> float:  # fmt: skip
    """The log-likelihood of Bradley-Terry, in vectors."""
    total, d = 0.0, np.empty(_BLOCK)
    for pair in range(low, high):
        gap = theta_M[first_P[pair]] - theta_M[second_P[pair]]
        at, end = start_P[pair], start_P[pair + 1]
        while at < end:
            n = min(_BLOCK, end - at)
            d[:n] = gap
            for f in range(len(x_FB)):
                x, beta = x_FB[f, at : at + n], beta_F[f]
                for r in range(n):
                    d[r] += beta * x[r]
            for r in range(n):
                o = outcome_B[at + r]
                y = 1.0 if o == 0 else (0.0 if o == 1 else 0.5)
                total += weight_of(weight_B, at + r) * (y * d[r] - softplus_fast(d[r]))
            at += n
    return total


@njit(cache=True, nogil=True)
def table_pass(
    first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, low: Any, high: Any, summed_OMM: Any
) -> None:
    """Weights by outcome and pair."""
    sum_O = np.empty(len(summed_OMM))
    for pair in range(low, high):
        sum_O[:] = 0.0
        for r in range(start_P[pair], start_P[pair + 1]):
            sum_O[outcome_B[r]] += weight_of(weight_B, r)
        for o in range(len(sum_O)):
            summed_OMM[o, first_P[pair], second_P[pair]] = sum_O[o]


@njit(cache=True, nogil=True)
def draw_pass(low: Any, high: Any, draws: Any, seed: Any, cluster_B: Any, drawn_B: Any) -> None:
    """Which rows are drawn."""
    for r in range(low, high):
        drawn_B[r] = multiplier(draws, seed, cluster_B[r] if len(cluster_B) else r) != 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def slope_pass(
    model: Any, first_P: Any, second_P: Any, start_P: Any, outcome_B: Any, weight_B: Any, x_FB: Any, theta_M: Any,
    beta_F: Any, shape: Any, direction_Q: Any, last: Any, low: Any, high: Any, slope_B: Any,
) -> None:  # fmt: skip
    """The score of each row along a direction."""
    local, count = np.zeros((9, 1)), len(theta_M)
    for pair in range(low, high):
        i, j = first_P[pair], second_P[pair]
        for r in range(start_P[pair], start_P[pair + 1]):
            d, along = theta_M[i] - theta_M[j], direction_Q[i] - direction_Q[j]
            for f in range(len(x_FB)):
                d += beta_F[f] * x_FB[f, r]
                along += direction_Q[count + f] * x_FB[f, r]
            if model == _BT:
                local[0, 0], local[3, 0] = bradley_terry(outcome_B[r], d)
            else:
                _general(model, outcome_B[r], d, (theta_M[i] + theta_M[j]) / 2, shape, local, 0)
            level = (direction_Q[i] + direction_Q[j]) / 2
            slope_B[r] = weight_of(weight_B, r) * (local[0, 0] * along + local[1, 0] * level + local[2, 0] * last)
