"""Pictures of what benchmarks are worth: measures with intervals, questions by noise and use, curves of subsets.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palaestra.errors import InputError
from palaestra.judge.agreement import Agreement
from palaestra.judge.subset import KINDS, Subset
from palaestra.judge.value import QuestionValues
from palaestra.pictures.drawing import altair, names_axis, styled
from palaestra.pictures.palette import FIRST, INK, MANY, SECOND, SOFT

if TYPE_CHECKING:
    from altair import TopLevelMixin

SHOWN = ("separability", "agreement_notebook", "strict_agreement", "spearman", "kendall", "brier")
"""Measures in the picture: those between 0 and 1, or mostly, and not twice the same."""
SAID = {
    "separability": "separability",
    "reference_separability": "separability of the reference",
    "agreement": "agreement (blog, -1 to 1)",
    "agreement_notebook": "agreement (notebook, 0 to 1)",
    "brier": "Brier score, less is better",
    "strict_agreement": "strict agreement",
    "spearman": "Spearman",
    "kendall": "Kendall tau-b",
    "pearson": "Pearson",
}
_TITLES = {"separability": "separability", "paired": "paired separability", "spearman": "Spearman with all questions"}
_OVER = {"votes": "over other votes", "models": "over other models", "both": "over other votes and models"}
_COSTS, _CONSTANT, _OTHER = "costs separation", "near-constant", "others"
_KINDS = {_COSTS: FIRST, _CONSTANT: MANY[2], _OTHER: SECOND}


def agreement_chart(found: Mapping[str, Agreement]) -> TopLevelMixin:
    """Measures of several benchmarks, or one, against a reference, a panel each, with intervals.

    Raises:
        InputError: there is nothing to draw.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    rows = [
        {"benchmark": benchmark, "measure": one.name, "value": one.value, "lower": one.lower, "upper": one.upper}
        for benchmark, agreement in found.items()
        for one in agreement.measures
        if one.value is not None
    ]
    if not rows:
        raise InputError("found no measure that is defined, expected at least one to draw")
    names = tuple(found)
    settings = next(iter(found.values())).settings
    across = 3
    y = names_axis(alt, names, "benchmark")
    bare = names_axis(alt, names, "benchmark").axis(labels=False, title=None, grid=True)
    panels = [
        _panel(alt, [row for row in rows if row["measure"] == name], bare if place % across else y, SAID[name])
        for place, name in enumerate(SHOWN)
    ]
    grid = alt.vconcat(*(alt.hconcat(*panels[start : start + across]) for start in range(0, len(panels), across)))
    return styled(grid, "Benchmarks against a reference", _intervals(settings.confidence, settings.over))


def measures_chart(found: Agreement) -> TopLevelMixin:
    """All measures of one board against its reference, on one axis.

    Raises:
        InputError: no measure is defined.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    rows = [one.model_dump() | {"said": SAID[one.name]} for one in found.measures if one.value is not None]
    if not rows:
        raise InputError("found no measure that is defined, expected at least one to draw")
    names = tuple(row["said"] for row in rows)
    axis = alt.Axis(tickCount=8, format=".1f")
    low = -1 if any(min(one.lower or 0, one.value or 0) < 0 for one in found.measures) else 0
    x = alt.X("value:Q", title=None, scale=alt.Scale(domain=[low, 1]), axis=axis)
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names, "said"))
    whiskers = base.mark_rule(color=SECOND, strokeWidth=2).encode(x=alt.X("lower:Q"), x2="upper:Q")
    dots = base.mark_point(color=SECOND, fill=SECOND, size=55, opacity=1).encode(x=x)
    chart = alt.layer(whiskers, dots).properties(width=520, height=alt.Step(26))
    settings = found.settings
    about = f"{len(found.models)} common models; {_intervals(settings.confidence, settings.over)}"
    return styled(chart, "Measures and their intervals", about)


def value_chart(found: QuestionValues) -> TopLevelMixin:
    """Each question by how often its verdicts flip and how far it tells models apart.

    Raises:
        InputError: no question has both.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    rows = [
        {
            "question": one.question_id, "flips": one.flips, "discrimination": one.discrimination,
            "kind": _kind(one.near_constant, one.information_upper), "information": one.information,
        }
        for one in found.questions
        if one.discrimination is not None and one.flips is not None
    ]  # fmt: skip
    if not rows:
        raise InputError("found no question with verdicts in both orders and models that differ, expected some to draw")
    rows.sort(key=lambda row: row["kind"] == _COSTS)
    least = min(0.0, *(one.discrimination or 0.0 for one in found.questions))
    y = alt.Y("discrimination:Q", title="discrimination", scale=alt.Scale(domain=[least, 1], nice=True))
    x = alt.X("flips:Q", title="flips: share of pairs that change with the order", axis=alt.Axis(format=".0%"))
    there = {kind: color for kind, color in _KINDS.items() if any(row["kind"] == kind for row in rows)}
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(there), range=list(there.values())),
        legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
    )
    numbers = ("flips", "discrimination", "information")
    tooltip = ["question:N", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in numbers)]
    dots = alt.Chart(alt.Data(values=rows)).mark_point(filled=True, size=34, opacity=0.65)
    chart = dots.encode(x=x, y=y, color=color, tooltip=tooltip).properties(width=560, height=360)
    costly = sum(row["kind"] == _COSTS for row in rows)
    about = f"{len(rows)} questions, {found.models} models; {costly} without which separation is surely better"
    return styled(chart, "What each question is worth", about)


def subset_chart(found: Subset) -> TopLevelMixin:
    """The curve: measures on held-out models against the number of questions, a panel each, with ranges over splits.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    ways = ["chosen", "random", *(["stratified"] if any(one.way == "stratified" for one in found.curve) else [])]
    panels = [
        _curve(alt, [one.model_dump() for one in found.curve if one.measure == name], ways, len(found.questions))
        for name in KINDS
    ]
    settings = found.settings
    about = (
        f"chosen ({settings.by}) by one half of {found.models} models, measured on the other; lines are means, bands "
        f"hold {100 * settings.confidence:g}% of {settings.splits} splits"
    )
    return styled(alt.hconcat(*panels), f"{len(found.questions)} of {found.of} questions", about)


def _panel(alt: Any, rows: Sequence[dict[str, Any]], y: Any, title: str) -> Any:  # noqa: ANN401 - altair is loaded late
    least = min((row["lower"] for row in rows), default=0)
    scale, axis = alt.Scale(domain=[min(0, least), 1]), alt.Axis(tickCount=5, format=".1f")
    x = alt.X("value:Q", title=title, scale=scale, axis=axis)
    base = alt.Chart(alt.Data(values=list(rows))).encode(y=y)
    whiskers = base.mark_rule(color=SECOND, strokeWidth=2).encode(x=alt.X("lower:Q"), x2="upper:Q")
    dots = base.mark_point(color=SECOND, fill=SECOND, size=50, opacity=1).encode(x=x)
    return alt.layer(whiskers, dots).properties(width=210, height=alt.Step(24))


def _curve(alt: Any, rows: Sequence[dict[str, Any]], ways: Sequence[str], size: int) -> Any:  # noqa: ANN401 - altair is loaded late
    least = min(row["lower"] for row in rows)
    y = alt.Y("mean:Q", title=_TITLES[rows[0]["measure"]], scale=alt.Scale(domain=[least, 1], zero=False, nice=True))
    colors = alt.Scale(domain=list(ways), range=[FIRST, SECOND, MANY[2]][: len(ways)])
    dashes = alt.Scale(domain=list(ways), range=[[1, 0], [6, 3], [2, 2]][: len(ways)])
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1)
    base = alt.Chart(alt.Data(values=list(rows))).encode(x=alt.X("size:Q", title="questions"))
    banded = base.transform_filter("datum.way !== 'stratified'")
    color = alt.Color("way:N", scale=colors, legend=legend)
    bands = banded.mark_area(opacity=0.16).encode(y=alt.Y("lower:Q"), y2="upper:Q", color=color)
    lines = base.mark_line(strokeWidth=2).encode(
        y=y,
        color=color,
        strokeDash=alt.StrokeDash("way:N", scale=dashes, legend=legend),
    )
    here = alt.Chart(alt.Data(values=[{"size": size}])).mark_rule(color=SOFT, strokeDash=[4, 4]).encode(x="size:Q")
    said = here.mark_text(align="left", dx=5, dy=-4, baseline="bottom", color=INK, fontSize=11).encode(
        text="size:Q", y=alt.value(230)
    )
    return alt.layer(bands, here, said, lines).properties(width=240, height=230)


def _kind(near_constant: bool, information_upper: float | None) -> str:  # noqa: FBT001 - two facts of a question
    if information_upper is not None and information_upper < 0:
        return _COSTS
    return _CONSTANT if near_constant else _OTHER


def _intervals(confidence: float, over: str) -> str:
    return f"{100 * confidence:g}% intervals {_OVER[over]}"
