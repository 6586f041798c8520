"""How a head is trained: every setting, its default, and what it is for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

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
    spread: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = "auto"
    """How far strengths move from prompt to prompt a priori, log odds; 0 is one board; auto chooses by folds."""
    folds: int = Field(default=5, ge=2)
    """Parts into which prompts are dealt to choose the spread."""
    members: int = Field(default=32, ge=0)
    """Members of the ensemble that says how sure the boards are; 0 for none, since one alone tells no spread."""
    seed: int = Field(default=0, ge=0)
    """Seed of folds and members."""

    @field_validator("members")
    @classmethod
    def _none_or_several(cls, members: int) -> int:
        if members == 1:
            raise ValueError("found an ensemble of one member, expected 0 for none, or 2 and more: one tells no spread")
        return members


class TuneConfig(BaseModel):
    """Whether, and how, a language model is trained with its head; all but the mode is of lora and full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["head", "lora", "full"] = "head"
    """head: on vectors that stay as they are, in seconds. lora, full: the language model itself is trained."""
    backbone: str = "gguf:smollm2"
    """The language model: gguf:smollm2, or a folder of Hugging Face."""
    aside: float = Field(default=0.3, gt=0, lt=1)
    """The share of prompts that the language model does not see: the head, its spread and its ensemble are theirs."""
    lora_rank: int = Field(default=16, ge=1)
    """Rank of the changes, of lora."""
    learning_rate: float | None = Field(default=None, gt=0)
    """At the start; it falls to nought in a straight line. 1e-4 for lora, 1e-5 for full, if left out."""
    epochs: int = Field(default=1, ge=1)
    """How often each prompt is seen."""
    steps: int | None = Field(default=None, ge=1)
    """Steps of the optimiser in place of epochs."""
    batch: int = Field(default=8, ge=1)
    """Prompts of one step, each with all its votes."""
    max_tokens: int = Field(default=512, ge=8)
    """Of a prompt; a longer one loses its middle."""
    pooling: Literal["mean", "last"] = "mean"
    """What of a prompt the head sees: the mean over the last hidden states of all its tokens, or that of the last."""
    save_every: int = Field(default=50, ge=1)
    """Steps between checkpoints, from which a killed run goes on."""

    @property
    def rate(self) -> float:
        """The learning rate that is meant."""
        return self.learning_rate or (1e-4 if self.mode == "lora" else 1e-5)
