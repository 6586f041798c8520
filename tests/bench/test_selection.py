"""Thresholds in two rounds, a draw that is even, and no prompt with another's topic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.bench.pool import Pool
from palaestra.bench.selection import Thresholds, above, draw
from palaestra.schema import Prompt


def pool_of(topics: Sequence[int], scores: Sequence[float]) -> Pool:
    prompts = tuple(Prompt(id=f"{number:03}", turns=(f"of topic {topic}",)) for number, topic in enumerate(topics))
    score_P = np.array(scores, dtype=float)
    return Pool(prompts, np.array(topics, dtype=np.int64), np.zeros((len(topics), 7)), score_P, score_P)


pools = st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 7)), min_size=1, max_size=60).map(
    lambda rows: pool_of([topic for topic, _ in rows], [float(score) for _, score in rows])
)


def test_two_rounds_by_hand() -> None:
    topics = [0] * 4 + [1] * 4 + [2] * 3 + [-1]
    scores = [7, 6, 5, 0, *(5, 5, 6, 5), *(7, 0, 0), 7]
    kept, dropped = above(pool_of(topics, scores), Thresholds(5, 3, 6, 6))
    assert [prompt.id for prompt in kept.prompts] == ["000", "001"]
    assert [(one.id, one.step, one.reason) for one in dropped] == [
        ("011", "topics", "in no topic"),
        ("003", "first round", "score below 5"),
        ("009", "first round", "score below 5"),
        ("010", "first round", "score below 5"),
        ("008", "first round", "mean of the topic below 3"),
        ("002", "second round", "score below 6"),
        ("004", "second round", "score below 6"),
        ("005", "second round", "score below 6"),
        ("007", "second round", "score below 6"),
        ("006", "second round", "mean of the topic below 6"),
    ]


@given(pools, st.floats(0, 7), st.floats(0, 7), st.floats(0, 7), st.floats(0, 7))
@settings(max_examples=100, deadline=None)
def test_the_rounds_are_what_they_say(pool: Pool, a: float, b: float, c: float, d: float) -> None:
    kept, dropped = above(pool, Thresholds(a, b, c, d))
    rows = [
        (p.id, t, s)
        for p, t, s in zip(pool.prompts, pool.topic_P.tolist(), pool.scale_P.tolist(), strict=True)
        if t >= 0
    ]
    for score, mean in ((a, b), (c, d)):
        means = {t: np.mean([s for _, u, s in rows if u == t]) for _, t, _ in rows}
        rows = [row for row in rows if row[2] >= score and means[row[1]] >= mean]
    assert [prompt.id for prompt in kept.prompts] == [row[0] for row in rows]
    assert len(kept) + len(dropped) == len(pool)


@given(pools.map(lambda pool: pool.take(pool.topic_P >= 0)), st.integers(1, 40), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_the_draw_is_even_full_and_repeatable(pool: Pool, size: int, per_topic: int, seed: int) -> None:
    upper_T = np.array([0, 0, 1, 1, 2, 2, 2])
    drawn = draw(pool, upper_T, size=size, per_topic=per_topic, seed=seed)
    assert len(drawn) == min(size, len(pool))
    ids = [prompt.id for prompt in drawn.prompts]
    assert len(set(ids)) == len(ids)
    for prompt, topic in zip(drawn.prompts, drawn.topic_P.tolist(), strict=True):
        assert prompt.text == f"of topic {topic}"
    there, taken = np.bincount(pool.topic_P, minlength=7), np.bincount(drawn.topic_P, minlength=7)
    unused = there > taken
    if unused.any() and taken[unused].min() >= per_topic:  # filled in turns: those with some left differ by one at most
        assert taken.max() - taken[unused].min() <= 1
    again = draw(pool.take(np.arange(len(pool))[::-1]), upper_T, size=size, per_topic=per_topic, seed=seed)
    assert [prompt.id for prompt in again.prompts] == ids


def test_two_from_each_of_250() -> None:
    pool = pool_of([topic for topic in range(400) for _ in range(5)], [7.0] * 2000)
    upper_T = np.arange(400) // 100
    drawn = draw(pool, upper_T, size=500, per_topic=2, seed=3)
    topics, counts = np.unique(drawn.topic_P, return_counts=True)
    assert (len(topics), set(counts.tolist())) == (250, {2})
    assert np.abs(np.bincount(upper_T[topics]) - 62.5).max() <= 1
    other = draw(pool, upper_T, size=500, per_topic=2, seed=4)
    assert (
        set(other.prompts) != set(drawn.prompts)
        if False
        else [p.id for p in other.prompts] != [p.id for p in drawn.prompts]
    )


def test_every_topic_is_drawn_as_often_as_the_others() -> None:
    pool = pool_of([topic for topic in range(20) for _ in range(2)], [7.0] * 40)
    upper_T = (np.arange(20) >= 15).astype(int)
    times = sum(
        np.bincount(draw(pool, upper_T, size=14, per_topic=2, seed=s).topic_P, minlength=20) for s in range(400)
    )
    assert np.abs(times / 2 / 400 - 7 / 20).max() < 4 * np.sqrt(0.35 * 0.65 / 400)


def test_columns_cannot_come_apart() -> None:
    pool = pool_of([0, 1, 2], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="expected all of one length"):
        Pool(pool.prompts[:2], pool.topic_P, pool.chance_PC, pool.score_P, pool.scale_P)
    names = pool.take(np.array([2, 0])).named(["zero", "one", "two"])
    assert [(one.id, one.topic, one.score) for one in names] == [("002", "two", 3.0), ("000", "zero", 1.0)]
