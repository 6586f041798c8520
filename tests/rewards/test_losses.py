"""Losses: equal to enumeration and to each other where they meet; they recover what rankings were drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError

torch = pytest.importorskip("torch")

from palaestra.rewards.losses import bradley_terry, davidson, pairwise_k, plackett_luce, rao_kupper  # noqa: E402

REWARDS = st.lists(st.floats(-6, 6), min_size=2, max_size=5)


def _rows(rewards: list[float]) -> torch.Tensor:
    return torch.tensor([rewards], dtype=torch.float64)


def _enumerated(rewards: list[float], order: tuple[int, ...]) -> float:
    """The chance of an order: the best of all, then the best of the rest."""
    chance = 1.0
    for place, number in enumerate(order):
        chance *= math.exp(rewards[number]) / sum(math.exp(rewards[rest]) for rest in order[place:])
    return chance


def _ranks(order: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor([[order.index(number) + 1 for number in range(len(order))]])


@settings(max_examples=30, deadline=None)
@given(REWARDS)
def test_plackett_luce_is_the_chance_of_each_order_and_sums_to_one(rewards: list[float]) -> None:
    total = 0.0
    for order in permutations(range(len(rewards))):
        chance = math.exp(-plackett_luce(_rows(rewards), _ranks(order)).item())
        assert chance == pytest.approx(_enumerated(rewards, order), rel=1e-10)
        total += chance
    assert total == pytest.approx(1, rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(REWARDS, st.data())
def test_level_replies_cost_the_mean_over_all_orders_of_their_group(rewards: list[float], data: st.DataObject) -> None:
    ranks = data.draw(st.lists(st.integers(1, 3), min_size=len(rewards), max_size=len(rewards)))
    fitting = [
        order
        for order in permutations(range(len(rewards)))
        if all(ranks[order[place]] <= ranks[order[place + 1]] for place in range(len(order) - 1))
    ]
    expected = sum(-math.log(_enumerated(rewards, order)) for order in fitting) / len(fitting)
    assert plackett_luce(_rows(rewards), torch.tensor([ranks])).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_first_choices_alone_count_where_top_says_so() -> None:
    rewards, ranks = _rows([0.3, -1.0, 2.0, 0.5]), torch.tensor([[2, 4, 1, 3]])
    first = torch.logsumexp(rewards, -1) - 2.0
    second = torch.logsumexp(torch.tensor([0.3, -1.0, 0.5]).double(), -1) - 0.3
    assert plackett_luce(rewards, ranks, top=1).item() == pytest.approx(first.item())
    assert plackett_luce(rewards, ranks, top=2).item() == pytest.approx((first + second).item())
    assert plackett_luce(rewards, ranks, top=4).item() == pytest.approx(plackett_luce(rewards, ranks).item())


@pytest.mark.parametrize("loss", [plackett_luce, pairwise_k])
def test_missing_replies_change_nothing(loss: Callable[..., torch.Tensor]) -> None:
    rewards = torch.tensor([[0.3, -1.0, 0.7], [1.0, 0.2, 99.0]], dtype=torch.float64, requires_grad=True)
    together = loss(rewards, torch.tensor([[1, 3, 2], [2, 1, 0]]))
    apart = loss(rewards[:1], torch.tensor([[1, 3, 2]])) / 2 + loss(rewards[1:, :2], torch.tensor([[2, 1]])) / 2
    assert together.item() == pytest.approx(apart.item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(together, rewards)
    assert torch.isfinite(gradient).all()
    assert gradient[1, 2] == 0


@pytest.mark.parametrize("loss", [plackett_luce, pairwise_k])
def test_of_two_replies_both_losses_are_bradley_terry(loss: Callable[..., torch.Tensor]) -> None:
    chosen, rejected = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = torch.rand(50, dtype=torch.float64)
    found = loss(torch.stack([rejected, chosen], -1), torch.tensor([[2, 1]] * 50), weight_B=weight)
    assert found.item() == pytest.approx(bradley_terry(chosen, rejected, weight_B=weight).item(), rel=1e-12)


def test_pairs_of_a_comparison_count_alike_and_level_ones_half() -> None:
    rewards = [0.5, -0.2, 1.3]

    def of(i: int, j: int) -> float:
        return math.log1p(math.exp(rewards[j] - rewards[i]))

    assert pairwise_k(_rows(rewards), torch.tensor([[1, 2, 3]])).item() == pytest.approx(
        (of(0, 1) + of(0, 2) + of(1, 2)) / 3
    )
    assert pairwise_k(_rows(rewards), torch.tensor([[1, 1, 2]])).item() == pytest.approx(
        ((of(0, 1) + of(1, 0)) / 2 + of(0, 2) + of(1, 2)) / 3
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.05, 3))
def test_the_three_outcomes_of_a_pair_sum_to_one(first: float, second: float, eta: float) -> None:
    pair = (torch.tensor([first]).double(), torch.tensor([second]).double())
    for loss in (rao_kupper, davidson):
        chances = [math.exp(-loss(*pair, torch.tensor([outcome]), eta).item()) for outcome in range(3)]
        assert sum(chances) == pytest.approx(1, rel=1e-10)
        swapped = [math.exp(-loss(*pair[::-1], torch.tensor([outcome]), eta).item()) for outcome in (1, 0, 2)]
        assert swapped == pytest.approx(chances, rel=1e-10)


def test_without_ties_both_are_bradley_terry_and_their_ties_are_as_published() -> None:
    first, second = torch.tensor([0.4, -1.0]).double(), torch.tensor([-0.6, 0.5]).double()
    won = torch.zeros(2, dtype=torch.long)
    plain = bradley_terry(first, second).item()
    assert rao_kupper(first, second, won, 1e-12).item() == pytest.approx(plain, rel=1e-9)
    assert davidson(first, second, won, -60.0).item() == pytest.approx(plain, rel=1e-9)
    theta, nu, level = 1.7, 0.6, torch.tensor([2])
    a, b = math.exp(0.4), math.exp(-0.6)
    rao = (theta**2 - 1) * a * b / ((a + theta * b) * (b + theta * a))
    assert rao_kupper(first[:1], second[:1], level, math.log(theta)).item() == pytest.approx(-math.log(rao))
    david = nu * math.sqrt(a * b) / (a + b + nu * math.sqrt(a * b))
    assert davidson(first[:1], second[:1], level, math.log(nu)).item() == pytest.approx(-math.log(david))


def test_gradients_are_those_of_differences_and_know_no_constant() -> None:
    generator = torch.Generator().manual_seed(3)
    rewards = torch.randn(4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    ranks = torch.tensor([[1, 2, 3, 4, 5], [2, 2, 1, 3, 3], [1, 1, 1, 1, 1], [2, 0, 1, 0, 3]])
    outcome, eta = torch.tensor([0, 1, 2, 2]), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    losses = {
        "plackett_luce": lambda r: plackett_luce(r, ranks),
        "top": lambda r: plackett_luce(r, ranks, top=2),
        "pairwise_k": lambda r: pairwise_k(r, ranks),
        "bradley_terry": lambda r: bradley_terry(r[:, 0], r[:, 1], margin_B=torch.full((4,), 0.3)),
        "rao_kupper": lambda r: rao_kupper(r[:, 0], r[:, 1], outcome, eta),
        "davidson": lambda r: davidson(r[:, 0], r[:, 1], outcome, eta),
    }
    for name, loss in losses.items():
        assert torch.autograd.gradcheck(loss, (rewards,)), name
        (gradient,) = torch.autograd.grad(loss(rewards), rewards)
        assert gradient.sum(-1).abs().max() < 1e-15, name
    for tied in (rao_kupper, davidson):
        assert torch.autograd.gradcheck(lambda e, f=tied: f(rewards[:, 0], rewards[:, 1], outcome, e), (eta,))


def test_rankings_drawn_with_gumbel_noise_give_their_rewards_back() -> None:
    generator = torch.Generator().manual_seed(5)
    truth = torch.tensor([1.2, 0.4, 0.0, -0.5, -1.1], dtype=torch.float64)
    noise = -torch.log(torch.empty(5000, 5, dtype=torch.float64).exponential_(generator=generator))
    ranks = (-(truth + noise)).argsort(-1).argsort(-1) + 1
    for loss in (plackett_luce, pairwise_k):
        fitted = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([fitted], max_iter=50, line_search_fn="strong_wolfe")

        def closure(fitted: torch.Tensor = fitted, loss: Callable[..., torch.Tensor] = loss) -> torch.Tensor:
            fitted.grad = None
            value = loss(fitted.expand(5000, 5), ranks)
            value.backward()
            return value

        optimizer.step(closure)
        found = fitted.detach() - fitted.detach().mean()
        assert (found - (truth - truth.mean())).abs().max() < 0.06, loss


def test_more_level_replies_than_can_be_summed_over_are_refused() -> None:
    with pytest.raises(InputError, match="found 13 level replies of one prompt, expected at most 12"):
        plackett_luce(torch.zeros(1, 13), torch.ones(1, 13, dtype=torch.long))
