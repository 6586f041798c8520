"""One process works in a run's folder at a time: the lock is the operating system's, and gone with the process.

POSIX record locks (`fcntl`), which also hold over a network's file systems, and which no child inherits: a worker that
outlives its killed parent does not keep the folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from palaestra.errors import InputError

_LOCK_FILE = "calls.run.lock"
"""Named as what no new run throws away."""
_MINE: set[tuple[int, int]] = set()
"""Lock files of this process, by device and number: locks are the process's too."""


class RunLock:
    """A folder's lock, taken. Its file holds the number of the process that has it.

    Args:
        path: the folder; made if it is not there.

    Raises:
        InputError: another process has it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = _locked(path)
        self._number = _number_of(path / _LOCK_FILE)
        _MINE.add(self._number)

    def close(self) -> None:
        """Give it up."""
        _MINE.discard(self._number)
        self._file.close()


def at_work(path: str | Path) -> bool:
    """Whether a process works in a run's folder now.

    Such a lock belongs to a process, and closing any handle of its file gives it up: so a folder of this very process
    is known by its number, and its file is not opened.
    """
    file = Path(path) / _LOCK_FILE
    try:
        if _number_of(file) in _MINE:
            return True
        with file.open("r+", encoding="utf-8") as lock:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except PermissionError:  # neither ours to lock nor known
        return False
    except OSError:
        return True
    return False


def _locked(path: Path) -> TextIO:
    """The folder's lock, which holds the number of the process that has it.

    Raises:
        InputError: another process has it, or the folder cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; give a folder that can be written") from error
    try:
        _take(lock)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise InputError(
            f"{path}: another process (number {holder}) is at work in this folder; wait for it to end, or take another "
            "folder"
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _take(lock: TextIO) -> None:
    """Lock a file; somebody who only looks (`at_work`) is gone at once.

    Raises:
        OSError: another process has it.
    """
    for wait in (0.02, 0.1):
        try:
            return fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(wait)
    return fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _number_of(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino
