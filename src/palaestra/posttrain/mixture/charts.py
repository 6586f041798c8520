"""Pictures of an experiment: the weights, what leaving a domain out does, foretold against measured.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaestra.pictures.drawing import NAME, altair, styled
from palaestra.pictures.palette import DIVERGING, FIRST, INK, ON_STRONG, SECOND, SHEET, SOFT

if TYPE_CHECKING:
    from altair import TopLevelMixin

    from palaestra.posttrain.mixture.experiment import Mixture

_WIDTH, _HEIGHT, _STEP, _CELL = 420, 320, 26, 44
_FULL = 3
"""Classes to each side of the middle that are not the strongest."""


def weights_chart(found: Mixture) -> TopLevelMixin:
    """The predicted best mixture, with the spread of what was best in the refits."""
    alt = altair()
    rows = [
        {"name": name, "value": 100 * one.value, "lower": 100 * one.lower, "upper": 100 * one.upper}
        for name, one in zip(found.runs.domains, found.best.weights, strict=True)
    ]
    axis = alt.Axis(grid=False, labelLimit=NAME)
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("name:N", sort=None, title=None, axis=axis))
    alike = alt.Chart(alt.Data(values=[{"at": 100 / len(rows)}])).mark_rule(color=SOFT, strokeDash=[4, 3])
    scale = alt.Scale(zero=True, nice=True)
    chart = alt.layer(
        alike.encode(x="at:Q"),
        base.mark_rule(color=FIRST, strokeWidth=1.6).encode(
            x=alt.X("lower:Q", title="weight, % of tokens", scale=scale), x2="upper:Q"
        ),
        base.mark_point(filled=True, size=48, color=FIRST, opacity=1).encode(x=alt.X("value:Q", scale=scale)),
    ).properties(width=_WIDTH, height=alt.Step(_STEP))
    sure = "surely" if found.best.surely_better else "not surely"
    said = f"law: {found.laws[0].name}; {sure} better than all alike, the dashed line; lines: best mixtures of refits"
    return styled(chart, "The mixture that is foretold to be best", said)


def effects_chart(found: Mixture) -> TopLevelMixin:
    """What leaving each domain out does to each score."""
    alt = altair()
    parts, runs = found.effects, found.runs
    sure_DS, largest = parts.sure_DS(), float(abs(parts.value_DS).max()) or 1.0
    rows = []
    for row, domain in enumerate(runs.domains):
        for column, scored in enumerate(runs.scored):
            value = float(parts.value_DS[row, column])
            strong = abs(value) / largest > _FULL / 4
            rows.append({
                "out": domain, "scored": scored, "share": value / largest,
                "text": f"{value:+.2g}" + ("" if sure_DS[row, column] else "?"), "strong": strong,
            })  # fmt: skip
    axis = alt.Axis(labelLimit=NAME, grid=False)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("out:N", sort=None, title="left out", axis=axis),
        x=alt.X("scored:N", sort=None, title="scored", axis=alt.Axis(labelLimit=NAME, grid=False, labelAngle=-40)),
    )
    scale = alt.Scale(type="quantize", domain=[-1, 1], range=list(DIVERGING))
    chart = alt.layer(
        base.mark_rect().encode(color=alt.Color("share:Q", scale=scale, legend=None)),
        base.mark_text(fontSize=11).encode(
            text="text:N", color=alt.condition("datum.strong", alt.value(ON_STRONG), alt.value(INK))
        ),
    ).properties(width=alt.Step(_CELL), height=alt.Step(_STEP))
    said = f"{100 * found.config.confidence:g}% intervals for all cells at once; ?: may be nought"
    return styled(
        chart,
        "What a domain does for another",
        "how much worse without it, at equal tokens; below nought: better",
        said,
    )


def foretold_chart(found: Mixture) -> TopLevelMixin:
    """The law on mixtures left out, and the predicted best, against what was measured."""
    alt = altair()
    seen = found.checks
    rows = [
        {"foretold": float(one), "measured": float(other), "best": False}
        for one, other in zip(seen.foretold_R, seen.measured_R, strict=True)
    ]
    if seen.best_measured is not None:
        rows.append({"foretold": found.best.target.value, "measured": seen.best_measured.value, "best": True})
    ends = [
        min(min(row["foretold"], row["measured"]) for row in rows),
        max(max(row["foretold"], row["measured"]) for row in rows),
    ]
    scale = alt.Scale(domain=ends, nice=True, zero=False)
    x, y = alt.X("foretold:Q", scale=scale, title="foretold"), alt.Y("measured:Q", scale=scale, title="measured")
    line = alt.Chart(alt.Data(values=[{"foretold": end, "measured": end} for end in ends])).mark_line(
        color=SOFT, strokeDash=[4, 3]
    )
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    chart = alt.layer(
        line.encode(x=x, y=y),
        base.transform_filter("!datum.best").mark_point(size=44, stroke=SECOND, fill=SHEET, strokeWidth=1.6, opacity=1),
        base.transform_filter("datum.best").mark_point(size=90, filled=True, color=FIRST, opacity=1),
    ).properties(width=_WIDTH, height=_HEIGHT)
    return styled(
        chart, "Foretold against measured", f"hollow: runs, mixtures left out; Spearman {seen.spearman.value:.2f}",
        f"full: the predicted best; error {seen.error:.3g}, change by chance alone {seen.noise:.3g}",
    )  # fmt: skip
