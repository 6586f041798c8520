"""A verdict: what a judge said of two answers shown as A and B, or of one alone; and its reading, which never guesses.

Labels are the five of Arena-Hard (Li et al., 2024): A>>B, A>B, A=B, B>A, B>>A. What cannot be read has no label; it is
kept, counted, and asked again by the run's rule (`run.py`), never turned into a tie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

import polars as pl
from pydantic import Field

from palaestra.schema import Record, arrow_schema
from palaestra.store.foreign import MIRRORED, STRENGTHS

Label = Literal["A>>B", "A>B", "A=B", "B>A", "B>>A"]
LABELS: tuple[Label, ...] = get_args(Label)
OPPOSITE: dict[Label, Label] = dict(zip(LABELS, reversed(LABELS), strict=True))
"""The same verdict with the answers swapped."""
POINTS: dict[Label, float] = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
"""What A scores."""
STRONG = frozenset(label for label in LABELS if STRENGTHS[label] == "strong")

Reading = Literal["last", "only"]
"""Of several labels in one text: the last counts (Arena-Hard v2.0), or none does unless all are the same (v0.1)."""

_IN_TWO = re.compile(r"\[\[\s*([AB<>=]{3,4})\s*\]\]")
_IN_ONE = re.compile(r"(?<![\w\[\])])\[([AB<>=]{3,4})\](?![\w\[(])")


class Judgment(Record):
    """What a judge said in reply to one request, whatever was asked."""

    question_id: str
    judge: str
    protocol: str
    text: str | None = None
    """What the judge wrote."""
    error: str | None = None
    """Why there is no text."""
    attempts: int = Field(default=1, ge=0)
    """How often it was asked until it could be read."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    category: str | None = None
    """The question's."""


class Verdict(Judgment):
    """One judge's view of one pair of answers, in one order. The row of a file of verdicts."""

    record_name = "verdict"

    model_a: str
    """Whose answer the judge saw as A."""
    model_b: str
    game: int = Field(default=1, ge=1, le=2)
    """1: the baseline (or the first of the pair) is A; 2: swapped."""
    label: Label | None = None
    """None where the text holds no verdict, or where none came."""
    preference: float | None = Field(default=None, ge=0.0, le=1.0)
    """The chance that A is better: by the labels' probabilities where the endpoint gives them, else by the label."""


class Grade(Judgment):
    """One judge's grade of one answer alone, from 1 to 10 (MT-Bench). The row of a file of grades."""

    record_name = "grade"

    model: str
    rating: float | None = Field(default=None, ge=1.0, le=10.0)
    """None where the text holds no rating, or where none came."""


def read_label(text: str, reading: Reading = "only") -> Label | None:
    """The label in a judge's text; None where there is none, or where it cannot be said which of several counts.

    Labels in double brackets are looked for first, in any case; where there are none, in single brackets (Arena-Hard
    v2.0's rule), but only as they are spelled, and not as part of something else: `a[a=b]` is code.
    """
    for words in (_IN_TWO.findall(text.upper()), _IN_ONE.findall(text)):
        found = [known for word in words if (known := label_of(word)) is not None]
        if found:
            return found[-1] if reading == "last" or len(set(found)) == 1 else None
    return None


def label_of(word: str) -> Label | None:
    """The label that a word spells; None for any other word."""
    word = MIRRORED.get(word, word)
    return next((label for label in LABELS if label == word), None)


def verdict_frame(verdicts: Iterable[Verdict]) -> pl.DataFrame:
    """Verdicts as a frame, one row each, with the columns of the record."""
    rows = [verdict.model_dump(mode="python") for verdict in verdicts]
    return pl.DataFrame(rows, schema=pl.DataFrame(arrow_schema(Verdict).empty_table()).schema, orient="row")
