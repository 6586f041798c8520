"""Prediction-powered inference: votes of people on a few comparisons, verdicts of a judge on many.

With people's points y and the judge's f on n labelled comparisons, and f alone on N others (Angelopoulos, Bates,
Fannjiang, Jordan and Zrnic, 2023; the weight in Angelopoulos, Duchi and Zrnic, *PPI++*, 2023):

    estimate   mean of (y - w f) over the labelled + w times the mean of f over the others

It is unbiased whatever the judge says, since the labelled ones measure its error, if the labelled comparisons are drawn
at random from all of them. The weight w, from 0 (people alone) to 1, is the one with the least variance; a judge that
knows nothing gets a weight near zero and costs nothing. Comparisons of one question (cluster) may depend on each other,
also across labelled and others: with what a cluster adds written as a + w b, the variance is the sum of the squares of
that, and w = - sum(a b) / sum(b b). Without clusters this is the published formula. For few clusters the sums of the
labelled are those of the jackknife, and w costs a degree of freedom; with two clusters none is to spare, and w is 0.

Ratings are `ppi_ratings.py`. Not here: labels that were not drawn at random; no formula here mends that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.stats.clustered import quantile

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

_FEWEST = 2
"""Clusters, or independent rows, of which a variance can be made."""


@dataclass(frozen=True, slots=True)
class Inference:
    """A figure, its interval, and the judge's weight in it."""

    value: float
    lower: float
    upper: float
    se: float
    weight: float


def people_mean(y_n: Floats, confidence: float, cluster_n: Integers | None = None) -> Inference:
    """The mean by people alone."""
    none = np.zeros(len(y_n))
    return ppi_mean(y_n, none, np.zeros(1), confidence, clusters=_pair_of(cluster_n, 1), weight=0.0)


def judge_mean(f_B: Floats, confidence: float, cluster_B: Integers | None = None) -> Inference:
    """The mean by the judge alone, as if it were right."""
    found = people_mean(f_B, confidence, cluster_B)
    return Inference(found.value, found.lower, found.upper, found.se, 1.0)


def ppi_mean(
    y_n: Floats,
    f_n: Floats,
    f_N: Floats,
    confidence: float,
    *,
    clusters: tuple[Integers, Integers] | None = None,
    weight: float | None = None,
) -> Inference:
    """A mean from few labels and many predictions: a win rate, an accuracy, anything that is one.

    Args:
        y_n: what people say of the labelled, shape (n,), at least two.
        f_n: what the judge says of the same.
        f_N: what the judge says of the others, shape (N,), at least one.
        confidence: of the interval.
        clusters: the cluster of each labelled and of each other, numbered alike; None where all are independent.
        weight: the judge's; None for the best one.

    Raises:
        ValueError: fewer than two labelled (or clusters with some), or no others.
    """
    if len(y_n) < _FEWEST or len(f_N) == 0:
        raise ValueError(f"found {len(y_n)} labelled and {len(f_N)} others, expected at least two and one")
    place_n, place_N, number, labelled = numbering(len(y_n), len(f_N), clusters)
    spared_n = len(y_n) - np.bincount(place_n, minlength=number)[place_n]
    people_G = np.bincount(place_n, weights=(y_n - y_n.mean()) / spared_n, minlength=number)
    judge_G = np.bincount(place_N, weights=(f_N - f_N.mean()) / len(f_N), minlength=number)
    judge_G -= np.bincount(place_n, weights=(f_n - f_n.mean()) / spared_n, minlength=number)
    tuned_too = weight is None and labelled > _FEWEST
    if weight is None:
        weight = tuned(float(people_G @ judge_G), float(judge_G @ judge_G)) if tuned_too else 0.0
    part_G = people_G + weight * judge_G
    freedom = labelled - 1 - tuned_too
    se = math.sqrt((labelled - 1) / labelled * (labelled - 1) / freedom * float(part_G @ part_G))
    value = float(y_n.mean() + weight * (f_N.mean() - f_n.mean()))
    half = quantile(freedom + 1, confidence) * se
    return Inference(value, value - half, value + half, se, weight)


def tuned(crossed: float, judged: float) -> float:
    """The weight with the least variance, within 0 and 1."""
    return min(max(-crossed / judged, 0.0), 1.0) if judged > 0 else 0.0


def numbering(
    labelled: int, others: int, clusters: tuple[Integers, Integers] | None
) -> tuple[Integers, Integers, int, int]:
    """Clusters of the labelled and of the others, numbered from zero; how many, and how many hold a labelled one.

    Raises:
        ValueError: fewer than two clusters hold a labelled one.
    """
    if clusters is None:
        return np.arange(labelled), np.arange(labelled, labelled + others), labelled + others, labelled
    names, place_B = np.unique(np.concatenate(clusters), return_inverse=True)
    there = len(np.unique(clusters[0]))
    if there < _FEWEST:
        raise ValueError(f"found {there} cluster with labels, expected two at least")
    return place_B[:labelled], place_B[labelled:], len(names), there


def _pair_of(cluster_n: Integers | None, others: int) -> tuple[Integers, Integers] | None:
    return None if cluster_n is None else (cluster_n, np.repeat(cluster_n[:1], others))
