"""The common pace: both sides show the same number of characters, whoever is faster."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from palaestra.arena.pace import CommonPace, Written

TICK = 0.15


@dataclass
class Model:
    """A model that waits, then writes at a constant speed."""

    first_s: float
    speed: float
    length: int

    def at(self, now: float) -> Written:
        writing = max(0.0, now - self.first_s)
        characters = min(self.length, int(writing * self.speed) + (writing > 0))
        seconds = min(writing, (self.length - 1) / self.speed)
        return Written(characters, seconds, characters == self.length)


models = st.builds(Model, first_s=st.floats(0, 5), speed=st.floats(5, 2000), length=st.integers(1, 2000))


def shown_over_time(a: Model, b: Model, seconds: float = 60.0) -> list[int]:
    pace = CommonPace(240)
    return [pace.advance(TICK, (a.at(step * TICK), b.at(step * TICK))) for step in range(int(seconds / TICK))]


@given(models, models)
def test_the_sides_can_be_exchanged(a: Model, b: Model) -> None:
    assert shown_over_time(a, b) == shown_over_time(b, a)


@given(models, models)
def test_nothing_is_shown_ahead_of_a_side_that_still_writes(a: Model, b: Model) -> None:
    for step, shown in enumerate(shown_over_time(a, b)):
        for model in (a, b):
            written = model.at(step * TICK)
            if not written.ended:
                assert shown <= written.characters


@given(models, models)
def test_it_never_goes_back_and_never_above_the_ceiling(a: Model, b: Model) -> None:
    shown = shown_over_time(a, b)
    for before, after in pairwise(shown):
        assert 0 <= after - before <= 240 * TICK + 1


def test_both_are_shown_whole_in_the_end() -> None:
    assert shown_over_time(Model(1, 100, 700), Model(3, 900, 1500), 120)[-1] == 1500


def test_the_pace_does_not_change_when_the_shorter_answer_ends() -> None:
    """A slow short answer beside a fast long one: the long one must not rush off once the short one is complete."""
    slow, fast = Model(0.2, 40, 200), Model(0.2, 1000, 2000)
    shown = shown_over_time(slow, fast, 40)
    steps = [after - before for before, after in pairwise(shown)]
    reached = next(step for step, value in enumerate(shown) if value >= 200)
    before, after = steps[reached - 12 : reached - 2], steps[reached + 2 : reached + 12]
    assert abs(sum(before) - sum(after)) <= 3


def test_a_side_that_has_not_begun_holds_both() -> None:
    assert set(shown_over_time(Model(0, 1000, 500), Model(1e9, 100, 500), 30)) == {0}


def finished_at(a: Model, b: Model) -> float:
    shown = shown_over_time(a, b, 400)
    return TICK * next(step for step, value in enumerate(shown) if value == shown[-1])


def test_one_word_does_not_hold_the_other_answer_back() -> None:
    """ "Yes." has no speed, and its stream may close seconds after its word."""
    alone = finished_at(Model(0.2, 400, 2000), Model(0.2, 400, 2000))
    assert finished_at(Model(0.2, 400, 1), Model(0.2, 400, 2000)) <= alone + 1
    pace, quick = CommonPace(240), Model(0.2, 400, 2000)
    waits = [Written(4, 0.15 * step, step > 13) for step in range(200)]
    shown = [pace.advance(TICK, (waits[step], quick.at(step * TICK))) for step in range(200)]
    assert shown[-1] == 2000


def test_nobody_waits_minutes_for_a_slow_short_answer() -> None:
    assert finished_at(Model(0.2, 5, 60), Model(0.2, 400, 2000)) < 60 / 5 + 2000 / (0.9 * 30) + 5


def test_the_last_character_ends_the_measuring() -> None:
    assert Written(100, 2.0, ended=True).speed == Written(100, 2.0, ended=False).speed == 50
    assert Written(31, 2.0, ended=True).speed is None
    assert Written(0, 0.0, ended=False).speed is None
