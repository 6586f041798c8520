"""Pictures of audits: every finding with its interval, one panel a unit; and ratings by people, judge and both.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`), and the pages (`audit_report.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palaestra.errors import InputError
from palaestra.judge.calibrate import Calibration, Interval
from palaestra.judge.findings import Finding
from palaestra.pictures.drawing import NAME, altair, styled
from palaestra.pictures.palette import FIRST, INK, MANY, SECOND, SHEET, SOFT

if TYPE_CHECKING:
    from altair import TopLevelMixin

_WIDTH, _LABEL = 420, 300
_STEP, _SINGLE_STEP = 11, 18
"""Pixels for each interval: where a row has several, and where it has one."""
_PANELS = (
    (("log odds",), "log odds", 0.0, 1),
    (("share", "percentage points", "points"), "share, or difference of shares or points, in per cent", 0.0, 100),
    (("kappa", "alpha"), "agreement beyond chance (kappa, alpha)", 0.0, 1),
)
"""Units of a panel, the title of its axis, where its line is, and the factor of its numbers."""


def forest_chart(findings: Sequence[Finding], *, most_judges: int = 8) -> TopLevelMixin:
    """Every finding that has an interval, by unit.

    Args:
        findings: of one or several judges.
        most_judges: how many judges are shown, in the order of their findings.

    Raises:
        InputError: no finding has an interval.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    shown = [one for one in findings if one.lower is not None]
    if not shown:
        raise InputError("found no figure with an interval to draw, expected verdicts on two questions or more")
    judges = list(dict.fromkeys(one.judge for one in shown))[:most_judges]
    panels = [
        _panel(alt, [one for one in shown if one.unit in units and one.judge in judges], judges, title, line, factor)
        for units, title, line, factor in _PANELS
    ]
    chart = alt.vconcat(*(panel for panel in panels if panel is not None), spacing=26)
    said = "filled: the interval leaves out what a judge without fault would have, where there is such a number"
    return styled(chart.resolve_scale(color="shared"), "What the judge is worth", said)


def calibration_chart(found: Calibration, top: int = 30) -> TopLevelMixin:
    """Ratings of each model three times: by people alone, by the judge alone, by both.

    Raises:
        InputError: there is no rating at all.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    kinds = ("people alone", "judge alone", "both")
    rows = [
        {"model": line.model, "by": kind, **part.model_dump()}
        for line in found.models[:top]
        for kind, part in zip(kinds, (line.rating_people, line.rating_judge, line.rating), strict=True)
        if isinstance(part, Interval)
    ]
    if not rows:
        raise InputError("found no rating to draw, expected votes or verdicts that connect the models")
    names = [line.model for line in found.models[:top]]
    color = alt.Color(
        "by:N",
        scale=alt.Scale(domain=list(kinds), range=[SOFT, SECOND, FIRST]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y(
            "model:N", sort=names, scale=alt.Scale(domain=names, paddingInner=0.35), title=None,
            axis=alt.Axis(labelLimit=NAME, grid=False),
        ),
        yOffset=alt.YOffset("by:N", scale=alt.Scale(domain=list(kinds))),
        color=color,
    )  # fmt: skip
    scale = alt.Scale(zero=False, nice=True)
    whiskers = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("lower:Q", title="rating, Elo", scale=scale), x2="upper:Q"
    )
    dots = base.mark_point(filled=True, size=32, opacity=1).encode(
        x=alt.X("value:Q", scale=scale), tooltip=["model:N", "by:N", alt.Tooltip("value:Q", format=".0f")]
    )
    said = [f"{found.labelled} comparisons with votes, {found.others} with the judge alone"]
    if found.votes_worth is not None:
        said.append(f"weight of the judge {found.weight:.2f}; worth {found.votes_worth:.0f} comparisons with votes")
    chart = alt.layer(whiskers, dots).properties(width=_WIDTH, height=alt.Step(_STEP))
    return styled(chart, f"Ratings with {found.judge}", *said)


def _panel(  # noqa: PLR0917 - drawn
    alt: Any,  # noqa: ANN401 - altair is loaded late
    findings: list[Finding],
    judges: list[str],
    title: str,
    line: float,
    factor: float,
) -> Any:  # noqa: ANN401 - altair is loaded late
    if not findings:
        return None
    rows = [
        {
            "label": _label(one),
            "judge": one.judge,
            "value": factor * one.value,
            "lower": factor * float(one.lower or 0.0),
            "upper": factor * float(one.upper or 0.0),
            "clear": one.holds in {"above", "below"},
            "words": one.words,
        }
        for one in findings
    ]
    labels = list(dict.fromkeys(row["label"] for row in rows))
    color = alt.Color(
        "judge:N",
        scale=alt.Scale(domain=judges, range=list(MANY[: len(judges)])),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1, columns=4),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y(
            "label:N", sort=labels, scale=alt.Scale(domain=labels, paddingInner=0.25), title=None,
            axis=alt.Axis(labelLimit=_LABEL, grid=False),
        ),
        yOffset=alt.YOffset("judge:N", scale=alt.Scale(domain=judges)),
    )  # fmt: skip
    zero = alt.Chart(alt.Data(values=[{"at": line}])).mark_rule(color=INK, strokeWidth=1).encode(x="at:Q")
    whiskers = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("lower:Q", title=title, axis=alt.Axis(tickCount=7)), x2="upper:Q", color=color
    )
    dots = base.mark_point(size=42, strokeWidth=1.8, opacity=1).encode(
        x="value:Q",
        stroke=color,
        fill=alt.condition("datum.clear", color, alt.value(SHEET)),
        tooltip=["judge:N", "words:N"],
    )
    height = alt.Step(_SINGLE_STEP if len(judges) == 1 else _STEP)
    return alt.layer(zero, whiskers, dots).properties(width=_WIDTH, height=height)


def _label(one: Finding) -> str:
    return one.audit if one.figure in one.audit else f"{one.audit}: {one.figure}"
