"""Ranks that admit their uncertainty, from intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


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
