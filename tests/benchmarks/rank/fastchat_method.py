"""FastChat's method as a contestant, written from its description: scipy's L-BFGS-B, and a bootstrap on two processes.

Plain: rows summed by pair and outcome, gtol 1e-6, at most 100 iterations; the bootstrap draws the sums (multinomial).
Style: a logistic loss summed over rows with a ridge of one half on all parameters; the bootstrap draws rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from arrays import coded, summed
from measure import STYLE, Peak, contestant, features
from scipy.optimize import minimize
from scipy.special import expit

ROUNDS, STYLE_ROUNDS = 100, 4
ELO = 400 / np.log(10)
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


def lines(names: list[str], theta: np.ndarray) -> dict[str, tuple[float, float]]:
    """Rating of each model, without a standard error."""
    return {name: (rating, 0.0) for name, rating in zip(names, 1000 + ELO * (theta - theta.mean()), strict=True)}


def point(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Bradley-Terry without intervals."""

    def call() -> dict[str, Any]:
        *rows, names = summed(frame)
        return {"lines": lines(names, fit_counts(*rows, len(names)))}

    return call


def one_round(seed: int) -> tuple[int, float]:
    """A round of the plain bootstrap: its process, and the memory that this one has needed so far."""
    first, second, score, count, models = _shared["rows"]
    drawn = np.random.default_rng(seed).multinomial(int(count.sum()), count / count.sum()).astype(float)
    fit_counts(first, second, score, drawn, models)
    return os.getpid(), _shared["peak"].extra()


def bootstrap(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """A hundred rounds on two processes."""

    def call() -> dict[str, Any]:
        *rows, names = summed(frame)
        _shared["rows"] = (*rows, len(names))
        return {"workers_mb": in_two_processes(one_round, range(ROUNDS))}

    return call


def in_two_processes(task: Callable[[int], tuple[int, float]], seeds: Iterable[int]) -> float:
    """Does all rounds; returns the extra memory of both processes."""
    with ProcessPoolExecutor(2, get_context("fork"), look) as pool:
        return sum(dict(pool.map(task, seeds)).values())


def look() -> None:
    """A process begins."""
    _shared["peak"] = Peak()


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


def styled(frame: pd.DataFrame) -> tuple[list[str], tuple[Any, ...]]:
    """Names; and codes, scores, standardised features, and how many models there are."""
    first, second, score, names = coded(frame)
    x = frame[list(STYLE)].to_numpy()
    return names, (first, second, score, (x - x.mean(axis=0)) / x.std(axis=0), len(names))


def style_point(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Style control without intervals."""
    frame = features(frame)

    def call() -> dict[str, Any]:
        names, rows = styled(frame)
        found = fit_style(*rows)
        return {"lines": lines(names, found[: len(names)]), "effects": found[len(names) :].tolist()}

    return call


def one_style_round(seed: int) -> tuple[int, float]:
    """A round of the bootstrap of style control, as `one_round`."""
    first, second, score, x, models = _shared["rows"]
    rows = np.random.default_rng(seed).integers(len(first), size=len(first))
    fit_style(first[rows], second[rows], score[rows], x[rows], models)
    return os.getpid(), _shared["peak"].extra()


def style_bootstrap(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Four rounds on two processes, and the seconds that a hundred would take, the preparation counted once."""
    frame = features(frame)

    def call() -> dict[str, Any]:
        started = time.perf_counter()
        _, _shared["rows"] = styled(frame)
        prepared = time.perf_counter()
        workers = in_two_processes(one_style_round, range(STYLE_ROUNDS))
        rounds = time.perf_counter() - prepared
        return {"workers_mb": workers, "hundred": prepared - started + rounds * ROUNDS / STYLE_ROUNDS}

    return call


if __name__ == "__main__":
    contestant({"bt-point": point, "bootstrap": bootstrap, "style-point": style_point, "four-style": style_bootstrap})
