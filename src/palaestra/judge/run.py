"""`palaestra judge run`: answers are gathered, judges asked, verdicts written; killed at any moment, it goes on.

    answers/MODEL.jsonl             as Arena-Hard v2 has them
    judgments/JUDGE/MODEL.jsonl     the same, where all meet one baseline
    verdicts.parquet                one row a game (`Verdict`); grades.parquet where answers are graded alone
    failures.jsonl                  answers that did not come, with the reason
    run.json metrics.jsonl samples.jsonl card.md, and calls.db with every reply that was paid for

The files follow from the book of replies and the plan alone: the same plan gives the same bytes, however often it was
interrupted. Memory holds the answers and what is under way, not the verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from palaestra.errors import InputError
from palaestra.gateway.asking import Post, check_keys
from palaestra.gateway.client import GatewaySettings
from palaestra.judge.answering import gather_answers
from palaestra.judge.judging import Game, Panel
from palaestra.judge.plan import Plan, needed_specs
from palaestra.judge.schedule import ActiveSchedule, Meeting, PairRule
from palaestra.judge.verdict import verdict_frame
from palaestra.judge.votes import votes_of
from palaestra.judge.writing import Outcome, empty_answers, write_given, write_grades, write_verdicts
from palaestra.store.runs import RunFolder


class Progress(Protocol):
    """Who is told how far the run is."""

    def begin(self, what: str, total: int) -> None:
        """A stage begins."""

    def step(self) -> None:
        """One more is done."""

    def say(self, text: str) -> None:
        """Something that somebody at the terminal should know."""


async def run_judges(
    plan: Plan, folder: RunFolder, settings: GatewaySettings, progress: Progress, rule: PairRule | None = None
) -> Outcome:
    """Do what is planned, and write what came of it.

    Args:
        plan: the run.
        folder: where its files go.
        settings: timeouts, and how many calls may be under way at an endpoint.
        progress: is told how far it is.
        rule: which pairs say most, for the active schedule.

    Raises:
        InputError: no answer came at all, or a schedule lacks its rule.
        MissingPartError: a key or a local model is missing.
    """
    needed = needed_specs(plan)
    check_keys(needed)
    asked = {spec.name for spec in needed} & set(plan.contestants)
    async with Post(folder.calls, needed, settings, progress.say) as post:
        progress.begin("answers", len(asked) * sum(len(prompt.turns) for prompt in plan.prompts))
        answers = await gather_answers(
            post, plan.prompts, plan.contestants, plan.given, seed=plan.config.seed, tick=progress.step
        )
        folder.measure(stage="answers", answers=len(answers.found), failed=len(answers.failed), cost=post.tally.cost)
        write_given(folder, plan, answers)
        to_ask = sum(model in asked for model, _ in answers.failed)
        outcome = Outcome(post.tally, len(answers.found), len(answers.failed), to_ask, empty_answers(answers))
        if plan.config.judges:
            panel = Panel(post, plan.prompts, answers, plan.how, rubric=plan.rubric, seed=plan.config.seed)
            games = await _Hearing(plan, panel, folder, progress).hold(rule)
            write = write_verdicts if plan.how.compares else write_grades
            write(folder, plan, panel, games, outcome)
            folder.measure(stage="verdicts", games=outcome.games, unread=outcome.unread, failed=outcome.games_failed)
    return outcome


@dataclass(frozen=True, slots=True)
class _Hearing:
    """The part of a run in which judges are heard."""

    plan: Plan
    panel: Panel
    folder: RunFolder
    progress: Progress

    async def hold(self, rule: PairRule | None) -> Callable[[], Iterator[Game]]:
        """Have everything judged; gives the games again, in the plan's order, as often as they are wanted."""
        plan, panel, judges = self.plan, self.panel, self.plan.config.judges
        if not plan.how.compares:
            await self._hear("grades", lambda: panel.gradings(plan.models, judges))
            return lambda: panel.gradings(plan.models, judges)
        meetings = plan.meetings()
        if meetings is None:
            meetings = await self._rounds(rule)
        else:
            await self._hear("verdicts", lambda: panel.games(meetings, judges))
        settled, both = meetings, plan.config.schedule != "active"
        return lambda: panel.games(settled, judges, both_orders=both)

    async def _hear(self, what: str, games: Callable[[], Iterator[Game]]) -> None:
        self.progress.begin(what, sum(1 for _ in games()))
        await self.panel.hear(games(), self.plan.config.judges, self.progress.step)

    async def _rounds(self, rule: PairRule | None) -> list[Meeting]:
        if rule is None:
            raise InputError("the active schedule needs a rule that says which pair next")
        plan, judges, done = self.plan, self.plan.config.judges, list[Meeting]()
        schedule = ActiveSchedule(plan.models, len(plan.prompts), plan.budget(), plan.config.rounds, plan.config.seed)

        def games(meetings: list[Meeting]) -> Iterator[Game]:
            return self.panel.games(meetings, judges, both_orders=False)

        def votes() -> pl.DataFrame | None:
            frame = verdict_frame(self.panel.verdict(game) for game in games(done))
            return None if frame["label"].is_null().all() else votes_of(frame)

        self.progress.begin("verdicts", plan.budget() * len(judges))
        for number, meetings in enumerate(schedule.rounds(votes, rule), start=1):
            await self.panel.hear(games(meetings), judges, self.progress.step)
            done += meetings
            self.folder.measure(stage="round", round=number, meetings=len(meetings))
        return sorted(done)
