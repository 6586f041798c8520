"""A proxy's answers, kept on disk in chunks as they come: what was scored stays scored, killed or not.

A chunk's file is named by a hash of the proxy's name and of what it was asked. A name is believed here: who calls sees
to it that it stands for one and the same proxy (`cli/reward_ppe.py` notes what each stood for).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.rewards.ppe.proxies import Pair, Pairwise, Reply, Scored, chances_of, scores_of
from palaestra.whole_file import whole_file

Floats = NDArray[np.float64]
Tell = Callable[[int], None]

CHUNK = 512
"""Replies, or pairs, that are kept at once."""


def kept_scores(
    proxy: Scored, replies: Sequence[Reply], folder: Path | None = None, tell: Tell | None = None
) -> Floats:
    """Scores of replies, shape (N,).

    Args:
        proxy: whose scores.
        replies: N of them.
        folder: where chunks are kept, and looked for.
        tell: called with the number of replies that are done.

    Raises:
        InputError: the proxy's answer is none, or a kept file is broken.
    """
    parts = []
    for start in range(0, len(replies), CHUNK):
        chunk = replies[start : start + CHUNK]
        path = None if folder is None else folder / f"{_digest(proxy.name, chunk)}.npy"
        found = None if path is None else _read(path, (len(chunk),))
        if found is None:
            found = scores_of(proxy, chunk)
            _write(path, found)
        parts.append(found)
        if tell is not None:
            tell(len(chunk))
    return np.concatenate(parts) if parts else np.zeros(0)


def kept_chances(
    proxy: Pairwise, pairs: Sequence[Pair], folder: Path | None = None, tell: Tell | None = None
) -> tuple[Floats, Floats]:
    """The chance that the first reply is better, asked in the order given and in the other; as for `kept_scores`."""
    parts = []
    for start in range(0, len(pairs), CHUNK):
        chunk = pairs[start : start + CHUNK]
        path = None
        if folder is not None:
            path = folder / f"{_digest(proxy.name, [reply for pair in chunk for reply in pair])}.npy"
        found = None if path is None else _read(path, (2, len(chunk)))
        if found is None:
            found = np.stack(chances_of(proxy, chunk))
            _write(path, found)
        parts.append(found)
        if tell is not None:
            tell(len(chunk))
    both_2N = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return both_2N[0], both_2N[1]


def _digest(name: str, replies: Sequence[Reply]) -> str:
    digest = hashlib.sha256(name.encode())
    for one in replies:
        talk = "\0".join(f"{turn.role}:{turn.text}" for turn in one.prompt)
        digest.update(f"\1{one.id}\0{one.place}\0{one.model}\0{talk}\0{one.text}".encode())
    return digest.hexdigest()[:32]


def _read(path: Path, shape: tuple[int, ...]) -> Floats | None:
    if not path.is_file():
        return None
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}; delete it, so that it is computed anew") from error
    if found.shape != shape:
        raise InputError(f"{path}: found the shape {found.shape}, expected {shape}; delete it")
    return found


def _write(path: Path | None, found: Floats) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("wb") as file:
        np.save(file, found)
