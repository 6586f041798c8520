"""`palaestra rank mpg`: results on many benchmarks become goodness and fastness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.ranking.mpg import MpgBoard, MpgConfig

Config = Annotated[MpgConfig, Parameter(name="*")]


def mpg(results: str, *, config: Config | None = None, json: JsonTarget = None, html: HtmlTarget = None) -> None:
    """Many benchmarks into two numbers for each model: goodness, and fastness or cost; with the Pareto set.

    Parameters
    ----------
    results
        Parquet, CSV, JSON lines or JSON, also .gz or .zst: model, benchmark, domain, correct, total, and if known
        guess_rate, queries, seconds, concurrency, cost, date.
    """
    from palaestra.ranking.mpg import mpg as aggregate

    board = aggregate(Path(results), config)
    if html is not None:
        from palaestra.ranking.mpg_report import write_mpg_report

        write_mpg_report(html, board, title=f"Goodness and {_other(board)} in {Path(results).name}")
        console.note(f"The report is in {html}")
    console.give(board.to_dict(), json, _table(board))
    for warning in board.warnings:
        console.warn(warning)


def _other(board: MpgBoard) -> str:
    return "cost" if board.settings.by == "cost" else "fastness"


def _table(board: MpgBoard) -> Table:
    from palaestra.ranking.mpg_report import span, spent

    headings = ("rank", "surely", "model", "goodness", "interval", *board.domains)
    others = ("cost per query" if _other(board) == "cost" else "queries/s", "interval", "Pareto", "Borda", "win rate")
    table = Table(*headings, *others, "no result", caption=_caption(board))
    for column in table.columns:
        column.justify = "left" if column.header == "model" else "right"
    for line in board.models:
        chance = "" if line.pareto_probability is None else f"{'* ' * bool(line.pareto)}{line.pareto_probability:.2f}"
        rate = "" if line.mean_win_rate is None else f"{line.mean_win_rate:.2f}"
        table.add_row(
            span(line.rank_lower, line.rank_upper),
            span(line.rank_simultaneous_lower, line.rank_simultaneous_upper),
            line.model,
            f"{line.goodness:.1%}",
            f"{line.lower:.1%} to {line.upper:.1%}",
            *(f"{part.goodness:.1%}" for part in line.domains.values()),
            *spent(line),
            chance,
            f"{line.borda:.2f}",
            rate,
            f"{len(line.missing) or ''}",
        )
    return table


def _caption(board: MpgBoard) -> str:
    settings = board.settings
    benchmarks = sum(map(len, board.domains.values()))
    at = f", {settings.concurrency} queries at once" if settings.concurrency else ""
    return (
        f"{benchmarks} benchmarks in {len(board.domains)} domains{at}; {100 * settings.confidence:g}% intervals; "
        "Pareto: the chance that no model beats it in both, * on the means"
    )
