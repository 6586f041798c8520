"""Pictures of goodness and fastness: one against the other with the Pareto set, and who is better than whom.

Not here: how a chart becomes a file or a piece of a page (`drawing.py`), and the page (`mpg_report.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log, log10
from typing import TYPE_CHECKING, Any

from palaestra.errors import InputError
from palaestra.pictures.drawing import NAME, altair, names_axis, styled
from palaestra.pictures.palette import DIVERGING, FIRST, INK, ON_STRONG, SECOND, SHEET, SOFT, STRONG
from palaestra.ranking.mpg import MpgBoard, MpgLine

if TYPE_CHECKING:
    from altair import TopLevelMixin

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_WIDTH, _HEIGHT = 560, 400
_CELL = 30
_LETTER, _LINE = 6.0, 14.0
_WIDE = 5
"""A range with ends this many times apart has a logarithmic axis."""
_ANCHORS = {
    "above right": ("left", 6, -11),
    "below right": ("left", 6, 11),
    "above left": ("right", -6, -11),
    "below left": ("right", -6, 11),
}
"""Where a name may stand, off its point and its intervals: the text's own anchor, and pixels to the right and down."""


def tradeoff_chart(board: MpgBoard, top: int = 40) -> TopLevelMixin:
    """Goodness against fastness or cost, each with its interval; up and to the right is better.

    Raises:
        InputError: no model has a time or a cost.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    lines = [line for line in board.models if line.pareto is not None]
    if not lines:
        raise InputError("found no model with times or costs to draw goodness against; fill seconds or cost")
    rows = [_point(line) for line in sorted(lines, key=lambda line: not line.pareto)[:top]]  # the Pareto set first
    reverse = board.settings.by == "cost"
    x_scale, y_scale = _scale(rows, "x", reverse=reverse), _scale(rows, "y", reverse=False)
    corners = _corners(rows, x_scale, y_scale)
    for row, side in zip(rows, _sides(rows, corners, x_scale, y_scale), strict=True):
        row["side"] = side
    x = alt.X(
        "x:Q", title=_axis_title(board), scale=alt.Scale(**x_scale), axis=alt.Axis(format="~g", **_ticks(x_scale))
    )
    y = alt.Y("y:Q", title="goodness", scale=alt.Scale(**y_scale), axis=alt.Axis(format=".0%", tickCount=6))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["in the Pareto set", "beaten in both"], range=[FIRST, SECOND]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1, offset=4),
    )
    across = base.mark_rule(strokeWidth=1.5, opacity=0.7).encode(x=alt.X("x_low:Q"), x2="x_high:Q", color=color)
    upright = base.mark_rule(strokeWidth=1.5, opacity=0.7).encode(y=alt.Y("y_low:Q"), y2="y_high:Q", color=color)
    dots = base.mark_point(size=75, opacity=1, strokeWidth=2, filled=False).encode(
        stroke=color,
        fill=alt.condition("datum.whole", color, alt.value(SHEET)),
        tooltip=["model:N", alt.Tooltip("y:Q", format=".1%"), alt.Tooltip("x:Q", format=".3~g"), "chance:Q"],
    )
    names = [
        base.transform_filter(f"datum.side === '{side}'")
        .mark_text(align=align, baseline="middle", dx=dx, dy=dy, fontSize=12, color=INK, limit=NAME)
        .encode(text="model:N")
        for side, (align, dx, dy) in _ANCHORS.items()
    ]
    steps = alt.Chart(alt.Data(values=corners)).encode(x="x:Q", y="y:Q", order="order:Q")
    edge = steps.mark_line(color=SOFT, strokeDash=[4, 4], strokeWidth=1.2)
    chart = alt.layer(edge, across, upright, dots, *names)
    title = "Goodness and cost" if reverse else "Goodness and fastness"
    return styled(chart.properties(width=_WIDTH, height=_HEIGHT), title, *_notes(board, lines, top))


def beats_chart(board: MpgBoard, top: int = 30) -> TopLevelMixin:
    """The chance in per cent that the model of the row is better than that of the column, best models first.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    names = tuple(line.model for line in board.models[:top])
    edges = [0.025, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.975]
    rows = [
        {"row": a, "column": b, "chance": chance, "text": _percent(chance), "strong": _color(chance, edges) in STRONG}
        for a, chances in zip(names, board.beats, strict=False)
        for b, chance in zip(names, chances, strict=False)
        if a != b
    ]
    top_axis = alt.Axis(orient="top", labelAngle=-90, labelLimit=NAME, grid=False)
    cells = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("column:N", sort=list(names), scale=alt.Scale(domain=list(names)), title=None, axis=top_axis),
        y=names_axis(alt, names, "row", grid=False),
    )
    classes = alt.Scale(type="threshold", domain=edges, range=list(DIVERGING))
    boxes = cells.mark_rect().encode(color=alt.Color("chance:Q", scale=classes, legend=None))
    said = cells.mark_text(fontSize=10).encode(
        text="text:N", color=alt.condition("datum.strong", alt.value(ON_STRONG), alt.value(INK))
    )
    drawn = alt.layer(boxes, said).properties(width=alt.Step(_CELL), height=alt.Step(_CELL))
    subtitle = "chance in per cent that the row has more goodness than the column"
    return styled(drawn, "Who is better", subtitle + _of(len(names), len(board.models)))


def _point(line: MpgLine) -> dict[str, Any]:
    cost = line.cost_per_query
    x, low, high = (cost,) * 3 if cost is not None else (line.fastness, line.fastness_lower, line.fastness_upper)
    return {
        "model": line.model,
        "x": x,
        "x_low": low,
        "x_high": high,
        "y": line.goodness,
        "y_low": line.lower,
        "y_high": line.upper,
        "kind": "in the Pareto set" if line.pareto else "beaten in both",
        "whole": not line.missing,
        "chance": line.pareto_probability,
    }


def _scale(rows: Sequence[dict[str, Any]], axis: str, *, reverse: bool) -> dict[str, Any]:
    """Domain and kind of an axis, with a margin around all intervals."""
    low, high = min(row[f"{axis}_low"] for row in rows), max(row[f"{axis}_high"] for row in rows)
    kind = "log" if axis == "x" and low > 0 and high > _WIDE * low else "linear"
    if kind == "log":
        margin = (high / low) ** 0.08
        domain = [low / margin, high * margin]
    else:
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
        domain = [low - margin, high + margin]
    return {"type": kind, "domain": domain, "nice": False, "zero": False, "reverse": reverse}


def _ticks(scale: dict[str, Any]) -> dict[str, Any]:
    """Where an axis has its ticks: on a logarithmic one at 1, 2, 5, 10, 20 ..."""
    if scale["type"] == "linear":
        return {"tickCount": 6}
    low, high = scale["domain"]
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    values = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    return {"values": [value for value in values if low <= value <= high]}


def _corners(rows: Sequence[dict[str, Any]], x_scale: dict, y_scale: dict) -> list[dict[str, float]]:
    """The edge of what is reached, from left to right: no mean lies above it or to its right."""
    inside = [row for row in rows if row["kind"] == "in the Pareto set"]
    inside.sort(key=lambda row: _at(row["x"], x_scale))
    xs = [x_scale["domain"][1 if x_scale["reverse"] else 0], *(row["x"] for row in inside)]
    ys = [*(row["y"] for row in inside), y_scale["domain"][0]]
    places = [(xs[0], ys[0])]
    for x, here, below in zip(xs[1:], ys, ys[1:], strict=False):
        places += [(x, here), (x, below)]
    return [{"x": x, "y": y, "order": order} for order, (x, y) in enumerate(places)]


def _sides(rows: Sequence[dict[str, Any]], corners: Sequence[dict], x_scale: dict, y_scale: dict) -> list[str]:
    """For each point the first side on which its name meets nothing else; if there is none, it may cross a line."""

    def at(x: float, y: float) -> Point:
        return _at(x, x_scale) * _WIDTH, (1 - _at(y, y_scale)) * _HEIGHT

    points = [at(row["x"], row["y"]) for row in rows]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    lines = [_around(at(a["x"], a["y"]), at(b["x"], b["y"])) for a, b in pairwise(corners)]
    for row in rows:
        lines.append(_around(at(row["x_low"], row["y"]), at(row["x_high"], row["y"])))
        lines.append(_around(at(row["x"], row["y_low"]), at(row["x"], row["y_high"])))
    sides = []
    for row, point in zip(rows, points, strict=True):
        boxes = {side: _box(min(_LETTER * len(row["model"]), NAME), *point, side) for side in _ANCHORS}
        clear = [side for side, box in boxes.items() if _is_free(box, [*taken, *lines])]
        clear += [side for side, box in boxes.items() if _is_free(box, taken)]
        sides.append(clear[0] if clear else "none")
        if clear:
            taken.append(boxes[clear[0]])
    return sides


def _around(a: Point, b: Point) -> Box:
    """The box of an upright or level line."""
    (left, right), (top, bottom) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    return left - 1, top - 1, right + 1, bottom + 1


def _at(value: float, scale: dict[str, Any]) -> float:
    """Where a value stands on an axis, 0 to 1."""
    low, high = scale["domain"]
    share = log(value / low) / log(high / low) if scale["type"] == "log" else (value - low) / (high - low)
    return 1 - share if scale["reverse"] else share


def _box(width: float, x: float, y: float, side: str) -> Box:
    align, dx, dy = _ANCHORS[side]
    left = x + dx - {"left": 0, "center": width / 2, "right": width}[align]
    return left, y + dy - _LINE / 2, left + width, y + dy + _LINE / 2


def _is_free(box: Box, taken: Sequence[Box]) -> bool:
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= _WIDTH and box[3] <= _HEIGHT
    return inside and all(
        box[0] >= other[2] or other[0] >= box[2] or box[1] >= other[3] or other[1] >= box[3] for other in taken
    )


def _axis_title(board: MpgBoard) -> str:
    if board.settings.by == "cost":
        return "cost per query, less to the right"
    return f"fastness: queries per second, {board.settings.concurrency} at once"


def _notes(board: MpgBoard, lines: Sequence[MpgLine], top: int) -> list[str]:
    said = f"{100 * board.settings.confidence:g}% intervals; dashed: the edge of the Pareto set"
    notes = [said + _of(min(top, len(lines)), len(board.models))]
    if any(line.missing for line in lines):
        notes.append("hollow: a benchmark without a result, behind which only the prior stands")
    return notes


def _of(shown: int, there: int) -> str:
    return f"; {shown} of {there} models" if shown < there else ""


def _percent(chance: float) -> str:
    """Whole per cent; no chance is called 0 or 100."""
    return "<1" if chance < 0.005 else ">99" if chance > 0.995 else f"{100 * chance:.0f}"  # noqa: PLR2004 - half a per cent


def _color(chance: float, edges: Sequence[float]) -> str:
    return DIVERGING[sum(chance >= edge for edge in edges)]
