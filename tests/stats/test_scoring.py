"""Scores of Student's t against numerical integration and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student_t

from palaestra.stats.joint_normal import StudentT
from palaestra.stats.scoring import crps, log_score, probability_below


@pytest.mark.parametrize(
    ("location", "scale", "freedom", "truth"), [(0, 1, 2.5, 0.3), (10, 3, 8, 17), (-5, 20, 300, -90)]
)
def test_crps_is_the_integral_of_squared_differences(
    location: float, scale: float, freedom: float, truth: float
) -> None:
    law = StudentT(np.array([location]), np.array([scale]), np.array([freedom]))

    def gap(x: float) -> float:
        return (student_t.cdf((x - location) / scale, freedom) - (x >= truth)) ** 2

    below = quad(gap, -np.inf, truth, limit=500)[0]
    above = quad(gap, truth, np.inf, limit=500)[0]
    assert crps(law, np.array([float(truth)]))[0] == pytest.approx(below + above, rel=1e-5)


def test_the_true_law_scores_best_on_average() -> None:
    rng = np.random.default_rng(0)
    truth = 100 + 20 * rng.standard_t(5, size=20_000)

    def scores(location: float, scale: float) -> tuple[float, float]:
        law = StudentT(np.full(20_000, location), np.full(20_000, scale), np.full(20_000, 5.0))
        return float(crps(law, truth).mean()), -float(log_score(law, truth).mean())

    best = scores(100, 20)
    for other in (scores(104, 20), scores(100, 14), scores(100, 30)):
        assert best[0] < other[0]
        assert best[1] < other[1]


def test_the_true_law_is_calibrated() -> None:
    truth = 3 * np.random.default_rng(1).standard_t(4, size=10_000)
    below = probability_below(StudentT(np.zeros(10_000), np.full(10_000, 3.0), np.full(10_000, 4.0)), truth)
    np.testing.assert_allclose(np.quantile(below, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)
