"""Pages that stand alone: a board against its reference, the worth of questions, and the curve of subsets.

No script, no font and no picture is loaded from anywhere. Not here: the pictures themselves (`agreement_charts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from palaestra.judge.agreement import Agreement, Compared
from palaestra.judge.agreement_charts import SAID, measures_chart, subset_chart, value_chart
from palaestra.judge.subset import KINDS, Subset
from palaestra.judge.value import QuestionValues
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page

RULES = {
    "notebook": "a point inside another interval overlaps with it (notebook rule)",
    "strict": "a point never overlaps with anything (strict rule)",
    "published": "separability by the notebook rule, agreement by the strict one, as the published figures have it",
}


def write_agreement_page(path: str | Path, found: Agreement) -> None:
    """Write the page of a comparison.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    rows = [(SAID[one.name], figure(one.value), span(one.lower, one.upper)) for one in found.measures]
    said = f"{len(found.models)} common models. Overlap: {RULES[found.settings.overlap]}. Seed {found.settings.seed}."
    body = _said([said, *found.warnings]) + picture(measures_chart(found), "measures")
    body += _table(("measure", "value", "interval"), rows, names=1)
    body += "".join(f"<p>{escape(one)}</p>" for one in map(_left_out, (found.board, found.reference)))
    write_page(path, whole_page(f"{found.board.name} against {found.reference.name}", body))


def write_value_page(path: str | Path, found: QuestionValues, title: str) -> None:
    """Write the page of questions.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    known = any(one.category for one in found.questions)
    rows = [
        (
            one.question_id, *([one.category or ""] if known else []), figure(one.information, 2),
            span(one.information_lower, one.information_upper, 2), figure(one.discrimination, 2),
            span(one.discrimination_lower, one.discrimination_upper, 2), share(one.flips),
            share(one.constant) + " *" * one.near_constant,
        )
        for one in found.questions
    ]  # fmt: skip
    names = ("question", "category") if known else ("question",)
    heads = (*names, "information", "interval", "discrimination", "interval", "flips", "same points")
    said = (
        f"{len(rows)} questions, {found.models} models; {found.separability:.1%} of the pairs of models are separated. "
        "Information is 1 for a question like the average one, and below 0 where separation is better without it; * is "
        "near-constant."
    )
    body = (
        _said([said, *found.warnings])
        + picture(value_chart(found), "questions")
        + _table(heads, rows, names=len(names))
    )
    write_page(path, whole_page(title, body))


def write_subset_page(path: str | Path, found: Subset, title: str) -> None:
    """Write the page of a subset.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    ways = dict.fromkeys(one.way for one in found.curve)
    sizes = dict.fromkeys(one.size for one in found.curve)
    columns = [(kind, way) for kind in KINDS for way in ways]
    heads = ("questions", *(f"{kind}, {way}" for kind, way in columns))
    rows = [(f"{size}", *(f"{found.at(size, kind, way).mean:.3f}" for kind, way in columns)) for size in sizes]
    listed = "".join(f"<li>{escape(question)}</li>" for question in found.questions)
    ids = f"<details><summary>The {len(found.questions)} questions</summary><ol>{listed}</ol></details>"
    body = _said(found.warnings) + picture(subset_chart(found), "curve") + _table(heads, rows, names=0) + ids
    write_page(path, whole_page(title, body))


def figure(value: float | None, digits: int = 4) -> str:
    """A number, or nothing."""
    return "" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A share in per cent, or nothing."""
    return "" if value is None else f"{value:.1%}"


def span(lower: float | None, upper: float | None, digits: int = 4) -> str:
    """An interval, or nothing."""
    return "" if lower is None or upper is None else f"{lower:.{digits}f} to {upper:.{digits}f}"


def _left_out(board: Compared) -> str:
    left = f"not compared: {', '.join(board.not_compared)}" if board.not_compared else "all are compared"
    return f"{board.name}: {board.models} models; {left}. Noise: {board.noise}."


def _said(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, names: int) -> str:
    """A table whose first so many columns are names."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{"name" * (place < names)}">{escape(cell)}</{tag}>' for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return scrolling(f"<table><thead><tr>{row(heads, 'th')}</tr></thead><tbody>{body}</tbody></table>", "table")
