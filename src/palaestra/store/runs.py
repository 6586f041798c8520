"""The folder of a run: what was run, on what, how far it is, what came out.

    run.json        the record `RunCard`: command, config, seed, inputs with hashes, versions, state, metrics
    metrics.jsonl   one line a measurement, with the seconds since the run began
    samples.jsonl   a few examples of what the run made, for eyes: those made on the way, and those of its end
    card.md         the same for readers
    and the artefacts of the command

A line that a kill cut in two is taken out when the run goes on; all others stay. What a run that went back to its last
checkpoint measured again stands there twice, and who reads it takes the later one (`run_reading.py`).

A second run into the folder must be the same one, which goes on where it was, or say that it overwrites. Replies of
models that have been paid for (`calls.db`) outlive that too. One process works in a folder at a time: the lock is the
operating system's, and is gone with the process, however that ends.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import InputFile, RunCard
from palaestra.store.records import without_halves, write_lines, write_text
from palaestra.store.run_lock import RunLock

RUN_FILE, METRICS_FILE, SAMPLES_FILE, CARD_FILE = "run.json", "metrics.jsonl", "samples.jsonl", "card.md"
SECONDS = "seconds"
"""Of each line that was written on the way: since the run began."""
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
        self._lock = RunLock(self.path)
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
            for name in (METRICS_FILE, SAMPLES_FILE):
                _mend(self.path / name)
            return card.model_copy(update={"started": earlier.started})
        return card

    @property
    def calls(self) -> Path:
        """The book of replies of this run."""
        return self.path / "calls.db"

    def measure(self, **values: float | str) -> None:
        """Add a line to metrics.jsonl."""
        self._append(METRICS_FILE, values)

    def sample(self, **fields: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
        """Add a line to samples.jsonl while the run goes on: an example of what it makes now.

        Args:
            **fields: as `step`, `prompt`, `reply`, `reward`, `domain`; half of a surrogate pair in a text is replaced.
        """
        self._append(SAMPLES_FILE, without_halves(fields))

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        took = (datetime.now(UTC) - self.card.started).total_seconds()
        line = json.dumps({SECONDS: round(took, 3), **values}, ensure_ascii=False) + "\n"
        try:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise InputError(
                f"cannot write {self.path / name}: {error.strerror}; make room, and go on with --resume"
            ) from error

    def finish(self, metrics: Mapping[str, float], samples: Sequence[Mapping[str, Any]], card: str) -> None:
        """Write the card, the run's record with what came out, and samples below those that were made on the way."""
        file = self.path / SAMPLES_FILE
        on_the_way = [line for line in read_lines(file) if SECONDS in line]
        write_lines(file, [*on_the_way, *samples])
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


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines that is being written, or was when its process was killed.

    A file that is not there has none, and a last line without its end is not read.

    Raises:
        InputError: the file cannot be read, or another line is no object.
    """
    try:
        content = file.read_bytes() if file.exists() else b""
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; expected JSON lines") from error
    whole = content[: content.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"{file}: line {number}: {error}; expected a JSON object") from error
        if not isinstance(value, dict):
            raise InputError(f"{file}: line {number}: found {line[:60]!r}, expected a JSON object")
        found.append(value)
    return found


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


def _mend(file: Path) -> None:
    """Take out a last line that has no end."""
    if not file.is_file():
        return
    with file.open("r+b") as lines:
        lines.truncate(lines.read().rfind(b"\n") + 1)


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
