"""The twin: every fit again, plain and slow, one vote at a time, to read and to hold the fast one against.

Probabilities are written as in the papers (`likelihoods.py` lists them), the maximum is searched by a general
optimiser that
is given no derivatives of ours, information is a finite difference of score, and score one of log-likelihood. Nothing
here is shared with the fast path. Good for some hundred votes among a handful of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlainVote:
    """One vote: two models, an outcome (0 a wins, 1 b wins, 2 tie, 3 both bad), and what the fit may know of it."""

    first: int
    second: int
    outcome: int
    x: tuple[float, ...] = ()
    count: float = 1.0
    importance: float = 1.0
    cluster: int | None = None


@dataclass(frozen=True, slots=True)
class PlainFit:
    """Parameters laid out as strengths, coefficients, shape; strengths have mean zero unless the model is grounded."""

    parameters: Floats
    covariance: Floats
    log_likelihood: float


def probabilities(model: str, d: float, c: float, s: float) -> tuple[float, float, float, float]:
    """Of a win of a, of b, of a tie and of both bad; the last is zero where the model counts it as a tie."""
    if model == "rao-kupper":
        win, loss = 1 / (1 + np.exp(s - d)), 1 / (1 + np.exp(s + d))
        return win, loss, 1 - win - loss, 0.0
    if model == "davidson":
        total = np.exp(d / 2) + np.exp(-d / 2) + np.exp(s)
        return np.exp(d / 2) / total, np.exp(-d / 2) / total, np.exp(s) / total, 0.0
    if model == "grounded":
        a, b, k = np.exp(c + d / 2), np.exp(c - d / 2), 1 + np.exp(s)
        win, loss, bad = a / (a + k * b + 1), b / (b + k * a + 1), 1 / (1 + a + b)
        return win, loss, 1 - win - loss - bad, bad
    win = 1 / (1 + np.exp(-d))
    return win, 1 - win, 0.0, 0.0


def log_probability(model: str, vote: PlainVote, parameters: Floats, models: int) -> float:
    """The logarithm of what one vote contributes to the likelihood."""
    theta, beta = parameters[:models], parameters[models : models + len(vote.x)]
    shape = parameters[-1] if model != "half" else 0.0
    d = theta[vote.first] - theta[vote.second] + float(np.dot(vote.x, beta))
    c = (theta[vote.first] + theta[vote.second]) / 2
    win, loss, tie, bad = probabilities(model, d, c, shape)
    if vote.outcome == 0:
        return float(np.log(win))
    if vote.outcome == 1:
        return float(np.log(loss))
    if model == "half":
        return float((np.log(win) + np.log(loss)) / 2)
    return float(np.log(bad if model == "grounded" and vote.outcome == 3 else tie))  # noqa: PLR2004 - both bad


def fit_plain(votes: Sequence[PlainVote], models: int, *, model: str = "half", penalty: float = 0.0) -> PlainFit:
    """The maximum-likelihood fit with its sandwich covariance.

    Args:
        votes: they must connect all models both ways.
        models: their number.
        model: half, rao-kupper, davidson or grounded.
        penalty: ridge on the coefficients, for each vote.
    """
    features = len(votes[0].x)
    shapes = 0 if model == "half" else 1
    size = models + features + shapes

    def total(parameters: Floats) -> float:
        beta = parameters[models : models + features]
        weights = [vote.count * vote.importance for vote in votes]
        likelihood = sum(
            w * log_probability(model, vote, parameters, models) for w, vote in zip(weights, votes, strict=True)
        )
        return likelihood - penalty * sum(weights) * float(beta @ beta) / 2

    def lost(free: Floats) -> float:
        parameters = _whole(free, model, shapes)
        level = 0.0 if model == "grounded" else parameters[:models].mean() ** 2  # fixes what the votes leave open
        return -total(parameters) + len(votes) * level

    start = np.concatenate([np.zeros(models + features), np.full(shapes, -0.5)])
    found = minimize(lost, start, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    found = minimize(
        lost, found.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 100 * size}
    )
    parameters = _whole(minimize(lost, found.x, method="BFGS", options={"gtol": 1e-9}).x, model, shapes)
    if model != "grounded":
        parameters[:models] -= parameters[:models].mean()
    information = _information(total, parameters)
    bread = np.linalg.pinv(information, rcond=1e-6, hermitian=True)
    covariance = bread @ _middle(votes, parameters, models, model) @ bread
    return PlainFit(parameters, covariance, total(parameters))


def _whole(free: Floats, model: str, shapes: int) -> Floats:
    """The parameters of a search without bounds: the shape of Rao and Kupper is the exponential of its last one."""
    parameters = free.copy()
    if shapes and model == "rao-kupper":
        parameters[-1] = np.exp(free[-1])
    return parameters


def _gradient(function, at: Floats, step: float = 1e-5) -> Floats:  # noqa: ANN001 - a function of parameters
    gradient = np.zeros(len(at))
    for q in range(len(at)):
        change = np.zeros(len(at))
        change[q] = step
        gradient[q] = (function(at + change) - function(at - change)) / (2 * step)
    return gradient


def _information(total, at: Floats, step: float = 1e-4) -> Floats:  # noqa: ANN001 - the log-likelihood
    rows = []
    for q in range(len(at)):
        change = np.zeros(len(at))
        change[q] = step
        rows.append((_gradient(total, at - change) - _gradient(total, at + change)) / (2 * step))
    return (np.array(rows) + np.array(rows).T) / 2


def _middle(votes: Sequence[PlainVote], parameters: Floats, models: int, model: str) -> Floats:
    """The sum of outer products of scores: of single votes, or of whole clusters where votes have one."""
    by_cluster: dict[int, Floats] = {}
    middle = np.zeros((len(parameters), len(parameters)))
    for vote in votes:
        score = _gradient(lambda at, vote=vote: log_probability(model, vote, at, models), parameters) * vote.importance
        if vote.cluster is None:
            middle += vote.count * np.outer(score, score)
        else:
            by_cluster[vote.cluster] = by_cluster.get(vote.cluster, 0) + vote.count * score
    for score in by_cluster.values():
        middle += np.outer(score, score) * len(by_cluster) / (len(by_cluster) - 1)
    return middle
