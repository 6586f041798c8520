"""Pictures of a trained reward: do its chances hold, what is style worth, where is it right.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaestra.pictures.drawing import NAME, altair, styled
from palaestra.pictures.palette import FIRST, INK, SECOND, SHEET, SOFT
from palaestra.rewards.evaluation import Evaluation

if TYPE_CHECKING:
    from altair import TopLevelMixin

_WIDTH, _HEIGHT, _STEP = 420, 300, 24


def reliability_chart(found: Evaluation) -> TopLevelMixin:
    """The share of pairs that went the way of the reward, against the chance that it gave."""
    alt = altair()
    rows = [
        {"chance": 100 * one.chance, "share": 100 * one.share.value, "lower": 100 * (one.share.lower or 0.0),
         "upper": 100 * (one.share.upper or 1.0), "pairs": one.share.rows}
        for one in found.calibration.classes
    ]  # fmt: skip
    least = min([50.0, *(row["lower"] for row in rows)])
    ends = [50.0, max([60.0, *(row["chance"] for row in rows)])]
    line = alt.Chart(alt.Data(values=[{"x": x, "y": x} for x in ends])).mark_line(color=SOFT, strokeDash=[4, 3])
    scale_x, scale_y = alt.Scale(domain=ends, nice=True), alt.Scale(domain=[least, 100], nice=True)
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("chance:Q", scale=scale_x, title="chance that it gave, %"))
    title = "went that way, %"
    chart = alt.layer(
        line.encode(x=alt.X("x:Q", scale=scale_x), y=alt.Y("y:Q", scale=scale_y)),
        base.mark_rule(color=FIRST, strokeWidth=1.6).encode(
            y=alt.Y("lower:Q", scale=scale_y, title=title), y2="upper:Q"
        ),
        base.mark_point(filled=True, size=48, color=FIRST, opacity=1).encode(
            y=alt.Y("share:Q", scale=scale_y, title=title), tooltip=["pairs:Q"]
        ),
    ).properties(width=_WIDTH, height=_HEIGHT)
    slope = found.calibration.slope
    said = "held-out prompts; dashed: chances that hold" + ("" if slope is None else f"; slope {slope.words(digits=2)}")
    return styled(chart, "Do its chances hold?", said)


def style_chart(found: Evaluation) -> TopLevelMixin:
    """Coefficients of style, with intervals."""
    alt = altair()
    rows = [
        {"name": one.name, "value": one.value, "lower": one.lower, "upper": one.upper, "out": one.left_out}
        for one in found.style.effects
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(grid=False)))
    zero = alt.Chart(alt.Data(values=[{"at": 0}])).mark_rule(color=INK, strokeWidth=1).encode(x="at:Q")
    x = alt.X("lower:Q", title="log-odds for one more in log(1 + n)")
    chart = alt.layer(
        zero,
        base.mark_rule(color=SECOND, strokeWidth=1.6).encode(x=x, x2="upper:Q"),
        base.mark_point(size=48, stroke=SECOND, strokeWidth=1.8, opacity=1).encode(
            x="value:Q", fill=alt.condition("datum.out", alt.value(SHEET), alt.value(SECOND))
        ),
    ).properties(width=_WIDTH, height=alt.Step(_STEP))
    return styled(chart, "What style is worth", "hollow: left out of the score; intervals by prompt")


def parts_chart(found: Evaluation, most: int = 30) -> TopLevelMixin:
    """Accuracy on the whole, of style alone, of the longer reply, and in parts of the data."""
    alt = altair()
    figures = [
        ("all", found.accuracy, True),
        ("style alone", found.accuracy_style_alone, False),
        ("the longer reply", found.accuracy_longer, False),
        *((f"{one.kind} {one.name}", one.accuracy, True) for one in found.parts[:most]),
    ]
    rows = [
        {"name": name, "value": 100 * one.value, "lower": 100 * (one.lower or one.value),
         "upper": 100 * (one.upper or one.value), "ours": ours}
        for name, one, ours in figures
    ]  # fmt: skip
    color = alt.condition("datum.ours", alt.value(FIRST), alt.value(SOFT))
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(grid=False, labelLimit=NAME)), color=color
    )
    coin = alt.Chart(alt.Data(values=[{"at": 50}])).mark_rule(color=INK, strokeWidth=1).encode(x="at:Q")
    scale = alt.Scale(zero=False, nice=True)
    chart = alt.layer(
        coin,
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("lower:Q", title="accuracy, %", scale=scale), x2="upper:Q"),
        base.mark_point(filled=True, size=48, opacity=1).encode(x=alt.X("value:Q", scale=scale)),
    ).properties(width=_WIDTH, height=alt.Step(_STEP))
    return styled(chart, "How often it prefers what people preferred", "held-out prompts; the line is a coin")
