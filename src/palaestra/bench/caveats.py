"""What a reader of a benchmark has to know beside its numbers: warnings, and why there is none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from palaestra.bench.naming import Named
from palaestra.bench.pool import Pool
from palaestra.bench.scoring import Scores
from palaestra.bench.topics import Topics

if TYPE_CHECKING:
    from palaestra.bench.build import BenchConfig

_MANY_OUTLIERS = 0.2
_MANY_UNREADABLE = 0.05


def none_left(scored: Pool, config: BenchConfig) -> str:
    """Why no prompt passes the thresholds."""
    best = f"the best prompt has {scored.scale_P.max():.2f}" if len(scored) else "no prompt has a score"
    return (
        f"found no prompt that passes the thresholds (prompts {config.first_score:g} then {config.score:g}, topics "
        f"{config.first_mean:g} then {config.mean:g}): {best} of {len(scored)}; lower them, or give harder prompts"
    )


def of_the_set(config: BenchConfig, topics: Topics, kept: Pool, chosen: Pool) -> list[str]:
    """What a reader of the set has to know of its size, topics and licence."""
    found = []
    if len(chosen) < config.size:
        found.append(f"only {len(chosen)} of {config.size} prompts: no more passed the thresholds")
    wanted = -(-config.size // config.per_topic)
    if (there := len(np.unique(kept.topic_P))) < wanted and len(chosen) == config.size:
        found.append(f"only {there} topics passed, {wanted} were asked for: the rest was drawn from those in turns")
    outliers = float((topics.topic_P < 0).mean())
    if outliers > _MANY_OUTLIERS:
        found.append(f"{outliers:.0%} of the prompts are in no topic and cannot be drawn; see --outlier-similarity")
    if config.license == "unknown":
        found.append("the licence of the prompts is not known; say it with --license before the set is shared")
    return found


def of_the_judge(scores: Scores, named: Named) -> list[str]:
    """What a reader of the set has to know of labels, names and what was learnt."""
    found = list(scores.warnings)
    if scores.counts and scores.counts.asked - scores.counts.read > _MANY_UNREADABLE * scores.counts.asked:
        found.append(
            f"of {scores.counts.asked} answers of the judge {scores.counts.unreadable} could not be read and "
            f"{scores.counts.failed} failed: those prompts have no label"
        )
    if named.unfit:
        found.append(f"{named.unfit} topics are named by their words: the judge gave no name of at most five words")
    if named.failed:
        found.append(
            f"{named.failed} topics are named by their words: the judge did not answer; the next build asks again"
        )
    return found
