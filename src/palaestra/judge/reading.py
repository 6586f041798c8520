"""From a judge's reply to a verdict or a rating. It never guesses: what cannot be read is nothing, and is counted.

A letter is weighted by the probabilities of all letters at its place, where the endpoint gives them: the preference is
P(A) + P(C) / 2 over P(A) + P(B) + P(C). A judge that says A with 40 % and B with 38 % has said little, and its
preference says so. The label is the likeliest letter; of equally likely ones that which the judge wrote. Where the
letters hold less than a tenth of the probability together, the judge was about to say something else: unread.

A rating is read from double brackets, or from one after the word: `Rating: [7]`. A bracket by itself is a footnote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp

from palaestra.gateway.calls import Reply
from palaestra.judge.protocols import Protocol
from palaestra.judge.verdict import POINTS, Label, read_label

LETTERS: dict[str, Label] = {"A": "A>B", "B": "B>A", "C": "A=B"}
LOWEST, HIGHEST = 1.0, 10.0
_RATING = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")
_LEAST = 0.1
"""The probability that the letters must hold together."""
_RATING_IN_ONE = re.compile(r"\brating\W{0,6}\[\s*(\d+(?:\.\d+)?)\s*\]", re.IGNORECASE)
_LETTER = re.compile(r"\W*([ABC])\W*")


@dataclass(frozen=True, slots=True)
class Read:
    """What a reply says; all None where it cannot be read."""

    label: Label | None = None
    preference: float | None = None
    rating: float | None = None

    @property
    def readable(self) -> bool:
        """Whether there is a verdict or a rating."""
        return self.label is not None or self.rating is not None


def read_reply(how: Protocol, reply: Reply) -> Read:
    """What a judge's reply says by the rules of a protocol."""
    if how.answers_with == "rating":
        return Read(rating=read_rating(reply.text))
    if how.answers_with == "letter":
        return _letter(reply)
    label = read_label(reply.text, how.reading)
    return Read(label, None if label is None else POINTS[label])


def read_rating(text: str) -> float | None:
    """The rating in a judge's text, from 1 to 10; None where there is none, or two different ones."""
    for pattern in (_RATING, _RATING_IN_ONE):
        found = {float(number) for number in pattern.findall(text)}
        if found:
            rating = found.pop()
            return rating if not found and LOWEST <= rating <= HIGHEST else None
    return None


def _letter(reply: Reply) -> Read:
    match = _LETTER.fullmatch(reply.text.strip())
    said = None if match is None else match[1]
    if not reply.likely:
        return Read() if said is None else Read(LETTERS[said], POINTS[LETTERS[said]])
    shares = dict.fromkeys(LETTERS, 0.0)
    for token, log_probability in reply.likely[0]:
        if (letter := token.strip()) in shares:
            shares[letter] += exp(log_probability)
    total = sum(shares.values())
    best = [letter for letter, share in shares.items() if share == max(shares.values())]
    letter = best[0] if len(best) == 1 else said
    if total < _LEAST or letter not in best:
        return Read()
    return Read(LETTERS[letter], (shares["A"] + shares["C"] / 2) / total)
