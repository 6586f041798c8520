"""Artefacts of a build on disk: each stage's result in one file, named by a hash of all that it depends on.

A file is written beside its place and moved there, so that it is whole or not there; after kill -9 the same command
finds what was done, and computes the rest. Nothing is ever looked up by time or by name alone: another setting, another
input or another revision of a stage is another file.

An artefact is a set of arrays and a JSON object in one .npz, without pickles.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.whole_file import whole_file

Tell = Callable[[str, int, int], None]
"""Told of progress: the stage, how many parts are done, of how many."""

_META = "meta"


def untold(stage: str, done: int, of: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a stage leaves."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    unfinished: bool = False
    """Whether something failed in it that may succeed another time: it is used, and not kept."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.arrays[name]


class Work:
    """The folder of a build's artefacts.

    Args:
        folder: it is made where it is missing.
        tell: told of progress.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path, tell: Tell = untold) -> None:
        self.folder, self.tell = Path(folder), tell
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}; give --work another one") from error

    def stage(self, name: str, key: Mapping[str, Any], make: Callable[[], Artefact]) -> Artefact:
        """The artefact of a stage: read where it is there, else made and, unless it is `unfinished`, written.

        Args:
            name: the stage.
            key: all that its result depends on, as JSON.
            make: makes it.

        Raises:
            InputError: the artefact cannot be written.
        """
        self.tell(name, 0, 1)
        artefact = self._kept(self.folder / f"{name}-{digest(key)}.npz", make)
        self.tell(name, 1, 1)
        return artefact

    def chunks(self, name: str, key: Mapping[str, Any], count: int, make: Callable[[int], Artefact]) -> list[Artefact]:
        """A stage in parts, each kept as soon as it is made, unless it is `unfinished`."""
        folder = self.parts(name, key)
        found = []
        for number in range(count):
            self.tell(name, number, count)
            found.append(self._kept(folder / f"{number:05}.npz", lambda number=number: make(number)))
        self.tell(name, count, count)
        return found

    def parts(self, name: str, key: Mapping[str, Any]) -> Path:
        """The folder of a stage's parts."""
        folder = self.folder / f"{name}-{digest(key)}"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}; give --work another one") from error
        return folder

    def _kept(self, path: Path, make: Callable[[], Artefact]) -> Artefact:
        if (found := read_artefact(path)) is not None:
            return found
        made = make()
        if not made.unfinished:
            write_artefact(path, made)
        return made


def digest(key: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over a JSON object."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def content(*arrays: NDArray[Any]) -> str:
    """A hash of arrays: their kinds, shapes and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return found.hexdigest()[:16]


def write_artefact(path: Path, artefact: Artefact) -> None:
    """Write an artefact; it is there whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **artefact.arrays, **{_META: np.array(json.dumps(dict(artefact.meta)))})


def read_artefact(path: Path) -> Artefact | None:
    """An artefact, None where it is not there.

    Raises:
        InputError: there is a file, and it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}; remove it, and it will be made anew") from error
    return Artefact(arrays, json.loads(str(arrays.pop(_META))))
