"""The best of K by a reward: how right is the reply that it picks from K, for every K at once and exactly.

Of N replies sorted by reward, the one of rank r is picked from K drawn without replacement with the chance
C(N - r, K - 1) / C(N, K). Level replies are picked from at random, so each has the mean chance of their ranks: this is
exact, since whichever of them are drawn, each is as likely to be picked. The curve is the expected correctness:

    curve(1)    the mean correctness, whatever the reward
    curve(N)    the correctness of what is on top
    oracle      the curve of a reward that is the correctness itself: with C(N - right, K) / C(N, K) none is right

Not here: metrics of curves (`correctness.py`).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CELLS = 2_000_000
"""Pairs of replies that are looked at at once: 16 MB a table, however many prompts there are."""


def pick_chances(size: int) -> Floats:
    """The chance that the reply of each rank is the best of K, shape (N, K): ranks from the best, K from 1 to N."""
    rank_N = np.arange(1, size + 1)[:, None]
    drawn_K = np.arange(1, size + 1)[None, :]
    chance_NK = np.zeros((size, size))
    chance_NK[0] = drawn_K[0] / size
    for rank in range(1, size):  # C(N - r - 1, K - 1) / C(N - r, K - 1) = (N - r - K + 1) / (N - r)
        left_K = np.maximum(size - rank - drawn_K[0] + 1, 0)
        chance_NK[rank] = chance_NK[rank - 1] * left_K / (size - rank)
    return np.where(rank_N + drawn_K <= size + 1, chance_NK, 0.0)


def best_of_curves(reward_PN: Floats, right_PN: Floats) -> Floats:
    """The expected correctness of the best of K, shape (P, K), K from 1 to N.

    Args:
        reward_PN: rewards of N replies to each prompt; higher is better.
        right_PN: their correctness, from 0 to 1.
    """
    order_PN = np.argsort(-reward_PN, axis=1, kind="stable")
    sorted_PN = np.take_along_axis(reward_PN, order_PN, axis=1)
    return _shared_by_level(sorted_PN, np.take_along_axis(right_PN, order_PN, axis=1)) @ pick_chances(
        reward_PN.shape[1]
    )


def _shared_by_level(sorted_PN: Floats, right_PN: Floats) -> Floats:
    """The correctness of each reply, or of level ones the mean of theirs."""
    prompts, size = sorted_PN.shape
    new_PN = np.ones((prompts, size), dtype=bool)
    new_PN[:, 1:] = sorted_PN[:, 1:] != sorted_PN[:, :-1]
    group_B = np.cumsum(new_PN.ravel()) - 1
    mean_G = np.bincount(group_B, weights=right_PN.ravel()) / np.bincount(group_B)
    return mean_G[group_B].reshape(prompts, size)


def pair_wins(reward_PN: Floats, right_PN: Floats) -> tuple[Floats, Floats]:
    """Over pairs of a right and a wrong reply to one prompt: how many the reward orders rightly, and their number.

    A level pair is half a win. Both have shape (P,).
    """
    step = max(1, _CELLS // max(1, reward_PN.shape[1] ** 2))
    parts = [
        _pair_wins(reward_PN[start : start + step], right_PN[start : start + step])
        for start in range(0, len(reward_PN), step)
    ]
    wins_P, pairs_P = (np.concatenate(each) for each in zip(*parts, strict=True)) if parts else (np.zeros(0),) * 2
    return wins_P, pairs_P


def _pair_wins(reward_PN: Floats, right_PN: Floats) -> tuple[Floats, Floats]:
    is_right_PN = right_PN > 0.5  # noqa: PLR2004 - right or wrong
    sign_PNN = np.sign(reward_PN[:, :, None] - reward_PN[:, None, :])
    pairs_PNN = is_right_PN[:, :, None] & ~is_right_PN[:, None, :]
    return np.where(pairs_PNN, (1 + sign_PNN) / 2, 0.0).sum(axis=(1, 2)), pairs_PNN.sum(axis=(1, 2)).astype(float)


def auc_by_rounds(
    reward_B: Floats, right_B: NDArray[np.bool_], prompt_B: NDArray[np.intp], weight_RP: Floats
) -> Floats:
    """The area under the ROC curve over all replies of all prompts, each prompt weighted, shape (R,).

    It is the chance that a right reply has a higher reward than a wrong one, to whatever prompts; level ones are half.
    NaN where a round has no right reply, or no wrong one.

    Args:
        reward_B: rewards of all replies.
        right_B: which are right.
        prompt_B: whose reply it is.
        weight_RP: how often each prompt is there in each round.
    """
    order_B = np.argsort(reward_B, kind="stable")
    level_B = reward_B[order_B]
    ends_B = np.r_[level_B[1:] != level_B[:-1], True]
    return _areas(right_B[order_B], ends_B, prompt_B[order_B], weight_RP)


@njit(cache=True, nogil=True)
def _areas(
    right_B: NDArray[np.bool_], ends_B: NDArray[np.bool_], prompt_B: NDArray[np.intp], weight_RP: Floats
) -> Floats:
    """The areas, replies from the lowest reward to the highest; `ends_B` says where a group of level ones ends."""
    area_R = np.empty(len(weight_RP))
    for r in range(len(weight_RP)):
        all_right, all_wrong, right, wrong, won = 0.0, 0.0, 0.0, 0.0, 0.0
        for b in range(len(right_B)):
            weight = weight_RP[r, prompt_B[b]]
            if right_B[b]:
                right += weight
            else:
                wrong += weight
            if ends_B[b]:
                won += right * (all_wrong + wrong / 2)
                all_right += right
                all_wrong += wrong
                right, wrong = 0.0, 0.0
        area_R[r] = won / (all_right * all_wrong) if all_right * all_wrong > 0 else np.nan
    return area_R
