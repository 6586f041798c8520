"""Prompts that stand in a set already, so that a model may have been tuned on them, or a board would count them twice.

Two signs, either of which is enough:

    overlap      shared word 8-grams over the 8-grams of the shorter of the two texts; a text of fewer than eight words
                 is one n-gram. Counts of n-grams are how contamination has been reported since GPT-3 (Brown et al.,
                 2020)
    similarity   cosine of the two vectors, which sees a paraphrase

Not here: whether a model has learnt a prompt; no text tells.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.cleaning import Dropped
from palaestra.bench.duplicates import normalised
from palaestra.schema import Prompt

GRAM = 8
"""Words of an n-gram."""
_BLOCK = 2048
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")

Vectors = NDArray[np.float32]


def contaminated(
    prompts: Sequence[Prompt],
    vectors_PD: Vectors,
    against: Mapping[str, Prompt],
    against_QD: Vectors,
    *,
    overlap: float,
    similarity: float,
) -> list[Dropped]:
    """The prompts that are too much like one of another set, with the one that they are most like.

    Args:
        prompts: those to look at.
        vectors_PD: their vectors, of unit length.
        against: the other prompts, by a name that the reader will recognise.
        against_QD: their vectors.
        overlap: the share of n-grams from which a prompt is flagged.
        similarity: the cosine from which a prompt is flagged.
    """
    if not against:
        return []
    shared = _overlaps(prompts, against)
    alike = _similarities(vectors_PD, against_QD)
    names = list(against)
    found = []
    for prompt, (share, other), (cosine, nearest) in zip(prompts, shared, alike, strict=True):
        if share >= overlap:
            found.append(Dropped(prompt.id, "contamination", "the same words", other, share))
        elif cosine >= similarity:
            found.append(Dropped(prompt.id, "contamination", "the same meaning", names[nearest], cosine))
    return found


def grams(text: str) -> set[int]:
    """Hashes of a text's word n-grams; they hold within one process."""
    words = _WORD.findall(normalised(text))
    return {hash(tuple(words[start : start + GRAM])) for start in range(max(len(words) - GRAM + 1, 1))}


def _overlaps(prompts: Sequence[Prompt], against: Mapping[str, Prompt]) -> list[tuple[float, str]]:
    """For each prompt the greatest overlap, and with whom."""
    holders: dict[int, list[str]] = defaultdict(list)
    sizes = {}
    for name, other in against.items():
        held = grams(other.text)
        sizes[name] = len(held)
        for gram in held:
            holders[gram].append(name)
    found = []
    for prompt in prompts:
        own = grams(prompt.text)
        met = Counter(name for gram in own for name in holders.get(gram, ()))
        shares = [(count / min(len(own), sizes[name]), name) for name, count in met.items()]
        found.append(min(shares, key=lambda one: (-one[0], one[1]), default=(0.0, "")))
    return found


def _similarities(vectors_PD: Vectors, against_QD: Vectors) -> list[tuple[float, int]]:
    """For each prompt the greatest cosine, and with whom."""
    found = []
    for start in range(0, len(vectors_PD), _BLOCK):
        cosine_PQ = vectors_PD[start : start + _BLOCK] @ against_QD.T
        nearest_P = cosine_PQ.argmax(axis=1)
        best_P = cosine_PQ[np.arange(len(nearest_P)), nearest_P]
        found += [(float(min(best, 1.0)), int(near)) for best, near in zip(best_P, nearest_P, strict=True)]
    return found
