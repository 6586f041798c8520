"""A trained checkpoint joins the contestants: one more `[[model]]` table at the end of a models.toml.

The file is never written anew: what stands in it, comments and order and line ends, stays byte for byte, and the table
is put below. The new file is read back before it takes the old one's place, under a lock on its folder, so that several
runs that end at the same time all find their place.

Not here: whether it should join (`recipes/gate.py`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palaestra.errors import InputError, ModelsFileError
from palaestra.gateway.endpoints import read_models
from palaestra.gateway.local import checkpoint_folder
from palaestra.schema import ModelSpec
from palaestra.whole_file import whole_file


def checkpoint_spec(checkpoint: str | Path, name: str | None = None, **details: Any) -> ModelSpec:  # noqa: ANN401
    """The contestant that a checkpoint makes; its endpoint names the folder by its whole path.

    Args:
        checkpoint: a folder of Hugging Face, or the folder of a run with a folder `model` in it, or a GGUF file.
        name: on the leaderboard; the folder's if left out (that of the run, if the folder is its `model`).
        **details: more fields of `ModelSpec`; those that are None are left out.

    Raises:
        InputError: there is no such checkpoint, or a field does not hold.
    """
    path = Path(checkpoint)
    found = path if path.suffix == ".gguf" and path.is_file() else checkpoint_folder(path)
    if found is None:
        raise InputError(f"found no config.json in {path} or {path / 'model'}, expected the folder of a trained model")
    found = found.resolve()
    called = name or (found.parent.name if found.name == "model" else found.stem if found.is_file() else found.name)
    given = {field: value for field, value in details.items() if value is not None}
    try:
        return ModelSpec.model_validate({"name": called, "endpoint": f"local:{found}", **given})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, wrong['loc']))}: found {wrong['input']!r}: {wrong['msg']}") from error


def check_place(models: str | Path, name: str) -> None:
    """See that a model of this name can join, before hours are spent on making it.

    Raises:
        ModelsFileError: the file is no models.toml, or has a model of this name, whatever its case.
        InputError: there is no such folder.
    """
    path = Path(models)
    if not path.absolute().parent.is_dir():
        raise InputError(f"found no folder {path.parent}, expected one for {path.name}")
    content = _content(path)
    if content.strip():
        _free(path, content, name)


def enrol(spec: ModelSpec, models: str | Path) -> None:
    """Add a model to a models.toml; one that is not there is made.

    Raises:
        ModelsFileError: the file is no models.toml, has a model of this name, or the new table does not hold.
        InputError: the file cannot be written.
    """
    path = Path(models).resolve()  # what a link means is replaced, and not the link
    with _alone(path):
        check_place(path, spec.name)
        before = _content(path)
        after = _with_table(before, spec)
        if read_models(after, path)[-1] != spec:
            raise ModelsFileError(f"{path}: found no place for the table of {spec.name!r}; write it by hand")
        with whole_file(path) as part:
            part.write_bytes(after)
            if path.exists():
                part.chmod(path.stat().st_mode & 0o777)


def table_of(spec: ModelSpec) -> str:
    """The `[[model]]` table of a model: what differs from the defaults.

    Raises:
        InputError: a field holds what TOML cannot: half of a surrogate pair.
    """
    given = spec.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{name} = {_value(given[name])}" for name in ModelSpec.model_fields if name in given]
    text = "\n".join(["[[model]]", *lines, ""])
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"found half of a character in a field of {spec.name!r}, expected whole ones") from error
    return text


def _value(value: Any) -> str:  # noqa: ANN401 - of a field
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _with_table(before: bytes, spec: ModelSpec) -> bytes:
    """The file with a table below it: as it was, byte for byte, with its own kind of line end."""
    line = "\r\n" if b"\r\n" in before else "\n"
    gap = "" if not before else line if before.endswith(b"\n") else 2 * line
    return before + (gap + table_of(spec).replace("\n", line)).encode()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ModelsFileError(f"cannot read {path}: {error.strerror}; expected a models.toml") from error


def _free(path: Path, content: bytes, name: str) -> None:
    taken = [spec.name for spec in read_models(content, path) if spec.name.casefold() == name.casefold()]
    if taken:
        raise ModelsFileError(
            f"{path}: found a model named {taken[0]!r} already, expected a new name; give another one"
        )


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """No other process enrols in this folder meanwhile; the lock is gone with the process."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"found no folder {path.parent}, expected one for {path.name}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
