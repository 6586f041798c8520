"""Simulated votes whose truth is known: strengths that move with a prompt's vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.stats.likelihoods import outcome_probabilities
from palaestra.store.prompted_votes import PromptedVotes

SHAPES: dict[Kind, float] = {"bradley-terry": 0.0, "rao-kupper": 0.4, "grounded": -0.5}


@dataclass(frozen=True)
class World:
    """Votes, the vectors of their prompts, and the true strengths on each."""

    votes: PromptedVotes
    x_PD: np.ndarray
    beta_PM: np.ndarray
    kind: Kind

    @property
    def featurizer(self) -> Vectors:
        """Gives the prompts' vectors."""
        return Vectors(self.x_PD)


@dataclass(frozen=True)
class Vectors:
    """A featurizer of prompts that are called by their number."""

    x_PD: np.ndarray
    name: str = "numbers"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return self.x_PD[[int(text) for text in texts]].astype(np.float32)


def world(  # noqa: PLR0917 - a world has so many sides
    prompts: int = 400, models: int = 5, votes: int = 3000, kind: Kind = "bradley-terry", spread: float = 1.0,
    seed: int = 0, size: int = 6,
) -> World:  # fmt: skip
    rng = np.random.default_rng(seed)
    x_PD = rng.normal(size=(prompts, size))
    w_MD = rng.normal(size=(models, size)) * spread / np.sqrt(size)
    beta_PM = rng.normal(0.5, 0.7, size=models) + x_PD @ w_MD.T
    prompt_B = rng.integers(0, prompts, votes)
    first_B = rng.integers(0, models, votes)
    second_B = (first_B + rng.integers(1, models, votes)) % models
    drawn_B = rng.random(votes)
    outcome_B = np.empty(votes, dtype=np.int8)
    for b in range(votes):
        u, v = beta_PM[prompt_B[b], first_B[b]], beta_PM[prompt_B[b], second_B[b]]
        chances = outcome_probabilities(int(VOTE_MODELS[kind]), u - v, (u + v) / 2, SHAPES[kind])
        outcome_B[b] = min(int(np.searchsorted(np.cumsum(chances), drawn_B[b])), 3)
    found = PromptedVotes(
        prompts=tuple(map(str, range(prompts))),
        models=tuple(f"m{number}" for number in range(models)),
        prompt_B=prompt_B.astype(np.int32),
        first_B=first_B.astype(np.int32),
        second_B=second_B.astype(np.int32),
        outcome_B=outcome_B,
        weight_B=np.ones(votes),
        voter_B=(prompt_B % 3).astype(np.int32),
        voters=("ann", "bob", "cy"),
        category_P=tuple("high" if x > 0 else "low" for x in x_PD[:, 0]),
    )
    return World(found, x_PD.astype(np.float32), beta_PM, kind)
