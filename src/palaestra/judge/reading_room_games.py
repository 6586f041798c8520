"""What was said about one question, as a reader looks at it: pair by pair, judge by judge, order by order.

Of a pair's games each gives its first model 1, a half or nothing, strong verdicts like weak ones; the mean over
readable games says who wins. The marks by which a reader finds a question:

    flip       in one order a judge names one model, in the other order the other one
    disagree   two judges, each over both orders, name different winners; of grades, ratings of one answer that lie
               `APART` points or more apart
    strong     a verdict A>>B or B>>A
    tie        a verdict A=B
    unread     a verdict or grade that could not be read or did not come

How much a question separates is its spread: the standard deviation over models of their mean points on it, 0 to 0.5; of
grades, of their mean ratings.

Not here: whether judges can be trusted over all questions (`audit.py`), and boards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from palaestra.judge.answers import Answer
from palaestra.judge.verdict import POINTS, STRONG, Label
from palaestra.schema import Prompt

Mark = Literal["flip", "disagree", "strong", "tie", "unread"]
MARKS: tuple[Mark, ...] = get_args(Mark)
APART = 3.0
EVEN = 0.5


class Heard(NamedTuple):
    """One judge's word on a pair in one order, or on one answer alone (`b` is None)."""

    judge: str
    a: str
    b: str | None
    game: int
    label: Label | None
    rating: float | None
    text: str | None
    error: str | None

    def points(self, model: str) -> float | None:
        """What the verdict gives a model of the pair; None where it cannot be read."""
        if self.label is None:
            return None
        return POINTS[self.label] if model == self.a else 1 - POINTS[self.label]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two answers to one question, and everything that was said of them; or one answer that was graded alone."""

    model: str
    against: str | None
    heard: tuple[Heard, ...]
    """In the order of the file."""

    @property
    def by_judge(self) -> dict[str, list[Heard]]:
        """The games of each judge."""
        found: dict[str, list[Heard]] = defaultdict(list)
        for each in self.heard:
            found[each.judge].append(each)
        return dict(found)

    @property
    def points(self) -> float | None:
        """Mean points of `model` over all readable games; None where none is."""
        return mean_points(self.heard, self.model)

    @property
    def rating(self) -> float | None:
        """Mean grade; None where none could be read."""
        given = [each.rating for each in self.heard if each.rating is not None]
        return sum(given) / len(given) if given else None

    @property
    def value(self) -> float | None:
        """Points of a pair, the rating of an answer alone."""
        return self.rating if self.against is None else self.points

    def flips(self, judge: str) -> bool:
        """Whether this judge names one model in one order and the other one in the other."""
        said = {each.points(self.model) for each in self.by_judge.get(judge, ())}
        return {0.0, 1.0} <= said

    def both_orders(self) -> bool:
        """Whether some judge gave a verdict that can be read in both orders: else nobody knows of a flip."""
        return any(len({one.a for one in own if one.label is not None}) > 1 for own in self.by_judge.values())

    @property
    def marks(self) -> frozenset[Mark]:
        """What there is to see."""
        labels = {each.label for each in self.heard}
        found: dict[Mark, bool] = {
            "flip": any(self.flips(judge) for judge in self.by_judge),
            "disagree": self._disagree(),
            "strong": bool(labels & STRONG),
            "tie": "A=B" in labels,
            "unread": any(each.label is None and each.rating is None for each in self.heard),
        }
        return frozenset(mark for mark, there in found.items() if there)

    def _disagree(self) -> bool:
        if self.against is None:
            given = [each.rating for each in self.heard if each.rating is not None]
            return bool(given) and max(given) - min(given) >= APART
        said = [mean_points(games, self.model) for games in self.by_judge.values()]
        return any(p is not None and p > EVEN for p in said) and any(p is not None and p < EVEN for p in said)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answers and what was said of them."""

    number: int
    """From 1, in the order of the questions."""
    prompt: Prompt
    answers: dict[str, Answer]
    compared: tuple[Compared, ...]

    @property
    def spread(self) -> float | None:
        """How much it separates the models; None where fewer than two have a readable verdict."""
        by_model: dict[str, list[float]] = defaultdict(list)
        for each in self.compared:
            if (value := each.value) is not None:
                by_model[each.model].append(value)
                if each.against is not None:
                    by_model[each.against].append(1 - value)
        return float(np.std([np.mean(values) for values in by_model.values()])) if len(by_model) > 1 else None


def mean_points(heard: Iterable[Heard], model: str) -> float | None:
    """What games give a model on average; None where none can be read."""
    given = [points for each in heard if (points := each.points(model)) is not None]
    return sum(given) / len(given) if given else None


def winner(points: float | None) -> Literal["win", "tie", "loss"] | None:
    """What mean points of a pair come to."""
    if points is None:
        return None
    return "win" if points > EVEN else "loss" if points < EVEN else "tie"
