"""What a forecast is made from, read and checked: a board of ratings, boards over time, a table of offline results.

A board is a leaderboard's JSON, or a table with model, rating and, if known, se, or lower and upper. Results are wide
(one row a model, one column a benchmark) or long (model, benchmark, score or correct and total). Holes are normal.
Scores that are shares of 1 or of 100 become log odds: a point near the ceiling counts for more than one in the middle.

Not here: which of it can be used (`forecast_rows.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import logit, ndtri

from palaestra.errors import InputError
from palaestra.store.records import kind_of, read_rows

Floats = NDArray[np.float64]
Link = Literal["share", "percent", "none"]
"""How a score is turned: log odds of a share of 1, of a share of 100, or as it is."""

_CONFIDENCE = 0.95
"""Of a board's intervals where it does not say."""
_NEAREST = 0.005
"""Shares are kept so far from 0 and 1 where it is not known of how many questions."""
_MOST_POINTS = 10.0
"""Scores up to here, as on a scale of 1 to 10, are not per cent."""
_LONG = ("score", "correct", "total", "se")
_BESIDE = ("domain", "guess_rate", "queries", "seconds", "concurrency", "cost")
"""Columns of the record `Result` that say nothing of how good an answer is."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """A board: models, their ratings and standard errors, 0 where none is known."""

    models: tuple[str, ...]
    rating_M: Floats
    se_M: Floats

    def of(self, models: Iterable[str]) -> Ratings:
        """The board of some of its models, in their order."""
        place = {name: number for number, name in enumerate(self.models)}
        models = tuple(models)
        rows = [place[name] for name in models]
        return Ratings(models, self.rating_M[rows], self.se_M[rows])


@dataclass(frozen=True, slots=True)
class Scores:
    """Offline results, turned by their links: NaN for a hole, variances of noise (0 if not known), days since 1970."""

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    value_MK: Floats
    noise_MK: Floats
    day_M: Floats
    links: dict[str, Link]

    def with_results(self) -> set[str]:
        """The models that have any."""
        return {self.models[row] for row in np.flatnonzero(np.isfinite(self.value_MK).any(axis=1))}


def read_ratings(source: str | Path) -> Ratings:
    """A board from a file.

    Raises:
        InputError: the file is no board, names a model twice, or has a rating that is no number.
    """
    path = Path(source)
    if kind_of(path) == ".json" and path.is_file():
        rows, confidence = _board_rows(path)
    else:
        rows, confidence = read_rows(path, "ratings"), _CONFIDENCE
    return _ratings(path, list(enumerate(rows, start=1)), confidence)


def read_history(source: str | Path) -> list[tuple[float, Ratings]]:
    """Boards over time: a table with date, model, rating and, if known, se, or lower and upper. Oldest first.

    Raises:
        InputError: as for `read_ratings`, or a row has no date.
    """
    path = Path(source)
    dated = [
        (_day(path, number, row.get("date")), number, row) for number, row in enumerate(read_rows(path, "boards"), 1)
    ]
    if any(math.isnan(day) for day, _, _ in dated):
        raise InputError(f"{path}: found rows without a date, expected the columns date, model, rating")
    dated.sort(key=lambda one: one[0])
    return [
        (day, _ratings(path, [one[1:] for one in rows], _CONFIDENCE))
        for day, rows in groupby(dated, key=lambda one: one[0])
    ]


def read_scores(source: str | Path, link: Literal["auto", "none"] = "auto") -> Scores:
    """Offline results from a file, wide or long.

    Args:
        source: the file.
        link: `auto` turns shares of 1 and of 100 into log odds; `none` leaves all scores as they are.

    Raises:
        InputError: no model, no benchmark, a model or a cell twice, or a cell that is no number; names row and column.
    """
    path = Path(source)
    rows = read_rows(path, "results")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if "model" not in names:
        raise InputError(f"{path}: found the columns {', '.join(names)}, expected one called model")
    cells, days = _long_cells(path, rows) if "benchmark" in names else _wide_cells(path, rows)
    return _scores(path, cells, days, link)


def turned_score(score: float, link: Link) -> float:
    """A score as a benchmark's link turns it: log odds of a share, or itself."""
    return _turned(_Cell(score), link)[0]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A score, with its standard error; or right answers and questions."""

    score: float
    se: float = 0.0
    correct: float = 0.0
    total: float = 0.0


Cells = dict[tuple[str, str], _Cell]


def _board_rows(path: Path) -> tuple[Sequence[Mapping[str, Any]], float]:
    """The models of a leaderboard's JSON, and the confidence of its intervals."""
    try:
        with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
            data = json.loads(stream.read())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}; expected a board as `rank fit --json` writes it") from error
    if isinstance(data, dict) and "boards" in data:
        raise InputError(
            f"{path}: found the boards {', '.join(data['boards'])}, expected a single one; write one of them"
        )
    if isinstance(data, dict):
        settings = data.get("settings") or {}
        data, confidence = data.get("models"), settings.get("confidence", _CONFIDENCE)
    else:
        confidence = _CONFIDENCE
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise InputError(
            f"{path}: found the confidence {confidence!r} in its settings, expected a number between 0 and 1"
        )
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        raise InputError(f"{path}: found no models, expected a board as `rank fit --json` writes it, or rows of one")
    return data, confidence


def _ratings(path: Path, rows: Sequence[tuple[int, Mapping[str, Any]]], confidence: float) -> Ratings:
    seen: dict[str, int] = {}
    ratings, errors = [], []
    for number, row in rows:
        name = _name(path, number, row)
        if name in seen:
            raise InputError(f"{path}: row {number}: found {name!r} again, which is row {seen[name]} already")
        seen[name] = number
        rating = _number(path, number, "rating", row.get("rating"))
        if math.isnan(rating):
            raise InputError(f"{path}: row {number}, column rating: found nothing, expected the rating of {name}")
        ratings.append(rating)
        errors.append(_error(path, number, row, confidence))
    return Ratings(tuple(seen), np.array(ratings), np.array(errors))


def _error(path: Path, number: int, row: Mapping[str, Any], confidence: float) -> float:
    """The standard error of a rating: said, or from its interval."""
    se, lower, upper = (_number(path, number, column, row.get(column)) for column in ("se", "lower", "upper"))
    if math.isnan(se):
        se = (upper - lower) / (2 * ndtri((1 + confidence) / 2)) if upper - lower >= 0 else math.nan
        if math.isnan(se) and not math.isnan(upper - lower):
            raise InputError(f"{path}: row {number}: found lower {lower:g} above upper {upper:g}, expected it below")
    if se < 0:
        raise InputError(f"{path}: row {number}, column se: found {se:g}, expected 0 or more")
    return 0.0 if math.isnan(se) else float(se)


def _wide_cells(path: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Cells, dict[str, float]]:
    cells: Cells = {}
    first: dict[str, int] = {}
    days: dict[str, float] = {}
    for number, row in enumerate(rows, start=1):
        name = _name(path, number, row)
        if name in first:
            raise InputError(f"{path}: row {number}: found {name!r} again, which is row {first[name]} already")
        first[name] = number
        days[name] = _day(path, number, row.get("date"))
        for column, value in row.items():
            if column not in {"model", "date"}:
                score = _number(path, number, column, value)
                cells[name, column] = _Cell(score)
    return cells, days


def _long_cells(path: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Cells, dict[str, float]]:
    cells: Cells = {}
    days: dict[str, float] = {}
    for number, row in enumerate(rows, start=1):
        unknown = set(row) - {"model", "benchmark", "date", *_LONG, *_BESIDE}
        if unknown:
            raise InputError(
                f"{path}: row {number}: found the column {min(unknown)}, expected only {', '.join(_LONG)}, date"
            )
        name, benchmark = _name(path, number, row), str(row.get("benchmark") or "")
        if not benchmark:
            raise InputError(f"{path}: row {number}, column benchmark: found nothing, expected a name")
        day = _day(path, number, row.get("date"))
        days[name] = float(np.fmin(days.get(name, math.nan), day))  # the first run counts
        cell, key = _long_cell(path, number, row), (name, benchmark)
        if key in cells and not (cell.total and cells[key].total):
            raise InputError(
                f"{path}: row {number}: found {name!r} on {benchmark!r} again, expected one score a benchmark"
            )
        before = cells.get(key, _Cell(math.nan))
        cells[key] = _Cell(cell.score, cell.se, before.correct + cell.correct, before.total + cell.total)
    return cells, days


def _long_cell(path: Path, number: int, row: Mapping[str, Any]) -> _Cell:
    score, correct, total, se = (_number(path, number, column, row.get(column)) for column in _LONG)
    if not math.isnan(total) and not math.isnan(correct):
        if not 0 <= correct <= total or total < 1:
            raise InputError(
                f"{path}: row {number}: found {correct:g} correct of {total:g}, expected 0 to as many as asked"
            )
        return _Cell(math.nan, correct=correct, total=total)
    if not (math.isnan(correct) and math.isnan(total)):
        raise InputError(f"{path}: row {number}: found only one of correct and total, expected both")
    if se < 0:
        raise InputError(f"{path}: row {number}, column se: found {se:g}, expected 0 or more")
    return _Cell(score, 0.0 if math.isnan(se) else se)


def _scores(path: Path, cells: Cells, days: Mapping[str, float], link: str) -> Scores:
    models, benchmarks = tuple(days), tuple(dict.fromkeys(benchmark for _, benchmark in cells))
    if not benchmarks:
        raise InputError(
            f"{path}: found no benchmark, expected one column for each, or the columns benchmark and score"
        )
    if "date" in benchmarks:
        raise InputError(
            f"{path}: found a benchmark called date, expected another name; the date is a column of its own"
        )
    value_MK = np.full((len(models), len(benchmarks)), np.nan)
    noise_MK = np.zeros(value_MK.shape)
    links: dict[str, Link] = {}
    for column, benchmark in enumerate(benchmarks):
        own = [(row, cells[model, benchmark]) for row, model in enumerate(models) if (model, benchmark) in cells]
        counted = {bool(cell.total) for _, cell in own if cell.total or not math.isnan(cell.score)}
        if len(counted) > 1:
            raise InputError(f"{path}: found counts and scores on {benchmark!r}, expected one of the two")
        links[benchmark] = (
            "share" if counted == {True} else "none" if link == "none" else _link([c.score for _, c in own])
        )
        for row, cell in own:
            value_MK[row, column], noise_MK[row, column] = _turned(cell, links[benchmark])
    return Scores(models, benchmarks, value_MK, noise_MK, np.array([days[name] for name in models]), links)


def _link(scores: Sequence[float]) -> Link:
    there = [score for score in scores if not math.isnan(score)]
    if not there or min(there) < 0 or max(there) > 100:  # noqa: PLR2004 - per cent
        return "none"
    return "share" if max(there) <= 1 else "percent" if max(there) > _MOST_POINTS else "none"


def _turned(cell: _Cell, link: Link) -> tuple[float, float]:
    """A score by its link, and the variance of its noise (by the delta method)."""
    if cell.total:
        share = (cell.correct + 0.5) / (cell.total + 1)
        return float(logit(share)), 1 / ((cell.total + 1) * share * (1 - share))
    if link == "none" or math.isnan(cell.score):
        return cell.score, cell.se**2
    whole = 1.0 if link == "share" else 100.0
    share = min(max(cell.score / whole, _NEAREST), 1 - _NEAREST)
    return float(logit(share)), (cell.se / whole / (share * (1 - share))) ** 2


def _name(path: Path, number: int, row: Mapping[str, Any]) -> str:
    name = row.get("model")
    if name is None or not str(name).strip():
        raise InputError(f"{path}: row {number}, column model: found nothing, expected a name")
    return str(name)


def _number(path: Path, number: int, column: str, value: Any) -> float:  # noqa: ANN401 - what a file holds
    """A number, NaN for a hole."""
    try:
        found = math.nan if value is None or value == "" or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.inf
    if math.isinf(found) or isinstance(value, bool):
        raise InputError(f"{path}: row {number}, column {column}: found {value!r}, expected a number or nothing")
    return found


def _day(path: Path, number: int, value: Any) -> float:  # noqa: ANN401 - what a file holds
    """Days since 1970 of a date, an ISO text or YYYYMMDD; NaN for none."""
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN
        return math.nan
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value).removesuffix(".0"))
    except ValueError:
        said = f"column date: found {value!r}, expected a date such as 2024-04-18"
        raise InputError(f"{path}: row {number}, {said}") from None
    return float(date(moment.year, moment.month, moment.day).toordinal() - date(1970, 1, 1).toordinal())
