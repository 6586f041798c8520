"""Votes with their prompts become a head: vectors, the plain board, the spread by folds over prompts, an ensemble.

The spread is chosen by held-out log loss. Folds are of prompts, never of votes: two votes on one prompt share it. Zero
is among the candidates, and is the plain board exactly; so the choice can fall back on that, and says when it does.

Not here: the search for a minimum (`fitting.py`), and language models that are trained themselves (`backbone.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.learn.features import Featurizer, features
from palaestra.p2l.config import SPREADS, TrainConfig
from palaestra.p2l.fitting import Fit, Vectors, by_prompt, fit, losses_of, widened
from palaestra.p2l.head import Head, Projection, prompt_hashes
from palaestra.p2l.model import Kind
from palaestra.p2l.uncertainty import members
from palaestra.stats.clustered import mean
from palaestra.stats.newton import one_thread
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]
Tell = Callable[[str, int, int], None]

_TIE, _BOTH_BAD = 2, 3
_MOST_CHOOSING = 300_000
"""Votes that choose the spread, at most; of more, so many are drawn by prompt."""
_RISES = 2
_ROUGH = 1e-6
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Choice:
    """The spread, and the held-out log loss of each candidate: a vote's mean, and its gain on the plain board."""

    spread: float
    tried: tuple[dict[str, float], ...]


def train(
    votes: PromptedVotes,
    config: TrainConfig,
    featurizer: Featurizer,
    *,
    kept: Path | None = None,
    tell: Tell = lambda _stage, _done, _all: None,
) -> Head:
    """Train a head.

    Args:
        votes: with their prompts.
        config: how.
        featurizer: makes vectors of prompts; must be what `config.features` names.
        kept: a folder where vectors stay.
        tell: is told the stage, how much of it is done, of how much.

    Raises:
        InputError: the votes are all of one outcome, or lack those that the kind of model is about.
    """
    kind = kind_for(votes, config.kind)
    x_PD = features(featurizer, votes.prompts, kept, lambda done, of: tell("vectors", done, of))
    return train_on(votes, x_PD, config.model_copy(update={"kind": kind}), tell=tell)


def train_on(
    votes: PromptedVotes,
    x_PD: Vectors,
    config: TrainConfig,
    *,
    projection: Projection | None = None,
    others: PromptedVotes | None = None,
    tell: Tell = lambda _stage, _done, _all: None,
) -> Head:
    """Train a head on vectors of the prompts that are there already.

    Args:
        votes: with their prompts.
        x_PD: a vector for each prompt.
        config: how.
        projection: from vectors to what the head sees; principal components if left out.
        others: votes among the same models on prompts whose vectors would flatter the head, because what makes them has
            seen these votes: they count for the plain board, and for that alone.
        tell: as of `train`.

    Raises:
        InputError: as `train`.
    """
    kind = kind_for(votes, config.kind)
    projection = projection or Projection.of(x_PD, config.components)
    z_PK = projection(x_PD)
    own = by_prompt(votes)
    everything = own if others is None else by_prompt(joined(votes, others))
    none_PK = np.zeros((len(everything.prompts), 0), dtype=np.float32)
    with one_thread():
        choice = choose_spread(own, z_PK, kind, config, tell, others)
        plain = fit(everything, none_PK, kind, 0.0)
        start = widened(plain.weights, z_PK.shape[1])
        found = fit(own, z_PK, kind, choice.spread, start=start) if choice.spread else plain
        tell("head", 1, 1)
        around = members(
            *((own, z_PK) if choice.spread else (everything, none_PK)), kind, choice.spread, found.weights,
            count=config.members, seed=config.seed, tell=lambda done, of: tell("ensemble", done, of),
        )  # fmt: skip
    size = z_PK.shape[1]
    return Head(
        models=votes.models,
        kind=kind,
        features=config.features,
        projection=projection,
        weights=found.weights if choice.spread else start,
        members=tuple(one if choice.spread else widened(one, size) for one in around),
        plain=widened(plain.weights, 0),
        spread=choice.spread,
        counts_OMM=counts_of(everything),
        asked=prompt_hashes([everything.prompts[p] for p in np.unique(everything.prompt_B)]),
        report=_report(everything, found, choice),
    )


def joined(votes: PromptedVotes, others: PromptedVotes) -> PromptedVotes:
    """The votes of both, among the same models; the prompts of the second are numbered on, its voters are left out."""
    names = ("first_B", "second_B", "outcome_B", "weight_B")
    both = {name: np.concatenate([getattr(votes, name), getattr(others, name)]) for name in names}
    prompt_B = np.concatenate([votes.prompt_B, others.prompt_B + np.int32(len(votes.prompts))])
    voter_B = np.concatenate([votes.voter_B, np.full(len(others), -1, dtype=np.int32)])
    prompts = (*votes.prompts, *others.prompts)
    return replace(votes, prompts=prompts, prompt_B=prompt_B, voter_B=voter_B, category_P=(), **both)


def kind_for(votes: PromptedVotes, kind: str) -> Kind:
    """The kind of model for votes.

    Raises:
        InputError: the votes are all of one outcome, or lack those that the kind is about.
    """
    there = np.bincount(votes.outcome_B[votes.weight_B > 0], minlength=4) > 0
    if len(votes.models) <= 1 or there.sum() <= 1:
        said = ("first wins", "second wins", "tie", "both bad")
        seen = ", ".join(name for name, yes in zip(said, there, strict=True) if yes) or "none"
        raise InputError(
            f"found {len(votes)} votes among {len(votes.models)} models with outcomes {seen}, expected at least two "
            "models and two different outcomes to learn from"
        )
    if kind == "auto":
        return (
            "grounded" if there[_TIE] and there[_BOTH_BAD] else "rao-kupper" if there[_TIE:].any() else "bradley-terry"
        )
    if kind == "grounded" and not there[_TIE:].all():
        raise InputError(
            "found no tie or no both-bad vote, expected some of both for the kind grounded; take rao-kupper (ties) or "
            "bradley-terry"
        )
    if kind == "rao-kupper" and not there[_TIE:].any():
        raise InputError("found no tie, expected some for the kind rao-kupper; take bradley-terry")
    return "rao-kupper" if kind == "rao-kupper" else "grounded" if kind == "grounded" else "bradley-terry"


def check_folds(votes: PromptedVotes, config: TrainConfig) -> None:
    """Whether there are prompts enough to choose the spread.

    Raises:
        InputError: there are not.
    """
    prompts = len(np.unique(votes.prompt_B))
    if config.spread == "auto" and prompts < 2 * config.folds:
        raise InputError(
            f"found votes on {prompts} prompts, expected at least {2 * config.folds} to choose the spread by "
            f"{config.folds} folds over prompts; give --spread, or --spread 0 for one board for all prompts"
        )


def choose_spread(  # noqa: PLR0917 - of one caller
    votes: PromptedVotes,
    z_PK: Vectors,
    kind: Kind,
    config: TrainConfig,
    tell: Tell,
    others: PromptedVotes | None = None,
) -> Choice:
    """The spread with the least held-out log loss, from small to large until the loss has risen twice.

    `others` as of `train_on`.
    """
    if config.spread != "auto":
        return Choice(float(config.spread), ())
    check_folds(votes, config)
    prompts = np.unique(votes.prompt_B)
    rng = np.random.default_rng([config.seed, len(prompts)])
    fold_P = np.full(len(z_PK), -1)
    fold_P[prompts] = rng.permutation(len(prompts)) % config.folds
    share = _MOST_CHOOSING / len(votes)
    if share < 1:
        fold_P[prompts[rng.random(len(prompts)) > share]] = -1
    parts = [
        (votes.of_prompts((fold_P >= 0) & (fold_P != fold)), votes.of_prompts(fold_P == fold))
        for fold in range(config.folds)
    ]
    return _path(parts, z_PK, kind, tell, others)


def _path(
    parts: list[tuple[PromptedVotes, PromptedVotes]],
    z_PK: Vectors,
    kind: Kind,
    tell: Tell,
    others: PromptedVotes | None,
) -> Choice:
    known = [seen if others is None else joined(seen, others) for seen, _ in parts]
    none_PK = np.zeros((len(known[0].prompts), 0), dtype=np.float32)
    plain = [fit(one, none_PK, kind, 0.0, last_slope=_ROUGH).weights for one in known]
    at = [widened(one, z_PK.shape[1]) for one in plain]
    weight_B = np.concatenate([held.weight_B for _, held in parts])
    prompt_B = np.concatenate([held.prompt_B for _, held in parts])
    plain_B = np.concatenate([losses_of(one, z_PK, held, kind) for one, (_, held) in zip(at, parts, strict=True)])
    tried = [{"spread": 0.0, "log_loss": float(np.average(plain_B, weights=weight_B)), "gain": 0.0, "gain_se": 0.0}]
    for number, spread in enumerate(SPREADS if z_PK.shape[1] else ()):
        at = [
            fit(seen, z_PK, kind, spread, start=start, last_slope=_ROUGH).weights
            for start, (seen, _) in zip(at, parts, strict=True)
        ]
        loss_B = np.concatenate([losses_of(one, z_PK, held, kind) for one, (_, held) in zip(at, parts, strict=True)])
        gain = mean(plain_B - loss_B, prompt_B, _CONFIDENCE, weight_B)
        loss = float(np.average(loss_B, weights=weight_B))
        tried.append({"spread": spread, "log_loss": loss, "gain": gain.value, "gain_se": gain.se or 0.0})
        tell("spread", number + 1, len(SPREADS))
        best = int(np.argmin([one["log_loss"] for one in tried]))
        if number + 1 - best >= _RISES:
            break
    tell("spread", len(SPREADS), len(SPREADS))
    return Choice(min(tried, key=lambda one: one["log_loss"])["spread"], tuple(tried))


def counts_of(votes: PromptedVotes) -> Floats:
    """Votes by outcome and pair, the lower number first; shape (4, M, M)."""
    counts_OMM = np.zeros((4, len(votes.models), len(votes.models)))
    turned_B = votes.first_B > votes.second_B
    outcome_B = np.where(turned_B & (votes.outcome_B < _TIE), 1 - votes.outcome_B, votes.outcome_B)
    low_B, high_B = np.minimum(votes.first_B, votes.second_B), np.maximum(votes.first_B, votes.second_B)
    np.add.at(counts_OMM, (outcome_B, low_B, high_B), votes.weight_B)
    return counts_OMM


def _report(votes: PromptedVotes, found: Fit, choice: Choice) -> dict[str, Any]:
    chosen = [one for one in choice.tried if one["spread"] == choice.spread]
    return {
        "votes": float(votes.weight_B.sum()),
        "prompts": len(np.unique(votes.prompt_B)),
        "iterations": found.steps,
        "log_likelihood": found.log_likelihood,
        "converged": found.converged,
        "tried": [dict(one) for one in choice.tried],
        "held_out_log_loss": chosen[0]["log_loss"] if chosen else None,
        "plain_log_loss": choice.tried[0]["log_loss"] if choice.tried else None,
        "gain": chosen[0]["gain"] if chosen else None,
        "gain_se": chosen[0]["gain_se"] if chosen else None,
    }
