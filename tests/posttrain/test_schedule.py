from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.schedule import FLOOR, Headroom, Schedule

sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1)


def domains_of(counts: dict[str, int]) -> list[str]:
    return [name for name, count in counts.items() for _ in range(count)]


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(1, 20), st.integers(1, 30), st.data())
def test_every_step_is_full_and_each_domain_gets_its_share(
    counts: dict[str, int], batch: int, steps: int, data: st.DataObject
) -> None:
    weights = {name: data.draw(st.floats(0.1, 5)) for name in counts}
    domains = domains_of(counts)
    schedule = Schedule(domains, batch, weights=weights, seed=1)
    taken: Counter[str] = Counter()
    for _ in range(steps):
        step = schedule.step()
        assert len(step) == batch
        taken.update(domains[number] for number in step)
    for name, weight in weights.items():
        assert abs(taken[name] - steps * batch * weight / sum(weights.values())) <= len(weights)


@settings(max_examples=30, deadline=None)
@given(sizes, st.integers(1, 9))
def test_no_prompt_comes_again_before_all_of_its_domain_have(counts: dict[str, int], batch: int) -> None:
    domains = domains_of(counts)
    schedule = Schedule(domains, batch, seed=2)
    seen = [number for _ in range(40) for number in schedule.step()]
    for name, count in counts.items():
        own = [number for number in seen if domains[number] == name]
        for first in range(0, len(own) - count + 1, count):
            assert len(set(own[first : first + count])) == count


def test_a_state_is_gone_on_from() -> None:
    domains = domains_of({"a": 7, "b": 3})
    whole, begun = (Schedule(domains, 5, weights={"a": 1, "b": 2}, seed=3) for _ in range(2))
    expected = [whole.step() for _ in range(12)]
    for _ in range(5):
        begun.step()
    other = Schedule(domains, 5, seed=3)
    other.restore(begun.state())
    assert [other.step() for _ in range(7)] == expected[5:]


def test_rounds_have_orders_of_their_own() -> None:
    schedule = Schedule(["a"] * 12, 12, seed=0)
    rounds = [tuple(schedule.step()) for _ in range(5)]
    assert len(set(rounds)) == 5
    assert rounds == [tuple(Schedule(["a"] * 12, 12, seed=0).step()), *rounds[1:]]


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"a": -1.0, "b": 2.0}, "none below 0"), ({"a": 0.0}, "one above"), ({"z": 1.0}, "expected domains among a, b")],
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Schedule(["a", "b"], 4, weights=weights)


def test_a_domain_without_weight_gets_nothing() -> None:
    schedule = Schedule(["a", "b", "b"], 6, weights={"b": 1.0})
    assert {number for _ in range(4) for number in schedule.step()} == {1, 2}


def test_headroom_gives_more_to_what_is_far_and_a_floor_to_what_is_done() -> None:
    room = Headroom({"far": 1.0, "near": 1.0, "done": 0.9}, {"far": 0.0, "near": 0.0, "done": 0.2}, patience=9)
    for _ in range(6):
        weights = room.measured({"far": 0.1, "near": 0.8, "done": 0.95, "another": 0.3})
    assert weights["far"] > weights["near"] >= FLOOR
    assert weights["done"] == FLOOR
    assert room.converged >= {"done"}


def test_a_domain_that_stands_still_has_converged() -> None:
    room = Headroom({"a": 1.0}, {"a": 0.1}, patience=2)
    room.measured({"a": 0.5})
    room.measured({"a": 0.5})
    assert not room.converged
    room.measured({"a": 0.4})
    assert room.converged == {"a"}
    room.measured({"a": 0.6})  # a new best brings it back
    assert not room.converged
    room.measured({"a": 0.5})
    room.measured({"a": 0.5})
    again = Headroom({"a": 1.0}, {"a": 0.0}, patience=2)
    again.restore(room.state())
    assert again.converged == {"a"}


def test_a_hard_domain_that_has_not_gained_yet_is_not_given_up() -> None:
    room = Headroom({"hard": 1.0, "easy": 1.0}, {"hard": 0.0, "easy": 0.0})
    for _ in range(8):
        weights = room.measured({"hard": 0.0, "easy": 0.9})
    assert "hard" not in room.converged
    assert weights["hard"] > weights["easy"]


def test_one_lucky_look_is_no_arrival_and_who_falls_back_is_not_there() -> None:
    room = Headroom({"a": 0.9}, {"a": 0.1}, patience=9)
    room.measured({"a": 0.9})
    assert not room.converged
    room.measured({"a": 0.9})
    assert room.converged == {"a"}
    room.measured({"a": 0.3})
    assert not room.converged


def test_the_share_that_is_kept() -> None:
    room = Headroom({"a": 0.9, "b": 0.3}, {"a": 0.1, "b": 0.3})
    assert room.kept({"a": 0.5, "b": 0.1}) == {"a": pytest.approx(0.5), "b": 1.0}
