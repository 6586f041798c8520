"""The arena's settings: the flags of `palaestra arena serve`, and the `[arena.serve]` table of palaestra.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ArenaSettings(BaseModel):
    """How an arena is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Path = Path("models.toml")
    """The contestants."""
    database: str = "sqlite:///arena.db"
    """The ledger: sqlite:///FILE, made where it is not there, or postgresql://USER@HOST/NAME."""
    host: str = "127.0.0.1"
    """The address to listen on. Anybody who can reach it can vote."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    pace: float = Field(default=240.0, gt=0)
    """Characters a second that are shown of each answer, at most."""
    longest_prompt: int = Field(default=20_000, ge=1, le=200_000)
    """Characters in a message, at most."""
    most_turns: int = Field(default=20, ge=1)
    """Turns in a battle, at most."""
    most_live: int = Field(default=256, ge=1)
    """Turns answered at the same time, by everybody together."""
    most_live_each: int = Field(default=2, ge=1)
    """Turns answered at the same time, by one voter."""
    abandoned_after: float = Field(default=30.0, gt=0)
    """Seconds without a browser looking on, after which the models are stopped."""
    pairing: Literal["uniform", "active"] = "uniform"
    """uniform: all pairs alike; active: pairs whose next vote says most about the order at the top."""
    p2l: Path | None = None
    """A trained model of `palaestra p2l train`; adds a page that takes a prompt and draws its leaderboard."""
    seed: int | None = None
    """Seed of the draw of pairs and sides; without one, the operating system's randomness."""
