"""What was trained, as a folder: `config.json`, `model.safetensors`, and texts such as `card.md`; whole or not there.

`config.json` says what kind of model this is and holds a hash of the weights, so that a file that was cut short, or
changed, is refused and not believed. Not here: the folders of transformers, which save themselves (one may be taken
along, and is checked by whoever reads it).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError, MissingPartError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_KIND, _HASH = "palaestra_kind", "weights_sha256"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds: the config without its kind and hash, and the arrays by name."""

    config: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_checkpoint(
    folder: str | Path,
    kind: str,
    config: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    texts: Mapping[str, str] | None = None,
    folders: Mapping[str, Path] | None = None,
) -> None:
    """Write the folder.

    Args:
        folder: must not be there yet, or be empty.
        kind: as `p2l-head`; who reads it asks for the same.
        config: everything but the arrays, as JSON.
        arrays: by name; all finite.
        texts: more files, by name.
        folders: folders to take along, by the name that they get; their files are linked where the disk can.

    Raises:
        InputError: the folder is there with something in it, cannot be written, or an array is not finite.
        MissingPartError: the extra `learn` is not installed.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"found {folder} there already, expected a new folder for the model")
    _check_finite(str(folder), arrays)
    weights = _safetensors().save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    head = {_KIND: kind, _HASH: hashlib.sha256(weights).hexdigest(), **config}
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / WEIGHTS_FILE).write_bytes(weights)
        (part / CONFIG_FILE).write_text(json.dumps(head, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, text in (texts or {}).items():
            (part / name).write_text(text, encoding="utf-8")
        for name, there in (folders or {}).items():
            shutil.copytree(there, part / name, copy_function=_linked)
        part.replace(folder)
    except OSError as error:
        raise InputError(
            f"cannot write the model to {folder}: {error.strerror or error}; give a writable path"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def kind_of(folder: str | Path) -> str:
    """The kind of model in a folder.

    Raises:
        InputError: there is none.
    """
    return str(_head(Path(folder), "a trained model")[_KIND])


def read_checkpoint(folder: str | Path, *kinds: str) -> Checkpoint:
    """Read a folder that was written with one of these kinds.

    Raises:
        InputError: there is no model, or one of another kind, or its weights were cut short or changed.
        MissingPartError: the extra `learn` is not installed.
    """
    folder = Path(folder)
    head = _head(folder, " or ".join(kinds))
    if head[_KIND] not in kinds:
        raise InputError(f"found a model of kind {head[_KIND]!r} in {folder}, expected {' or '.join(kinds)}")
    try:
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {folder / WEIGHTS_FILE}: {error.strerror}; expected the model's weights"
        ) from error
    if hashlib.sha256(weights).hexdigest() != head[_HASH]:
        raise InputError(
            f"found {folder / WEIGHTS_FILE} of {len(weights)} bytes with another hash than its {CONFIG_FILE} says, "
            "expected the weights as they were written; the file was cut short or changed: copy or train the model anew"
        )
    arrays = _safetensors().load(weights)
    _check_finite(str(folder), arrays)
    return Checkpoint({name: value for name, value in head.items() if name not in {_KIND, _HASH}}, arrays)


def _head(folder: Path, expected: str) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read {path}: {said}; expected the folder of {expected}") from error
    if not isinstance(head, dict) or not {_KIND, _HASH} <= head.keys():
        raise InputError(f"found {path} without {_KIND} and {_HASH}, expected the folder of {expected}")
    return head


def _check_finite(where: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{where}: found weights {name!r} that are no numbers, expected finite ones")


def _linked(source: str, target: str) -> None:
    """One file of two names, where the disk can; what is written as a whole never changes in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _safetensors() -> Any:  # noqa: ANN401 - a module
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingPartError(f"trained models need {error.name}: pip install 'palaestra[learn]'") from error
    return safetensors.numpy
