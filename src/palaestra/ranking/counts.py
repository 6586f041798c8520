"""Votes as tables of counts: everything that a fit without covariates needs to know of a million votes.

Tables add up: those of two sets of votes are the tables of both together, which is how shards are merged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from palaestra.ranking.votes import Votes, code_votes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Weighted votes, by pair and outcome.

    `wins_MM[i, j]` is how often i beat j. `ties_MM` and `both_bad_MM` are symmetric and hold each vote in both of its
    places. Models are sorted by name.
    """

    names: tuple[str, ...]
    wins_MM: Array
    ties_MM: Array
    both_bad_MM: Array

    def __eq__(self, other: object) -> bool:
        """The same names and the same numbers."""
        return (
            isinstance(other, Counts)
            and self.names == other.names
            and all(np.array_equal(mine, theirs) for mine, theirs in zip(self.tables, other.tables, strict=True))
        )

    __hash__ = None

    @classmethod
    def of_outcomes(cls, names: tuple[str, ...], by_outcome_OMM: Array) -> Counts:
        """Counts from tables as `by_outcome_OMM` gives them."""
        first_MM, second_MM, ties_MM, both_bad_MM = by_outcome_OMM
        return cls(names, first_MM + second_MM.T, ties_MM + ties_MM.T, both_bad_MM + both_bad_MM.T)

    @property
    def tables(self) -> tuple[Array, Array, Array]:
        """Wins, ties, both bad."""
        return self.wins_MM, self.ties_MM, self.both_bad_MM

    @property
    def drawn_MM(self) -> Array:
        """Ties and both bad together, symmetric."""
        return self.ties_MM + self.both_bad_MM

    @property
    def halved_MM(self) -> Array:
        """Wins, a draw counting half in both directions."""
        return self.wins_MM + self.drawn_MM / 2

    @property
    def met_MM(self) -> Array:
        """How often each pair met, symmetric."""
        return self.wins_MM + self.wins_MM.T + self.drawn_MM

    @property
    def by_outcome_OMM(self) -> Array:
        """Shape (4, M, M), above the diagonal only: wins of the first, of the second, ties, both bad."""
        return np.triu(np.stack([self.wins_MM, self.wins_MM.T, self.ties_MM, self.both_bad_MM]), 1)

    @property
    def votes(self) -> float:
        """The sum of the weights."""
        return float(self.halved_MM.sum())

    @property
    def votes_M(self) -> Array:
        """The votes of each model."""
        return self.met_MM.sum(axis=1)

    def of(self, members: NDArray[np.int64]) -> Counts:
        """The counts among some of the models."""
        block = np.ix_(members, members)
        return Counts(tuple(self.names[index] for index in members), *(table[block] for table in self.tables))

    def between(self, model_a: str, model_b: str, expected: float) -> tuple[float, float]:
        """The votes of one pair, and the information of one such vote on their difference, in natural units.

        The information is the squared slope of the score over its variance, (p (1 - p))² / E (y - p)², in which ties
        make the variance smaller; where the pair has not met, the share of ties of all votes stands in.
        """
        a, b = self.names.index(model_a), self.names.index(model_b)
        met = float(self.met_MM[a, b])
        ties = self.drawn_MM[a, b] / met if met else self.drawn_MM.sum() / max(self.met_MM.sum(), 1e-300)
        slope = expected * (1 - expected)
        return met, slope**2 / max(slope - ties / 4, slope / 10)

    def plus(self, other: Counts) -> Counts:
        """Both together; each may have models that the other has not."""
        if set(other.names) <= set(self.names):
            places = [self.names.index(name) for name in other.names]
            return Counts(
                self.names, *(_added(mine, places, more) for mine, more in zip(self.tables, other.tables, strict=True))
            )
        names = tuple(sorted({*self.names, *other.names}))
        place = {name: number for number, name in enumerate(names)}
        tables = np.zeros((3, len(names), len(names)))
        for part in (self, other):
            places = [place[name] for name in part.names]
            for table, added in zip(tables, part.tables, strict=True):
                table[np.ix_(places, places)] += added
        return Counts(names, *tables)

    def sha256(self) -> str:
        """A hash of names and counts: the same for the same votes in any order, file format or database."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for table in self.tables:
            digest.update(
                np.ascontiguousarray(table.round(9) + 0.0, dtype="<f8").tobytes()
            )  # sums of fractions differ by order
        return digest.hexdigest()


def _added(table: Array, places: Any, more: Array) -> Array:  # noqa: ANN401 - indices
    whole = table.copy()
    whole[np.ix_(places, places)] += more
    return whole


def count_votes(votes: Votes | pl.DataFrame) -> Counts:
    """Count votes: coded ones, or a frame with the columns of a vote file.

    Raises:
        VoteFileError: the frame does not hold votes.
    """
    if isinstance(votes, pl.DataFrame):
        from palaestra.store.formats import check_votes

        votes = code_votes(check_votes(votes))
    return Counts(votes.names, *_tables(votes, votes.count_B))


def tables_by_outcome(votes: Votes, weight_B: Array) -> Array:
    """Any weights of votes, summed by outcome and pair; shape (4, M, M), above the diagonal, as `by_outcome_OMM`."""
    wins_MM, ties_MM, both_bad_MM = _tables(votes, weight_B)
    return np.triu(np.stack([wins_MM, wins_MM.T, ties_MM, both_bad_MM]), 1)


def _tables(votes: Votes, weight_B: Array) -> tuple[Array, Array, Array]:
    size = len(votes.names)
    summed_OMM = np.zeros((4, size, size))
    _sum_by_pair(votes.first_B, votes.second_B, votes.outcome_B, weight_B, summed_OMM)
    a_wins, b_wins, ties, both_bad = summed_OMM
    return a_wins + b_wins.T, ties + ties.T, both_bad + both_bad.T


@njit(cache=True)
def _sum_by_pair(first_B: Any, second_B: Any, outcome_B: Any, weight_B: Any, summed_OMM: Any) -> None:  # noqa: ANN401 - compiled
    for r in range(len(outcome_B)):
        summed_OMM[outcome_B[r], first_B[r], second_B[r]] += weight_B[r]
