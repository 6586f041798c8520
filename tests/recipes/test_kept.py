from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.recipes.experts_to_generalist.grades import Right
from palaestra.recipes.experts_to_generalist.kept import headrooms, kept, mean_interval
from palaestra.recipes.experts_to_generalist.plan import PLANS, Plan


def model(chance: np.random.Generator, prompts: int = 400, **share: float) -> Right:
    right = {name: (chance.random(prompts) < value).astype(float) for name, value in share.items()}
    return Right(right, {name: np.full(prompts, 3.0) for name in share})


def exact(**right: list[int]) -> Right:
    return Right({n: np.array(r, float) for n, r in right.items()}, {n: np.ones(len(r)) for n, r in right.items()})


def test_the_share_by_hand() -> None:
    base = exact(a=[0, 0, 0, 0], b=[1, 0, 0, 0])
    experts = exact(a=[1, 1, 1, 1], b=[1, 1, 1, 0])
    student = exact(a=[1, 1, 0, 0], b=[1, 1, 1, 0])
    found = kept(base, experts, [student])
    assert found.by_domain == {"a": 0.5, "b": 1.0}
    assert found.value == 0.75
    assert found.worst == "a"
    assert headrooms(base, experts) == {"a": 1.0, "b": 0.5}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_who_is_the_expert_keeps_all_and_who_is_the_base_nothing(seed: int) -> None:
    chance = np.random.default_rng(seed)
    base, experts = model(chance, 60, a=0.1, b=0.3), model(chance, 60, a=0.9, b=0.9)
    assert kept(base, experts, [experts, experts]).value == pytest.approx(1)
    assert kept(base, experts, [base]).value == pytest.approx(0)


def test_a_domain_without_headroom_is_left_out_and_named() -> None:
    base, experts = exact(a=[0, 0], b=[1, 1]), exact(a=[1, 1], b=[1, 0])
    assert kept(base, experts, [experts]).left_out == ("b",)
    with pytest.raises(InputError, match="no domain whose expert is better"):
        kept(base, base, [base])


def test_intervals_hold_the_truth() -> None:
    """Over 120 worlds, of which nineteen in twenty should be held."""
    chance = np.random.default_rng(1)
    truth = ((0.7 - 0.2) / (0.9 - 0.2) + (0.85 - 0.4) / (0.95 - 0.4)) / 2
    held = []
    for seed in range(120):
        base, experts = model(chance, 200, a=0.2, b=0.4), model(chance, 200, a=0.9, b=0.95)
        students = [model(chance, 200, a=0.7, b=0.85) for _ in range(3)]
        found = kept(base, experts, students, seed=seed, rounds=400)
        held.append(found.lower <= truth <= found.upper)
    assert np.mean(held) >= 0.88


def test_a_mean_over_domains_and_seeds() -> None:
    value, low, high = mean_interval([exact(a=[1, 0], b=[1, 1]), exact(a=[1, 1], b=[1, 1])])
    assert value == pytest.approx(0.875)
    assert low <= value <= high


def test_equal_compute_counts_the_experts() -> None:
    plan = Plan(domains=("add", "sub"), batch=10, expert_steps=30, distill_steps=20, distill_batch=5)
    assert plan.equal_steps == 10
    assert plan.total_steps == round((3 * 2 * 30 * 10 + 5 * 100) / 30)
    assert len(PLANS["whole"].domains) >= 24
