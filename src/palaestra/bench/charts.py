"""Pictures of a benchmark: the map of its topics, the funnel, the scores, the sizes of topics.

Not here: the page that they stand on (`page.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from palaestra.bench.account import Account
from palaestra.pictures.drawing import NAME, altair, names_axis, styled
from palaestra.pictures.palette import FIRST, INK, LINE, MANY, RISING, SECOND, SHEET

if TYPE_CHECKING:
    from altair import TopLevelMixin

_MAP, _WIDTH, _HEIGHT = 620, 420, 240
_BAR = 20
_TOP = 30


def map_chart(account: Account) -> TopLevelMixin:
    """Every prompt at its place, coloured by upper topic; those of the set are drawn over the others.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    uppers = list(dict.fromkeys(line.upper for line in account.topics))
    rows = [place.model_dump() for place in account.places]
    few, many = [row for row in rows if row["chosen"]], [row for row in rows if not row["chosen"]]
    colours = alt.Scale(
        domain=[*uppers, "in no topic"], range=[*(MANY[n % len(MANY)] for n in range(len(uppers))), LINE]
    )
    color = alt.Color(
        "upper:N",
        scale=colours,
        legend=alt.Legend(title="upper topic", orient="right", symbolOpacity=1, symbolType="circle"),
    )
    x, y = (alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)), alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)))
    layers = [
        alt.Chart(alt.Data(values=[row | {"upper": row["upper"] or "in no topic"} for row in part]))
        .mark_circle(size=size, opacity=opacity, stroke=stroke, strokeWidth=0.8)
        .encode(x=x, y=y, color=color)
        for part, size, opacity, stroke in ((many, 9, 0.35, None), (few, 38, 1.0, SHEET))
    ]
    names = alt.Chart(alt.Data(values=_centres(rows)))
    for width, colour in ((4, SHEET), (0, INK)):
        layers.append(
            names.mark_text(
                fontSize=11, limit=NAME, color=colour, stroke=colour if width else None, strokeWidth=width
            ).encode(x=x, y=y, text="name:N")
        )
    shown = f"{len(many):,} of {account.prompts_of_map - len(few):,} other prompts"
    said = f"large: the {len(few):,} prompts of the set; small: {shown}; close together: alike"
    named = "names: the topics with most prompts in the set; directions and distances far apart say nothing"
    return styled(alt.layer(*layers).properties(width=_MAP, height=_MAP * 0.72), "Map of the topics", said, named)


def funnel_chart(account: Account) -> TopLevelMixin:
    """How many prompts each step left, and how many went.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    before, rows = account.steps[0].prompts, []
    for step in account.steps:
        shared = {"step": step.step, "end": before, "said": f"{step.prompts:,}"}
        rows += [
            {**shared, "count": step.prompts, "kind": "left", "order": 0},
            {**shared, "count": before - step.prompts, "kind": "went", "order": 1},
        ]
        before = step.prompts
    names = tuple(step.step for step in account.steps)
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names, "step", grid=False))
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["left", "went"], range=[SECOND, RISING[1]]),
        legend=alt.Legend(title=None, orient="top", symbolType="square", symbolOpacity=1),
    )
    bars = base.mark_bar(height=_BAR * 0.7).encode(
        x=alt.X("sum(count):Q", title="prompts"), color=color, order="order:Q"
    )
    said = base.transform_filter("datum.kind === 'left'").mark_text(align="left", dx=5, color=INK, fontSize=11)
    chart = alt.layer(bars, said.encode(x="end:Q", text="said:N"))
    chart = chart.properties(width=_WIDTH, height=alt.Step(_BAR * 1.4))
    return styled(chart, "What went at each step", "prompts that each step left, in numbers, and those that it dropped")


def scores_chart(account: Account) -> TopLevelMixin:
    """The share of prompts with each score, in the pool and in the set.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    pool, chosen = (max(sum(one[place] for one in account.scores), 1) for place in (1, 2))
    rows = [
        {"score": low, "end": low + 0.5, "share": count / total, "of": of}
        for low, *counts in account.scores
        for count, total, of in zip(counts, (pool, chosen), ("all prompts", "the set"), strict=True)
    ]
    color = alt.Color(
        "of:N",
        scale=alt.Scale(domain=["all prompts", "the set"], range=[SECOND, FIRST]),
        legend=alt.Legend(title=None, orient="top", symbolType="square", symbolOpacity=1),
    )
    kind = "count by the judge" if account.scored_by == "judge" else "expected score"
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(opacity=0.55)
        .encode(
            x=alt.X(
                "score:Q", bin="binned", title=f"criteria met, {kind}", axis=alt.Axis(grid=False, values=list(range(8)))
            ),
            x2="end:Q",
            y=alt.Y("share:Q", title="share", stack=None, axis=alt.Axis(format=".0%")),
            color=color,
        )
    )
    return styled(chart.properties(width=_WIDTH, height=_HEIGHT), "Scores", "share of prompts in each half point")


def sizes_chart(account: Account) -> TopLevelMixin:
    """The topics with most prompts: how many there were, how many passed, how many are in the set.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    lines = sorted(account.topics, key=lambda line: (-line.chosen, -line.found))[:_TOP]
    names = tuple(line.topic for line in lines)
    kinds = {"found": "in the pool", "kept": "passed the thresholds", "chosen": "in the set"}
    rows = [
        {"topic": line.topic, "kind": kinds[kind], "count": getattr(line, kind)} for line in lines for kind in kinds
    ]
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(kinds.values()), range=[RISING[1], SECOND, FIRST]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names, "topic"))
    scale = alt.Scale(type="symlog", constant=1)
    line = base.mark_rule(color=LINE).encode(x=alt.X("min(count):Q", scale=scale), x2="max(count):Q")
    dots = base.mark_circle(size=70, opacity=1).encode(
        x=alt.X("count:Q", scale=scale, title="prompts", axis=alt.Axis(format="~s", tickCount=6)), color=color
    )
    shown = f"the {len(lines)} with most prompts in the set, of {len(account.topics)}"
    return styled(alt.layer(line, dots).properties(width=_WIDTH, height=alt.Step(_BAR)), "Topics", shown)


def _centres(rows: list[dict[str, Any]], most: int = 12) -> list[dict[str, Any]]:
    """The middle of the topics with most prompts in the set, not too close to each other."""
    inside: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["chosen"] and row["topic"]:
            inside.setdefault(row["topic"], []).append((row["x"], row["y"]))
    spread = np.ptp(np.array([(row["x"], row["y"]) for row in rows]), axis=0) if rows else np.ones(2)
    found: list[dict[str, Any]] = []
    for name, spots in sorted(inside.items(), key=lambda item: (-len(item[1]), item[0])):
        x, y = np.median(np.array(spots), axis=0).tolist()
        near = [abs(x - one["x"]) < 0.22 * spread[0] and abs(y - one["y"]) < 0.05 * spread[1] for one in found]
        if not any(near) and len(found) < most:
            found.append({"name": name, "x": x, "y": y})
    return found
