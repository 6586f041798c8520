"""The bootstrap of a fit, every round maximised to convergence.

Votes, or clusters of votes, are weighted instead of drawn with replacement: independent weights of mean and variance
one (the weighted bootstrap of Newton and Raftery, 1994; with exponential weights, the Bayesian one of Rubin, 1981). A
count of
n votes has the sum of n weights, a Gamma. All weights are positive, so that a model that has both won and lost has
done so in each round, and no round is without a maximum; drawing with replacement loses some for models with few votes.

The exponential is cut into 4096 equally likely values with the same mean and variance, looked up by a hash of seed,
round and cluster: nothing is stored for a round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import Maximum, Problem, maximise
from palaestra.stats.parts import on_threads, parts_of
from palaestra.stats.passes import NO_CLUSTERS, Parameters, Resampling, outcome_tables
from palaestra.stats.rows import Rows, table_rows

Floats = NDArray[np.float64]

_DRAWS = 4096
_LAST_STEP = 1e-4
"""A Newton step of this size, taken, leaves an error of its square."""


def bootstrap(
    maximum: Maximum,
    *,
    rounds: int,
    seed: int,
    cluster_B: NDArray[np.int32] | None = None,
    progress: Callable[[], None] | None = None,
) -> Floats:
    """The parameters of each round, shape (R, Q), as in `passes.py`.

    Args:
        maximum: the fit.
        rounds: their number R.
        seed: same seed, same rounds.
        cluster_B: the cluster of each row of the fit, numbered from zero; None where votes are independent.
        progress: called after each round.

    Raises:
        numpy.linalg.LinAlgError: a round cannot be maximised.
    """
    problem = replace(maximum.problem, rows=_without_distinctions(maximum.problem))
    rows = problem.rows
    counts_B = rows.weight_B**2 / rows.square_B
    importance_B = rows.weight_B / counts_B
    single = bool(np.all(np.abs(counts_B - 1) < 1e-9))  # noqa: PLR2004 - one, but for rounding
    draws = exponential_draws()

    def one(number: int) -> Floats:
        stream = np.random.SeedSequence([seed, number])
        if cluster_B is not None or single:
            clusters = NO_CLUSTERS if cluster_B is None else cluster_B
            hashed = Resampling(draws, int(stream.generate_state(1, np.uint64)[0]), clusters)
            found = maximise(problem, maximum.at, last_step=_LAST_STEP, resampling=hashed)
        else:
            gamma_B = np.random.default_rng(stream).standard_gamma(counts_B)
            drawn = replace(problem, rows=replace(rows, weight_B=gamma_B * importance_B))
            found = maximise(drawn, maximum.at, last_step=_LAST_STEP)
        if progress is not None:
            progress()
        return _flat(found.at, problem.model.shapes)

    together = parts_of(len(rows.outcome_B)) == 1  # or each pass is on all cores by itself
    return np.array(on_threads(one, range(rounds)) if together else list(map(one, range(rounds))))


def exponential_draws() -> Floats:
    """4096 equally likely positive numbers with mean one and variance one, in the shape of the exponential."""
    edges = -np.log1p(-np.arange(_DRAWS) / _DRAWS)
    upper = np.append(edges[1:], np.inf)
    with np.errstate(invalid="ignore"):
        tail = np.where(np.isinf(upper), 0.0, (upper + 1) * np.exp(-upper))
    means = _DRAWS * ((edges + 1) * np.exp(-edges) - tail)
    spread = (means - means.mean()) / means.std()
    return np.maximum(1 + spread, 1e-6)


def _without_distinctions(problem: Problem) -> Rows:
    """The rows, where they are sums of votes of weight one with ties and both bad as one wherever the model knows none.

    The sum of two Gammas is the Gamma of their sum: the weights of a round keep their distribution, from fewer draws.
    """
    rows = problem.rows
    if len(rows.source_B) or problem.model is VoteModel.GROUNDED or not np.array_equal(rows.weight_B, rows.square_B):
        return rows
    tables_OMM = outcome_tables(rows)
    tables_OMM[2] += tables_OMM[3]
    tables_OMM[3] = 0.0
    return table_rows(tables_OMM)


def _flat(at: Parameters, shapes: int) -> Floats:
    return np.concatenate([at.theta_M, at.beta_F, np.full(shapes, at.shape)])
