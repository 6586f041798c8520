"""Pictures that are tables: foretold and observed win rates, battles of each pair, ranks in each category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.pictures.drawing import NAME, altair, best, names_axis, of_all, spelled, styled
from palaestra.pictures.palette import DIVERGING, FIRST, INK, MANY, ON_STRONG, RISING, SECOND, STRONG
from palaestra.schema import Leaderboard

if TYPE_CHECKING:
    from altair import TopLevelMixin

Floats = NDArray[np.float64]

_CELL = 25


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """How often each pair of models met, in the order of a board: `wins_MM[i, j]` wins of i over j; draws symmetric."""

    names: tuple[str, ...]
    wins_MM: NDArray[np.float64]
    draws_MM: NDArray[np.float64]

    def of(self, names: tuple[str, ...]) -> PairCounts:
        """The counts of some of the models, in this order.

        Raises:
            InputError: there are no counts of a model.
        """
        place = {name: number for number, name in enumerate(self.names)}
        if missing := [name for name in names if name not in place]:
            raise InputError(
                f"found no counts of {missing[0]!r} among those of {len(place)} models; give those of this board"
            )
        block = np.ix_(*[[place[name] for name in names]] * 2)
        return PairCounts(names, self.wins_MM[block], self.draws_MM[block])


def win_rate_chart(board: Leaderboard, pairs: PairCounts | None = None, top: int = 30) -> TopLevelMixin:
    """How often the model of the row beats that of the column: as the ratings foretell; with `pairs`, as it happened.

    What happened is the share of wins among votes for either; what is foretold is 1 / (1 + 10^(-d/400)) of the
    difference d.
    """
    lines = best(board, top)
    names = spelled(lines)
    if pairs is None:
        rating_M = np.array([line.rating for line in lines])
        rate_MM = 1 / (1 + 10 ** ((rating_M - rating_M[:, None]) / 400))
        title, said = "Foretold win rates", "chance in per cent that the row beats the column, by their ratings"
    else:
        wins_MM = pairs.of(names).wins_MM
        decided_MM = wins_MM + wins_MM.T
        rate_MM = np.divide(wins_MM, decided_MM, out=np.full(wins_MM.shape, np.nan), where=decided_MM > 0)
        title, said = "Observed win rates", "per cent of votes for either that the row won; blank: no such vote"
    np.fill_diagonal(rate_MM, np.nan)
    edges = [0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85]
    chart = _heat_map(names, rate_MM, [f"{100 * rate:.0f}" for rate in rate_MM.flat], edges, DIVERGING)
    return styled(chart, title, said + of_all(board, lines))


def battles_chart(pairs: PairCounts, top: int = 30) -> TopLevelMixin:
    """How many votes each pair of models has; the first models of `pairs`.

    Raises:
        InputError: no pair has votes.
    """
    if not (pairs.wins_MM + pairs.draws_MM).any():
        raise InputError("found counts without votes, expected those of a board with votes")
    shown = pairs.of(pairs.names[:top])
    met_MM = shown.wins_MM + shown.wins_MM.T + shown.draws_MM
    edges = _classes(met_MM if met_MM.any() else np.ones((1, 1)))
    met_MM = np.where(met_MM > 0, met_MM, np.nan)
    chart = _heat_map(shown.names, met_MM, [_short(count) for count in met_MM.flat], edges, RISING)
    some = f"; the first {len(shown.names)} of {len(pairs.names)} models" if len(shown.names) < len(pairs.names) else ""
    return styled(chart, "Battles", f"votes of each pair, coloured by fifths of the pairs; blank: never met{some}")


def categories_chart(boards: Mapping[str, Leaderboard], top: int = 30) -> TopLevelMixin:
    """Ranks in each category; the first three by colour and shape, models in the order of the first board.

    Raises:
        InputError: there is no board with models.
    """
    if not boards or not next(iter(boards.values())).models:
        raise InputError("found no board with models, expected at least one")
    alt = altair()
    first = next(iter(boards.values()))
    lines = best(first, top)
    names = spelled(lines)
    places = {"1": ("circle", FIRST), "2": ("square", SECOND), "3": ("diamond", MANY[2])}
    rows = [
        {"model": line.model, "category": category.replace("_", " "), "rank": line.rank, "place": f"{line.rank}"}
        for category, board in boards.items()
        for line in board.models
        if line.model in set(names)
    ]
    categories = [category.replace("_", " ") for category in boards]
    cells = alt.Chart(alt.Data(values=rows)).encode(
        y=names_axis(alt, names, grid=False),
        x=alt.X(
            "category:N", sort=categories, title=None, axis=alt.Axis(orient="top", labelAngle=-90, labelLimit=NAME)
        ),
    )
    domain = list(places)
    shape = alt.Shape(
        "place:N", scale=alt.Scale(domain=domain, range=[places[place][0] for place in domain]), title="rank"
    )
    marks = cells.transform_filter("datum.rank <= 3").mark_point(filled=True, opacity=1, size=460).encode(
        shape=shape,
        color=alt.Color(
            "place:N", scale=alt.Scale(domain=domain, range=[places[place][1] for place in domain]), title="rank"
        ),
    )  # fmt: skip
    text = cells.mark_text(fontSize=11).encode(
        text="rank:Q", color=alt.condition("datum.rank <= 3", alt.value(ON_STRONG), alt.value(INK))
    )
    drawn = alt.layer(marks, text).properties(width=alt.Step(30), height=alt.Step(26))
    return styled(
        drawn, "Ranks by category", f"one plus the models whose interval lies wholly above{of_all(first, lines)}"
    )


def _heat_map(
    names: tuple[str, ...], value_MM: Floats, text: list[str], edges: list[float], colors: tuple[str, ...]
) -> Any:  # noqa: ANN401 - altair is loaded late
    """Cells of a square table, coloured by class, with their text; those that are not a number stay blank."""
    alt = altair()
    strong = [color in STRONG for color in colors]
    class_MM = np.searchsorted(edges, value_MM, side="right")
    rows = [
        {"row": row, "column": column, "value": round(value, 6), "text": said, "strong": strong[place]}
        for (row, column), value, place, said in zip(
            ((row, column) for row in names for column in names),
            value_MM.ravel().tolist(),
            class_MM.flat,
            text,
            strict=True,
        )
        if np.isfinite(value)
    ]
    top = alt.Axis(orient="top", labelAngle=-90, labelLimit=NAME, grid=False)
    cells = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("column:N", sort=list(names), scale=alt.Scale(domain=list(names)), title=None, axis=top),
        y=names_axis(alt, names, "row", grid=False),
    )
    classes = alt.Scale(type="threshold", domain=edges, range=list(colors))
    boxes = cells.mark_rect().encode(
        color=alt.Color("value:Q", scale=classes, legend=None), tooltip=["row:N", "column:N", "text:N"]
    )
    numbers = cells.mark_text(fontSize=10).encode(
        text="text:N", color=alt.condition("datum.strong", alt.value(ON_STRONG), alt.value(INK))
    )
    return alt.layer(boxes, numbers).properties(width=alt.Step(_CELL), height=alt.Step(_CELL))


def _classes(met_MM: Floats) -> list[float]:
    """Edges of classes that hold about equally many of the pairs that met."""
    edges = np.unique(np.quantile(met_MM[met_MM > 0], np.arange(1, len(RISING)) / len(RISING)))
    return [*edges.tolist(), *(float(edges[-1]) + more for more in range(1, len(RISING) - len(edges)))]


def _short(count: float) -> str:
    """A number in at most four signs: 7, 340, 1.2k, 15k, 2.1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.{count < 9.95 * size:d}f}{letter}"
    return f"{count:.3g}"
