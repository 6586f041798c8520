"""Two boards on one scale by the models that they share: mean and sigma equating.

A rating means something only beside the others on its board: another method, another anchor or another crowd moves and
stretches the whole. As with tests that share questions (Kolen and Brennan, *Test equating, scaling, and linking*: the
mean/sigma method), y = a + b x, with b the ratio of the standard deviations of the shared models and a what makes their
means agree. Not here: models that changed themselves under one name; they count as the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palaestra.errors import InputError
from palaestra.judge.forecast_tables import Ratings

_LEAST_SHARED = 5


@dataclass(frozen=True, slots=True)
class Equating:
    """How one board becomes another: `intercept + slope * rating`.

    `shift` is the mean move of the shared models, and `scatter` the standard deviation of what the line leaves over.
    """

    intercept: float
    slope: float
    shift: float
    scatter: float
    shared: int

    def turn(self, board: Ratings) -> Ratings:
        """A board on the other's scale."""
        return Ratings(board.models, self.intercept + self.slope * board.rating_M, abs(self.slope) * board.se_M)


def equate(source: Ratings, target: Ratings) -> Equating:
    """The line that turns ratings of `source` into those of `target`.

    Raises:
        InputError: fewer than five models are on both, or the shared ones have all one rating.
    """
    shared = tuple(name for name in source.models if name in set(target.models))
    if len(shared) < _LEAST_SHARED:
        raise InputError(f"found {len(shared)} models on both boards, expected at least {_LEAST_SHARED} to equate them")
    x_M, y_M = source.of(shared).rating_M, target.of(shared).rating_M
    if float(np.ptp(x_M)) == 0 or float(np.ptp(y_M)) == 0:
        raise InputError("found one and the same rating for all shared models, expected different ones to equate by")
    slope = float(y_M.std() / x_M.std())
    intercept = float(y_M.mean() - slope * x_M.mean())
    left_M = y_M - intercept - slope * x_M
    return Equating(intercept, slope, float((y_M - x_M).mean()), float(left_M.std()), len(shared))
