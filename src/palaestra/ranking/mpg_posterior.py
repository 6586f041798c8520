"""Goodness and fastness as posteriors: closed forms where they exist, seeded draws for the rest. Numbers only.

    benchmark   k right of n: p ~ Beta(1 + k, 1 + n - k); corrected for guessing at rate g: (p - g) / (1 - g)
    domain      mean of its benchmarks, each with equal weight whatever its size
    goodness    mean of the domains
    fastness    N answered queries in T seconds: rate ~ Gamma(1 + N, T), in queries per second

Means and variances of goodness are those of sums of independent Betas, exactly; intervals, ranks and chances come from
the draws. A corrected p may fall below 0, where guessing would have done better; cutting it off would bias it.
Axes: `_M` models, `_K` benchmarks, `_D` domains, `_R` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from palaestra.ranking.mpg_tally import Tally

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def goodness_moments(counts: Tally, guess_K: Floats) -> tuple[Floats, Floats]:
    """Posterior mean and variance of goodness, in closed form.

    Args:
        counts: M models on K benchmarks in D domains.
        guess_K: guess rates that are corrected for, 0 for none.

    Returns:
        Means by domain, shape (M, D), whose mean is that of goodness; variance of goodness, shape (M,).
    """
    a_MK, b_MK = 1 + counts.correct_MK, 1 + counts.total_MK - counts.correct_MK
    mean_MK = (a_MK / (a_MK + b_MK) - guess_K) / (1 - guess_K)
    variance_MK = a_MK * b_MK / ((a_MK + b_MK) ** 2 * (a_MK + b_MK + 1)) / (1 - guess_K) ** 2
    weight_DK = counts.weight_DK
    return mean_MK @ weight_DK.T, variance_MK @ weight_DK.mean(axis=0) ** 2


def goodness_draws(
    counts: Tally, guess_K: Floats, ends: tuple[float, float], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draws of goodness, shape (M, R), and the interval of each domain, shape (M, D, 2).

    One model and one domain at a time: beside the result, only R draws of one domain's benchmarks are held.

    Args:
        counts: M models on K benchmarks in D domains.
        guess_K: guess rates that are corrected for, 0 for none.
        ends: the quantiles that bound an interval.
        draws: their number R.
        rng: where they come from.
    """
    drawn_MR = np.zeros((len(counts.models), draws))
    ends_MD2 = np.empty((len(counts.models), len(counts.domains), 2))
    a_MK, b_MK = 1 + counts.correct_MK, 1 + counts.total_MK - counts.correct_MK
    insides = [np.flatnonzero(weight_K) for weight_K in counts.weight_DK]
    for model in range(len(counts.models)):
        for domain, inside in enumerate(insides):
            p_RK = rng.beta(a_MK[model, inside], b_MK[model, inside], (draws, len(inside)))
            domain_R = ((p_RK - guess_K[inside]) / (1 - guess_K[inside])).mean(axis=1)
            ends_MD2[model, domain] = np.quantile(domain_R, ends)
            drawn_MR[model] += domain_R / len(insides)
    return drawn_MR, ends_MD2


def fastness_interval(queries_M: Floats, seconds_M: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Posterior mean, lower and upper end of queries per second, in closed form, each of shape (M,)."""
    tail = (1 - confidence) / 2
    lower_M, upper_M = (gammaincinv(1 + queries_M, at) / seconds_M for at in (tail, 1 - tail))
    return (1 + queries_M) / seconds_M, lower_M, upper_M


def chance_of_beating(drawn_MR: Floats) -> Floats:
    """P(row beats column) from joint draws, a tie half, shape (M, M)."""
    more_MM = np.array([(drawn_R > drawn_MR).mean(axis=1) for drawn_R in drawn_MR])
    return (1 + more_MM - more_MM.T) / 2


@dataclass(frozen=True, slots=True)
class RankRanges:
    """Ranks from 1, each of shape (M,): of each model by itself, and for all models at once."""

    lower_M: Integers
    upper_M: Integers
    all_lower_M: Integers
    all_upper_M: Integers


def rank_ranges(drawn_MR: Floats, confidence: float) -> RankRanges:
    """Ranges of ranks from joint draws.

    A rank is in a model's range if neither it and better ranks, nor it and worse ones, have a posterior chance below a
    level. For each model by itself the level is (1 - confidence) / 2. For all at once it is the greatest one, but none
    above that, for which at least `confidence` of all draws have every model inside its range: the simultaneous
    credible region of Besag, Green, Higdon and Mengersen (1995), for ranks.
    """
    models, draws = drawn_MR.shape
    rank_MR = np.argsort(np.argsort(-drawn_MR, axis=0, kind="stable"), axis=0)
    often_MM = np.array([np.bincount(rank_R, minlength=models) for rank_R in rank_MR])
    as_good_MM = often_MM.cumsum(axis=1)
    as_bad_MM = often_MM[:, ::-1].cumsum(axis=1)[:, ::-1]
    tail_MM = np.minimum(as_good_MM, as_bad_MM)
    farthest_R = np.sort(np.take_along_axis(tail_MM, rank_MR, axis=1).min(axis=0))
    alone = (1 - confidence) / 2 * draws
    together = min(alone, farthest_R[draws - ceil(confidence * draws)])

    def ends(level: float) -> tuple[Integers, Integers]:
        return 1 + (as_good_MM < level).sum(axis=1), (as_bad_MM >= level).sum(axis=1)

    return RankRanges(*ends(alone), *ends(together))


def pareto(goodness_M: Floats, other_M: Floats) -> NDArray[np.bool_]:
    """Which points no other beats: none is at least as high in both and higher in one. Shape (M,)."""
    no_less_MM = (goodness_M >= goodness_M[:, None]) & (other_M >= other_M[:, None])
    more_MM = (goodness_M > goodness_M[:, None]) | (other_M > other_M[:, None])
    return np.logical_not(np.any(no_less_MM & more_MM, axis=1, keepdims=True)[:, 0])


def pareto_chance(goodness_MR: Floats, other_MR: Floats) -> Floats:
    """Share of joint draws in which each model is in the Pareto set, shape (M,). Goodness must have no ties."""
    best_first_MR = np.argsort(-goodness_MR, axis=0)
    other_MR = np.take_along_axis(other_MR, best_first_MR, axis=0)
    so_far_MR = np.maximum.accumulate(other_MR, axis=0)
    inside_MR = np.ones(other_MR.shape, dtype=bool)
    inside_MR[1:] = other_MR[1:] > so_far_MR[:-1]
    chance_M = np.zeros(len(goodness_MR))
    np.add.at(chance_M, best_first_MR, inside_MR)
    return chance_M / goodness_MR.shape[1]
