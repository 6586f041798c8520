"""`palaestra judge read`: a run as pages on which people look at answers and verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget

if TYPE_CHECKING:
    from palaestra.judge.reading_room_changes import Changes

_SHOWN = 40


def read(
    run: Path,
    *,
    out: Path,
    against: Path | None = None,
    questions: Path | None = None,
    against_questions: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    json: JsonTarget = None,
) -> None:
    """Make pages of a run: every question with its answers and verdicts, a list with filters, what changed.

    Parameters
    ----------
    run
        The folder of `palaestra judge run`.
    out
        The folder of pages; open its index.html.
    against
        An earlier run: what changed since then.
    questions
        The run's questions, if they are no longer where it read them.
    against_questions
        The questions of the other run, likewise.
    overwrite
        Replace an older reading room.
    """
    from palaestra.recipes.reading_room import open_reading_room

    summary, changes = open_reading_room(
        run,
        out,
        against=against,
        questions=questions,
        against_questions=against_questions,
        overwrite=overwrite,
    )
    if json is not None:
        said = summary | {"folder": str(out), "changes": changes.to_dict() if changes else None}
        console.write_json(said, json)
    else:
        console.show(_summary(summary))
        if changes is not None:
            _show_changes(changes)
    console.note(f"The reading room is in {out / 'index.html'}")


def _summary(summary: dict[str, Any]) -> Table:
    table = Table("", "", show_header=False)
    for name, value in summary.items():
        if name != "schema":
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            table.add_row(name.replace("_", " "), shown)
    return table


def _show_changes(changes: Changes) -> None:
    from palaestra.judge.reading_room_changes_page import counted, how_said, value_said

    for name, (before, after) in changes.settings.items():
        console.note(f"{name}: was {before:.80}, is {after:.80}")
    for words, names in (
        (f"models only in {changes.before}", changes.models[0]),
        (f"models only in {changes.after}", changes.models[1]),
        (f"questions only in {changes.before}", changes.questions[0]),
        (f"questions only in {changes.after}", changes.questions[1]),
        ("questions with another text, which are not compared", changes.reworded),
    ):
        if names:
            console.note(f"{len(names)} {words}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}")  # noqa: PLR2004 - enough to know which
    console.show(_scores(changes))
    rows = Table("question", "model", "against", changes.before, changes.after, "change", "new answers by")
    rows.caption = counted(changes)
    if len(changes.pairs) > _SHOWN:
        rows.caption += f" The first {_SHOWN}; all are in changes.html."
    for each in changes.pairs[:_SHOWN]:
        before, after = value_said(each, each.before), value_said(each, each.after)
        whose = ", ".join(each.answers_changed)
        rows.add_row(each.question_id, each.model, each.against or "", before, after, how_said(each), whose)
    console.show(rows)


def _scores(changes: Changes) -> Table:
    caption = f"{changes.score}; on what both runs have"
    table = Table("model", changes.before, changes.after, "difference", "interval", "beyond it", caption=caption)
    for column in table.columns[1:5]:
        column.justify = "right"
    for each in changes.scores:
        interval = "none" if each.lower is None else f"{each.lower:+.1f} to {each.upper:+.1f}"
        numbers = f"{each.before:.1f}", f"{each.after:.1f}", f"{each.difference:+.1f}"
        table.add_row(each.model, *numbers, interval, "moved" if each.moved else "")
    return table
