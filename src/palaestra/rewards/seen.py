"""Prompts that a reward was trained on, kept with it: what it has seen is no test of it.

Of each prompt only a mark is kept, the first eight bytes of the SHA-256 of what the user has said, so that a reward can
be passed on without the prompts. Two of a million prompts share a mark by chance about once in thirty million times.
Not here: replies; a prompt with other replies is still a prompt that it knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from palaestra.rewards.vectors import asked
from palaestra.schema import Message

Marks = NDArray[np.uint64]


@runtime_checkable
class KnowsWhatItSaw(Protocol):
    """A reward that was trained here."""

    @property
    def trained_on(self) -> Marks | None:
        """Marks of the prompts that it was trained on; None where its folder does not say."""
        ...


def marks_of(prompts: Iterable[Sequence[Message]]) -> Marks:
    """Marks of the distinct prompts, sorted."""
    texts = {asked(prompt).strip() for prompt in prompts}
    found = [int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) for text in texts]
    return np.unique(np.array(found, dtype=np.uint64))


def seen_line(reward: object, name: str, prompts: Iterable[Sequence[Message]]) -> str | None:
    """A warning that a reward was trained on some of these prompts; None where it was not, or does not say."""
    known = reward.trained_on if isinstance(reward, KnowsWhatItSaw) else None
    if known is None:
        return None
    marks = marks_of(prompts)
    seen = int(np.isin(marks, known).sum())
    if not seen:
        return None
    return f"{name} was trained on {seen:,} of these {len(marks):,} prompts: figures on what it has seen flatter it"
