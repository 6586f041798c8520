"""Ranks from intervals, against the definition counted by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from palaestra.stats.ranks import rank_bounds


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
