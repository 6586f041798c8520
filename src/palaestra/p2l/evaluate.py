"""Is a board for every prompt better than one board? Held-out votes say, by prompt.

    head        the trained model
    plain       one board of all training votes
    neighbours  the votes on the k nearest training prompts (cosine of vectors), shrunk to the plain board
    category    the votes on training prompts of the same category, shrunk to the plain board

Each foretells votes on prompts that training has not seen. Log losses are of the same likelihood, and differences are
paired vote by vote, with intervals clustered by prompt. A rival's settings (k, and how far it may leave the plain
board) are chosen on the training votes by folds over prompts, as the head's spread is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.p2l.fitting import Vectors, at_votes, by_prompt, tie_parameters
from palaestra.p2l.head import Head, prompt_hashes
from palaestra.p2l.kernel import expected_scores, vote_losses
from palaestra.p2l.local import Foretold, local_boards
from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.schema.record import Record, Struct
from palaestra.stats.clustered import Estimate, mean
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]

_TIE = 2
_BINS = 10


class Figure(Struct):
    """A figure with its interval, which is None where a single prompt stands behind it."""

    value: float
    lower: float | None
    upper: float | None


class Method(Struct):
    """How one way to foretell votes did.

    `gain` is the log loss of the plain board less this one's, above zero it is better; `accuracy` is over votes that
    somebody won; `calibration_error` the mean distance of expected and actual score over ten bins. That is above zero
    even where a method is right, and the more so the more bins its votes fill: `calibration_chance` is how much of it
    chance alone would bring.
    """

    name: str
    log_loss: Figure
    gain: Figure
    accuracy: Figure | None
    calibration_error: float
    calibration_chance: float
    settings: dict[str, float]


class Evaluation(Record):
    """Methods on the same held-out votes; `seen` votes were left out, their prompts being those of training."""

    record_name = "p2l-evaluation"

    kind: str
    votes: int
    prompts: int
    seen: int
    methods: tuple[Method, ...]
    head_against: dict[str, Figure]
    confidence: float


def evaluate(
    head: Head,
    held: PromptedVotes,
    x_PD: Vectors,
    *,
    training: tuple[PromptedVotes, Vectors] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Compare methods on held-out votes.

    Args:
        head: what was trained.
        held: votes on other prompts; those on prompts of training are left out.
        x_PD: the featurizer's vectors of `held.prompts`.
        training: the votes that the head was trained on and their vectors; without them there are no neighbours and no
            categories.
        confidence: of the intervals.
        seed: of the folds that choose settings.

    Raises:
        InputError: a model that the head does not know, no vote on a prompt that it has not seen, or training votes on
            prompts that the head was not trained on: a rival would have seen more than the head, held-out votes even.
    """
    held = by_prompt(renumbered(held, head.models))
    known_P = _asked(head, held.prompts)
    fresh = held.take(~known_P[held.prompt_B])
    if not len(fresh):
        raise InputError(f"found no vote on a new prompt: all {len(held)} are on prompts of training, expected others")
    z_PK = head.projection(x_PD)
    found: dict[str, tuple[Foretold, dict[str, float]]] = {
        "head": (Foretold(*at_votes(head.weights, z_PK, fresh, head.kind)), {"spread": head.spread}),
        "plain": (_plain(head, fresh), {}),
    }
    if training is not None:
        seen = by_prompt(renumbered(training[0], head.models))
        voted = np.unique(seen.prompt_B)
        if strange := int((~_asked(head, [seen.prompts[p] for p in voted])).sum()):
            raise InputError(
                f"found {strange} of {len(voted)} prompts of the training votes on which the model was not trained, "
                "expected the votes that it was trained on: its rivals may not see more"
            )
        found |= local_boards(head.kind, seen, training[1], fresh, x_PD, seed=seed)
    return _compared(head.kind, fresh, found, seen=len(held) - len(fresh), confidence=confidence)


def _asked(head: Head, prompts: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the prompts are among those of training."""
    return np.isin(np.array([prompt_hashes([text])[0] for text in prompts], dtype=np.uint64), head.asked)


def renumbered(votes: PromptedVotes, models: Sequence[str]) -> PromptedVotes:
    """The votes with the numbers of these models.

    Raises:
        InputError: a vote is about a model that is not among them.
    """
    met_M = np.zeros(len(votes.models), dtype=bool)
    met_M[votes.first_B] = met_M[votes.second_B] = True
    place = {name: number for number, name in enumerate(models)}
    unknown = [name for name, met in zip(votes.models, met_M, strict=True) if met and name not in place]
    if unknown:
        raise InputError(
            f"found votes about {unknown[0]!r} ({len(unknown)} such models), expected the {len(models)} models that "
            "were trained on; leave these votes out, or train with them"
        )
    place_M = np.array([place.get(name, -1) for name in votes.models], dtype=np.int32)
    return replace(votes, models=tuple(models), first_B=place_M[votes.first_B], second_B=place_M[votes.second_B])


def _plain(head: Head, votes: PromptedVotes) -> Foretold:
    a_M, shape = head.plain.a_M, 0.0
    if head.kind != "bradley-terry":
        shape = float(tie_parameters(head.kind, head.plain.tie_C[:1])[0])
    return Foretold(a_M[votes.first_B], a_M[votes.second_B], np.full(len(votes), shape))


def _compared(
    kind: Kind,
    votes: PromptedVotes,
    found: dict[str, tuple[Foretold, dict[str, float]]],
    *,
    seen: int,
    confidence: float,
) -> Evaluation:
    model = int(VOTE_MODELS[kind])
    losses = {
        name: vote_losses(model, votes.outcome_B, one.first_B, one.second_B, one.shape_B)
        for name, (one, _) in found.items()
    }

    def of(value_B: Floats) -> Figure:
        return _figure(mean(value_B, votes.prompt_B, confidence, votes.weight_B))

    methods = []
    for name, (one, settings) in found.items():
        score_B = expected_scores(model, one.first_B, one.second_B, one.shape_B)
        methods.append(
            Method(
                name=name, log_loss=of(losses[name]), gain=of(losses["plain"] - losses[name]),
                accuracy=_accuracy(votes, score_B, confidence), calibration_error=calibration_error(votes, score_B),
                calibration_chance=calibration_chance(votes, score_B), settings=settings,
            )
        )  # fmt: skip
    against = {name: of(loss_B - losses["head"]) for name, loss_B in losses.items() if name != "head"}
    return Evaluation(
        kind=kind, votes=len(votes), prompts=len(np.unique(votes.prompt_B)), seen=seen, methods=tuple(methods),
        head_against=against, confidence=confidence,
    )  # fmt: skip


def calibration_error(votes: PromptedVotes, score_B: Floats) -> float:
    """The mean distance of expected and actual score over ten bins of equal width, by votes."""
    off = np.bincount(_bins(score_B), _off(votes, score_B), minlength=_BINS)
    return float(np.abs(off).sum() / votes.weight_B.sum())


def calibration_chance(votes: PromptedVotes, score_B: Floats) -> float:
    """The calibration error that chance brings to a method without one: normal, prompts independent of each other."""
    off_NP = np.zeros((_BINS, len(votes.prompts)))
    np.add.at(off_NP, (_bins(score_B), votes.prompt_B), _off(votes, score_B))
    return float(np.sqrt(2 / np.pi * np.square(off_NP).sum(axis=1)).sum() / votes.weight_B.sum())


def _bins(score_B: Floats) -> NDArray[np.int64]:
    return np.minimum((score_B * _BINS).astype(np.int64), _BINS - 1)


def _off(votes: PromptedVotes, score_B: Floats) -> Floats:
    return votes.weight_B * (score_B - np.array([1.0, 0.0, 0.5, 0.5])[votes.outcome_B])


def _accuracy(votes: PromptedVotes, score_B: Floats, confidence: float) -> Figure | None:
    decided_B = votes.outcome_B < _TIE
    if not decided_B.any():
        return None
    right_B = np.where(score_B == 0.5, 0.5, (score_B > 0.5) == (votes.outcome_B == 0))[decided_B]  # noqa: PLR2004 - even odds
    return _figure(mean(right_B, votes.prompt_B[decided_B], confidence, votes.weight_B[decided_B]))


def _figure(found: Estimate) -> Figure:
    return Figure(value=found.value, lower=found.lower, upper=found.upper)
