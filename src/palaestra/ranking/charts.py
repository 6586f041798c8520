"""Pictures of a board: ratings, ranks, win rates, battles, effects, calibration, categories, and ratings over time.

Each function returns an altair chart, which a notebook shows and `save_chart` writes. A picture that has no place for
every model shows the best ones and says how many; the whole board is the table's matter, and `report.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.pictures.drawing import NAME, altair, best, intervals, names_axis, of_all, save_chart, spelled, styled
from palaestra.pictures.palette import FIRST, INK, MANY, RISING, SECOND, SHEET, SOFT
from palaestra.ranking.compare import ELO
from palaestra.ranking.heat_maps import PairCounts, battles_chart, categories_chart, win_rate_chart
from palaestra.schema import Leaderboard, ModelRating

if TYPE_CHECKING:
    from altair import TopLevelMixin

    from palaestra.ranking.board import Board

__all__ = [
    "KINDS", "PairCounts", "battles_chart", "calibration_chart", "categories_chart", "draw", "effects_chart",
    "history_chart", "ranks_chart", "ratings_chart", "save_chart", "win_rate_chart",
]  # fmt: skip

KINDS = ("ratings", "ranks", "wins", "observed", "battles", "effects", "calibration")
"""What `draw` can draw of one board."""

_WIDTH = 380
_ROW = 21


def draw(board: Board, kind: str) -> TopLevelMixin:
    """One of `KINDS`, by name.

    Raises:
        InputError: there is no such picture, or the board has not what it shows.
        MissingPartError: the extra `plots` is not installed.
    """
    if kind not in KINDS:
        raise InputError(f"found the picture {kind!r}, expected one of {', '.join(KINDS)}")
    if kind in {"observed", "battles"}:
        if not board.counts.names:
            raise InputError(f"{kind}: this board does not know its votes; draw one that comes from fit")
        pairs = PairCounts(board.counts.names, board.counts.wins_MM, board.counts.drawn_MM).of(spelled(board.models))
        return battles_chart(pairs) if kind == "battles" else win_rate_chart(board, pairs)
    drawers = {
        "ratings": ratings_chart, "ranks": ranks_chart, "wins": win_rate_chart, "effects": effects_chart,
        "calibration": calibration_chart,
    }  # fmt: skip
    return drawers[kind](board)


def ratings_chart(board: Leaderboard, top: int = 40) -> TopLevelMixin:
    """Ratings with their intervals, best first; preliminary ones hollow, and the line of usable answers if known."""
    alt = altair()
    lines = best(board, top)
    rows = [line.model_dump(include={"model", "rating", "lower", "upper", "preliminary"}) for line in lines]
    low, high = _reach(board, lines)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("rating:Q", title="rating (Elo)", scale=scale, axis=alt.Axis(format="d", tickCount=6))
    chart = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, spelled(lines)))
    bars = chart.mark_rule(strokeWidth=3, color=SECOND, clip=True).encode(
        x=alt.X("lower:Q", title="rating (Elo)", scale=scale), x2="upper:Q"
    )
    dots = chart.mark_point(size=65, opacity=1, stroke=FIRST, strokeWidth=2).encode(
        x=x,
        fill=alt.condition("datum.preliminary", alt.value(SHEET), alt.value(FIRST)),
        tooltip=["model:N", *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("rating", "lower", "upper"))],
    )
    said = [f"{intervals(board)}" + of_all(board, lines)]
    if any(line.preliminary for line in lines):
        said.append("hollow: preliminary; its interval may leave the picture")
    layers = [bars, dots]
    if board.usable is not None:
        at = alt.Chart(alt.Data(values=[{"at": board.usable.rating}])).encode(x=alt.X("at:Q", scale=scale))
        layers.insert(0, at.mark_rule(color=INK, strokeDash=[5, 4], strokeWidth=1.5))
        said.append(f"dashed: from {board.usable.rating:.0f} on, an answer is more often usable than not")
    return styled(alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(_ROW)), "Ratings", *said)


def ranks_chart(board: Leaderboard, top: int = 40) -> TopLevelMixin:
    """The ranks that each model can have: by its own interval, and for all models at once."""
    alt = altair()
    lines = best(board, top)
    alone, together = "each model by itself", "all models at once"
    rows = []
    for line in lines:
        kinds = [(alone, line.rank_lower, line.rank_upper)]
        if line.rank_simultaneous_lower is not None and line.rank_simultaneous_upper is not None:
            kinds.insert(0, (together, line.rank_simultaneous_lower, line.rank_simultaneous_upper))
        rows += [
            {"model": line.model, "kind": kind, "best": best, "worst": worst, "from": best - 0.4, "to": worst + 0.4}
            for kind, best, worst in kinds
        ]
    worst = max(row["worst"] for row in rows)
    scale = alt.Scale(domain=[0.4, worst + 0.6], nice=False)
    x = alt.X("from:Q", title="rank", scale=scale, axis=alt.Axis(format="d", values=_whole_ticks(worst)))
    legend = alt.Legend(title=None, orient="top", symbolType="square")
    bars = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(cornerRadius=3)
        .encode(
            x=x,
            x2="to:Q",
            y=names_axis(alt, spelled(lines)),
            size=alt.Size("kind:N", scale=alt.Scale(domain=[alone, together], range=[6, 15]), legend=None),
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=[together, alone], range=[RISING[2], SECOND]), legend=legend
            ),
            tooltip=["model:N", "kind:N", "best:Q", "worst:Q"],
        )
        .properties(width=_WIDTH, height=alt.Step(_ROW))
    )
    return styled(bars, "Ranks", f"ranks that {intervals(board)} allow{of_all(board, lines)}")


def effects_chart(board: Leaderboard) -> TopLevelMixin:
    """What style and bias do to a vote, in Elo for one standard deviation, with intervals.

    Raises:
        InputError: the board has no effects.
    """
    if not board.effects:
        raise InputError("found a board without effects, expected one that was fitted with style or covariates")
    alt = altair()
    rows = [
        {"name": effect.name, "elo": effect.elo, "lower": ELO * effect.lower, "upper": ELO * effect.upper}
        for effect in board.effects
    ]
    x = alt.X("elo:Q", title="Elo", scale=alt.Scale(zero=True, padding=12), axis=alt.Axis(tickCount=6))
    chart = alt.Chart(alt.Data(values=rows)).encode(
        y=names_axis(alt, tuple(effect.name for effect in board.effects), "name")
    )
    bars = chart.mark_rule(strokeWidth=3, color=SECOND).encode(x="lower:Q", x2="upper:Q")
    dots = chart.mark_point(size=65, opacity=1, filled=True, color=FIRST).encode(
        x=x, tooltip=["name:N", *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("elo", "lower", "upper"))]
    )
    zero = alt.Chart(alt.Data(values=[{"at": 0}])).mark_rule(color=INK, strokeWidth=1).encode(x="at:Q")
    drawn = alt.layer(zero, bars, dots).properties(width=_WIDTH, height=alt.Step(30))
    return styled(drawn, "Effects", f"gain of a side by one standard deviation more, {intervals(board)}")


def calibration_chart(board: Leaderboard) -> TopLevelMixin:
    """Foretold against observed scores of votes that the fit had not seen; points as large as the votes behind them.

    Raises:
        InputError: the board has no held-out votes.
    """
    if not board.fit.calibration:
        raise InputError(
            "found a board without held-out votes, expected one of at least 50 votes that connect its models"
        )
    alt = altair()
    rows = [share.model_dump() for share in board.fit.calibration]
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(tickCount=5, labelFlush=False)
    x = alt.X("predicted:Q", title="foretold score", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="observed score", scale=scale, axis=axis)
    ends = alt.Chart(alt.Data(values=[{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]))
    line = ends.mark_line(color=SOFT, strokeDash=[5, 4], strokeWidth=1.5).encode(x=x, y=y)
    dots = (
        alt.Chart(alt.Data(values=rows))
        .mark_point(filled=True, opacity=1, color=FIRST, stroke=SHEET, strokeWidth=1)
        .encode(
            x=x,
            y=y,
            size=alt.Size("votes:Q", scale=alt.Scale(range=[30, 420], zero=True), legend=None),
            tooltip=[alt.Tooltip("predicted:Q", format=".3f"), alt.Tooltip("observed:Q", format=".3f"), "votes:Q"],
        )
    )
    drawn = alt.layer(line, dots).properties(width=300, height=300)
    return styled(
        drawn, "Calibration", "votes that the fit had not seen, a tie half; larger: more votes; dashed: perfect"
    )


def history_chart(history: pl.DataFrame, top: int = 8) -> TopLevelMixin:
    """Ratings over time with their intervals: the models that are best at their last date.

    Args:
        history: columns `date`, `model`, `rating`, `lower`, `upper`.
        top: how many models, at most eight.

    Raises:
        InputError: a column is missing, or there are no rows.
    """
    if (missing := {"date", "model", "rating", "lower", "upper"} - set(history.columns)) or not history.height:
        raise InputError(
            f"found a history without {', '.join(sorted(missing)) or 'rows'}, expected what rank history gives"
        )
    alt = altair()
    last = history.sort("date").group_by("model").last().sort("rating", "model", descending=[True, False])
    last = last.head(min(top, len(MANY)))
    names = last["model"].to_list()
    shown = history.filter(pl.col("model").is_in(names)).sort("date")
    rows = shown.with_columns(pl.col("date").cast(pl.Datetime("ms")).dt.epoch("ms")).to_dicts()
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
    color = alt.Color("model:N", scale=alt.Scale(domain=names, range=list(MANY[: len(names)])), legend=None)
    x = alt.X("date:T", title=None, axis=alt.Axis(grid=False, labelOverlap=True))
    y = alt.Y("rating:Q", title="rating (Elo)", scale=alt.Scale(zero=False))
    chart = alt.Chart(alt.Data(values=rows)).encode(x=x, color=color)
    bands = chart.mark_area(opacity=0.12).encode(y=alt.Y("lower:Q"), y2="upper:Q")
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=names, range=dashes[: len(names)]), legend=None)
    lines = chart.mark_line(strokeWidth=2.2, point={"size": 22}).encode(y=y, strokeDash=dash)
    height = 320
    span = float(shown["upper"].max() - shown["lower"].min()) or 1.0  # ty: ignore[unsupported-operator] - numbers
    ends = last.with_columns(
        pl.col("date").cast(pl.Datetime("ms")).dt.epoch("ms").max(),
        at=_apart(last["rating"].to_numpy(), 15 * span / height),
    )
    labels = (
        alt.Chart(alt.Data(values=ends.to_dicts()))
        .mark_text(align="left", dx=8, fontSize=12, limit=NAME)
        .encode(x=x, y=alt.Y("at:Q"), text="model:N", color=color)
    )
    drawn = alt.layer(bands, lines, labels).properties(width=560, height=height)
    some = (
        f"; the best {len(names)} of {history['model'].n_unique()} models"
        if len(names) < history["model"].n_unique()
        else ""
    )
    return styled(drawn, "Ratings over time", f"with their intervals{some}")


def _reach(board: Leaderboard, lines: tuple[ModelRating, ...]) -> tuple[float, float]:
    """The axis of ratings: all of them, and the intervals that are firm; a hopeless one must not squeeze the rest."""
    firm = [line for line in lines if not line.preliminary] or lines
    level = [] if board.usable is None else [board.usable.rating]
    low = min([*(line.rating for line in lines), *(line.lower for line in firm), *level])
    high = max([*(line.rating for line in lines), *(line.upper for line in firm), *level])
    space = 0.04 * (high - low) or 1.0
    return low - space, high + space


def _whole_ticks(worst: int) -> list[int]:
    """Ranks to write at an axis: 1, and round ones."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**9) if worst <= 12 * step)
    return sorted({1, *range(step, worst + 1, step)})


def _apart(at: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Places from high to low, moved down where they would be closer than the gap."""
    placed = at.copy()
    for number in range(1, len(placed)):
        placed[number] = min(placed[number], placed[number - 1] - gap)
    return placed + (at - placed).mean()
