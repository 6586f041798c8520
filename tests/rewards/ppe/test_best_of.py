"""Curves, pairs and areas against enumeration and scikit-learn."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from palaestra.rewards.ppe.best_of import auc_by_rounds, best_of_curves, pair_wins, pick_chances

SAMPLES = st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=2, max_size=8)


def laid_out(found: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    rewards, right = zip(*found, strict=True)
    return np.array([rewards], dtype=float), np.array([right], dtype=float)


def enumerated(reward: np.ndarray, right: np.ndarray, size: int) -> float:
    means = []
    for drawn in combinations(range(len(reward)), size):
        best = max(reward[i] for i in drawn)
        means.append(np.mean([right[i] for i in drawn if reward[i] == best]))
    return float(np.mean(means))


@given(SAMPLES)
@settings(max_examples=80, deadline=None)
def test_curves_are_those_of_enumeration_with_level_rewards_too(found: list[tuple[int, bool]]) -> None:
    reward, right = laid_out(found)
    expected = [enumerated(reward[0], right[0], size) for size in range(1, len(found) + 1)]
    assert best_of_curves(reward, right)[0] == pytest.approx(expected, abs=1e-12)


@given(SAMPLES)
def test_a_curve_begins_at_the_mean_and_no_reward_beats_the_oracle(found: list[tuple[int, bool]]) -> None:
    reward, right = laid_out(found)
    curve, oracle = best_of_curves(reward, right)[0], best_of_curves(right, right)[0]
    assert curve[0] == pytest.approx(right.mean())
    assert (np.diff(oracle) >= -1e-12).all()
    assert (curve <= oracle + 1e-12).all()
    wrong = int((right == 0).sum())
    expected = [1 - comb(wrong, k) / comb(len(found), k) for k in range(1, len(found) + 1)]
    assert oracle == pytest.approx(expected)


@given(SAMPLES)
def test_constant_rewards_have_flat_curves_and_monotone_changes_change_nothing(found: list[tuple[int, bool]]) -> None:
    reward, right = laid_out(found)
    assert best_of_curves(np.zeros_like(reward), right)[0] == pytest.approx(np.full(len(found), right.mean()))
    moved = np.exp(reward / 3) * 5 - 2
    assert best_of_curves(moved, right) == pytest.approx(best_of_curves(reward, right))
    assert pair_wins(moved, right)[0] == pytest.approx(pair_wins(reward, right)[0])


def test_chances_to_be_picked_are_the_binomials() -> None:
    size = 32
    expected = [[comb(size - r, k - 1) / comb(size, k) for k in range(1, size + 1)] for r in range(1, size + 1)]
    assert pick_chances(size) == pytest.approx(np.array(expected), abs=1e-13)
    assert pick_chances(size).sum(axis=0) == pytest.approx(np.ones(size))


@given(SAMPLES)
def test_pairs_are_those_of_a_loop(found: list[tuple[int, bool]]) -> None:
    reward, right = laid_out(found)
    pairs = [(i, j) for i, j in product(range(len(found)), repeat=2) if right[0, i] and not right[0, j]]
    wins = sum(1.0 if reward[0, i] > reward[0, j] else 0.5 * (reward[0, i] == reward[0, j]) for i, j in pairs)
    assert [each[0] for each in pair_wins(reward, right)] == [wins, len(pairs)]


def test_the_area_is_scikit_learns_with_prompts_weighted() -> None:
    rng = np.random.default_rng(1)
    prompt, reward = rng.integers(0, 20, 300), rng.integers(0, 6, 300).astype(float)
    right = rng.random(300) < 0.3 + 0.05 * reward
    weights = np.vstack([np.ones(20), rng.multinomial(20, np.full(20, 0.05), size=7).astype(float)])
    expected = [roc_auc_score(right, reward, sample_weight=weight[prompt]) for weight in weights]
    assert auc_by_rounds(reward, right, prompt, weights) == pytest.approx(expected, abs=1e-12)


def test_without_a_wrong_reply_there_is_no_area() -> None:
    assert np.isnan(auc_by_rounds(np.arange(3.0), np.ones(3, dtype=bool), np.arange(3), np.ones((1, 3)))).all()
