"""What changed between two runs of judges, pair by pair on the questions that both have.

    better, worse   the pair's outcome (win, even, loss over all readable games) rose or fell for the model; of grades,
                    its mean grade
    flipped         it went from a win to a loss or back
    read, unread    only the later, or only the earlier run, has a verdict that can be read

Questions count as the same if id and text are. Scores of two runs are compared on what both have. The interval of a
difference comes from the two intervals by MOVER (Zou and Donner, 2008), as if the runs were independent; runs over the
same questions mostly go together, and then it is too wide rather than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from palaestra.errors import InputError
from palaestra.judge.reading_room import Room, described, same_text
from palaestra.judge.reading_room_games import Compared, Question, winner
from palaestra.judge.reading_room_index import Standing

How = Literal["better", "worse", "read", "unread"]
Pair = tuple[str, str | None]
_RANK = {"loss": 0, "tie": 1, "win": 2}
_SAME = 1e-9


class Change(NamedTuple):
    """What changed for a pair on a question, or for a graded answer."""

    number: int
    """Of the question, in the later run."""
    question_id: str
    model: str
    against: str | None
    before: float | None
    """Points of the model, or its grade."""
    after: float | None
    how: How
    flipped: bool
    answers_changed: tuple[str, ...]
    """Whose answer is another one than before; if nobody's is, the judges changed their minds."""


class ScoreChange(NamedTuple):
    """A model's score in two runs; the interval is that of the difference."""

    model: str
    before: float
    after: float
    difference: float
    lower: float | None
    upper: float | None

    @property
    def moved(self) -> bool:
        """Whether the difference lies beyond its interval."""
        return self.lower is not None and self.upper is not None and (self.lower > 0 or self.upper < 0)


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything in which two runs differ."""

    before: str
    after: str
    settings: dict[str, tuple[str, str]]
    models: tuple[tuple[str, ...], tuple[str, ...]]
    """Only in the earlier, only in the later run."""
    questions: tuple[tuple[str, ...], tuple[str, ...]]
    reworded: tuple[str, ...]
    """Questions whose id is the same, and whose text is not."""
    common: frozenset[str]
    """Ids of the questions that are the same."""
    compared: int
    """Pairs, or graded answers, that both runs have."""
    pairs: tuple[Change, ...]
    scores: tuple[ScoreChange, ...] = ()
    score: str = ""
    """What the scores are."""

    def count(self, how: How, *, flipped: bool = False) -> int:
        """How many changes are of a kind; only the flipped ones if asked."""
        return sum(each.how == how and (each.flipped or not flipped) for each in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        kinds: tuple[How, ...] = ("better", "worse", "read", "unread")
        sides = ("before", "after")
        return {
            "before": self.before,
            "after": self.after,
            "settings": {name: dict(zip(sides, both, strict=True)) for name, both in self.settings.items()},
            "models_only_in": dict(zip(sides, map(list, self.models), strict=True)),
            "questions_only_in": dict(zip(sides, map(list, self.questions), strict=True)),
            "questions_reworded": list(self.reworded),
            "compared": self.compared,
            **{how: self.count(how) for how in kinds},
            "flipped": sum(each.flipped for each in self.pairs),
            "pairs": [each._asdict() | {"answers_changed": list(each.answers_changed)} for each in self.pairs],
            "score": self.score,
            "scores": [each._asdict() | {"moved": each.moved} for each in self.scores],
        }


def changes_between(before: Room, after: Room) -> Changes:
    """Compare two runs, without their boards.

    Args:
        before: the earlier run, or the one to compare with.
        after: the run that is read.

    Raises:
        InputError: one compares answers and the other grades them, or they share no question.
    """
    if before.kind != after.kind:
        raise InputError(
            f"{before.name} holds {before.kind} and {after.name} {after.kind}; expected two runs of the same kind"
        )
    old = {question.prompt.id: question for question in before.questions}
    new = {question.prompt.id: question for question in after.questions}
    both = [name for name in new if name in old]
    same = [name for name in both if _asked(old[name]) == _asked(new[name])]
    if not same:
        raise InputError(f"{before.name} and {after.name} share no question: there is nothing to compare")
    ours, theirs = described(after), described(before)
    found = [_of_question(old[name], new[name]) for name in same]
    return Changes(
        before=before.name,
        after=after.name,
        settings={name: (theirs[name], ours[name]) for name in ours if theirs[name] != ours[name]},
        models=(_without(before.models, after.models), _without(after.models, before.models)),
        questions=(_without(list(old), list(new)), _without(list(new), list(old))),
        reworded=tuple(name for name in both if name not in set(same)),
        common=frozenset(same),
        compared=sum(number for number, _ in found),
        pairs=tuple(change for _, changes in found for change in changes),
    )


def score_changes(before: Sequence[Standing], after: Sequence[Standing]) -> tuple[ScoreChange, ...]:
    """Scores of the models that both boards have, in the order of the later one."""
    old = {line.model: line for line in before}
    return tuple(_moved(old[line.model], line) for line in after if line.model in old)


def _moved(old: Standing, new: Standing) -> ScoreChange:
    gap = new.score - old.score
    if old.lower is None or old.upper is None or new.lower is None or new.upper is None:
        return ScoreChange(new.model, old.score, new.score, gap, None, None)
    lower = gap - math.hypot(new.score - new.lower, old.upper - old.score)
    upper = gap + math.hypot(new.upper - new.score, old.score - old.lower)
    return ScoreChange(new.model, old.score, new.score, gap, lower, upper)


def _asked(question: Question) -> tuple[str | None, tuple[str, ...]]:
    return question.prompt.system, question.prompt.turns


def _without(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(name for name in names if name not in known)


def _of_question(old: Question, new: Question) -> tuple[int, list[Change]]:
    """How many pairs both have, and what changed of them."""
    known: dict[Pair, float | None] = {}
    for each in old.compared:
        known[each.model, each.against] = each.value
        if each.against is not None:
            known[each.against, each.model] = None if each.value is None else 1 - each.value
    shared = [each for each in new.compared if (each.model, each.against) in known]
    changes = [_change(old, new, each, known[each.model, each.against]) for each in shared]
    return len(shared), [change for change in changes if change is not None]


def _change(old: Question, new: Question, pair: Compared, before: float | None) -> Change | None:
    after = pair.value
    if before is None or after is None:
        how: How | None = None if before == after else "read" if before is None else "unread"
        rise = 0.0
    else:
        rise = _rise(before, after, graded=pair.against is None)
        how = None if abs(rise) < _SAME else "better" if rise > 0 else "worse"
    if how is None:
        return None
    models = [name for name in (pair.model, pair.against) if name is not None]
    other = tuple(name for name in models if not same_text(old.answers.get(name), new.answers.get(name)))
    flipped = pair.against is not None and abs(rise) > 1
    return Change(new.number, new.prompt.id, pair.model, pair.against, before, after, how, flipped, other)


def _rise(before: float, after: float, *, graded: bool) -> float:
    if graded:
        return after - before
    return float(_RANK[winner(after) or "tie"] - _RANK[winner(before) or "tie"])
