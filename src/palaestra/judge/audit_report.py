"""Pages that stand alone: what a judge is worth, and what it adds to people's votes.

Not here: the figures (`audit.py`, `calibrate.py`), the pictures (`audit_charts.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from palaestra.judge.audit import JudgeAudit
from palaestra.judge.audit_charts import calibration_chart, forest_chart
from palaestra.judge.calibrate import CalibratedModel, Calibration, Interval
from palaestra.pictures.page import checked_path, picture, whole_page, write_page


def write_audit_report(path: str | Path, found: JudgeAudit, title: str) -> None:
    """Write the page of an audit.

    Raises:
        InputError: the path does not end in .html or cannot be written, or no figure has an interval.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    confidence = 100 * float(str(found.settings["confidence"]))
    said = f"{found.verdicts:,} verdicts, {found.unread:,} could not be read. {confidence:g}% intervals by question."
    notes = "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    drawn = picture(forest_chart(found.findings), "audit")
    table = _table(("judge", "what was found", "comparisons", "questions"), [
        (one.judge, one.words, f"{one.rows:,}", f"{one.questions:,}") for one in found.findings
    ])  # fmt: skip
    write_page(path, whole_page(title, f"<p>{escape(said)}</p>{notes}{drawn}{table}"))


def write_calibration_report(path: str | Path, found: Sequence[Calibration], title: str) -> None:
    """Write the page of calibrations, one section a judge.

    Raises:
        InputError: the path does not end in .html or cannot be written, or there is no rating to draw.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    body = "".join(_section(one, number) for number, one in enumerate(found))
    write_page(path, whole_page(title, body))


def _section(found: Calibration, number: int) -> str:
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in found.warnings)
    headings = ("model", "with votes", "people alone", "judge alone", "both", "win rate", "by both")
    table = _table(headings, [calibrated_row(line) for line in found.models])
    return f"{picture(calibration_chart(found), f'calibration{number}')}{warnings}{table}"


def calibrated_row(line: CalibratedModel) -> tuple[str, ...]:
    """One model: ratings by people, judge and both, win rates by people and both."""
    ratings = (line.rating_people, line.rating_judge, line.rating)
    rates = (line.win_rate_people, line.win_rate)
    return (line.model, f"{line.labelled}", *map(_elo, ratings), *map(_percent, rates))


def _elo(part: Interval | None) -> str:
    return "" if part is None else f"{part.value:.0f} [{part.lower:.0f}, {part.upper:.0f}]"


def _percent(part: Interval | None) -> str:
    return "" if part is None else f"{part.value:.1%} [{part.lower:.1%}, {part.upper:.1%}]"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = {"judge", "model", "what was found"}
    kinds = ["name" if heading in names else "" for heading in headings]
    head = "".join(f'<th class="{kind}">{escape(text)}</th>' for text, kind in zip(headings, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
