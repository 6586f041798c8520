"""Mixtures keep to their weights and caps, and packing loses nothing."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.mixing import Mixture, Source
from palaestra.posttrain.packing import dealt, packed

WORLDS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 12), min_size=1, max_size=5)


def sources(sizes: dict[str, int], tokens: int | None = None) -> list[Source]:
    return [
        Source(f"{name}{number}", name, tokens or 1 + (number * 7 + ord(name)) % 13)
        for name, size in sizes.items()
        for number in range(size)
    ]


def drawn(mixture: Mixture, these: list[Source], count: int | None = None) -> list[str]:
    return [these[place].id for place in mixture.plan(count).order]


@settings(deadline=None)
@given(sizes=WORLDS, data=st.data(), count=st.integers(1, 400), seed=st.integers(0, 9))
def test_shares_are_the_weights_to_a_draw_or_two(
    sizes: dict[str, int], data: st.DataObject, count: int, seed: int
) -> None:
    weights = {name: data.draw(st.floats(0.05, 20)) for name in sizes}
    plan = Mixture(sources(sizes), weights=weights, seed=seed).plan(count)
    total = sum(weights.values())
    assert sum(share.drawn for share in plan.shares) == count
    for share in plan.shares:
        assert share.weight == pytest.approx(weights[share.domain] / total)
        assert abs(share.drawn - count * share.weight) < len(sizes)
        assert share.share == pytest.approx(share.drawn / count)
        assert not share.ended


@settings(deadline=None)
@given(sizes=WORLDS, data=st.data())
def test_shares_of_tokens_are_the_weights_too(sizes: dict[str, int], data: st.DataObject) -> None:
    weights = {name: data.draw(st.floats(0.2, 5)) for name in sizes}
    plan = Mixture(sources(sizes), weights=weights, by="tokens").plan(2000)
    for share in plan.shares:
        assert share.token_share == pytest.approx(
            share.weight, abs=14 * len(sizes) / sum(s.tokens for s in plan.shares)
        )


@settings(deadline=None)
@given(sizes=WORLDS, cap=st.integers(1, 4), data=st.data(), seed=st.integers(0, 9))
def test_no_example_is_seen_more_often_than_its_cap(
    sizes: dict[str, int], cap: int, data: st.DataObject, seed: int
) -> None:
    these = sources(sizes)
    caps = {name: data.draw(st.integers(1, 4)) for name in sizes} if data.draw(st.booleans()) else cap
    most = {name: caps[name] if isinstance(caps, dict) else cap for name in sizes}
    every = sum(most[name] * size for name, size in sizes.items())
    weights = {name: data.draw(st.floats(0.1, 9)) for name in sizes}
    count = data.draw(st.integers(1, every))
    mixture = Mixture(these, weights=weights, cap=caps, seed=seed)
    uses = Counter(drawn(mixture, these, count))
    assert all(number <= most[name[0]] for name, number in uses.items())
    for name in sizes:  # passes: nobody is used twice before all were once
        own = [uses[source.id] for source in these if source.domain == name]
        assert max(own) - min(own) <= 1
    assert Counter(drawn(mixture, these, every)) == {source.id: most[source.domain] for source in these}
    with pytest.raises(InputError, match=f"found {every + 1} examples to draw, expected at most {every}"):
        mixture.plan(every + 1)
    ends = mixture.plan()
    assert [share.ended for share in ends.shares].count(True) >= 1
    if len(ends.order) > 1:
        assert not any(share.ended for share in mixture.plan(len(ends.order) - 1).shares)


@settings(deadline=None)
@given(sizes=WORLDS, seed=st.integers(0, 99), count=st.integers(1, 60), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_file_plays_no_part(
    sizes: dict[str, int], seed: int, count: int, shuffle: random.Random
) -> None:
    these = sources(sizes)
    others = shuffle.sample(these, len(these))
    one = drawn(Mixture(these, seed=seed), these, count)
    assert one == drawn(Mixture(others, seed=seed), others, count)
    assert one == drawn(Mixture(these, seed=seed), these, count + 17)[:count]


def test_seeds_are_orders_of_their_own_and_passes_too() -> None:
    these = sources({"a": 20})
    one, other = (drawn(Mixture(these, seed=seed), these, 40) for seed in (0, 1))
    assert one != other
    assert sorted(one[:20]) == sorted(one[20:])
    assert one[:20] != one[20:]
    places = [0] * 20
    for seed in range(400):  # each is first equally often
        places[Mixture(these, seed=seed).plan(1).order[0]] += 1
    assert max(places) < 45


def test_the_weight_of_an_example_is_how_often_it_comes() -> None:
    these = [Source("once", "a"), Source("thrice", "a", weight=3.0), Source("never", "a", weight=0.0)]
    uses = Counter(drawn(Mixture(these), these, 400))
    assert uses == {"once": 100, "thrice": 300}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": {"z": 1.0}}, "found the domain 'z' in the mixture, expected one of a, b"),
        ({"weights": {"a": -1.0}}, "found the weight -1.0 of a"),
        ({"weights": {"a": 0.0}}, "without weight"),
        ({"cap": 0}, "found the epoch cap 0 of a"),
        ({"cap": {"z": 2}}, "epoch cap for the domain 'z'"),
        ({}, "neither a number of draws nor an epoch cap"),
    ],
)
def test_what_is_no_mixture_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Mixture(sources({"a": 2, "b": 2}), **settings).plan()  # ty: ignore[invalid-argument-type]


def test_two_examples_of_one_id_are_refused() -> None:
    with pytest.raises(InputError, match="two examples with one id"):
        Mixture([Source("x", "a"), Source("x", "b")])


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 40), max_size=60), room=st.integers(40, 90), parts=st.integers(1, 5))
def test_packing_loses_nothing_and_fills_rows(lengths: list[int], room: int, parts: int) -> None:
    rows = packed(lengths, room)
    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[number] for number in row) <= room for row in rows)
    for one, row in enumerate(rows):  # no two rows would fit into one
        for other in rows[:one]:
            assert sum(lengths[number] for number in row + other) > room
    shares = dealt(lengths, parts)
    assert sorted(number for part in shares for number in part) == list(range(len(lengths)))
    loads = [sum(lengths[number] for number in part) for part in shares]
    assert max(loads) - min(loads) <= max(lengths, default=0)


def test_rows_are_as_many_as_trl_packs() -> None:
    from datasets import Dataset
    from trl import pack_dataset

    draw = random.Random(3)  # noqa: S311 - lengths
    lengths = [draw.randint(1, 60) for _ in range(200)]
    theirs = pack_dataset(Dataset.from_dict({"input_ids": [[0] * length for length in lengths]}), 100, "bfd")
    assert len(packed(lengths, 100)) == len(theirs)


def test_what_fits_into_no_row_is_refused() -> None:
    with pytest.raises(InputError, match="found an example of 9 tokens, expected at most the 8 of a row"):
        packed([3, 9], 8)
