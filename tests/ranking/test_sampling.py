"""Which pair next: the closed form against doing it, propensities that are exact, and votes that it saves."""

from __future__ import annotations

import runpy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from worlds import davidson_votes

from palaestra.errors import InputError
from palaestra.ranking import PairPlan, fit, pair_probabilities, plan_for_board, plan_pairs
from palaestra.ranking.sampling import PRIOR_SD

NAMES = [f"m{m}" for m in range(6)]
SEEDS = st.integers(0, 10_000)


def world(seed: int, models: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(models, models)) * 0.3
    return rng.normal(size=models), root @ root.T + 0.01 * np.eye(models)


def differences(matrix: np.ndarray) -> np.ndarray:
    diagonal = np.diag(matrix)
    return diagonal[:, None] + diagonal[None, :] - 2 * matrix


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_the_gain_is_what_a_vote_takes_off(seed: int) -> None:
    """Information by a pseudo-inverse, the prior's and the vote's added, inverted, variances summed."""
    theta, covariance = world(seed)
    plan = plan_pairs(NAMES, theta, covariance, top=6, explore=0)
    centred = np.eye(6) - 1 / 6
    known = np.linalg.pinv(centred @ covariance @ centred, hermitian=True) + np.eye(6) / PRIOR_SD**2
    before, mean = np.linalg.inv(known), np.linalg.solve(known, (known - np.eye(6) / PRIOR_SD**2) @ theta)
    i, j = np.random.default_rng(seed).choice(6, 2, replace=False)
    p, z = expit(mean[i] - mean[j]), np.eye(6)[i] - np.eye(6)[j]
    after = np.linalg.inv(known + p * (1 - p) * np.outer(z, z))
    total = 0.0
    for a, b in combinations(range(6), 2):
        total += differences(before)[a, b] - differences(after)[a, b]
    assert plan.gain_MM[i, j] == pytest.approx(total, rel=2e-3), "all are among the best six: r is 1000.5 / 1001"


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, explore=st.floats(0, 1))
def test_propensities_are_probabilities(seed: int, explore: float) -> None:
    theta, covariance = world(seed)
    plan = plan_pairs(NAMES, theta, covariance, top=2, explore=explore)
    upper = np.triu(plan.probability_MM)
    assert upper.sum() == pytest.approx(1)
    np.testing.assert_array_equal(plan.probability_MM, plan.probability_MM.T)
    assert (np.diag(plan.probability_MM) == 0).all()
    assert upper[np.triu_indices(6, 1)].min() >= explore / 15 - 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, level=st.floats(-20, 20), fixed=st.integers(0, 5))
def test_neither_level_nor_gauge_matters(seed: int, level: float, fixed: int) -> None:
    """One model fixed at zero, or the mean: the same knowledge, the same plan."""
    theta, covariance = world(seed)
    to_fixed = np.eye(6) - np.outer(np.ones(6), np.eye(6)[fixed])
    plan = plan_pairs(NAMES, theta, covariance, top=6)
    other = plan_pairs(NAMES, theta + level, to_fixed @ covariance @ to_fixed.T, top=6)
    np.testing.assert_allclose(other.gain_MM, plan.gain_MM, rtol=1e-6, atol=1e-9)


def test_the_same_numbers_give_the_same_plan() -> None:
    first, second = (plan_pairs(NAMES, *world(1), top=2) for _ in range(2))
    np.testing.assert_array_equal(first.probability_MM, second.probability_MM)


def test_what_is_open_and_high_comes_first() -> None:
    theta = np.array([1.0, 0.95, 0.5, -0.5, -0.52, -2.0])
    plan = plan_pairs(NAMES, theta, np.diag(np.full(6, 0.02)), top=2, explore=0.1)
    assert set(plan.best(1)[0][:2]) == {"m0", "m1"}
    low = plan.probability_MM[3, 4]
    assert low < plan.probability_MM[0, 1] / 5, "an open order at the bottom matters less"


def test_a_model_without_votes_meets_the_others_first() -> None:
    votes = davidson_votes(np.array([0.8, 0.4, 0.0, -0.4, -0.8]), 4000, np.random.default_rng(0))
    board = fit(votes)
    names = [line.model for line in board.models]
    plan = plan_for_board(board, [*names, "newcomer"], top=3)
    assert all("newcomer" in pair[:2] for pair in plan.best(3))
    chances = pair_probabilities(board, names[:3])
    assert sum(chances.values()) == pytest.approx(1)
    assert set(chances) == {(names[0], names[1]), (names[0], names[2]), (names[1], names[2])}
    nobody = plan_for_board(fit(votes.clear()), ["a", "b", "c"])
    assert nobody.probability_MM[0, 1] == pytest.approx(1 / 3)


def test_a_newcomer_is_as_uncertain_as_the_prior_says() -> None:
    """One vote about a difference of variance 2 v, of even strengths: h = 1/4."""
    plan = plan_pairs(["a", "b"], np.zeros(2), np.zeros((2, 2)), part_M=np.array([0, 1]), top=2)
    variance = 2 * PRIOR_SD**2
    assert plan.gain_MM[0, 1] == pytest.approx(variance**2 / 4 / (1 + variance / 4), rel=2e-3)


def test_the_order_of_those_in_service_does_not_matter() -> None:
    board = fit(davidson_votes(np.linspace(1, -1, 5), 2000, np.random.default_rng(3)))
    names = ["newcomer", *(line.model for line in board.models)]

    def by_pair(plan: PairPlan) -> dict[frozenset[str], float]:
        return {frozenset(pair[:2]): pair[2] for pair in plan.best(100)}

    forwards = by_pair(plan_for_board(board, names, top=6))
    backwards = by_pair(plan_for_board(board, names[::-1], top=6))
    assert forwards == {pair: pytest.approx(gain, rel=1e-6) for pair, gain in backwards.items()}


@pytest.mark.parametrize("rested", [[], ["a0", "b1"]])
def test_sets_that_never_met_are_brought_together(rested: list[str]) -> None:
    """Whoever rests: that a set is known within itself says nothing of the other one."""
    covariance = np.kron(np.eye(2), (np.eye(3) - 1 / 3) * 0.002)
    names = [f"{part}{m}" for part in "ab" for m in range(3)]
    service = np.array([name not in rested for name in names])
    plan = plan_pairs(
        names,
        np.zeros(6),
        covariance.astype(float),
        part_M=np.array([0, 0, 0, 1, 1, 1]),
        in_service_M=service,
        top=6,
        explore=0,
    )
    across = sum(chance for one, other, _, chance in plan.best(100) if one[0] != other[0])
    assert plan.names == tuple(np.array(names)[service])
    assert across > 0.999


def test_plans_that_cannot_be() -> None:
    board = fit(davidson_votes(np.zeros(3), 100, np.random.default_rng(0)))
    with pytest.raises(InputError, match="found 1 models"):
        plan_pairs(["a"], np.zeros(1), np.eye(1))
    with pytest.raises(InputError, match="explore"):
        plan_pairs(["a", "b"], np.zeros(2), np.eye(2), explore=1.5)
    with pytest.raises(InputError, match="top = 0"):
        plan_pairs(["a", "b"], np.zeros(2), np.eye(2), top=0)
    with pytest.raises(InputError, match="found 'm000' twice"):
        plan_for_board(board, ["m000", "m000"])
    with pytest.raises(InputError, match="without their covariance"):
        plan_for_board(board.model_copy(update={"covariance": ()}))


def test_the_tutorial_shows_the_same_method(capsys: pytest.CaptureFixture[str]) -> None:
    """Its prior moves the mode too, and its simulation has other noise; nothing else differs."""
    tutorial = Path(__file__).parents[2] / "tutorials" / "103_which_pair_next.py"
    told = runpy.run_path(str(tutorial))
    capsys.readouterr()
    wins, part = told["wins"], np.array([0, 0, 0, 0, 0, 1])
    plan = plan_pairs(told["names"], *newton(wins, prior=100.0), part_M=part, top=told["top"], explore=told["explore"])
    np.testing.assert_allclose(plan.probability_MM[told["i"], told["j"]], told["propensity"], atol=0.03)


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def adaptive(theta: np.ndarray, votes: int, batch: int, seed: int, *, active: bool) -> Arrays:
    """Votes in batches, each drawn by a plan from a fit of those before: wins; the pair and propensity of each."""
    rng, models = np.random.default_rng(seed), len(theta)
    wins, pairs, chances = np.zeros((models, models)), [], []
    first, second = np.triu_indices(models, 1)
    for _ in range(votes // batch):
        strengths, covariance = newton(wins)
        chance = np.ones(len(first)) / len(first)
        if active:
            names = [str(m) for m in range(models)]
            chance = plan_pairs(names, strengths, covariance, top=4).probability_MM[first, second]
        drawn = rng.choice(len(first), batch, p=chance / chance.sum())
        won = rng.random(batch) < expit(theta[first[drawn]] - theta[second[drawn]])
        np.add.at(wins, (np.where(won, first[drawn], second[drawn]), np.where(won, second[drawn], first[drawn])), 1)
        pairs.append(drawn)
        chances.append(chance[drawn])
    return wins, np.concatenate(pairs), np.concatenate(chances)


def newton(wins: np.ndarray, prior: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """The mode with a weak prior, and its covariance: lines that know nothing of the engine."""
    theta, met = np.zeros(len(wins)), wins + wins.T
    for _ in range(30):
        p = expit(theta[:, None] - theta[None, :])
        curve = met * p * (1 - p)
        information = np.diag(curve.sum(axis=1) + prior**-2) - curve
        step = np.linalg.solve(information, (wins - met * p).sum(axis=1) - theta / prior**2)
        theta = theta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return theta, np.linalg.inv(information)


def test_it_saves_votes_at_the_top() -> None:
    """Twenty worlds: with half the votes, the best four are told apart better than by even draws, in truth."""
    error, claimed = np.zeros((2, 20)), np.zeros((2, 20))
    for seed in range(20):
        theta = np.random.default_rng(100 + seed).permutation(np.append([1.0, 0.9, 0.8, 0.7], np.linspace(0, -2, 16)))
        best = np.argsort(-theta)[:4]
        upper = np.triu_indices(4, 1)
        for way, (active, votes) in enumerate(((True, 1500), (False, 3000))):
            found, covariance = newton(adaptive(theta, votes, 100, seed, active=active)[0])
            off = (found - theta)[best]
            error[way, seed] = np.mean((off[:, None] - off[None, :])[upper] ** 2)
            claimed[way, seed] = np.sqrt(differences(covariance[np.ix_(best, best)]))[upper].mean()
    ratio = np.sqrt(error[0].mean() / error[1].mean())
    print(f"\n1500 planned votes over 3000 even ones: real error {ratio:.2f}, standard error", end=" ")
    print(f"{(claimed[0] / claimed[1]).mean():.2f}")
    assert ratio < 1
    assert (claimed[0] / claimed[1]).mean() < 0.8


def test_intervals_hold_after_adaptive_draws() -> None:
    """All differences of six models in 150 worlds: coverage of 95 % within its error, whatever chose the pairs."""
    upper, inside = np.triu_indices(6, 1), []
    for seed in range(150):
        theta = np.random.default_rng(seed).normal(0, 0.5, 6)
        found, covariance = newton(adaptive(theta, 900, 100, seed, active=True)[0])
        off = found - theta
        z = (off[:, None] - off[None, :])[upper] / np.sqrt(differences(covariance)[upper])
        inside.append((np.abs(z) < 1.96).mean())
    error = np.std(inside) / np.sqrt(len(inside))
    print(f"\ncoverage after adaptive draws {np.mean(inside):.3f} +- {1.96 * error:.3f}")
    assert abs(np.mean(inside) - 0.95) < 0.01 + 3 * error


def test_inverse_propensities_undo_the_plan() -> None:
    """Shares of pairs, weighted by one over their propensity, are even again."""
    _, pair, chance = adaptive(np.linspace(1, -1, 6), 6000, 200, 3, active=True)
    plain = np.bincount(pair) / len(pair)
    weighed = np.bincount(pair, 1 / chance) / len(pair)
    assert plain.max() / plain.min() > 3
    np.testing.assert_allclose(weighed, 1, rtol=0.35)
    assert weighed.mean() == pytest.approx(1, rel=0.1)
