"""A battle: one prompt, two models, one verdict; the row from which every leaderboard is made.

Column names are those of the public LMArena preference releases, so that outside data loads unchanged; `propensity`
(the probability with which the pair was drawn) and `voter_kind` are ours.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from palaestra.schema.conversation import Message
from palaestra.schema.record import Record, Struct


class Winner(StrEnum):
    """The four outcomes."""

    MODEL_A = "model_a"
    MODEL_B = "model_b"
    TIE = "tie"
    BOTH_BAD = "both_bad"


class VoterKind(StrEnum):
    """Who voted: a person or a judge model."""

    PERSON = "person"
    JUDGE = "judge"


class StyleCounts(Struct):
    """Token and Markdown counts of both sides, named as in the releases; counts of nested releases are summed."""

    sum_user_tokens: int | None = None
    sum_assistant_a_tokens: int | None = None
    sum_assistant_b_tokens: int | None = None
    header_count_a: dict[str, int] = Field(default_factory=dict)
    header_count_b: dict[str, int] = Field(default_factory=dict)
    list_count_a: dict[str, int] = Field(default_factory=dict)
    list_count_b: dict[str, int] = Field(default_factory=dict)
    bold_count_a: dict[str, int] = Field(default_factory=dict)
    bold_count_b: dict[str, int] = Field(default_factory=dict)


class Battle(Record):
    """Two conversations, two models, one outcome."""

    record_name = "battle"

    id: str
    model_a: str
    model_b: str
    winner: Winner
    voter: str | None = None
    voter_kind: VoterKind = VoterKind.PERSON
    evaluation_session_id: str | None = None
    tstamp: datetime | None = None
    turn: int | None = Field(default=None, ge=1)
    language: str | None = None
    category_tag: dict[str, bool] | None = None
    is_code: bool | None = None
    is_refusal: bool | None = None
    dedup_tag: dict[str, bool] | None = None
    conv_metadata: StyleCounts | None = None
    conversation_a: tuple[Message, ...] = ()
    conversation_b: tuple[Message, ...] = ()
    weight: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    propensity: float | None = Field(default=None, gt=0.0, le=1.0)
