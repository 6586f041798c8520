"""A gate: does one model beat another on held-out examples, every domain counting the same?

    balanced mean    (1 / D) sum over domains of the mean difference in the domain
    its variance     (1 / D^2) sum over domains of G_d / (G_d - 1) times the sum over prompts of the squared sum of
                     (difference - domain's mean) / n_d, G_d prompts and n_d examples in domain d
                                                      strata of clusters: Cochran, Sampling techniques (1977), ch. 9

Examples of one prompt depend on each other, so prompts are what is drawn. A domain with a single prompt shows no spread
of its own; it counts with its distance from the balanced mean. Passed is who is better than chance explains: the
interval of the difference lies above nought, and at least so many prompts differ that a test by signs could say so too
(two prompts that both went right are no proof, however narrow the interval).

A pure function of scores: 1 and 0 for exact match, log-likelihoods, rewards. Not here: how a model gets them
(`held_out.py`), and choosing among many models on the examples that judge them, which flatters the chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palaestra.errors import InputError
from palaestra.stats import clustered
from palaestra.stats.clustered import Estimate


@dataclass(frozen=True, slots=True)
class DomainGate:
    """One domain: mean scores, and their difference with its interval."""

    domain: str
    base: float
    other: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the other model beats the base, and by how much."""

    passed: bool
    reason: str
    base: float
    """Balanced mean."""
    other: float
    difference: Estimate
    domains: tuple[DomainGate, ...]
    confidence: float


def gate(
    base_B: ArrayLike,
    other_B: ArrayLike,
    domains_B: Sequence[str],
    prompts_B: Sequence[str],
    *,
    confidence: float = 0.95,
) -> Gate:
    """Compare two models on the same examples.

    Args:
        base_B: a score of the base on each example, higher is better.
        other_B: of the other model, on the same examples in the same order.
        domains_B: the domain of each.
        prompts_B: what tells its prompt from others; examples of one prompt are one cluster.
        confidence: of the intervals.

    Raises:
        InputError: there are no examples, not as many of everything, or a score is no number.
    """
    base, other = np.asarray(base_B, dtype=float), np.asarray(other_B, dtype=float)
    _check(base, other, domains_B, prompts_B)
    names, domain_B = np.unique(np.asarray(domains_B, dtype=str), return_inverse=True)
    cluster_B, clusters = clustered.numbered(np.unique(np.asarray(prompts_B, dtype=str), return_inverse=True)[1])
    weight_B = 1 / (len(names) * np.bincount(domain_B)[domain_B])
    difference_B = other - base
    value = float(weight_B @ difference_B)
    se = _error(difference_B, weight_B, domain_B, cluster_B)
    found = _interval(value, se, len(base), clusters, max(clusters - len(names), 1), confidence)
    differ = int((np.bincount(cluster_B, weights=difference_B) != 0).sum())
    passed, reason = _verdict(found, differ, confidence)
    rows = [domain_B == place for place in range(len(names))]
    return Gate(
        passed,
        reason,
        float(weight_B @ base),
        float(weight_B @ other),
        found,
        tuple(
            DomainGate(
                str(name),
                float(base[row].mean()),
                float(other[row].mean()),
                clustered.mean(difference_B[row], cluster_B[row], confidence),
            )
            for name, row in zip(names, rows, strict=True)
        ),
        confidence,
    )


def _error(
    difference_B: NDArray[np.float64],
    weight_B: NDArray[np.float64],
    domain_B: NDArray[np.integer],
    cluster_B: NDArray[np.integer],
) -> float:
    """The standard error of the balanced mean difference."""
    mean_D = np.bincount(domain_B, weights=difference_B) / np.bincount(domain_B)
    prompts_D = np.array([len(np.unique(cluster_B[domain_B == place])) for place in range(len(mean_D))])
    centre_D = np.where(prompts_D == 1, mean_D.mean(), mean_D)
    stretch_D = np.sqrt(prompts_D / np.maximum(prompts_D - 1, 1))
    away_B = weight_B * stretch_D[domain_B] * (difference_B - centre_D[domain_B])
    sums_G = np.bincount(cluster_B, weights=away_B)
    return math.sqrt(float(sums_G @ sums_G)) if len(sums_G) > 1 else math.inf


def _interval(value: float, se: float, rows: int, clusters: int, freedom: int, confidence: float) -> Estimate:  # noqa: PLR0917 - what an estimate is made of
    """Student's interval with the degrees of freedom that the domains' means leave."""
    if not math.isfinite(se):
        return Estimate(value, None, None, None, rows, clusters)
    half = clustered.quantile(freedom + 1, confidence) * se
    return Estimate(value, value - half, value + half, se, rows, clusters)


def _verdict(found: Estimate, differ: int, confidence: float) -> tuple[bool, str]:
    least = math.ceil(math.log2(2 / (1 - confidence)))
    if found.lower is None or differ < least:
        return False, f"{differ} prompts tell the two models apart, expected at least {least} for a verdict"
    if found.lower > 0:
        return True, "better: the interval of the difference lies above 0"
    if found.upper is not None and found.upper < 0:
        return False, "worse: the interval of the difference lies below 0"
    return False, "cannot be told from no difference: the interval holds 0"


def _check(
    base: NDArray[np.float64], other: NDArray[np.float64], domains_B: Sequence[str], prompts_B: Sequence[str]
) -> None:
    sizes = {len(base), len(other), len(domains_B), len(prompts_B)}
    if len(sizes) > 1 or not len(base):
        raise InputError(
            f"found {len(base)} and {len(other)} scores, {len(domains_B)} domains and {len(prompts_B)} prompts, "
            "expected as many of each, and some"
        )
    if not (np.isfinite(base).all() and np.isfinite(other).all()):
        raise InputError("found a score that is no number, expected finite ones")
