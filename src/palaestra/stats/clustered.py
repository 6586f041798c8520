"""Means, shares and functions of counts with intervals that let rows of one cluster depend on each other.

    mean       the linearised variance of a weighted mean, G / (G - 1) times the sum over clusters of the squared sum of
               w (y - mean) / sum w                                             Liang and Zeger (1986)
    share      Wilson's interval (1927) at the effective number of rows p (1 - p) / variance, at most the number that
               there is; where all rows agree, the number of clusters           Korn and Graubard (1998)
    function   leaves out one cluster at a time: (G - 1) / G times the sum of squared deviations   Tukey (1958)

All use Student's quantile at G - 1 degrees of freedom, which few clusters need. One cluster gives a value and no
interval. Not here: maximum likelihood (`covariance.py`), resampling (`bootstrap.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its interval; without one (None) where a single cluster stands behind it."""

    value: float
    lower: float | None
    upper: float | None
    se: float | None
    rows: int
    clusters: int


def quantile(clusters: int, confidence: float) -> float:
    """Student's quantile for a two-sided interval from so many clusters; at least two."""
    return float(stdtrit(clusters - 1, 0.5 + confidence / 2))


def around(value: float, se: float, rows: int, clusters: int, confidence: float) -> Estimate:
    """A figure with the interval that its standard error gives."""
    if clusters < 2 or not math.isfinite(se):  # noqa: PLR2004 - a variance needs two
        return Estimate(value, None, None, None, rows, clusters)
    half = quantile(clusters, confidence) * se
    return Estimate(value, value - half, value + half, se, rows, clusters)


def numbered(cluster_B: Integers) -> tuple[Integers, int]:
    """Clusters numbered from zero without gaps, and how many there are."""
    names, place_B = np.unique(cluster_B, return_inverse=True)
    return place_B, len(names)


def mean(value_B: Floats, cluster_B: Integers, confidence: float, weight_B: Floats | None = None) -> Estimate:
    """The mean of rows, or their weighted mean.

    Args:
        value_B: the rows, at least one.
        cluster_B: the cluster of each.
        confidence: of the interval.
        weight_B: what each counts.
    """
    weight_B = np.ones(len(value_B)) if weight_B is None else weight_B
    place_B, clusters = numbered(cluster_B)
    found = float(np.average(value_B, weights=weight_B))
    sums_G = np.bincount(place_B, weights=weight_B * (value_B - found), minlength=clusters) / weight_B.sum()
    return around(found, _root(sums_G), len(value_B), clusters, confidence)


def share(hit_B: NDArray[np.bool_] | Floats, cluster_B: Integers, confidence: float) -> Estimate:
    """The share of rows of which something is true, or half true. Shape (B,), at least one row."""
    plain = mean(hit_B.astype(float), cluster_B, confidence)
    p, rows, clusters = plain.value, plain.rows, plain.clusters
    if plain.se is None:
        return plain
    variance = plain.se**2
    agreed = p in {0.0, 1.0}
    effective = float(clusters) if agreed else min(p * (1 - p) / variance if variance else math.inf, rows)
    z2 = quantile(clusters, confidence) ** 2 / effective
    centre = (p + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (p * (1 - p) + z2 / 4)) / (1 + z2)
    return Estimate(p, max(centre - half, 0.0), min(centre + half, 1.0), plain.se, rows, clusters)


def jackknife(counts_GK: Floats, function: Callable[[Floats], Floats], rows: int, confidence: float) -> Estimate:
    """A smooth function of sums over clusters.

    Args:
        counts_GK: what each cluster adds, shape (G, K).
        function: of sums, shape (N, K), to the figure, shape (N,).
        rows: how many rows stand behind them.
        confidence: of the interval.
    """
    total_K = counts_GK.sum(axis=0)
    value = float(function(total_K[None])[0])
    clusters = len(counts_GK)
    if clusters < 2:  # noqa: PLR2004 - a variance needs two
        return Estimate(value, None, None, None, rows, clusters)
    without_G = function(total_K - counts_GK)
    se = math.sqrt((clusters - 1) / clusters * float(((without_G - without_G.mean()) ** 2).sum()))
    return around(value, se, rows, clusters, confidence)


def _root(sums_G: Floats) -> float:
    clusters = len(sums_G)
    return math.sqrt(clusters / (clusters - 1) * float(sums_G @ sums_G)) if clusters > 1 else math.inf
