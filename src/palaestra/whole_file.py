"""A file that is whole or not there: written beside its place under another name, and then renamed.

Not here: folders, of which each kind is written by its own room.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from palaestra.errors import InputError


@contextmanager
def whole_file(path: str | Path, what: str = "") -> Generator[Path]:
    """The path to write to; what is there at the end of the block takes the file's place, unless the block fails.

    Args:
        path: the file.
        what: what is written, for the message: `votes to `.

    Raises:
        InputError: the path cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        said = error.strerror or error
        raise InputError(f"cannot write {what}{str(path)!r}: {said}; give a writable path") from error
    finally:
        with suppress(OSError):
            part.unlink()
