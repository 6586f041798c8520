"""The correctness side: does a proxy tell right replies from wrong ones, and is the best of K by it right?

Of prompts with N sampled replies each:

    accuracy   over pairs of a right and a wrong reply to one prompt, the share that the proxy orders rightly; each
               prompt that has both counts the same, level scores are half
    auc        the area under the ROC curve over all replies of all prompts: it wants scores that compare across prompts
    loss       mean over K of the squared gap between the oracle's curve and the proxy's (`best_of.py`): the published
               text leaves its norm open, this one is ours
    max_score  the largest value of the curve
    end_score  its value at K = N

A proxy that only compares has accuracy alone, over the pairs that the file names (else over all). The curve goes up to
the least N of the domain. `mean` is the mean over domains of each metric and curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from palaestra.rewards.ppe.best_of import auc_by_rounds, best_of_curves, pair_wins
from palaestra.rewards.ppe.proxies import Pair, Reply
from palaestra.rewards.ppe.resampling import Figure, figures, mean_by_rounds, number, prompt_weights
from palaestra.rewards.ppe.samples import Samples
from palaestra.schema.record import Struct
from palaestra.stats.quality import recentred

Floats = NDArray[np.float64]
Rounds = dict[str, Floats]
"""By metric, the value and its rounds, shape (1 + R,)."""

ORACLE = "oracle"
MEAN = "mean"


class Curve(Struct):
    """The expected correctness of the best of K, for K from 1; with its band."""

    domain: str
    proxy: str
    value: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """The samples of one domain, laid out."""

    name: str
    samples: tuple[Samples, ...]
    weight_RP: Floats
    """By round and row; rows of one question have one weight."""
    size: int
    """The least number of replies of a row."""

    @property
    def mixed(self) -> int:
        """Rows with right and wrong replies."""
        return sum(0 < sum(one.right) < len(one.right) for one in self.samples)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rounds say of one proxy in one domain."""

    metrics: Rounds
    curve_RK: Floats | None = None


def domains_of(samples: Sequence[Samples], rounds: int, seed: int) -> tuple[Domain, ...]:
    """The domains, in the order in which they come, each with its rounds."""
    found = []
    for place, name in enumerate(dict.fromkeys(one.domain for one in samples)):
        rows = tuple(one for one in samples if one.domain == name)
        questions, of_P = np.unique([one.question for one in rows], return_inverse=True)
        weight_RP = prompt_weights(len(questions), rounds, seed + place)[:, of_P]
        found.append(Domain(name, rows, weight_RP, min(len(one.replies) for one in rows)))
    return tuple(found)


def replies_of(samples: Sequence[Samples]) -> list[Reply]:
    """All replies, row by row."""
    return [
        Reply(one.id, place, one.prompt, text, one.model)
        for one in samples
        for place, text in enumerate(one.replies, start=1)
    ]


def pairs_of(samples: Sequence[Samples]) -> tuple[list[Pair], Floats, NDArray[np.intp]]:
    """Pairs of a right and a wrong reply for who only compares, whether the first is right, and whose they are."""
    pairs, right, rows = [], [], []
    for row, one in enumerate(samples):
        asked = one.pairs or [
            (i, j) for i, j in product(range(len(one.right)), repeat=2) if one.right[i] and not one.right[j]
        ]
        for i, j in asked:
            pairs.append(Pair(*(Reply(one.id, at + 1, one.prompt, one.replies[at], one.model) for at in (i, j))))
            right.append(float(one.right[i]))
            rows.append(row)
    return pairs, np.array(right), np.array(rows, dtype=np.intp)


def scored_outcome(domain: Domain, scores_N: Floats) -> Outcome:
    """Metrics and curve of a proxy that scores.

    Args:
        domain: the samples.
        scores_N: of its replies, in the order of `replies_of`.
    """
    curve_PK = np.zeros((len(domain.samples), domain.size))
    wins_P, pairs_P, ideal_PK = np.zeros(len(curve_PK)), np.zeros(len(curve_PK)), curve_PK.copy()
    sizes = np.array([len(one.replies) for one in domain.samples])
    start_P = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    right_N = np.array([right for one in domain.samples for right in one.right])
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        at_PN = start_P[rows][:, None] + np.arange(size)
        reward_PN, right_PN = scores_N[at_PN], right_N[at_PN].astype(float)
        curve_PK[rows] = best_of_curves(reward_PN, right_PN)[:, : domain.size]
        ideal_PK[rows] = best_of_curves(right_PN, right_PN)[:, : domain.size]
        wins_P[rows], pairs_P[rows] = pair_wins(reward_PN, right_PN)
    curve_RK, ideal_RK = (_mean_curves(each, domain.weight_RP) for each in (curve_PK, ideal_PK))
    share_P = np.divide(wins_P, pairs_P, out=np.full(len(wins_P), np.nan), where=pairs_P > 0)
    prompt_N = np.repeat(np.arange(len(sizes)), sizes)
    metrics = {
        "accuracy": mean_by_rounds(share_P, domain.weight_RP),
        "auc": auc_by_rounds(scores_N, right_N, prompt_N, domain.weight_RP),
        "loss": ((ideal_RK - curve_RK) ** 2).mean(axis=1),
        "max_score": curve_RK.max(axis=1),
        "end_score": curve_RK[:, -1],
    }
    return Outcome(metrics, curve_RK)


def oracle_curve(domain: Domain) -> Floats:
    """The curve of a reward that is correctness itself, by rounds, shape (1 + R, K)."""
    scores_N = np.array([float(right) for one in domain.samples for right in one.right])
    curve_RK = scored_outcome(domain, scores_N).curve_RK
    return np.zeros((len(domain.weight_RP), domain.size)) if curve_RK is None else curve_RK


def compared_outcome(domain: Domain, chance_N: Floats, right_N: Floats, row_N: NDArray[np.intp]) -> Outcome:
    """Accuracy of a proxy that compares.

    Args:
        domain: the samples.
        chance_N: that the first of each pair is better.
        right_N: whether it is.
        row_N: whose pair it is.
    """
    hit_N = (1 + np.sign(chance_N - 0.5) * np.where(right_N > 0.5, 1, -1)) / 2  # noqa: PLR2004 - right or wrong
    rows = len(domain.samples)
    count_P = np.bincount(row_N, minlength=rows)
    hits_P = np.bincount(row_N, weights=hit_N, minlength=rows)
    share_P = np.divide(hits_P, count_P, out=np.full(rows, np.nan), where=count_P > 0)
    return Outcome({"accuracy": mean_by_rounds(share_P, domain.weight_RP)})


def correctness_figures(
    domains: Sequence[Domain], outcomes: Mapping[str, Sequence[Outcome]], confidence: float
) -> tuple[list[Figure], list[Curve]]:
    """Figures and curves of all proxies in all domains, and over them.

    Args:
        domains: the domains.
        outcomes: by proxy, one for each domain.
        confidence: of the intervals.
    """
    shown: list[Figure] = []
    curves: list[Curve] = []
    oracles = [oracle_curve(domain) for domain in domains]
    columns = [
        (domain.name, {name: found[place] for name, found in outcomes.items()}, oracles[place], _counts(domain))
        for place, domain in enumerate(domains)
    ]
    if len(domains) > 1:
        total = {metric: sum(counts[metric] for *_, counts in columns) for metric in columns[0][-1]}
        everywhere = {name: _mean_outcome(found) for name, found in outcomes.items()}
        columns.append((MEAN, everywhere, _mean_of_curves(oracles), total))
    for name, found, oracle_RK, counts in columns:
        shown += figures("correctness", name, {who: one.metrics for who, one in found.items()}, counts, confidence)
        drawn = {who: one.curve_RK for who, one in found.items()} | {ORACLE: oracle_RK}
        curves += [_curve(name, who, curve, confidence) for who, curve in drawn.items() if curve is not None]
    return shown, curves


def _counts(domain: Domain) -> dict[str, int]:
    everything = dict.fromkeys(("auc", "loss", "max_score", "end_score"), len(domain.samples))
    return everything | {"accuracy": domain.mixed}


def _mean_curves(curve_PK: Floats, weight_RP: Floats) -> Floats:
    return weight_RP @ curve_PK / weight_RP.sum(axis=1, keepdims=True)


def _mean_outcome(found: Sequence[Outcome]) -> Outcome:
    metrics = {name: np.mean([one.metrics[name] for one in found], axis=0) for name in found[0].metrics}
    curves = [one.curve_RK for one in found if one.curve_RK is not None]
    return Outcome(metrics, _mean_of_curves(curves) if curves else None)


def _mean_of_curves(curves: Sequence[Floats]) -> Floats:
    size = min(curve.shape[1] for curve in curves)
    return np.mean([curve[:, :size] for curve in curves], axis=0)


def _curve(domain: str, proxy: str, curve_RK: Floats, confidence: float) -> Curve:
    ends = [recentred(float(column[0]), column[1:], confidence, signed=False) for column in curve_RK.T]
    return Curve(
        domain=domain,
        proxy=proxy,
        value=tuple(number(value) or 0.0 for value in curve_RK[0]),
        lower=tuple(low for low, _ in ends),
        upper=tuple(high for _, high in ends),
    )
