"""`palaestra judge run`: contestants answer, judges compare."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from cyclopts import Parameter, validators
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget, again
from palaestra.judge.config import RunConfig
from palaestra.judge.schedule import ScheduleName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaestra.judge.plan import Plan
    from palaestra.judge.writing import Outcome
    from palaestra.schema import ModelSpec
    from palaestra.store.runs import RunFolder

Many = Parameter(negative=())
_ALL_FAILED = 1


def run(
    questions: Path,
    *,
    out: Path,
    models: Path = Path("models.toml"),
    model: Annotated[list[str] | None, Many] = None,
    judge: Annotated[list[str] | None, Many] = None,
    answers: Annotated[list[Path] | None, Many] = None,
    protocol: str = "pairwise",
    baseline: Annotated[list[str] | None, Many] = None,
    schedule: ScheduleName = "baseline",
    budget: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    rounds: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 8,
    rubric: Path | None = None,
    seed: int = 0,
    concurrency: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1024))] = 16,
    answer_seconds: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 600.0,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    resume: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    json: JsonTarget = None,
) -> int:
    """Have questions answered, and the answers judged. Killed at any moment, the same command goes on with --resume.

    Parameters
    ----------
    questions
        A set of prompts, a file of questions (Arena-Hard, MT-Bench, AlpacaEval, any table), or a folder of texts.
    out
        The run's folder.
    models
        The models.toml with contestants and judges.
    model
        A contestant; may be repeated. All models of the given answers if none is named.
    judge
        A judge; several are a jury. Without one, only answers are gathered.
    answers
        Answers that are there already, files or folders; may be repeated.
    protocol
        arena-hard-v0.1, arena-hard-v2, pairwise, reference, letter, grade, or a TOML file.
    baseline
        Whom the others are compared with: NAME, or CATEGORY=NAME; may be repeated.
    schedule
        baseline, all (every pair on every question), or active (in rounds, the pairs that say most).
    budget
        Of the active schedule: meetings of two models on a question.
    rounds
        Of the active schedule: in how many rounds.
    rubric
        A text that tells the judges what good answers are like.
    concurrency
        Calls under way at one endpoint, at most; fewer while it complains.
    answer_seconds
        How long a whole answer or verdict may take.
    dry_run
        Only say what would be asked, and what that would cost at most.
    resume
        Go on with the run in the folder.
    overwrite
        Begin anew in the folder; replies that were paid for are kept.
    """
    from palaestra.gateway import GatewaySettings, load_models
    from palaestra.judge.plan import plan_run
    from palaestra.judge.run import run_judges
    from palaestra.recipes.verdict_board import pairs_that_say_most

    config = RunConfig.model_validate(
        {
            "questions": questions, "models": model or (), "judges": judge or (), "answers": answers or (),
            "protocol": protocol, "baselines": baseline or (), "schedule": schedule, "budget": budget,
            "rounds": rounds, "rubric": rubric, "seed": seed,
        }
    )  # fmt: skip
    specs: Sequence[ModelSpec] = load_models(models) if models.is_file() or model or judge else ()
    plan = plan_run(config, specs)
    if dry_run:
        _show_costs(plan, out, json)
        return 0
    folder = _folder(out, plan, resume=resume, overwrite=overwrite)
    settings = GatewaySettings(concurrency=concurrency, first_token_s=answer_seconds, total_s=answer_seconds)
    with _Bars() as bars, folder.running():
        outcome = asyncio.run(run_judges(plan, folder, settings, bars, pairs_that_say_most))
    folder.finish(_metrics(outcome), outcome.samples, _card(plan, outcome))
    console.give(
        {"schema": "palaestra.judge-run/1", "folder": str(out), **_metrics(outcome)}, json, _table(plan, outcome)
    )
    return _warned(plan, outcome, out)


def _folder(out: Path, plan: Plan, *, resume: bool, overwrite: bool) -> RunFolder:
    from palaestra.store.runs import RunExistsError, RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    config = plan.config
    inputs = [config.questions, *config.answers, *([config.rubric] if config.rubric else [])]
    recorded = {
        **config.model_dump(mode="json"),
        "protocol": plan.how.model_dump(mode="json"),
        "met": plan.met,
        "asked": [
            spec.model_dump(mode="json") for spec in plan.specs if spec.name in {*plan.contestants, *config.judges}
        ],
    }
    try:
        return RunFolder(out, "judge run", recorded, inputs=inputs, seed=config.seed, again=whether)
    except RunExistsError:
        if not (sys.stdin.isatty() and console.err.is_terminal):
            raise
        console.err.print(f"{out} holds this run already. Go on with it? [Y/n] ", end="")
        if input().strip().lower() not in {"", "y", "yes"}:
            raise
    return RunFolder(out, "judge run", recorded, inputs=inputs, seed=config.seed, again="resume")


class _Bars:
    """Bars on standard error, silent in a pipe."""

    def __init__(self) -> None:
        shown = console.err.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=console.err) if shown else None
        self._task = None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, what: str, total: int) -> None:
        """A stage begins."""
        if self._bars is not None and total:
            self._task = self._bars.add_task(what, total=total)

    def step(self) -> None:
        """One more is done."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task)

    def say(self, text: str) -> None:
        """Something that somebody at the terminal should know."""
        console.note(text)


def _metrics(outcome: Outcome) -> dict[str, float]:
    tally = outcome.tally
    return {
        "answers": outcome.answers,
        "answers_failed": outcome.answers_failed,
        "answers_empty": outcome.empty,
        "games": outcome.games,
        "games_unread": outcome.unread,
        "games_failed": outcome.games_failed,
        "calls_paid": tally.paid,
        "calls_known": tally.known,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost": tally.cost,
    }


def _table(plan: Plan, outcome: Outcome) -> Table:
    table = Table("", "", title=None, show_header=False)
    table.add_row(
        "answers", f"{outcome.answers:,} of {len(plan.contestants)} models to {len(plan.prompts):,} questions"
    )
    table.add_row("games judged", f"{outcome.games - outcome.unread - outcome.games_failed:,} of {outcome.games:,}")
    said = ", ".join(f"{label} {number:,}" for label, number in sorted(outcome.labels.items()))
    table.add_row("verdicts", said or "none")
    tally = outcome.tally
    tokens = f"{tally.input_tokens:,} tokens in, {tally.output_tokens:,} out, cost {tally.cost:.4f}"
    table.add_row("calls", f"{tally.paid:,} made now ({tokens}), {tally.known:,} known already")
    return table


def _warned(plan: Plan, outcome: Outcome, out: Path) -> int:
    if outcome.answers_failed:
        console.warn(f"{outcome.answers_failed} answers did not come; why is in {out / 'failures.jsonl'}")
    if outcome.empty:
        console.warn(f"{outcome.empty} answers hold no word; they are not judged")
    if outcome.games_failed:
        console.warn(f"{outcome.games_failed} games got no reply; why is in the column error of verdicts.parquet")
    if outcome.unread:
        console.warn(
            f"{outcome.unread} of {outcome.games} games have no verdict that can be read, after {plan.how.attempts} "
            "attempts each; they count for nobody"
        )
    if outcome.to_ask or outcome.games_failed:
        console.note("the same command with --resume asks again for what is missing")
    heard = outcome.games - outcome.unread - outcome.games_failed
    return _ALL_FAILED if plan.config.judges and not heard else 0


def _show_costs(plan: Plan, out: Path, json: str | None) -> None:
    from palaestra.judge.costs import dry_run

    costs = dry_run(plan, out / "calls.db")
    if json is not None:
        rows = [{name: getattr(cost, name) for name in cost.__dataclass_fields__} for cost in costs]
        console.write_json(
            {"schema": "palaestra.judge-cost/1", "asked": rows, "cost": sum(c.cost for c in costs)}, json
        )
        return
    heads = ("model", "asked for", "calls", "known already", "tokens in", "tokens out, at most", "cost, at most")
    table = Table(*heads, caption="tokens are estimates: four characters make one; second attempts are not counted")
    for column in table.columns[2:]:
        column.justify = "right"
    for cost in costs:
        numbers = (cost.calls, cost.known, cost.input_tokens, cost.output_tokens)
        table.add_row(cost.model, cost.role, *(f"{number:,}" for number in numbers), f"{cost.cost:,.4f}")
    table.add_row(
        "all",
        "",
        f"{sum(c.calls for c in costs):,}",
        f"{sum(c.known for c in costs):,}",
        "",
        "",
        f"{sum(c.cost for c in costs):,.4f}",
    )
    console.show(table)


def _card(plan: Plan, outcome: Outcome) -> str:
    config = plan.config
    lines = [
        f"# Judges' run on {config.questions.name}",
        "",
        f"- questions: {len(plan.prompts)}",
        f"- contestants: {', '.join(plan.contestants)}",
        f"- judges: {', '.join(config.judges) or 'none'}; protocol {plan.how.name}; schedule {config.schedule}",
        *(f"- {name.replace('_', ' ')}: {value:g}" for name, value in _metrics(outcome).items()),
        "",
        "| verdict | games |",
        "|---|---|",
        *(f"| {label} | {number} |" for label, number in sorted(outcome.labels.items())),
    ]
    return "\n".join(lines) + "\n"
