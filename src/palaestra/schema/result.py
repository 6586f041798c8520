"""A result: how many questions of a benchmark a model got right, and, where measured, how fast and at what cost.

Not here: an answer to a single question, and scores that are no counts of right answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from palaestra.schema.record import Record


def _in_utc(moment: datetime) -> datetime:
    """The moment in UTC, which is also what a moment without a zone is taken to be in."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Result(Record):
    """A model on a benchmark, or on one shard of it: `correct` of `total` questions."""

    record_name = "result"

    model: str = Field(min_length=1)
    benchmark: str = Field(min_length=1)
    domain: str = Field(min_length=1)
    """What the benchmark is about; one and the same for all results on it."""
    correct: int = Field(ge=0)
    total: int = Field(ge=1)
    guess_rate: float | None = Field(default=None, ge=0.0, lt=1.0)
    """The share that guessing gets right: 0.25 for four choices. A property of the benchmark."""
    queries: int | None = Field(default=None, ge=0)
    """Queries that were answered, in `seconds` and for `cost`."""
    seconds: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """Wall time for all queries together."""
    concurrency: int | None = Field(default=None, ge=1)
    """How many queries were under way at once."""
    cost: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """Cost of all queries together, in any currency that is the same for all results."""
    date: Annotated[datetime, AfterValidator(_in_utc)] | None = None
    """The run's date, which all shards of a run share."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        """No more right than asked; a time says for how many queries, and how many at once; a cost for how many."""
        if self.correct > self.total:
            raise ValueError(f"{self.correct} correct of {self.total}, expected at most as many as the total")
        if self.seconds is not None and (self.queries is None or self.concurrency is None):
            raise ValueError("found seconds without queries and concurrency, expected the three together")
        if self.cost is not None and self.queries is None:
            raise ValueError("found cost without queries, expected the queries that it paid for")
        return self
