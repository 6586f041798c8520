"""How well a fit foretells votes that it has not seen: log loss and calibration, beside every board.

Votes are dealt into five parts; each part is foretold by a fit of the other four (above 200,000 votes one part is
enough: its log loss is known to about a thousandth). Log losses are natural logarithms for each vote. Each model of a
vote is scored on the outcomes that it knows: with half wins, a coin has ln 2; with ties as an outcome, or both bad too,
so does the loss of their shares alone. To compare them, each is completed with the shares of the outcomes that it does
not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from palaestra.ranking.counts import Counts
from palaestra.ranking.estimate import estimate
from palaestra.ranking.sample import Sample
from palaestra.ranking.votes import BOTH_BAD, TIE
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import Maximum, one_step_without
from palaestra.stats.passes import (
    NO_CLUSTERS,
    Forecasts,
    Parameters,
    Resampling,
    dealt_votes,
    drawn,
    forecasts,
    outcome_tables,
    outcome_weights,
)
from palaestra.stats.rows import Rows

Floats = NDArray[np.float64]

FOLDS = 5
LEAST_VOTES = 50
_ENOUGH_VOTES = 200_000
_LAST_STEP = 1e-2
"""Near the maximum of all votes, Newton leaves an error of the square of its step."""
_ONE_STEP = 0.1
"""After one such step of a model with few votes, the log loss of many votes is off by less than a millionth."""
_DRAWS = 4096


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Log loss for each vote, that of the outcomes' shares alone, that over all four outcomes, and calibration (3, 10).

    Rows of `bins`: the sum of weights, of expected scores, of scores that happened, by tenth of the expected score,
    each vote looked at from both sides.
    """

    log_loss: float
    constant_log_loss: float
    four_outcomes: float
    bins: Floats


def hold_out(sample: Sample, all_votes: Maximum, *, penalty: float, seed: int) -> HeldOut | None:
    """Foretell votes from others.

    Args:
        sample: the votes.
        all_votes: the fit of all of them, near which each fit begins.
        penalty: ridge on the coefficients.
        seed: of the dealing.

    Returns:
        None for fewer than 50 votes.

    Raises:
        InputError: a part of the votes does not determine the model's parameters.
    """
    if sample.counts.votes < LEAST_VOTES:
        return None
    losses, bins, total, model = np.zeros(3), np.zeros((3, 10)), 0.0, all_votes.problem.model
    parts = 1 if sample.counts.votes > _ENOUGH_VOTES else FOLDS
    weight_O = outcome_weights(sample.rows)
    for seen, held in _by_rows(sample, parts, seed) if len(sample.rows.source_B) else _by_counts(sample, parts, seed):
        at = one_step_without(all_votes, held, _ONE_STEP) if parts == 1 else None
        scored = forecasts(held, model, _fit(sample, seen(), all_votes, penalty) if at is None else at)
        shares_O = _shares(weight_O - scored.weight_O)
        four = scored.log_likelihood + _completion(scored, model, shares_O)
        losses += [-scored.log_likelihood, -_constant(model, shares_O, scored.weight_O), -four]
        bins += scored.bins
        total += scored.weight_O.sum()
    if total == 0:
        return None
    return HeldOut(*(losses / total), _from_both_sides(bins))


def _fit(sample: Sample, seen: Rows, all_votes: Maximum, penalty: float) -> Parameters:
    counts = Counts.of_outcomes(sample.counts.names, outcome_tables(seen))
    ridge = penalty and penalty * sample.rows.weight_B.sum() / seen.weight_B.sum()  # as strong as that of all votes
    model, start = all_votes.problem.model, all_votes.at
    return estimate(seen, counts, model, penalty=ridge, start=start, last_step=_LAST_STEP).maximum.at


def _by_rows(sample: Sample, parts: int, seed: int) -> Iterator[tuple[Callable[[], Rows], Rows]]:
    """For each of so many parts of five: the rows of the other four, if asked, and those of the part.

    Clusters stay together.
    """
    clusters = NO_CLUSTERS if sample.cluster_B is None else sample.cluster_B
    fold = np.arange(_DRAWS) * FOLDS // _DRAWS
    for part in range(parts):
        held_B = drawn(sample.rows, Resampling((fold == part).astype(float), seed, clusters))
        yield partial(_of, sample.rows, ~held_B), _of(sample.rows, held_B)


def _of(rows: Rows, these_B: NDArray[np.bool_]) -> Rows:
    return rows.only(np.flatnonzero(these_B))


def _by_counts(sample: Sample, parts: int, seed: int) -> Iterator[tuple[Callable[[], Rows], Rows]]:
    """The same where rows are sums: the votes of each are dealt."""
    rows, rng = sample.rows, np.random.default_rng(seed)
    votes_B = rows.weight_B**2 / rows.square_B
    left_B = np.floor(votes_B + 1e-9).astype(np.int64)
    rest_B, rest_part_B = votes_B - left_B, rng.integers(FOLDS, size=len(votes_B))
    for part in range(parts):
        dealt_B = dealt_votes(left_B, 1 / (FOLDS - part), int(rng.integers(2**63)))
        left_B = left_B - dealt_B
        held_B = (dealt_B + rest_B * (rest_part_B == part)) / votes_B
        yield partial(_part, rows, 1 - held_B), _part(rows, held_B)


def _part(rows: Rows, factor_B: Floats) -> Rows:
    """The rows times a factor, exactly zero where that is all that rounding leaves."""
    factor_B = np.where(np.abs(factor_B) < 1e-9, 0.0, factor_B)  # noqa: PLR2004 - what subtraction of fractions leaves over
    return replace(rows, weight_B=rows.weight_B * factor_B, square_B=rows.square_B * factor_B)


def _shares(seen_O: Floats) -> Floats:
    """Of the outcomes, both wins being one half of all wins; never zero, so that the unseen is not impossible."""
    shares_O = seen_O + 0.5
    shares_O[:2] = shares_O[:2].mean()
    return shares_O / shares_O.sum()


def _constant(model: VoteModel, shares_O: Floats, held_O: Floats) -> float:
    """The log-likelihood of knowing no models, in the outcomes that the model of a vote knows."""
    if model is VoteModel.BRADLEY_TERRY:
        return float(-np.log(2) * held_O.sum())
    known_O = shares_O.copy()
    if model is not VoteModel.GROUNDED:
        known_O[TIE:] = shares_O[TIE:].sum()
    return float(held_O @ np.log(known_O))


def _completion(scored: Forecasts, model: VoteModel, shares_O: Floats) -> float:
    """What the log-likelihood gains or loses when outcomes that the model does not know are added by their shares."""
    held_O = scored.weight_O
    if model is VoteModel.GROUNDED:
        return 0.0
    if model is VoteModel.BRADLEY_TERRY:
        decided = np.log(shares_O[:2].sum()) * held_O[:2].sum()
        return float(decided + held_O[TIE:] @ np.log(shares_O[TIE:]) - scored.log_likelihood_O[TIE:].sum())
    within = np.log(shares_O[TIE:] / shares_O[TIE:].sum())
    return float(held_O[TIE] * within[0] + held_O[BOTH_BAD] * within[1])


def _from_both_sides(bins: Floats) -> Floats:
    mirrored = bins[:, ::-1].copy()
    mirrored[1:] = mirrored[0] - mirrored[1:]
    return (bins + mirrored) / 2
