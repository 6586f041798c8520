"""A trained head as a reward: read from its folder, it scores.

The folder holds weights on the raw vectors and the raw columns of style, so that a score is one product; the part of
style that vectors know and that is left out is taken off there already. Weights of members stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.checkpoint import read_checkpoint, write_checkpoint
from palaestra.learn.features import Featurizer
from palaestra.rewards.comparisons import Floats
from palaestra.rewards.config import RewardConfig, View
from palaestra.rewards.ensemble import spread
from palaestra.rewards.head import Design, Fit
from palaestra.rewards.likelihood import Law, chance
from palaestra.rewards.model import HEAD
from palaestra.rewards.seen import Marks
from palaestra.rewards.style import style_of
from palaestra.rewards.vectors import featurizer, vectors
from palaestra.schema import Message, ModelSpec


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the fit, first, and of the members; on vectors, on style, and what is added."""

    vector_RD: Floats
    style_RS: Floats
    level_R: Floats
    style_names: tuple[str, ...]

    @classmethod
    def of(cls, design: Design, fits: Sequence[Fit], vector_mean_D: Floats, style_mean_S: Floats) -> Weights:
        """Weights of fits of one design; the mean reward of the replies that it was made of is zero."""
        raw = [design.to_raw(fit.coefficient_C) for fit in fits]
        vector_RD, style_RS = np.stack([one[0] for one in raw]), np.stack([one[1] for one in raw])
        return cls(vector_RD, style_RS, -(vector_RD @ vector_mean_D) - style_RS @ style_mean_S, design.style.names)

    def rewards(self, vector_ND: Floats, replies: Sequence[str]) -> Floats:
        """Rewards by the fit and by each member, shape (R, N)."""
        style_NS = style_of(replies, self.style_names) if self.style_names else np.zeros((len(replies), 0))
        return self.vector_RD @ vector_ND.T.astype(float) + self.style_RS @ style_NS.T + self.level_R[:, None]


@dataclass(frozen=True, slots=True)
class HeadReward:
    """A head on vectors."""

    name: str
    weights: Weights
    maker: Featurizer
    views: tuple[View, ...]
    law: Law
    shape: float
    kept: Path | None = None
    trained_on: Marks | None = None
    """Marks of the prompts that it was trained on."""

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> Floats:
        """The reward of each reply, shape (N,).

        Raises:
            InputError: a vector has something else than numbers.
        """
        return self.score_with_spread(prompts, replies)[0]

    def score_with_spread(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> tuple[Floats, Floats]:
        """Rewards, and the standard deviation over the members."""
        vector_ND = vectors(self.maker, self.views, prompts, replies, folder=self.kept).astype(np.float64)
        if not np.isfinite(vector_ND).all():
            raise InputError(f"found vectors of {self.maker.name} with NaN or infinity, expected numbers")
        reward_RN = self.weights.rewards(vector_ND, replies)
        return reward_RN[0], spread(reward_RN[1:])

    def chance(self, difference_B: Floats) -> Floats:
        """The probability that the first of two is preferred, given that they are not level."""
        return chance(self.law, difference_B, self.shape)

    def with_kept(self, folder: Path) -> HeadReward:
        """The same, keeping vectors in a folder."""
        return replace(self, kept=folder)

    def write(self, folder: Path, config: RewardConfig, told: Mapping[str, Any], card: str) -> None:
        """Write the folder of the model.

        Raises:
            InputError: it is there already, or cannot be written.
        """
        head = {
            "name": self.name,
            "features": config.features,
            "made_by": self.maker.name,
            "views": list(self.views),
            "style": list(self.weights.style_names),
            "law": self.law,
            "shape": self.shape,
            "config": config.model_dump(mode="json"),
            **told,
        }
        weights = self.weights
        arrays = {"vector": weights.vector_RD, "style": weights.style_RS, "level": weights.level_R}
        if self.trained_on is not None:
            arrays["trained_on"] = self.trained_on
        write_checkpoint(folder, HEAD, head, arrays, texts={"card.md": card})

    @classmethod
    def read(cls, folder: Path, *, specs: Sequence[ModelSpec] = (), kept: Path | None = None) -> HeadReward:
        """Read the folder of a model; what makes its vectors is loaded too.

        Raises:
            InputError: it is no head, was cut short or changed, or its vectors are made by something else now.
            MissingPartError: what makes its vectors is not installed.
        """
        found = read_checkpoint(folder, HEAD)
        config, arrays = found.config, found.arrays
        maker = featurizer(config["features"], specs)
        if _source(maker.name) != _source(config["made_by"]):
            raise InputError(
                f"{folder}: found vectors of {maker.name}, expected those that the head was trained on: "
                f"{config['made_by']}; train it anew"
            )
        weights = Weights(arrays["vector"], arrays["style"], arrays["level"], tuple(config["style"]))
        return cls(
            name=config["name"],
            weights=weights,
            maker=maker,
            views=tuple(config["views"]),
            law=config["law"],
            shape=float(config["shape"]),
            kept=kept,
            trained_on=arrays.get("trained_on"),
        )


def _source(name: str) -> str:
    """What made vectors, but for the precision that it computed in, which only changes their last digits."""
    return name.removesuffix("/bfloat16").removesuffix("/float32")
