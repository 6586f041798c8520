"""Bradley-Terry ratings of one connected set of models, with the cases in which the maximum does not exist.

The maximum likelihood is finite if and only if every model can be reached from every other through wins (a tie links
both ways): the graph of wins must be strongly connected (Ford, 1957). A model that has only won has an infinite rating.
Known tools print a huge number there, or hide it behind a penalty on all models. Here:

- The largest strongly connected part of at least two models is the *core*; of two as large, the one with more votes. If
  neither decides, there is no core: names and their order must not. Between core models nothing is added.
- Each model outside the core is given one virtual tie, spread evenly over the core (over all others where there is no
  core). This is the smallest addition with a plain meaning that makes its rating finite: n wins against average
  opponents and nothing else become the rating of n wins and one tie.
- Such a model is marked preliminary, is named in a warning, and its interval is the wider one of the sandwich and the
  model's own, since a sandwich made of one vote, or of ties only, is absurdly narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from palaestra.errors import InputError
from palaestra.ranking.counts import Counts
from palaestra.stats.paired import (
    PairedFit,
    fit_paired,
    inverse_information,
    paired_log_likelihood,
    sandwich_covariance,
)

Array = NDArray[np.float64]

ELO = 400 / np.log(10)
"""Elo points of one natural unit: 400 points are odds of 10."""

_FEW_VOTES = 30


@dataclass(frozen=True, slots=True)
class ComponentFit:
    """Ratings of one connected set of models: strengths and covariance in natural units, sum of strengths zero."""

    theta_M: Array
    covariance_MM: Array
    outside_core_M: NDArray[np.bool_]
    log_likelihood: float
    iterations: int
    converged: bool


def components(counts: Counts) -> list[NDArray[np.int64]]:
    """The connected sets of models, the largest first."""
    return _parts(counts.halved_MM, "weak")


def fit_component(counts: Counts) -> ComponentFit:
    """Rate one connected set of at least two models.

    Raises:
        InputError: the weights lie too far apart for the arithmetic of doubles.
    """
    wins_MM = counts.halved_MM
    outside_M = np.ones(len(wins_MM), dtype=bool)
    outside_M[_core(wins_MM)] = False
    try:
        fit = fit_paired(wins_MM + _virtual_ties(outside_M))
        covariance_MM = _covariance(fit, counts, outside_M)
    except np.linalg.LinAlgError as error:
        raise _too_far_apart(counts) from error
    if not (np.isfinite(fit.theta_M).all() and np.isfinite(covariance_MM).all()):
        raise _too_far_apart(counts)
    return ComponentFit(
        theta_M=fit.theta_M,
        covariance_MM=covariance_MM,
        outside_core_M=outside_M,
        log_likelihood=paired_log_likelihood(wins_MM, fit.theta_M),
        iterations=fit.iterations,
        converged=fit.converged,
    )


def held_out_log_loss(counts: Counts, *, folds: int, seed: int) -> float | None:
    """Mean log loss per vote, natural logarithm, of votes that the fit has not seen; a tie counts half.

    None where a fit without one fold has no finite maximum, or none that doubles can find, so that nothing can be said
    of the votes held out.
    """
    loss = 0.0
    for fold in counts.folds(folds, seed):
        seen_MM, held_MM = counts.halved_MM - fold.halved_MM, fold.halved_MM
        seen_MM[np.abs(seen_MM) < 1e-9] = 0.0  # noqa: PLR2004 - what subtraction of fractions leaves over
        if len(_parts(seen_MM, "strong")) > 1:
            return None
        try:
            loss -= paired_log_likelihood(held_MM, fit_paired(seen_MM).theta_M)
        except np.linalg.LinAlgError:
            return None
    return loss / counts.votes


def _too_far_apart(counts: Counts) -> InputError:
    met = counts.halved_MM[counts.halved_MM > 0]
    return InputError(
        f"these votes cannot be rated: by weight there are from {met.min():g} to {met.max():g} of them between two "
        "models, which lie too far apart for the arithmetic; give weights of a similar size"
    )


def _parts(wins_MM: Array, connection: str) -> list[NDArray[np.int64]]:
    count, label_M = connected_components(csr_matrix(wins_MM > 0), directed=True, connection=connection)
    parts = [np.flatnonzero(label_M == label) for label in range(count)]
    return sorted(parts, key=lambda part: (-len(part), part[0]))


def _core(wins_MM: Array) -> NDArray[np.int64]:
    """The models of the core; empty where there is none."""
    parts = _parts(wins_MM, "strong")
    sizes = [(len(part), round(float(wins_MM[np.ix_(part, part)].sum()), 6)) for part in parts]
    largest = max(sizes)
    if largest[0] < 2 or sizes.count(largest) > 1:  # noqa: PLR2004 - one model alone is connected with nobody
        return np.array([], dtype=np.int64)
    return parts[sizes.index(largest)]


def _virtual_ties(outside_M: NDArray[np.bool_]) -> Array:
    """For each model outside the core, one tie spread evenly over the core, or over all others where there is none."""
    count = len(outside_M)
    added_MM = np.zeros((count, count))
    core = np.flatnonzero(~outside_M)
    for model in np.flatnonzero(outside_M):
        opponents = core if len(core) else np.delete(np.arange(count), model)
        added_MM[model, opponents] += 0.5 / len(opponents)
        added_MM[opponents, model] += 0.5 / len(opponents)
    return added_MM


def _covariance(fit: PairedFit, counts: Counts, outside_M: NDArray[np.bool_]) -> Array:
    """The sandwich, its diagonal widened to the model's own variance for models that it cannot know enough about."""
    covariance_MM = sandwich_covariance(fit, counts.wins_MM, counts.drawn_MM)
    votes_M = counts.halved_MM.sum(axis=1) + counts.halved_MM.sum(axis=0)
    unsure_M = outside_M | (votes_M < _FEW_VOTES)
    variance_M = np.diag(covariance_MM)
    rounding = np.finfo(float).eps * len(variance_M) * max(variance_M.max(), 1.0)
    if variance_M.min() < -rounding:
        raise np.linalg.LinAlgError("a variance below zero")
    least_M = np.where(unsure_M, np.diag(inverse_information(fit)), 0)
    return covariance_MM + np.diag(np.maximum(least_M - variance_M, 0))
