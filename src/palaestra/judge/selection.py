"""Orders of questions: greedily by margins of pairs, by information, and at random with each topic its share.

An order serves every size: its first n questions are the subset of n. Not here: what such a subset is worth on models
that did not choose it (`subset.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from palaestra.judge.value import information, mean_and_half

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CAP = 1.2
"""A pair whose margin is greater counts as this: it is apart, and some more."""
_PRIOR = 2.0
"""So many questions of ordinary variance stand behind each variance, which one or two questions cannot tell."""
_LEAST_HALF = 1e-9


def greedily(points_QM: Floats, confidence: float) -> Integers:
    """All questions, each the one with which the mean capped margin of the pairs grows most.

    The order of each pair is taken from all questions; a pair in another order has a negative margin. Ties go to the
    first question.

    Args:
        points_QM: points, NaN where there is none.
        confidence: of the models' intervals.
    """
    there_QM = ~np.isnan(points_QM)
    sums = [there_QM.astype(float), np.nan_to_num(points_QM), np.nan_to_num(points_QM) ** 2]
    whole_M = sums[1].sum(axis=0) / np.maximum(sums[0].sum(axis=0), 1)
    sign_MM = np.sign(whole_M[:, None] - whole_M[None, :])
    usual = float(np.nanvar(points_QM))
    have = [np.zeros(points_QM.shape[1]) for _ in sums]
    left, order = np.arange(len(points_QM)), []
    while len(left):
        count, total, square = (so_far + one[left] for so_far, one in zip(have, sums, strict=True))
        mean, behind = total / np.maximum(count, 1), count + _PRIOR
        with_prior = square + _PRIOR * (usual + mean**2)
        _, half = mean_and_half(behind, mean * behind, with_prior, confidence)
        best = int(_capped_margins(mean, np.maximum(half, _LEAST_HALF), sign_MM).argmax())
        have = [so_far + one[left[best]] for so_far, one in zip(have, sums, strict=True)]
        order.append(int(left[best]))
        left = np.delete(left, best)
    return np.array(order)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
def _capped_margins(mean_QM: Any, half_QM: Any, sign_MM: Any) -> Any:  # noqa: ANN401 - compiled
    """The sum over pairs of their margins, each at most the cap, for each question that could come next, shape (Q,)."""
    questions, models = mean_QM.shape
    total_Q = np.zeros(questions)
    for q in range(questions):
        for i in range(models):
            total = 0.0
            for j in range(i):
                margin = sign_MM[i, j] * (mean_QM[q, i] - mean_QM[q, j]) / (half_QM[q, i] + half_QM[q, j])
                total += min(margin, _CAP)
            total_Q[q] += total
    return total_Q


def by_information(points_QM: Floats, confidence: float) -> Integers:
    """All questions, the most informative first."""
    found_Q = information(points_QM, np.ones((1, points_QM.shape[1])), confidence)[0]
    return np.argsort(-np.nan_to_num(found_Q, nan=-np.inf), kind="stable")


def in_shares(topic_Q: Integers, rng: np.random.Generator) -> Integers:
    """A random order in which each topic has about its share from the beginning.

    Args:
        topic_Q: the number of each question's topic.
        rng: of the draws.
    """
    order_Q = rng.permutation(len(topic_Q))
    place_Q = np.empty(len(topic_Q))
    for topic in np.unique(topic_Q):
        members = order_Q[topic_Q[order_Q] == topic]
        place_Q[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place_Q, kind="stable")
