"""From preferences to a reward: vectors, columns of style, the ridge by held-out log loss, refits for how sure it is.

Everything that depends on texts alone is kept (`learn/features.py`); the rest takes seconds, and is done anew after an
interruption. Not here: language models that are trained themselves (`backbone_train.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from palaestra.learn.features import Featurizer
from palaestra.rewards.comparisons import compared
from palaestra.rewards.config import RewardConfig
from palaestra.rewards.cross_fit import cross_fit
from palaestra.rewards.ensemble import resampled, style_effects
from palaestra.rewards.evaluation import Evaluation, evaluate
from palaestra.rewards.head import designed
from palaestra.rewards.head_model import HeadReward, Weights
from palaestra.rewards.likelihood import Likelihood, law_for
from palaestra.rewards.seen import marks_of
from palaestra.rewards.style import style_columns, style_of
from palaestra.rewards.vectors import default_views, vectors
from palaestra.schema import Preference


class Tells(Protocol):
    """Is told how far a stage is."""

    def __call__(self, stage: str, done: int, of: int) -> None:
        """So many are done, of so many."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """A reward, and what it is worth."""

    reward: HeadReward
    evaluation: Evaluation


def train_head(
    preferences: Sequence[Preference],
    config: RewardConfig,
    maker: Featurizer,
    *,
    name: str = "reward",
    folder: Path | None = None,
    tell: Tells = lambda stage, done, of: None,  # noqa: ARG005 - nobody listens
) -> Trained:
    """Train a head on vectors, and measure it on prompts that it has not seen.

    Args:
        preferences: what people preferred.
        config: how.
        maker: makes the vectors.
        name: of the reward.
        folder: where vectors are kept.
        tell: is told how far it is.

    Raises:
        InputError: all replies are level, there are too few prompts, vectors are no numbers or tell nothing apart, or
            the loss does not fit the data.
    """
    comparisons = compared(preferences)
    law = law_for(config.loss, comparisons)
    likelihood = Likelihood(law, comparisons, margins=config.margins)
    replies = [reply for one in preferences for reply in one.replies]
    prompts = [preferences[place].prompt for place in comparisons.of_N]
    views = config.views or default_views(config.features)
    vector_ND = vectors(maker, views, prompts, replies, folder=folder, tell=_stage(tell, "vectors")).astype(float)
    columns, absent = style_columns(replies, comparisons, config.style, config.debias)
    design = designed(vector_ND, columns, comparisons, maker.name)
    crossed = cross_fit(
        likelihood, design, ridge=config.ridge, folds=config.folds, seed=config.seed, tell=_stage(tell, "ridges")
    )
    rounds = resampled(
        likelihood, design, crossed.fit, rounds=config.drawn(), seed=config.seed, tell=_stage(tell, "resampled prompts")
    )
    effects = style_effects(design, crossed.fit, rounds, config.confidence)
    length_N = style_of(replies, ["length"])[:, 0]
    evaluation = evaluate(
        crossed,
        preferences,
        comparisons,
        law=law,
        log_length_N=length_N,
        effects=effects,
        absent=absent,
        confidence=config.confidence,
    )
    fits = [crossed.fit, *rounds[: config.members]]
    weights = Weights.of(design, fits, vector_ND.mean(axis=0), _means(columns.value_NS))
    reward = HeadReward(name, weights, maker, views, law, crossed.fit.shape, folder, marks_of(prompts))
    return Trained(reward, evaluation)


def _means(value_NS: np.ndarray) -> np.ndarray:
    return value_NS.mean(axis=0) if value_NS.shape[1] else np.zeros(0)


def _stage(tell: Tells, stage: str) -> Callable[[int, int], None]:
    return lambda done, of: tell(stage, done, of)
