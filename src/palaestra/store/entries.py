"""What the ledger holds, as objects: pairs, battles, turns, answers; and an answer as a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from palaestra.schema import ErrorRecord, Usage

Side = Literal["a", "b"]
Choice = Literal["a", "b", "tie", "both_bad"]
AnswerState = Literal["waiting", "streaming", "complete", "stopped", "failed", "interrupted"]

SIDES: tuple[Side, Side] = ("a", "b")


@dataclass(frozen=True, slots=True)
class Pairing:
    """A pair in the order in which it is shown, and the probability with which the unordered pair was drawn."""

    model_a: str
    model_b: str
    propensity: float
    method: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One side of a turn."""

    id: str
    side: Side
    model: str
    state: AnswerState
    text: str = ""
    first_token_s: float | None = None
    total_s: float | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt and its two answers. `attempt` counts from 1 and grows when the turn is regenerated."""

    id: str
    battle: str
    position: int
    attempt: int
    prompt: str
    a: Answer
    b: Answer

    @property
    def finished(self) -> bool:
        """Whether neither answer will change any more."""
        return all(answer.state not in {"waiting", "streaming"} for answer in (self.a, self.b))

    @property
    def votable(self) -> bool:
        """Whether both sides have an answer that a person can compare."""
        return all(answer.state in {"complete", "stopped"} and answer.text for answer in (self.a, self.b))


@dataclass(frozen=True, slots=True)
class BattleState:
    """A battle with its current turns, replaced attempts left out. `choice` is None before the vote."""

    id: str
    voter: str
    pairing: Pairing
    turns: tuple[Turn, ...]
    choice: Choice | None


def answer_of(row: sa.RowMapping) -> Answer:
    """The answer of a row."""
    usage = Usage(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"], cost=row["cost"])
    error = ErrorRecord(kind=row["error_kind"], detail=row["error_detail"]) if row["error_kind"] else None
    return Answer(
        id=row["id"],
        side=row["side"],
        model=row["model"],
        state=row["state"],
        text=row["text"],
        first_token_s=row["first_token_s"],
        total_s=row["total_s"],
        usage=usage,
        finish_reason=row["finish_reason"],
        error=error,
    )


def outcome_of(answer: Answer) -> dict[str, object]:
    """The columns that say how an answer ended."""
    usage = answer.usage or Usage()
    return {
        "state": answer.state,
        "text": answer.text,
        "first_token_s": answer.first_token_s,
        "total_s": answer.total_s,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": usage.cost,
        "finish_reason": answer.finish_reason,
        "error_kind": answer.error.kind if answer.error else None,
        "error_detail": answer.error.detail if answer.error else None,
    }
