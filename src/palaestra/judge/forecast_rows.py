"""Rated models with their offline results as arrays, and which benchmarks of them say anything at all.

A benchmark that fewer than four rated models have, or on which all of them score alike, is left aside; the date is one
more column where dates are known. Not here: what is made of it (`forecast_methods.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.judge.forecast_tables import Ratings, Scores

Floats = NDArray[np.float64]

LEAST_RATED = 5
"""So many rated models with results are the least for a forecast."""
LEAST_COLUMN = 4
"""So many of them have to have a benchmark."""
_FLAT = 1e-9
YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Rows:
    """Models by benchmarks: turned scores, NaN for a hole, the variances of their noise, and years since 1970."""

    models: tuple[str, ...]
    value_MK: Floats
    noise_MK: Floats
    year_M: Floats

    def of(self, rows: NDArray[np.integer]) -> Rows:
        """Some of the models."""
        names = tuple(self.models[row] for row in rows)
        return Rows(names, self.value_MK[rows], self.noise_MK[rows], self.year_M[rows])


@dataclass(frozen=True, slots=True)
class Rated:
    """Rated models with results; their ratings and the standard errors of these."""

    benchmarks: tuple[str, ...]
    rows: Rows
    rating_M: Floats
    se_M: Floats

    def of(self, rows: NDArray[np.integer]) -> Rated:
        """Some of the models, and the benchmarks that still say something."""
        return replace(self, rows=self.rows.of(rows), rating_M=self.rating_M[rows], se_M=self.se_M[rows])

    @property
    def useful_K(self) -> NDArray[np.bool_]:
        """Which benchmarks enough models have, and not all with one score."""
        value_MK = self.rows.value_MK
        seen_MK = np.isfinite(value_MK)
        low_K = np.where(seen_MK, value_MK, np.inf).min(axis=0)
        high_K = np.where(seen_MK, value_MK, -np.inf).max(axis=0)
        return (seen_MK.sum(axis=0) >= LEAST_COLUMN) & (high_K - low_K > _FLAT)

    @property
    def dated(self) -> bool:
        """Dates are known of enough models, and differ."""
        known_M = self.rows.year_M[np.isfinite(self.rows.year_M)]
        return len(known_M) >= LEAST_COLUMN and float(np.ptp(known_M)) > 0


def rows_of(scores: Scores, models: tuple[str, ...]) -> Rows:
    """The results of these models, in their order."""
    place = {name: number for number, name in enumerate(scores.models)}
    rows = np.array([place[name] for name in models], dtype=np.int64)
    return Rows(models, scores.value_MK[rows], scores.noise_MK[rows], scores.day_M[rows] / YEAR)


def rated_rows(board: Ratings, scores: Scores, least: int = LEAST_RATED) -> Rated:
    """The models that have both a rating and a result, in the order of their names.

    Raises:
        InputError: there are too few of them, or no benchmark says anything.
    """
    names = tuple(sorted(scores.with_results() & set(board.models)))
    if len(names) < least:
        raise InputError(
            f"found {len(names)} models with both a rating and a result, expected at least {least}; "
            "names have to be spelled alike in both files"
        )
    ratings = board.of(names)
    rated = Rated(scores.benchmarks, rows_of(scores, names), ratings.rating_M, ratings.se_M)
    if not rated.useful_K.any():
        raise InputError(
            f"found no benchmark that at least {LEAST_COLUMN} rated models have with different scores; add results"
        )
    if float(np.ptp(rated.rating_M)) <= _FLAT:
        raise InputError(f"found one and the same rating for all {len(names)} models, expected different ones")
    return rated
