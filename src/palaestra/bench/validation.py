"""What a scorer is worth: cross-validated, each figure with an interval.

Every labelled prompt is foretold once by a scorer that has not seen it (five folds; the ridge is chosen anew within
each). For a criterion:

    auc      the chance that a prompt that meets it has the greater chance than one that does not (Hanley and McNeil,
             1982)
    slope    of what is true on what was foretold, by least squares: 1 is calibrated, below 1 overconfident
    gap      mean foretold chance minus the share that meets it: 0 is calibrated in the large

For the score: Pearson's and Spearman's correlation of the expected score with the judge's count, and of the prompts
that the judge gave six or more the share that the equated score finds, and the reverse. Intervals are percentiles over
resampled prompts (Efron and Tibshirani, 1993); they hold the folds and their fits fixed, so that they are somewhat
narrow.

Not here: whether the judge is right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from palaestra.schema.record import Struct

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HARD = 6
"""Criteria of a hard prompt."""
_RESAMPLES = 1000
_ROUNDING = 1e-12


class Figure(Struct):
    """A figure and its 95% interval; None where it is not defined, as the AUC of a criterion that all meet."""

    value: float | None
    lower: float | None
    upper: float | None


class CriterionFigures(Struct):
    """How well one criterion is foretold."""

    share: float
    """Of the labelled prompts that meet it."""
    learnt: bool
    auc: Figure
    slope: Figure
    gap: Figure


class Validation(Struct):
    """How well a scorer foretells its judge on prompts that it has not seen."""

    prompts: int = Field(ge=1)
    folds: int = Field(ge=2)
    criteria: dict[str, CriterionFigures]
    pearson: Figure
    spearman: Figure
    found: Figure
    """Of the prompts with six criteria or more by the judge, the share that has six or more by the equated score."""
    right: Figure
    """The reverse: of those by the equated score, the share that the judge agrees with."""


def resampling(prompts: int, seed: int) -> Floats:
    """How often each prompt is drawn in each resample: the prompts as they are first, then 1,000 draws."""
    rng = np.random.default_rng(seed)
    drawn_RP = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=_RESAMPLES)
    return np.vstack([np.ones(prompts), drawn_RP]).astype(np.float64)


def figure(of: Callable[[Floats], Floats], weight_RP: Floats) -> Figure:
    """A figure of weighted prompts: its value, and percentiles over the resamples in which it is defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value_R = of(weight_RP)
    if not np.isfinite(value_R[0]):
        return Figure(value=None, lower=None, upper=None)
    defined_R = value_R[1:][np.isfinite(value_R[1:])]
    if not len(defined_R):
        return Figure(value=float(value_R[0]), lower=None, upper=None)
    low, high = np.quantile(defined_R, [0.025, 0.975])
    return Figure(value=float(value_R[0]), lower=float(low), upper=float(high))


def criterion_figures(
    chance_P: Floats, met_P: Bools, fold_P: NDArray[np.int64], weight_RP: Floats, *, learnt: bool
) -> CriterionFigures:
    """The figures of one criterion; of one that was not learnt, only how far the shares are apart."""
    none = Figure(value=None, lower=None, upper=None)
    return CriterionFigures(
        share=float(met_P.mean()),
        learnt=learnt,
        auc=figure(lambda weight_RP: auc(chance_P, met_P, fold_P, weight_RP), weight_RP) if learnt else none,
        slope=figure(lambda weight_RP: _slope(chance_P, met_P.astype(float), weight_RP), weight_RP) if learnt else none,
        gap=figure(lambda weight_RP: weight_RP @ (chance_P - met_P) / weight_RP.sum(axis=1), weight_RP),
    )


def auc(chance_P: Floats, met_P: Bools, fold_P: NDArray[np.int64], weight_RP: Floats) -> Floats:
    """The area under the ROC curve in each resample, a tie half; NaN where only one kind of prompt was drawn.

    Prompts are compared within their fold only: a fold with more that meet the criterion was predicted by a model that
    has seen fewer, so that comparisons between folds are biased downwards.
    """
    right_R = pairs_R = np.zeros(len(weight_RP))
    for fold in np.unique(fold_P):
        here_P = fold_P == fold
        right, pairs = _above(chance_P[here_P], met_P[here_P], weight_RP[:, here_P])
        right_R, pairs_R = right_R + right, pairs_R + pairs
    return right_R / pairs_R


def _above(chance_P: Floats, met_P: Bools, weight_RP: Floats) -> tuple[Floats, Floats]:
    """How often one that meets the criterion is above one that does not, and of how many pairs."""
    values, tied_P = np.unique(chance_P, return_inverse=True)
    met_RV, unmet_RV = (np.zeros((len(weight_RP), len(values))) for _ in range(2))
    for found_RV, members in ((met_RV, np.flatnonzero(met_P)), (unmet_RV, np.flatnonzero(~met_P))):
        np.add.at(found_RV.T, tied_P[members], weight_RP[:, members].T)
    below_RV = np.cumsum(unmet_RV, axis=1) - unmet_RV / 2
    return (met_RV * below_RV).sum(axis=1), met_RV.sum(axis=1) * unmet_RV.sum(axis=1)


def score_figures(expected_P: Floats, counts_P: Floats, equated_P: Floats, weight_RP: Floats) -> dict[str, Figure]:
    """The figures of the score: `pearson`, `spearman`, `found`, `right`."""
    from scipy.stats import rankdata

    ranks = rankdata(expected_P), rankdata(counts_P)
    hard_P, said_P = counts_P >= HARD, equated_P >= HARD

    def share(of_P: Bools) -> Callable[[Floats], Floats]:
        both_P = (hard_P & said_P).astype(float)
        return lambda weight_RP: (weight_RP @ both_P) / (weight_RP @ of_P.astype(float))

    return {
        "pearson": figure(lambda weight_RP: _correlation(expected_P, counts_P, weight_RP), weight_RP),
        "spearman": figure(lambda weight_RP: _correlation(*ranks, weight_RP), weight_RP),
        "found": figure(share(hard_P), weight_RP),
        "right": figure(share(said_P), weight_RP),
    }


def _moments(x_P: Floats, y_P: Floats, weight_RP: Floats) -> tuple[Floats, Floats, Floats]:
    """Variances of x and of y, and their covariance, in each resample."""
    total_R = weight_RP.sum(axis=1)
    x_P, y_P = x_P - x_P.mean(), y_P - y_P.mean()
    x_R, y_R = weight_RP @ x_P / total_R, weight_RP @ y_P / total_R
    xx_R = weight_RP @ x_P**2 / total_R - x_R**2
    yy_R = weight_RP @ y_P**2 / total_R - y_R**2
    xx_R, yy_R = (np.where(variance_R > _ROUNDING, variance_R, np.nan) for variance_R in (xx_R, yy_R))
    return xx_R, yy_R, weight_RP @ (x_P * y_P) / total_R - x_R * y_R


def _slope(x_P: Floats, y_P: Floats, weight_RP: Floats) -> Floats:
    xx_R, _, xy_R = _moments(x_P, y_P, weight_RP)
    return xy_R / xx_R


def _correlation(x_P: Floats, y_P: Floats, weight_RP: Floats) -> Floats:
    xx_R, yy_R, xy_R = _moments(x_P, y_P, weight_RP)
    return xy_R / np.sqrt(xx_R * yy_R)
