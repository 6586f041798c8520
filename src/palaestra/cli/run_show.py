"""`palaestra run list | show`: which runs there are, and what became of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators
from rich.table import Table
from rich.text import Text

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError

if TYPE_CHECKING:
    from palaestra.store.run_reading import RunView

_COLORS = {"running": "cyan", "done": "green", "failed": "red", "interrupted": "yellow", "killed": "red"}


def list_runs(folder: Path = Path(), *, json: JsonTarget = None) -> None:
    """The runs in a folder, however deep: command, state, time, main numbers.

    Parameters
    ----------
    folder
        Where to look; here if left out.
    """
    from palaestra.runs.account import main_metrics, numbers, record_of, took
    from palaestra.store.run_reading import find_runs

    found = [run for run in map(_seen, find_runs(folder)) if run is not None]
    table = Table("run", "command", "state", "time", "numbers")
    for run in found:
        name = str(run.path.relative_to(folder)) if run.path != folder else run.path.name or "."
        state = Text(run.state, _COLORS[run.state])
        table.add_row(name, run.card.command, state, took(run.seconds), numbers(main_metrics(run)))
    if not found:
        console.note(f"found no runs in {folder}")
    console.give({"schema": "palaestra.runs/1", "runs": [record_of(run) for run in found]}, json, table)


def show(
    run: Path,
    *,
    samples: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 5,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """One run: its card, its config, its last numbers, its newest samples.

    Parameters
    ----------
    run
        Its folder.
    samples
        How many samples are shown.
    """
    from palaestra.runs.account import record_of, series_record
    from palaestra.store.run_reading import view_run

    found = view_run(run)
    if html is not None:
        from palaestra.runs.page import write_run_page

        write_run_page(html, found, max(samples, 20))
        console.note(f"The page is in {html}")
    newest = list(found.samples[len(found.samples) - min(samples, len(found.samples)) :])
    if json is not None:
        curves = [series_record(one) for one in found.series]
        said = {"schema": "palaestra.run-view/1", **record_of(found), "series": curves, "samples": newest}
        console.write_json(said, json)
        return
    _print(found, newest)


def _print(found: RunView, newest: list[dict[str, Any]]) -> None:
    from palaestra.runs.account import took
    from palaestra.store.runs import CARD_FILE

    head = Table("run", found.path.name or str(found.path))
    head.add_row("command", found.card.command)
    head.add_row("state", Text(found.state, _COLORS[found.state]))
    head.add_row("time", took(found.seconds))
    for name, value in {**found.card.config, "seed": found.card.seed}.items():
        head.add_row(str(name), f"{value}")
    console.show(head)
    numbers = Table("number", "last", "points", caption=None if found.series else "nothing was measured on the way")
    for name, value in found.card.metrics.items():
        numbers.add_row(name, f"{value:.6g}", "of the whole run")
    for one in found.series:
        last = f"{one.values[-1]:.6g}" if one.values else ""
        broken = f", {one.not_finite} no number" if one.not_finite else ""
        numbers.add_row(one.full_name, last, f"{len(one.values)} over {one.over}{broken}")
    console.show(numbers)
    for number, sample in enumerate(newest, start=1):
        table = Table(f"sample {number} of {len(newest)}", "")
        for name, value in sample.items():
            table.add_row(str(name), _safe(value))
        console.show(table)
    card = found.path / CARD_FILE
    if card.is_file():
        console.out.print(_safe(card.read_text(encoding="utf-8", errors="replace")))


def _safe(value: object) -> str:
    """A text without what would steer a terminal."""
    return "".join(letter for letter in str(value) if letter.isprintable() or letter == "\n")


def _seen(path: Path) -> RunView | None:
    """A run, unless its files are broken: that is said, and the others are listed."""
    from palaestra.store.run_reading import view_run

    try:
        return view_run(path)
    except InputError as error:
        console.warn(f"left out: {error}")
        return None
