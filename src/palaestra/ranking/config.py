"""How votes become a leaderboard: one frozen config, which is also flags, a TOML table and a board's settings."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field

from palaestra.ranking.weights import Weighting
from palaestra.stats.likelihoods import VoteModel


class Ties(StrEnum):
    """What is made of ties, and of "both bad"."""

    HALF = "half"
    RAO_KUPPER = "rao-kupper"
    DAVIDSON = "davidson"
    GROUNDED = "grounded"
    AUTO = "auto"

    @property
    def model(self) -> VoteModel:
        """The model of a vote.

        Raises:
            KeyError: for `auto`, which has to be decided first.
        """
        return {
            Ties.HALF: VoteModel.BRADLEY_TERRY,
            Ties.RAO_KUPPER: VoteModel.RAO_KUPPER,
            Ties.DAVIDSON: VoteModel.DAVIDSON,
            Ties.GROUNDED: VoteModel.GROUNDED,
        }[self]


class FitConfig(Weighting):
    """How votes become a leaderboard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ties: Ties = Ties.HALF
    """half a win for each (Bradley-Terry); rao-kupper, davidson: a tie is an outcome; grounded: "both bad" is too, and
    ratings have an absolute zero; auto: the one with the least held-out log loss."""
    style: tuple[str, ...] = ()
    """Style that is held equal: length, header, list, bold; markdown for the last three, all for the four."""
    style_definition: Literal["blog", "fastchat", "arena-hard-v0.1", "arena-hard-v2.0"] = "blog"
    """The formula of a style feature."""
    covariates: tuple[str, ...] = ()
    """What else is held equal: position, same_organization, own_organization, refusal, latency, citations, a column."""
    penalty: float = Field(default=0.0, ge=0, le=1e6, allow_inf_nan=False)
    """Ridge on the coefficients of style and covariates, for each vote; 1 shrinks them six-fold and more."""
    intervals: Literal["sandwich", "bootstrap", "model"] = "sandwich"
    """sandwich holds whatever the votes follow; bootstrap too, by refitting; model if every vote follows the model."""
    cluster: str | None = None
    """Votes of one voter, session or prompt (or of one value of a column) may depend on each other."""
    rounds: int = Field(default=100, ge=20, le=100_000)
    """Rounds of the bootstrap."""
    confidence: float = Field(default=0.95, gt=0, le=0.999999)
    """Confidence of the intervals, and of all simultaneous ranks together."""
    anchor: str | None = None
    """MODEL=SCORE: shift the ratings so that this model has this score; otherwise their mean is 1000."""
    min_votes: float = Field(default=30, ge=0, allow_inf_nan=False)
    """Models with fewer votes are marked preliminary."""
    seed: int = Field(default=0, ge=0)
    """Seed of the folds, the simultaneous ranks and the bootstrap. With covariates, clusters or decay, folds and
    rounds follow the order of the rows as well."""
