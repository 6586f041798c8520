"""The folder of a run: what was run, on what, how far it is, what came out.

    run.json        the record `RunCard`: command, config, seed, inputs with hashes, versions, state, metrics
    metrics.jsonl   one line a measurement, with the seconds since the run began
    samples.jsonl   a few examples of what the run made, for eyes
    card.md         the same for readers
    and the artefacts of the command

A second run into the folder must be the same one, which goes on where it was, or say that it overwrites. Replies of
models that have been paid for (`calls.db`) outlive that too. One process works in a folder at a time: the lock is the
operating system's, and is gone with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import InputFile, RunCard
from palaestra.store.records import write_lines, write_text

RUN_FILE, METRICS_FILE, SAMPLES_FILE, CARD_FILE = "run.json", "metrics.jsonl", "samples.jsonl", "card.md"
_LOCK_FILE = "calls.run.lock"
"""Named as what no new run throws away."""
Again = Literal["ask", "resume", "overwrite"]
"""What to do with a folder in which something was run already; `ask` leaves it to the caller, as an error."""


class RunExistsError(InputError):
    """The folder has a run in it, and nobody said what to do with that."""


class RunFolder:
    """A run's folder, opened for the run.

    Args:
        path: the folder; made if it is not there.
        command: as `judge run`.
        config: everything that the result depends on, as JSON.
        inputs: files that the run reads; folders count with all their files.
        seed: if there is one.
        again: what to do with an earlier run in it.

    Raises:
        RunExistsError: there is one, and `again` is `ask`.
        InputError: there is another run in it, or something else, another process is at work in it, or it cannot be
            written.
    """

    def __init__(
        self,
        path: str | Path,
        command: str,
        config: Mapping[str, Any],
        *,
        inputs: Iterable[str | Path] = (),
        seed: int | None = None,
        again: Again = "ask",
    ) -> None:
        self.path = Path(path)
        card = RunCard(
            id=self.path.name,
            command=command,
            config=dict(config),
            seed=seed,
            inputs=tuple(InputFile(path=str(file), sha256=file_sha256(file)) for file in inputs),
            versions=_versions(),
            started=datetime.now(UTC),
        )
        if _foreign(self.path):
            raise InputError(f"found {self.path} with other files in it, expected a new or empty folder for the run")
        self._lock = _locked(self.path)
        try:
            self.card = self._begun(card, again)
            self._write()
        except BaseException:
            self._lock.close()
            raise

    def _begun(self, card: RunCard, again: Again) -> RunCard:
        """The record of the run, after what is there already."""
        earlier = _earlier(self.path)
        if earlier is not None and again == "overwrite":
            _clear(self.path)
            earlier = None
        if earlier is not None:
            _same(self.path, earlier, card)
            if again == "ask":
                raise RunExistsError(f"{self.path} holds this run already ({earlier.state}): give --resume to go on")
            return card.model_copy(update={"started": earlier.started})
        return card

    @property
    def calls(self) -> Path:
        """The book of replies of this run."""
        return self.path / "calls.db"

    def measure(self, **values: float | str) -> None:
        """Add a line to metrics.jsonl."""
        took = (datetime.now(UTC) - self.card.started).total_seconds()
        with (self.path / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seconds": round(took, 3), **values}) + "\n")

    def finish(self, metrics: Mapping[str, float], samples: Sequence[Mapping[str, Any]], card: str) -> None:
        """Write samples, card, and the run's record with what came out."""
        write_lines(self.path / SAMPLES_FILE, samples)
        write_text(self.path / CARD_FILE, card)
        self.card = self.card.model_copy(
            update={"state": "done", "finished": datetime.now(UTC), "metrics": dict(metrics)}
        )
        self._write()
        self._lock.close()

    @contextmanager
    def running(self) -> Generator[None]:
        """What fails in the block, or is interrupted, is noted as the end of the run, and raised."""
        try:
            yield
        except BaseException as error:
            self.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise

    def end(self, state: Literal["failed", "interrupted"]) -> None:
        """Note that the run ended before its time."""
        self.card = self.card.model_copy(update={"state": state, "finished": datetime.now(UTC)})
        self._write()
        self._lock.close()

    def _write(self) -> None:
        write_text(self.path / RUN_FILE, json.dumps(self.card.to_dict(), indent=2, ensure_ascii=False) + "\n")


def read_run(path: str | Path) -> RunCard:
    """The record of a run.

    Raises:
        InputError: this is no folder of a run.
    """
    card = _earlier(Path(path))
    if card is None:
        raise InputError(f"found no {RUN_FILE} in {path}, expected the folder of a run")
    return card


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder; of a database's address only.

    Raises:
        InputError: it cannot be read.
    """
    path, digest = Path(path), hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(each for each in path.rglob("*") if each.is_file()):
                digest.update(f"{file.relative_to(path)}\0{file_sha256(file)}\n".encode())
            return digest.hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; expected a file or a folder") from error


def _paid_for(file: Path) -> bool:
    """Whether a file belongs to the book of replies, which no new run throws away."""
    return file.name.startswith("calls.")


def _foreign(path: Path) -> bool:
    """Whether a folder holds files, and none of a run's."""
    if not path.exists() or (path / RUN_FILE).exists():
        return False
    return not path.is_dir() or any(not _paid_for(file) for file in path.iterdir())


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
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def _clear(path: Path) -> None:
    for file in path.iterdir():
        if file.is_dir():
            shutil.rmtree(file)
        elif not _paid_for(file):
            file.unlink()


def _earlier(path: Path) -> RunCard | None:
    file = path / RUN_FILE
    if not file.is_file():
        return None
    try:
        return RunCard.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise InputError(
            f"cannot read {file}: {str(error).partition(chr(10))[0]}; expected the record of a run"
        ) from error


def _same(path: Path, earlier: RunCard, card: RunCard) -> None:
    """Whether the earlier run is the one that is asked for.

    Raises:
        InputError: it is not; says what differs.
    """
    if earlier.command != card.command:
        raise InputError(f"{path} holds a run of {earlier.command!r}, found {card.command!r}; take another folder")
    before, now = earlier.config, card.config
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    said = [f"{name} was {before.get(name)!r:.60}, is {now.get(name)!r:.60}" for name in other]
    known = {file.path: file.sha256 for file in earlier.inputs}
    said += [f"{file.path} has changed" for file in card.inputs if known.get(file.path, file.sha256) != file.sha256]
    if said:
        raise InputError(
            f"{path} holds another run: {'; '.join(said)}; take another folder, or give --overwrite, which keeps "
            "what was paid for"
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("palaestra", "numpy", "polars", "openai", "torch", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
