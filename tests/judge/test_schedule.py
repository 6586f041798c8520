"""Who meets whom: budgets, balance, and nobody twice on a question."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.judge.schedule import ActiveSchedule, Meeting, against_baselines, everybody
from palaestra.schema import Prompt

PROMPTS = [Prompt(id=f"q{n}", turns=("?",), category="creative" if n % 2 else "hard") for n in range(4)]


def even(_: pl.DataFrame, models: list[str]) -> dict[tuple[str, str], float]:
    pairs = list(combinations(models, 2))
    return dict.fromkeys(pairs, 1 / len(pairs))


def played(models: int, questions: int, budget: int, rounds: int, seed: int) -> list[list[Meeting]]:
    schedule = ActiveSchedule([f"m{n}" for n in range(models)], questions, budget, rounds, seed)
    return list(schedule.rounds(pl.DataFrame, even))  # ty: ignore[invalid-argument-type]


@settings(max_examples=60, deadline=None)
@given(
    models=st.integers(2, 7), questions=st.integers(1, 12), share=st.floats(0, 1), rounds=st.integers(1, 9),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_the_budget_is_spent_and_no_pair_meets_twice_on_a_question(
    models: int, questions: int, share: float, rounds: int, seed: int
) -> None:
    least, most = (1 if models == 2 else models), models * (models - 1) // 2 * questions
    budget = round(least + share * (most - least)) if most >= least else most
    rounds_played = played(models, questions, budget, rounds, seed)
    meetings = [meeting for each in rounds_played for meeting in each]
    assert len(meetings) == budget
    assert max(Counter((m.question, frozenset(m[1:])) for m in meetings).values()) == 1
    assert played(models, questions, budget, rounds, seed) == rounds_played
    sides = Counter()
    for meeting in meetings:
        sides[meeting[1:]] += 1
    assert all(abs(sides[a, b] - sides[b, a]) <= 1 for a, b in sides), "each pair's sides alternate"


def test_all_models_see_all_questions_about_as_often() -> None:
    seen = Counter()
    for each in played(6, 30, 180, 4, 0):
        for meeting in each:
            seen[meeting.question, meeting.a] += 1
            seen[meeting.question, meeting.b] += 1
    assert sum(seen.values()) == 360
    assert max(seen.values()) - min(seen[q, f"m{m}"] for q in range(30) for m in range(6)) <= 2


def test_baselines_by_category_and_several_of_them() -> None:
    meetings = against_baselines(PROMPTS, ["a", "b"], [{"*": "x", "creative": "y"}])
    assert set(meetings) == {Meeting(n, "y" if n % 2 else "x", name) for n in range(4) for name in "ab"}
    both = against_baselines(PROMPTS, ["a", "x"], [{"*": "x"}, {"*": "a"}])
    assert len(both) == 4, "a against x is one meeting, whoever is the baseline"
    with pytest.raises(InputError, match="no baseline for the category 'creative'"):
        against_baselines(PROMPTS, ["a"], [{"hard": "x"}])


def test_everybody_meets_everybody() -> None:
    assert len(everybody(PROMPTS, ["a", "b", "c"])) == 4 * 3


@pytest.mark.parametrize(("models", "budget"), [(1, 5), (3, 2), (3, 31)])
def test_a_budget_that_cannot_be_is_refused(models: int, budget: int) -> None:
    with pytest.raises(InputError, match="expected"):
        ActiveSchedule([f"m{n}" for n in range(models)], 10, budget, 3, 0)
