"""Pictures of forecasts: new models beside the board, actual against foretold in order of time, and coverage.

Not here: how a chart becomes a file or a piece of a page (`pictures/drawing.py`), and the page (`forecast_report.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from palaestra.judge.backtest import Backtest
from palaestra.judge.forecast import Forecast
from palaestra.judge.forecast_tables import Ratings
from palaestra.pictures.drawing import altair, names_axis, styled
from palaestra.pictures.palette import FIRST, INK, LINE, MANY, SECOND, SOFT

if TYPE_CHECKING:
    from altair import TopLevelMixin

_WIDTH, _HEIGHT = 600, 320
_ROW = 20
_AROUND = 1.96
_BEST = 25
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3], [10, 4])
_METHOD_NAMES = {
    "joint": "joint law",
    "joint_without_date": "joint law, no date",
    "least_squares": "least squares",
    "least_squares_date": "least squares, date",
    "best_benchmark": "best benchmark",
    "mean_z": "mean z-score",
    "board_mean": "board mean",
    "auto": "chosen in the past",
}


def forecast_chart(found: Forecast, board: Ratings, top: int = _BEST) -> TopLevelMixin:
    """New models, foretold, among those of the board that are nearest to them, best first.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    rows: list[dict[str, Any]] = [
        {"model": line.model, "x": line.rating, "low": line.lower, "high": line.upper, "kind": "foretold"}
        for line in found.models
    ]
    middle = float(np.median([line.rating for line in found.models]))
    near = np.argsort(np.abs(board.rating_M - middle), kind="stable")[: max(top - len(rows), 0)].tolist()
    if found.production in board.models:
        near = [*dict.fromkeys([board.models.index(found.production), *near])][: max(top - len(rows), 1)]
    rows += [_on_board(board, place, found.production) for place in near]
    rows.sort(key=lambda row: -row["x"])
    names = tuple(row["model"] for row in rows)
    kinds = [kind for kind in ("foretold", "in production", "on the board") if kind in {row["kind"] for row in rows}]
    colors = {"foretold": FIRST, "in production": SECOND, "on the board": SOFT}
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[colors[kind] for kind in kinds]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1, offset=4),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names), color=color)
    x = alt.X("low:Q", title="rating", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=8))
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("x:Q"))
    drawn = alt.layer(bars, dots).properties(width=_WIDTH, height=alt.Step(_ROW))
    said = f"{100 * found.settings.confidence:g}% intervals of the forecasts, and 95% of the board"
    shown = "" if len(near) == len(board.models) else f"; {len(near)} of {len(board.models)} models of the board"
    return styled(drawn, "Where the new models will stand", said + shown)


def _on_board(board: Ratings, place: int, production: str | None) -> dict[str, Any]:
    rating, se = float(board.rating_M[place]), float(board.se_M[place])
    return {
        "model": board.models[place],
        "x": rating,
        "low": rating - _AROUND * se,
        "high": rating + _AROUND * se,
        "kind": "in production" if board.models[place] == production else "on the board",
    }


def past_chart(found: Backtest, method: str | None = None) -> TopLevelMixin:
    """Actual ratings on the intervals that were foretold, in order of time.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    method = method or found.reference
    own = sorted((one for one in found.forecasts if one.method == method), key=lambda one: (one.date, one.model))
    rows = []
    for number, one in enumerate(own):
        wide = {level: one.scale * float(stdtrit(one.freedom, (1 + level) / 2)) for level in (0.5, 0.95)}
        rows.append(
            {
                "number": number,
                "model": one.model,
                "date": one.date.isoformat(),
                "foretold": one.rating,
                "actual": one.actual,
                "low": one.rating - wide[0.95],
                "high": one.rating + wide[0.95],
                "near_low": one.rating - wide[0.5],
                "near_high": one.rating + wide[0.5],
                "kind": "actual, inside 95%" if abs(one.actual - one.rating) <= wide[0.95] else "actual, outside",
            }
        )
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "number:Q",
            title="models in the order of their coming",
            scale=alt.Scale(domain=[-1, len(rows)], nice=False),
            axis=alt.Axis(labels=False, grid=False),
        )
    )
    y = alt.Y("low:Q", title="rating, on the scale of the board before", scale=alt.Scale(zero=False))
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["actual, inside 95%", "actual, outside"], range=[SECOND, FIRST]),
        legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1, offset=4),
    )
    wide = base.mark_rule(color=LINE, strokeWidth=4).encode(y=y, y2="high:Q")
    near = base.mark_rule(color=SOFT, strokeWidth=4, opacity=0.6).encode(y=alt.Y("near_low:Q"), y2="near_high:Q")
    tip = ["model:N", "date:N", alt.Tooltip("foretold:Q", format=".0f"), alt.Tooltip("actual:Q", format=".0f")]
    dots = base.mark_point(filled=True, size=34, opacity=1).encode(y=alt.Y("actual:Q"), color=color, tooltip=tip)
    drawn = alt.layer(wide, near, dots).properties(width=_WIDTH, height=_HEIGHT)
    span = f"{own[0].date} to {own[-1].date}"
    said = f"{len(own)} models, {span}, each foretold by the {_METHOD_NAMES[method]} from the board before it came"
    return styled(drawn, "Foretold, and what came", said, "bars: 95% (light) and 50% (dark) intervals; dots: what came")


def coverage_chart(found: Backtest) -> TopLevelMixin:
    """How often an interval of each level held the actual rating, by method.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    levels = np.linspace(0.05, 0.99, 48)
    methods = [method for method in found.scores if method != "board_mean"]
    rows = []
    for method in methods:
        inside = np.abs([one.below - 0.5 for one in found.forecasts if one.method == method])
        rows += [
            {"level": float(level), "covered": float((inside <= level / 2).mean()), "method": _METHOD_NAMES[method]}
            for level in levels
        ]
    names = [_METHOD_NAMES[method] for method in methods]
    color = alt.Color(
        "method:N", scale=alt.Scale(domain=names, range=list(MANY[: len(names)])), legend=alt.Legend(title=None)
    )
    dash = alt.StrokeDash(
        "method:N", scale=alt.Scale(domain=names, range=list(_DASHES[: len(names)])), legend=alt.Legend(title=None)
    )
    x = alt.X("level:Q", title="level of the interval", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("covered:Q", title="held what came", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1]))
    lines = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2).encode(x=x, y=y, color=color, strokeDash=dash)
    even = alt.Chart(alt.Data(values=[{"level": 0, "covered": 0}, {"level": 1, "covered": 1}]))
    diagonal = even.mark_line(color=INK, strokeWidth=1, strokeDash=[3, 3]).encode(x="level:Q", y="covered:Q")
    drawn = alt.layer(diagonal, lines).properties(width=_HEIGHT, height=_HEIGHT)
    return styled(
        drawn, "Do the intervals hold?", "on the diagonal they hold as often as they say; below it, too seldom"
    )
