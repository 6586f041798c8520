"""Which prompts make the benchmark: hard ones, from topics that are hard, as many from each topic.

Two rounds, as in the paper, whose second round had a stronger judge; with one judge both look at the same scores:

    first     prompts below `first_score` go, and topics whose mean is below `first_mean`
    second    prompts below `score` go, and topics whose mean is below `mean`

The mean of a topic is over the prompts that are there when the round begins: in the second over what the first one left.
Scores are counts of criteria by a judge. Expected scores of a scorer are held against the same thresholds on the judge's
scale (`scorer.Scorer.equated`), or as they are.

The draw: `per_topic` prompts at random from each of `size / per_topic` topics. If there are more topics, they are drawn
too, from each upper topic in proportion to its topics. If there are fewer, or if one is short, further prompts are drawn
in turns, one from each topic that has some left, until the size is reached or nothing is left. Topics and prompts are
taken in the order of a seeded permutation; the same pool and seed give the same set, in order of topic and id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.cleaning import Dropped
from palaestra.bench.pool import Pool

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a prompt and its topic must reach."""

    first_score: float
    first_mean: float
    score: float
    mean: float


def above(pool: Pool, thresholds: Thresholds) -> tuple[Pool, list[Dropped]]:
    """The prompts that pass both rounds, and those that do not. Outliers, in no topic, do not pass."""
    dropped: list[Dropped] = []
    scale_P, topic_P = pool.scale_P, pool.topic_P
    here_P = _drop(pool, topic_P >= 0, "topics", "in no topic", np.ones(len(pool), dtype=bool), dropped)
    kept_P = _drop(
        pool, scale_P >= thresholds.first_score, "first round", f"score below {thresholds.first_score:g}", here_P, dropped
    )
    kept_P = _drop(
        pool,
        _topic_means(scale_P, topic_P, here_P) >= thresholds.first_mean,
        "first round",
        f"mean of the topic below {thresholds.first_mean:g}",
        kept_P,
        dropped,
    )
    means_P = _topic_means(scale_P, topic_P, kept_P)
    kept_P = _drop(pool, scale_P >= thresholds.score, "second round", f"score below {thresholds.score:g}", kept_P, dropped)
    kept_P = _drop(
        pool, means_P >= thresholds.mean, "second round", f"mean of the topic below {thresholds.mean:g}", kept_P, dropped
    )
    return pool.take(kept_P), dropped


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


def _drop(
    pool: Pool, passes_P: NDArray[np.bool_], step: str, reason: str, here_P: NDArray[np.bool_], dropped: list[Dropped]
) -> NDArray[np.bool_]:
    """Who of those that are here passes; who does not is noted."""
    dropped += [Dropped(pool.prompts[place].id, step, reason) for place in np.flatnonzero(here_P & ~passes_P).tolist()]
    return here_P & passes_P


def _topic_means(
    scale_P: NDArray[np.float64], topic_P: Places, here_P: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For each prompt the mean of its topic over the prompts that are here; NaN where there are none."""
    counted_P = here_P & (topic_P >= 0)
    sums_T = np.bincount(topic_P[counted_P], scale_P[counted_P], minlength=topic_P.max(initial=0) + 1)
    counts_T = np.bincount(topic_P[counted_P], minlength=len(sums_T))
    with np.errstate(invalid="ignore"):
        mean_T = sums_T / counts_T
    return np.where(topic_P >= 0, mean_T[topic_P], np.nan)
