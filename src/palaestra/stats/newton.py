"""The maximum of the likelihood by Newton's method, and the linear algebra around it.

Steps use full second derivatives. A step that overshoots (the slope along it has turned and is no smaller) is halved;
the
three concave models need that at most once or twice. The fourth is not concave: where its information is not positive
definite, the smallest power of ten that makes it so is added to its diagonal for that step (Levenberg, 1944).

Only differences of strengths are determined, within each connected part of the models. That gauge (mean zero in each
part) is imposed exactly: the information is filled along the undetermined directions with a number of its own size,
which changes nothing across them. Nothing is ever added to ratings as a ridge. The grounded model has no gauge.

Not here: whether the maximum is finite (the caller adds `extra` rows where it is not).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import ThreadpoolController

from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.passes import Parameters, Resampling, score_and_information
from palaestra.stats.rows import Rows

Floats = NDArray[np.float64]

_MOST_STEPS = 100
_MOST_HALVINGS = 40
_NEAR = 1e-3
LAST_STEP = 1e-7
"""Newton's error squares itself with each step: after one of this size, nothing is left that a double could hold."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is maximised: the likelihood of rows under a model of a vote, and of `extra` rows that are no votes.

    `part_M` numbers the connected part of each model. `penalty` is that of each vote: the sum of the weights times
    penalty times half the squared coefficients is taken off.
    """

    rows: Rows
    model: VoteModel
    part_M: NDArray[np.int64]
    extra: Rows | None = None
    penalty: float = 0.0

    @property
    def features(self) -> int:
        """The number of coefficients F."""
        return len(self.rows.x_FB)

    def start(self) -> Parameters:
        """All strengths and coefficients zero."""
        return Parameters(np.zeros(self.rows.models), np.zeros(self.features), self.model.start)


@dataclass(frozen=True, slots=True)
class Maximum:
    """Where the maximum is, with the information there, singular along the gauge; parameters as in `passes.py`."""

    problem: Problem
    at: Parameters
    information_QQ: Floats
    iterations: int
    converged: bool


def maximise(
    problem: Problem,
    start: Parameters | None = None,
    *,
    last_step: float = LAST_STEP,
    resampling: Resampling | None = None,
) -> Maximum:
    """The maximum-likelihood parameters; `converged` is False where 100 steps have not found them.

    Raises:
        numpy.linalg.LinAlgError: the information cannot be factorised in doubles.
    """
    at, last = start or problem.start(), 0.0
    score_Q, information_QQ = _derivatives(problem, at, resampling)
    for iteration in range(1, _MOST_STEPS + 1):
        step_Q = _ascent(problem, information_QQ, score_Q)
        if not np.isfinite(step_Q).all():
            raise np.linalg.LinAlgError("a step that is no number")
        size = np.abs(step_Q).max()
        quadratic = size < _NEAR and 1e3 * size**3 < last_step * last**2  # the next step would be about size³ / last²
        if size < last_step or quadratic:
            return Maximum(
                problem, _centred(problem, at.moved(step_Q, problem.model)), information_QQ, iteration, converged=True
            )
        slope = score_Q @ step_Q
        for _ in range(_MOST_HALVINGS):
            moved = at.moved(step_Q, problem.model)
            score_Q, information_QQ = _derivatives(problem, moved, resampling)
            if score_Q @ step_Q >= -0.5 * slope:
                break
            step_Q, slope = step_Q / 2, slope / 2
        at, last = moved, size
    return Maximum(problem, _centred(problem, at), information_QQ, _MOST_STEPS, converged=False)


def one_step_without(found: Maximum, out: Rows, last_step: float) -> Parameters | None:
    """The maximum without some of the votes, by one step of Newton's method from that of all.

    At the maximum of all, the score of the others is minus that of those left out; the information is the difference
    of both. So nobody looks at the others again.

    Args:
        found: the maximum of all votes.
        out: the rows that are left out, which are rows of `found.problem`.
        last_step: the size of a step after which nothing more is looked for.

    Returns:
        None if the step is greater, so that more than one would be needed.
    """
    score_Q, information_QQ = score_and_information(out, found.problem.model, found.at)
    try:
        step_Q = _ascent(found.problem, found.information_QQ - information_QQ, -score_Q)
    except np.linalg.LinAlgError:
        return None
    return found.at.moved(step_Q, found.problem.model) if np.abs(step_Q).max() < last_step else None


def solver(problem: Problem, information_QQ: Floats) -> Callable[[Floats], Floats]:
    """A function that solves with the information on the space of what is determined, for (Q,) or (Q, K).

    Raises:
        numpy.linalg.LinAlgError: the information is not positive definite there.
    """
    factor = cho_factor(_filled(problem, information_QQ), lower=True, overwrite_a=True, check_finite=False)
    return lambda right: without_level(problem, cho_solve(factor, right, check_finite=False))


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread():  # noqa: ANN201 - threadpoolctl's own context manager
    """A context in which linear algebra uses one thread: systems of some hundred models are too small for more."""
    return _controller().limit(limits=1, user_api="blas")


def _derivatives(problem: Problem, at: Parameters, resampling: Resampling | None) -> tuple[Floats, Floats]:
    score_Q, information_QQ = score_and_information(problem.rows, problem.model, at, resampling)
    if problem.extra is not None:
        more_Q, more_QQ = score_and_information(problem.extra, problem.model, at)
        size = len(score_Q)  # extra rows have no covariates: their sums belong to the strengths and the shape
        places = np.r_[: problem.rows.models, size - problem.model.shapes : size]
        score_Q[places] += more_Q
        information_QQ[np.ix_(places, places)] += more_QQ
    if problem.penalty:
        strength = problem.penalty * problem.rows.weight_B.sum()
        these = np.arange(problem.rows.models, problem.rows.models + problem.features)
        score_Q[these] -= strength * at.beta_F
        information_QQ[these, these] += strength
    return score_Q, information_QQ


def _ascent(problem: Problem, information_QQ: Floats, score_Q: Floats) -> Floats:
    """Newton's step, or the nearest to it that goes up."""
    diagonal_Q = np.maximum(np.abs(np.diag(information_QQ)), 1e-12)
    for damping in (0.0, *(10.0**power for power in range(-3, 7))):
        try:
            damped_QQ = information_QQ + np.diag(damping * diagonal_Q) if damping else information_QQ
            return solver(problem, damped_QQ)(score_Q)
        except np.linalg.LinAlgError:
            if problem.model is not VoteModel.GROUNDED:
                raise
    raise np.linalg.LinAlgError("no damping makes the information positive definite")


def _filled(problem: Problem, information_QQ: Floats) -> Floats:
    filled_QQ = information_QQ.copy()
    if problem.model is VoteModel.GROUNDED:
        return filled_QQ
    count, parts = problem.rows.models, int(problem.part_M.max()) + 1
    diagonal_M = np.diag(information_QQ)[:count]
    for part in range(parts):
        members = problem.part_M == part
        scale = max(diagonal_M[members].mean(), np.finfo(float).tiny) / members.sum()
        if parts == 1:
            filled_QQ[:count, :count] += scale
        else:
            filled_QQ[np.ix_(members, members)] += scale
    return filled_QQ


def without_level(problem: Problem, solved: Floats) -> Floats:
    """Solutions with the mean of each connected part taken off its strengths, where only differences are determined."""
    if problem.model is VoteModel.GROUNDED:
        return solved
    count, parts = problem.rows.models, int(problem.part_M.max()) + 1
    for part in range(parts):
        members = slice(count) if parts == 1 else np.flatnonzero(problem.part_M == part)
        solved[members] -= solved[members].mean(axis=0)
    return solved


def _centred(problem: Problem, at: Parameters) -> Parameters:
    return Parameters(without_level(problem, at.theta_M.copy()), at.beta_F, at.shape)
