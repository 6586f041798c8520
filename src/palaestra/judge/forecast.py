"""What rating a new model will have, and whether it beats the one in production, from offline results alone.

The model is in `stats/joint_normal.py`, its rivals in `forecast_methods.py`; docs/forecast.md has the equations and how
all of them did on models that came later. A forecast is a law, not a number: everything here is read off Student's t.

Not here: votes. Once there are some, `rank fit` knows better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import stdtr, stdtrit

from palaestra.errors import InputError
from palaestra.judge.equating import equate
from palaestra.judge.forecast_methods import METHODS, Foretold, Method, Prior, choose, foretell
from palaestra.judge.forecast_rows import Rated, Rows, rated_rows, rows_of
from palaestra.judge.forecast_tables import Link, Ratings, Scores, read_ratings, read_scores
from palaestra.judge.forecast_warnings import board_warnings, drift_warning, model_warnings
from palaestra.schema.record import Record, Struct
from palaestra.stats.joint_normal import StudentT
from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]

_LEAST_VARIANCE = 1e-12


class ForecastConfig(BaseModel):
    """How offline results become a forecast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal[Method, "auto"] = "joint"
    """By what; `auto` takes whichever foretold the rated models best (CRPS), the newest from older ones."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals of ratings and ranks."""
    link: Literal["auto", "none"] = "auto"
    """Turn shares of 1 and of 100 into log odds, or leave scores as they are."""
    prior_weight: float = Field(default=1.0, gt=0, le=100)
    """What the prior of the joint law is worth, in models for each column."""
    prior_correlation: float = Field(default=0.6, ge=0, lt=1)
    """The correlation between any two columns that it expects."""
    draws: int = Field(default=10_000, ge=1000)
    """Draws for the intervals of ranks."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws."""

    @property
    def prior(self) -> Prior:
        """The prior of the joint law."""
        return Prior(self.prior_weight, self.prior_correlation)


class ForecastLine(Struct):
    """One new model. `rating` is the law's middle, `se` its standard deviation; ranks are among the board's models.

    `chance` is that of being better than the model in production. `points` says by how many rating points each
    benchmark moved the forecast off the middle of the rated models; `missing` are benchmarks without a result.
    """

    model: str
    rating: float
    se: float
    freedom: float
    lower: float
    upper: float
    rank: int
    rank_lower: int
    rank_upper: int
    chance: float | None
    difference: float | None
    difference_se: float | None
    points: dict[str, float]
    missing: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class Forecast(Record):
    """Forecasts of new models, best first. `scores` is each method's mean CRPS on rated models, if it was asked for."""

    record_name = "forecast"

    models: tuple[ForecastLine, ...]
    method: Method
    production: str | None
    production_rating: float | None
    production_se: float | None
    board: int
    """Models on the board."""
    rated: int
    """Those among them that have offline results."""
    benchmarks: dict[str, int]
    """Of those, how many have each benchmark; benchmarks that say nothing are not here."""
    links: dict[str, Link]
    scores: dict[Method, float]
    settings: ForecastConfig
    warnings: tuple[str, ...] = ()


def forecast(
    results: Scores | str | Path,
    board: Ratings | str | Path,
    models: Sequence[str] = (),
    *,
    production: str | None = None,
    earlier: Ratings | str | Path | None = None,
    config: ForecastConfig | None = None,
    **settings: object,
) -> Forecast:
    """Forecast the ratings of models that have results and no rating.

    Args:
        results: offline results of rated and of new models, or the path of a file of them.
        board: ratings with uncertainty, or the path of a file of them.
        models: the new models; all that have results and no rating if empty.
        production: a model of the board; each new one gets its chance to beat it.
        earlier: the board as it was when the results were made; a change of scale since then is warned of.
        config: settings.
        **settings: or the settings by name.

    Raises:
        InputError: a file is not what it should be, there are fewer than five rated models with results, a new model
            is on the board, has no usable result or is not in the results, or production is not on the board.
        pydantic.ValidationError: a setting is none of these.
    """
    config = ForecastConfig.model_validate((config.model_dump() if config else {}) | settings)
    scores = results if isinstance(results, Scores) else read_scores(results, config.link)
    board = board if isinstance(board, Ratings) else read_ratings(board)
    if production is not None and production not in board.models:
        raise InputError(f"found no model {production!r} on the board, expected the one in production to be rated")
    rated = rated_rows(board, scores)
    new = rows_of(scores, _new_models(scores, board, rated, models))
    with one_thread():
        found = choose(rated, config.prior) if config.method == "auto" else {}
        method = next(iter(found), "joint") if config.method == "auto" else config.method
        case = _Case(board, rated, new, method, config.prior, foretell(method, rated, new, config.prior))
        rival = None if production is None else _Rival.of(case, production)
        warnings = board_warnings(rated, board, method, config.prior)
    if config.method == "auto" and not found:
        warnings.append(f"{len(rated.rating_M)} rated models are too few to choose a method by: {method} was taken")
    if earlier is not None:
        then = earlier if isinstance(earlier, Ratings) else read_ratings(earlier)
        warnings += drift_warning(equate(then, board))
    seen_K = np.isfinite(rated.rows.value_MK).sum(axis=0)
    useful = {name: int(n) for name, n, use in zip(rated.benchmarks, seen_K, rated.useful_K, strict=True) if use}
    lines = _lines(case, rival, config)
    return Forecast(
        models=tuple(sorted(lines, key=lambda line: -line.rating)),
        method=method,
        production=production,
        production_rating=None if rival is None else rival.rating,
        production_se=None if rival is None else rival.se,
        board=len(board.models),
        rated=len(rated.rating_M),
        benchmarks=useful,
        links=scores.links,
        scores=found,
        settings=config,
        warnings=tuple(warnings),
    )


def _new_models(scores: Scores, board: Ratings, rated: Rated, models: Sequence[str]) -> tuple[str, ...]:
    """The models to foretell, each with at least one usable result."""
    rated_names = set(board.models)
    there_M = np.isfinite(scores.value_MK[:, rated.useful_K]).any(axis=1)
    usable = {scores.models[row] for row in np.flatnonzero(there_M)}
    for name in models:
        if name in rated_names:
            raise InputError(f"found {name!r} on the board already, expected a model without a rating; leave it out")
        if name not in scores.models:
            raise InputError(f"found no results of {name!r}, expected a row of it among the results")
    wanted = tuple(dict.fromkeys(models)) or tuple(name for name in scores.models if name not in rated_names)
    if not wanted:
        raise InputError("found no model with results and without a rating, expected at least one to forecast")
    for name in wanted:
        if name not in usable:
            told = ", ".join(n for n, use in zip(rated.benchmarks, rated.useful_K, strict=True) if use)
            raise InputError(
                f"found no result of {name!r} on a benchmark that rated models have; expected one of {told}"
            )
    return wanted


@dataclass(frozen=True, slots=True)
class _Case:
    """Rated models, new ones, and what was foretold of these."""

    board: Ratings
    rated: Rated
    new: Rows
    method: Method
    prior: Prior
    foretold: Foretold


@dataclass(frozen=True, slots=True)
class _Rival:
    """The model in production: its rating, and what it shares with the error of each forecast."""

    rating: float
    se: float
    shared_N: Floats

    @classmethod
    def of(cls, case: _Case, name: str) -> _Rival:
        """A rated model's error moves the forecasts that rest on it: by their slope in its rating."""
        place = case.board.models.index(name)
        rating, se = float(case.board.rating_M[place]), float(case.board.se_M[place])
        if name not in case.rated.rows.models or se == 0:
            return cls(rating, se, np.zeros(len(case.new.models)))
        moved_M = case.rated.rating_M + se * (np.array(case.rated.rows.models) == name)
        again = foretell(case.method, replace(case.rated, rating_M=moved_M), case.new, case.prior)
        return cls(rating, se, se * (again.law.location_N - case.foretold.law.location_N))

    def beaten(self, law: StudentT, row: int) -> tuple[float, float, float]:
        """Difference of a new model to this one, the scale of its law, and the chance that it is above zero.

        The variance is that of the forecast and of the rating, less twice what both share.
        """
        difference = float(law.location_N[row]) - self.rating
        variance = float(law.scale_N[row]) ** 2 + self.se**2 - 2 * float(self.shared_N[row])
        scale = max(variance, _LEAST_VARIANCE) ** 0.5
        return difference, scale, float(stdtr(law.freedom_N[row], difference / scale))


def _lines(case: _Case, rival: _Rival | None, config: ForecastConfig) -> list[ForecastLine]:
    rng, board = np.random.default_rng(config.seed), case.board
    board_MR = board.rating_M[:, None] + board.se_M[:, None] * rng.standard_normal((len(board.models), config.draws))
    chance_R = rng.random(config.draws)
    return [_line(case, row, rival, config.confidence, board_MR, chance_R) for row in range(len(case.new.models))]


def _line(  # noqa: PLR0917 - a loop's body
    case: _Case, row: int, rival: _Rival | None, confidence: float, board_MR: Floats, chance_R: Floats
) -> ForecastLine:
    law, tail = case.foretold.law, (1 - confidence) / 2
    location, scale, freedom = (float(part[row]) for part in (law.location_N, law.scale_N, law.freedom_N))
    above_R = (board_MR > location + scale * stdtrit(freedom, chance_R)).sum(axis=0)
    low, high = np.quantile(above_R, [tail, 1 - tail], method="inverted_cdf")
    wide = scale * float(stdtrit(freedom, 1 - tail))
    spread = (freedom / (freedom - 2)) ** 0.5 if freedom > 2 else float("inf")  # noqa: PLR2004 - no variance below
    difference, gap, chance = rival.beaten(law, row) if rival else (None, None, None)
    points = dict(zip(case.foretold.columns, map(float, case.foretold.points_NK[row]), strict=True))
    return ForecastLine(
        model=case.new.models[row],
        rating=location,
        se=scale * spread,
        freedom=freedom,
        lower=location - wide,
        upper=location + wide,
        rank=1 + int((case.board.rating_M > location).sum()),
        rank_lower=1 + int(low),
        rank_upper=1 + int(high),
        chance=chance,
        difference=difference,
        difference_se=None if gap is None else gap * spread,
        points={key: value for key, value in sorted(points.items(), key=lambda one: -abs(one[1])) if value},
        missing=_missing(case.rated, case.new, row),
        warnings=tuple(model_warnings(case.rated, case.new, row)),
    )


def _missing(rated: Rated, new: Rows, row: int) -> tuple[str, ...]:
    there_K = np.isfinite(new.value_MK[row])
    return tuple(
        name for name, use, there in zip(rated.benchmarks, rated.useful_K, there_K, strict=True) if use and not there
    )


__all__ = ["METHODS", "Forecast", "ForecastConfig", "ForecastLine", "Method", "forecast"]
