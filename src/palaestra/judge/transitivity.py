"""Transitivity: does the judge say A before B, B before C, and C before A?

On each question a pair of models is decided by the mean points over its games. Of all triples of models whose three
pairs are decided, the intransitive ones go round in a circle; of coin flips a quarter does. Once more for the whole
file, each pair decided by all its questions together.

Noise alone brings circles. How many, is simulated: verdicts are drawn again and again for the same comparisons from the
Davidson model that was fitted to them (strengths, place, ties; `bias.py`), in which models stand in one line. Only what
is beyond that is a judge's. Strengths are common to all questions there; a judge whose order differs by question, but
is an order each time, has fewer circles than foretold, never more. Not here: groups of more than three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.judge.bias import PLACE, Effects, coded_verdicts, fit_effects
from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import Seen, clusters
from palaestra.stats.clustered import Estimate, jackknife
from palaestra.stats.likelihoods import VoteModel

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

AUDIT = "transitivity"
_POINTS = np.array([1.0, 0.0, 0.5])
_CELLS = 4_000_000
"""Entries of the matrices that are held at once."""


def audit_transitivity(seen: Seen, confidence: float, *, simulations: int, seed: int) -> list[Finding]:
    """The share of circles within questions, what of it noise does not explain, and the same for the whole file."""
    frame = seen.frame
    points_B, cluster_B = frame["points"].to_numpy(), clusters(frame)
    coded = coded_verdicts(frame)
    layout = _Layout(len(coded.names), coded.first_B, coded.second_B, cluster_B)
    whole = _Layout(len(coded.names), coded.first_B, coded.second_B, np.zeros_like(cluster_B))
    if not whole.circles(np.ones(len(points_B)), met=True)[0, 1]:
        return []
    effects = fit_effects(frame, (PLACE,), confidence)
    triples_GK, whole_1K = layout.circles(points_B), whole.circles(points_B)
    null_RW = np.array(
        [
            [_share(one.circles(points_R).sum(axis=0)[None])[0] for one in (layout, whole)]
            for points_R in _drawn(frame, effects, simulations, seed)
        ]
    ).reshape(-1, 2)
    found: list[Finding] = []
    if (total := int(triples_GK[:, 1].sum())) > 0:
        estimate = _at_least_zero(jackknife(triples_GK, _share, total, confidence))
        said = "of three models on one question go in a circle (coin flips: 25%)"
        found.append(finding(seen.judge, AUDIT, "circles within questions", estimate, "share", plain=said))
        found += _beyond(seen.judge, "within questions", estimate, null_RW[:, 0], confidence)
    if (total := int(whole_1K[0, 1])) > 0:
        estimate = Estimate(float(_share(whole_1K)[0]), None, None, None, total, len(triples_GK))
        said = "of three models, each pair by all its questions, go in a circle"
        found.append(finding(seen.judge, AUDIT, "circles over all questions", estimate, "share", plain=said))
        found += _beyond(seen.judge, "over all questions", estimate, null_RW[:, 1], confidence)
    return found


class _Layout:
    """Who meets whom on which question; questions are worked through in parts that fit into memory."""

    def __init__(self, models: int, first_B: Integers, second_B: Integers, cluster_B: Integers) -> None:
        self._models, self._questions = models, int(cluster_B.max()) + 1
        step = max(_CELLS // models**2, 1)
        self._parts = []
        for low, high in pairwise([*range(0, self._questions, step), self._questions]):
            rows_K = np.flatnonzero((cluster_B >= low) & (cluster_B < high))
            self._parts.append((high - low, rows_K, cluster_B[rows_K] - low, first_B[rows_K], second_B[rows_K]))

    def circles(self, points_B: Floats, *, met: bool = False) -> Floats:
        """Intransitive and all decided triples of each question, shape (G, 2); with `met`, all whose models met."""
        return np.concatenate(
            [self._counted(size, places, points_B[rows_K], met=met) for size, rows_K, *places in self._parts]
        )

    def _counted(self, size: int, places: list[Integers], points_K: Floats, *, met: bool) -> Floats:
        lead_GMM = np.zeros((size, self._models, self._models), dtype=np.float32)
        np.add.at(lead_GMM, tuple(places), (points_K - 0.5).astype(np.float32))
        lead_GMM = lead_GMM + lead_GMM.transpose(0, 2, 1) if met else lead_GMM - lead_GMM.transpose(0, 2, 1)
        beats_GMM = (lead_GMM > 0).astype(np.float32)
        met_GMM = np.maximum(beats_GMM, beats_GMM.transpose(0, 2, 1))
        around_G = np.einsum("gij,gji->g", beats_GMM @ beats_GMM, beats_GMM, dtype=np.float64) / 3
        triangles_G = np.einsum("gij,gji->g", met_GMM @ met_GMM, met_GMM, dtype=np.float64) / 6
        return np.stack([around_G, triangles_G], axis=1).round()


def _drawn(frame: pl.DataFrame, effects: Effects, simulations: int, seed: int) -> Iterator[Floats]:
    """A's points in draws from the fitted model; comparisons that it does not hold keep what was said."""
    maximum = effects.maximum
    if maximum is None:  # an order in which nothing ever goes the other way foretells all that was said
        if effects.rows == 0:
            yield frame["points"].to_numpy()
        return
    known = frame["model_a"].is_in(effects.names) & frame["model_b"].is_in(effects.names)
    place = {name: number for number, name in enumerate(effects.names)}
    strength_B = [
        frame[f"model_{side}"].replace_strict(place, default=0, return_dtype=pl.Int64).to_numpy() for side in "ab"
    ]
    theta_M, part_M = maximum.at.theta_M, maximum.problem.part_M
    d_B = theta_M[strength_B[0]] - theta_M[strength_B[1]]
    d_B += maximum.at.beta_F.sum() if PLACE in effects.coefficients else 0.0
    within_B = known.to_numpy() & (part_M[strength_B[0]] == part_M[strength_B[1]])
    ties = np.exp(maximum.at.shape) if maximum.problem.model is VoteModel.DAVIDSON else 0.0
    weight_B3 = np.stack([np.exp(d_B / 2), np.exp(-d_B / 2), np.full(len(d_B), ties)], axis=1)
    edge_B3 = np.cumsum(weight_B3, axis=1) / weight_B3.sum(axis=1, keepdims=True)
    rng, points_B = np.random.default_rng(seed), frame["points"].to_numpy()
    for _ in range(simulations):
        outcome_B = (rng.random(len(d_B))[:, None] > edge_B3[:, :2]).sum(axis=1)
        yield np.where(within_B, _POINTS[outcome_B], points_B)


def _beyond(judge: str, where: str, estimate: Estimate, null_R: Floats, confidence: float) -> list[Finding]:
    """What is seen beyond the mean of the simulated, with the interval that the simulated scatter gives."""
    null_R = null_R[np.isfinite(null_R)]
    if not len(null_R):
        return []
    low, high = np.quantile(null_R, [0.5 - confidence / 2, 0.5 + confidence / 2])
    value = estimate.value - float(null_R.mean())
    beyond = Estimate(
        value, estimate.value - float(high), estimate.value - float(low), None, estimate.rows, estimate.clusters
    )
    return [
        finding(
            judge, AUDIT, f"circles {where} beyond noise", beyond, "percentage points", null=0.0,
            above=f"more circles {where} than noise explains", within=f"no more circles {where} than noise explains",
            below=f"fewer circles {where} than noise alone would bring",
        )
    ]  # fmt: skip


def _at_least_zero(estimate: Estimate) -> Estimate:
    return estimate if estimate.lower is None else replace(estimate, lower=max(estimate.lower, 0.0))


def _share(sums_NK: Floats) -> Floats:
    return np.divide(sums_NK[:, 0], sums_NK[:, 1], out=np.full(len(sums_NK), np.nan), where=sums_NK[:, 1] > 0)
