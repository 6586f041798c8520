"""Votes as tables of counts: everything that a Bradley-Terry fit needs to know of a million votes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.schema import Winner

Array = NDArray[np.float64]
OUTCOMES = [winner.value for winner in Winner]


@dataclass(frozen=True, slots=True)
class Counts:
    """Weighted votes, by pair and outcome.

    `wins_MM[i, j]` is how often i beat j. `ties_MM` and `both_bad_MM` are symmetric and hold each vote in both of its
    places. Models are sorted by name.
    """

    names: tuple[str, ...]
    wins_MM: Array
    ties_MM: Array
    both_bad_MM: Array

    @property
    def drawn_MM(self) -> Array:
        """Ties and both bad together, symmetric."""
        return self.ties_MM + self.both_bad_MM

    @property
    def halved_MM(self) -> Array:
        """Wins, a draw counting half in both directions."""
        return self.wins_MM + self.drawn_MM / 2

    @property
    def votes(self) -> float:
        """The sum of the weights."""
        return float(self.halved_MM.sum())

    def of(self, members: NDArray[np.int64]) -> Counts:
        """The counts among some of the models."""
        block = np.ix_(members, members)
        names = tuple(self.names[index] for index in members)
        return Counts(names, self.wins_MM[block], self.ties_MM[block], self.both_bad_MM[block])

    def sha256(self) -> str:
        """A hash of names and counts: the same for the same votes in any order, file format or database."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for table in (self.wins_MM, self.ties_MM, self.both_bad_MM):
            digest.update(np.ascontiguousarray(table, dtype="<f8").tobytes())
        return digest.hexdigest()

    def folds(self, count: int, seed: int) -> list[Counts]:
        """The votes dealt at random into `count` parts, which add up to the whole."""
        rng = np.random.default_rng(seed)
        share = np.full(count, 1 / count)
        upper = np.triu(np.ones_like(self.wins_MM))

        def deal(table: Array) -> list[Array]:
            whole = np.floor(table).astype(np.int64)
            parts = rng.multinomial(whole, share).astype(float)
            rest = rng.multinomial(1, share, size=table.shape) * (table - whole)[..., None]
            return list(np.moveaxis(parts + rest, -1, 0))

        def deal_symmetric(table: Array) -> list[Array]:
            return [part + part.T for part in deal(table * upper)]

        dealt = zip(deal(self.wins_MM), deal_symmetric(self.ties_MM), deal_symmetric(self.both_bad_MM), strict=True)
        return [Counts(self.names, *tables) for tables in dealt]


def count_votes(votes: pl.DataFrame) -> Counts:
    """Count a frame of votes.

    Args:
        votes: columns `model_a`, `model_b`, `winner`, and `weight` if rows stand for more or less than one vote.
    """
    weight = pl.col("weight") if "weight" in votes.columns else pl.lit(1.0)
    counted = (
        votes.lazy()
        .with_columns(weight.alias("weight"))
        .filter(pl.col("weight") > 0)
        .group_by("model_a", "model_b", "winner")
        .agg(pl.col("weight").sum())
        .sort("model_a", "model_b", "winner")
        .collect()
    )
    names = tuple(sorted(set(counted["model_a"]) | set(counted["model_b"])))
    index = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(OUTCOMES), len(names), len(names)))
    place = {outcome: number for number, outcome in enumerate(OUTCOMES)}
    for model_a, model_b, winner, total in counted.iter_rows():
        table[place[winner], index[model_a], index[model_b]] += total
    a_wins, b_wins, ties, both_bad = table
    return Counts(names, a_wins + b_wins.T, ties + ties.T, both_bad + both_bad.T)
