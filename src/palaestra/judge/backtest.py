"""How good forecasts would have been: each model foretold from what was known before it came, against the naive ways.

Boards come in order of time. At each that brings models with results, every method is fitted to the board before it and
foretells the new ones; what their first rating turned out to be is put on the scale of the board before by the models
that both share (`equating.py`), since a change of scale is nothing that results could tell. Choosing a method (`auto`)
is done within the past at each step too. Models that came on one day are foretold together.

Not here: offline results that changed with time; a model's results are those of the table, whenever it was filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import stdtr

from palaestra.errors import InputError
from palaestra.judge.backtest_scores import LEVELS, MethodScores, PairedGain, gains, method_scores
from palaestra.judge.equating import equate
from palaestra.judge.forecast import ForecastConfig
from palaestra.judge.forecast_methods import METHODS, Foretold, Method, choose, foretell
from palaestra.judge.forecast_rows import Rated, Rows, rated_rows, rows_of
from palaestra.judge.forecast_tables import Ratings, Scores, read_history, read_scores
from palaestra.schema.record import Record, Struct
from palaestra.stats.joint_normal import StudentT
from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]

__all__ = ["LEVELS", "Backtest", "BacktestConfig", "backtest"]


class BacktestConfig(ForecastConfig):
    """How forecasts of the past are made and compared. `method` is the one against which the others are compared."""

    least_models: int = Field(default=15, ge=5)
    """Rated models with results from which the first forecast is made."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap samples of the foretold models, for the intervals."""
    choosing: bool = False
    """Also try `auto`: choose among the methods at each step, within the past. Slow."""


class PastForecast(Struct):
    """One model as one method foretold it. Ratings are on the scale of the board before it came.

    `below` is the law's distribution function at the actual rating; `beats` the mean squared error of the chances to
    beat each model of that board.
    """

    model: str
    date: date
    method: str
    rated: int
    actual: float
    rating: float
    scale: float
    freedom: float
    below: float
    chances: tuple[float, ...]
    """To beat each model of the board before."""
    beaten: tuple[bool, ...]
    """Whether it did."""

    def law(self) -> StudentT:
        """The law as arrays of one."""
        return StudentT(np.array([self.rating]), np.array([self.scale]), np.array([self.freedom]))


class Backtest(Record):
    """Scores of each method on models that came later. `gains` are paired differences, method by method."""

    record_name = "backtest"

    forecasts: tuple[PastForecast, ...]
    scores: dict[str, MethodScores]
    gains: dict[str, PairedGain]
    """By how much `reference` has the smaller error than each other method; above zero it is the better one."""
    reference: str
    settings: BacktestConfig
    warnings: tuple[str, ...] = ()


def backtest(
    results: Scores | str | Path,
    history: Sequence[tuple[float, Ratings]] | str | Path,
    config: BacktestConfig | None = None,
    *,
    advance: Callable[[], None] = lambda: None,
    **settings: object,
) -> Backtest:
    """Forecast each model of a history of boards from what was there before it, by every method.

    Args:
        results: offline results, or the path of a file of them. A model without a date there has that of its first
            board, or none if that is the first of all.
        history: boards with their days, oldest first, or the path of a file of them.
        config: settings.
        advance: called after each step.
        **settings: or the settings by name.

    Raises:
        InputError: a file is not what it should be, or no model with results came after enough rated ones.
    """
    config = BacktestConfig.model_validate((config.model_dump() if config else {}) | settings)
    scores = results if isinstance(results, Scores) else read_scores(results, config.link)
    boards = read_history(history) if isinstance(history, (str, Path)) else list(history)
    found: list[PastForecast] = []
    with one_thread():
        for step in _steps(scores, boards, config.least_models):
            found += _foretold(step, config)
            advance()
    if not found:
        raise InputError(
            f"found no model with results that came after a board with {config.least_models} rated models with results "
            "too; expected boards of several dates, and names spelled alike in both files"
        )
    reference = config.method if config.method != "auto" else "joint"
    by_method = {method: [one for one in found if one.method == method] for method in _methods(config)}
    return Backtest(
        forecasts=tuple(found),
        scores={method: method_scores(own, config.resamples, config.seed) for method, own in by_method.items()},
        gains=gains(by_method, reference, config.resamples, config.seed),
        reference=reference,
        settings=config,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """What was known on a day, and the models that came then."""

    day: float
    before: Ratings
    rated: Rated
    new: Rows
    actual_N: Floats


def _steps(scores: Scores, boards: Sequence[tuple[float, Ratings]], least: int) -> Iterator[_Step]:
    first = _first_days(boards)
    with_results = scores.with_results()
    came_M = np.array(
        [first[name] if first.get(name, boards[0][0]) > boards[0][0] else np.nan for name in scores.models]
    )
    day_M = np.where(np.isfinite(scores.day_M), scores.day_M, came_M)  # when those of the first board came is not known
    dated = Scores(scores.models, scores.benchmarks, scores.value_MK, scores.noise_MK, day_M, scores.links)
    for (_, before), (day, board) in pairwise(boards):
        names = tuple(name for name in board.models if first[name] == day and name in with_results)
        if not names or len(with_results & set(before.models)) < least:
            continue
        turned = equate(board, before).turn(board.of(names))
        yield _Step(day, before, rated_rows(before, dated, least), rows_of(dated, names), turned.rating_M)


def _first_days(boards: Sequence[tuple[float, Ratings]]) -> dict[str, float]:
    first: dict[str, float] = {}
    for day, board in boards:
        for name in board.models:
            first.setdefault(name, day)
    return first


def _methods(config: BacktestConfig) -> tuple[str, ...]:
    return (*METHODS, *(("auto",) if config.choosing else ()))


def _foretold(step: _Step, config: BacktestConfig) -> list[PastForecast]:
    found: dict[Method, Foretold] = {m: foretell(m, step.rated, step.new, config.prior) for m in METHODS}
    named: dict[str, Foretold] = dict(found)
    if config.choosing:
        named["auto"] = found[next(iter(choose(step.rated, config.prior)), "joint")]
    return [_past(step, name, one.law, row) for name, one in named.items() for row in range(len(step.new.models))]


def _past(step: _Step, method: str, law: StudentT, row: int) -> PastForecast:
    location, scale, freedom = (float(part[row]) for part in (law.location_N, law.scale_N, law.freedom_N))
    actual = float(step.actual_N[row])
    gap_M = np.sqrt(scale**2 + step.before.se_M**2)
    chance_M = stdtr(freedom, (location - step.before.rating_M) / gap_M)
    return PastForecast(
        model=step.new.models[row],
        date=(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=step.day)).date(),
        method=method,
        rated=len(step.rated.rating_M),
        actual=actual,
        rating=location,
        scale=scale,
        freedom=freedom,
        below=float(stdtr(freedom, (actual - location) / scale)),
        chances=tuple(chance_M.tolist()),
        beaten=tuple((actual > step.before.rating_M).tolist()),
    )
