"""The gate by its laws, its interval by simulation, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.gate import gate


def world(chance: np.random.Generator, sizes: list[int], gain: float) -> tuple:
    """Hits of two models on prompts with two examples each; prompts agree within themselves."""
    base, other, domains, prompts = [], [], [], []
    for number, size in enumerate(sizes):
        for prompt in range(size):
            shift = chance.normal()
            for _ in range(2):
                before = chance.normal()
                base.append(before)
                other.append(before + gain + number - np.mean(range(len(sizes))) + shift + 0.3 * chance.normal())
                domains.append(f"d{number}")
                prompts.append(f"{number}-{prompt}")
    return base, other, domains, prompts


@given(st.integers(0, 2**31), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_domains_count_the_same_and_exchanging_the_models_turns_the_sign(seed: int, sizes: list[int]) -> None:
    base, other, domains, prompts = world(np.random.default_rng(seed), sizes, 0.2)
    found, turned = gate(base, other, domains, prompts), gate(other, base, domains, prompts)
    difference, where = np.subtract(other, base), np.array(domains)
    means = [difference[where == name].mean() for name in sorted(set(domains))]
    assert found.difference.value == pytest.approx(np.mean(means))
    assert turned.difference.value == pytest.approx(-found.difference.value)
    assert turned.difference.se == pytest.approx(found.difference.se)
    assert not (found.passed and turned.passed)
    assert found.other - found.base == pytest.approx(found.difference.value)


def test_a_domain_of_a_thousand_prompts_does_not_drown_one_of_ten() -> None:
    base = np.zeros(1010)
    other = np.r_[np.full(1000, 0.1), np.full(10, -1.0)] + np.random.default_rng(0).normal(0, 0.01, 1010)
    domains = ["large"] * 1000 + ["small"] * 10
    found = gate(base, other, domains, [str(number) for number in range(1010)])
    assert found.difference.value == pytest.approx(-0.45, abs=0.02)
    assert not found.passed
    assert found.reason.startswith("worse")
    assert [one.domain for one in found.domains] == ["large", "small"]


def test_one_domain_is_the_clustered_mean() -> None:
    from palaestra.stats import clustered

    chance = np.random.default_rng(5)
    base, other, domains, prompts = world(chance, [30], 1.0)
    found = gate(base, other, domains, prompts)
    cluster = np.unique(prompts, return_inverse=True)[1]
    expected = clustered.mean(np.subtract(other, base), cluster, 0.95)
    assert found.difference.se == pytest.approx(expected.se)
    assert found.difference.lower == pytest.approx(expected.lower)
    assert found.passed


def test_the_interval_covers_as_often_as_it_says() -> None:
    chance = np.random.default_rng(1)
    hits, rounds = 0, 400
    for _ in range(rounds):
        found = gate(*world(chance, [6, 12, 40, 8], 0.3)).difference
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= 0.3 <= found.upper
    assert hits / rounds == pytest.approx(0.95, abs=0.035)


def test_a_model_is_not_better_by_chance_more_often_than_it_should_be() -> None:
    chance = np.random.default_rng(2)
    passed = sum(gate(*world(chance, [5, 5, 5, 5, 5, 5], 0.0)).passed for _ in range(400))
    assert passed / 400 < 0.05


def test_few_prompts_prove_nothing_however_much_they_agree() -> None:
    for count, passed in ((1, False), (5, False), (6, True)):
        names = [str(number) for number in range(count)]
        found = gate(np.zeros(count), np.ones(count), ["a"] * count, names)
        assert found.passed is passed
    assert "expected at least 6" in gate([0, 0], [1, 1], ["a", "b"], ["x", "y"]).reason
    assert not gate(np.zeros(9), np.zeros(9), ["a"] * 9, list("abcdefghi")).passed


def test_a_prompt_asked_again_is_no_new_evidence() -> None:
    chance = np.random.default_rng(3)
    base, other = chance.normal(size=20), chance.normal(0.5, 1, 20)
    names = [str(number) for number in range(20)]
    once = gate(base, other, ["a"] * 20, names)
    often = gate(np.tile(base, 5), np.tile(other, 5), ["a"] * 100, names * 5)
    assert often.difference.se == pytest.approx(once.difference.se)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], [], [], []), "and some"),
        (([1], [1, 2], ["a"], ["x"]), "as many of each"),
        (([1, np.nan], [1, 2], ["a", "a"], ["x", "y"]), "no number"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said):
        gate(*arguments)
