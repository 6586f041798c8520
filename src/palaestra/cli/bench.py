"""`palaestra bench`: prompts become a benchmark, and a benchmark is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.progress import Progress
from rich.table import Table

from palaestra import console
from palaestra.bench.asking import Question, Reply
from palaestra.bench.build import BenchConfig
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.schema import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Generator

    from palaestra.bench.account import Account
    from palaestra.bench.stages import Tell
    from palaestra.schema import PromptSet

Config = Annotated[BenchConfig | None, Parameter(name="*")]
Paths = Annotated[list[str] | None, Parameter(consume_multiple=True)]

_SHOWN = 40


def build(
    prompts: list[str],
    *,
    out: Path,
    config: Config = None,
    models: Path | None = None,
    judge: str | None = None,
    scorer: Path | None = None,
    against: Paths = None,
    work: Path | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Build a benchmark: clean and distinct prompts, scored for what they ask, drawn evenly over topics.

    Parameters
    ----------
    prompts
        Files, folders, or the URL of an arena's database.
    out
        The folder of the set, which must not be there yet.
    models
        A models.toml with the judge, and with the embedder if it is not local.
    judge
        The model of it that says which criteria a prompt meets; with --label N of so many prompts, else of all.
    scorer
        A trained scorer in the place of a judge: scorer.json of another set's folder.
    against
        Sets whose prompts must not be in the benchmark.
    work
        Where each stage keeps what it has done; OUT.work if left out. The same command goes on from there.
    """
    from palaestra.bench.build import build as build_set
    from palaestra.bench.folder import write_bench
    from palaestra.pictures.page import checked_path

    config = config or BenchConfig()
    if out.exists():
        raise InputError(f"found {out}, which exists; give the set another folder, or remove that one")
    checked_path(html or out.with_suffix(".html"))
    specs = _load(models) if models is not None else ()
    kept = work or out.with_name(f"{out.name}.work")
    with _progress() as tell:
        built = build_set(
            prompts,
            config,
            name=config.name or out.name,
            work_folder=kept,
            ask=None if judge is None else GatewayAsk(_judge(specs, judge), kept / "calls.db", tell),
            scorer=scorer,
            against=against or (),
            specs=specs,
            tell=tell,
        )
    record = write_bench(out, built, config)
    _say(record, built.account, json)
    if html is not None:
        from palaestra.bench.page import bench_page
        from palaestra.pictures.page import write_page

        write_page(html, bench_page(record, built.account, built.prompts))
    console.note(f"The set is in {out}, its page is {out / 'page.html'}")


def show(folder: Path, *, json: JsonTarget = None, html: HtmlTarget = None) -> None:
    """Show a benchmark: its topics, counts and scores.

    Parameters
    ----------
    folder
        The folder that `palaestra bench build` wrote.
    """
    from palaestra.bench.account import read_account
    from palaestra.store.prompts import read_prompt_set

    record, prompts = read_prompt_set(folder)
    account = read_account(folder)
    if html is not None:
        from palaestra.bench.page import bench_page
        from palaestra.pictures.page import checked_path, write_page

        checked_path(html)
        write_page(html, bench_page(record, account, prompts))
        console.note(f"The page is {html}")
    _say(record, account, json)


class GatewayAsk:
    """Asks a judge, many questions at once, each paid for once; a failed call is a reply with its error.

    Args:
        spec: the judge.
        book: where its replies are kept (`gateway/calls.py`).
        tell: told of progress.
    """

    def __init__(self, spec: ModelSpec, book: Path, tell: Tell) -> None:
        self.judge, self._spec, self._book, self._tell = spec.name, spec, book, tell
        self.identity = spec.model_dump_json(exclude={"input_price", "output_price", "license", "organization"})

    def __call__(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """A reply to each question, in their order."""
        return asyncio.run(self._all(questions))

    async def _all(self, questions: Sequence[Question]) -> list[Reply]:
        from palaestra.gateway.asking import Post
        from palaestra.gateway.calls import Call

        temperature = 0.0 if self._spec.temperature is None else None
        calls = (
            (place, Call(model=self._spec.name, messages=question.messages, temperature=temperature))
            for place, question in enumerate(questions)
        )
        replies: dict[int, Reply] = {}
        async with Post(self._book, [self._spec], say=console.note) as post:
            async for place, reply in post.ask({self._spec.name: calls}):
                failed = None if reply.error is None else f"{reply.error.kind}: {reply.error.detail}"
                replies[place] = Reply(None if failed else reply.text, failed, reply.cost)
                self._tell("asking the judge", len(replies), len(questions))
        return [replies[place] for place in range(len(questions))]


def _load(models: Path) -> tuple[ModelSpec, ...]:
    from palaestra.gateway import load_models

    return load_models(models)


def _judge(specs: Sequence[ModelSpec], name: str) -> ModelSpec:
    found = [spec for spec in specs if spec.name == name]
    if not found:
        known = ", ".join(spec.name for spec in specs) or "none: give --models models.toml"
        raise InputError(f"found no model {name!r}; expected one of {known}")
    return found[0]


@contextmanager
def _progress() -> Generator[Tell]:
    """Bars on standard error, one a stage; none in a pipe."""
    with Progress(console=console.err, disable=not console.err.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=of)
            progress.update(tasks[stage], completed=done, total=of)

        yield tell


def _say(record: PromptSet, account: Account, json: str | None) -> None:
    console.give({"set": record.to_dict(), "build": account.to_dict()}, json, _table(account))
    for warning in account.warnings:
        console.warn(warning)


def _table(account: Account) -> Table:
    lines = sorted(account.topics, key=lambda line: (-line.chosen, -line.found))
    table = Table("topic", "upper topic", "prompts", "mean score", "passed", "in the set", caption=_caption(account))
    for column in table.columns[2:]:
        column.justify = "right"
    for line in lines[:_SHOWN]:
        score = "" if line.score is None else f"{line.score:.2f}"
        table.add_row(line.topic, line.upper, f"{line.found:,}", score, f"{line.kept:,}", f"{line.chosen}")
    return table


def _caption(account: Account) -> str:
    from palaestra.bench.card import figure_text

    steps = ", ".join(f"{step.step} {step.prompts:,}" for step in account.steps)
    more = f"; {len(account.topics) - _SHOWN} more topics in build.json" if len(account.topics) > _SHOWN else ""
    scorer = f"; scorer against judge: Pearson {figure_text(account.validation.pearson)}" if account.validation else ""
    return f"prompts left after each step: {steps}; in no topic {account.outliers:,}{scorer}{more}"
