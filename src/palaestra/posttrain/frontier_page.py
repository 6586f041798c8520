"""The frontier of accuracy and tokens as words, a picture and a page, and the curves of a run of reinforcement.

Not here: the figures (`frontier.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palaestra.pictures.drawing import altair, styled
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.pictures.palette import FIRST, INK, SECOND, SOFT
from palaestra.posttrain.frontier import Frontier, Point

if TYPE_CHECKING:
    from altair import TopLevelMixin

HEADS = ("model", "accuracy, %", "tokens", "tokens per right reply", "times fewer tokens", "accuracy gained, points")
_WIDTH, _HEIGHT = 420, 280
_DRAWN = ("reward", "judge", "correct", "tokens", "repetition")


def cells(point: Point) -> tuple[str, ...]:
    """A row of the table under `HEADS`; a star stands on the frontier."""
    return (
        f"{point.name} *" if point.on_frontier else point.name,
        point.accuracy.words(scale=100),
        point.tokens.words(),
        point.tokens_per_right.words(),
        point.fewer.words(digits=2),
        point.accuracy_gain.words(scale=100),
    )


def headline(found: Frontier) -> str:
    """What is measured, in a sentence."""
    return (
        f"{found.prompts:,} held-out prompts, {100 * found.confidence:g} % intervals by prompt; * nobody is as good "
        f"with as few tokens; area under the frontier {found.area.words(digits=3)}."
    )


def frontier_chart(found: Frontier) -> TopLevelMixin:
    """Accuracy against tokens, with intervals both ways and the steps of the frontier."""
    alt = altair()
    rows: list[dict[str, Any]] = [
        {
            "model": point.name,
            "x": point.tokens.value,
            "x0": point.tokens.lower if point.tokens.lower is not None else point.tokens.value,
            "x1": point.tokens.upper if point.tokens.upper is not None else point.tokens.value,
            "y": 100 * (point.accuracy.value or 0.0),
            "y0": 100 * (point.accuracy.lower if point.accuracy.lower is not None else point.accuracy.value or 0.0),
            "y1": 100 * (point.accuracy.upper if point.accuracy.upper is not None else point.accuracy.value or 0.0),
            "on": point.on_frontier,
        }
        for point in found.points
    ]
    most = 1.15 * max(row["x1"] for row in rows)
    best = sorted((row for row in rows if row["on"]), key=lambda row: row["x"])
    steps = [*({"x": row["x"], "y": row["y"]} for row in best), {"x": most, "y": best[-1]["y"]}]
    x = alt.X("x:Q", title="tokens of a reply", scale=alt.Scale(domain=[0, most]))
    y = alt.Y("y:Q", title="accuracy, %", scale=alt.Scale(domain=[0, 100]))
    base = alt.Chart(alt.Data(values=rows))
    line = alt.Chart(alt.Data(values=steps)).mark_line(color=SOFT, strokeDash=[4, 3], interpolate="step-after")
    chart = alt.layer(
        line.encode(x=x, y=y),
        base.mark_rule(color=SECOND, strokeWidth=1.4).encode(x=alt.X("x0:Q"), x2="x1:Q", y=y),
        base.mark_rule(color=SECOND, strokeWidth=1.4).encode(x=x, y=alt.Y("y0:Q"), y2="y1:Q"),
        base.mark_point(filled=True, size=60, color=FIRST, opacity=1).encode(x=x, y=y),
        base.mark_text(align="left", dx=8, dy=-9, color=INK, fontSize=12).encode(x=x, y=y, text="model:N"),
    ).properties(width=_WIDTH, height=_HEIGHT)
    return styled(chart, "Accuracy against tokens", "dashed: the best accuracy within a budget; intervals by prompt")


def curve_charts(metrics: Sequence[Mapping[str, Any]]) -> list[TopLevelMixin]:
    """Reward and judge, right replies, tokens and repetition over the steps of a run; lines of metrics.jsonl."""
    alt = altair()
    latest = {line["step"]: line for line in metrics if line.get("domain") == "all"}  # a resumed run repeats some
    rows = [latest[step] for step in sorted(latest)]
    charts = []
    for name in _DRAWN:
        points = [{"step": row["step"], "value": row[name]} for row in rows if name in row]
        if len(points) > 1:
            line = alt.Chart(alt.Data(values=points)).mark_line(color=FIRST, strokeWidth=1.8)
            drawn = line.encode(
                x=alt.X("step:Q", title="step"), y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
            )
            title = {"judge": "held-out judge", "correct": "share of right replies"}.get(name, name)
            charts.append(
                styled(drawn.properties(width=_WIDTH // 1.3, height=_HEIGHT // 2), title, "mean of a rollout")
            )
    return charts


def write_run_page(
    path: str | Path,
    title: str,
    found: Frontier | None,
    metrics: Sequence[Mapping[str, Any]] = (),
    alarms: Sequence[str] = (),
) -> None:
    """Write the page of a run, or of a frontier.

    Args:
        path: ends in .html.
        title: of the page.
        found: the frontier; none where nothing was held out.
        metrics: lines of metrics.jsonl.
        alarms: in words.

    Raises:
        InputError: the path does not end in .html or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    body = "".join(f'<p class="verdict">{escape(words)}</p>' for words in alarms)
    if found is not None:
        body += f"<p>{escape(headline(found))}</p>{_table(found.points, 'all')}"
        body += "".join(
            f"<details><summary>{escape(name)}</summary>{_table(points, name)}</details>"
            for name, points in found.domains.items()
        )
        body += picture(frontier_chart(found), "frontier0")
    drawn = "".join(picture(chart, f"curve{place}") for place, chart in enumerate(curve_charts(metrics)))
    write_page(path, whole_page(title, f'{body}<div class="pictures">{drawn}</div>'))


def _table(points: Sequence[Point], label: str) -> str:
    head = "".join(f'<th scope="col"{_named(place)}>{escape(name)}</th>' for place, name in enumerate(HEADS))
    body = "".join(
        "<tr>" + "".join(f"<td{_named(place)}>{escape(cell)}</td>" for place, cell in enumerate(cells(point))) + "</tr>"
        for point in points
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return scrolling(table, f"accuracy and tokens: {escape(label)}")


def _named(place: int) -> str:
    return "" if place else ' class="name"'
