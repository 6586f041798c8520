"""Reading runs: which there are, in what state each is, its curves and samples, also while it goes on.

    series(lines)      every numeric value of metrics.jsonl as points over `step`, or over seconds where there is none

A value's name may say what it is of (`held_out/add`, `reward/math`), and so may texts in its line (`"domain": "add"`):
the first part names the figure, the rest the line in it. A run that was killed and went back to its last checkpoint
measures some steps again; the later measurement counts.

Not here: writing them (`runs.py`), pages and tables (the room `runs`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from palaestra.errors import InputError
from palaestra.schema import RunCard
from palaestra.store.run_lock import at_work
from palaestra.store.runs import METRICS_FILE, RUN_FILE, SAMPLES_FILE, SECONDS, read_lines, read_run

State = Literal["running", "done", "failed", "interrupted", "killed"]
"""`killed`: the record says that it runs, and no process does."""

STEP = "step"
_CLOCK = frozenset({SECONDS, STEP})


@dataclass(slots=True)
class Series:
    """The points of one value, in their order. Values that are no finite number are counted, and are no points."""

    name: str
    """Of the figure."""
    label: str = ""
    """Of the line in it; empty where the figure has but one."""
    over: Literal["step", "seconds"] = "step"
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    not_finite: int = 0

    @property
    def full_name(self) -> str:
        """Name and label."""
        return f"{self.name}/{self.label}" if self.label else self.name


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it is now."""

    path: Path
    card: RunCard
    state: State
    series: tuple[Series, ...]
    samples: tuple[dict[str, Any], ...]
    seconds: float
    """It has taken so far, or took in all."""

    @property
    def last(self) -> dict[str, float]:
        """The last value of each series."""
        return {one.full_name: one.values[-1] for one in self.series if one.values}


def find_runs(folder: str | Path) -> list[Path]:
    """The folders of runs in a folder, however deep, by name; itself, if it is one.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"found no folder {folder}, expected one with runs in it")
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RUN_FILE in files:
            found.append(Path(path))
    return sorted(found)


def view_run(path: str | Path) -> RunView:
    """A run as it is now.

    Raises:
        InputError: this is no folder of a run, or a line of its files is broken.
    """
    path = Path(path)
    card = read_run(path)
    lines = read_lines(path / METRICS_FILE)
    state: State = card.state
    if card.state == "running" and not at_work(path):
        card = read_run(path)  # it may have ended between the two looks
        state = "killed" if card.state == "running" else card.state
    samples = tuple(latest(read_lines(path / SAMPLES_FILE)))
    return RunView(path, card, state, tuple(series(lines)), samples, _seconds(card, state, lines))


def version(path: str | Path) -> str:
    """Changes whenever a run's files do: their sizes and times, and whether a process is at work."""
    path = Path(path)
    parts = [f"{int(at_work(path))}"]
    for name in (RUN_FILE, METRICS_FILE, SAMPLES_FILE):
        try:
            status = (path / name).stat()
        except OSError:
            continue
        parts.append(f"{status.st_size}.{status.st_mtime_ns}")
    return "-".join(parts)


def series(lines: Iterable[Mapping[str, Any]]) -> list[Series]:
    """The curves of the lines of a metrics.jsonl, by figure, in the order in which they come up."""
    found: dict[tuple[str, str, str], dict[float, float]] = {}
    broken: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(lines):
        texts = [str(value) for name, value in line.items() if isinstance(value, str)]
        over = STEP if is_number(line.get(STEP)) else SECONDS
        at = line[over] if is_number(line.get(over)) and math.isfinite(line[over]) else number
        for name, value in line.items():
            if name in _CLOCK or not is_number(value):
                continue
            figure, _, rest = name.partition("/")
            key = (figure, ", ".join(part for part in (rest, *texts) if part), over)
            points = found.setdefault(key, {})
            if math.isfinite(value):
                points.pop(at, None)  # measured again: the later one counts
                points[at] = float(value)
            else:
                broken[key] = broken.get(key, 0) + 1
    order = {name: place for place, name in reversed(list(enumerate(key[0] for key in found)))}
    made = [_made(key, points, broken.get(key, 0)) for key, points in found.items()]
    return sorted(made, key=lambda one: order[one.name])


def latest(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples without those that were made again later, at the same step of the same prompt."""
    kept: dict[object, dict[str, Any]] = {}
    for number, line in enumerate(samples):
        again = STEP in line and "prompt" in line
        key = (line[STEP], str(line["prompt"]), str(line.get("domain"))) if again else number
        kept.pop(key, None)
        kept[key] = line
    return list(kept.values())


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _made(key: tuple[str, str, str], points: Mapping[float, float], broken: int) -> Series:
    name, label, over = key
    at = sorted(points)
    clock: Literal["step", "seconds"] = "step" if over == STEP else "seconds"
    return Series(name, label, clock, [float(one) for one in at], [points[one] for one in at], broken)


def _seconds(card: RunCard, state: State, lines: list[dict[str, Any]]) -> float:
    if card.finished is not None and state != "running":
        return (card.finished - card.started).total_seconds()
    if state == "running":
        return (datetime.now(UTC) - card.started).total_seconds()
    return max((float(line[SECONDS]) for line in lines if is_number(line.get(SECONDS))), default=0.0)
