"""Merging methods by their laws, and against slow and simple versions of themselves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.merging.methods import elected, karcher, linear, model_stock, slerp, task_arithmetic
from palaestra.posttrain.merging.recipe import depths, recipe_of
from palaestra.posttrain.merging.sparse import chances, dare, della, trimmed

SEEDS = st.integers(0, 2**31)
COUNTS = st.integers(2, 6)


def drawn(seed: int, count: int, *shape: int) -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.randn(shape or (5, 7), generator=chance, dtype=torch.float64) for _ in range(count)]


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@given(SEEDS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_a_model_merged_with_itself_is_itself(seed: int, count: int) -> None:
    start, expert = drawn(seed, 2)
    weights = np.random.default_rng(seed).uniform(0.1, 1, count).tolist()
    copies = [expert] * count
    changes = [expert - start] * count
    close(linear(copies, weights), expert)
    close(karcher(copies, weights), expert)
    close(model_stock(start, copies), expert)
    close(elected(start, changes, weights), expert)
    close(task_arithmetic(start, changes, weights, normalize=True), expert)
    close(slerp(expert, expert, 0.3), expert)


@given(SEEDS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_the_order_of_experts_does_not_matter(seed: int, count: int) -> None:
    start, *experts = drawn(seed, count + 1)
    chance = np.random.default_rng(seed)
    weights = chance.uniform(0.1, 1, count)
    order = chance.permutation(count)
    again, other = [experts[place] for place in order], weights[order].tolist()
    close(linear(experts, weights.tolist()), linear(again, other))
    close(karcher(experts, weights.tolist()), karcher(again, other))
    close(model_stock(start, experts), model_stock(start, again))
    close(elected(start, experts, weights.tolist()), elected(start, again, other))


@given(SEEDS, COUNTS, st.floats(0.05, 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_ties_is_what_the_paper_says_entry_by_entry(seed: int, count: int, density: float, divided: bool) -> None:  # noqa: FBT001
    start, *experts = drawn(seed, count + 1, 4, 3)
    weights = np.random.default_rng(seed).uniform(0.1, 1, count).tolist()
    kept = [trimmed(expert - start, density) for expert in experts]
    most = max(1, int(density * 12))
    for change, expert in zip(kept, experts, strict=True):
        whole = (expert - start).abs().flatten().tolist()
        assert int((change != 0).sum()) == (most if density < 1 else 12)
        assert sorted(change.abs().flatten().tolist())[-most:] == sorted(whole)[-most:]
    found = elected(start, kept, weights, scale=0.7, normalize=divided)
    for place in itertools.product(range(4), range(3)):
        votes = [(weight, float(change[place])) for weight, change in zip(weights, kept, strict=True)]
        sign = 1 if sum(weight * vote for weight, vote in votes) >= 0 else -1
        winners = [(weight, vote) for weight, vote in votes if vote * sign > 0]
        said = sum(weight * vote for weight, vote in winners)
        said /= (sum(weight for weight, _ in winners) or 1) if divided else 1
        assert float(found[place]) == pytest.approx(float(start[place]) + 0.7 * said, abs=1e-9)


def test_of_equal_entries_the_first_stay() -> None:
    assert trimmed(torch.tensor([1.0, -2, 2, 2, 0]), 0.4).tolist() == [0, -2, 2, 0, 0]
    assert trimmed(torch.zeros(4), 0.5).tolist() == [0, 0, 0, 0]
    assert trimmed(torch.tensor(3.0), 0.1).tolist() == 3


@given(SEEDS, st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_slerp_walks_the_great_circle(seed: int, t: float) -> None:
    one, two = (tensor / tensor.norm() for tensor in drawn(seed, 2))
    between = slerp(one, two, t)
    assert float(between.norm()) == pytest.approx(1)
    angle = math.acos(float((one * two).sum()))
    assert math.acos(min(float((one * between).sum()), 1)) == pytest.approx(t * angle, abs=1e-6)
    close(between, slerp(two, one, 1 - t))


def test_slerp_of_opposite_and_empty_directions_takes_the_chord() -> None:
    one = torch.tensor([1.0, 0.0])
    assert slerp(one, -one, 0.25).tolist() == [0.5, 0]
    assert slerp(torch.zeros(2), one, 0.5).isfinite().all()


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_karcher_mean_of_two_is_half_way_and_of_many_has_no_pull_left(seed: int) -> None:
    one, two = (tensor / tensor.norm() for tensor in drawn(seed, 2))
    close(karcher([one, two], [1.0, 1.0]), slerp(one, two, 0.5))
    many = drawn(seed, 4)
    many = [tensor + 2 for tensor in many]
    mean = karcher(many, [0.25] * 4, iterations=100, tolerance=1e-12)
    assert float(mean.norm()) == pytest.approx(sum(float(tensor.norm()) for tensor in many) / 4)
    at = mean / mean.norm()
    pull = torch.zeros_like(at)
    for tensor in many:
        unit = tensor / tensor.norm()
        cosine = float((unit * at).sum())
        away = unit - cosine * at
        pull += math.acos(cosine) * away / away.norm()
    assert float(pull.norm()) < 1e-9


def test_the_karcher_mean_leaves_out_what_has_no_direction() -> None:
    one = torch.tensor([3.0, 4.0])
    assert karcher([one, torch.zeros(2)], [0.5, 0.5]).tolist() == pytest.approx([1.5, 2.0])
    assert karcher([torch.zeros(2), torch.zeros(2)], [0.5, 0.5]).tolist() == [0, 0]
    assert karcher([one, -one], [0.5, 0.5]).isfinite().all()


@given(SEEDS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_model_stock_takes_the_mean_cosine_of_all_pairs(seed: int, count: int) -> None:
    start, *experts = drawn(seed, count + 1)
    changes = [expert - start for expert in experts]
    cosines = [float((one * two).sum() / one.norm() / two.norm()) for one, two in itertools.combinations(changes, 2)]
    cosine = sum(cosines) / len(cosines)
    share = count * cosine / (1 + (count - 1) * cosine)
    close(model_stock(start, experts), share * sum(experts) / count + (1 - share) * start)


def test_model_stock_stays_at_the_base_where_changes_are_at_right_angles_or_cancel() -> None:
    start, change = torch.zeros(2), torch.tensor([1.0, 0.0])
    assert model_stock(start, [change, torch.tensor([0.0, 1.0])]).tolist() == pytest.approx([0, 0])
    assert model_stock(start, [change, -change]).tolist() == pytest.approx([0, 0])
    assert model_stock(start, [start, start]).tolist() == [0, 0]


def test_changes_too_small_for_mergekit_agree_as_larger_ones_do() -> None:
    start, *experts = drawn(3, 4)
    large, small = model_stock(start, experts), model_stock(start, [start + 1e-5 * (one - start) for one in experts])
    torch.testing.assert_close((small - start) * 1e5, large - start, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("drop", [lambda d, g: dare(d, 0.3, g), lambda d, g: della(d, 0.5, 0.4, g)])
def test_what_chance_keeps_is_right_in_expectation(drop: Callable[..., torch.Tensor]) -> None:
    change = drawn(0, 1, 6, 8)[0]
    chance = torch.Generator().manual_seed(1)
    rounds = torch.stack([drop(change, chance) for _ in range(4000)])
    error = rounds.std(0) / 4000**0.5
    assert float(((rounds.mean(0) - change).abs() / error).max()) < 5


def test_dellas_chances_rise_with_the_rank_of_size_in_the_row() -> None:
    change = torch.tensor([[0.1, -3.0, 2.0], [5.0, -4.0, 0.0]])
    expected = torch.tensor([[0.4, 0.6, 0.5], [0.6, 0.5, 0.4]])
    torch.testing.assert_close(chances(change, 0.5, 0.1), expected)
    torch.testing.assert_close(chances(torch.tensor([[2.0], [1.0]]), 0.5, 0.1), torch.tensor([[0.5], [0.5]]))
    with pytest.raises(InputError, match="between 0 and 1"):
        della(change, 0.9, 0.2, torch.Generator())


EXPERTS = [{"model": "a"}, {"model": "b"}]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"method": "linear", "density": 0.5}, "found density with linear"),
        ({"method": "karcher", "lambda": 0.5}, "found lambda with karcher"),
        ({"method": "ties", "epsilon": 0.1}, "found epsilon with ties"),
        ({"method": "ties", "rescale": "norm"}, "found rescale with ties"),
        ({"method": "slerp", "normalize": True}, "found normalize with slerp"),
        ({"method": "model-stock", "expert": [{"model": "a", "weight": 1.0}, {"model": "b"}]}, "finds its own"),
        ({"method": "model-stock", "expert": [{"model": "a"}]}, "at least two"),
        ({"method": "slerp", "expert": [*EXPERTS, {"model": "c"}]}, "one or two"),
        ({"method": "della", "density": 0.95}, "between 0 and 1"),
        ({"method": "ties", "density": 1.5}, "less than or equal to 1"),
        ({"method": "ties", "lambda": math.nan}, "finite"),
        ({"method": "teis"}, "method"),
        ({"domains": {"math": 1.0}}, "each expert's domain"),
        ({"expert": [{"model": "a", "weight": []}]}, "at least one number"),
        ({"expert": []}, "at least 1"),
        ({"epxert": []}, "epxert"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_hold_together_is_refused(told: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        recipe_of({"base": "base", "expert": EXPERTS, **told})


def test_weights_go_by_layer_part_and_domain() -> None:
    names = ["embed.weight", "layers.0.mlp.up", "layers.1.mlp.up", "layers.2.mlp.up", "layers.2.attn.q", "head.weight"]
    assert list(depths(names).values()) == [0, 0, 0.5, 1, 1, 0]
    recipe = recipe_of(
        {
            "base": "base",
            "domains": {"math": 0.6, "code": 0.4},
            "expert": [
                {"model": "a", "domain": "math", "weight": [1, 3]},
                {"model": "b", "domain": "math", "weight": 3, "parts": {"attn": 0}},
                {"model": "c", "domain": "code"},
            ],
        }
    )
    assert recipe.weights_at(names[1], 0) == pytest.approx([0.15, 0.45, 0.4])
    assert recipe.weights_at(names[2], 0.5) == pytest.approx([0.24, 0.36, 0.4])
    assert recipe.weights_at(names[3], 1) == pytest.approx([0.3, 0.3, 0.4])
    assert recipe.weights_at(names[4], 1) == pytest.approx([0.6, 0, 0.4])
    plain = recipe_of({"base": "base", "expert": EXPERTS})
    assert plain.weights_at("x", 0) == [0.5, 0.5]
    cancelled = recipe_of(
        {"base": "b", "method": "linear", "expert": [{"model": "a", "weight": 1}, {"model": "b", "weight": -1}]}
    )
    with pytest.raises(InputError, match="another sum than 0"):
        cancelled.weights_at("x", 0)
