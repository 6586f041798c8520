"""Preferences as arrays: replies, who of them was preferred to whom, and which prompts belong together.

Axes: `_N` replies, `_Q` preferences (one prompt's replies with their ranks), `_B` pairs of replies. Prompts that are
the same text are one cluster: folds and resampling never part them. Not here: features, and the likelihoods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.schema import Preference

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIRST, SECOND, LEVEL = 0, 1, 2
"""Outcomes of a pair."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Replies and how they compare.

    `of_N` is the preference of each reply, `rank_N` its rank, `cluster_Q` the prompt of each preference. Pairs are all
    pairs of replies of one preference; together they count `weight_Q`, so that `weight_B` is a part of it.
    """

    of_N: Integers
    rank_N: Integers
    weight_Q: Floats
    cluster_Q: Integers
    first_B: Integers
    second_B: Integers
    outcome_B: NDArray[np.int8]
    margin_B: Floats

    @property
    def of_B(self) -> Integers:
        """The preference of each pair."""
        return self.of_N[self.first_B]

    @property
    def share_B(self) -> Floats:
        """One over the number of pairs of each pair's preference."""
        of_B = self.of_B
        return 1.0 / np.bincount(of_B, minlength=len(self.weight_Q))[of_B]

    @property
    def weight_B(self) -> Floats:
        """What each pair counts."""
        return self.share_B * self.weight_Q[self.of_B]

    @property
    def clusters(self) -> int:
        """The number of distinct prompts."""
        return int(self.cluster_Q.max()) + 1

    @property
    def most_replies(self) -> int:
        """The largest number of replies that were ranked together."""
        return int(np.bincount(self.of_N).max())

    def centred(self, value_NK: Floats) -> Floats:
        """What replies differ by: the mean over the replies of a preference is taken off, shape (N, K)."""
        starts_Q = np.r_[0, np.flatnonzero(np.diff(self.of_N)) + 1]
        count_Q = np.diff(np.r_[starts_Q, len(self.of_N)])
        return value_NK - (np.add.reduceat(value_NK, starts_Q, axis=0) / count_Q[:, None])[self.of_N]


def compared(preferences: Sequence[Preference]) -> Comparisons:
    """The arrays of preferences, replies in the order in which they stand.

    Raises:
        InputError: there are none, all replies are level, or no two replies to one prompt differ.
    """
    if not preferences:
        raise InputError("found no preferences, expected some to learn from")
    _check_both_classes(preferences)
    counts_Q = np.array([len(one.replies) for one in preferences])
    starts_Q = np.r_[0, counts_Q.cumsum()[:-1]]
    rank_N = np.array([rank for one in preferences for rank in one.ranks])
    pairs = [
        (start + i, start + j) for start, count in zip(starts_Q, counts_Q, strict=True)
        for i, j in combinations(range(int(count)), 2)
    ]  # fmt: skip
    first_B, second_B = np.array(pairs, dtype=np.int64).T
    above_B = rank_N[second_B] - rank_N[first_B]
    outcome_B = np.where(above_B > 0, FIRST, np.where(above_B < 0, SECOND, LEVEL)).astype(np.int8)
    of_N = np.repeat(np.arange(len(preferences)), counts_Q)
    margin_Q = np.array([one.margin or 0.0 for one in preferences])
    names = {prompt: place for place, prompt in enumerate(dict.fromkeys(one.prompt for one in preferences))}
    return Comparisons(
        of_N=of_N,
        rank_N=rank_N,
        weight_Q=np.array([one.weight for one in preferences]),
        cluster_Q=np.array([names[one.prompt] for one in preferences]),
        first_B=first_B,
        second_B=second_B,
        outcome_B=outcome_B,
        margin_B=margin_Q[of_N[first_B]],
    )


def _check_both_classes(preferences: Sequence[Preference]) -> None:
    kinds = Counter(
        "level" if one.is_tie else "same" if len(set(one.replies)) == 1 else "decided"
        for one in preferences
        if one.weight > 0
    )
    if not kinds:
        raise InputError("found no preference with a weight above zero, expected some to learn from")
    if not kinds["decided"]:
        raise InputError(
            f"found {kinds['level']} preferences whose replies are level and {kinds['same']} whose replies are the "
            "same text, expected some where one reply is better than another"
        )
