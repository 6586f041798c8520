"""Verdicts as votes: what the ranking engine takes.

A verdict with a label is a vote of its judge on its question. Preferences that lie between the labels (from the
probabilities of letters) become shares of a vote: p of one for A and 1 - p for B. Strong verdicts count as one vote
unless asked otherwise; Arena-Hard's published boards count them as three, and its bootstrap then takes the copies for
independent, which makes intervals too narrow: here a copy is weight, and questions are the clusters.
"""

from __future__ import annotations

import polars as pl

from palaestra.errors import InputError
from palaestra.store.foreign import STRENGTHS, WINNERS

VOTE_COLUMNS = ("question_id", "model_a", "model_b", "winner", "weight", "voter", "game", "strength", "category")


def votes_of(verdicts: pl.DataFrame, *, strong: float = 1.0, by_preference: bool = False) -> pl.DataFrame:
    """One row a vote, with the columns of a vote file, in the order of the verdicts.

    Args:
        verdicts: with the columns of `Verdict`. Those without a label are left out.
        strong: as how many votes a strong verdict counts.
        by_preference: whether the judge's probabilities make shares of votes, where it gave any.

    Raises:
        InputError: no verdict has a label, or `strong` is below 1.
    """
    if strong < 1:
        raise InputError(f"found strong = {strong}, expected at least 1")
    there = verdicts.filter(pl.col("label").is_not_null() & (pl.col("model_a") != pl.col("model_b")))
    if there.is_empty():
        raise InputError(f"found {len(verdicts)} verdicts, none of which has a label: there is nothing to rank")
    strength = pl.col("label").replace_strict(STRENGTHS, return_dtype=pl.String)
    rows = there.with_row_index("row").select(
        "row",
        "question_id",
        "model_a",
        "model_b",
        "game",
        "preference",
        winner=pl.col("label").replace_strict(WINNERS, return_dtype=pl.String),
        weight=pl.when(strength == "strong").then(pl.lit(float(strong))).otherwise(pl.lit(1.0)),
        voter="judge",
        strength=strength,
        category=pl.col("category").fill_null("all"),
    )
    if by_preference:
        rows = _shared(rows)
    return rows.select(VOTE_COLUMNS)


def _shared(rows: pl.DataFrame) -> pl.DataFrame:
    """Votes that are certain as they are, the others in two shares."""
    p = pl.col("preference")
    certain = p.is_null() | p.is_in([0.0, 0.5, 1.0])
    between = rows.filter(~certain)
    shares = [
        between.with_columns(winner=pl.lit(side), weight=pl.col("weight") * share)
        for side, share in (("model_a", p), ("model_b", 1 - p))
    ]
    return pl.concat([rows.filter(certain), *shares]).sort("row", maintain_order=True)
