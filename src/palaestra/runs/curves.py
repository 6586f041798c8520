"""Curves as SVG, drawn by hand: for a page that is made anew every other second, without a plotting library.

Colours are the page's own variables, so that a dark page has dark curves. Lines that share a figure differ in colour
and dash and have their last value beside their name; more than eight are drawn one by one, on one scale.

Not here: pages that are kept (`page.py`, drawn by altair).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import pairwise
from math import floor, log10

from palaestra.store.run_reading import Series

LINES = 8
"""Lines in one picture, at most."""
POINTS = 300
"""Points of one line, at most: others are means of neighbours."""
_WIDE, _HIGH, _LEFT, _RIGHT, _BOTTOM, _TOP = 340, 190, 52, 20, 24, 8
_SMALL = (170, 100)
_TICKS = 4

STYLE = """
svg.curve { font-size: 11px; } svg.curve text { fill: var(--soft); } svg.curve .grid { stroke: var(--line); }
svg.curve polyline { fill: none; stroke-width: 1.6; } svg.curve circle { stroke: none; }
.l0 { stroke: var(--c0); fill: var(--c0); } .l1 { stroke: var(--c1); fill: var(--c1); stroke-dasharray: 6 2; }
.l2 { stroke: var(--c2); fill: var(--c2); stroke-dasharray: 2 2; } .l3 { stroke: var(--c3); fill: var(--c3); }
.l4 { stroke: var(--c4); fill: var(--c4); stroke-dasharray: 8 3 2 3; } .l5 { stroke: var(--c5); fill: var(--c5); }
.l6 { stroke: var(--c6); fill: var(--c6); stroke-dasharray: 4 4; } .l7 { stroke: var(--c7); fill: var(--c7); }
ul.lines { list-style: none; padding: 0; margin: .3rem 0 0; font-size: .85rem; }
ul.lines svg { display: inline-block; vertical-align: middle; margin-right: .4rem; }
"""

Span = tuple[float, float]


def figure_html(lines: Sequence[Series], label: str, spans: tuple[Span, Span] | None = None) -> str:
    """The lines of one figure as pieces of a page.

    Args:
        lines: with at least a point together.
        label: what the figure is, for those who cannot see it.
        spans: of both axes, where several pictures share them; those of the lines if left out.
    """
    lines = [thinned(line) for line in lines if line.values]
    if not lines:
        return "<p>No finite number yet.</p>"
    spans = spans or (span(lines, "at"), span(lines, "values"))
    if len(lines) <= LINES:
        drawn = _svg(list(enumerate(lines)), f"{label}: {_said(lines)}", spans, (_WIDE, _HIGH))
        return f"{drawn}{_names(lines)}"
    single = "".join(
        f"<figure><figcaption>{escape(line.label)} <b>{line.values[-1]:.4g}</b></figcaption>"
        f"{_svg([(0, line)], f'{label}: {_said([line])}', spans, _SMALL)}</figure>"
        for line in lines
    )
    return f'<div class="many">{single}</div>'


def span(lines: Sequence[Series], which: str) -> Span:
    """From the least to the largest of `at` or `values` of all lines; never empty."""
    numbers = [number for line in lines for number in getattr(line, which)]
    low, high = min(numbers), max(numbers)
    wide = (high - low) or abs(high) or 1.0
    return (low, high) if high > low else (low - wide / 2, high + wide / 2)


def thinned(line: Series, most: int = POINTS) -> Series:
    """A line of at most so many points: the means of runs of neighbours, the last point kept as it is."""
    count = len(line.values)
    if count <= most:
        return line
    edges = [round(place * (count - 1) / (most - 1)) for place in range(most)]
    parts = list(pairwise(edges))

    def means(numbers: Sequence[float]) -> list[float]:
        return [sum(numbers[first:end]) / (end - first) for first, end in parts] + [numbers[-1]]

    return replace(line, at=means(line.at), values=means(line.values))


def ticks(low: float, high: float) -> list[float]:
    """About four round numbers between two."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough)
    first = floor(low / step) + (low > floor(low / step) * step)
    return [number * step for number in range(first, first + 2 * _TICKS + 2) if number * step <= high]


def _svg(lines: Sequence[tuple[int, Series]], label: str, spans: tuple[Span, Span], size: tuple[int, int]) -> str:
    wide, high = size
    (x0, x1), (y0, y1) = spans

    def x(value: float) -> float:
        return _LEFT + (value - x0) / (x1 - x0) * (wide - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return high - _BOTTOM - (value - y0) / (y1 - y0) * (high - _BOTTOM - _TOP)

    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{wide - _RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{at:.4g}</text>'
        for at in ticks(y0, y1)
    )
    feet = "".join(
        f'<text x="{x(at):.1f}" y="{high - 6}" text-anchor="middle">{at:.6g}</text>'
        for at in ticks(x0, x1)[:: 1 if wide == _WIDE else 2]
    )
    drawn = "".join(_line(number, [(x(a), y(v)) for a, v in zip(line.at, line.values, strict=True)])
                    for number, line in lines)  # fmt: skip
    return (
        f'<svg class="curve" role="img" aria-label="{escape(label)}" viewBox="0 0 {wide} {high}" width="{wide}" '
        f'height="{high}">{grid}{feet}{drawn}</svg>'
    )


def _line(number: int, points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        return f'<circle class="l{number}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
    spelled = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="l{number}" style="fill: none" points="{spelled}"/>'


def _names(lines: Sequence[Series]) -> str:
    shown = "".join(
        f'<li><svg width="26" height="8" aria-hidden="true"><line class="l{number}" x1="0" x2="26" y1="4" y2="4" '
        f'stroke-width="2"/></svg>{escape(line.label or line.name)} <b>{line.values[-1]:.4g}</b></li>'
        for number, line in enumerate(lines)
    )
    return f'<ul class="lines">{shown}</ul>'


def _said(lines: Sequence[Series]) -> str:
    """The lines in words."""
    return "; ".join(
        f"{line.label or line.name} from {line.values[0]:.4g} to {line.values[-1]:.4g} at {line.over} {line.at[-1]:.6g}"
        for line in lines
    )
