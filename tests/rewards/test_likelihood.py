"""Likelihoods of preferences: their sums, their derivatives, enumeration, and the same on tensors."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from palaestra.errors import InputError
from palaestra.rewards.comparisons import compared
from palaestra.rewards.likelihood import Law, Likelihood, chance, law_for
from palaestra.schema import Message, Preference

LAWS = ("bradley-terry", "rao-kupper", "davidson", "plackett-luce")
SCORES = st.floats(-4, 4)


def ranked(*rankings: tuple[int, ...], margin: float | None = None) -> list[Preference]:
    return [
        Preference(
            id=str(place), prompt=(Message.of("user", f"q{place}"),), ranks=ranks, margin=margin,
            replies=tuple(f"r{number}" for number in range(len(ranks))),
        )
        for place, ranks in enumerate(rankings)
    ]  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
@given(st.lists(SCORES, min_size=10, max_size=10), st.floats(-2, 1))
@settings(max_examples=25, deadline=None)
def test_derivatives_are_those_of_the_loss_and_a_shift_changes_nothing(
    law: Law, scores: list[float], shape: float
) -> None:
    likelihood = Likelihood(law, compared(ranked((1, 2), (2, 1), (1, 1), (2, 1, 1, 3))))
    reward_N = np.array(scores)
    found = likelihood(reward_N, shape)
    numeric = approx_fprime(reward_N, lambda at: likelihood(at, shape).loss_Q.sum(), 1e-7)
    np.testing.assert_allclose(found.by_reward_N, numeric, atol=2e-5)
    by_shape = approx_fprime([shape], lambda at: likelihood(reward_N, at[0]).loss_Q.sum(), 1e-7)
    assert found.by_shape_Q.sum() == pytest.approx(by_shape[0], abs=2e-5)
    np.testing.assert_allclose(likelihood(reward_N + 3.7, shape).loss_Q, found.loss_Q, atol=1e-9)


@pytest.mark.parametrize("law", ["rao-kupper", "davidson"])
@given(SCORES, SCORES, st.floats(-3, 1))
@settings(deadline=None)
def test_three_outcomes_have_probabilities_that_sum_to_one(law: Law, first: float, second: float, shape: float) -> None:
    likelihood = Likelihood(law, compared(ranked((1, 2), (2, 1), (1, 1))))
    losses = likelihood(np.array([first, second] * 3), shape).loss_Q
    assert np.exp(-losses).sum() == pytest.approx(1, abs=1e-9)
    given_decided = np.exp(-losses[0]) / np.exp(-losses[:2]).sum()
    assert chance(law, np.array([first - second]), shape)[0] == pytest.approx(given_decided, abs=1e-9)


@given(st.lists(SCORES, min_size=4, max_size=4))
@settings(deadline=None)
def test_plackett_luce_sums_to_one_over_all_orders(scores: list[float]) -> None:
    orders = [tuple(one) for one in permutations((1, 2, 3, 4))]
    losses = Likelihood("plackett-luce", compared(ranked(*orders)))(np.tile(scores, len(orders))).loss_Q
    assert np.exp(-losses).sum() == pytest.approx(1, abs=1e-9)


@given(st.lists(SCORES, min_size=5, max_size=5), st.lists(st.integers(1, 3), min_size=5, max_size=5))
@settings(deadline=None)
def test_level_replies_count_with_the_mean_over_all_their_orders(scores: list[float], ranks: list[int]) -> None:
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), 1)}
    weak = tuple(places[rank] for rank in ranks)
    orders = [one for one in permutations(range(5)) if all(weak[a] <= weak[b] for a, b in pairwise(one))]
    plain = [
        sum(np.logaddexp.reduce([scores[place] for place in order[at:]]) - scores[order[at]] for at in range(5))
        for order in orders
    ]
    found = Likelihood("plackett-luce", compared(ranked(weak, (1, 2))))(np.array([*scores, 0.0, 0.0]))
    assert found.loss_Q[0] == pytest.approx(np.mean(plain), abs=1e-9)


def test_the_numbers_are_those_of_the_losses_on_tensors() -> None:
    torch = pytest.importorskip("torch")
    from palaestra.rewards import losses

    rng = np.random.default_rng(0)
    outcomes = rng.integers(0, 3, 60)
    outcomes[:3] = 0, 1, 2
    rankings = [((1, 2), (2, 1), (1, 1))[outcome] for outcome in outcomes]
    reward_N = rng.normal(size=120)
    first, second = torch.tensor(reward_N[::2]), torch.tensor(reward_N[1::2])
    comparisons, outcome = compared(ranked(*rankings)), torch.tensor(outcomes)
    rao = Likelihood("rao-kupper", comparisons)(reward_N, np.log(0.4)).loss_Q.mean()
    assert rao == pytest.approx(float(losses.rao_kupper(first, second, outcome, 0.4)), abs=1e-9)
    davidson = Likelihood("davidson", comparisons)(reward_N, -0.3).loss_Q.mean()
    assert davidson == pytest.approx(float(losses.davidson(first, second, outcome, -0.3)), abs=1e-9)
    decided = compared(ranked((1, 2), margin=0.7))
    plain = losses.bradley_terry(
        torch.tensor([0.3]).double(), torch.tensor([-0.2]).double(), margin_B=torch.tensor([0.7])
    )
    found = Likelihood("bradley-terry", decided, margins=True)(np.array([0.3, -0.2])).loss_Q[0]
    assert found == pytest.approx(float(plain), abs=1e-7)
    rank_BK = rng.permuted(np.tile([1, 2, 3, 3, 4], (20, 1)), axis=1)
    reward_BK = rng.normal(size=rank_BK.shape)
    several = compared(ranked(*(tuple(int(rank) for rank in row) for row in rank_BK)))
    luce = losses.plackett_luce(torch.tensor(reward_BK), torch.tensor(rank_BK))
    assert Likelihood("plackett-luce", several)(reward_BK.ravel()).loss_Q.mean() == pytest.approx(float(luce), abs=1e-9)


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with pytest.raises(InputError, match="2 preferences whose replies are level"):
        compared(ranked((1, 1), (1, 1)))
    same = [one.model_copy(update={"replies": ("a", "a")}) for one in ranked((1, 2))]
    with pytest.raises(InputError, match="1 whose replies are the same text"):
        compared(same)
    decided = compared(ranked((1, 2), (2, 1)))
    with pytest.raises(InputError, match="found no level replies"):
        law_for("davidson", decided)
    with pytest.raises(InputError, match="found margins with the loss davidson"):
        Likelihood("davidson", decided, margins=True)
    assert law_for("auto", decided) == "bradley-terry"
    assert law_for("auto", compared(ranked((1, 2), (1, 1)))) == "rao-kupper"
    assert law_for("auto", compared(ranked((1, 2, 3)))) == "plackett-luce"
