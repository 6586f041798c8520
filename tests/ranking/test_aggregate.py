"""Borda and the mean win rate: by counting comparisons one by one, and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from palaestra.ranking.aggregate import borda, mean_win_rate

shapes = st.tuples(st.integers(2, 6), st.integers(1, 5))
scores = shapes.flatmap(lambda shape: arrays(float, shape, elements=st.integers(0, 4).map(float)))
holes = shapes.flatmap(lambda shape: arrays(float, shape, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan])))


def won_and_compared(score_MK: np.ndarray, model: int, benchmark: int) -> tuple[float, int]:
    """Half a win for a tie; nothing where one of the two has no score."""
    mine = score_MK[model, benchmark]
    others = [score for other, score in enumerate(score_MK[:, benchmark]) if other != model and score == score]  # noqa: PLR0124 - not NaN
    if mine != mine:  # noqa: PLR0124 - NaN
        return 0.0, 0
    return sum((mine > other) + (mine == other) / 2 for other in others), len(others)


@given(holes)
@settings(max_examples=80, deadline=None)
def test_both_count_comparisons(score_MK: np.ndarray) -> None:
    models, benchmarks = score_MK.shape
    weight_K = np.arange(1.0, benchmarks + 1)
    with np.errstate(invalid="ignore"):
        borda_M, rate_M = borda(score_MK, weight_K), mean_win_rate(score_MK)
    for model in range(models):
        counted = [won_and_compared(score_MK, model, k) for k in range(benchmarks)]
        compared = sum(count for _, count in counted)
        if compared:
            assert rate_M[model] == pytest.approx(sum(won for won, _ in counted) / compared)
        else:
            assert np.isnan(rate_M[model])
        there = [k for k in range(benchmarks) if not np.isnan(score_MK[model, k])]
        if there:
            expected = sum(weight_K[k] * counted[k][0] for k in there) / sum(weight_K[k] for k in there)
            assert borda_M[model] == pytest.approx(expected)


@given(scores)
@settings(max_examples=60, deadline=None)
def test_with_all_results_and_equal_weights_they_are_one(score_MK: np.ndarray) -> None:
    models, benchmarks = score_MK.shape
    borda_M, rate_M = borda(score_MK, np.ones(benchmarks)), mean_win_rate(score_MK)
    assert borda_M == pytest.approx((models - 1) * rate_M)
    assert rate_M.sum() == pytest.approx(models / 2)
    assert mean_win_rate(-score_MK) == pytest.approx(1 - rate_M)
    assert mean_win_rate(np.exp(score_MK)) == pytest.approx(rate_M), "only the order counts"


def test_a_third_model_can_swap_two_others() -> None:
    """Why they stand beside goodness and not in its place."""
    score_MK = np.array([[3.0, 3.0, 0.0], [2.0, 2.0, 3.0]])
    third = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0], [0.0, 0.0, 2.5]])
    assert np.diff(mean_win_rate(score_MK))[0] < 0
    assert np.diff(mean_win_rate(np.vstack([score_MK, third])))[0] > 0
