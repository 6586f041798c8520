"""The Bradley-Terry fit: against two independent solvers, by its laws, and against simulated truth."""

from __future__ import annotations

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from palaestra.stats.paired import fit_paired, inverse_information, paired_log_likelihood, sandwich_covariance

Array = NDArray[np.float64]
ELO = 400 / np.log(10)


@st.composite
def tables(draw: st.DrawFn, least: int = 2, most: int = 7) -> Array:
    """Tables of wins in which everybody has beaten everybody, from a tenth of a vote to a thousand votes."""
    count = draw(st.integers(least, most))
    wins_MM = draw(arrays(float, (count, count), elements=st.floats(0.1, 1000)))
    np.fill_diagonal(wins_MM, 0)
    return wins_MM


def simulated(theta_M: Array, votes: int, rng: np.random.Generator, tie: float = 0.0) -> tuple[Array, Array]:
    """Tables of wins and of ties; a share of the votes are ties, half of each pair's either way."""
    count = len(theta_M)
    first, second = np.array([rng.choice(count, 2, replace=False) for _ in range(votes)]).T
    tied = rng.random(votes) < tie
    won = rng.random(votes) < expit(theta_M[first] - theta_M[second])
    wins_MM, ties_MM = np.zeros((count, count)), np.zeros((count, count))
    np.add.at(wins_MM, (first[won & ~tied], second[won & ~tied]), 1)
    np.add.at(wins_MM, (second[~won & ~tied], first[~won & ~tied]), 1)
    np.add.at(ties_MM, (first[tied], second[tied]), 1)
    return wins_MM, ties_MM + ties_MM.T


@settings(max_examples=60, deadline=None)
@given(tables())
def test_equals_the_iterations_of_choix(wins_MM: Array) -> None:
    fitted = fit_paired(wins_MM)
    other_M = choix.ilsr_pairwise_dense(wins_MM, alpha=0, max_iter=10_000, tol=1e-12)
    assert fitted.converged
    assert np.abs(ELO * (fitted.theta_M - (other_M - other_M.mean()))).max() < 0.01


@settings(max_examples=30, deadline=None)
@given(tables(most=5))
def test_nothing_is_more_likely(wins_MM: Array) -> None:
    """A quasi-Newton search of the likelihood, which knows nothing of our derivatives, finds no better place."""

    def lost(free_M: Array) -> float:
        return -paired_log_likelihood(wins_MM, np.append(free_M, 0))

    fitted = fit_paired(wins_MM)
    searched = minimize(lost, np.zeros(len(wins_MM) - 1), method="BFGS", options={"gtol": 1e-9})
    assert fitted.log_likelihood >= -searched.fun - 1e-9 * abs(searched.fun)
    other_M = np.append(searched.x, 0)
    assert np.abs(ELO * (fitted.theta_M - (other_M - other_M.mean()))).max() < 0.05


@settings(max_examples=60, deadline=None)
@given(tables(), st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_laws(wins_MM: Array, random: object, factor: float) -> None:
    fitted = fit_paired(wins_MM)
    theta_M, ties_MM = fitted.theta_M, np.zeros_like(wins_MM)
    covariance_MM = sandwich_covariance(fitted, wins_MM, ties_MM)
    assert theta_M.sum() == pytest.approx(0, abs=1e-9)
    swapped = fit_paired(wins_MM.T)
    np.testing.assert_allclose(swapped.theta_M, -theta_M, atol=1e-8)
    order = np.argsort([hash((str(random), m)) for m in range(len(theta_M))])
    block = np.ix_(order, order)
    renamed = fit_paired(wins_MM[block])
    np.testing.assert_allclose(renamed.theta_M, theta_M[order], atol=1e-8)
    renamed_MM = sandwich_covariance(renamed, wins_MM[block], ties_MM)
    np.testing.assert_allclose(renamed_MM, covariance_MM[block], rtol=1e-6, atol=1e-12)
    heavier = fit_paired(factor * wins_MM)
    np.testing.assert_allclose(heavier.theta_M, theta_M, atol=1e-8)
    heavier_MM = sandwich_covariance(heavier, factor * wins_MM, ties_MM)
    np.testing.assert_allclose(factor * heavier_MM, covariance_MM, rtol=1e-6, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(tables())
def test_both_covariances_are_ones_of_contrasts(wins_MM: Array) -> None:
    fitted = fit_paired(wins_MM)
    for covariance_MM in (sandwich_covariance(fitted, wins_MM, np.zeros_like(wins_MM)), inverse_information(fitted)):
        scale = np.abs(covariance_MM).max()
        assert np.abs(covariance_MM.sum(axis=0)).max() < 1e-8 * scale * len(wins_MM)
        np.testing.assert_allclose(covariance_MM, covariance_MM.T, atol=1e-9 * scale)
        assert np.linalg.eigvalsh(covariance_MM).min() > -1e-9 * scale


def test_the_sandwich_is_the_one_of_single_votes() -> None:
    """Vote by vote, with a generalised inverse instead of our gauge: scores' outer products between two breads."""
    rng = np.random.default_rng(3)
    wins_MM, ties_MM = simulated(np.array([0.8, 0.3, -0.1, -0.4, -0.6]), 400, rng, tie=0.3)
    fitted = fit_paired(wins_MM + ties_MM / 2)
    bread_MM, meat_MM = np.zeros((5, 5)), np.zeros((5, 5))
    for i, j in np.ndindex(5, 5):
        votes = [1.0] * int(wins_MM[i, j]) + ([0.5] * int(ties_MM[i, j]) if i < j else [])
        for y in votes:
            x_M = np.zeros(5)
            x_M[i], x_M[j] = 1, -1
            p = expit(fitted.theta_M @ x_M)
            bread_MM += p * (1 - p) * np.outer(x_M, x_M)
            meat_MM += (y - p) ** 2 * np.outer(x_M, x_M)
    inverse_MM = np.linalg.pinv(bread_MM)
    np.testing.assert_allclose(
        sandwich_covariance(fitted, wins_MM, ties_MM), inverse_MM @ meat_MM @ inverse_MM, atol=1e-10
    )
    np.testing.assert_allclose(inverse_information(fitted), inverse_MM, atol=1e-10)


def test_recovers_the_truth() -> None:
    rng = np.random.default_rng(5)
    theta_M = np.linspace(1.5, -1.5, 12)
    wins_MM, _ = simulated(theta_M, 60_000, rng)
    assert np.abs(ELO * (fit_paired(wins_MM).theta_M - theta_M)).max() < 15


@pytest.mark.parametrize("tie", [0.0, 0.3])
def test_intervals_hold_what_they_promise(tie: float) -> None:
    """95% intervals hold the truth in 95% of 400 worlds. With ties the votes do not follow the model (a tie is less
    random than a coin): there the sandwich must be narrower than the model's own intervals, and still hold."""
    rng = np.random.default_rng(7)
    theta_M = np.array([0.9, 0.5, 0.2, -0.1, -0.6, -0.9])
    inside, widths = [], []
    for _ in range(400):
        wins_MM, ties_MM = simulated(theta_M, 600, rng, tie)
        fitted = fit_paired(wins_MM + ties_MM / 2)
        se_M = np.sqrt(np.diag(sandwich_covariance(fitted, wins_MM, ties_MM)))
        target_M = theta_M if tie == 0 else _flattened(theta_M, tie)
        inside.append(np.abs(fitted.theta_M - target_M) < 1.96 * se_M)
        widths.append(se_M / np.sqrt(np.diag(inverse_information(fitted))))
    coverage = float(np.mean(inside))
    print(
        f"\ncoverage of 95% intervals, {tie:.0%} ties: {coverage:.3f}; "
        f"width against the model's own: {np.mean(widths):.3f}"
    )
    assert 0.93 < coverage < 0.97
    assert np.mean(widths) == pytest.approx(1, abs=0.02) if tie == 0 else np.mean(widths) < 0.9


def _flattened(theta_M: Array, tie: float) -> Array:
    """Where the fit goes with endless votes: the expected table of a world in which a share of all votes are ties."""
    p_MM = expit(theta_M[:, None] - theta_M[None, :])
    expected_MM = (1 - tie) * p_MM + tie / 2
    np.fill_diagonal(expected_MM, 0)
    return fit_paired(expected_MM).theta_M


def test_strengths_far_apart_converge() -> None:
    """Odds of ten million to one, where a plain Newton step overshoots."""
    wins_MM = np.array([[0, 1e7, 1e7], [1, 0, 1e7], [1, 1, 0]], dtype=float)
    fitted = fit_paired(wins_MM)
    assert fitted.converged
    assert fitted.theta_M[0] - fitted.theta_M[2] > 16
