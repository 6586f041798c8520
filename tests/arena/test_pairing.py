"""The draw: uniform over pairs, fair in sides, honest in its propensity, and resting those that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from scipy import stats

from palaestra.arena.pairing import Matchmaker
from palaestra.errors import InputError

MODELS = ["one", "two", "three", "four"]


def test_pairs_are_uniform_and_sides_fair() -> None:
    matchmaker = Matchmaker(MODELS, seed=7)
    drawn = Counter()
    for _ in range(12_000):
        pair = matchmaker.draw()
        assert pair is not None
        assert pair.propensity == pytest.approx(1 / 6)
        drawn[pair.model_a, pair.model_b] += 1
    assert len(drawn) == 12
    assert stats.chisquare(list(drawn.values())).pvalue > 1e-4


def test_a_seed_makes_the_draw_reproducible() -> None:
    first, second = Matchmaker(MODELS, seed=3), Matchmaker(MODELS, seed=3)
    assert [first.draw() for _ in range(50)] == [second.draw() for _ in range(50)]


def test_a_model_that_keeps_failing_rests_and_comes_back() -> None:
    now = 0.0
    matchmaker = Matchmaker(MODELS, seed=1, clock=lambda: now)
    for _ in range(3):
        matchmaker.report("two", answered=False)
    assert matchmaker.in_service() == ["one", "three", "four"]
    pair = matchmaker.draw()
    assert pair is not None
    assert pair.propensity == pytest.approx(1 / 3)
    now = 61.0
    assert matchmaker.in_service() == MODELS
    matchmaker.report("two", answered=True)
    matchmaker.report("two", answered=False)
    assert matchmaker.in_service() == MODELS


def test_with_fewer_than_two_in_service_there_is_no_pair() -> None:
    matchmaker = Matchmaker(["one", "two"], seed=1)
    for _ in range(3):
        matchmaker.report("one", answered=False)
    assert matchmaker.draw() is None


def test_one_model_is_no_arena() -> None:
    with pytest.raises(InputError, match=r"found 1 model.*at least two.*models\.toml"):
        Matchmaker(["one"])


def test_a_plan_is_followed_and_its_probabilities_are_stored() -> None:
    """The plan sees who is in service; what is stored is what was drawn with."""
    now, seen = 0.0, []

    def plan(models: Sequence[str]) -> dict[tuple[str, str], float]:
        seen.append(tuple(models))
        pairs = list(combinations(models, 2))
        return {pair: 0.7 if number == 0 else 0.3 / (len(pairs) - 1) for number, pair in enumerate(pairs)}

    matchmaker = Matchmaker(MODELS, seed=5, plan=plan, clock=lambda: now)
    drawn: Counter[frozenset[str]] = Counter()
    for _ in range(6_000):
        pair = matchmaker.draw()
        assert pair is not None
        assert pair.method == "active"
        both = frozenset({pair.model_a, pair.model_b})
        assert pair.propensity == pytest.approx(0.7 if both == {"one", "two"} else 0.06)
        drawn[both] += 1
    assert drawn[frozenset({"one", "two"})] / 6_000 == pytest.approx(0.7, abs=0.03)
    for _ in range(3):
        matchmaker.report("one", answered=False)
    assert matchmaker.draw() is not None
    assert seen[-1] == ("two", "three", "four")
