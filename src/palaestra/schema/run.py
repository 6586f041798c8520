"""The card of a run: what was run, on what, with which versions, and what came out."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from palaestra.schema.record import JsonObject, Record, Struct


class InputFile(Struct):
    """A file that a run read."""

    path: str
    sha256: str


class RunCard(Record):
    """`run.json` of a run folder. `config` is the command's own config."""

    record_name = "run"

    id: str
    command: str
    config: JsonObject
    seed: int | None = None
    inputs: tuple[InputFile, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    started: datetime
    finished: datetime | None = None
    state: Literal["running", "done", "failed", "interrupted"] = "running"
    metrics: dict[str, float] = Field(default_factory=dict)
