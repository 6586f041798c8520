"""Prompts and all that is known of them, in one table that is only ever cut as a whole.

The reference program keeps its list of clusters beside its list of prompts, filters the second alone, and exports
prompts with other prompts' topics. Here a prompt's topic, score and place are columns of the same table, `take` cuts
all of them at once, and a table whose columns differ in length cannot be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.criteria import NAMES
from palaestra.schema import Prompt


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Prompts, and for each its topic (-1 for none), chances of the criteria, score, and score for the thresholds."""

    prompts: tuple[Prompt, ...]
    topic_P: NDArray[np.int64]
    chance_PC: NDArray[np.float64]
    """By a scorer a chance, by a judge 0 or 1."""
    score_P: NDArray[np.float64]
    """The sum of the chances."""
    scale_P: NDArray[np.float64]
    """What thresholds are held against."""

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.prompts, self.topic_P, self.chance_PC, self.score_P, self.scale_P)}
        if len(lengths) != 1:
            raise ValueError(f"found columns of {sorted(lengths)} prompts, expected all of one length")

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> Pool:
        """The prompts at these places, or where this is true, with all that is known of them."""
        places = np.flatnonzero(places) if places.dtype == bool else places
        return Pool(
            tuple(self.prompts[place] for place in places.tolist()),
            self.topic_P[places],
            self.chance_PC[places],
            self.score_P[places],
            self.scale_P[places],
        )

    def named(self, names: Sequence[str]) -> list[Prompt]:
        """The prompts as records, each with its topic's name, its criteria and its score."""
        return [
            prompt.model_copy(
                update={
                    "topic": names[topic] if topic >= 0 else None,
                    "criteria": {name: bool(chance >= 0.5) for name, chance in zip(NAMES, chances, strict=True)},  # noqa: PLR2004 - more likely than not
                    "score": float(score),
                }
            )
            for prompt, topic, chances, score in zip(
                self.prompts, self.topic_P.tolist(), self.chance_PC, self.score_P, strict=True
            )
        ]
