"""A model that joins a trained head with a few votes: everything else stays as it is.

The newcomer's parameters are theta = (a, w), its strength on a prompt a + w·z. Opponents' strengths and the parameter
of ties are the head's. The prior is the law of the models that are there,

    theta ~ N(mean, S),    S = the covariance of (a, w) over all models and all members of the ensemble

with members in it because estimates vary less than the truth: the variance of what is true is that of the estimates
plus that of the errors. What tells models apart on the prompts of training is therefore believed of a newcomer at once,
and what does not is not. The mode is found by Fisher scoring; each member gets its own mode, against that member's
opponents, plus a draw from the normal law around it. Votes on one prompt may agree for reasons of that prompt, which
its vector does not tell; so that law is as wide as the scores of prompts say, where that is more than votes by
themselves would make it:

    covariance = A^-1 + A^-1 (sum over prompts of (sum_b s_b)(sum_b s_b)' - sum_b s_b s_b')_+ A^-1

with A the prior's precision and the votes' information, s_b a vote's score. With one vote a prompt it is A^-1.

Not here: training (`train.py`). The others' strengths do not learn from the newcomer's votes; train again for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.p2l.evaluate import renumbered
from palaestra.p2l.fitting import Vectors, Weights, at_votes, by_prompt
from palaestra.p2l.head import Head, prompt_hashes
from palaestra.p2l.kernel import vote_losses
from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.p2l.train import counts_of
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]

_STEP = 1e-4
_MOST_STEPS = 50
_LAST_MOVE = 1e-8


@dataclass(frozen=True, slots=True)
class _Prior:
    """theta = mean_Q + root_QQ u, where u is standard normal; directions without variance stay at the mean."""

    mean_Q: Floats
    root_QQ: Floats


def newcomer_of(head: Head, votes: PromptedVotes) -> str:
    """The one model of the votes that the head does not know.

    Raises:
        InputError: there is none, or there are several.
    """
    met = np.unique(np.concatenate([votes.first_B, votes.second_B]))
    unknown = [votes.models[m] for m in met if votes.models[m] not in head.models]
    if len(unknown) != 1:
        said = ", ".join(unknown[:5]) or "none"
        raise InputError(f"found votes about {len(unknown)} new models ({said}), expected exactly one; add one by one")
    return unknown[0]


def with_newcomer(head: Head, votes: PromptedVotes, x_PD: Vectors, *, seed: int = 0) -> Head:
    """The head with one more model, the last.

    Args:
        head: what was trained, with an ensemble.
        votes: the newcomer's, against models that the head knows; others are left out.
        x_PD: the featurizer's vectors of `votes.prompts`.
        seed: of the members' draws.

    Raises:
        InputError: the votes are not about exactly one new model, all weigh nothing, or the head has no ensemble.
    """
    if len(head.members) <= 1:
        raise InputError("found a model without an ensemble, expected one to say how models differ: --members 32")
    name = newcomer_of(head, votes)
    mine = by_prompt(renumbered(votes, [*head.models, name]))
    number = len(head.models)
    mine = mine.take((mine.first_B == number) | (mine.second_B == number))
    if not len(mine):
        raise InputError(f"found no vote on {name!r} that counts, expected at least one of a weight above zero")
    z_PK, kind = head.projection(x_PD), head.kind
    prior = _prior(head)
    at_Q, _ = _mode(_known(head.weights), mine, z_PK, kind, prior)
    members = []
    for place, member in enumerate(head.members):
        noise_Q = np.random.default_rng([seed, place]).standard_normal(len(at_Q))
        mode_Q, root_QQ = _mode(_known(member), mine, z_PK, kind, prior)
        members.append(_joined(member, mode_Q + root_QQ @ noise_Q))
    variance = np.concatenate([one.a_M for one in head.members]).var()
    marginal = _Prior(head.plain.a_M.mean(keepdims=True), np.sqrt(variance).reshape(1, 1))
    empty_PK = np.zeros((len(z_PK), 0), dtype=np.float32)
    plain_Q, _ = _mode(_known(head.plain), mine, empty_PK, kind, marginal)
    counts_OMM = np.pad(head.counts_OMM, ((0, 0), (0, 1), (0, 1))) + counts_of(mine)
    asked = prompt_hashes([votes.prompts[p] for p in np.unique(mine.prompt_B)])
    report = head.report | {"votes": head.report["votes"] + float(mine.weight_B.sum())}
    return replace(
        head, models=(*head.models, name), weights=_joined(head.weights, at_Q), members=tuple(members),
        plain=_joined(head.plain, plain_Q), counts_OMM=counts_OMM, asked=np.union1d(head.asked, asked), report=report,
    )  # fmt: skip


def _prior(head: Head) -> _Prior:
    here_MQ = np.column_stack([head.weights.a_M, head.weights.w_MK])
    drawn_RMQ = np.stack([np.column_stack([one.a_M, one.w_MK]) for one in head.members])
    off_RMQ = drawn_RMQ - drawn_RMQ.mean(axis=1, keepdims=True)
    flat_NQ = off_RMQ.reshape(-1, off_RMQ.shape[-1])
    value_Q, vector_QQ = np.linalg.eigh(flat_NQ.T @ flat_NQ / (len(head.members) * max(len(head.models) - 1, 1)))
    return _Prior(here_MQ.mean(axis=0), vector_QQ * np.sqrt(np.maximum(value_Q, 0)))


def _mode(opponents: Weights, votes: PromptedVotes, z_PK: Vectors, kind: Kind, prior: _Prior) -> tuple[Floats, Floats]:
    """The mode of theta, and a root of the covariance of the normal law around it."""
    first_B, second_B, shape_B = at_votes(opponents, z_PK, votes, kind)
    newest = len(opponents.a_M) - 1
    is_first_B = votes.first_B == newest
    other_B = np.where(is_first_B, second_B, first_B)
    z_BQ = np.column_stack([np.ones(len(votes)), z_PK[votes.prompt_B]])
    design_BQ, fixed_B = z_BQ @ prior.root_QQ, z_BQ @ prior.mean_Q
    at_Q = np.zeros(design_BQ.shape[1])
    for _ in range(_MOST_STEPS):
        own_B = fixed_B + design_BQ @ at_Q
        slope_B, curve_B = _slopes(kind, votes.outcome_B, is_first_B, own_B, other_B, shape_B)
        information_QQ = np.eye(len(at_Q)) + design_BQ.T @ ((votes.weight_B * curve_B)[:, None] * design_BQ)
        step_Q = np.linalg.solve(information_QQ, design_BQ.T @ (votes.weight_B * slope_B) - at_Q)
        at_Q += step_Q * min(1.0, 2.0 / max(np.abs(design_BQ @ step_Q).max(initial=0), 1e-12))
        if np.abs(step_Q).max() < _LAST_MOVE:
            value_Q, vector_QQ = np.linalg.eigh(information_QQ)
            root_QQ = vector_QQ / np.sqrt(value_Q)
            score_BQ = (votes.weight_B * slope_B)[:, None] * design_BQ
            root_QQ = root_QQ @ _widening(score_BQ @ root_QQ, votes.prompt_B)
            return prior.mean_Q + prior.root_QQ @ at_Q, prior.root_QQ @ root_QQ
    raise InputError(f"found no strengths of the new model after {_MOST_STEPS} steps; train with its votes instead")


def _widening(score_BQ: Floats, prompt_B: NDArray[np.int32]) -> Floats:
    """A root of the identity plus what scores of one prompt have in common, as far as that is above zero."""
    _, place_B = np.unique(prompt_B, return_inverse=True)
    sum_PQ = np.zeros((int(place_B.max()) + 1, score_BQ.shape[1]))
    np.add.at(sum_PQ, place_B, score_BQ)
    several_P = np.bincount(place_B) > 1
    kept_B = several_P[place_B]
    shared_QQ = sum_PQ[several_P].T @ sum_PQ[several_P] - score_BQ[kept_B].T @ score_BQ[kept_B]
    value_Q, vector_QQ = np.linalg.eigh(shared_QQ)
    return (vector_QQ * np.sqrt(1 + np.maximum(value_Q, 0))) @ vector_QQ.T


def _slopes(  # noqa: PLR0917 - of one caller
    kind: Kind, outcome_B: NDArray[np.int8], is_first_B: NDArray[np.bool_], own_B: Floats, other_B: Floats,
    shape_B: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """The slope of each vote's log-likelihood in the newcomer's strength, and the expected information of the vote."""
    model = int(VOTE_MODELS[kind])

    def loss(outcome_B: NDArray[np.int8], own_B: Floats) -> Floats:
        first_B, second_B = np.where(is_first_B, own_B, other_B), np.where(is_first_B, other_B, own_B)
        return vote_losses(model, outcome_B, first_B, second_B, shape_B)

    def slope(outcome_B: NDArray[np.int8]) -> Floats:
        return (loss(outcome_B, own_B - _STEP) - loss(outcome_B, own_B + _STEP)) / (2 * _STEP)

    curve_B = np.zeros(len(own_B))
    for outcome in range({"bradley-terry": 2, "rao-kupper": 3, "grounded": 4}[kind]):
        every_B = np.full(len(own_B), outcome, dtype=np.int8)
        curve_B += np.exp(-loss(every_B, own_B)) * slope(every_B) ** 2
    return slope(outcome_B), curve_B


def _known(weights: Weights) -> Weights:
    """Room for the newcomer, whose own numbers are not read."""
    return _joined(weights, np.zeros(1 + weights.w_MK.shape[1]))


def _joined(weights: Weights, theta_Q: Floats) -> Weights:
    return Weights(np.append(weights.a_M, theta_Q[0]), np.vstack([weights.w_MK, theta_Q[1:]]), weights.tie_C)
