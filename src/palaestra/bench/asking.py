"""What the room needs of a judge: questions with keys in, replies out.

Who asks, how often, and what has been paid for already, is for the one who passes the callable in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from palaestra.schema import Message


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a judge. The key is the same for the same question of the same build, so that it is paid for once."""

    key: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a text, or why there is none."""

    text: str | None
    error: str | None = None
    cost: float | None = None


class Ask(Protocol):
    """Asks a judge."""

    @property
    def judge(self) -> str:
        """The judge's name, for the reader."""
        ...

    @property
    def identity(self) -> str:
        """Another text for another judge, though it have the same name: what is kept of one is not the other's."""
        ...

    def __call__(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """A reply to each question, in their order. A call that failed is a reply with its error, not an exception."""
        ...
