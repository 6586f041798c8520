"""A leaderboard: ratings with their uncertainty, and everything needed to say how they came about.

`to_dict()` is the JSON object that `palaestra rank fit --json` prints; the covariance stays in the record and in files,
and out of that object. Ratings are on the Elo scale: 400 points are odds of 10 to 1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator

from palaestra.schema.record import JsonObject, Record, Struct


def _rows(matrix: Any) -> tuple[tuple[float, ...], ...]:  # noqa: ANN401 - lists or tuples of numbers
    """Rows as tuples, without a look at each of the numbers: there are thousands, and they are ours."""
    return tuple(map(tuple, matrix))


class ModelRating(Struct):
    """One model's line. Counts are weighted, and `votes = wins + losses + ties + both_bad`.

    `rank` and `rank_lower` to `rank_upper` follow from the intervals of each model by itself; `rank_simultaneous_lower`
    to `rank_simultaneous_upper` hold for all models at once, with the confidence of the board.
    """

    model: str
    rating: float
    lower: float
    upper: float
    se: float
    rank: int
    rank_lower: int
    rank_upper: int
    votes: float
    wins: float
    losses: float
    ties: float
    both_bad: float
    preliminary: bool
    rank_simultaneous_lower: int | None = None
    rank_simultaneous_upper: int | None = None


class Effect(Struct):
    """The coefficient of a covariate: log odds for one standard deviation, with its interval, and the same in Elo.

    `sd` is that standard deviation, in the covariate's own unit.
    """

    name: str
    coefficient: float
    lower: float
    upper: float
    elo: float
    se: float
    sd: float


class Level(Struct):
    """A rating that is no model's: where the grounded model puts the line between usable and not usable."""

    rating: float
    lower: float
    upper: float
    se: float


class CalibrationBin(Struct):
    """Held-out votes of which the fit foretold about the same: mean chance of side a, how often a won (a tie half)."""

    predicted: float
    observed: float
    votes: float


class VoteData(Struct):
    """What the board was made from. `sha256` is over exactly what the fit saw."""

    votes: float
    voters: int | None = None
    sha256: str
    first: datetime | None = None
    last: datetime | None = None


class FitReport(Struct):
    """How the fit went. Log losses are natural logarithms, per vote; None is what nobody has counted.

    `constant_log_loss` is what one gets on the same held-out votes without knowing the models. `calibration_error` is
    the mean distance of prediction and outcome over the bins, by votes. `tie_parameter` is the shape parameter of the
    model of
    ties, `tie_log_losses` the held-out log losses over all four outcomes among which `ties = "auto"` has chosen.
    """

    iterations: int
    log_likelihood: float | None = None
    held_out_log_loss: float | None = None
    constant_log_loss: float | None = None
    calibration_error: float | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    tie_parameter: float | None = None
    tie_log_losses: dict[str, float] = Field(default_factory=dict)
    converged: bool


class Leaderboard(Record):
    """Ratings of all models, best first."""

    record_name = "leaderboard"

    category: str = "overall"
    models: tuple[ModelRating, ...]
    effects: tuple[Effect, ...] = ()
    components: tuple[tuple[str, ...], ...] = ()
    settings: JsonObject = Field(default_factory=dict)
    data: VoteData
    fit: FitReport
    warnings: tuple[str, ...] = ()
    usable: Level | None = None
    """Where a usable answer begins; only the grounded model knows."""
    covariance: Annotated[tuple[tuple[float, ...], ...], PlainValidator(_rows), PlainSerializer(list, list)] = ()
    """Covariance of the ratings in Elo squared, in the order of `models`."""

    def to_dict(self) -> dict[str, Any]:
        """The interface's JSON object: everything but the covariance."""
        return {"schema": self.schema_id(), **self.model_dump(mode="json", by_alias=True, exclude={"covariance"})}
