"""`palaestra judge run`: answers are gathered, judges asked, verdicts written; killed at any moment, it goes on.

    answers/MODEL.jsonl             as Arena-Hard v2 has them
    judgments/JUDGE/MODEL.jsonl     the same, where the schedule has baselines
    verdicts.parquet                one row a game (`Verdict`); grades.parquet where answers are graded alone
    failures.jsonl                  what did not come, with its reason
    run.json metrics.jsonl samples.jsonl card.md, and calls.db with every reply that was paid for

The files follow from the book of replies and the config alone: the same plan gives the same bytes, however often it was
interrupted. Memory holds the answers and what is under way, not the verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow.parquet as pq

from palaestra.errors import InputError
from palaestra.gateway.asking import Post, Tally
from palaestra.gateway.client import GatewaySettings
from palaestra.judge.answering import Answers, gather_answers
from palaestra.judge.answers import Answer, check_answers, read_answers, write_answers
from palaestra.judge.config import RunConfig
from palaestra.judge.grades import Grade
from palaestra.judge.judging import Game, Panel
from palaestra.judge.protocols import EVERY, protocol
from palaestra.judge.protocols import Protocol as JudgeProtocol
from palaestra.judge.schedule import ActiveSchedule, Meeting, PairRule, against_baselines, everybody
from palaestra.judge.verdict import Verdict, verdict_frame
from palaestra.judge.votes import votes_of
from palaestra.schema import ModelSpec, Prompt, PromptSet, to_table
from palaestra.store.prompts import SET_FILE, read_prompt_set, read_prompts
from palaestra.store.records import write_lines
from palaestra.store.runs import RunFolder

VERDICTS_FILE, GRADES_FILE, FAILURES_FILE = "verdicts.parquet", "grades.parquet", "failures.jsonl"
_CHUNK = 2000
_SAMPLES = 5


class Progress(Protocol):
    """Who is told how far the run is."""

    def begin(self, what: str, total: int) -> None:
        """A stage begins."""

    def step(self) -> None:
        """One more is done."""

    def say(self, text: str) -> None:
        """Something that somebody at the terminal should know."""


@dataclass(slots=True)
class Plan:
    """A run before anything is asked: what it reads, and who answers and judges."""

    config: RunConfig
    prompts: list[Prompt]
    models: tuple[str, ...]
    specs: tuple[ModelSpec, ...]
    given: list[Answer]
    how: JudgeProtocol
    baselines: list[dict[str, str]]
    rubric: str | None

    @property
    def contestants(self) -> tuple[str, ...]:
        """Whose answers are needed: the models and those that they are compared with."""
        met = dict.fromkeys(name for each in self._used_baselines() for name in each)
        return tuple(dict.fromkeys((*self.models, *(met if self.config.judges and self.how.compares else ()))))

    def _used_baselines(self) -> Iterator[set[str]]:
        if self.config.schedule == "baseline":
            for each in self.baselines:
                yield {each.get(prompt.category or EVERY) or each.get(EVERY, "") for prompt in self.prompts} - {""}

    def meetings(self) -> list[Meeting] | None:
        """Who meets whom; None where that follows from the verdicts."""
        if self.config.schedule == "baseline":
            return against_baselines(self.prompts, self.models, self.baselines)
        return everybody(self.prompts, self.models) if self.config.schedule == "all" else None

    def budget(self) -> int:
        """Meetings of the active schedule."""
        half = len(self.prompts) * (len(self.models) - 1) // 2
        return self.config.budget or max(half, len(self.models))


def plan_run(config: RunConfig, specs: Sequence[ModelSpec]) -> Plan:
    """Read and check everything, before anything is asked or written.

    Args:
        config: the run.
        specs: the models that can be asked.

    Raises:
        InputError: questions or answers that cannot be used, a name that is neither in models.toml nor among the
            answers, no baseline, or too few models.
    """
    how = protocol(config.protocol)
    record = read_prompt_set(config.questions)[0] if (config.questions / SET_FILE).is_file() else None
    prompts = read_prompts(config.questions, identified=config.questions.is_file())
    given = [answer for path in config.answers for answer in read_answers(path)]
    check_answers(given, prompts, complete=False)
    models = config.models or tuple(dict.fromkeys(answer.model for answer in given))
    if not models:
        raise InputError("found no models, expected --model NAME (in models.toml), or --answers with their answers")
    plan = Plan(config, prompts, models, tuple(specs), given, how, _baselines(config, how, record), _rubric(config))
    _check(plan)
    return plan


async def run_judges(
    plan: Plan, folder: RunFolder, settings: GatewaySettings, progress: Progress, rule: PairRule | None = None
) -> Outcome:
    """Do what is planned.

    Args:
        plan: the run.
        folder: where its files go.
        settings: timeouts, and how many calls may be under way at an endpoint.
        progress: is told how far it is.
        rule: which pairs say most, for the active schedule.

    Raises:
        InputError, MissingPartError: nothing can be asked, or no answer came at all.
    """
    needed = _needed(plan)
    async with Post(folder.calls, needed, settings, progress.say) as post:
        turns = sum(len(prompt.turns) for prompt in plan.prompts)
        asked = len({spec.name for spec in needed} & set(plan.contestants))
        progress.begin("answers", turns * asked)
        answers = await gather_answers(
            post, plan.prompts, plan.contestants, plan.given, seed=plan.config.seed, tick=progress.step
        )
        folder.measure(stage="answers", answers=len(answers.found), failed=len(answers.failed), cost=post.tally.cost)
        _write_answers(folder, plan, answers)
        outcome = Outcome(post.tally, len(answers.found), len(answers.failed), empty=_empty(answers))
        if not plan.config.judges:
            return outcome
        panel = Panel(post, plan.prompts, answers, plan.how, rubric=plan.rubric, seed=plan.config.seed)
        games = await _judged(plan, panel, progress, rule, folder)
        if plan.how.compares:
            _write_verdicts(folder, plan, panel, games, outcome)
        else:
            _write_grades(folder, panel, games, outcome)
    return outcome


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    tally: Tally
    answers: int
    answers_failed: int
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


async def _judged(
    plan: Plan, panel: Panel, progress: Progress, rule: PairRule | None, folder: RunFolder
) -> Callable[[], Iterator[Game]]:
    """Have everything judged; gives the games again, in their order, as often as they are wanted."""
    judges = plan.config.judges

    def tick(_: bool) -> None:  # noqa: FBT001 - whether it could be read is counted at the end
        progress.step()

    if not plan.how.compares:
        progress.begin("grades", sum(1 for _ in panel.gradings(plan.models, judges)))
        await panel.hear(panel.gradings(plan.models, judges), judges, tick)
        return lambda: panel.gradings(plan.models, judges)
    meetings = plan.meetings()
    if meetings is None:
        meetings = await _in_rounds(plan, panel, progress, rule, folder)
    else:
        progress.begin("verdicts", sum(1 for _ in panel.games(meetings, judges)))
        await panel.hear(panel.games(meetings, judges), judges, tick)
    settled = meetings
    return lambda: panel.games(settled, judges)


async def _in_rounds(
    plan: Plan, panel: Panel, progress: Progress, rule: PairRule | None, folder: RunFolder
) -> list[Meeting]:
    if rule is None:
        raise InputError("the active schedule needs a rule that says which pair next")
    schedule = ActiveSchedule(plan.models, len(plan.prompts), plan.budget(), plan.config.rounds, plan.config.seed)
    judges, done = plan.config.judges, list[Meeting]()

    def votes() -> pl.DataFrame:
        return votes_of(verdict_frame(panel.verdict(game) for game in panel.games(done, judges)))

    progress.begin("verdicts", plan.budget() * plan.how.games * len(judges))
    for number, meetings in enumerate(schedule.rounds(votes, rule), start=1):
        await panel.hear(panel.games(meetings, judges), judges, lambda _: progress.step())
        done += meetings
        folder.measure(stage="round", round=number, meetings=len(meetings))
    return sorted(done)


def _baselines(config: RunConfig, how: JudgeProtocol, record: PromptSet | None) -> list[dict[str, str]]:
    """Each baseline by category; what the config says goes before the set's own, and that before the protocol's."""
    everywhere = [given for given in config.baselines if "=" not in given]
    by_category = dict(given.split("=", 1) for given in config.baselines if "=" in given)
    if everywhere:
        return [{EVERY: name} | by_category for name in everywhere]
    return [{**how.baselines, **(record.baselines if record else {}), **by_category}]


def _rubric(config: RunConfig) -> str | None:
    if config.rubric is None:
        return None
    try:
        return config.rubric.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the rubric {config.rubric}: {error}; expected a text in UTF-8") from error


def _check(plan: Plan) -> None:
    known = {spec.name for spec in plan.specs}
    if strangers := [name for name in plan.config.judges if name not in known]:
        raise InputError(
            f"found the judge {strangers[0]!r}, expected one of models.toml: {', '.join(sorted(known)) or 'none'}"
        )
    answered = {answer.model for answer in plan.given}
    for name in plan.contestants:
        if name not in known | answered:
            raise InputError(
                f"found the model {name!r}, which is neither in models.toml nor among the given answers; add it to one "
                "of them, or name another baseline: --baseline NAME"
            )
    if plan.config.judges and plan.how.compares:
        if len(plan.contestants) < 2:  # noqa: PLR2004 - a pair is two
            raise InputError(
                f"found one model, {plan.models[0]!r}, expected two or more to compare, or --baseline NAME"
            )
        if plan.config.schedule == "baseline" and not plan.meetings():
            raise InputError("every model is its own baseline: nobody meets anybody; give another --baseline")
    if plan.how.reference == "needed" and (bare := [each.id for each in plan.prompts if not each.reference]):
        raise InputError(
            f"{len(bare)} of {len(plan.prompts)} questions have no reference answer ({bare[0]}, ...), which the "
            f"protocol {plan.how.name} needs; add a column reference, or take another protocol"
        )


def _needed(plan: Plan) -> list[ModelSpec]:
    """Who is asked: the judges, and contestants without all their answers."""
    specs = {spec.name: spec for spec in plan.specs}
    answered: dict[str, int] = {}
    for answer in plan.given:
        answered[answer.model] = answered.get(answer.model, 0) + 1
    short = [name for name in plan.contestants if answered.get(name, 0) < len(plan.prompts)]
    if lost := [name for name in short if name not in specs]:
        raise InputError(
            f"{lost[0]!r} has answered {answered.get(lost[0], 0)} of {len(plan.prompts)} questions and is not in "
            "models.toml, so that it cannot be asked; add it there, or give all its answers"
        )
    return [specs[name] for name in dict.fromkeys((*short, *plan.config.judges))]


def _empty(answers: Answers) -> int:
    return sum(answer.empty for answer in answers.found.values())


def _write_answers(folder: RunFolder, plan: Plan, answers: Answers) -> None:
    order = {prompt.id: number for number, prompt in enumerate(plan.prompts)}
    kept = [answer for (model, _), answer in answers.found.items() if model in plan.contestants]
    if not kept:
        first = next(iter(answers.failed.values()), None)
        raise InputError(f"no answer came{f': {first.kind}: {first.detail}' if first else ''}; nothing can be judged")
    write_answers(folder.path / "answers", sorted(kept, key=lambda each: (each.model, order[each.question_id])))
    write_lines(
        folder.path / FAILURES_FILE,
        (
            {"model": model, "question_id": question, "stage": "answer", **error.model_dump()}
            for (model, question), error in answers.failed.items()
        ),
    )


def _write_verdicts(
    folder: RunFolder, plan: Plan, panel: Panel, games: Callable[[], Iterator[Game]], outcome: Outcome
) -> None:
    with _Table(folder.path / VERDICTS_FILE) as table:
        for game in games():
            verdict = panel.verdict(game)
            outcome.count(verdict.label, verdict.error)
            if len(outcome.samples) < _SAMPLES and verdict.text:
                outcome.samples.append(verdict.to_dict())
            table.add(verdict)
    if plan.config.schedule == "baseline" and len(plan.baselines) == 1:
        _write_judgments(folder, plan)


def _write_judgments(folder: RunFolder, plan: Plan) -> None:
    from palaestra.judge.judgments import write_judgments

    frame = pl.read_parquet(folder.path / VERDICTS_FILE)
    for judge in plan.config.judges:
        own = frame.filter(pl.col("judge") == judge)
        if not own.is_empty():
            write_judgments(folder.path / "judgments" / judge.replace("/", "%2F"), own)


def _write_grades(folder: RunFolder, panel: Panel, games: Callable[[], Iterator[Game]], outcome: Outcome) -> None:
    with _Table(folder.path / GRADES_FILE) as table:
        for game in games():
            grade = panel.grade(game)
            outcome.count(None if grade.rating is None else f"{grade.rating:g}", grade.error)
            if len(outcome.samples) < _SAMPLES and grade.text:
                outcome.samples.append(grade.to_dict())
            table.add(grade)


class _Table:
    """A Parquet file, written in pieces, that is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._rows: list[Verdict | Grade] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Table:
        return self

    def add(self, row: Verdict | Grade) -> None:
        """One more row."""
        self._rows.append(row)
        if len(self._rows) >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = to_table(type(self._rows[0]), self._rows)
            self._writer = self._writer or pq.ParquetWriter(self._part, table.schema)
            self._writer.write_table(table)
            self._rows.clear()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._part.replace(self._path) if kind is None else self._part.unlink()
