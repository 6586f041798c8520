"""What a router did with a set of prompts, as a page that stands alone: quality by cost, and where prompts went."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.p2l.curve import Curve
from palaestra.p2l.router import Routing
from palaestra.pictures.drawing import altair, styled
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.pictures.palette import FIRST, INK, SECOND

_SHOWN = 300


def write_routing_page(
    path: str | Path, title: str, routing: Routing, prompts: Sequence[str], curve: Curve | None
) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    drawn = "" if curve is None else picture(curve_chart(curve), "curve")
    write_page(path, whole_page(title, f"<p>{escape(summary(routing))}</p>{drawn}{_table(routing, prompts)}"))


def summary(routing: Routing) -> str:
    """One sentence on the whole set."""
    one = routing.mixtures
    price = "" if routing.price is None else f" The last money bought {routing.price:.4g} for a unit of it."
    return (
        f"{len(one.low_P)} prompts, expected score {one.value_P.mean():.4f}, {one.cost_P.mean():.4g} a call and "
        f"{one.cost_P.sum():.4g} in all, {int(one.mixed_P.sum())} left to chance.{price}"
    )


def curve_chart(curve: Curve) -> Any:  # noqa: ANN401 - altair is loaded late
    """Quality against cost: the router, blind mixtures, and single models; intervals over prompts."""
    alt = altair()
    rows = [
        {"cost": point.cost, "how": how, "quality": one.value, "lower": one.lower, "upper": one.upper}
        for point in curve.points
        for how, one in (("reads the prompt", point.quality), ("mixes blindly", point.blind))
    ]
    single = [
        {"cost": cost, "model": name, "quality": one.value, "lower": one.lower, "upper": one.upper}
        for name, (cost, one) in curve.models.items()
    ]
    colours = alt.Scale(domain=["reads the prompt", "mixes blindly"], range=[FIRST, SECOND])
    x = alt.X("cost:Q", title="cost a call", scale=alt.Scale(zero=False, nice=False, padding=60))
    what_y = "quality" if curve.realised else "expected score"
    y = alt.Y("quality:Q", title=what_y, scale=alt.Scale(zero=False))
    lines = alt.Chart(alt.Data(values=rows)).encode(x=x)
    band = lines.mark_area(opacity=0.15).encode(
        y=alt.Y("lower:Q", scale=alt.Scale(zero=False), title=what_y),
        y2="upper:Q",
        color=alt.Color("how:N", scale=colours, title=None, legend=alt.Legend(orient="top")),
    )
    line = lines.mark_line(strokeWidth=2.5).encode(
        y=y, color=alt.Color("how:N", scale=colours, title=None, legend=alt.Legend(orient="top")),
        strokeDash=alt.StrokeDash("how:N", scale=alt.Scale(domain=colours.domain, range=[[1, 0], [5, 4]]), legend=None),
    )  # fmt: skip
    points = alt.Chart(alt.Data(values=single)).encode(x=x, y=y)
    dots = points.mark_point(filled=True, size=70, color=INK, opacity=1)
    names = points.mark_text(align="left", dx=9, dy=9, color=INK, fontSize=12).encode(text="model:N")
    gain = curve.gain
    said = (
        f"the router gains {gain.value:+.4f} [{gain.lower:+.4f}, {gain.upper:+.4f}] over blind mixtures, averaged over "
        f"budgets; {100 * curve.confidence:g}% intervals over prompts"
    )
    what = "What came out, by cost" if curve.realised else "What is expected, by cost"
    chart = alt.layer(band, line, dots, names).properties(width=560, height=340)
    return styled(chart, what, said)


def _table(routing: Routing, prompts: Sequence[str]) -> str:
    one = routing.mixtures
    order = np.argsort(-one.cost_P, kind="stable")[:_SHOWN]
    head = "".join(
        f'<th scope="col" class="{"name" if text in {"Prompt", "Sent to"} else ""}">{text}</th>'
        for text in ("Prompt", "Sent to", "Expected score", "Cost")
    )
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(prompts[p][:160])}</th>'
        f'<td class="name">{_sent(routing, int(p))}</td>'
        f"<td>{one.value_P[p]:.3f}</td><td>{one.cost_P[p]:.3g}</td></tr>"
        for p in order
    )
    shown = (
        f"The {len(order)} dearest of {len(prompts)} prompts." if len(order) < len(prompts) else "The dearest first."
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>Prompts</h2><p>{shown}</p>{scrolling(table, 'Prompts')}"


def _sent(routing: Routing, prompt: int) -> str:
    chances = routing.chances(prompt)
    return " or ".join(escape(name) + ("" if chance == 1 else f" ({chance:.0%})") for name, chance in chances.items())
