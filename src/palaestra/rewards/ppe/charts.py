"""Pictures of proxies: curves of the best of K with bands, figures by domain, and what foretold the outcome.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from palaestra.errors import InputError
from palaestra.pictures.drawing import altair, styled
from palaestra.pictures.palette import DIVERGING, INK, MANY, ON_STRONG, RISING, SOFT
from palaestra.rewards.ppe.correctness import ORACLE
from palaestra.rewards.ppe.downstream import LOW_QUARTILE, MEAN_OF_DOMAINS
from palaestra.rewards.ppe.evaluation import ProxyEvaluation
from palaestra.rewards.ppe.resampling import Side

if TYPE_CHECKING:
    from altair import TopLevelMixin

_DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])
_ACROSS = 3
_TITLES = {"auc": "AUC"}


def curves_chart(found: ProxyEvaluation) -> TopLevelMixin:
    """The best of K by each proxy, a panel a domain; the oracle on top.

    Raises:
        InputError: there are no curves.
        MissingPartError: the extra `plots` is not installed.
    """
    if not found.curves:
        raise InputError("found no curve, expected samples and a proxy that scores")
    alt = altair()
    names = [ORACLE, *dict.fromkeys(one.proxy for one in found.curves if one.proxy != ORACLE)]
    colors = alt.Scale(domain=names, range=[SOFT, *(MANY[:7][place % 7] for place in range(len(names) - 1))])
    dashes = alt.Scale(domain=names, range=[[2, 2], *(_DASHES[place // 7 % 4] for place in range(len(names) - 1))])
    panels = [
        _panel(alt, found, domain, colors, dashes) for domain in dict.fromkeys(one.domain for one in found.curves)
    ]
    grid = alt.vconcat(*(alt.hconcat(*panels[at : at + _ACROSS]) for at in range(0, len(panels), _ACROSS)))
    about = f"expected share of right replies among those picked; bands are {_percent(found)} intervals over prompts"
    return styled(grid, "The best of K", about)


def figures_chart(found: ProxyEvaluation, side: Side, metric: str) -> TopLevelMixin:
    """One metric of all proxies by domain, as a table in colours.

    Raises:
        InputError: there is no such figure.
        MissingPartError: the extra `plots` is not installed.
    """
    rows = [
        {"row": one.proxy, "column": one.domain, "value": one.value, "said": f"{one.value:.2f}"}
        for one in found.figures
        if (one.side, one.metric) == (side, metric) and one.value is not None
    ]
    if not rows:
        raise InputError(f"found no figure {metric} of the side {side}, expected some to draw")
    alt = altair()
    values = [float(row["value"]) for row in rows]
    least, reach = min(values), max(np.ptp(values), 1e-9)
    for row in rows:
        row["class"] = min(int(5 * (float(row["value"]) - least) / reach), 4)
    chart = _heat(alt, rows, list(found.proxies), "class", list(RISING), strong={3, 4})
    return styled(
        chart,
        f"{_TITLES.get(metric, metric.replace('_', ' ').capitalize())}, by domain",
        f"{side} side; darker is higher",
    )


def foretold_chart(found: ProxyEvaluation, result: str) -> TopLevelMixin:
    """The correlation over the rewards of each metric in each domain with a result.

    Raises:
        InputError: there is nothing of this result.
        MissingPartError: the extra `plots` is not installed.
    """
    rows = [
        {"row": f"{one.side}: {one.metric.replace('_', ' ')}", "column": one.domain, "value": one.pearson,
         "said": f"{one.pearson:.2f}", "class": min(int((one.pearson + 1) / 2 * 9), 8), "rewards": one.rewards}
        for one in found.downstream
        if one.result == result and one.pearson is not None and not one.domain.startswith("language ")
    ]  # fmt: skip
    if not rows:
        raise InputError(f"found no correlation with {result!r}, expected downstream results")
    alt = altair()
    order = list(dict.fromkeys(str(row["row"]) for row in rows))
    chart = _heat(alt, rows, order, "class", list(DIVERGING), strong={0, 1, 7, 8})
    most = max(one.rewards for one in found.downstream if one.result == result)
    about = f"Pearson's correlation over {most} rewards; metrics of which less is better are turned"
    return styled(chart, f"What foretold: {result}", about)


def _panel(alt: Any, found: ProxyEvaluation, domain: str, colors: Any, dashes: Any) -> Any:  # noqa: ANN401 - altair is loaded late
    rows = [
        {"proxy": one.proxy, "K": k, "value": value, "lower": low, "upper": high}
        for one in found.curves
        if one.domain == domain
        for k, (value, low, high) in enumerate(zip(one.value, one.lower, one.upper, strict=True), start=1)
    ]
    size = max(len(one.value) for one in found.curves if one.domain == domain)
    ticks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= size]
    legend = alt.Legend(title=None, orient="right", symbolType="stroke", symbolStrokeWidth=2, symbolOpacity=1)
    x = alt.X("K:Q", scale=alt.Scale(type="log", base=2), title="K", axis=alt.Axis(values=ticks, format="d"))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x)
    color = alt.Color("proxy:N", scale=colors, legend=legend)
    bands = base.mark_area(opacity=0.13).encode(y=alt.Y("lower:Q"), y2="upper:Q", color=color)
    y = alt.Y("value:Q", title=domain, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(format=".2f", tickCount=5))
    lines = base.mark_line(strokeWidth=2).encode(
        y=y, color=color, strokeDash=alt.StrokeDash("proxy:N", scale=dashes, legend=legend)
    )
    return alt.layer(bands, lines).properties(width=250, height=220)


def _heat(  # noqa: PLR0917 - a chart's parts
    alt: Any,  # noqa: ANN401 - altair is loaded late
    rows: Sequence[dict[str, Any]],
    order: Sequence[str],
    classes: str,
    colors: Sequence[str],
    strong: set[int],
) -> Any:  # noqa: ANN401 - altair is loaded late
    first = ("overall", "mean", MEAN_OF_DOMAINS, LOW_QUARTILE)
    there = list(dict.fromkeys(row["column"] for row in rows))
    columns = [name for name in first if name in there] + [name for name in there if name not in first]
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("column:N", sort=columns, title=None, axis=alt.Axis(orient="top", labelAngle=-40, labelLimit=170)),
        y=alt.Y("row:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=230)),
    )
    scale = alt.Scale(domain=list(range(len(colors))), range=list(colors))
    cells = base.mark_rect().encode(color=alt.Color(f"{classes}:O", scale=scale, legend=None))
    on_strong = " || ".join(f"datum['{classes}'] === {number}" for number in sorted(strong))
    text = base.mark_text(fontSize=11).encode(
        text="said:N", color=alt.condition(on_strong, alt.value(ON_STRONG), alt.value(INK))
    )
    return alt.layer(cells, text).properties(width=alt.Step(46), height=alt.Step(24))


def _percent(found: ProxyEvaluation) -> str:
    return f"{100 * found.settings.confidence:g}%"
