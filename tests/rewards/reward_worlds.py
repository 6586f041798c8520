"""Simulated preferences with known rewards: the words of a reply say how good it is, and a featuriser reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palaestra.schema import Message, Preference

WORDS = ("clear", "kind", "exact", "vague", "rude", "wrong")
WORTH = np.array([1.2, 0.8, 0.5, -0.5, -0.8, -1.2])


class Words:
    """Counts of the six words in a text."""

    name = "words"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=np.float32)


def preferences(
    count: int = 400,
    *,
    replies: int = 2,
    length: float = 0.0,
    ties: float = 0.0,
    seed: int = 0,
    prompts: int | None = None,
) -> list[Preference]:
    """Rankings drawn from e^reward by Gumbel noise; `length` is what log(1 + tokens) adds to a reward."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        counts = rng.poisson(0.8, size=(replies, len(WORDS)))
        extra = rng.integers(3, 60, size=replies)
        texts = [
            " ".join([word for word, n in zip(WORDS, row, strict=True) for _ in range(n)] + ["so"] * int(more))
            for row, more in zip(counts, extra, strict=True)
        ]
        reward = counts @ WORTH + length * np.log1p(counts.sum(axis=1) + extra)
        noisy = reward + rng.gumbel(size=replies)
        ranks = (-noisy).argsort().argsort() + 1
        if replies == 2 and abs(noisy[0] - noisy[1]) < ties:
            ranks = np.array([1, 1])
        asked = f"question {number if prompts is None else number % prompts}"
        found.append(
            Preference(
                id=str(number), prompt=(Message.of("user", asked),), replies=tuple(texts),
                ranks=tuple(int(rank) for rank in ranks), category="odd" if number % 2 else "even",
            )
        )  # fmt: skip
    return found
