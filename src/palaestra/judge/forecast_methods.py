"""Ways from offline results to a rating, each with a whole law: the joint normal law and the naive regressions.

`joint` is the default; the others are there to be beaten, and are offered where they are not. Each foretells the rating
of a new model from rated models alone, as Student's t, and says how many points each benchmark moved it.

    joint                 joint normal law of rating, benchmarks and date (`stats/joint_normal.py`)
    joint_without_date    the same without the date
    least_squares         ordinary least squares on the new model's benchmarks, over models that have all of them
    least_squares_date    the same with the date as one more column
    best_benchmark        a line through the one benchmark with the least leave-one-out error
    mean_z                a line through the mean of the standardised scores
    board_mean            the mean of the board

Not here: reading (`forecast_tables.py`), ranks and chances (`forecast.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from palaestra.judge.forecast_rows import LEAST_COLUMN, Rated, Rows
from palaestra.stats.joint_normal import StudentT, Table, fit_joint_normal
from palaestra.stats.scoring import crps

Floats = NDArray[np.float64]
Method = Literal[
    "joint", "joint_without_date", "least_squares", "least_squares_date", "best_benchmark", "mean_z", "board_mean"
]
METHODS: tuple[Method, ...] = get_args(Method)
NAIVE: tuple[Method, ...] = METHODS[2:]
DATE = "date"
"""The name of the date among the columns."""

_SPARE = 5
"""Least squares wants so many models more than columns, and leaves out the rarest benchmark until it has them."""
_LEAST_FORETOLD = 10
_ORIGINS = 20
"""So many of the newest rated models are foretold from older ones to choose a method."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """Laws of the new models' ratings, and the points by which each column moved them off the middle."""

    law: StudentT
    points_NK: Floats
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prior:
    """Of the joint law: what the prior is worth, in models for each column, and the correlation that it expects.

    The date alone is expected to have none with anything.
    """

    weight: float = 1.0
    correlation: float = 0.6


def foretell(method: Method, rated: Rated, new: Rows, prior: Prior | None = None) -> Foretold:
    """The laws of the new models' ratings by one of the methods.

    Args:
        method: its name.
        rated: models with ratings and results.
        new: results of new models, with the same benchmarks.
        prior: for the joint law.
    """
    if method.startswith("joint"):
        return JointFit(rated, prior or Prior(), dated=method == "joint").foretell(new)
    if method == "board_mean":
        return _same(rated, new)
    one_by_one: dict[str, Callable[[Rated, Rows], Foretold]] = {
        "least_squares": _least_squares,
        "least_squares_date": lambda known, row: _least_squares(known, row, dated=True),
        "best_benchmark": _best_benchmark,
        "mean_z": _mean_z,
    }
    return _stacked([one_by_one[method](rated, new.of(np.array([row]))) for row in range(len(new.models))])


def choose(rated: Rated, prior: Prior | None = None, methods: tuple[Method, ...] = METHODS) -> dict[Method, float]:
    """Mean CRPS of each method on rated models, best first: newest ones from older ones if dated, else left out.

    Where dates are known, each of the newest models (at most 20, and no more than half) is foretold from those before
    it; else each model is foretold from all others. Nothing is chosen, and nothing returned, by fewer than ten of them.
    """
    splits = _forward(rated) if rated.dated else [np.array([row]) for row in range(len(rated.rating_M))]
    scores: dict[Method, list[float]] = {method: [] for method in methods}
    for tested in splits:
        past = rated.of(_others(rated, tested))
        if not past.useful_K.any() or float(np.ptp(past.rating_M)) == 0:
            continue
        for method in methods:
            law = foretell(method, past, rated.rows.of(tested), prior).law
            scores[method] += crps(law, rated.rating_M[tested]).tolist()
    means = {method: float(np.mean(found)) for method, found in scores.items() if len(found) >= _LEAST_FORETOLD}
    return dict(sorted(means.items(), key=lambda one: one[1]))


def _forward(rated: Rated) -> list[NDArray[np.int64]]:
    """The newest models, those of one date together, oldest first."""
    year_M = rated.rows.year_M
    order = np.argsort(year_M, kind="stable")  # models without a date come last, and are never foretold
    known = order[np.isfinite(year_M[order])]
    newest = known[max(len(known) // 2, len(known) - _ORIGINS) :]
    return [newest[year_M[newest] == year] for year in np.unique(year_M[newest]) if year > year_M[known[0]]]


def _others(rated: Rated, tested: NDArray[np.integer]) -> NDArray[np.int64]:
    """The models before those of one date, or all others where there are no dates."""
    year_M = rated.rows.year_M
    if rated.dated:
        return np.flatnonzero(year_M < year_M[tested[0]])
    return np.flatnonzero(~np.isin(np.arange(len(year_M)), tested))


class JointFit:
    """The joint normal law of rating, useful benchmarks and, if wanted and known, the date."""

    def __init__(self, rated: Rated, prior: Prior, *, dated: bool) -> None:
        self._useful_K, self._dated = rated.useful_K, dated and rated.dated
        value_MK = np.column_stack([rated.rating_M, self._columns(rated.rows)])
        self._mean_K, self._sd_K = np.nanmean(value_MK, axis=0), np.nanstd(value_MK, axis=0)
        noise_MK = np.column_stack([rated.se_M**2, self._noise(rated.rows)])
        table = Table((value_MK - self._mean_K) / self._sd_K, noise_MK / self._sd_K**2)
        apart_K = np.zeros(len(self._mean_K), dtype=bool)
        apart_K[-1] = self._dated  # no drift is expected until there is one
        self.law = fit_joint_normal(table, prior.weight, prior.correlation, apart_K)
        names = tuple(name for name, useful in zip(rated.benchmarks, self._useful_K, strict=True) if useful)
        self.columns = (*names, DATE) if self._dated else names

    def foretell(self, new: Rows) -> Foretold:
        """The laws of new models' ratings."""
        values_NK, noise_NK = self._columns(new), self._noise(new)
        value_NK = np.column_stack([np.full(len(values_NK), np.nan), values_NK])
        table = Table((value_NK - self._mean_K) / self._sd_K, np.pad(noise_NK, ((0, 0), (1, 0))) / self._sd_K**2)
        law, coefficient_NK = self.law.predict(table)
        off_NK = np.where(table.seen_MK, table.value_MK - self.law.mean_K, 0.0)
        sd = float(self._sd_K[0])
        turned = StudentT(self._mean_K[0] + sd * law.location_N, sd * law.scale_N, law.freedom_N)
        return Foretold(turned, sd * (coefficient_NK * off_NK)[:, 1:], self.columns)

    def left_out_errors(self, rated: Rated) -> Floats:
        """How far above its leave-one-out forecast each rated model lies, in standard deviations of that forecast."""
        law, sd = self.law.left_out, self._sd_K[0]
        off_M = rated.rating_M - self._mean_K[0] - sd * law.location_N
        return off_M / np.hypot(sd * law.scale_N * self.law.inflation, rated.se_M)

    def _columns(self, rows: Rows) -> Floats:
        kept_MK = rows.value_MK[:, self._useful_K]
        return np.column_stack([kept_MK, rows.year_M]) if self._dated else kept_MK

    def _noise(self, rows: Rows) -> Floats:
        kept_MK = rows.noise_MK[:, self._useful_K]
        return np.pad(kept_MK, ((0, 0), (0, 1))) if self._dated else kept_MK


def _same(rated: Rated, new: Rows) -> Foretold:
    """Every new model is like the mean of the board."""
    count, there = len(rated.rating_M), len(new.models)
    scale = float(rated.rating_M.std(ddof=1)) * np.sqrt(1 + 1 / count)
    law = StudentT(
        np.full(there, rated.rating_M.mean()), np.full(there, max(scale, _TINY)), np.full(there, max(count - 1.0, 2.0))
    )
    return Foretold(law, np.zeros((there, 0)), ())


_TINY = 1e-6
"""Rating points; no forecast is surer."""


def _line(design_MF: Floats, rating_M: Floats, at_F: Floats) -> tuple[StudentT, Floats]:
    """Ordinary least squares with a constant: the law at a new point, and the coefficients."""
    middle_F = design_MF.mean(axis=0)
    off_MF, free = design_MF - middle_F, len(rating_M) - design_MF.shape[1] - 1
    inverse_FM = np.linalg.pinv(off_MF)
    coefficient_F = inverse_FM @ (rating_M - rating_M.mean())
    left_M = rating_M - rating_M.mean() - off_MF @ coefficient_F
    leverage = 1 / len(rating_M) + float((((at_F - middle_F) @ inverse_FM) ** 2).sum())
    scale = np.sqrt(left_M @ left_M / free * (1 + leverage))
    location = rating_M.mean() + (at_F - middle_F) @ coefficient_F
    return StudentT(np.array([location]), np.array([max(scale, _TINY)]), np.array([float(free)])), coefficient_F


def _on(rated: Rated, row: Rows, columns: list[int], *, dated: bool) -> Foretold:
    """Least squares on these benchmarks, over models that have all of them; the board's mean where there are none."""
    if not columns and not dated:
        return _same(rated, row)
    design_MF, at_F = rated.rows.value_MK[:, columns], row.value_MK[0, columns]
    if dated:
        design_MF, at_F = np.column_stack([design_MF, rated.rows.year_M]), np.append(at_F, row.year_M[0])
    complete_M = np.isfinite(design_MF).all(axis=1)
    design_MF, rating_M = design_MF[complete_M], rated.rating_M[complete_M]
    law, coefficient_F = _line(design_MF, rating_M, at_F)
    names = (*(rated.benchmarks[column] for column in columns), *((DATE,) if dated else ()))
    return Foretold(law, (coefficient_F * (at_F - design_MF.mean(axis=0)))[None], names)


def _least_squares(rated: Rated, row: Rows, *, dated: bool = False) -> Foretold:
    seen_MK = np.isfinite(rated.rows.value_MK)
    dated = dated and bool(np.isfinite(row.year_M[0]))
    columns = [int(column) for column in np.flatnonzero(rated.useful_K & np.isfinite(row.value_MK[0]))]
    columns.sort(key=lambda column: (-int(seen_MK[:, column].sum()), column))
    while columns and seen_MK[:, columns].all(axis=1).sum() < len(columns) + 1 + _SPARE:
        columns.pop()
    complete_M = np.isfinite(rated.rows.year_M) & seen_MK[:, columns].all(axis=1)
    dated = dated and complete_M.sum() > len(columns) + _SPARE and float(np.ptp(rated.rows.year_M[complete_M])) > 0
    return _on(rated, row, columns, dated=dated)


def _best_benchmark(rated: Rated, row: Rows) -> Foretold:
    columns = np.flatnonzero(rated.useful_K & np.isfinite(row.value_MK[0]))
    errors = {int(column): _left_out_error(rated.rows.value_MK[:, column], rated.rating_M) for column in columns}
    best = min(errors, key=lambda column: errors[column], default=None)
    return _on(rated, row, [] if best is None else [best], dated=False)


def _left_out_error(value_M: Floats, rating_M: Floats) -> float:
    """Root mean square of leave-one-out errors of a line, by the leverages."""
    seen_M = np.isfinite(value_M)
    off_M, rating_M = value_M[seen_M] - value_M[seen_M].mean(), rating_M[seen_M]
    square = float(off_M @ off_M)
    left_M = rating_M - rating_M.mean() - off_M * float(off_M @ rating_M) / square
    spare_M = np.maximum(1 - 1 / len(off_M) - off_M**2 / square, 1e-9)
    return float(np.sqrt(((left_M / spare_M) ** 2).mean())) if len(off_M) >= LEAST_COLUMN else np.inf


def _mean_z(rated: Rated, row: Rows) -> Foretold:
    useful_K = rated.useful_K
    value_MK, new_K = rated.rows.value_MK[:, useful_K], row.value_MK[0, useful_K]
    seen_MK, new_seen_K = np.isfinite(value_MK), np.isfinite(new_K)
    with_any_M = seen_MK.any(axis=1)
    if not new_seen_K.any() or with_any_M.sum() < LEAST_COLUMN:
        return _same(rated, row)
    middle_K, sd_K = np.nanmean(value_MK, axis=0), np.nanstd(value_MK, axis=0)
    along_K = (np.where(seen_MK, value_MK - middle_K, 0.0) * rated.rating_M[:, None]).sum(axis=0)
    sd_K = np.where(along_K < 0, -sd_K, sd_K)  # where less is better
    z_M = np.nanmean((value_MK[with_any_M] - middle_K) / sd_K, axis=1)
    if float(np.ptp(z_M)) == 0:
        return _same(rated, row)
    at_K = np.where(new_seen_K, (new_K - middle_K) / sd_K, 0.0) / new_seen_K.sum()
    law, slope_F = _line(z_M[:, None], rated.rating_M[with_any_M], np.array([at_K.sum()]))
    names = tuple(name for name, useful in zip(rated.benchmarks, useful_K, strict=True) if useful)
    return Foretold(law, slope_F[0] * at_K[None], names)


def _stacked(found: list[Foretold]) -> Foretold:
    """Single forecasts as one, over the union of their columns."""
    columns = tuple(dict.fromkeys(name for one in found for name in one.columns))
    points_NK = np.zeros((len(found), len(columns)))
    for row, one in enumerate(found):
        points_NK[row, [columns.index(name) for name in one.columns]] = one.points_NK[0]
    laws = [one.law for one in found]
    return Foretold(
        StudentT(
            np.concatenate([law.location_N for law in laws]),
            np.concatenate([law.scale_N for law in laws]),
            np.concatenate([law.freedom_N for law in laws]),
        ),
        points_NK,
        columns,
    )
