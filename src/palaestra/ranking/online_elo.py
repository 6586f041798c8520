"""Online Elo (Elo, 1978), for comparison only: ratings after each vote in its order, K points at most a vote.

    expected = 1 / (1 + 10^((R_b - R_a) / 400)),    R_a += K (score - expected),    R_b -= the same

What it says depends on the order of the votes, forgets old ones, and has no interval: reasons for not ranking by it.
Public arenas began with K = 4 and 1000 points; a tie, or both bad, scores half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numba import njit

from palaestra.errors import InputError
from palaestra.ranking.config import FitConfig
from palaestra.ranking.fit import coded_votes

_MOST_POINTS, _MOST_VOTES = 400.0, 1e8


def online_elo(votes: Any, *, k: float = 4.0, start: float = 1000.0) -> pl.DataFrame:
    """Ratings after the last vote: a frame with model, rating, votes, best first.

    Args:
        votes: as for `fit`; taken by time where they have one, else in their order. A count of n votes is n equal ones.
        k: points that a vote can move.
        start: the rating of a model before its first vote.

    Raises:
        VoteFileError: these are no votes.
        InputError: k is out of range, or there are too many votes.
    """
    if not 0 < k <= _MOST_POINTS:
        raise InputError(f"found k = {k:g}, expected points above 0 and up to {_MOST_POINTS:g}")
    _, coded = coded_votes(votes, FitConfig(), {})
    if coded.count_B.sum() > _MOST_VOTES:
        raise InputError(
            f"found {coded.count_B.sum():g} votes, expected at most {_MOST_VOTES:g} to go through one by one"
        )
    rating_M = np.full(len(coded.names), start)
    order_B = np.arange(len(coded))
    if "tstamp" in coded.frame.columns:
        order_B = coded.frame["tstamp"].arg_sort(nulls_last=True).to_numpy()
    _run(coded.first_B, coded.second_B, coded.outcome_B, np.ascontiguousarray(coded.count_B), order_B, k, rating_M)
    votes_M = sum(
        np.bincount(side_B, coded.count_B, minlength=len(coded.names)) for side_B in (coded.first_B, coded.second_B)
    )
    table = pl.DataFrame({"model": coded.names, "rating": rating_M, "votes": votes_M})
    return table.sort("rating", "model", descending=[True, False])


@njit(cache=True)
def _run(  # noqa: ANN202 - compiled
    first_B: Any,
    second_B: Any,
    outcome_B: Any,
    count_B: Any,
    order_B: Any,
    k: float,
    rating_M: Any,
):
    for r in order_B:
        a, b, outcome = first_B[r], second_B[r], outcome_B[r]
        score = 1.0 if outcome == 0 else (0.0 if outcome == 1 else 0.5)
        left = count_B[r]
        while left > 0.0:
            expected = 1.0 / (1.0 + 10.0 ** ((rating_M[b] - rating_M[a]) / 400.0))
            move = min(left, 1.0) * k * (score - expected)
            rating_M[a] += move
            rating_M[b] -= move
            left -= 1.0
