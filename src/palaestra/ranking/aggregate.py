"""Scores of many benchmarks made into one by counting who beats whom: Borda, and the mean win rate of HELM.

Both look at order only: a lead of a tenth of a point counts as much as one of thirty, and a model that enters or leaves
can swap two others. They have no intervals and stand beside goodness (`mpg.py`) for comparison.

Borda (1781); Liang et al., Holistic evaluation of language models (2023), for the mean win rate.
Axes: `_M` models, `_K` benchmarks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def beaten(score_MK: Floats) -> Floats:
    """How many others each model beats on each benchmark, half of one for a tie; that is, the average rank from below.

    Args:
        score_MK: higher is better, NaN where there is none, shape (M, K).

    Returns:
        Shape (M, K), NaN where there is no score.
    """
    return rankdata(score_MK, axis=0, nan_policy="omit") - 1


def borda(score_MK: Floats, weight_K: Floats) -> Floats:
    """Mean number of models beaten over the benchmarks that a model has, weighted, shape (M,).

    Args:
        score_MK: higher is better, NaN where there is none, shape (M, K).
        weight_K: of each benchmark, shape (K,).
    """
    beaten_MK = beaten(score_MK)
    weight_MK = np.where(np.isnan(beaten_MK), 0.0, weight_K)
    return np.nansum(beaten_MK * weight_MK, axis=1) / weight_MK.sum(axis=1)


def mean_win_rate(score_MK: Floats) -> Floats:
    """Share of the comparisons with another model on a benchmark that are won, a tie half, shape (M,).

    NaN for a model that has been compared with none.

    Args:
        score_MK: higher is better, NaN where there is none, shape (M, K).
    """
    there_MK = ~np.isnan(score_MK)
    compared_M = np.where(there_MK, there_MK.sum(axis=0) - 1, 0).sum(axis=1)
    won_M = np.nansum(beaten(score_MK), axis=1)
    return np.divide(won_M, compared_M, out=np.full(len(won_M), np.nan), where=compared_M > 0)
