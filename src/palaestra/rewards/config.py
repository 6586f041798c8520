"""What a reward is trained with: one frozen record, the same for the command line, TOML and the run's record."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Loss = Literal["auto", "bradley-terry", "rao-kupper", "davidson", "plackett-luce"]
View = Literal["reply", "product", "joint"]
Style = Literal["length", "markdown"]
Mode = Literal["head", "lora", "full"]

RIDGES = tuple(float(f"{10.0**power:.3g}") for power in (1.5, 1, 0.5, 0, -0.5, -1, -1.5, -2, -2.5))
"""Ridges that are tried, beside no head at all; the largest first."""


class RewardConfig(BaseModel):
    """How a head on frozen vectors is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: str = "local:minilm"
    """What makes vectors of texts: local:minilm, gguf:smollm2, a folder of Hugging Face, or a model of models.toml."""
    views: tuple[View, ...] = ()
    """What vectors are made of: the reply, the product of its vector and the prompt's, the talk and the reply as one
    text. Reply and product for an embedder, the whole as one text for a language model, if left out."""
    loss: Loss = "auto"
    """plackett-luce where somebody ranked three or more, else rao-kupper where there are ties, else bradley-terry."""
    style: tuple[Style, ...] = ("length", "markdown")
    """Columns of style beside the head, without a ridge."""
    debias: tuple[Style, ...] = ()
    """What is left out of the score, also as far as the vectors know it."""
    margins: bool = False
    """Ask the better reply to be better by the margin that the record gives. Bradley-Terry only."""
    ridge: float | None = Field(default=None, gt=0)
    """The strength of the ridge for each comparison; chosen by held-out log loss if left out."""
    folds: int = Field(default=5, ge=3, le=20)
    """Into how many parts the prompts are divided to choose the ridge and to measure."""
    rounds: int = Field(default=50, ge=10, le=2000)
    """Refits on resampled prompts, for the intervals of style."""
    members: int = Field(default=8, ge=2, le=100)
    """How many of them are kept, for the spread of a score."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of all intervals."""
    seed: int = Field(default=0, ge=0)
    """Of folds and resampling."""

    @field_validator("debias")
    @classmethod
    def _are_columns(cls, debias: tuple[Style, ...], info: ValidationInfo) -> tuple[Style, ...]:
        style = info.data.get("style", ())
        if missing := [name for name in debias if name not in style]:
            raise ValueError(
                f"found {missing[0]!r} in debias, expected one of the columns of style: {', '.join(style)}"
            )
        return debias

    def drawn(self) -> int:
        """Rounds that are fitted: at least as many as there are members."""
        return max(self.rounds, self.members)
