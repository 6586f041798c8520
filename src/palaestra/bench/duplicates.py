"""Prompts that are there twice: the same text, or nearly the same.

The same: equal after Unicode's NFKC, in lower case, with single blanks. Nearly the same: a Jaccard similarity of the
sets of their five-letter pieces of at least `threshold`. Candidates come from MinHash (Broder, 1997) and
locality-sensitive hashing (Indyk and Motwani, 1998), by datasketch; each is then compared exactly, so that what is
dropped is alike for sure, and what hashing misses stays.

Prompts are taken by their ids, and one is dropped if it is like one that stays: of a group the first by id stays, and
there are no chains in which A goes for C's sake though they have little in common. The order of the rows plays no part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.cleaning import Dropped
from palaestra.bench.stages import Tell, untold
from palaestra.errors import MissingPartError
from palaestra.schema import Prompt

PIECE = 5
"""Letters of a piece."""
_PERMUTATIONS = 128
_MISSES_WEIGH = (0.02, 0.98)
"""A candidate in vain costs a comparison, a miss leaves a duplicate: one in fifty is missed at the threshold itself."""
_TOLD = 1000
_PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint32)

Pieces = NDArray[np.uint32]


def without_duplicates(
    prompts: Sequence[Prompt], threshold: float, *, tell: Tell = untold
) -> tuple[list[Prompt], list[Dropped]]:
    """The prompts, sorted by id, each once, and those that are like one of them.

    Args:
        prompts: with distinct ids, in any order.
        threshold: Jaccard similarity from which two are nearly the same, above 0 to 1.
        tell: told of progress.

    Raises:
        MissingPartError: the extra `bench` is not installed.
    """
    same: dict[str, str] = {}
    texts: list[tuple[Prompt, str]] = []
    dropped = []
    for prompt in sorted(prompts, key=lambda prompt: prompt.id):
        plain = normalised(prompt.text)
        first = same.setdefault(plain, prompt.id)
        if first == prompt.id:
            texts.append((prompt, plain))
        else:
            dropped.append(Dropped(prompt.id, "duplicates", "the same text", first, 1.0))
    kept, near = _without_near(texts, threshold, tell)
    gone = {one.id: one for one in near}
    dropped = [
        replace(one, like=first.like, likeness=first.likeness) if (first := gone.get(one.like or "")) else one
        for one in dropped
    ]
    return kept, sorted([*dropped, *near], key=lambda one: one.id)


def normalised(text: str) -> str:
    """The text in lower case, with single blanks, and one spelling for each letter."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def pieces(text: str) -> Pieces:
    """The set of a text's five-letter pieces, as sorted hashes of 32 bits; of a shorter text, itself."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    if len(letters) < PIECE:
        letters = np.pad(letters, (0, PIECE - len(letters)))
    windows = np.lib.stride_tricks.sliding_window_view(letters, PIECE)
    with np.errstate(over="ignore"):
        mixed = (windows * _PRIMES).sum(axis=1, dtype=np.uint32)
        mixed ^= mixed >> np.uint32(15)
        return np.unique(mixed * _PRIMES[1])


def jaccard(a: Pieces, b: Pieces) -> float:
    """Shared pieces over all pieces of two."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def _without_near(
    texts: Sequence[tuple[Prompt, str]], threshold: float, tell: Tell
) -> tuple[list[Prompt], list[Dropped]]:
    minhash, lsh = _index(threshold)
    kept: dict[str, tuple[Prompt, Pieces]] = {}
    dropped = []
    for number, (prompt, plain) in enumerate(texts):
        if number % _TOLD == 0:
            tell("duplicates", number, len(texts))
        own = pieces(plain)
        sketch = minhash.copy()
        sketch.update_batch(own)
        near = ((jaccard(own, kept[other][1]), other) for other in sorted(lsh.query(sketch)))
        likeness, other = max(near, key=lambda found: found[0], default=(0.0, ""))
        if likeness >= threshold:
            dropped.append(Dropped(prompt.id, "duplicates", "nearly the same text", other, likeness))
        else:
            lsh.insert(prompt.id, sketch, check_duplication=False)
            kept[prompt.id] = prompt, own
    return [prompt for prompt, _ in kept.values()], dropped


def _index(threshold: float) -> tuple[Any, Any]:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise MissingPartError(f"finding duplicates needs {error.name}: pip install 'palaestra[bench]'") from error
    return MinHash(_PERMUTATIONS, seed=1, hashfunc=int), MinHashLSH(
        threshold=threshold, num_perm=_PERMUTATIONS, weights=_MISSES_WEIGH
    )
