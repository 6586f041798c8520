"""A prompt with what is known of it, and a set of prompts: a benchmark.

A prompt is what a model is asked: one user's turn, or several that are asked one after another. A set is a folder:
`prompts.parquet` with one row a prompt, `promptset.json` with this record, `card.md`.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, model_validator

from palaestra.schema.record import JsonObject, Record


class Prompt(Record):
    """What a model is asked, and what is known of it."""

    record_name = "prompt"

    id: str = Field(min_length=1)
    turns: tuple[str, ...] = Field(min_length=1)
    """The user's turns, in their order; most prompts have one."""
    system: str | None = None
    """What stands before them."""
    category: str | None = None
    """The part of the benchmark that it belongs to; baselines and protocols may differ by it."""
    subcategory: str | None = None
    topic: str | None = None
    """What its cluster is about, in a few words."""
    language: str | None = None
    criteria: dict[str, bool] = Field(default_factory=dict)
    """Which criteria of a demanding prompt it meets."""
    score: float | None = Field(default=None, allow_inf_nan=False)
    """How many criteria it meets: by a judge a count, by a trained scorer an expectation."""
    reference: tuple[str, ...] = ()
    """A right answer to each turn, where there is one."""
    source: str | None = None
    """Where it comes from."""

    @property
    def text(self) -> str:
        """All turns, joined by a blank line."""
        return "\n\n".join(self.turns)

    @model_validator(mode="after")
    def _hangs_together(self) -> Prompt:
        if not any(turn.strip() for turn in self.turns):
            raise ValueError("found only empty turns, expected a prompt")
        if self.reference and len(self.reference) != len(self.turns):
            raise ValueError(
                f"found {len(self.reference)} reference answers, expected one for each of {len(self.turns)} turns"
            )
        return self


class PromptSet(Record):
    """What a set of prompts is, and how it was made."""

    record_name = "promptset"

    name: str = Field(min_length=1)
    version: str
    description: str = ""
    created: datetime | None = None
    license: str | None = None
    prompts: int = Field(ge=1)
    sha256: str
    """Over the prompts as they are asked: ids and turns, in their order."""
    categories: dict[str, int] = Field(default_factory=dict)
    topics: int | None = None
    baselines: dict[str, str] = Field(default_factory=dict)
    """By category, or by `*` for all, the model that others are compared with, where the set says so."""
    seed: int | None = None
    settings: JsonObject = Field(default_factory=dict)
