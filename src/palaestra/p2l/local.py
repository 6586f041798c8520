"""Boards of some of the votes, shrunk to the board of all: what a head has to beat.

    neighbours  the votes on the k nearest training prompts, by the cosine of their vectors
    category    the votes on training prompts of the same category

A local board maximises the likelihood of its votes plus the prior t ~ N(plain, lean²); the parameter of ties is that of
the plain board. k and lean are chosen by held-out log loss over folds of the training prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from palaestra.errors import InputError
from palaestra.p2l.fitting import Vectors, fit, tie_parameters
from palaestra.p2l.kernel import vote_losses
from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.stats.newton import one_thread
from palaestra.stats.passes import Parameters, log_likelihood, score_and_information
from palaestra.stats.rows import Rows, sorted_rows
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

NEIGHBOURS = (10, 30, 100, 300)
LEANS = (0.25, 0.5, 1.0, 2.0)
"""How far a local board may leave the plain one a priori, log odds."""
_FOLDS = 3
_MOST_STEPS = 30
_MOST_HALVINGS = 30
_MOST_CHOOSING = 1500
"""Held-out prompts that choose settings, at most."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a method expects of each vote: strengths of both sides, and the parameter of ties."""

    first_B: Floats
    second_B: Floats
    shape_B: Floats


@dataclass(frozen=True, slots=True)
class _Plain:
    theta_M: Floats
    shape: float


def local_boards(
    kind: Kind, seen: PromptedVotes, seen_PD: Vectors, fresh: PromptedVotes, fresh_PD: Vectors, *, seed: int
) -> dict[str, tuple[Foretold, dict[str, float]]]:
    """What neighbours and, where there are any, categories expect of fresh votes, with the settings chosen.

    Args:
        kind: the likelihood.
        seen: training votes, in the order of their prompts.
        seen_PD: vectors of their prompts.
        fresh: votes to foretell, in the order of their prompts.
        fresh_PD: vectors of their prompts.
        seed: of the folds.

    Raises:
        InputError: fewer training prompts than folds.
    """
    if (prompts := len(np.unique(seen.prompt_B))) < _FOLDS:
        raise InputError(
            f"found {prompts} training prompts, expected at least {_FOLDS} to choose how rivals are set; leave out "
            "--training"
        )
    seen_PD, fresh_PD = _unit(seen_PD), _unit(fresh_PD)
    with one_thread():
        k, lean = _chosen(kind, seen, seen_PD, seed)
        found = {"neighbours": (_by_neighbours(kind, seen, seen_PD, fresh, fresh_PD, k, lean), {"k": k, "lean": lean})}
        if any(name is not None for name in seen.category_P) and fresh.category_P:
            lean = _chosen_for_categories(kind, seen, seed)
            found["category"] = (_by_category(kind, seen, fresh, lean), {"lean": lean})
    return found


def _by_neighbours(  # noqa: PLR0917 - of two callers
    kind: Kind, seen: PromptedVotes, seen_PD: Vectors, fresh: PromptedVotes, fresh_PD: Vectors, k: int, lean: float
) -> Foretold:
    there = np.unique(seen.prompt_B)
    known_PD = seen_PD[there]
    k = min(k, len(there))

    def near(prompt: int) -> Places:
        return there[np.argpartition(-(known_PD @ fresh_PD[prompt]), k - 1)[:k]].astype(np.int64)

    return _local(kind, seen, fresh, near, lean)


def _by_category(kind: Kind, seen: PromptedVotes, fresh: PromptedVotes, lean: float) -> Foretold:
    groups: dict[str | None, Places] = {
        name: np.array([p for p, own in enumerate(seen.category_P) if own == name]) for name in set(seen.category_P)
    }
    return _local(kind, seen, fresh, lambda prompt: groups.get(fresh.category_P[prompt], np.zeros(0, np.int64)), lean)


def _local(
    kind: Kind, seen: PromptedVotes, fresh: PromptedVotes, near: Callable[[int], Places], lean: float
) -> Foretold:
    plain = _plain(kind, seen)
    start_P = np.searchsorted(seen.prompt_B, np.arange(len(seen.prompts) + 1))
    first_B, second_B = np.empty(len(fresh)), np.empty(len(fresh))
    known: dict[bytes, Floats] = {}
    for prompt in np.unique(fresh.prompt_B).tolist():
        places = np.sort(near(prompt))
        key = places.tobytes()
        if key not in known:
            rows = [np.arange(start_P[p], start_P[p + 1]) for p in places]
            known[key] = shrunk(kind, seen, np.concatenate(rows) if rows else np.zeros(0, int), plain, lean)
        mine_B = _slice(fresh, prompt)
        first_B[mine_B], second_B[mine_B] = known[key][fresh.first_B[mine_B]], known[key][fresh.second_B[mine_B]]
    return Foretold(first_B, second_B, np.full(len(fresh), plain.shape))


def _slice(votes: PromptedVotes, prompt: int) -> Places:
    low, high = np.searchsorted(votes.prompt_B, [prompt, prompt + 1])
    return np.arange(low, high)


def shrunk(kind: Kind, votes: PromptedVotes, mine: Places, plain: _Plain, lean: float) -> Floats:
    """The mode of strengths given some of the votes and the prior t ~ N(plain, lean²)."""
    theta_M = plain.theta_M.copy()
    if not len(mine):
        return theta_M
    weight = np.ascontiguousarray(votes.weight_B[mine])
    rows = sorted_rows(
        len(theta_M), votes.first_B[mine], votes.second_B[mine], votes.outcome_B[mine], weight_B=weight, square_B=weight
    )
    size, precision = len(theta_M), 1 / lean**2
    for _ in range(_MOST_STEPS):
        at = Parameters(theta_M, np.zeros(0), plain.shape)
        score_Q, information_QQ = score_and_information(rows, VOTE_MODELS[kind], at)
        score_M = score_Q[:size] - precision * (theta_M - plain.theta_M)
        information_MM = information_QQ[:size, :size] + precision * np.eye(size)
        if kind == "grounded":  # not concave: where it bends up, its bound from below steps in
            value_M, vector_MM = np.linalg.eigh(information_MM)
            step_M = vector_MM @ ((vector_MM.T @ score_M) / np.maximum(np.abs(value_M), precision / 2))
            step_M = _upwards(step_M, lambda to_M: _posterior(rows, to_M, plain, precision), theta_M)
        else:
            step_M = cho_solve(cho_factor(information_MM, lower=True), score_M)
        theta_M = theta_M + step_M
        if np.abs(step_M).max() < 1e-7:  # noqa: PLR2004 - natural units
            break
    return theta_M


def _posterior(rows: Rows, theta_M: Floats, plain: _Plain, precision: float) -> float:
    """The logarithm of the grounded likelihood times the prior, up to a constant."""
    said = log_likelihood(rows, VOTE_MODELS["grounded"], Parameters(theta_M, np.zeros(0), plain.shape))
    return said - 0.5 * precision * float(np.square(theta_M - plain.theta_M).sum())


def _upwards(step_M: Floats, value: Callable[[Floats], float], theta_M: Floats) -> Floats:
    """The step, halved until it no longer goes down; a whole one may leap to where all chances are nought."""
    before = value(theta_M)
    for _ in range(_MOST_HALVINGS):
        after = value(theta_M + step_M)
        if after >= before - 1e-12 * abs(before):
            return step_M
        step_M = step_M / 2
    return np.zeros_like(step_M)


def _plain(kind: Kind, votes: PromptedVotes) -> _Plain:
    found = fit(votes, np.zeros((len(votes.prompts), 0), dtype=np.float32), kind, 0.0).weights
    shape = 0.0 if kind == "bradley-terry" else float(tie_parameters(kind, found.tie_C[:1])[0])
    return _Plain(found.a_M, shape)


def _folds(votes: PromptedVotes, seed: int) -> NDArray[np.int64]:
    """The fold of each prompt, -1 where it has no vote."""
    voted = np.unique(votes.prompt_B)
    fold_P = np.full(len(votes.prompts), -1)
    fold_P[voted] = np.random.default_rng([seed, 1]).permutation(len(voted)) % _FOLDS
    return fold_P


def _chosen(kind: Kind, votes: PromptedVotes, x_PD: Vectors, seed: int) -> tuple[int, float]:
    fold_P = _folds(votes, seed)
    seen, held = votes.of_prompts(fold_P > 0), _fewer(votes.of_prompts(fold_P == 0))
    losses = {
        (k, lean): _mean_loss(kind, held, _by_neighbours(kind, seen, x_PD, held, x_PD, k, lean))
        for k, lean in product(NEIGHBOURS, LEANS)
    }
    return min(losses, key=lambda one: losses[one])


def _chosen_for_categories(kind: Kind, votes: PromptedVotes, seed: int) -> float:
    fold_P = _folds(votes, seed)
    seen, held = votes.of_prompts(fold_P > 0), votes.of_prompts(fold_P == 0)
    losses = {lean: _mean_loss(kind, held, _by_category(kind, seen, held, lean)) for lean in LEANS}
    return min(losses, key=lambda one: losses[one])


def _fewer(votes: PromptedVotes) -> PromptedVotes:
    prompts = np.unique(votes.prompt_B)
    return votes.take(np.isin(votes.prompt_B, prompts[:: 1 + len(prompts) // _MOST_CHOOSING]))


def _mean_loss(kind: Kind, votes: PromptedVotes, found: Foretold) -> float:
    model = int(VOTE_MODELS[kind])
    loss_B = vote_losses(model, votes.outcome_B, found.first_B, found.second_B, found.shape_B)
    return float(np.average(loss_B, weights=votes.weight_B))


def _unit(x_PD: Vectors) -> Vectors:
    return x_PD / np.maximum(np.linalg.norm(x_PD, axis=1, keepdims=True), 1e-12)
