"""Which pair next: the closed form against doing it, propensities that are exact, and votes that it saves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from worlds import davidson_votes

from palaestra.errors import InputError
from palaestra.ranking import fit, pair_probabilities, plan_for_board, plan_pairs

NAMES = [f"m{m}" for m in range(6)]


def world(seed: int, models: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(models, models)) * 0.3
    return rng.normal(size=models), root @ root.T + 0.01 * np.eye(models)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_gain_is_what_a_vote_takes_off(seed: int) -> None:
    """Add the vote's information, invert, sum the weighted variances again: the difference is the gain."""
    theta, covariance = world(seed)
    plan = plan_pairs(NAMES, theta, covariance, top=3, explore=0)
    i, j = np.random.default_rng(seed).choice(6, 2, replace=False)
    z = np.eye(6)[i] - np.eye(6)[j]
    p = expit(theta[i] - theta[j])
    after = np.linalg.inv(np.linalg.inv(covariance) + p * (1 - p) * np.outer(z, z))

    def differences(matrix: np.ndarray) -> np.ndarray:
        diagonal = np.diag(matrix)
        return diagonal[:, None] + diagonal[None, :] - 2 * matrix

    other = plan_pairs(NAMES, theta, covariance, top=3, explore=0)
    assert (other.gain_MM == plan.gain_MM).all(), "the same numbers, the same plan"
    # The weights are fixed by what is known now; recover them from two gains of the same plan.
    from palaestra.ranking.sampling import _chance_of_the_best
    from scipy.special import ndtr

    best = _chance_of_the_best(theta, covariance, 3, 0)
    spread, gap = differences(covariance), np.abs(theta[:, None] - theta[None, :])
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.maximum(best[:, None], best[None, :]) * 2 * ndtr(-gap / np.sqrt(spread)) / spread
    np.fill_diagonal(weight, 0)
    taken_off = (weight * (spread - differences(after))).sum() / 2
    assert plan.gain_MM[i, j] == pytest.approx(taken_off, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), explore=st.floats(0, 1))
def test_propensities_are_probabilities(seed: int, explore: float) -> None:
    theta, covariance = world(seed)
    plan = plan_pairs(NAMES, theta, covariance, top=2, explore=explore)
    upper = np.triu(plan.probability_MM)
    assert upper.sum() == pytest.approx(1)
    np.testing.assert_array_equal(plan.probability_MM, plan.probability_MM.T)
    assert (np.diag(plan.probability_MM) == 0).all()
    assert upper[np.triu_indices(6, 1)].min() >= explore / 15 - 1e-12


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


def test_plans_that_cannot_be() -> None:
    with pytest.raises(InputError, match="found 1 models"):
        plan_pairs(["a"], np.zeros(1), np.eye(1))
    with pytest.raises(InputError, match="explore"):
        plan_pairs(["a", "b"], np.zeros(2), np.eye(2), explore=1.5)


def adaptive(
    theta: np.ndarray, votes: int, batch: int, seed: int, *, active: bool
) -> tuple[np.ndarray, np.ndarray, list]:
    """Votes drawn in batches by plans, each from a fit of what came before; wins, and each vote with its propensity."""
    rng, models = np.random.default_rng(seed), len(theta)
    wins, cast = np.zeros((models, models)), []
    first, second = np.triu_indices(models, 1)
    for _ in range(votes // batch):
        strengths, covariance = newton(wins)
        chance = np.ones(len(first)) / len(first)
        if active:
            chance = plan_pairs([str(m) for m in range(models)], strengths, covariance, top=4).probability_MM[
                first, second
            ]
        drawn = rng.choice(len(first), batch, p=chance)
        won = rng.random(batch) < expit(theta[first[drawn]] - theta[second[drawn]])
        np.add.at(wins, (np.where(won, first[drawn], second[drawn]), np.where(won, second[drawn], first[drawn])), 1)
        cast += list(zip(first[drawn], second[drawn], won, chance[drawn], strict=True))
    return wins, newton(wins)[1], cast


def newton(wins: np.ndarray, prior: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """The mode with a weak prior, and its covariance: twelve lines that know nothing of the engine."""
    theta, met = np.zeros(len(wins)), wins + wins.T
    for _ in range(30):
        p = expit(theta[:, None] - theta[None, :])
        curve = met * p * (1 - p)
        information = np.diag(curve.sum(axis=1) + prior**-2) - curve
        step = np.linalg.solve(information, (wins - met * p).sum(axis=1) - theta / prior**2)
        theta = theta + step
        if np.abs(step).max() < 1e-8:
            break
    return theta, np.linalg.inv(information)


def test_it_saves_votes_at_the_top() -> None:
    """Twenty worlds: with half the votes, the differences of the best four are known better than by even draws."""
    ratios = []
    for seed in range(20):
        theta = np.random.default_rng(100 + seed).permutation(np.append([1.0, 0.9, 0.8, 0.7], np.linspace(0, -2, 16)))
        best = np.argsort(-theta)[:4]
        errors = []
        for active, votes in ((True, 1500), (False, 3000)):
            _, covariance, _ = adaptive(theta, votes, 100, seed, active=active)
            block = covariance[np.ix_(best, best)]
            variance = np.diag(block)[:, None] + np.diag(block)[None, :] - 2 * block
            errors.append(np.sqrt(variance[np.triu_indices(4, 1)]).mean())
        ratios.append(errors[0] / errors[1])
    print(f"\nstandard error of top differences, 1500 planned votes over 3000 even ones: {np.mean(ratios):.2f}")
    assert np.mean(ratios) < 0.9


def test_inverse_propensities_undo_the_plan() -> None:
    """Shares of pairs, weighted by one over their propensity, are even again."""
    theta = np.linspace(1, -1, 6)
    _, _, cast = adaptive(theta, 6000, 200, 3, active=True)
    pair = np.array([i * 6 + j for i, j, _, _ in cast])
    weight = np.array([1 / chance for *_, chance in cast])
    plain = np.bincount(pair)[np.unique(pair)] / len(pair)
    weighed = np.bincount(pair, weight)[np.unique(pair)] / weight.sum()
    assert plain.max() / plain.min() > 3
    np.testing.assert_allclose(weighed, 1 / 15, rtol=0.35)
    assert weight.sum() / len(weight) == pytest.approx(15, rel=0.1)
