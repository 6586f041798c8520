"""Sums over all votes at one set of parameters: score and information, the sandwich's middle, likelihood.

Parameters are laid out as strengths (M), coefficients (F), shape (0 or 1). Work is cut into a number of parts that
depends on the data alone and summed in their order: the same bytes on any number of cores.

Not here: the loops (`kernels.py`), steps towards a maximum (`newton.py`), what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from palaestra.stats.kernels import (
    BINS,
    cluster_pass,
    draw_pass,
    forecast_pass,
    likelihood_pass,
    pass_bradley_terry,
    pass_general,
    slope_pass,
    table_pass,
)
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.pair_kernels import deal_counts, likelihood_pairs, pass_pairs
from palaestra.stats.parts import on_threads, parts_of, ranges
from palaestra.stats.rows import Rows, compact

Floats = NDArray[np.float64]
T = TypeVar("T")

NO_DRAWS = np.zeros(0)
NO_CLUSTERS = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Strengths (M,), coefficients (F,) and the shape parameter, 0.0 where the model has none."""

    theta_M: Floats
    beta_F: Floats
    shape: float = 0.0

    def moved(self, step_Q: Floats, model: VoteModel) -> Parameters:
        """The parameters after a step in all of them; the shape of Rao and Kupper stays above zero."""
        count, features = len(self.theta_M), len(self.beta_F)
        shape = self.shape + step_Q[count + features] if model.shapes else 0.0
        if model is VoteModel.RAO_KUPPER:
            shape = max(shape, self.shape / 10)
        return Parameters(self.theta_M + step_Q[:count], self.beta_F + step_Q[count : count + features], shape)


@dataclass(frozen=True, slots=True)
class Resampling:
    """Bootstrap weights made where they are needed: `draws[hash(seed, cluster)]`.

    Where `cluster_B` is empty, each row is its own cluster.

    `draws` has a power of two entries with mean and variance one.
    """

    draws: Floats
    seed: int
    cluster_B: NDArray[np.int32]


def score_and_information(
    rows: Rows, model: VoteModel, at: Parameters, resampling: Resampling | None = None
) -> tuple[Floats, Floats]:
    """The gradient (Q,) of the log-likelihood and its negative second derivatives (Q, Q), Q = M + F + shapes."""
    return _summed(rows, model, at, rows.weight_B, resampling=resampling)


def sandwich_middle(rows: Rows, model: VoteModel, at: Parameters) -> Floats:
    """The sum over votes of the outer products of their scores, shape (Q, Q)."""
    return _summed(rows, model, at, rows.square_B, middle=True)[1]


def clustered_middle(rows: Rows, model: VoteModel, at: Parameters, cluster_B: NDArray[np.int32]) -> Floats:
    """The sum over clusters of the outer products of their summed scores, shape (Q, Q).

    Args:
        rows: one row a vote.
        model: the model of a vote.
        at: where.
        cluster_B: the cluster of each row, numbered from zero, in the order of `rows`.
    """
    order_B = np.argsort(cluster_B, kind="stable").astype(np.int32)
    start_C = np.concatenate([[0], np.cumsum(np.bincount(cluster_B))]).astype(np.int64)
    pair_B = np.repeat(np.arange(len(rows.first_P), dtype=np.int32), np.diff(rows.start_P))
    size = _size(rows, model)
    middle_QQ = np.zeros((size, size))
    cluster_pass(
        int(model), rows.first_P, rows.second_P, pair_B, rows.outcome_B, rows.weight_B, rows.x_FB, at.theta_M,
        at.beta_F, at.shape, order_B, start_C, middle_QQ,
    )  # fmt: skip
    return middle_QQ


@dataclass(frozen=True, slots=True)
class Forecasts:
    """How well votes were foretold: by outcome, and by the tenth of the expected score of side a.

    `weight_O` and `log_likelihood_O` have shape (4,). `bins` has shape (3, 10): the sum of weights, of expected scores,
    and of scores that happened.
    """

    weight_O: Floats
    log_likelihood_O: Floats
    bins: Floats

    @property
    def log_likelihood(self) -> float:
        """Of all outcomes."""
        return float(self.log_likelihood_O.sum())


def forecasts(rows: Rows, model: VoteModel, at: Parameters) -> Forecasts:
    """The log-likelihood (natural logarithm) of votes at some parameters, and their calibration."""

    def part(low: int, high: int) -> tuple[Floats, Floats]:
        sums_2O, bins = np.zeros((2, 4)), np.zeros((3, BINS))
        forecast_pass(int(model), *_votes(rows), at.theta_M, at.beta_F, at.shape, low, high, sums_2O, bins)
        return sums_2O, bins

    done = _in_parts(rows, part)
    weight_O, log_likelihood_O = np.sum([one[0] for one in done], axis=0)
    return Forecasts(weight_O, log_likelihood_O, np.sum([one[1] for one in done], axis=0))


def slopes(rows: Rows, model: VoteModel, at: Parameters, direction_Q: Floats) -> Floats:
    """The score of each row along a direction in the parameters, times its weight; shape (B,)."""
    slope_B = np.empty(len(rows.outcome_B))
    last = direction_Q[-1] if model.shapes else 0.0
    here = (at.theta_M, at.beta_F, at.shape, direction_Q, last)
    _in_parts(rows, lambda low, high: slope_pass(int(model), *_votes(rows), *here, low, high, slope_B))
    return slope_B


def log_likelihood(rows: Rows, model: VoteModel, at: Parameters) -> float:
    """The log-likelihood of votes, natural logarithm."""
    if model is not VoteModel.BRADLEY_TERRY:
        return forecasts(rows, model, at).log_likelihood
    *votes, x_FB = _votes(rows)

    def part(low: int, high: int) -> float:
        if len(x_FB):
            return likelihood_pass(*votes, x_FB, at.theta_M, at.beta_F, low, high)
        return likelihood_pairs(*votes, at.theta_M, low, high, NO_DRAWS, NO_CLUSTERS)

    return float(sum(_in_parts(rows, part)))


def outcome_tables(rows: Rows) -> Floats:
    """The weights of votes, summed by outcome and pair; shape (4, M, M), above the diagonal."""
    summed_OMM = np.zeros((4, rows.models, rows.models))
    *votes, _ = _votes(rows)
    _in_parts(rows, lambda low, high: table_pass(*votes, low, high, summed_OMM))
    return summed_OMM


def outcome_weights(rows: Rows) -> Floats:
    """The weights of votes, summed by outcome; shape (4,)."""
    if len(weight_B := compact(rows.weight_B)) == 1:
        return float(weight_B[0]) * np.array(
            [np.count_nonzero(rows.outcome_B == outcome) for outcome in range(4)], dtype=float
        )
    return np.bincount(rows.outcome_B, weight_B, minlength=4).astype(float)


def drawn(rows: Rows, resampling: Resampling) -> NDArray[np.bool_]:
    """Which rows are drawn, of which each row or cluster has zero or one; shape (B,)."""
    drawn_B = np.empty(len(rows.outcome_B), dtype=bool)
    on_threads(lambda both: draw_pass(*both, *_parts_of(resampling), drawn_B), ranges(len(drawn_B)))
    return drawn_B


def dealt_votes(votes_B: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Of so many votes each, how many are dealt, each vote with this probability (to 1 / 2**16); shape (B,)."""
    if share == 1:
        return votes_B
    dealt_B = np.empty_like(votes_B)
    deal_counts(votes_B, round(share * 2**16), np.uint64(seed), dealt_B)
    return dealt_B


def _votes(rows: Rows) -> tuple[NDArray[Any], ...]:
    """What every loop over votes is given first."""
    return rows.first_P, rows.second_P, rows.start_P, rows.outcome_B, compact(rows.weight_B), rows.x_FB


def _parts_of(resampling: Resampling | None) -> tuple[Floats, np.uint64, NDArray[np.int32]]:
    if resampling is None:
        return NO_DRAWS, np.uint64(0), NO_CLUSTERS
    return resampling.draws, np.uint64(resampling.seed), resampling.cluster_B


def _summed(
    rows: Rows,
    model: VoteModel,
    at: Parameters,
    weight_B: Floats,
    *,
    middle: bool = False,
    resampling: Resampling | None = None,
) -> tuple[Floats, Floats]:
    size = _size(rows, model)
    draws, seed, cluster_B = _parts_of(resampling)
    votes = _votes(replace(rows, weight_B=weight_B))

    def part(low: int, high: int) -> tuple[Floats, Floats]:
        score_Q, information_QQ = np.zeros(size), np.zeros((size, size))
        rest = (low, high, draws, seed, cluster_B, score_Q, information_QQ)
        if model is VoteModel.BRADLEY_TERRY and not len(rows.x_FB):
            pass_pairs(middle, *votes[:-1], at.theta_M, *rest)
        elif model is VoteModel.BRADLEY_TERRY:
            pass_bradley_terry(middle, *votes, at.theta_M, at.beta_F, *rest)
        else:
            pass_general(int(model), middle, *votes, at.theta_M, at.beta_F, at.shape, *rest)
        return score_Q, information_QQ

    done = _in_parts(rows, part)
    score_Q, lower_QQ = done[0]
    for one in done[1:]:
        score_Q += one[0]
        lower_QQ += one[1]
    whole_QQ = lower_QQ + lower_QQ.T
    np.fill_diagonal(whole_QQ, np.diag(lower_QQ))
    return score_Q, whole_QQ


def _size(rows: Rows, model: VoteModel) -> int:
    return rows.models + len(rows.x_FB) + model.shapes


def _in_parts(rows: Rows, work: Callable[[int, int], T]) -> list[T]:
    """Work on ranges of pairs with about as many rows each."""
    count = parts_of(len(rows.outcome_B))
    cuts = np.searchsorted(rows.start_P, np.linspace(0, len(rows.outcome_B), count + 1)[1:-1].astype(np.int64))
    edges = [0, *(int(cut) for cut in cuts), len(rows.first_P)]
    return on_threads(lambda both: work(*both), list(pairwise(edges)))
