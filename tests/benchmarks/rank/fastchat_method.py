"""FastChat's method as a contestant, written from its description: scipy's L-BFGS-B, and a bootstrap on two processes.

Plain: rows summed by pair and outcome, gtol 1e-6, at most 100 iterations; the bootstrap draws the sums from a multinomial.
Style: a logistic loss summed over rows with a ridge of one half on all parameters; the bootstrap draws rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from arrays import coded, summed
from measure import STYLE, contestant, features
from scipy.optimize import minimize
from scipy.special import expit

ROUNDS, STYLE_ROUNDS = 100, 4
_shared: dict[str, Any] = {}


def fit_counts(first: np.ndarray, second: np.ndarray, score: np.ndarray, count: np.ndarray, models: int) -> np.ndarray:
    """Strengths from rows with counts."""

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        p = expit(theta[first] - theta[second])
        value = -(count * (score * np.log(p) + (1 - score) * np.log1p(-p))).sum()
        slope = count * (p - score)
        return value, np.bincount(first, slope, models) - np.bincount(second, slope, models)

    options = {"gtol": 1e-6, "maxiter": 100}
    return minimize(loss, np.zeros(models), jac=True, method="L-BFGS-B", options=options).x


def point(frame: pd.DataFrame) -> Callable[[], Any]:
    """Bradley-Terry without intervals."""

    def call() -> dict[str, Any]:
        *rows, names = summed(frame)
        theta = fit_counts(*rows, len(names))
        return {"lines": {name: (1000 + 400 / np.log(10) * (t - theta.mean()), 0.0) for name, t in zip(names, theta, strict=True)}}

    return call


def one_round(seed: int) -> np.ndarray:
    """A round of the plain bootstrap."""
    first, second, score, count, models = _shared["rows"]
    drawn = np.random.default_rng(seed).multinomial(int(count.sum()), count / count.sum()).astype(float)
    return fit_counts(first, second, score, drawn, models)


def bootstrap(frame: pd.DataFrame) -> Callable[[], Any]:
    """A hundred rounds on two processes."""

    def call() -> int:
        *rows, names = summed(frame)
        _shared["rows"] = (*rows, len(names))
        with ProcessPoolExecutor(2) as pool:
            return len(list(pool.map(one_round, range(ROUNDS))))

    return call


def fit_style(first: np.ndarray, second: np.ndarray, score: np.ndarray, x: np.ndarray, models: int) -> np.ndarray:
    """Strengths and coefficients from single rows."""

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        theta, beta = parameters[:models], parameters[models:]
        p = expit(theta[first] - theta[second] + x @ beta)
        value = -(score * np.log(p) + (1 - score) * np.log1p(-p)).sum() + 0.25 * parameters @ parameters
        slope = p - score
        gradient = np.concatenate([np.bincount(first, slope, models) - np.bincount(second, slope, models), x.T @ slope])
        return value, gradient + 0.5 * parameters

    options = {"gtol": 1e-6, "maxiter": 100}
    return minimize(loss, np.zeros(models + x.shape[1]), jac=True, method="L-BFGS-B", options=options).x


def styled(frame: pd.DataFrame) -> tuple[Any, ...]:
    """Codes, scores and standardised features."""
    first, second, score, names = coded(frame)
    x = frame[list(STYLE)].to_numpy()
    return first, second, score, (x - x.mean(axis=0)) / x.std(axis=0), len(names)


def style_point(frame: pd.DataFrame) -> Callable[[], Any]:
    """Style control without intervals."""
    frame = features(frame)
    return lambda: fit_style(*styled(frame)).tolist()


def one_style_round(seed: int) -> np.ndarray:
    """A round of the bootstrap of style control."""
    first, second, score, x, models = _shared["rows"]
    rows = np.random.default_rng(seed).integers(len(first), size=len(first))
    return fit_style(first[rows], second[rows], score[rows], x[rows], models)


def style_bootstrap(frame: pd.DataFrame) -> Callable[[], Any]:
    """Four rounds on two processes; returns the seconds that a hundred would take, the preparation counted once."""
    frame = features(frame)

    def call() -> float:
        started = time.perf_counter()
        _shared["rows"] = styled(frame)
        prepared = time.perf_counter()
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(one_style_round, range(STYLE_ROUNDS)))
        rounds = time.perf_counter() - prepared
        return prepared - started + rounds * ROUNDS / STYLE_ROUNDS

    return call


contestant({"bt-point": point, "bootstrap": bootstrap, "style-point": style_point, "bootstrap-style": style_bootstrap})
