"""The views of people's votes: overall, by kind of prompt, by category, by language.

The seven of Preference Proxy Evaluations are read from the labels that its file carries: hard, easy, instruction
following, math and coding from hard_prompt, easy_prompt, if_prompt, math_prompt and is_code; similar are the pairs
whose replies are most alike, the upper fifth by `sim` (the published threshold is not known to us: this one is ours).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.schema import Preference

Bools = NDArray[np.bool_]

OVERALL = "overall"
LABELLED = {
    "hard": "hard_prompt",
    "easy": "easy_prompt",
    "instruction following": "if_prompt",
    "coding": "is_code",
    "math": "math_prompt",
}
SIMILAR_SHARE = 0.2


def human_domains(preferences: Sequence[Preference], least: int) -> tuple[dict[str, Bools], dict[str, int]]:
    """Which votes each view has; and the views with too few, with how many.

    Args:
        preferences: the votes.
        least: views with fewer are left out; overall is always there.

    Raises:
        InputError: a vote's `sim` is no number.
    """
    masks: dict[str, Bools] = {}
    for name, label in LABELLED.items():
        masks[name] = np.array([one.labels.get(label) == "true" for one in preferences])
    masks["similar"] = _similar(preferences)
    for category in sorted({one.category for one in preferences if one.category}):
        masks.setdefault(f"category {category}", np.array([one.category == category for one in preferences]))
    for language in sorted({one.language for one in preferences if one.language}):
        masks[f"language {language}"] = np.array([one.language == language for one in preferences])
    counted = {name: int(mask.sum()) for name, mask in masks.items()}
    few = {name: count for name, count in counted.items() if 0 < count < least}
    kept = {name: mask for name, mask in masks.items() if counted[name] >= least}
    return {OVERALL: np.ones(len(preferences), dtype=bool)} | kept, few


def _number(one: Preference) -> float:
    said = one.labels.get("sim", "nan")
    try:
        return float(said)
    except ValueError as error:
        raise InputError(
            f"{one.id}: found {said!r:.40} as sim, expected how alike the replies are, a number"
        ) from error


def _similar(preferences: Sequence[Preference]) -> Bools:
    sims = np.array([_number(one) for one in preferences])
    if np.isnan(sims).all():
        return np.zeros(len(sims), dtype=bool)
    return sims >= np.nanquantile(sims, 1 - SIMILAR_SHARE)
