"""Calibration: chances that hold are said to hold, and those that are too sure are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from palaestra.rewards.calibration import calibrate


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5])
def test_the_slope_is_one_over_what_differences_were_blown_up_by(factor: float) -> None:
    rng = np.random.default_rng(4)
    d_B = rng.normal(size=4000)
    won_B = rng.random(4000) < expit(d_B)
    chance_B = expit(factor * d_B)
    found = calibrate(chance_B, won_B, np.arange(4000) // 2, np.ones(4000), confidence=0.95)
    assert found.log_loss.value == pytest.approx(log_loss(won_B, chance_B))
    assert found.brier.value == pytest.approx(brier_score_loss(won_B, chance_B))
    plain = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10).fit((factor * d_B)[:, None], won_B)
    assert found.slope is not None
    assert found.slope.value == pytest.approx(plain.coef_[0, 0], abs=1e-4)
    assert found.slope.lower is not None
    assert found.slope.upper is not None
    assert found.slope.lower < 1 / factor < found.slope.upper
    assert (found.expected_error < 0.03) == (factor == 1.0)
    assert sum(one.share.rows for one in found.classes) == 4000


def test_pairs_that_are_told_apart_without_a_fault_have_no_slope() -> None:
    found = calibrate(np.full(10, 0.8), np.ones(10, dtype=bool), np.arange(10), np.ones(10), confidence=0.9)
    assert found.slope is None
    assert found.classes[0].share.value == 1
