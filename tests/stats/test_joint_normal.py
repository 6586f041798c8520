"""The joint normal law against closed forms, brute force and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from palaestra.stats.joint_normal import Table, fit_joint_normal


def table(seed: int, rows: int = 12, columns: int = 3, holes: float = 0.3, noise: float = 0.1) -> Table:
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(rows, 1)) + 0.6 * rng.normal(size=(rows, columns))
    value[:, 1:][rng.random((rows, columns - 1)) < holes] = np.nan
    value = (value - np.nanmean(value, axis=0)) / np.nanstd(value, axis=0)
    return Table(value, np.full(value.shape, noise))


def test_it_is_at_the_mode_of_its_posterior() -> None:
    """An independent optimiser on the density of what is seen, times the prior, finds nothing higher."""
    seen = table(1)
    found = fit_joint_normal(seen, 1.0, 0.6)
    rows, columns = seen.value_MK.shape
    target = np.where(np.eye(columns) > 0, 1.0, 0.6)

    def loss(flat: np.ndarray) -> float:
        lower = np.zeros((columns, columns))
        lower[np.tril_indices(columns)] = flat[columns:]
        covariance = lower @ lower.T + 1e-9 * np.eye(columns)
        total = (
            -0.5 * found.strength * (np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.solve(covariance, target)))
        )
        for row in range(rows):
            there = np.isfinite(seen.value_MK[row])
            own = covariance[np.ix_(there, there)] + np.diag(seen.noise_MK[row, there])
            total += multivariate_normal.logpdf(seen.value_MK[row, there], flat[:columns][there], own)
        return -total

    start = np.concatenate([found.mean_K, np.linalg.cholesky(found.covariance_KK)[np.tril_indices(columns)]])
    best = minimize(loss, start + 0.1, method="BFGS")
    assert loss(start) <= best.fun + 1e-4
    lower = np.zeros((columns, columns))
    lower[np.tril_indices(columns)] = best.x[columns:]
    np.testing.assert_allclose(found.covariance_KK, lower @ lower.T, atol=5e-3)


def test_without_holes_noise_and_prior_it_is_least_squares() -> None:
    rng = np.random.default_rng(2)
    value = rng.normal(size=(40, 3)) @ np.array([[1, 0.5, 0.2], [0, 1, 0.3], [0, 0, 1]])
    value = (value - value.mean(axis=0)) / value.std(axis=0)
    found = fit_joint_normal(Table(value, np.zeros(value.shape)), 1e-9, 0.6)
    new = np.array([[np.nan, 0.7, -1.2]])
    law, coefficient = found.predict(Table(new, np.zeros(new.shape)))
    slope, *_ = np.linalg.lstsq(np.column_stack([np.ones(40), value[:, 1:]]), value[:, 0], rcond=None)
    np.testing.assert_allclose(coefficient[0, 1:], slope[1:], atol=1e-6)
    assert law.location_N[0] == pytest.approx(slope @ [1, 0.7, -1.2], abs=1e-6)


def test_a_left_out_row_is_foretold_almost_as_by_a_fit_without_it() -> None:
    """The sums without a row, against a new fit without it: close, in rows without holes."""
    seen = table(3, rows=25, holes=0.0, noise=0.0)
    found = fit_joint_normal(seen)
    for row in range(25):
        rest = np.delete(seen.value_MK, row, axis=0)
        again = fit_joint_normal(Table(rest, np.zeros(rest.shape)))
        law, _ = again.predict(Table(seen.value_MK[[row]], np.zeros((1, 3))))
        assert found.left_out.location_N[row] == pytest.approx(law.location_N[0], abs=2e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), flips=st.lists(st.booleans(), min_size=4, max_size=4))
def test_order_and_sign_of_columns_do_not_matter(seed: int, flips: list[bool]) -> None:
    seen = table(seed, columns=5, noise=0.05)
    rng = np.random.default_rng(seed)
    order, rows = rng.permutation(4) + 1, rng.permutation(12)
    sign = np.where([False, *flips], -1.0, 1.0)
    new = table(seed + 1, columns=5)
    turned = (seen.value_MK * sign)[rows][:, [0, *order]]
    found, _ = fit_joint_normal(seen).predict(new)
    again, _ = fit_joint_normal(Table(turned, seen.noise_MK)).predict(
        Table((new.value_MK * sign)[:, [0, *order]], new.noise_MK)
    )
    np.testing.assert_allclose(found.location_N, again.location_N, atol=1e-8)
    np.testing.assert_allclose(found.scale_N, again.scale_N, atol=1e-8)


def test_the_own_value_of_a_new_row_is_not_looked_at() -> None:
    found, new = fit_joint_normal(table(4)), table(5)
    blind = Table(new.value_MK.copy(), new.noise_MK)
    blind.value_MK[:, 0] = 1e6
    np.testing.assert_array_equal(found.predict(new)[0].location_N, found.predict(blind)[0].location_N)


def test_further_off_is_less_sure() -> None:
    found = fit_joint_normal(table(6, noise=0.0))
    new = np.array([[np.nan, 0.0, 0.0], [np.nan, 5.0, 5.0], [np.nan, np.nan, np.nan]])
    law, _ = found.predict(Table(new, np.zeros(new.shape)))
    assert law.scale_N[0] < law.scale_N[1]
    assert law.scale_N[0] < law.scale_N[2]


def test_noise_in_what_is_foretold_is_taken_off() -> None:
    """Ratings with a known error of half their spread: the law is that of the ratings without it."""
    rng = np.random.default_rng(7)
    truth = rng.normal(size=4000)
    value = np.column_stack([truth + rng.normal(size=4000), truth + 0.5 * rng.normal(size=4000)])
    noise = np.column_stack([np.ones(4000), np.zeros(4000)])
    found = fit_joint_normal(Table(value, noise), 1e-3)
    assert found.covariance_KK[0, 0] == pytest.approx(1.0, abs=0.1)
    assert found.covariance_KK[0, 1] == pytest.approx(1.0, abs=0.1)
