"""Two models of a board: their difference, its interval, the chance that one is better, and the votes that are missing.

The variance of a difference is v_a + v_b - 2 c_ab, from the covariance that the board keeps; overlap of two intervals
is a much blunter test, since ratings of one board are correlated.

Votes until they are told apart, if the difference stays what it is: the standard error must shrink from s to |d| / z.
Votes like those of the board, on all pairs, shrink it by the square root of their number: n (s² z² / d² - 1) more.
Votes on this pair alone each add information h, what a vote of these two has told so far or would tell under the model:
(z² / d² - 1 / s²) / h more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr, ndtri

from palaestra.errors import InputError
from palaestra.schema.record import Record

if TYPE_CHECKING:
    from palaestra.ranking.board import Board

ELO = 400 / np.log(10)
"""Elo points of one natural unit: 400 points are odds of 10."""


class Comparison(Record):
    """Model a against model b. Differences are a minus b, in Elo; votes are None where the order is known already."""

    record_name = "comparison"

    model_a: str
    model_b: str
    difference: float
    lower: float
    upper: float
    se: float
    probability_a_better: float
    expected_score: float
    direct_votes: float
    told_apart: bool
    more_votes_direct: int | None
    more_votes_as_now: int | None

    def __str__(self) -> str:
        """The comparison in a sentence."""
        better, worse = (self.model_a, self.model_b) if self.difference >= 0 else (self.model_b, self.model_a)
        low, high = sorted((abs(self.lower), abs(self.upper))) if self.told_apart else (self.lower, self.upper)
        if self.told_apart:
            return f"{better} is better than {worse} by {abs(self.difference):.1f} Elo ({low:.1f} to {high:.1f})."
        more = f"{self.more_votes_direct} more votes on this pair" if self.more_votes_direct else "no number of votes"
        return (
            f"{self.model_a} and {self.model_b} cannot be told apart: {self.difference:+.1f} Elo "
            f"({low:+.1f} to {high:+.1f}); if the difference is what it seems, {more} would do."
        )


def compare(board: Board, model_a: str, model_b: str) -> Comparison:
    """Compare two models of a board.

    Raises:
        InputError: a model is not on the board, both are one, or votes never connected them.
    """
    places = {line.model: place for place, line in enumerate(board.models)}
    for model in (model_a, model_b):
        if model not in places:
            raise InputError(f"found no model {model!r} on this board, expected one of {', '.join(sorted(places))}")
    if model_a == model_b:
        raise InputError(f"found {model_a!r} twice, expected two models to compare")
    if not any(model_a in part and model_b in part for part in board.components):
        raise InputError(f"{model_a} and {model_b} were never connected by votes, so that they cannot be compared")
    a, b = places[model_a], places[model_b]
    difference = board.models[a].rating - board.models[b].rating
    variance = board.covariance[a][a] + board.covariance[b][b] - 2 * board.covariance[a][b]
    se = math.sqrt(max(variance, 0.0))
    z = float(ndtri(0.5 + float(str(board.settings["confidence"])) / 2))
    direct, information = board.counts.between(model_a, model_b, float(expit(difference / ELO)))
    apart = abs(difference) > z * se
    needed = (z / difference) ** 2 if difference else math.inf  # one over the variance at which zero is left out
    return Comparison(
        model_a=model_a,
        model_b=model_b,
        difference=difference,
        lower=difference - z * se,
        upper=difference + z * se,
        se=se,
        probability_a_better=float(ndtr(difference / se)) if se > 0 else float(difference > 0),
        expected_score=float(expit(difference / ELO)),
        direct_votes=direct,
        told_apart=apart,
        more_votes_direct=None if apart else _missing(needed - 1 / variance, information / ELO**2),
        more_votes_as_now=None if apart else _missing(variance * needed - 1, 1 / board.data.votes),
    )


def _missing(lacking: float, of_each: float) -> int | None:
    """How many more, or None where there is no such number: no difference, or more than anybody can count."""
    number = lacking / of_each if of_each > 0 else math.inf
    return math.ceil(number) if number < 1e12 else None  # noqa: PLR2004 - a trillion votes
