"""A leaderboard: ratings with their uncertainty, and everything needed to say how they came about.

`to_dict()` is the JSON object that `palaestra rank fit --json` prints; the covariance stays in the record and in files,
and out of that object. Ratings are on the Elo scale: 400 points are odds of 10 to 1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from palaestra.schema.record import JsonObject, Record, Struct


class ModelRating(Struct):
    """One model's line. Counts are weighted, and `votes = wins + losses + ties + both_bad`."""

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


class Effect(Struct):
    """The coefficient of a covariate, with its interval and its size in Elo."""

    name: str
    coefficient: float
    lower: float
    upper: float
    elo: float


class VoteData(Struct):
    """What the board was made from. `sha256` is over exactly what the fit saw."""

    votes: float
    voters: int | None = None
    sha256: str
    first: datetime | None = None
    last: datetime | None = None


class FitReport(Struct):
    """How the fit went. Log losses are natural logarithms, per vote."""

    iterations: int
    log_likelihood: float
    held_out_log_loss: float | None = None
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
    covariance: tuple[tuple[float, ...], ...] = ()
    """Covariance of the ratings in Elo squared, in the order of `models`."""

    def to_dict(self) -> dict[str, Any]:
        """The interface's JSON object: everything but the covariance."""
        return {key: value for key, value in super().to_dict().items() if key != "covariance"}
