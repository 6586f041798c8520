"""How far two boards agree, and how well each separates its models, every measure with its own bootstrap interval.

The measures are those of `stats/quality.py`. An interval says where a measure would be on average if the whole were
done again with the same settings: with other votes (each round adds noise to all scores, as the boards know it, and
moves their intervals along), with other models like these (each round draws models with replacement), or both.

A board that already has noise, and gets more in each round, has other measures on average: more pairs look separated,
correlations are lower. So the rounds are moved to the measure itself: on the scale arcsin x, with measures from 0 to 1
as 2x - 1, an interval is the measure plus the quantiles of (round - mean of the rounds), cut at the ends of the scale.

`over="models"` contains the noise of votes already as far as it is independent from model to model, since each model
comes with its own. `both` adds it once more, and is on the safe side: docs/agreement.md has the coverage.

Not here: agreement of a judge with people on single prompts, and tests of one model against another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.judge.board_files import ScoredBoard, read_board
from palaestra.judge.common_models import Common, common_models, read_names
from palaestra.schema.record import Record, Struct
from palaestra.stats.quality import MEASURES, SIGNED, Rules, Standings, measures, recentred

Floats = NDArray[np.float64]

Over = Literal["votes", "models", "both"]

_FEW = 8
"""Below so many common models an interval over models is hardly one."""
_SHOWN = 8


class AgreementConfig(BaseModel):
    """How two boards are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overlap: Literal["notebook", "strict", "published"] = "notebook"
    """When intervals overlap; published is notebook for separability and strict for agreement, as Arena-Hard has it."""
    over: Over = "both"
    """What the intervals of the measures are over: other votes, other models, or both."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals of the measures, and of those of boards that do not say theirs."""
    rounds: int = Field(default=1000, ge=100)
    """Bootstrap rounds."""
    only_named: bool = False
    """Compare only the models that the file of names has."""
    seed: int = Field(default=0, ge=0)
    """Seed of the rounds."""

    @property
    def rules(self) -> Rules:
        """Which rule of overlap holds for separability, and which for agreement."""
        if self.overlap == "published":
            return Rules("notebook", "strict")
        return Rules(self.overlap, self.overlap)


class Measure(Struct):
    """A measure and its interval; None where it is not defined, as a correlation of scores that are all equal."""

    name: str
    value: float | None
    lower: float | None
    upper: float | None


class Compared(Struct):
    """One board of the two: how many models it has, which were not compared, and what its noise was drawn from."""

    name: str
    models: int
    not_compared: tuple[str, ...]
    noise: str


class Agreement(Record):
    """Measures of a board against a reference, on the models that both have."""

    record_name = "agreement"

    board: Compared
    reference: Compared
    models: tuple[str, ...]
    """The common models, by their names on the board, in its order."""
    measures: tuple[Measure, ...]
    settings: AgreementConfig
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        """A measure by its name."""
        return next(measure for measure in self.measures if measure.name == name)

    def table(self) -> pl.DataFrame:
        """One row a measure: name, value, lower, upper."""
        return pl.DataFrame([measure.model_dump() for measure in self.measures], infer_schema_length=None)


def agreement(
    board: str | Path | ScoredBoard,
    reference: str | Path | ScoredBoard,
    config: AgreementConfig | None = None,
    *,
    names: str | Path | dict[str, str] | None = None,
    **settings: Any,  # noqa: ANN401 - AgreementConfig's fields
) -> Agreement:
    """Compare a board with a reference.

    Args:
        board: a board, or the file of one (see `board_files.py`).
        reference: the board that is held to be right.
        config: settings.
        names: names of models on the one board to those on the other, or a JSON file of them.
        **settings: or the settings by name.

    Raises:
        InputError: a file is none of a board, or fewer than three models are common.
        pydantic.ValidationError: a setting is none of these.
    """
    config = AgreementConfig(**((config.model_dump() if config else {}) | settings))
    first, second = (
        one if isinstance(one, ScoredBoard) else read_board(one, config.confidence) for one in (board, reference)
    )
    known = names if isinstance(names, dict) else read_names(names) if names is not None else None
    common = common_models(first.models, second.models, known, only_named=config.only_named)
    ours, theirs = first.of(common.board), second.of(common.reference)
    return Agreement(
        board=_compared(first, common.only_board),
        reference=_compared(second, common.only_reference),
        models=ours.models,
        measures=tuple(_measured(ours, theirs, config)),
        settings=config,
        warnings=tuple(_warnings(ours, theirs, common, config)),
    )


def _measured(board: ScoredBoard, reference: ScoredBoard, config: AgreementConfig) -> list[Measure]:
    rng = np.random.default_rng(config.seed)
    shape = (config.rounds, len(board.models))
    still, there = np.zeros((1, shape[1])), np.ones((1, shape[1]))
    values = measures(standings(board, still), standings(reference, still), there, config.rules)
    weight_RM = rng.multinomial(shape[1], np.full(shape[1], 1 / shape[1]), size=shape[0]).astype(float)
    noises = [one.noise_RM(config.rounds, rng) for one in (board, reference)]
    if config.over == "votes":
        weight_RM = np.ones(shape)
    if config.over == "models":
        noises = [np.zeros(shape), np.zeros(shape)]
    drawn = measures(
        *(standings(*pair) for pair in zip((board, reference), noises, strict=True)), weight_RM, config.rules
    )
    return [
        Measure(name=name, value=_number(values[name][0]), lower=_number(low), upper=_number(high))
        for name in MEASURES
        for low, high in [recentred(values[name][0], drawn[name], config.confidence, signed=name in SIGNED)]
    ]


def standings(board: ScoredBoard, noise_RM: Floats) -> Standings:
    """A board with noise added, its intervals moved along, R times."""
    moved = (values + noise_RM for values in (board.score_M, board.lower_M, board.upper_M, board.mean_M))
    return Standings(*moved, board.variance_M)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _compared(board: ScoredBoard, not_compared: tuple[str, ...]) -> Compared:
    return Compared(name=board.name, models=len(board.models), not_compared=not_compared, noise=board.noise)


def _warnings(board: ScoredBoard, reference: ScoredBoard, common: Common, config: AgreementConfig) -> list[str]:
    said = []
    if common.other_case:
        pairs = ", ".join(f"{a} = {b}" for a, b in common.other_case[:_SHOWN])
        more = f" and {len(common.other_case) - _SHOWN} more" if len(common.other_case) > _SHOWN else ""
        said.append(f"taken as one though upper and lower case differ: {pairs}{more}")
    said += [
        f"{one.name}: the samples of each model are sorted or of different number: they are not joint rounds, and are "
        "drawn for each model by itself"
        for one in (board, reference)
        if one.samples and not one.joint
    ]
    if len(common.board) < _FEW and config.over != "votes":
        said.append(f"{len(common.board)} common models: an interval over models says little")
    return said
