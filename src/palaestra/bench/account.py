"""The account of a build, `build.json` in the folder of a set: what went in, what went at each step, what came out.

Everything that the card, the page and `palaestra bench show` say comes from here. No time and no duration stands in it,
so that the same inputs, settings and seed give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from palaestra.bench.cleaning import Dropped
from palaestra.bench.pool import Pool
from palaestra.bench.topics import Topics
from palaestra.bench.validation import Validation
from palaestra.errors import InputError
from palaestra.schema.record import JsonObject, Record, Struct
from palaestra.schema.run import InputFile

ACCOUNT_FILE = "build.json"
DRAWN = 4000
"""Prompts on the map beside those of the set; the picture says how many there are."""
_BINS = 15


class Step(Struct):
    """A step of the build: how many prompts it left, and how many went for which reason."""

    step: str
    prompts: int
    dropped: dict[str, int] = Field(default_factory=dict)


class Funnel:
    """What a build has dropped so far, step by step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.dropped: list[Dropped] = []

    def add(self, name: str, left: int, dropped: Sequence[Dropped] = ()) -> None:
        """A step is done; its commonest reason comes first."""
        counts = Counter(one.reason for one in dropped)
        ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        self.steps.append(Step(step=name, prompts=left, dropped=ordered))
        self.dropped += dropped


class TopicLine(Struct):
    """One topic, the largest first."""

    topic: str
    upper: str
    found: int
    """Prompts of the pool in it."""
    joined: int
    """Those of them that the clustering had left over, and that lie near its centroid."""
    score: float | None
    """Their mean, on the scale of the thresholds."""
    kept: int
    """Prompts that passed the thresholds."""
    chosen: int
    """Prompts in the set."""


class Place(Struct):
    """A prompt on the map."""

    x: float
    y: float
    upper: str | None
    topic: str | None
    chosen: bool


class Labels(Struct):
    """What a judge was asked, and what of its answers could be read."""

    judge: str
    asked: int
    read: int
    unreadable: int
    failed: int
    cost: float | None


class Account(Record):
    """What a build did."""

    record_name = "bench"

    name: str
    inputs: tuple[InputFile, ...]
    """What prompts came from, and the SHA-256 of the prompts."""
    against: tuple[InputFile, ...] = ()
    embedder: str
    scored_by: str
    """`judge`, or `scorer`."""
    labels: Labels | None = None
    validation: Validation | None = None
    steps: tuple[Step, ...]
    topics: tuple[TopicLine, ...]
    outliers: int
    """Prompts in no topic."""
    scores: tuple[tuple[float, int, int], ...]
    """From which score on, how many prompts of the pool, how many of the set; half a point wide."""
    places: tuple[Place, ...]
    prompts_of_map: int
    settings: JsonObject
    warnings: tuple[str, ...] = ()


def topic_lines(
    topics: Topics, names: Sequence[str], uppers: Sequence[str], *, scored: Pool, kept: Pool, chosen: Pool
) -> tuple[TopicLine, ...]:
    """The table of topics."""

    def counted(label_P: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(label_P[label_P >= 0], minlength=topics.count)

    in_topic_P = scored.topic_P >= 0
    sum_T = np.bincount(scored.topic_P[in_topic_P], scored.scale_P[in_topic_P], minlength=topics.count)
    scored_T, kept_T, chosen_T = (counted(pool.topic_P) for pool in (scored, kept, chosen))
    found_T, joined_T = counted(topics.topic_P), counted(topics.topic_P[topics.joined_P])
    return tuple(
        TopicLine(
            topic=names[topic],
            upper=uppers[topics.upper_T[topic]],
            found=int(found_T[topic]),
            joined=int(joined_T[topic]),
            score=float(sum_T[topic] / scored_T[topic]) if scored_T[topic] else None,
            kept=int(kept_T[topic]),
            chosen=int(chosen_T[topic]),
        )
        for topic in range(topics.count)
    )


def places(
    topics: Topics, names: Sequence[str], uppers: Sequence[str], *, chosen_P: NDArray[np.bool_], seed: int
) -> tuple[Place, ...]:
    """The map: all prompts of the set, and a draw of the others where there are very many."""
    rng = np.random.default_rng(seed)
    others = np.flatnonzero(~chosen_P)
    drawn = rng.choice(others, size=min(DRAWN, len(others)), replace=False)
    found = []
    for place in np.sort(np.concatenate([drawn, np.flatnonzero(chosen_P)])).tolist():
        topic = int(topics.topic_P[place])
        x, y = (round(float(value), 3) for value in topics.map_P2[place])
        upper = uppers[topics.upper_T[topic]] if topic >= 0 else None
        name = names[topic] if topic >= 0 else None
        found.append(Place(x=x, y=y, upper=upper, topic=name, chosen=bool(chosen_P[place])))
    return tuple(found)


def score_bins(scored: Pool, chosen: Pool) -> tuple[tuple[float, int, int], ...]:
    """How many prompts have which score, in steps of one half."""
    counts = [
        np.bincount(np.clip((pool.score_P * 2).astype(np.int64), 0, _BINS - 1), minlength=_BINS)
        for pool in (scored, chosen)
    ]
    return tuple((place / 2, int(a), int(b)) for place, (a, b) in enumerate(zip(*counts, strict=True)))


def account_bytes(account: Account) -> bytes:
    """The account as JSON."""
    return (json.dumps(account.to_dict(), indent=1, ensure_ascii=False) + "\n").encode()


def read_account(folder: str | Path) -> Account:
    """The account of a set that `palaestra bench build` wrote.

    Raises:
        InputError: there is none, or it is of another version.
    """
    path = Path(folder) / ACCOUNT_FILE
    try:
        return Account.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValidationError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(
            f"cannot read {path}: {said}; expected the folder of a set by `palaestra bench build`"
        ) from error
