"""Votes whose truth only reading can tell: one model wins where a plus comes before a minus, the other where after."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

import numpy as np
import polars as pl

from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.stats.likelihoods import outcome_probabilities
from palaestra.store.prompted_votes import OUTCOMES, PromptedVotes

_SHAPES: dict[Kind, float] = {"bradley-terry": 0.0, "rao-kupper": 0.4, "grounded": -0.5}


def ordered(prompts: int, votes: int, kind: Kind = "bradley-terry", seed: int = 0) -> PromptedVotes:
    """Letters with a plus and a minus among them: any count of letters is the same in both sorts of prompts."""
    rng = np.random.default_rng(seed)
    plus_first_P = rng.random(prompts) < 0.5
    beta_PM = np.outer(2 * plus_first_P - 1.0, [1.5, -1.5, 0.0]) + np.array([0.3, 0.2, 0.5])
    prompt_B, first_B = rng.integers(0, prompts, votes), rng.integers(0, 3, votes)
    second_B = (first_B + rng.integers(1, 3, votes)) % 3
    drawn_B, outcome_B = rng.random(votes), np.empty(votes, dtype=np.int8)
    for b in range(votes):
        u, v = beta_PM[prompt_B[b], first_B[b]], beta_PM[prompt_B[b], second_B[b]]
        chances = outcome_probabilities(int(VOTE_MODELS[kind]), u - v, (u + v) / 2, _SHAPES[kind])
        outcome_B[b] = min(int(np.searchsorted(np.cumsum(chances), drawn_B[b])), 3)
    return PromptedVotes(
        prompts=tuple(_text(rng, plus_first=bool(plus)) for plus in plus_first_P),
        models=("ann", "bob", "cy"),
        prompt_B=prompt_B.astype(np.int32),
        first_B=first_B.astype(np.int32),
        second_B=second_B.astype(np.int32),
        outcome_B=outcome_B,
        weight_B=np.ones(votes),
        voter_B=np.full(votes, -1, dtype=np.int32),
    )


def _text(rng: np.random.Generator, *, plus_first: bool) -> str:
    letters, first = rng.choice([*ascii_lowercase], 12).tolist(), int(rng.integers(0, 12))
    second = int(rng.integers(first + 1, 13))
    one, two = "+-" if plus_first else "-+"
    return "".join([*letters[:first], one, *letters[first:second], two, *letters[second:]])


def write_votes(votes: PromptedVotes, path: Path) -> Path:
    """The votes as a file."""
    names = np.array(votes.models)
    frame = {
        "model_a": names[votes.first_B],
        "model_b": names[votes.second_B],
        "winner": np.array(OUTCOMES)[votes.outcome_B],
        "prompt": [votes.prompts[p] for p in votes.prompt_B],
    }
    pl.DataFrame(frame).write_parquet(path)
    return path
