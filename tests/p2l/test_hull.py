"""Routing by upper hulls, held against a solver of linear programs and against trying everything."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from palaestra.errors import InputError
from palaestra.p2l.budget import spread
from palaestra.p2l.hull import Hulls, at_budget, at_price, slopes, strictly, upper_hulls

COARSE = st.integers(0, 6).map(float)
FINE = st.floats(0, 1, allow_subnormal=False)
SEEN = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
"""What the solver can tell from nought: below a billionth a cost is none to it."""
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 7))


@st.composite
def problems(draw: st.DrawFn, fine: st.SearchStrategy[float] = FINE) -> tuple[np.ndarray, np.ndarray, float]:
    """Costs and values, often equal or in line, and a share of the way from the least cost to the greatest."""
    shape, numbers = draw(SHAPES), draw(st.sampled_from([COARSE, fine]))
    return draw(arrays(float, shape, elements=numbers)), draw(arrays(float, shape, elements=numbers)), draw(fine)


def solved(cost_M: np.ndarray, value_M: np.ndarray, budget: float) -> float:
    """The optimum of one prompt by scipy's solver."""
    ones = np.ones((1, len(cost_M)))
    found = linprog(-value_M, A_ub=cost_M[None], b_ub=[budget], A_eq=ones, b_eq=[1.0], bounds=(0, None))
    assert found.status == 0
    return float(-found.fun)


def solved_together(cost_PM: np.ndarray, value_PM: np.ndarray, total: float) -> float:
    """The optimum of many prompts under one budget by scipy's solver."""
    prompts, models = cost_PM.shape
    sums = np.kron(np.eye(prompts), np.ones((1, models)))
    found = linprog(
        -value_PM.ravel(), A_ub=cost_PM.reshape(1, -1), b_ub=[total], A_eq=sums, b_eq=np.ones(prompts), bounds=(0, None)
    )
    assert found.status == 0
    return float(-found.fun)


@given(problems(SEEN))
@settings(deadline=None, max_examples=150)
def test_each_prompt_gets_what_a_solver_finds(problem: tuple[np.ndarray, np.ndarray, float]) -> None:
    cost_PM, value_PM, share = problem
    low, high = cost_PM.min(axis=1).max(), max(cost_PM.max(), cost_PM.min(axis=1).max())
    budget = low + share * (high - low)
    found = at_budget(upper_hulls(cost_PM, value_PM), budget)
    assert (found.cost_P <= budget).all()
    chances_PM = found.chances(cost_PM.shape[1])
    assert chances_PM.sum(axis=1) == pytest.approx(1)
    assert (chances_PM >= 0).all()
    assert ((chances_PM > 0).sum(axis=1) <= 2).all()
    assert (chances_PM * value_PM).sum(axis=1) == pytest.approx(found.value_P, abs=1e-12)
    for row, value in enumerate(found.value_P):
        assert value == pytest.approx(solved(cost_PM[row], value_PM[row], budget), abs=1e-7)


@given(problems(SEEN))
@settings(deadline=None, max_examples=100)
def test_one_budget_for_all_gets_what_a_solver_finds(problem: tuple[np.ndarray, np.ndarray, float]) -> None:
    cost_PM, value_PM, share = problem
    least, most = math.fsum(cost_PM.min(axis=1)), math.fsum(cost_PM.max(axis=1))
    total = least + share * (most - least)
    found = spread(upper_hulls(cost_PM, value_PM), total)
    assert math.fsum(found.mixtures.cost_P) <= total
    assert found.mixtures.mixed_P.sum() <= 1
    assert found.mixtures.value_P.sum() == pytest.approx(solved_together(cost_PM, value_PM, total), abs=1e-7)


@given(problems(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_whole_mixtures_never_spend_more_whatever_is_drawn(
    problem: tuple[np.ndarray, np.ndarray, float], seed: int
) -> None:
    cost_PM, value_PM, share = problem
    least, most = math.fsum(cost_PM.min(axis=1)), math.fsum(cost_PM.max(axis=1))
    total = least + share * (most - least)
    whole = spread(upper_hulls(cost_PM, value_PM), total).mixtures.whole()
    drawn_P = whole.draw(seed)
    assert math.fsum(cost_PM[np.arange(len(drawn_P)), drawn_P]) <= total
    assert not whole.mixed_P.any()


@given(problems())
@settings(deadline=None, max_examples=100)
def test_the_strict_rule_is_the_best_single_model(problem: tuple[np.ndarray, np.ndarray, float]) -> None:
    cost_PM, value_PM, share = problem
    low = cost_PM.min(axis=1).max()
    budget = low + share * (max(cost_PM.max(), low) - low)
    found = strictly(cost_PM, value_PM, budget)
    best_P = np.where(cost_PM <= budget, value_PM, -np.inf).max(axis=1)
    assert (found.value_P == best_P).all()
    assert (found.cost_P <= budget).all()
    cheapest_P = np.where((cost_PM <= budget) & (value_PM == best_P[:, None]), cost_PM, np.inf).min(axis=1)
    assert (found.cost_P == cheapest_P).all(), "of equals, the cheaper"


@given(problems(), FINE)
@settings(deadline=None, max_examples=100)
def test_a_price_buys_the_greatest_surplus(problem: tuple[np.ndarray, np.ndarray, float], price: float) -> None:
    cost_PM, value_PM, _ = problem
    found = at_price(upper_hulls(cost_PM, value_PM), price)
    best_P = (value_PM - price * cost_PM).max(axis=1)
    assert found.value_P - price * found.cost_P == pytest.approx(best_P, abs=1e-9)


@given(problems())
@settings(deadline=None, max_examples=100)
def test_edges_rise_and_bend_down_and_nothing_lies_above(problem: tuple[np.ndarray, np.ndarray, float]) -> None:
    cost_PM, value_PM, _ = problem
    hulls = upper_hulls(cost_PM, value_PM)
    steep_PK = slopes(hulls)
    for row, corners in enumerate(hulls.corners_P):
        cost_K, value_K = hulls.cost_PK[row, :corners], hulls.value_PK[row, :corners]
        assert (np.diff(cost_K) > 0).all()
        assert (np.diff(value_K) > 0).all()
        assert (np.diff(steep_PK[row, : corners - 1]) <= 0).all()
        assert (value_PM[row] <= np.interp(cost_PM[row], cost_K, value_K) + 1e-12).all()


def test_the_walk_is_the_same_one_prompt_at_a_time() -> None:
    rng = np.random.default_rng(0)
    cost_PM, value_PM = rng.random((40, 9)), rng.random((40, 9))
    together = at_budget(upper_hulls(cost_PM, value_PM), 0.6)
    for row in range(40):
        alone = at_budget(upper_hulls(cost_PM[row], value_PM[row : row + 1]), 0.6)
        assert alone.value_P[0] == together.value_P[row]


def test_no_regret_on_an_enumerated_problem() -> None:
    """All assignments of 3 models to 6 prompts: none within the budget is worth more, and the price explains why."""
    rng = np.random.default_rng(1)
    cost_PM, value_PM = rng.integers(1, 9, (6, 3)).astype(float), rng.random((6, 3))
    rows = np.arange(6)
    tried = [(cost_PM[rows, picks].sum(), value_PM[rows, picks].sum()) for picks in product(range(3), repeat=6)]
    for total in np.linspace(cost_PM.min(axis=1).sum(), cost_PM.max(axis=1).sum(), 25):
        found = spread(upper_hulls(cost_PM, value_PM), float(total))
        best = max(value for cost, value in tried if cost <= total)
        assert found.mixtures.value_P.sum() >= best - 1e-12
        step = np.max(found.mixtures.high_value_P - found.mixtures.low_value_P)
        assert best >= found.mixtures.whole().value_P.sum() >= found.mixtures.value_P.sum() - step


def test_models_that_may_not_be_taken_are_not() -> None:
    hulls = upper_hulls([1.0, 2.0, 3.0], [[0.1, 0.9, 0.5]], [True, False, True])
    assert hulls.model_PK.tolist() == [[0, 2]]
    assert at_budget(hulls, None).high_P.tolist() == [2]


def test_what_is_free_is_compared_by_value_alone() -> None:
    found = at_budget(upper_hulls(np.zeros(3), [[0.2, 0.8, 0.5], [0.9, 0.8, 0.9]]), 0.0)
    assert found.high_P.tolist() == [1, 0]
    assert found.cost_P.tolist() == [0, 0]


def test_draws_follow_the_shares_and_the_seed() -> None:
    hulls = upper_hulls(np.array([0.0, 1.0]), np.tile([0.0, 1.0], (20_000, 1)))
    mixtures = at_budget(hulls, 0.3)
    assert mixtures.draw(0).mean() == pytest.approx(0.3, abs=0.02)
    assert (mixtures.draw(5) == mixtures.draw(5)).all()
    assert (mixtures.draw(5) != mixtures.draw(6)).any()


@pytest.mark.parametrize(
    ("cost", "value", "words"),
    [
        ([1.0, np.nan], [[0.0, 1.0]], "prompt 1, model 2: found the cost"),
        ([1.0, -1.0], [[0.0, 1.0]], "expected a finite number from 0 up"),
        ([1.0, 2.0], [[0.0, 1.0], [np.inf, 0.0]], "prompt 2, model 1: found the value"),
    ],
)
def test_what_is_no_number_is_refused(cost: list[float], value: list[list[float]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        upper_hulls(cost, value)


def hulls_of_two() -> Hulls:
    return upper_hulls(np.array([[2.0, 5.0], [3.0, 7.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))


@pytest.mark.parametrize("budget", [0.0, 2.5, float("nan")])
def test_a_budget_that_buys_nothing_is_said_with_the_least(budget: float) -> None:
    with pytest.raises(InputError, match="expected at least 3 for all of them"):
        at_budget(hulls_of_two(), budget)
    with pytest.raises(InputError, match="cheapest model"):
        strictly([[2.0, 5.0], [3.0, 7.0]], [[0.0, 1.0], [0.0, 1.0]], budget)


def test_a_total_that_buys_nothing_is_said_with_the_least() -> None:
    with pytest.raises(InputError, match=r"found a budget of 4\.9 for 2 prompts, but .* cost 5"):
        spread(hulls_of_two(), 4.9)
    assert spread(hulls_of_two(), 5.0).mixtures.cost_P.sum() == 5.0
    assert spread(hulls_of_two(), 12.0 + 1e-9).price == 0


def test_a_price_below_zero_is_refused() -> None:
    with pytest.raises(InputError, match="found a price of -1"):
        at_price(hulls_of_two(), -1.0)


def test_endless_money_buys_the_best_everywhere() -> None:
    """Hulls of different length: what lies beyond a prompt's last corner is not bought."""
    hulls = upper_hulls([[1, 2, 3], [1, 2, 3]], [[0.1, 0.5, 0.9], [0.9, 0.5, 0.1]])
    for found in (at_budget(hulls, np.inf), at_budget(hulls, None), spread(hulls, np.inf).mixtures):
        assert found.low_P.tolist() == found.high_P.tolist() == [2, 0]
        assert found.cost_P.tolist() == [3, 1]
        assert found.value_P.tolist() == [0.9, 0.9]
