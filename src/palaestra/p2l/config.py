"""How a head is trained: every setting, its default, and what it is for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from palaestra.p2l.model import Kind

SPREADS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Values among which `auto` chooses, beside zero: natural log odds."""


class TrainConfig(BaseModel):
    """How votes become a leaderboard for every prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind | Literal["auto"] = "auto"
    """bradley-terry (a tie is half a win), rao-kupper (ties), grounded (ties and both bad); auto goes by the votes."""
    features: str = "local:minilm"
    """What makes vectors of prompts: local:minilm, gguf:smollm2, or a model of --models with an endpoint."""
    components: int = Field(default=64, ge=1)
    """How many principal components of the vectors the head sees, at most."""
    spread: float | Literal["auto"] = "auto"
    """How far strengths move from prompt to prompt a priori, log odds; 0 is one board; auto chooses by folds."""
    folds: int = Field(default=5, ge=2)
    """Parts into which prompts are dealt to choose the spread."""
    members: int = Field(default=32, ge=0)
    """Members of the ensemble that says how sure the boards are; 0 for none."""
    seed: int = Field(default=0, ge=0)
    """Seed of folds and members."""
