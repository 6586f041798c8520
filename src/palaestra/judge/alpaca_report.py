"""The page and the picture of AlpacaEval boards: what each model wins as it is, and what it would win at equal length.

Not here: how a chart becomes a file or a piece of a page (`pictures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from palaestra.judge.alpaca_board import AlpacaBoard, AlpacaLine
from palaestra.pictures.drawing import altair, names_axis, styled
from palaestra.pictures.page import checked_path, picture, whole_page, write_page
from palaestra.pictures.palette import FIRST, SECOND, SHEET, SOFT

if TYPE_CHECKING:
    from altair import TopLevelMixin

_WIDTH, _STEP = 520, 20
_AS_IS, _EQUAL = "win rate", "length-controlled"
_KINDS = {_AS_IS: SECOND, _EQUAL: FIRST}
_HEADINGS = (
    "model",
    "win rate",
    "se",
    "length-controlled",
    "interval",
    "n",
    "unread",
    "mean length",
    "length's weight",
)


def win_rates_chart(board: AlpacaBoard, top: int = 60) -> TopLevelMixin:
    """Win rate and length-controlled win rate with its interval, a model a line, best first.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    lines = board.models[:top]
    names = tuple(line.model for line in lines)
    rows = [
        {"model": line.model, "kind": kind, "rate": rate, "low": low, "high": high, "length": line.mean_length}
        for line in lines
        for kind, rate, low, high in (
            (_AS_IS, line.win_rate, None, None),
            (_EQUAL, line.lc_win_rate, line.lc_lower, line.lc_upper),
        )
        if rate is not None
    ]
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(_KINDS), range=list(_KINDS.values())),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1),
    )
    # the two ends of each line are drawn first, so that the points stand on them
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names))
    x = alt.X("rate:Q", title="per cent of the instructions won", scale=alt.Scale(domain=[0, 100]))
    way = base.mark_line(color=SOFT, strokeWidth=1).encode(x=x, detail="model:N")
    ends = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=2.5, opacity=0.5)
    points = base.mark_point(size=55, strokeWidth=2, opacity=1, filled=False).encode(
        x=x,
        stroke=color,
        fill=alt.condition(f"datum.kind === '{_EQUAL}'", color, alt.value(SHEET)),
        tooltip=["model:N", "kind:N", alt.Tooltip("rate:Q", format=".1f"), alt.Tooltip("length:Q", format=".0f")],
    )
    even = alt.Chart(alt.Data(values=[{"rate": 50}])).mark_rule(color=SOFT, strokeDash=[4, 4]).encode(x="rate:Q")
    chart = alt.layer(even, way, ends.encode(x="low:Q", x2="high:Q", color=color), points)
    shown = f"the best {len(lines)} of {len(board.models)} models; " if len(lines) < len(board.models) else ""
    ends_said = f"{100 * board.settings.confidence:g}% intervals" if _has_ends(board) else "no intervals"
    return styled(
        chart.properties(width=_WIDTH, height=alt.Step(_STEP)),
        f"Against {board.baseline}, by {board.annotator}",
        f"{shown}{board.instructions} instructions; {ends_said} of the length-controlled win rate",
    )


def write_alpaca_report(path: str | Path, boards: Sequence[AlpacaBoard], title: str) -> None:
    """Write one page of all boards, which stands alone.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    write_page(path, whole_page(title, "".join(_section(board, number) for number, board in enumerate(boards))))


def _has_ends(board: AlpacaBoard) -> bool:
    return any(line.lc_lower is not None for line in board.models)


def _section(board: AlpacaBoard, number: int) -> str:
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in board.warnings)
    return f"{picture(win_rates_chart(board), f'alpaca{number}')}{warnings}{_table(board)}"


def _table(board: AlpacaBoard) -> str:
    head = "".join(f'<th class="{"name" * (text == "model")}">{text}</th>' for text in _HEADINGS)
    body = "".join(_row(line) for line in board.models)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(line: AlpacaLine) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in cells_of(line)[1:])
    return f'<tr><td class="name">{escape(line.model)}</td>{cells}</tr>'


def cells_of(line: AlpacaLine) -> tuple[str, ...]:
    """A line in words: model, win rate, se, length-controlled, interval, n, unread, mean length, weight of length."""
    ends = "" if line.lc_lower is None else f"{line.lc_lower:.1f} to {line.lc_upper:.1f}"
    return (
        line.model,
        f"{line.win_rate:.1f}",
        _said(line.se, ".1f"),
        _said(line.lc_win_rate, ".1f"),
        ends,
        f"{line.n}",
        f"{line.unread or ''}",
        _said(line.mean_length, ".0f"),
        _said(line.length, ".2f"),
    )


def _said(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
