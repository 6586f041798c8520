"""The board of AlpacaEval annotations: win rates and length-controlled win rates with their intervals.

Each annotator and baseline has a board of its own, whose models are fitted together (`length_controlled.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from palaestra.errors import InputError
from palaestra.judge.alpaca import Annotation, annotation_frame, read_annotations
from palaestra.judge.length_controlled import (
    FEWEST,
    LengthControlled,
    Preferences,
    bootstrap_length_controlled,
    difficulty_given_weights,
    fit_length_controlled,
    interval_of_rounds,
    tanh_of_lengths,
)
from palaestra.schema.record import Record, Struct
from palaestra.store.records import read_rows

Floats = NDArray[np.float64]

_WEIGHTS = {
    "strength": ("strength", "not_gamed_baseline.astype(float)"),
    "length": ("length", "np.tanh(std_delta_len)"),
    "difficulty": ("difficulty", "instruction_difficulty"),
}
"""Our columns of a file of weights, and the published ones, of which that of length has the other sign."""

_FEWEST_ROUNDS = 20


class AlpacaConfig(BaseModel):
    """How annotations become win rates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Path | None = None
    """A file of weights fitted by somebody else: model, strength, length, difficulty, or the published columns."""
    pull: float = Field(default=0.2, ge=0)
    """How strongly the weights of length and difficulty are drawn to their means over the models."""
    rounds: int = Field(default=200, ge=0, le=100_000)
    """Of the bootstrap over instructions, from which the interval's width is; 0 for no intervals."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    seed: int = Field(default=0, ge=0)
    """Seed of the bootstrap."""

    @field_validator("rounds")
    @classmethod
    def _enough(cls, rounds: int) -> int:
        if 0 < rounds < _FEWEST_ROUNDS:
            raise ValueError(f"expected 0, for no intervals, or at least {_FEWEST_ROUNDS}: fewer tell no width")
        return rounds


class AlpacaLine(Struct):
    """One model's line. Win rates and standard errors are in percent, lengths in characters.

    What is length-controlled is None without lengths, or without the model's weights where these are given; its
    interval also where there were no rounds, or where weights are given.
    """

    model: str
    win_rate: float
    se: float | None
    discrete_win_rate: float
    lc_win_rate: float | None
    lc_lower: float | None
    lc_upper: float | None
    lc_se: float | None
    n: int
    wins: int
    losses: int
    ties: int
    unread: int
    mean_length: float | None
    baseline_mean_length: float | None
    strength: float | None
    length: float | None
    difficulty: float | None


class AlpacaBoard(Record):
    """Models against one baseline by one annotator, best first by the length-controlled win rate where there is one."""

    record_name = "alpaca"

    annotator: str
    baseline: str
    instructions: int
    models: tuple[AlpacaLine, ...]
    difficulty_sd: float | None
    """Standard deviation of difficulty over instructions; None where it was left out."""
    settings: AlpacaConfig
    warnings: tuple[str, ...] = ()

    def table(self) -> pl.DataFrame:
        """One row a model with the fields of `AlpacaLine`."""
        return pl.DataFrame([line.model_dump() for line in self.models], infer_schema_length=None)


def alpaca_boards(
    annotations: Sequence[Annotation] | str | Path,
    config: AlpacaConfig | None = None,
    **settings: Any,  # noqa: ANN401 - AlpacaConfig's fields
) -> list[AlpacaBoard]:
    """A board for each annotator and baseline, in the order of their names.

    Args:
        annotations: the annotations, or the path of a file of them.
        config: settings.
        **settings: or the settings by name.

    Raises:
        InputError: see `read_annotations` and `annotation_frame`; or no annotation has a preference; or the weights
            cannot be read, or are those of none of the models.
        pydantic.ValidationError: a setting is none of these.
    """
    config = AlpacaConfig(**((config.model_dump() if config else {}) | settings))
    if isinstance(annotations, (str, Path)):
        annotations = read_annotations(annotations)
    frame = annotation_frame(annotations)
    if frame["preference"].drop_nulls().is_empty():
        raise InputError("found no preference in these annotations, expected numbers from 1 to 2")
    weights = read_weights(config.weights) if config.weights else None
    groups = frame.partition_by("annotator", "generator_1", as_dict=True)
    return [_board(groups[key], weights, config) for key in sorted(groups)]


def read_weights(path: Path) -> dict[str, Floats]:
    """Strength, length and difficulty of each model, with our sign of length.

    Raises:
        InputError: unreadable, or a column is missing or no number.
    """
    found = {}
    for number, row in enumerate(read_rows(path, "weights"), start=1):
        name = row.get("model", next(iter(row.values())))
        values = []
        for ours, theirs in _WEIGHTS.values():
            column = ours if ours in row else theirs
            value = _finite(row.get(column))
            if value is None:
                raise InputError(
                    f"{path}: row {number}, column {column}: found {row.get(column)!r}, expected a number; the "
                    f"columns of weights are model, {', '.join(_WEIGHTS)}"
                )
            values.append(-value if column == _WEIGHTS["length"][1] else value)
        if str(name) in found:
            raise InputError(
                f"{path}: row {number}: found weights of {str(name)!r} a second time, expected one row a model"
            )
        found[str(name)] = np.array(values)
    return found


def _finite(value: Any) -> float | None:  # noqa: ANN401 - what a file holds
    """A number that is one, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _board(frame: pl.DataFrame, weights: dict[str, Floats] | None, config: AlpacaConfig) -> AlpacaBoard:
    baseline = frame["generator_1"][0]
    rows = {str(name): part for (name,), part in frame.group_by("generator_2", maintain_order=True)}
    rows = {name: part for name, part in rows.items() if part["preference"].count()}
    twice, lost = int((frame["rows"] - 1).sum()), frame["generator_2"].n_unique() - len(rows)
    counted = ((twice, "rows say what another says already"), (lost, "models have no preference that could be read"))
    warnings = [f"{number} {what}: left out" for number, what in counted if number]
    usable = [name for name, part in rows.items() if _controllable(part) and name != baseline]
    if weights is not None:
        usable = _with_weights(usable, weights, warnings)
    elif len(usable) < len(rows) - (baseline in rows):
        warnings.append("without the lengths of both outputs there is no length-controlled win rate")
    controlled: dict[str, dict[str, float | None]] = {baseline: _even()}
    sd = None
    if usable:
        given = _preferences([rows[name] for name in usable], frame["instruction_id"].unique(maintain_order=True))
        fitted = _fitted(given, usable, weights, config)
        sd = float(np.sqrt(fitted.variance)) if fitted.variance else None
        controlled |= dict(zip(usable, _controlled(given, fitted, config, ends=weights is None), strict=True))
        level = [name for name, y_P in zip(usable, given.y_MP, strict=True) if np.nanmin(y_P) == np.nanmax(y_P)]
        for name in level:
            controlled[name] |= dict.fromkeys(("lc_lower", "lc_upper", "lc_se"))
        if level:
            warnings.append(
                f"{len(level)} models have the same preference on all instructions, the first is {level[0]!r}: "
                "resamples of them say nothing of chance, so that their length-controlled win rate has no interval"
            )
        if weights is None and len(usable) < FEWEST:
            warnings.append(
                f"difficulty is left out: at least {FEWEST} models tell it from luck, there are {len(usable)}"
            )
    lines = [_line(name, part, controlled.get(name, {})) for name, part in rows.items()]
    return AlpacaBoard(
        annotator=frame["annotator"][0],
        baseline=baseline,
        instructions=frame["instruction_id"].n_unique(),
        models=tuple(sorted(lines, key=_place)),
        difficulty_sd=sd,
        settings=config,
        warnings=tuple(warnings),
    )


def _controllable(part: pl.DataFrame) -> bool:
    return part.select(pl.col("len_1", "len_2").null_count()).row(0) == (0, 0)


def _with_weights(names: list[str], weights: dict[str, Floats], warnings: list[str]) -> list[str]:
    known = [name for name in names if name in weights]
    if names and not known:
        raise InputError(f"found no weights of {', '.join(names[:3])}, expected a line for each of the models")
    if len(known) < len(names):
        warnings.append(f"{len(names) - len(known)} models have no weights: no length-controlled win rate")
    return known


def _preferences(parts: Sequence[pl.DataFrame], instructions: pl.Series) -> Preferences:
    place = {name: number for number, name in enumerate(instructions)}
    y_MP = np.full((len(parts), len(place)), np.nan)
    t_MP = np.zeros_like(y_MP)
    for m, part in enumerate(parts):
        at = [place[name] for name in part["instruction_id"]]
        y_MP[m, at] = part["preference"].to_numpy() - 1
        t_MP[m, at] = tanh_of_lengths(part["len_2"].to_numpy(), part["len_1"].to_numpy())
    return Preferences(y_MP, t_MP)


def _fitted(
    given: Preferences, names: Sequence[str], weights: dict[str, Floats] | None, config: AlpacaConfig
) -> LengthControlled:
    if weights is None:
        return fit_length_controlled(given, pull=config.pull)
    return difficulty_given_weights(given, np.array([weights[name] for name in names]))


def _controlled(
    given: Preferences, fitted: LengthControlled, config: AlpacaConfig, *, ends: bool
) -> list[dict[str, float | None]]:
    rates = [
        dict(zip(("strength", "length", "difficulty"), weights, strict=True)) | {"lc_win_rate": 100 * rate}
        for weights, rate in zip(fitted.weights_M3.tolist(), fitted.win_rate_M.tolist(), strict=True)
    ]
    if not ends or not config.rounds:
        return rates
    drawn_RM = bootstrap_length_controlled(given, fitted, pull=config.pull, rounds=config.rounds, seed=config.seed)
    ends_M2 = 100 * interval_of_rounds(fitted.win_rate_M, drawn_RM, config.confidence)
    for rate, (lower, upper), se in zip(rates, ends_M2.tolist(), (100 * drawn_RM.std(axis=0)).tolist(), strict=True):
        rate |= {"lc_lower": lower, "lc_upper": upper, "lc_se": se}
    return rates


def _even() -> dict[str, float | None]:
    """The baseline against itself, by construction."""
    return dict.fromkeys(("lc_win_rate", "lc_lower", "lc_upper"), 50.0) | {"lc_se": 0.0}


def _line(name: str, part: pl.DataFrame, controlled: dict[str, float | None]) -> AlpacaLine:
    preference_P = part["preference"].drop_nulls().to_numpy() - 1
    n = len(preference_P)
    wins, losses = int((preference_P > 0.5).sum()), int((preference_P < 0.5).sum())  # noqa: PLR2004 - a tie
    given = dict.fromkeys(("lc_win_rate", "lc_lower", "lc_upper", "lc_se", "strength", "length", "difficulty"))
    return AlpacaLine(
        model=name,
        win_rate=100 * float(preference_P.mean()),
        se=100 * float(preference_P.std(ddof=1)) / n**0.5 if n > 1 else None,
        discrete_win_rate=100 * (wins + (n - wins - losses) / 2) / n,
        n=n,
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        unread=part.height - n,
        mean_length=_mean(part["len_2"]),
        baseline_mean_length=_mean(part["len_1"]),
        **(given | controlled),
    )


def _place(line: AlpacaLine) -> tuple[float, str]:
    return -(line.win_rate if line.lc_win_rate is None else line.lc_win_rate), line.model


def _mean(lengths: pl.Series) -> float | None:
    return float(lengths.cast(pl.Float64).to_numpy().mean()) if lengths.null_count() == 0 else None
