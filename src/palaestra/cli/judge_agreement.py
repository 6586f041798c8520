"""`palaestra judge agreement`, `value`, `subset`: what a benchmark, its questions, and some of them are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.progress import Progress
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.judge.agreement import Agreement, AgreementConfig
from palaestra.judge.subset import Subset, SubsetConfig
from palaestra.judge.value import QuestionValues, ValueConfig

Comparing = Annotated[AgreementConfig, Parameter(name="*")]
Valuing = Annotated[ValueConfig, Parameter(name="*")]
Choosing = Annotated[SubsetConfig, Parameter(name="*")]

_SIZES = 12


def agreement(
    board: Path,
    reference: Path,
    *,
    names: Path | None = None,
    config: Comparing | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """How well a benchmark separates models, and how far its board agrees with a reference.

    Parameters
    ----------
    board
        The benchmark's board: JSON of `rank fit`, JSON lines of bootstrap statistics, a table of model, score, lower,
        upper, or a table with one column of bootstrap rounds for each model.
    reference
        The board that is held to be right; the same kinds.
    names
        A JSON object of names: models on the one board to the same on the other.
    """
    from palaestra.judge.agreement import agreement as compare

    found = compare(board, reference, config, names=names)
    if html is not None:
        from palaestra.judge.agreement_report import write_agreement_page

        write_agreement_page(html, found)
        console.note(f"The page is in {html}")
    console.give(found.to_dict(), json, _agreement_table(found))
    for one in (found.board, found.reference):
        if one.not_compared:
            console.note(f"not compared of {one.name}: {', '.join(one.not_compared)}")
    _warn(found.warnings)


def value(
    verdicts: Path,
    *,
    baseline: str | None = None,
    config: Valuing | None = None,
    show: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 10,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """What each question of a benchmark is worth: how far it tells models apart, and how far it is noise.

    Parameters
    ----------
    verdicts
        A run's folder, arena-hard judgments (a file or a folder of MODEL.jsonl), or a table of question_id, model,
        game1, game2.
    baseline
        The model against which verdicts were given; if not given, the one that is in all of them.
    show
        How many of the best and of the worst questions the table has.
    """
    from palaestra.judge.value import value as judge_questions
    from palaestra.judge.verdict_files import read_verdicts

    found = judge_questions(read_verdicts(verdicts, baseline), baseline, config)
    if html is not None:
        from palaestra.judge.agreement_report import write_value_page

        write_value_page(html, found, f"The questions of {verdicts.name}")
        console.note(f"The page is in {html}")
    console.give(found.to_dict(), json, _value_table(found, show))
    _warn(found.warnings)


def subset(
    verdicts: Path,
    *,
    out: Path,
    baseline: str | None = None,
    questions: Path | None = None,
    config: Choosing | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """The smallest set of questions that still separates models, tested on models that did not choose it.

    Parameters
    ----------
    verdicts
        As for `judge value`.
    out
        The file of the chosen questions' ids, one a line, in the order in which they were chosen.
    baseline
        The model against which verdicts were given; if not given, the one that is in all of them.
    questions
        The file of the questions with their topics (topic, cluster or category), to stratify random subsets by.
    """
    from palaestra.judge.subset import subset as choose
    from palaestra.judge.verdict_files import read_verdicts
    from palaestra.pictures.drawing import write_whole

    config = config or SubsetConfig()
    frame = read_verdicts(verdicts, baseline)
    topics = None if questions is None else _topics(questions)
    with Progress(console=console.err, transient=True, disable=not console.err.is_terminal) as progress:
        task = progress.add_task("splits", total=config.splits)
        found = choose(frame, baseline, config, topics=topics, progress=lambda: progress.advance(task))
    if html is not None:
        from palaestra.judge.agreement_report import write_subset_page

        write_subset_page(html, found, f"Some questions of {verdicts.name}")
        console.note(f"The page is in {html}")
    write_whole(out, "".join(f"{question}\n" for question in found.questions).encode())
    console.give(found.to_dict(), json, _subset_table(found))
    console.note(f"{len(found.questions)} of {found.of} questions are in {out}")
    _warn(found.warnings)


def _topics(questions: Path) -> dict[str, str | None]:
    from palaestra.store.prompts import read_prompts

    return {prompt.id: prompt.topic or prompt.category for prompt in read_prompts(questions, identified=True)}


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        console.warn(warning)


def _agreement_table(found: Agreement) -> Table:
    from palaestra.judge.agreement_charts import SAID
    from palaestra.judge.agreement_report import RULES, figure, span

    settings = found.settings
    caption = (
        f"{len(found.models)} common models; {100 * settings.confidence:g}% intervals over {settings.over}, "
        f"{settings.rounds} rounds; {RULES[settings.overlap]}"
    )
    title = f"{found.board.name} against {found.reference.name}"
    table = Table("measure", "value", "interval", title=title, caption=caption)
    for one in found.measures:
        table.add_row(SAID[one.name], figure(one.value) or "not defined", span(one.lower, one.upper))
    return table


def _value_table(found: QuestionValues, show: int) -> Table:
    from palaestra.judge.agreement_report import figure, share, span

    flips = "" if found.flips is None else f"; {found.flips:.1%} of pairs of verdicts flip with the order"
    constant = sum(one.near_constant for one in found.questions)
    caption = (
        f"{len(found.questions)} questions, {found.models} models, {found.separability:.1%} of their pairs separated"
        f"{flips}; {constant} near-constant (*); information 1 is like the average question"
    )
    heads = ("question", "information", "interval", "discrimination", "interval", "flips", "same points", "points")
    table = Table(*heads, caption=caption)
    lines = found.questions
    shown = lines if len(lines) <= 2 * show else (*lines[:show], *lines[-show:])
    for place, one in enumerate(shown):
        informs = figure(one.information, 2), span(one.information_lower, one.information_upper, 2)
        discriminates = figure(one.discrimination, 2), span(one.discrimination_lower, one.discrimination_upper, 2)
        same = share(one.constant) + " *" * one.near_constant
        shares = share(one.flips), same, share(one.points)
        parted = len(shown) < len(lines) and place == show - 1
        table.add_row(one.question_id, *informs, *discriminates, *shares, end_section=parted)
    return table


def _subset_table(found: Subset) -> Table:
    sizes = sorted({one.size for one in found.curve})
    step = max(1, len(sizes) // _SIZES)
    shown = sorted({*sizes[::step], len(found.questions), sizes[-1]})
    settings = found.settings
    caption = (
        f"on models that did not choose; chosen is {settings.by}; means and {100 * settings.confidence:g}% range of "
        f"{settings.splits} splits; gain: over random subsets, split by split; spearman with all {found.of} questions"
    )
    table = Table(
        "questions",
        "separability",
        "range",
        "random",
        "gain",
        "paired",
        "random",
        "spearman",
        "random",
        caption=caption,
    )
    for size in shown:
        apart, paired, order = (found.at(size, measure) for measure in ("separability", "paired", "spearman"))
        random = [f"{found.at(size, measure, 'random').mean:.3f}" for measure in ("separability", "paired", "spearman")]
        gain = f"{apart.gain:+.3f} ({apart.gain_lower:+.3f} to {apart.gain_upper:+.3f})"
        mark = " <" if size == len(found.questions) else ""
        table.add_row(
            f"{size}{mark}", f"{apart.mean:.3f}", f"{apart.lower:.3f} to {apart.upper:.3f}", random[0], gain,
            f"{paired.mean:.3f}", random[1], f"{order.mean:.3f}", random[2],
        )  # fmt: skip
    return table
