"""Small runs are made: each in a process of its own, several at a time, here or on Ray; each ended one is a line.

A trial is any callable from a mixture to scores, so any trainer can be asked. It goes to another process, so it must be
one that pickle knows: a function of a module, or a dataclass with `__call__`. A trial that fails, or whose process is
killed, is a record with its reason. A line is written once a trial has ended: a run that was killed goes on with those
that have no line, and a trial whose parent dies, dies with it. Not here: what is made of the records (`experiment.py`).
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import connection
from pathlib import Path
from pickle import PicklingError
from typing import Any, Protocol

from palaestra.errors import InputError
from palaestra.posttrain.mixture.design import Planned
from palaestra.store.ray_session import ray_session

TRIALS_FILE = "trials.jsonl"
_CLOSE = 1e-9


class Trial(Protocol):
    """From weights by domain, tokens and a seed to a loss or a score by domain."""

    def __call__(self, weights: Mapping[str, float], tokens: int, seed: int) -> Mapping[str, float]:
        """Train on the mixture, and measure."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: with scores, or with a reason."""

    scores: dict[str, float] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run and how it ended: a line of `trials.jsonl`."""

    run: Planned
    outcome: Outcome


Tell = Callable[[int, int], None]
"""Is told how many runs have ended, of how many."""


class Journal:
    """The lines of ended runs.

    Args:
        folder: where they are.

    Raises:
        InputError: a line is none of these.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / TRIALS_FILE
        self.ended: dict[str, Ended] = {}
        if not self._path.is_file():
            return
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]  # a kill may have cut the last line
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                outcome = Outcome(row.pop("scores"), row.pop("error"))
                self.ended[row["id"]] = Ended(Planned(**row), outcome)
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{self._path}: line {number} is no ended trial ({error}); take another folder"
                ) from error
        if len(whole) < len(data):
            os.truncate(self._path, len(whole))

    def write(self, ended: Ended) -> None:
        """Add a line; it is on the disk when this returns."""
        line = json.dumps(asdict(ended.run) | asdict(ended.outcome), ensure_ascii=False) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.ended[ended.run.id] = ended

    def of(self, runs: Sequence[Planned]) -> list[Ended]:
        """The ended ones among these, in their order.

        Raises:
            InputError: a run of this name was made with another mixture.
        """
        found = [self.ended[run.id] for run in runs if run.id in self.ended]
        planned = {run.id: run for run in runs}
        for one in found:
            if not _same(one.run, planned[one.run.id]):
                raise InputError(f"{self._path}: {one.run.id} is of another plan; take another folder, or --overwrite")
        return found


def make_runs(
    runs: Sequence[Planned],
    trial: Trial,
    journal: Journal,
    *,
    workers: int = 1,
    ray: bool = False,
    tell: Tell = lambda _done, _of: None,
) -> list[Ended]:
    """Make the runs that have no line yet, or failed when they were made before; return all, in their order.

    Args:
        runs: to make.
        trial: what makes them.
        journal: lines of ended runs; it is added to.
        workers: at a time.
        ray: in tasks of Ray.
        tell: is told how many are done.

    Raises:
        InputError: no trial can be sent to a process, or the journal is of another plan.
        MissingPartError: Ray is asked for and not installed.
    """
    missing = [run for run in runs if run.id not in {one.run.id for one in journal.of(runs) if one.outcome.scores}]
    tell(len(runs) - len(missing), len(runs))
    source = _on_ray(missing, trial, workers) if ray else _in_processes(missing, trial, workers)
    scored = next((set(one.outcome.scores) for one in journal.ended.values() if one.outcome.scores), None)
    for run, outcome in source if missing else ():
        checked = _checked(outcome, scored)
        scored = scored or (set(checked.scores) if checked.scores else None)
        journal.write(Ended(run, checked))
        tell(len(journal.of(runs)), len(runs))
    return journal.of(runs)


def tried(trial: Trial, run: Planned) -> Outcome:
    """One trial; what it raises is its reason."""
    try:
        scores = trial(dict(run.weights), run.tokens, run.seed)
        return Outcome({str(name): float(value) for name, value in sorted(scores.items())})
    except Exception as error:  # noqa: BLE001 - of any trainer
        return Outcome(error=f"{type(error).__name__}: {error}".strip()[:2000])


def _checked(outcome: Outcome, scored: set[str] | None) -> Outcome:
    """Scores that are numbers, of the domains that other runs have."""
    if outcome.scores is None:
        return outcome
    if wrong := [name for name, value in outcome.scores.items() if not math.isfinite(value)]:
        return Outcome(error=f"found no finite number for {', '.join(wrong)}")
    if not outcome.scores or (scored and set(outcome.scores) != scored):
        said = ", ".join(outcome.scores) or "none"
        return Outcome(error=f"found scores of {said}; expected {', '.join(sorted(scored or {'a domain'}))}")
    return outcome


def _same(one: Planned, other: Planned) -> bool:
    alike = set(one.weights) == set(other.weights) and (one.tokens, one.seed) == (other.tokens, other.seed)
    return alike and all(abs(one.weights[name] - other.weights[name]) < _CLOSE for name in one.weights)


def _in_processes(runs: Iterable[Planned], trial: Trial, workers: int) -> Iterator[tuple[Planned, Outcome]]:
    """Each run in a new process: nothing of one is left for the next, and one that is killed takes no other along."""
    context, waiting = multiprocessing.get_context("spawn"), deque(runs)
    working: dict[connection.Connection, tuple[Planned, Any]] = {}
    try:
        while waiting or working:
            while waiting and len(working) < max(workers, 1):
                ours, theirs = context.Pipe(duplex=False)
                run = waiting.popleft()
                process = context.Process(target=_work, args=(theirs, trial, run), daemon=True)
                try:
                    process.start()
                except (TypeError, AttributeError, PicklingError) as error:
                    raise InputError(
                        f"cannot send the trial to a process: {error}; take a module's function"
                    ) from error
                theirs.close()
                working[ours] = (run, process)
            for ours in connection.wait(list(working)):
                run, process = working.pop(ours)  # ty: ignore[invalid-argument-type] - they are our own
                yield run, _received(ours, process)
    finally:
        for _, process in working.values():
            process.kill()


def _received(ours: Any, process: Any) -> Outcome:  # noqa: ANN401 - of multiprocessing
    try:
        outcome = ours.recv()
    except EOFError:
        outcome = None
    process.join()
    ours.close()
    if outcome is not None:
        return outcome
    code = process.exitcode
    return Outcome(error=f"the process was ended by signal {-code}" if code < 0 else f"the process ended with {code}")


def _work(theirs: Any, trial: Trial, run: Planned) -> None:  # noqa: ANN401 - of multiprocessing
    """In the process: the trial, and an eye on the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    theirs.send(tried(trial, run))
    theirs.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _on_ray(runs: Sequence[Planned], trial: Trial, workers: int) -> Iterator[tuple[Planned, Outcome]]:
    """Each run in a task of Ray, which may be on another machine; a lost one is a record too."""
    with ray_session("small runs in tasks") as ray:
        task = ray.remote(max_retries=0, max_calls=1)(tried)
        waiting, working = deque(runs), {}
        while waiting or working:
            while waiting and len(working) < max(workers, 1):
                run = waiting.popleft()
                working[task.remote(trial, run)] = run
            done, _ = ray.wait(list(working), num_returns=1)
            run = working.pop(done[0])
            try:
                yield run, ray.get(done[0])
            except ray.exceptions.RayError as error:
                yield run, Outcome(error=f"Ray: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
