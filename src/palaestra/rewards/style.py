"""Style as columns beside the head: how long a reply is, and how much Markdown it has.

    length     log(1 + tokens)
    markdown   log(1 + headers), log(1 + list items), log(1 + bold texts)

tokens and marks as `store/markdown.py` counts them. Leaving length out of the features takes nothing out of the score:
a vector of a reply knows how long it is. So the vectors are made orthogonal to style first (Frisch and Waugh, 1933;
Lovell, 1963): from every column of features the part is taken off that style foretells among replies to the same
prompt. Then the columns of style hold all that is linear in style, and a score without them is free of it.

Not here: style of whole models on a leaderboard (`ranking/style.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from palaestra.rewards.comparisons import Comparisons, Floats
from palaestra.rewards.config import Style
from palaestra.store.markdown import count_in_texts

COLUMNS: dict[Style, tuple[str, ...]] = {"length": ("length",), "markdown": ("header", "list", "bold")}
_SOME = 1e-9
_FEWEST = 10
"""Rankings whose replies differ in a column, for it to count: with fewer its coefficient may well be infinite."""


@dataclass(frozen=True, slots=True)
class StyleColumns:
    """Columns of style, by name, and how many of the first ones are left out of the score."""

    names: tuple[str, ...]
    left_out: int
    value_NS: Floats


def style_of(texts: Sequence[str], names: Sequence[str]) -> Floats:
    """The named columns of texts, shape (N, S)."""
    counts = count_in_texts(pl.Series(list(texts), dtype=pl.String))
    return np.log1p(np.stack([counts[name].to_numpy().astype(float) for name in names], axis=1).reshape(-1, len(names)))


def style_columns(
    texts: Sequence[str], comparisons: Comparisons, style: Sequence[Style], debias: Sequence[Style]
) -> tuple[StyleColumns, tuple[str, ...]]:
    """The columns that differ among replies to the same prompt, those that are left out of the score first.

    Returns:
        The columns, and the names of those in which replies differ in fewer than ten rankings, or which follow from the
        others.
    """
    order = [*debias, *(name for name in style if name not in debias)]
    names = [column for name in order for column in COLUMNS[name]]
    if not names:
        return StyleColumns((), 0, np.zeros((len(texts), 0))), ()
    value_NS = style_of(texts, names)
    kept = _independent(comparisons.centred(value_NS), comparisons)
    out = sum(len(COLUMNS[name]) for name in debias)
    columns = StyleColumns(tuple(names[place] for place in kept), sum(place < out for place in kept), value_NS[:, kept])
    return columns, tuple(name for place, name in enumerate(names) if place not in kept)


def foretold(style_NS: Floats, value_NK: Floats, comparisons: Comparisons) -> Floats:
    """Coefficients of the regression of columns on style, among replies to the same prompt, shape (S, K)."""
    return np.linalg.lstsq(comparisons.centred(style_NS), comparisons.centred(value_NK), rcond=None)[0].astype(
        np.float64
    )


def _independent(centred_NS: Floats, comparisons: Comparisons) -> list[int]:
    kept: list[int] = []
    for place in range(centred_NS.shape[1]):
        column_N = centred_NS[:, place]
        rest_N = column_N
        if kept:
            known_NK = centred_NS[:, kept]
            rest_N = column_N - known_NK @ np.linalg.lstsq(known_NK, column_N, rcond=None)[0]
        differ = len(np.unique(comparisons.of_N[np.abs(column_N) > _SOME]))
        if differ >= _FEWEST and np.linalg.norm(rest_N) > _SOME * max(float(np.linalg.norm(column_N)), 1.0):
            kept.append(place)
    return kept
