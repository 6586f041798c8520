"""Boards of any origin, read as scores with intervals: whatever ranks the same models can be compared.

    a Leaderboard         the JSON of `palaestra rank fit --json`; its covariance is used where the file has it
    bootstrap statistics  JSON lines with model, score, lower, upper, results, as Arena-Hard keeps them
    rounds                a table with one column a model and one row a bootstrap round
    a table               model, score, and lower and upper or se or variance, under these or other usual names

Rounds count as joint, that is as one draw for all models, unless every model's are sorted or their numbers differ:
then only each model's own distribution is left. Where there are none, noise is normal: with the board's covariance, or
independent with se; of se and the interval, one is taken from the other where it is not given.

Not here: how models of two boards find each other (`common_models.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from palaestra.errors import InputError
from palaestra.store.records import kind_of, read_rows
from palaestra.store.tables import in_columns, read_table

Floats = NDArray[np.float64]

_ALIASES = {
    "model": ("model", "key", "model_name", "name", ""),
    "score": ("score", "rating", "elo_rating", "win_rate"),
    "lower": ("lower", "rating_q025", "q025", "ci_lower", "score_lower"),
    "upper": ("upper", "rating_q975", "q975", "ci_upper", "score_upper"),
    "se": ("se", "standard_error", "std_error"),
    "variance": ("variance",),
}
_INDEX = ("", "index", "round", "Unnamed: 0")
"""Columns that number the rounds."""
_SAID = (
    "a Leaderboard in JSON, JSON lines with model, score, lower, upper and results, a table with model, score, lower, "
    "upper, or one with a column of bootstrap rounds for each model"
)


class _Summary(NamedTuple):
    """A board in three columns, each of shape (M,)."""

    score: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class ScoredBoard:
    """Scores of models with their intervals, higher is better, and what is known of their noise."""

    name: str
    models: tuple[str, ...]
    score_M: Floats
    lower_M: Floats
    upper_M: Floats
    mean_M: Floats
    """The mean of the samples; the score where there are none."""
    variance_M: Floats
    """The variance of the samples; else that of the score."""
    samples: tuple[Floats, ...] = ()
    """The samples of each model."""
    joint: bool = False
    """Whether the samples are rounds, each of them one draw for all models."""
    covariance_MM: Floats | None = None

    @property
    def noise(self) -> str:
        """What resampling draws from, in words."""
        if self.samples:
            return "joint rounds" if self.joint else "samples of each model by itself"
        return "normal with the covariance" if self.covariance_MM is not None else "independent normal"

    def of(self, places: Sequence[int]) -> ScoredBoard:
        """Some of the models, in this order."""
        at = np.asarray(places)
        return ScoredBoard(
            self.name,
            tuple(self.models[place] for place in places),
            *(values[at] for values in (self.score_M, self.lower_M, self.upper_M, self.mean_M, self.variance_M)),
            tuple(self.samples[place] for place in places) if self.samples else (),
            self.joint,
            None if self.covariance_MM is None else self.covariance_MM[np.ix_(at, at)],
        )

    def noise_RM(self, rounds: int, rng: np.random.Generator) -> Floats:
        """Draws of what other votes would add to the scores, with mean zero, shape (R, M)."""
        if self.samples and self.joint:
            drawn = rng.integers(len(self.samples[0]), size=rounds)
            return np.stack(self.samples, axis=1)[drawn] - self.mean_M
        if self.samples:
            columns = [values[rng.integers(len(values), size=rounds)] for values in self.samples]
            return np.stack(columns, axis=1) - self.mean_M
        normal_RM = rng.standard_normal((rounds, len(self.models)))
        if self.covariance_MM is None:
            return normal_RM * np.sqrt(self.variance_M)
        values, vectors = np.linalg.eigh(self.covariance_MM)
        return normal_RM @ (vectors * np.sqrt(np.maximum(values, 0))).T


def read_board(path: str | Path, confidence: float = 0.95) -> ScoredBoard:
    """Read a board.

    Args:
        path: the file.
        confidence: of intervals in it, where the file does not say; of those made here from rounds.

    Raises:
        InputError: unreadable, none of the kinds above, a model twice, or a value that is no finite number; row and
            column are named.
    """
    path = Path(path)
    if kind_of(path) in {".parquet", ".csv"}:
        return _of_table(path, read_table(path, "models"), confidence)
    if kind_of(path) == ".json" and isinstance(data := _json(path), dict):
        return _leaderboard(path, data, confidence)
    rows = read_rows(path, "models")
    if any("results" in row for row in rows):
        return _of_samples(path, rows)
    return _of_table(path, in_columns(rows), confidence)


def _json(path: Path) -> Any:  # noqa: ANN401 - as the file has it
    try:
        with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
            return json.loads(stream.read())
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}; expected {_SAID}") from error


def _leaderboard(path: Path, data: Mapping[str, Any], confidence: float) -> ScoredBoard:
    if isinstance(boards := data.get("boards"), dict):
        raise InputError(f"{path}: found the boards {', '.join(boards)}, expected one; write one category to a file")
    lines = data.get("models")
    if not isinstance(lines, list) or not lines or not all(isinstance(line, dict) for line in lines):
        raise InputError(f"{path}: found no list of models, expected {_SAID}")
    settings = data.get("settings")
    given = settings.get("confidence") if isinstance(settings, dict) else None
    confidence = given if isinstance(given, float) and 0 < given < 1 else confidence
    board = _of_table(path, in_columns([dict(line, score=line.get("rating")) for line in lines]), confidence)
    covariance = data.get("covariance") or None
    if covariance is None:
        return board
    matrix = np.asarray(covariance, dtype=float) if _is_square(covariance, len(lines)) else None
    if matrix is None or not np.isfinite(matrix).all():
        raise InputError(f"{path}: found another covariance than {len(lines)} rows of as many numbers; write it anew")
    parts = (board.score_M, board.lower_M, board.upper_M, board.mean_M, board.variance_M)
    return ScoredBoard(board.name, board.models, *parts, covariance_MM=matrix)


def _is_square(rows: Any, size: int) -> bool:  # noqa: ANN401 - as the file has it
    return (
        isinstance(rows, list)
        and len(rows) == size
        and all(isinstance(row, list) and len(row) == size for row in rows)
        and all(isinstance(value, int | float) for row in rows for value in row)
    )


def _of_samples(path: Path, rows: list[dict[str, Any]]) -> ScoredBoard:
    flat = in_columns([{name: value for name, value in row.items() if name != "results"} for row in rows])
    samples = []
    for number, row in enumerate(rows, start=1):
        found = row.get("results")
        good = isinstance(found, list) and found and all(isinstance(value, int | float) for value in found)
        values = np.asarray(found, dtype=float) if good else np.array([np.nan])
        if not np.isfinite(values).all():
            raise InputError(f"{path}: row {number}, column results: found {found!r:.60}, expected a list of numbers")
        samples.append(values)
    columns = _columns(path, flat, ("score", "lower", "upper"))
    return _sampled(path, _names(path, flat), samples, _Summary(**columns))


def _of_table(path: Path, frame: pl.DataFrame, confidence: float) -> ScoredBoard:
    there = {role: name for role in _ALIASES if (name := _column(frame, role)) is not None}
    if {"model", "score"} <= there.keys():
        return _summarised(path, frame, there, confidence)
    if "score" in there or there.get("model", "") != "":
        raise InputError(f"{path}: found the columns {', '.join(frame.columns)}, expected {_SAID}")
    models = [name for name in frame.columns if name not in _INDEX]
    samples_RM = np.stack([_numbers(path, frame, name) for name in models], axis=1) if models else np.empty((0, 0))
    if not models:
        raise InputError(f"{path}: found no column of a model, expected {_SAID}")
    ends_2M = np.quantile(samples_RM, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return _sampled(path, tuple(models), list(samples_RM.T), _Summary(samples_RM.mean(axis=0), *ends_2M))


def _summarised(path: Path, frame: pl.DataFrame, there: Mapping[str, str], confidence: float) -> ScoredBoard:
    if not ({"lower", "upper"} <= there.keys() or {"se", "variance"} & there.keys()):
        raise InputError(f"{path}: found the columns {', '.join(frame.columns)}, expected lower and upper, or se, too")
    columns = _columns(path, frame, [role for role in there if role != "model"])
    score_M, half = columns["score"], float(ndtri((1 + confidence) / 2))
    ends = (columns["lower"], columns["upper"]) if {"lower", "upper"} <= there.keys() else None
    if "se" in columns or "variance" in columns:
        variance_M = columns["se"] * np.abs(columns["se"]) if "se" in columns else columns["variance"]
        _refuse(path, variance_M < 0, "a negative se or variance, expected none below zero")
    else:
        variance_M = ((columns["upper"] - columns["lower"]) / (2 * half)) ** 2
    lower_M, upper_M = ends or (score_M - half * np.sqrt(variance_M), score_M + half * np.sqrt(variance_M))
    _in_order(path, lower_M, upper_M)
    return ScoredBoard(path.name, _names(path, frame), score_M, lower_M, upper_M, score_M, variance_M)


def _sampled(path: Path, models: tuple[str, ...], samples: list[Floats], said: _Summary) -> ScoredBoard:
    _in_order(path, said.lower, said.upper)
    lengths = {len(values) for values in samples}
    moving = [values for values in samples if np.ptp(values) > 0]
    in_order = bool(moving) and all((np.diff(values) >= 0).all() for values in moving)
    mean_M, variance_M = (np.array([measure(values) for values in samples]) for measure in (np.mean, np.var))
    joint = len(lengths) == 1 and not in_order
    return ScoredBoard(path.name, models, *said, mean_M, variance_M, samples=tuple(samples), joint=joint)


def _in_order(path: Path, lower_M: Floats, upper_M: Floats) -> None:
    _refuse(path, lower_M > upper_M, "a lower end above the upper one, expected it below")


def _refuse(path: Path, bad_M: NDArray[np.bool_], what: str) -> None:
    if bad_M.any():
        raise InputError(f"{path}: row {int(bad_M.argmax()) + 1}: found {what}")


def _column(frame: pl.DataFrame, role: str) -> str | None:
    folded = {name.casefold(): name for name in reversed(frame.columns)}
    return next((folded[alias] for alias in _ALIASES[role] if alias in folded), None)


def _columns(path: Path, frame: pl.DataFrame, roles: Sequence[str]) -> dict[str, Floats]:
    named = {role: _column(frame, role) for role in roles}
    if missing := [role for role, name in named.items() if name is None]:
        raise InputError(f"{path}: found the columns {', '.join(frame.columns)}, expected {', '.join(missing)} too")
    return {role: _numbers(path, frame, name) for role, name in named.items() if name is not None}


def _numbers(path: Path, frame: pl.DataFrame, name: str) -> Floats:
    values = frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    if (bad := ~np.isfinite(values)).any():
        row = int(bad.argmax())
        raise InputError(f"{path}: row {row + 1}, column {name}: found {frame[name][row]!r}, expected a finite number")
    return values


def _names(path: Path, frame: pl.DataFrame) -> tuple[str, ...]:
    name = _column(frame, "model")
    if name is None:
        raise InputError(f"{path}: found the columns {', '.join(frame.columns)}, expected a column model")
    models = frame[name].cast(pl.String)
    if (empty := (models.fill_null("").str.strip_chars() == "")).any():
        raise InputError(f"{path}: row {int(empty.arg_max() or 0) + 1}, column {name}: found no name of a model")
    if (again := ~models.is_first_distinct()).any():
        row = int(again.arg_max() or 0)
        raise InputError(f"{path}: row {row + 1}, column {name}: found {models[row]!r} again, expected a model once")
    return tuple(models)
