"""Which prompts make the benchmark: hard ones, from topics that are hard, as many from each topic.

Two rounds, as in the paper, whose second round had a stronger judge; with one judge both look at the same scores:

    first     prompts below `first_score` go, and topics whose mean is below `first_mean`
    second    prompts below `score` go, and topics whose mean is below `mean`

The mean of a topic is over the prompts that are there when the round begins: in the second over what the first one
left. Scores are counts of criteria by a judge. Expected scores of a scorer are held against the same thresholds on the
judge's scale (`scorer.Scorer.equated`), or as they are.

The draw: `per_topic` prompts at random from each of `size / per_topic` topics. If there are more topics, they are drawn
too, from each upper topic in proportion to its topics. If there are fewer, or if one is short, further prompts are
drawn in turns, one from each topic that has some left, until the size is reached or nothing is left. Topics and prompts
are taken in the order of a seeded permutation; the same pool and seed give the same set, in order of topic and id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.cleaning import Dropped
from palaestra.bench.pool import Pool

Places = NDArray[np.int64]


ROUNDS = ("topics", "first round", "second round")
"""The steps at which a prompt may fail."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a prompt and its topic must reach."""

    first_score: float
    first_mean: float
    score: float
    mean: float


def above(pool: Pool, thresholds: Thresholds) -> tuple[Pool, list[Dropped]]:
    """The prompts that pass both rounds, and those that do not. Outliers, in no topic, do not pass."""
    sieve = _Sieve(pool, np.ones(len(pool), dtype=bool), [])
    sieve.pass_only(pool.topic_P >= 0, "topics", "in no topic")
    for step, score, mean in (
        ("first round", thresholds.first_score, thresholds.first_mean),
        ("second round", thresholds.score, thresholds.mean),
    ):
        mean_P = sieve.topic_means()
        sieve.pass_only(pool.scale_P >= score, step, f"score below {score:g}")
        sieve.pass_only(mean_P >= mean, step, f"mean of the topic below {mean:g}")
    return pool.take(sieve.here_P), sieve.dropped


def draw(pool: Pool, upper_T: Places, *, size: int, per_topic: int, seed: int) -> Pool:
    """The prompts of the benchmark, in order of topic and id.

    Args:
        pool: those to draw from, all of them in a topic.
        upper_T: each topic's upper topic.
        size: how many are wanted; fewer come if there are fewer.
        per_topic: how many from each topic, before what is short is filled.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    by_id_P = np.array(sorted(range(len(pool)), key=lambda place: pool.prompts[place].id), dtype=np.int64)
    waiting = {
        topic: list(rng.permutation(by_id_P[pool.topic_P[by_id_P] == topic]))
        for topic in np.unique(pool.topic_P).tolist()
    }
    wanted = -(-size // per_topic)
    order = _topics_drawn(list(waiting), upper_T, wanted, rng)
    drawn: list[int] = []
    for topic in order[:wanted]:
        drawn += [waiting[topic].pop() for _ in range(min(per_topic, len(waiting[topic]), size - len(drawn)))]
    while len(drawn) < size and any(waiting.values()):
        for topic in order:
            if waiting[topic] and len(drawn) < size:
                drawn.append(waiting[topic].pop())
    drawn.sort(key=lambda place: (pool.topic_P[place], pool.prompts[place].id))
    return pool.take(np.array(drawn, dtype=np.int64))


def _topics_drawn(topics: list[int], upper_T: Places, wanted: int, rng: np.random.Generator) -> list[int]:
    """All topics, those to draw from first: from each upper topic its share of what is wanted, by systematic sampling.

    The topics of an upper topic stand together, in drawn order, and every (count / wanted)-th of the row is taken.
    """
    row = sorted(rng.permutation(topics).tolist(), key=lambda topic: upper_T[topic])
    if wanted >= len(row):
        return rng.permutation(row).tolist()
    step, start = len(row) / wanted, rng.random()
    picked = [row[int((place + start) * step)] for place in range(wanted)]
    rest = [topic for topic in row if topic not in set(picked)]
    return [*picked, *rng.permutation(rest).tolist()]


@dataclass(slots=True)
class _Sieve:
    pool: Pool
    here_P: NDArray[np.bool_]
    dropped: list[Dropped]

    def pass_only(self, passes_P: NDArray[np.bool_], step: str, reason: str) -> None:
        """Who of those that are here does not pass goes."""
        fails = np.flatnonzero(self.here_P & ~passes_P).tolist()
        self.dropped += [Dropped(self.pool.prompts[place].id, step, reason) for place in fails]
        self.here_P = self.here_P & passes_P

    def topic_means(self) -> NDArray[np.float64]:
        """For each prompt the mean of its topic over the prompts that are here; NaN where there are none."""
        topic_P, here_P = self.pool.topic_P, self.here_P
        counts_T = np.bincount(topic_P[here_P], minlength=topic_P.max(initial=0) + 1)
        sums_T = np.bincount(topic_P[here_P], self.pool.scale_P[here_P], minlength=len(counts_T))
        with np.errstate(invalid="ignore"):
            return np.where(topic_P >= 0, (sums_T / counts_T)[topic_P], np.nan)
