"""Intervals by clusters: against statsmodels, against brute force, and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from palaestra.stats.clustered import around, jackknife, mean, share

rows = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 6)), min_size=2, max_size=60)


@given(rows.filter(lambda found: len({cluster for _, cluster in found}) > 1))
@settings(max_examples=60, deadline=None)
def test_the_mean_is_that_of_a_regression_on_one(found: list[tuple[float, int]]) -> None:
    value_B, cluster_B = np.array([v for v, _ in found]), np.array([c for _, c in found])
    peer = sm.OLS(value_B, np.ones(len(value_B))).fit(
        cov_type="cluster", cov_kwds={"groups": cluster_B, "use_correction": False}
    )
    ours = mean(value_B, cluster_B, 0.95)
    clusters = len(set(cluster_B))
    assert ours.value == pytest.approx(peer.params[0], abs=1e-12)
    assert ours.se == pytest.approx(peer.bse[0] * np.sqrt(clusters / (clusters - 1)), rel=1e-6, abs=1e-9)


def test_a_share_of_independent_rows_is_wilsons() -> None:
    hit_B = np.arange(2000) % 10 < 3
    found = share(hit_B, np.arange(2000), 0.95)
    low, high = proportion_confint(600, 2000, method="wilson")
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=2e-4)  # Student's quantile, and n - 1


def test_rows_that_agree_within_clusters_count_as_one() -> None:
    once, often = np.arange(40) % 3 == 0, np.repeat(np.arange(40) % 3 == 0, 25)
    few, many = share(once, np.arange(40), 0.95), share(often, np.repeat(np.arange(40), 25), 0.95)
    assert many.rows == 1000
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper))


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.integers(2, 5))
def test_a_share_stays_within_its_bounds(hits: list[bool], clusters: int) -> None:
    found = share(np.array(hits), np.arange(len(hits)) % clusters, 0.9)
    assert found.lower is not None
    assert found.upper is not None
    assert 0 <= found.lower <= found.value <= found.upper <= 1
    assert found.lower < found.upper


def test_the_jackknife_of_a_ratio_is_brute_force() -> None:
    rng = np.random.default_rng(0)
    counts_GK = rng.integers(1, 9, size=(12, 2)).astype(float)

    def ratio(sums: np.ndarray) -> np.ndarray:
        return sums[:, 0] / sums[:, 1]

    left = [np.delete(counts_GK, g, axis=0).sum(axis=0) for g in range(12)]
    values = np.array([one[0] / one[1] for one in left])
    se = np.sqrt(11 / 12 * ((values - values.mean()) ** 2).sum())
    assert jackknife(counts_GK, ratio, 12, 0.95).se == pytest.approx(se)


def test_one_cluster_has_no_interval() -> None:
    for found in (
        mean(np.array([1.0, 2.0]), np.zeros(2, dtype=int), 0.95),
        share(np.array([True, False]), np.zeros(2, dtype=int), 0.95),
        jackknife(np.ones((1, 2)), lambda sums: sums[:, 0], 2, 0.95),
        around(1.0, 2.0, 5, 1, 0.95),
    ):
        assert found.lower is found.upper is found.se is None
