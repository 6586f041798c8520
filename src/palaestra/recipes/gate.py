"""The gate before the arena: a checkpoint joins only if its foretold rating beats a model that is there.

Offline results become the law of a rating (`judge/forecast.py`, docs/forecast.md), and the law a chance to be better
than the named model. What the training itself has measured can be the new model's row, under the names of the
benchmarks that the rated models have.

Not here: the forecast (the judge room's), the file of contestants (`gateway/enrol.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError

if TYPE_CHECKING:
    from palaestra.judge.forecast import ForecastLine
    from palaestra.judge.forecast_tables import Scores


class GateConfig(BaseModel):
    """What a checkpoint has to show before it joins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str | None = None
    """Offline results of rated models, and of the new one: it joins only if its forecast beats --beats."""
    board: str | None = None
    """The board of the rated models: what `rank fit --json` wrote, or a table."""
    beats: str | None = None
    """The model of the board that has to be beaten."""
    chance: float = Field(default=0.5, ge=0, le=1)
    """How likely that has to be, at least."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the checkpoint joins, and why."""

    passes: bool
    line: ForecastLine
    beats: str
    chance: float
    least: float
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The decision in a sentence."""
        one = self.line
        rating = f"{one.rating:.0f} ({one.lower:.0f} to {one.upper:.0f})"
        said = f"its foretold rating is {rating}, its chance to beat {self.beats} {self.chance:.3f}"
        if self.passes:
            return f"{one.model} joins: {said}, at least {self.least:g}"
        return f"{one.model} stays out: {said}, below {self.least:g}"


def check_gate(config: GateConfig) -> bool:
    """Whether there is a gate; its files are read, so that a long run does not end at a gate that cannot be.

    Raises:
        InputError: only a part of it is given, a file is not what it should be, or the model is not on the board.
    """
    given = {"--gate": config.gate, "--board": config.board, "--beats": config.beats}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return False
    if missing:
        there = " and ".join(name for name in given if name not in missing)
        raise InputError(f"found {there} without {' and '.join(missing)}, expected the three together")
    from palaestra.judge.forecast_tables import read_ratings, read_scores

    read_scores(str(config.gate))
    if config.beats not in read_ratings(str(config.board)).models:
        raise InputError(f"found no model {config.beats!r} on the board, expected the one that has to be beaten")
    return True


def decide(config: GateConfig, model: str, measured: Mapping[str, float] | None = None) -> Decision:
    """Whether a checkpoint joins.

    Args:
        config: with `gate`, `board` and `beats`.
        model: the checkpoint's name.
        measured: its scores by benchmark, on the scale of the results' file; those of no benchmark there are left out.
            If None, the file has a row of it.

    Raises:
        InputError: as for `forecast`; or nothing was measured that the others have, or the file has this model too.
    """
    from palaestra.judge.forecast import forecast
    from palaestra.judge.forecast_tables import read_scores

    if not check_gate(config):
        raise InputError("found no --gate, --board and --beats, expected the three")
    scores = read_scores(str(config.gate))
    if measured is not None:
        scores = with_row(scores, model, measured)
    found = forecast(scores, str(config.board), (model,), production=config.beats)
    line = found.models[0]
    chance = line.chance or 0.0
    warnings = (*found.warnings, *line.warnings)
    return Decision(chance >= config.chance, line, str(config.beats), chance, config.chance, warnings)


def with_row(scores: Scores, model: str, measured: Mapping[str, float]) -> Scores:
    """The results with one more model, whose scores are turned as those of the others are.

    Raises:
        InputError: the model is there already, or nothing was measured that the others have.
    """
    import numpy as np

    from palaestra.judge.forecast_tables import turned_score

    if model in scores.models:
        raise InputError(f"found results of {model!r} already, expected another name for the new model")
    known = {name: measured[name] for name in scores.benchmarks if isfinite(measured.get(name, nan))}
    if not known:
        raise InputError(
            f"found the measurements {', '.join(sorted(measured)) or 'none'}, expected one of the benchmarks "
            f"{', '.join(scores.benchmarks)}"
        )
    row_K = [turned_score(known[name], scores.links[name]) if name in known else nan for name in scores.benchmarks]
    return replace(
        scores,
        models=(*scores.models, model),
        value_MK=np.vstack([scores.value_MK, row_K]),
        noise_MK=np.vstack([scores.noise_MK, np.zeros(len(row_K))]),
        day_M=np.append(scores.day_M, nan),
    )
