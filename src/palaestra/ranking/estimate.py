"""One maximum with its covariance: connections, virtual ties, Newton, sandwich, and what to do where each can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.config import FitConfig
from palaestra.ranking.connectivity import Connections, connect
from palaestra.ranking.counts import Counts
from palaestra.ranking.sample import Sample
from palaestra.stats.bootstrap import bootstrap
from palaestra.stats.covariance import middle, model_covariance
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import LAST_STEP, Maximum, Problem, maximise
from palaestra.stats.passes import Parameters, score_and_information
from palaestra.stats.rows import Rows, table_rows

Floats = NDArray[np.float64]

FEW_VOTES = 30
FEW_CLUSTERS = 10
_COLLINEAR = 1e-8
_SEPARATED = 20.0
_FAR_APART = 1e8
_LEAST_COUNT = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A maximum and how its votes are connected."""

    maximum: Maximum
    connections: Connections

    @property
    def theta_M(self) -> Floats:
        """Strengths in natural units, mean zero in each part; absolute ones under the grounded model."""
        return self.maximum.at.theta_M


@dataclass(frozen=True, slots=True)
class Spread:
    """The uncertainty of an estimate: its covariance, and under the bootstrap the parameters of each round (R, Q)."""

    covariance_QQ: Floats
    rounds_RQ: Floats | None = None


def estimate(
    rows: Rows,
    counts: Counts,
    model: VoteModel,
    *,
    penalty: float = 0.0,
    start: Parameters | None = None,
    last_step: float = LAST_STEP,
    effects: tuple[str, ...] = (),
    connections: Connections | None = None,
) -> Estimate:
    """The maximum-likelihood parameters of votes.

    Args:
        rows: the votes.
        counts: the same votes, for how they connect their models.
        model: the model of a vote.
        penalty: ridge on the coefficients, for each vote.
        start: where to begin.
        last_step: the size of a step after which nothing more is looked for.
        effects: what messages call the covariates of the rows.
        connections: those of the votes, if they are known.

    Raises:
        InputError: the votes do not determine the model's parameters, or their weights lie too far apart.
    """
    _check_outcomes(counts, model)
    connections = connections or connect(counts, grounded=model is VoteModel.GROUNDED)
    extra = table_rows(connections.virtual_OMM) if connections.outside_M.any() else None
    problem = Problem(rows, model, connections.part_M, extra, penalty)
    try:
        found = maximise(problem, start, last_step=last_step)
    except np.linalg.LinAlgError as error:
        culprit = _determined(problem) if effects else None
        raise _not_determined(rows) if culprit is None else _cannot_be_told(effects[culprit]) from error
    if not found.converged and effects and np.abs(found.at.beta_F).max() > _SEPARATED:
        name = effects[int(np.abs(found.at.beta_F).argmax())]
        raise InputError(f"covariate {name} foretells every outcome, so that its coefficient has no end; leave it out")
    if not (np.isfinite(found.at.theta_M).all() and np.isfinite(found.at.beta_F).all()):
        raise _not_determined(rows)
    return Estimate(found, connections)


def spread(sample: Sample, found: Estimate, config: FitConfig, progress: Callable[[], None] | None = None) -> Spread:
    """The covariance of an estimate, as the settings ask for it.

    The variance of a model outside the core, or with few votes or clusters, is at least what the model of a vote says:
    a sandwich made of one vote, or of ties only, is absurdly narrow.

    Raises:
        InputError: covariates cannot be told apart, or the weights lie too far apart.
    """
    try:
        least_QQ = model_covariance(found.maximum)
        _check_collinear(sample, found, least_QQ)
        rounds_RQ = None
        if config.intervals == "bootstrap":
            _check_counts(sample.rows)
            rounds_RQ = bootstrap(
                found.maximum, rounds=config.rounds, seed=config.seed, cluster_B=sample.cluster_B, progress=progress
            )
            covariance_QQ = np.cov(rounds_RQ, rowvar=False, ddof=1)
        elif config.intervals == "model":
            covariance_QQ = least_QQ
        else:
            covariance_QQ = least_QQ @ middle(found.maximum, sample.cluster_B) @ least_QQ
        return Spread(_widened(sample, found, covariance_QQ, least_QQ), rounds_RQ)
    except np.linalg.LinAlgError as error:
        raise _not_determined(sample.rows) from error


def _check_counts(rows: Rows) -> None:
    """Refuse to resample rows that stand for next to nothing: their weights in a round would be zero or enormous."""
    least = float((rows.weight_B**2 / rows.square_B).min())
    if least < _LEAST_COUNT:
        raise InputError(
            f"the bootstrap needs rows that stand for votes; found one of weight {least:g}, expected at least "
            f"{_LEAST_COUNT:g}; use intervals=sandwich"
        )


def _widened(sample: Sample, found: Estimate, covariance_QQ: Floats, least_QQ: Floats) -> Floats:
    count = len(sample.counts.names)
    variance_Q = np.diag(covariance_QQ)
    rounding = np.finfo(float).eps * len(variance_Q) * max(variance_Q.max(), 1.0)
    if not np.isfinite(covariance_QQ).all() or variance_Q.min() < -rounding:
        raise np.linalg.LinAlgError("a variance below zero")
    unsure_M = found.connections.outside_M | (sample.counts.votes_M < FEW_VOTES)
    if (clusters_M := sample.clusters_M) is not None:
        unsure_M |= clusters_M < FEW_CLUSTERS
    least_Q = np.zeros(len(variance_Q))
    least_Q[:count] = np.where(unsure_M, np.diag(least_QQ)[:count], 0)
    return covariance_QQ + np.diag(np.maximum(least_Q - variance_Q, 0))


def _check_outcomes(counts: Counts, model: VoteModel) -> None:
    if model in {VoteModel.RAO_KUPPER, VoteModel.DAVIDSON} and not counts.drawn_MM.any():
        raise InputError(
            "there are no ties among these votes, so that a model of ties has nothing to say; use ties=half"
        )
    if model is not VoteModel.BRADLEY_TERRY and not counts.wins_MM.any():
        raise InputError(
            "there is not one decided vote among these, so that a model of ties has no finite fit; use ties=half"
        )
    if model is VoteModel.GROUNDED and not (counts.both_bad_MM.any() and counts.ties_MM.any()):
        raise InputError(
            "the grounded model needs votes for both_bad and for tie; found "
            f"{counts.both_bad_MM.sum() / 2:g} and {counts.ties_MM.sum() / 2:g}; use ties=davidson or half"
        )


def _check_collinear(sample: Sample, found: Estimate, least_QQ: Floats) -> None:
    """Refuse a covariate of which nothing is left once models and other covariates are known."""
    count = len(sample.counts.names)
    for f, name in enumerate(sample.effects, start=count):
        left = 1 / (least_QQ[f, f] * found.maximum.information_QQ[f, f])
        if not left > _COLLINEAR:
            raise _cannot_be_told(name)


def _determined(problem: Problem) -> int | None:
    """The first covariate of which nothing is left once models and the covariates before it are known."""
    _, information_QQ = score_and_information(problem.rows, problem.model, problem.start())
    if not np.isfinite(information_QQ).all():
        return None
    count = problem.rows.models
    for f in range(problem.features):
        known = np.arange(count + f)
        block = np.linalg.pinv(information_QQ[np.ix_(known, known)], rcond=1e-10, hermitian=True)
        cross = information_QQ[known, count + f]
        left = information_QQ[count + f, count + f] - cross @ block @ cross
        if left <= _COLLINEAR * information_QQ[count + f, count + f]:
            return f
    return None


def _cannot_be_told(name: str) -> InputError:
    return InputError(
        f"covariate {name} cannot be told from the models and the other covariates: they determine it; leave it out"
    )


def _not_determined(rows: Rows) -> InputError:
    """Why the arithmetic has found no fit, as far as the weights tell."""
    weight_B = rows.weight_B[rows.weight_B > 0]
    if weight_B.max() > _FAR_APART * weight_B.min():
        return InputError(
            f"these votes cannot be rated: rows stand for {weight_B.min():g} to {weight_B.max():g} votes, which lie "
            "too far apart for the arithmetic; give weights of a similar size"
        )
    covariates = ", or covariates that determine the outcomes or each other; leave some out" if len(rows.x_FB) else ""
    return InputError(
        f"these votes cannot be rated: {weight_B.sum():g} votes of {rows.models} models do not determine the fit"
        f"{covariates}"
    )
