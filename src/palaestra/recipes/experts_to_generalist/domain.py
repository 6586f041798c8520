"""What a domain is: questions that are drawn, their gold answers with a verbose way to them, and a checker of its own.

The checker reads the question's text again and verifies a reply in another way than the one that made the gold answer:
a quotient is multiplied back, a sorted word is held against its letters. Not here: the domains themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

ANSWER_MARK = "#"
"""Stands between a working and its answer; no question and no answer has it."""
_NUMBER = re.compile(r"0|[1-9][0-9]*")


class Task(NamedTuple):
    """A question without its tag, the gold answer, and the steps to it."""

    body: str
    answer: str
    steps: Sequence[str]


@dataclass(frozen=True, slots=True)
class Domain:
    """One kind of question."""

    tag: str
    """Three letters at the beginning of each prompt, and the domain's name."""
    title: str
    """What is asked, for readers."""
    space: int
    """How many distinct prompts there are."""
    draw: Callable[[Random], Task]
    """A question by chance."""
    check: Callable[[str, str], bool]
    """Whether a reply answers the question of this body. Any text may be the reply; a body is one that was drawn."""

    def prompt(self, body: str) -> str:
        """The question as a model reads it."""
        return f"{self.tag} {body}"


def working(task: Task) -> str:
    """The steps and the answer, as a model may write them before it has learnt to be short."""
    return f"{';'.join(task.steps)}{ANSWER_MARK}{task.answer}"


def answer_in(reply: str) -> str:
    """What a reply says in the end: all after the last mark, or all of it where there is none."""
    return reply.rpartition(ANSWER_MARK)[2].strip()


def number(text: str) -> int | None:
    """A number as one writes it, without zeros in front; None if the text is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def listed(reply: str, count: int) -> list[str] | None:
    """The items of a reply, single spaces between them; None unless there are so many."""
    items = reply.split(" ")
    return items if len(items) == count else None


def word(rng: Random, letters: str, least: int, most: int) -> str:
    """A word of so many letters."""
    return "".join(rng.choices(letters, k=rng.randint(least, most)))


def words(letters: int, least: int, most: int) -> int:
    """How many words there are."""
    return sum(letters**length for length in range(least, most + 1))
