"""Which comparisons a language model is trained on, which prompts are held out, and how well these are ranked.

Not here: tokens and steps (`backbone_train.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from palaestra.errors import InputError
from palaestra.schema import Preference

_PAIR = 2
_OF_TIES = {"rao-kupper", "davidson"}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison that is read."""

    preference: Preference


@dataclass(frozen=True, slots=True)
class Rows:
    """Comparisons to train on, those of held-out prompts, and how many level ones the loss cannot take."""

    train: list[Row]
    held: list[Row]
    left_out: int


@dataclass(frozen=True, slots=True)
class Held:
    """The share of pairs that are ranked as people did; the interval counts each prompt once."""

    accuracy: float
    lower: float
    upper: float
    prompts: int


def rows_of(preferences: Sequence[Preference], loss: str, *, share: float, seed: int) -> Rows:
    """Comparisons for a loss, parted by prompt.

    Args:
        preferences: what people preferred.
        loss: of `BackboneConfig`.
        share: of prompts that are held out.
        seed: decides which.

    Raises:
        InputError: nothing can be learnt from these, or the loss cannot take them.
    """
    kept = [each for each in preferences if _usable(each, loss)]
    _check(preferences, kept, loss)
    train, held = [], []
    for each in kept:
        digest = hashlib.sha256(f"{seed}\n{each.text}".encode("utf-8", "surrogatepass")).digest()
        (held if int.from_bytes(digest[:8]) < share * 2**64 else train).append(Row(each))
    if not any(not row.preference.is_tie for row in train):
        raise InputError("found no decided comparison outside the held-out prompts, expected some; hold out less")
    return Rows(train, held, len(preferences) - len(kept))


def tie_strength(preferences: Sequence[Preference], loss: str) -> float:
    """The η of a loss with ties at which replies of equal reward are level as often as all pairs are.

    Raises:
        InputError: no pair is level, so that η has no end.
    """
    share = sum(each.is_tie for each in preferences) / len(preferences)
    if share == 0:
        raise InputError(f"found no level pair, expected some for the {loss} loss; take bradley-terry")
    return math.log((1 + share) / (1 - share)) if loss == "rao-kupper" else math.log(2 * share / (1 - share))


def held_out_accuracy(preferences: Sequence[Preference], scores: Sequence[NDArray[np.float64]]) -> Held | None:
    """How often the better reply of a pair has the higher score; None where no pair is decided."""
    right = total = 0.0
    prompts: Counter[str] = Counter()
    for preference, score_K in zip(preferences, scores, strict=True):
        for first, second in combinations(range(len(preference.ranks)), _PAIR):
            order = np.sign(preference.ranks[second] - preference.ranks[first])
            if order:
                right += (1 + order * np.sign(score_K[first] - score_K[second])) / 2
                total += 1
                prompts[preference.text] += 1
    if not total:
        return None
    interval = binomtest(round(right / total * len(prompts)), len(prompts)).proportion_ci(method="wilson")
    return Held(right / total, float(interval.low), float(interval.high), len(prompts))


def _usable(preference: Preference, loss: str) -> bool:
    return preference.weight > 0 and not (loss == "bradley-terry" and preference.is_tie)


def _check(preferences: Sequence[Preference], kept: Sequence[Preference], loss: str) -> None:
    if all(each.is_tie for each in preferences):
        raise InputError(f"found {len(preferences)} preferences, all level, expected some that are decided")
    if all(len(set(each.replies)) == 1 for each in kept):
        raise InputError(f"found {len(kept)} preferences between equal replies, expected replies that differ")
    wide = next((each for each in kept if len(each.replies) > _PAIR), None)
    if wide is not None and loss in {"bradley-terry", *_OF_TIES}:
        raise InputError(
            f"preference {wide.id!r}: found {len(wide.replies)} replies, expected two for the {loss} loss; take "
            "plackett-luce or pairwise"
        )
