"""The head's minimum: strengths that are linear in a prompt's vector, under a prior that falls on the weights alone.

    beta_m(z) = a_m + w_m·z                      tie(z) = t + v·z
    minimise    - sum_b weight_b log P(outcome_b | beta_first(z_b), beta_second(z_b), tie(z_b))
                + (|W - W0|² + |v - v0|²) / (2 spread²) + small (|a|² + t²) / 2

z has mean zero and mean square one, so that w_m·z moves by about `spread` from prompt to prompt a priori. W0 = 0 for
the estimate. With spread = 0 there are no weights, and the minimum is the plain board of all votes. `small` is 1e-4: a
hundred-thousandth of what a model's votes say of it, and what keeps a model finite that never lost.

L-BFGS (Liu and Nocedal, 1989), the loss summed in parts that depend on the data alone: the same bytes on any number of
cores. Not here: which spread (`train.py`), and members of an ensemble (`uncertainty.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from palaestra.errors import InputError
from palaestra.p2l.kernel import loss_pass, tie_parameter, vote_losses
from palaestra.p2l.model import VOTE_MODELS, Coefficients, Kind
from palaestra.stats.parts import on_threads, ranges
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]

_SMALL = 1e-4
_MOST_STEPS = 400
_SLOPE = 1e-8
_GAIN = 1e-12
_AT_ONCE = 65_536
_CURVATURE = 0.2
"""Of the loss of one vote between two models that are about level."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of a head: a_M, w_MK, and tie_C = (t, v), which Bradley-Terry does not use."""

    a_M: Floats
    w_MK: Floats
    tie_C: Floats

    @classmethod
    def zero(cls, kind: Kind, models: int, components: int) -> Weights:
        """Where the search begins."""
        tie_C = np.zeros(1 + components)
        tie_C[0] = VOTE_MODELS[kind].start
        return cls(np.zeros(models), np.zeros((models, components)), tie_C)

    @property
    def flat(self) -> Floats:
        """All of them in one row."""
        return np.concatenate([self.a_M, self.w_MK.ravel(), self.tie_C])

    def unflat(self, flat_Q: Floats) -> Weights:
        """Others of the same shapes."""
        models, components = self.w_MK.shape
        split = models * (1 + components)
        return Weights(flat_Q[:models], flat_Q[models:split].reshape(models, components), flat_Q[split:])

    def at(self, kind: Kind, z_PK: Vectors) -> Coefficients:
        """The coefficients of prompts with these vectors, without an ensemble."""
        beta_PM = self.a_M + z_PK @ self.w_MK.T
        if kind == "bradley-terry":
            return Coefficients(beta_PM)
        raw_P = self.tie_C[0] + z_PK @ self.tie_C[1:]
        return Coefficients(beta_PM, tie_parameters(kind, raw_P))


def tie_parameters(kind: Kind, raw: Floats) -> Floats:
    """The parameter of ties from the head's numbers, of any shape."""
    model = int(VOTE_MODELS[kind])
    return np.array([tie_parameter(model, one) for one in raw.ravel().tolist()]).reshape(raw.shape)


@dataclass(frozen=True, slots=True)
class Fit:
    """A minimum: the weights there, the log-likelihood of the votes, and how the search ended."""

    weights: Weights
    log_likelihood: float
    steps: int
    converged: bool


def by_prompt(votes: PromptedVotes) -> PromptedVotes:
    """The votes in the order of their prompts, without those of weight zero."""
    order_B = np.argsort(votes.prompt_B, kind="stable")
    order_B = order_B[votes.weight_B[order_B] > 0]
    names = ("prompt_B", "first_B", "second_B", "outcome_B", "weight_B", "voter_B")
    return replace(votes, **{name: np.ascontiguousarray(getattr(votes, name)[order_B]) for name in names})


def fit(
    votes: PromptedVotes,
    z_PK: Vectors,
    kind: Kind,
    spread: float,
    *,
    start: Weights | None = None,
    anchor: Weights | None = None,
    last_slope: float = _SLOPE,
) -> Fit:
    """The minimum for these votes.

    Args:
        votes: in the order of their prompts, see `by_prompt`.
        z_PK: a vector for each prompt.
        kind: the likelihood.
        spread: the prior's standard deviation of w·z; 0 leaves the weights at zero.
        start: where to begin.
        anchor: W0 and v0; zero if left out.
        last_slope: the search ends where no slope, per vote, is steeper.

    Raises:
        InputError: the loss is no number.
    """
    components = z_PK.shape[1] if spread else 0
    empty = Weights.zero(kind, len(votes.models), components)
    begin = empty if start is None else start
    total = float(votes.weight_B.sum())
    z_PK = z_PK if spread else np.zeros((len(z_PK), 0), dtype=np.float32)
    pull_Q = _pull(empty, kind, spread)
    anchor_Q = np.zeros(len(pull_Q)) if anchor is None else _only_weights(anchor).flat

    scale_Q = 1 / np.sqrt(_curvature(votes, z_PK, empty) / total + pull_Q / total)

    def loss(scaled_Q: Floats) -> tuple[float, Floats]:
        flat_Q = scaled_Q * scale_Q
        value, slope_Q = _loss(votes, z_PK, kind, empty.unflat(flat_Q))
        off_Q = flat_Q - anchor_Q
        value += 0.5 * float(pull_Q @ off_Q**2)
        return value / total, scale_Q * (slope_Q + pull_Q * off_Q) / total

    options = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "gtol": last_slope, "ftol": _GAIN, "maxcor": 20}
    found = minimize(loss, begin.flat / scale_Q, jac=True, method="L-BFGS-B", options=options)
    if not np.isfinite(found.fun) or not np.isfinite(found.x).all():
        raise InputError("the loss became no number; expected finite vectors of prompts and weights of votes")
    weights = empty.unflat(cast("Floats", found.x) * scale_Q)
    likelihood = -_loss(votes, z_PK, kind, weights)[0]
    return Fit(weights, likelihood, int(found.nit), converged=bool(found.nit < _MOST_STEPS))


def at_votes(weights: Weights, z_PK: Vectors, votes: PromptedVotes, kind: Kind) -> tuple[Floats, Floats, Floats]:
    """The strengths of both sides of each vote on its prompt, and the parameter of ties there."""
    sides = [np.empty(len(votes)), np.empty(len(votes))]
    for start in range(0, len(votes), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        z_BK = z_PK[votes.prompt_B[here]]
        for side_B, model_B in zip(sides, (votes.first_B[here], votes.second_B[here]), strict=True):
            side_B[here] = weights.a_M[model_B] + np.einsum("bk,bk->b", z_BK, weights.w_MK[model_B])
    if kind == "bradley-terry":
        return sides[0], sides[1], np.zeros(len(votes))
    shape_P = tie_parameters(kind, weights.tie_C[0] + z_PK @ weights.tie_C[1:])
    return sides[0], sides[1], shape_P[votes.prompt_B]


def losses_of(weights: Weights, z_PK: Vectors, votes: PromptedVotes, kind: Kind) -> Floats:
    """The negative log-likelihood of each vote, natural logarithm, whatever its weight."""
    first_B, second_B, shape_B = at_votes(weights, z_PK, votes, kind)
    return vote_losses(int(VOTE_MODELS[kind]), votes.outcome_B, first_B, second_B, shape_B)


def widened(weights: Weights, components: int) -> Weights:
    """A plain board as a head whose weights are zero."""
    tie_C = np.concatenate([weights.tie_C[:1], np.zeros(components)])
    return Weights(weights.a_M, np.zeros((len(weights.a_M), components)), tie_C)


def _only_weights(anchor: Weights) -> Weights:
    tie_C = np.concatenate([np.zeros(1), anchor.tie_C[1:]])
    return Weights(np.zeros(len(anchor.a_M)), anchor.w_MK, tie_C)


def _pull(shape: Weights, kind: Kind, spread: float) -> Floats:
    """The precision of the prior of each parameter."""
    precision = 1 / spread**2 if spread else 0.0
    ties = np.full(len(shape.tie_C), precision)
    ties[0] = _SMALL
    if kind == "bradley-terry":
        ties[:] = _SMALL
    return np.concatenate([np.full(len(shape.a_M), _SMALL), np.full(shape.w_MK.size, precision), ties])


def _curvature(votes: PromptedVotes, z_PK: Vectors, shape: Weights) -> Floats:
    """About the second derivative of the likelihood in each parameter, in whose units the search takes its steps."""
    votes_P = np.bincount(votes.prompt_B, votes.weight_B, len(z_PK))
    square_K = np.array([votes_P @ z_PK[:, k].astype(np.float64) ** 2 for k in range(z_PK.shape[1])]) / votes_P.sum()
    sides = (np.bincount(side_B, votes.weight_B, len(shape.a_M)) for side_B in (votes.first_B, votes.second_B))
    votes_M = _CURVATURE * np.sum([*sides], axis=0) + 1e-9
    ties_C = _CURVATURE * votes_P.sum() * np.concatenate([np.ones(1), square_K])
    return np.concatenate([votes_M, np.outer(votes_M, square_K).ravel(), ties_C])


def _loss(votes: PromptedVotes, z_PK: Vectors, kind: Kind, at: Weights) -> tuple[float, Floats]:
    model = int(VOTE_MODELS[kind])
    here = (at.a_M, np.ascontiguousarray(at.w_MK), at.tie_C)
    data = (votes.prompt_B, votes.first_B, votes.second_B, votes.outcome_B, votes.weight_B)

    def part(bounds: tuple[int, int]) -> tuple[float, Floats]:
        slopes = tuple(np.zeros_like(one) for one in here)
        value = loss_pass(model, z_PK, *data, *here, *bounds, *slopes)
        return value, np.concatenate([one.ravel() for one in slopes])

    done = on_threads(part, ranges(len(votes.prompt_B)))
    return sum(value for value, _ in done), np.sum([slope_Q for _, slope_Q in done], axis=0)
