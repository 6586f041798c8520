"""The board of some votes is the top of its posterior, however lopsided they are, and far from the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from palaestra.p2l.local import _Plain, shrunk
from palaestra.stats.likelihoods import log_probability
from palaestra.store.prompted_votes import PromptedVotes


def votes_of(outcomes: list[int]) -> PromptedVotes:
    size = len(outcomes)
    return PromptedVotes(
        ("p",), ("a", "b"), np.zeros(size, np.int32), np.zeros(size, np.int32), np.ones(size, np.int32),
        np.array(outcomes, np.int8), np.ones(size), np.full(size, -1, np.int32), (), (None,),
    )  # fmt: skip


@given(
    counts=st.tuples(*[st.integers(0, 60)] * 4).filter(any),
    lean=st.sampled_from([0.25, 1.0, 2.0]),
    shape=st.sampled_from([-0.5, 2.0]),
)
@example(counts=(0, 14, 2, 29), lean=2.0, shape=2.0)  # a subject of MMLU, where whole steps ended in NaN
@settings(max_examples=40, deadline=None)
def test_a_grounded_board_is_the_top_of_its_posterior(
    counts: tuple[int, int, int, int], lean: float, shape: float
) -> None:
    plain = _Plain(np.array([1.36634915, 0.77131085]), shape)
    outcomes = [outcome for outcome, count in enumerate(counts) for _ in range(count)]
    found_M = shrunk("grounded", votes_of(outcomes), np.arange(len(outcomes)), plain, lean)

    def loss(theta_M: np.ndarray) -> float:
        d, c = theta_M[0] - theta_M[1], theta_M.mean()
        said = sum(count * log_probability(3, outcome, d, c, shape) for outcome, count in enumerate(counts))
        return 0.5 * float(np.square(theta_M - plain.theta_M).sum()) / lean**2 - said

    best = min(
        minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).fun
        for start in (plain.theta_M, found_M)
    )
    assert loss(found_M) == pytest.approx(best, abs=1e-6)
