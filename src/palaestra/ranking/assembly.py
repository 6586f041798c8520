"""From an estimate to a board: the Elo scale and its anchor, intervals, ranks, effects, and what is said in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.special import ndtri

from palaestra.errors import InputError
from palaestra.ranking.board import Board
from palaestra.ranking.compare import ELO
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.estimate import FEW_CLUSTERS, Estimate, Spread
from palaestra.ranking.held_out import HeldOut
from palaestra.ranking.sample import Sample
from palaestra.schema import CalibrationBin, Effect, FitReport, Level, ModelRating, VoteData
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.passes import log_likelihood
from palaestra.stats.ranks import rank_bounds, simultaneous_rank_bounds

Floats = NDArray[np.float64]

_MEAN = 1000.0
_MOST_RATING = 1e6
_LINES = TypeAdapter(list[ModelRating])


@dataclass(frozen=True, slots=True)
class Details:
    """What a board says of itself beside numbers."""

    config: FitConfig
    ties: Ties
    tie_log_losses: dict[str, float]
    data: VoteData
    category: str
    notes: tuple[str, ...] = ()


def assemble(
    sample: Sample,
    found: Estimate,
    spread: Spread,
    held: Callable[[], HeldOut | None],
    details: Details,
    *,
    before: Board | None = None,
) -> Board:
    """The board of an estimate.

    Args:
        sample: the votes.
        found: the estimate.
        spread: its uncertainty.
        held: asked, once all else is done, how it foretells votes that it has not seen.
        details: what the board says of itself.
        before: a board of nearly the same votes, from which simultaneous ranks and held-out figures are taken.
    """
    config, counts = details.config, sample.counts
    scale = _Scale.of(found, spread, config)
    scale = scale.shifted(_shift(counts.names, found, scale.rating_M, config.anchor))
    lines = _lines(sample, found, scale, config, before)
    order = sorted(range(len(lines)), key=lambda index: (-lines[index].rating, lines[index].model))
    return Board(
        category=details.category,
        models=tuple(lines[index] for index in order),
        effects=_effects(sample, found, spread, config),
        components=tuple(tuple(counts.names[index] for index in part) for part in found.connections.parts),
        settings=settings_of(config, details.ties),
        data=details.data,
        fit=_report(sample, found, held(), details, before),
        warnings=(*details.notes, *sample.notes, *_warnings(sample, found)),
        usable=scale.usable,
        covariance=tuple(map(tuple, scale.covariance_MM[np.ix_(order, order)].tolist())),
    ).with_counts(counts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Ratings, intervals and covariance in Elo, in the order of the names."""

    rating_M: Floats
    covariance_MM: Floats
    lower_M: Floats
    upper_M: Floats
    usable: Level | None = None

    @classmethod
    def of(cls, found: Estimate, spread: Spread, config: FitConfig) -> _Scale:
        count = len(found.theta_M)
        theta_M, covariance_MM = found.theta_M, spread.covariance_QQ[:count, :count]
        rounds_RM = None if spread.rounds_RQ is None else spread.rounds_RQ[:, :count]
        level, level_variance = 0.0, 0.0
        grounded = found.maximum.problem.model is VoteModel.GROUNDED
        if grounded:
            level, level_variance = float(theta_M.mean()), float(covariance_MM.mean())
            centring_MM = np.eye(count) - 1 / count
            covariance_MM = centring_MM @ covariance_MM @ centring_MM
            rounds_RM = None if rounds_RM is None else rounds_RM - rounds_RM.mean(axis=1, keepdims=True)
        rating_M = _MEAN + ELO * (theta_M - level)
        z = float(ndtri(0.5 + config.confidence / 2))
        half_M = z * ELO * np.sqrt(np.diag(covariance_MM))
        lower_M, upper_M = rating_M - half_M, rating_M + half_M
        if rounds_RM is not None:
            tail = (1 - config.confidence) / 2
            low_M, high_M = _MEAN + ELO * np.quantile(rounds_RM, [tail, 1 - tail], axis=0)
            floor_M = np.diag(covariance_MM) > 1.001 * rounds_RM.var(axis=0, ddof=1)  # widened, see `estimate.spread`
            low_M, high_M = np.where(floor_M, lower_M, low_M), np.where(floor_M, upper_M, high_M)
            lower_M, upper_M = np.minimum(low_M, rating_M), np.maximum(high_M, rating_M)
        usable = None
        if grounded:
            se = ELO * np.sqrt(level_variance)
            at = _MEAN - ELO * level
            usable = Level(rating=at, lower=at - z * se, upper=at + z * se, se=se)
        return cls(rating_M, ELO**2 * covariance_MM, lower_M, upper_M, usable)

    def shifted(self, shift_M: Floats) -> _Scale:
        if not shift_M.any():
            return self
        usable = self.usable and Level(
            **{name: value + (0 if name == "se" else shift_M[0]) for name, value in self.usable.model_dump().items()}
        )
        moved = (self.rating_M + shift_M, self.covariance_MM, self.lower_M + shift_M, self.upper_M + shift_M)
        return _Scale(*moved, usable)


def _shift(names: tuple[str, ...], found: Estimate, rating_M: Floats, anchor: str | None) -> Floats:
    """What to add to each rating so that the anchor has its score; other components stay at their mean."""
    shift_M = np.zeros(len(names))
    if anchor is None:
        return shift_M
    name, _, score = anchor.rpartition("=")
    try:
        wanted = float(score)
    except ValueError:
        wanted = np.nan
    if not name or not abs(wanted) <= _MOST_RATING:
        raise InputError(f"found the anchor {anchor!r}, expected MODEL=SCORE, e.g. 'my-model=1100'")
    if name not in names:
        raise InputError(f"the anchor {name!r} is not among the {len(names)} models of these votes")
    part_M = found.connections.part_M
    index = names.index(name)
    shift_M[part_M == part_M[index]] = wanted - rating_M[index]
    return shift_M


def _lines(
    sample: Sample, found: Estimate, scale: _Scale, config: FitConfig, before: Board | None
) -> list[ModelRating]:
    counts = sample.counts
    best_M, worst_M, surely_best_M, surely_worst_M = np.ones((4, len(counts.names)), dtype=np.int64)
    sure = (
        {line.model: (line.rank_simultaneous_lower, line.rank_simultaneous_upper) for line in before.models}
        if before
        else {}
    )
    for part in found.connections.parts:
        best_M[part], worst_M[part] = rank_bounds(scale.lower_M[part], scale.upper_M[part])
        surely_best_M[part], surely_worst_M[part] = (
            np.array([sure[counts.names[m]] for m in part]).T
            if before
            else simultaneous_rank_bounds(
                scale.rating_M[part],
                scale.covariance_MM[np.ix_(part, part)],
                confidence=config.confidence,
                seed=config.seed,
            )
        )
    se_M = np.sqrt(np.diag(scale.covariance_MM))
    wins_M, losses_M = counts.wins_MM.sum(axis=1), counts.wins_MM.sum(axis=0)
    ties_M, both_bad_M = counts.ties_MM.sum(axis=1), counts.both_bad_MM.sum(axis=1)
    votes_M = wins_M + losses_M + ties_M + both_bad_M
    few_M = (votes_M < config.min_votes) | found.connections.outside_M
    columns = {
        "rating": scale.rating_M, "lower": scale.lower_M, "upper": scale.upper_M, "se": se_M,
        "rank": best_M, "rank_lower": best_M, "rank_upper": worst_M,
        "votes": votes_M, "wins": wins_M, "losses": losses_M, "ties": ties_M, "both_bad": both_bad_M,
        "preliminary": few_M,
        "rank_simultaneous_lower": surely_best_M, "rank_simultaneous_upper": surely_worst_M,
    }  # fmt: skip
    rows = zip(counts.names, *(column_M.tolist() for column_M in columns.values()), strict=True)
    fields = ("model", *columns)
    return _LINES.validate_python([dict(zip(fields, row, strict=True)) for row in rows])


def _effects(sample: Sample, found: Estimate, spread: Spread, config: FitConfig) -> tuple[Effect, ...]:
    z = float(ndtri(0.5 + config.confidence / 2))
    count = len(sample.counts.names)
    effects = []
    for f, name in enumerate(sample.effects):
        coefficient = float(found.maximum.at.beta_F[f])
        se = float(np.sqrt(spread.covariance_QQ[count + f, count + f]))
        effects.append(
            Effect(
                name=name,
                coefficient=coefficient,
                lower=coefficient - z * se,
                upper=coefficient + z * se,
                elo=ELO * coefficient,
                se=se,
                sd=float(sample.scale_F[f]),
            )
        )
    return tuple(effects)


def settings_of(config: FitConfig, ties: Ties) -> dict[str, Any]:
    """The settings as a board tells them."""
    return config.model_dump(mode="json") | {
        "method": "bradley-terry" if ties is Ties.HALF else ties.value,
        "ties": ties.value,
    }


def _report(sample: Sample, found: Estimate, held: HeldOut | None, details: Details, before: Board | None) -> FitReport:
    maximum = found.maximum
    report = FitReport(
        iterations=maximum.iterations,
        log_likelihood=log_likelihood(sample.rows, maximum.problem.model, maximum.at),
        tie_parameter=maximum.at.shape if maximum.problem.model.shapes else None,
        tie_log_losses=details.tie_log_losses,
        converged=maximum.converged,
    )
    if held is None:
        kept = ("held_out_log_loss", "constant_log_loss", "calibration", "calibration_error")
        return report.model_copy(update={name: getattr(before.fit, name) for name in kept}) if before else report
    weight, expected, happened = held.bins
    there = weight > 0
    bins = tuple(
        CalibrationBin(predicted=e / w, observed=h / w, votes=w)
        for w, e, h in zip(weight[there].tolist(), expected[there].tolist(), happened[there].tolist(), strict=True)
    )
    return report.model_copy(
        update={
            "held_out_log_loss": float(held.log_loss),
            "constant_log_loss": float(held.constant_log_loss),
            "calibration": bins,
            "calibration_error": float(np.abs(expected - happened).sum() / weight.sum()),
        }
    )


def _warnings(sample: Sample, found: Estimate) -> tuple[str, ...]:
    counts, connections = sample.counts, found.connections
    warnings = []
    if len(connections.parts) > 1:
        warnings.append(
            f"The votes fall into {len(connections.parts)} sets of models that never met, see components; ratings and "
            "ranks of different sets cannot be compared."
        )
    if not found.maximum.converged:
        warnings.append("The fit did not converge; do not use these ratings.")
    if (clusters_M := sample.clusters_M) is not None and (few := int((clusters_M < FEW_CLUSTERS).sum())):
        warnings.append(
            f"{few} models have votes from fewer than {FEW_CLUSTERS} clusters; they have at least the intervals of "
            "independent votes."
        )
    for m in np.flatnonzero(connections.outside_M):
        wins, losses = counts.wins_MM[m].sum(), counts.wins_MM[:, m].sum()
        record = f"{wins:g} won, {losses:g} lost, {counts.drawn_MM[m].sum():g} drawn"
        warnings.append(
            f"{counts.names[m]} ({record}) has no finite rating: wins do not connect it with the others both ways. "
            "It is shown as if it had one tie more."
        )
    return tuple(warnings)
