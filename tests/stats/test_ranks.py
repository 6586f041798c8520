"""Ranks from intervals, against the definition counted by hand; and for all at once, against a slow form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.stats.ranks import _BLOCK, _DRAWS, _greatest, rank_bounds, simultaneous_rank_bounds


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(0, 200)), min_size=1, max_size=12))
def test_equals_counting(models: list[tuple[float, float]]) -> None:
    lower_M = np.array([centre - half for centre, half in models])
    upper_M = np.array([centre + half for centre, half in models])
    best_M, worst_M = rank_bounds(lower_M, upper_M)
    for m in range(len(models)):
        assert best_M[m] == 1 + sum(lower > upper_M[m] for lower in lower_M)
        assert worst_M[m] == len(models) - sum(lower_M[m] > upper for upper in upper_M)
    assert (best_M <= worst_M).all()


def test_an_example() -> None:
    best_M, worst_M = rank_bounds(np.array([90.0, 80.0, 10.0]), np.array([110.0, 95.0, 20.0]))
    assert best_M.tolist() == [1, 1, 3]
    assert worst_M.tolist() == [2, 2, 3]


@given(seed=st.integers(0, 10_000), models=st.integers(2, 9), draws=st.integers(1, 2 * _BLOCK + 5))
@settings(max_examples=60, deadline=None)
def test_the_greatest_difference_is_that_of_all_pairs_to_the_last_digit(seed: int, models: int, draws: int) -> None:
    rng = np.random.default_rng(seed)
    noise_MR = rng.normal(size=(models, draws)).astype(np.float32)
    first, second = np.triu_indices(models, 1)
    kept = rng.random(len(first)) < 0.7
    first, second, inverse_P = first[kept], second[kept], rng.random(kept.sum()).astype(np.float32)
    slow_PR = np.abs(noise_MR[first] - noise_MR[second]) * inverse_P[:, None]
    assert (_greatest(noise_MR, first, second, inverse_P) == slow_PR.max(axis=0, initial=0)).all()


def stepdown(theta_M: np.ndarray, root_MQ: np.ndarray, confidence: float, seed: int) -> np.ndarray:
    """Which model is surely above which: all pairs that are left, again and again, none told apart beforehand."""
    size, covariance_MM = len(theta_M), root_MQ @ root_MQ.T
    normal_RQ = np.random.default_rng(seed).standard_normal((_DRAWS, root_MQ.shape[1]), dtype=np.float32)
    noise_MR = root_MQ.astype(np.float32) @ normal_RQ.T
    above_MM = np.zeros((size, size), dtype=bool)
    while True:
        left = [(i, j) for i in range(size) for j in range(i) if not above_MM[i, j] and not above_MM[j, i]]
        if not left:
            return above_MM
        spread = {(i, j): np.sqrt(covariance_MM[i, i] + covariance_MM[j, j] - 2 * covariance_MM[i, j]) for i, j in left}
        noise_R = np.max([abs(noise_MR[i] - noise_MR[j]) / spread[i, j] for i, j in left], axis=0)
        critical, told = np.quantile(noise_R, confidence), False
        for i, j in left:
            if abs(theta_M[i] - theta_M[j]) / spread[i, j] > critical:
                above_MM[(i, j) if theta_M[i] > theta_M[j] else (j, i)] = told = True
        if not told:
            return above_MM


@pytest.mark.parametrize("size", [3, 8, 40])
def test_ranks_for_all_at_once_are_those_of_the_slow_form(size: int) -> None:
    rng = np.random.default_rng(size)
    theta_M, root_MQ = rng.normal(size=size), 0.25 * rng.normal(size=(size, 12))
    above_MM = stepdown(theta_M, root_MQ, 0.95, 4)
    found = simultaneous_rank_bounds(theta_M, root_MQ @ root_MQ.T, confidence=0.95, seed=4, root_MQ=root_MQ)
    assert found[0].tolist() == (1 + above_MM.sum(axis=0)).tolist()
    assert found[1].tolist() == (size - above_MM.sum(axis=1)).tolist()
    assert above_MM.any()


def test_a_root_of_ones_own_changes_the_draws_alone() -> None:
    rng = np.random.default_rng(3)
    theta_M, root_MQ = rng.normal(size=30), 0.25 * rng.normal(size=(30, 12))
    own, found = (
        np.array(simultaneous_rank_bounds(theta_M, root_MQ @ root_MQ.T, confidence=0.95, seed=1, root_MQ=root))
        for root in (root_MQ, None)
    )
    assert np.abs(own - found).mean() < 0.5
