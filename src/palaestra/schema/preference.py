"""A preference: one conversation, two or more replies to it, and how somebody ranks them.

A pair of which one is better has the ranks 1 and 2 in some order; level replies share a rank. Not here: which model is
better (`battle.py`), and how other people's files are read (`store/preferences.py`).
"""

from __future__ import annotations

from pydantic import Field, model_validator

from palaestra.schema.conversation import Message
from palaestra.schema.record import Record

_PAIR = 2


class Preference(Record):
    """What was asked, K replies, and their ranks."""

    record_name = "preference"

    id: str = Field(min_length=1)
    prompt: tuple[Message, ...] = Field(min_length=1)
    """The conversation up to the reply; its last message is the user's, or a tool's."""
    replies: tuple[str, ...] = Field(min_length=2)
    ranks: tuple[int, ...]
    """The rank of each reply: 1 is the best, level ones share theirs."""
    both_bad: bool = False
    """Whether all replies are level because none is usable."""
    models: tuple[str | None, ...] = ()
    """Who replied, where that is known: one for each reply, or none at all."""
    margin: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """By how much the better one is better, on the writer's own scale."""
    weight: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    category: str | None = None
    language: str | None = None
    voter: str | None = None
    source: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    """What else the source says of it: the item that several pairs are made of, the style of a reply."""

    @property
    def text(self) -> str:
        """What the user has said, turn by turn, joined by a blank line."""
        return "\n\n".join(message.text for message in self.prompt if message.role == "user")

    @property
    def is_tie(self) -> bool:
        """Whether all replies are level."""
        return len(set(self.ranks)) == 1

    @property
    def is_pair(self) -> bool:
        """Whether there are two replies of which one is better."""
        return len(self.replies) == _PAIR and not self.is_tie

    @property
    def chosen(self) -> str:
        """The best reply, the first of several."""
        return self.replies[self.ranks.index(1)]

    @property
    def rejected(self) -> str:
        """The worst reply, the last of several."""
        worst = max(self.ranks)
        return self.replies[len(self.ranks) - 1 - self.ranks[::-1].index(worst)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Preference:
        if len(self.ranks) != len(self.replies):
            raise ValueError(f"found {len(self.ranks)} ranks for {len(self.replies)} replies, expected one for each")
        if self.models and len(self.models) != len(self.replies):
            raise ValueError(f"found {len(self.models)} models for {len(self.replies)} replies, expected one for each")
        if min(self.ranks) != 1:
            raise ValueError(f"found the ranks {self.ranks}, expected 1 for the best")
        if self.both_bad and not self.is_tie:
            raise ValueError("found both_bad with replies of different ranks, expected level ones")
        if self.prompt[-1].role not in {"user", "tool"}:
            raise ValueError(f"found a prompt that ends with the {self.prompt[-1].role}, expected the user's turn")
        if not any(message.text.strip() for message in self.prompt):
            raise ValueError("found an empty prompt, expected what was asked")
        return self
