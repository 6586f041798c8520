"""What a run leaves in its folder: answers, failures, verdicts or grades, judgment files; and what it came to.

All of it follows from the book of replies and the plan, in the plan's order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from palaestra.errors import InputError
from palaestra.gateway.asking import Tally
from palaestra.judge.answering import Answers
from palaestra.judge.answers import write_answers
from palaestra.judge.judging import Game, Panel
from palaestra.judge.judgments import write_judgments
from palaestra.judge.plan import Plan
from palaestra.judge.verdict import Grade, Verdict
from palaestra.schema import Record, arrow_schema, to_table
from palaestra.store.records import write_lines
from palaestra.store.runs import RunFolder
from palaestra.whole_file import whole_file

VERDICTS_FILE, GRADES_FILE, FAILURES_FILE = "verdicts.parquet", "grades.parquet", "failures.jsonl"
ANSWERS_FOLDER, JUDGMENTS_FOLDER = "answers", "judgments"
_CHUNK = 2000
_SAMPLES = 5


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    tally: Tally
    answers: int
    answers_failed: int
    to_ask: int = 0
    """Answers of models that can be asked, and that did not come."""
    empty: int = 0
    """Answers without a word, which are not judged."""
    games: int = 0
    unread: int = 0
    """Games of which no verdict could be read, after all attempts."""
    games_failed: int = 0
    """Games of which no reply came."""
    labels: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def count(self, label: str | None, error: str | None) -> None:
        """Count a game."""
        self.games += 1
        self.games_failed += error is not None
        self.unread += label is None and error is None
        if label is not None:
            self.labels[label] = self.labels.get(label, 0) + 1


def empty_answers(answers: Answers) -> int:
    """How many answers hold no word: they are kept, and not judged."""
    return sum(answer.empty for answer in answers.found.values())


def write_given(folder: RunFolder, plan: Plan, answers: Answers) -> None:
    """Write the answers, and what did not come.

    Raises:
        InputError: no answer came at all.
    """
    order = {prompt.id: number for number, prompt in enumerate(plan.prompts)}
    kept = [
        answer.model_copy(update={"asked": plan.prompts[order[answer.question_id]].turns})
        for (model, _), answer in answers.found.items()
        if model in plan.contestants
    ]
    if not kept:
        first = next(iter(answers.failed.values()), None)
        raise InputError(f"no answer came{f': {first.kind}: {first.detail}' if first else ''}; nothing can be judged")
    write_answers(folder.path / ANSWERS_FOLDER, sorted(kept, key=lambda each: (each.model, order[each.question_id])))
    write_lines(
        folder.path / FAILURES_FILE,
        (
            {"model": model, "question_id": question, "stage": "answer", **error.model_dump()}
            for (model, question), error in answers.failed.items()
        ),
    )


def write_verdicts(
    folder: RunFolder, plan: Plan, panel: Panel, games: Callable[[], Iterator[Game]], outcome: Outcome
) -> None:
    """Write the verdicts of all games in their order, and count them."""
    with _table(folder.path / VERDICTS_FILE, Verdict) as table:
        for game in games():
            verdict = panel.verdict(game)
            outcome.count(verdict.label, verdict.error)
            if len(outcome.samples) < _SAMPLES and verdict.text:
                outcome.samples.append(verdict.to_dict())
            table.add(verdict)
    if outcome.games and plan.config.schedule == "baseline" and len(plan.baselines) == 1:
        write_judgments(folder.path / JUDGMENTS_FOLDER, pl.read_parquet(folder.path / VERDICTS_FILE))


def write_grades(
    folder: RunFolder, _: Plan, panel: Panel, games: Callable[[], Iterator[Game]], outcome: Outcome
) -> None:
    """Write the grades, likewise."""
    with _table(folder.path / GRADES_FILE, Grade) as table:
        for game in games():
            grade = panel.grade(game)
            outcome.count(None if grade.rating is None else f"{grade.rating:g}", grade.error)
            if len(outcome.samples) < _SAMPLES and grade.text:
                outcome.samples.append(grade.to_dict())
            table.add(grade)


class _Table:
    """Rows on their way into a Parquet file, in pieces."""

    def __init__(self, writer: pq.ParquetWriter, record: type[Record]) -> None:
        self._writer, self._record, self._rows = writer, record, list[Record]()

    def add(self, row: Record) -> None:
        """One more row."""
        self._rows.append(row)
        if len(self._rows) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what has come."""
        self._writer.write_table(to_table(self._record, self._rows))
        self._rows.clear()


@contextmanager
def _table(path: Path, record: type[Record]) -> Generator[_Table]:
    """A table that is there whole or not at all."""
    with whole_file(path) as part, pq.ParquetWriter(part, arrow_schema(record)) as writer:
        table = _Table(writer, record)
        yield table
        table.flush()
