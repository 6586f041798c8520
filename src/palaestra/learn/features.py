"""Vectors of many texts, kept on disk in chunks as they come: what was computed stays computed, killed or not.

Distinct texts are sorted by length and cut into chunks, so that those that are computed together need little padding. A
chunk's file is named by a hash of what made it and of its texts, so that any run over the same texts finds it.

Not here: what makes the vectors (`gateway/embed.py`, `learn/hidden.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.whole_file import whole_file

Features = NDArray[np.float32]

CHUNK = 256
"""Texts that are kept at once."""


class Featurizer(Protocol):
    """Gives each text a vector."""

    @property
    def name(self) -> str:
        """What makes the vectors. Vectors of different names do not compare."""
        ...

    def __call__(self, texts: Sequence[str]) -> Features:
        """Vectors of shape (texts, features), in the order of the texts."""
        ...


def features(
    featurizer: Featurizer,
    texts: Sequence[str],
    folder: Path | None = None,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Features:
    """A vector for each text, of shape (N, D).

    Args:
        featurizer: makes the vectors of the texts that are not kept yet.
        texts: at least one; equal ones are computed once.
        folder: where chunks are kept; nothing is kept if left out.
        tell: is told how many distinct texts are done, of how many.

    Raises:
        InputError: there are no texts, or the folder cannot be written.
    """
    if not texts:
        raise InputError("found no texts, expected at least one to compute features of")
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    parts = []
    for start in range(0, len(distinct), CHUNK):
        parts.append(_chunk(featurizer, distinct[start : start + CHUNK], folder))
        tell(min(start + CHUNK, len(distinct)), len(distinct))
    place = {text: number for number, text in enumerate(distinct)}
    return np.concatenate(parts)[[place[text] for text in texts]]


def _chunk(featurizer: Featurizer, texts: Sequence[str], folder: Path | None) -> Features:
    if folder is None:
        return featurizer(texts)
    path = folder / f"{_name(featurizer.name, texts)}.npy"
    if (known := _read(path, len(texts))) is not None:
        return known
    found = featurizer(texts)
    with whole_file(path, "features to ") as part:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, found, allow_pickle=False)
    return found


def _name(featurizer: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(featurizer.encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()[:32]


def _read(path: Path, rows: int) -> Features | None:
    """A chunk that is whole, or None."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape[:1] == (rows,) and found.dtype == np.float32 else None
