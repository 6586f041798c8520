"""The references: unpenalised Bradley-Terry, with style too, and the exact sandwich, in plain numpy and choix.

For style a Newton's method on single rows with a dense matrix, so on few votes; nothing of the engine is used.
"""

from __future__ import annotations

from typing import Any

import choix
import numpy as np
import pandas as pd
from arrays import coded, summed
from measure import STYLE, features
from scipy.special import expit

ELO = 400 / np.log(10)


def plain(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Rating and standard error of each model, by choix's spectral iterations and a pseudo-inverse."""
    first, second, score, count, names = summed(frame)
    size = len(names)
    wins = np.zeros((size, size))
    np.add.at(wins, (first, second), count * score)
    np.add.at(wins, (second, first), count * (1 - score))
    theta = choix.ilsr_pairwise_dense(wins, alpha=0, max_iter=100_000, tol=1e-12)
    p = expit(theta[first] - theta[second])
    bread, middle = np.zeros((size, size)), np.zeros((size, size))
    for weight, matrix in ((count * p * (1 - p), bread), (count * (score - p) ** 2, middle)):
        np.add.at(matrix, (first, second), -weight)
        np.add.at(matrix, (second, first), -weight)
        np.add.at(matrix, (first, first), weight)
        np.add.at(matrix, (second, second), weight)
    inverse = np.linalg.pinv(bread, hermitian=True)
    errors = np.sqrt(np.diag(inverse @ middle @ inverse))
    ratings = 1000 + ELO * (theta - theta.mean())
    return dict(zip(names, zip(ratings, ELO * errors, strict=True), strict=True))


def styled(frame: pd.DataFrame) -> dict[str, Any]:
    """The same with style features, and the coefficients for one root mean square."""
    frame = features(frame)
    first, second, score, names = coded(frame)
    size, rows = len(names), np.arange(len(frame))
    x = frame[list(STYLE)].to_numpy()
    x = x / np.sqrt((x**2).mean(axis=0))
    design = np.zeros((len(frame), size + len(STYLE)))
    design[rows, first] += 1
    design[rows, second] -= 1
    design[:, size:] = x
    free = design[:, 1:]  # the first model is held at zero
    beta = np.zeros(free.shape[1])
    for _ in range(30):
        p = expit(free @ beta)
        information = free.T @ (free * (p * (1 - p))[:, None])
        step = np.linalg.solve(information, free.T @ (score - p))
        beta = beta + step
        if np.abs(step).max() < 1e-11:
            break
    inverse = np.linalg.inv(information)
    covariance = inverse @ (free.T @ (free * ((score - p) ** 2)[:, None])) @ inverse
    centring = np.vstack([np.zeros(size - 1), np.eye(size - 1)])
    centring = centring - centring.mean(axis=0)
    ratings = 1000 + ELO * (centring @ beta[: size - 1])
    errors = ELO * np.sqrt(np.diag(centring @ covariance[: size - 1, : size - 1] @ centring.T))
    effects = zip(beta[size - 1 :], np.sqrt(np.diag(covariance)[size - 1 :]), strict=True)
    return {
        "lines": dict(zip(names, zip(ratings, errors, strict=True), strict=True)),
        "effects": dict(zip(STYLE, effects, strict=True)),
    }
