"""Who meets whom on which question.

    baseline   every model meets the baseline of the question's category (or each of several) on every question
    all        every pair meets on every question
    active     models meet each other in rounds: after each, pairs are drawn by a rule that the caller passes in: those
               whose next verdicts do most to tell models apart (`ranking/sampling.py`, on the command line)

A single baseline spends half of what is known about two models on a third one that nobody asked about, and least where
all are much better or worse than it. The active schedule has no baseline, and no question twice for a pair.

Not here: the rule itself, and what is asked (`judging.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from palaestra.errors import InputError
from palaestra.judge.protocols import EVERY
from palaestra.schema import Prompt

ScheduleName = Literal["baseline", "all", "active"]
Chances = Mapping[tuple[str, str], float]
PairRule = Callable[[pl.DataFrame, Sequence[str]], Chances]
"""From votes so far and the models to the probability of each pair."""


class Meeting(NamedTuple):
    """Two models on a question; `a` is A in the first game."""

    question: int
    a: str
    b: str


def against_baselines(
    prompts: Sequence[Prompt], models: Sequence[str], baselines: Sequence[Mapping[str, str]]
) -> list[Meeting]:
    """Every model against each baseline, question by question.

    Args:
        prompts: the questions.
        models: whose answers are judged.
        baselines: each by category, with `*` for all others.

    Raises:
        InputError: a question's category has no baseline.
    """
    meetings = []
    for number, prompt in enumerate(prompts):
        met = set()
        for by_category in baselines:
            baseline = by_category.get(prompt.category or EVERY) or by_category.get(EVERY)
            if baseline is None:
                raise InputError(
                    f"question {prompt.id!r}: no baseline for the category {prompt.category!r}; give one: "
                    f"--baseline {prompt.category}=NAME, or --baseline NAME for all"
                )
            for model in models:
                if model != baseline and frozenset((model, baseline)) not in met:
                    met.add(frozenset((model, baseline)))
                    meetings.append(Meeting(number, baseline, model))
    return meetings


def everybody(prompts: Sequence[Prompt], models: Sequence[str]) -> list[Meeting]:
    """Every pair on every question."""
    return [Meeting(number, a, b) for number in range(len(prompts)) for a, b in combinations(models, 2)]


class ActiveSchedule:
    """Rounds of meetings, in each of which one game is played; a pair's games alternate in who is A.

    A second game of the same two answers says less than a first one of two others: both share what this question is to
    these models. Position is balanced by the alternation, and can be held equal as a covariate. Of a pair's questions
    those come first that its models have seen least, so that all models see all questions about as often.

    Args:
        models: in the order in which they were given, which the draws depend on.
        questions: how many there are.
        budget: how many meetings there may be in all.
        rounds: in how many rounds.
        seed: of the draws of pairs and of the order of questions.

    Raises:
        InputError: fewer than two models, or a budget that does not reach for a first round, or above all meetings.
    """

    def __init__(self, models: Sequence[str], questions: int, budget: int, rounds: int, seed: int) -> None:
        pairs, ring = len(models) * (len(models) - 1) // 2, len(_ring(models))
        if len(models) < 2:  # noqa: PLR2004 - a pair is two
            raise InputError(f"found {len(models)} models, expected at least two")
        if not ring <= budget <= pairs * questions:
            raise InputError(
                f"found a budget of {budget} meetings, expected {ring} (each model meets two others) to "
                f"{pairs * questions} (all pairs on all questions)"
            )
        self._models, self._questions = list(models), questions
        self._left, self._rounds = budget, rounds
        self._met: dict[tuple[str, str], list[int]] = {}
        self._seen_MQ = np.zeros((len(models), questions), dtype=np.int64)
        self._rng = np.random.default_rng(seed)

    def rounds(self, votes: Callable[[], pl.DataFrame | None], rule: PairRule) -> Iterator[list[Meeting]]:
        """The meetings of each round; the votes are asked for after all of a round's verdicts are in.

        Without any votes (None), as no verdict could be read, all pairs are as likely.
        """
        ring, pairs = _ring(self._models), list(combinations(self._models, 2))
        each = max(len(ring), self._left // self._rounds)
        yield self._draw({pair: 1 / len(ring) for pair in ring}, min(each, self._left))
        while self._left:
            so_far = votes()
            chances = dict.fromkeys(pairs, 1 / len(pairs)) if so_far is None else rule(so_far, self._models)
            yield self._draw(chances, min(each, self._left))

    def _draw(self, chances: Chances, count: int) -> list[Meeting]:
        """As many meetings, fewer only where the pairs have no questions left."""
        self._left -= count
        drawn = [pair for pair, times in self._times(chances, count) for _ in range(times)]
        return [self._meeting(drawn[place]) for place in self._rng.permutation(len(drawn))]

    def _meeting(self, pair: tuple[str, str]) -> Meeting:
        """The pair on the question that its models have seen least, and that they have not met on."""
        at, met = [self._models.index(name) for name in pair], self._met.setdefault(pair, [])
        seen_Q = self._seen_MQ[at].sum(axis=0) + self._rng.random(self._questions)
        seen_Q[met] = np.inf
        question = int(seen_Q.argmin())
        self._seen_MQ[at, question] += 1
        met.append(question)
        return Meeting(question, *(pair if len(met) % 2 else pair[::-1]))

    def _times(self, chances: Chances, count: int) -> list[tuple[tuple[str, str], int]]:
        pairs = sorted(chances, key=lambda pair: tuple(map(self._models.index, pair)))
        weight_P = np.array([chances[pair] for pair in pairs])
        times_P = np.zeros(len(pairs), dtype=np.int64)
        while count:
            room_P = np.array([self._questions - len(self._met.get(pair, ())) for pair in pairs]) - times_P
            open_P = np.where(room_P > 0, weight_P, 0.0)
            if not open_P.sum():
                break
            drawn_P = np.minimum(_rounded(open_P / open_P.sum() * count, count, self._rng), room_P)
            times_P += drawn_P
            count -= int(drawn_P.sum())
        self._left += count
        return [(pair, int(times)) for pair, times in zip(pairs, times_P, strict=True) if times]


def _rounded(expected_P: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers with these expectations that add up to `count`: systematic sampling, with the least variance."""
    edges_P = np.floor(np.concatenate([[0.0], np.cumsum(expected_P)]) + rng.uniform())
    edges_P[-1] = edges_P[0] + count
    return np.diff(np.minimum(edges_P, edges_P[-1])).astype(np.int64)


def _ring(models: Sequence[str]) -> list[tuple[str, str]]:
    """Each model beside two others, so that all are connected."""
    around = [(a, b) for a, b in zip(models, [*models[1:], models[0]], strict=True) if a != b]
    in_order = [pair if models.index(pair[0]) < models.index(pair[1]) else pair[::-1] for pair in around]
    return list(dict.fromkeys(in_order))
