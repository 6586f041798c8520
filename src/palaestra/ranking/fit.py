"""`palaestra rank fit`: a frame or file of votes becomes a Leaderboard.

First edition: Bradley-Terry, ties and "both bad" half a win for each side, each vote its own cluster. A row's weight
counts it as so many votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import ndtri

from palaestra.errors import InputError
from palaestra.ranking.bradley_terry import ELO, ComponentFit, components, fit_component, held_out_log_loss
from palaestra.ranking.counts import Counts, count_votes
from palaestra.schema import FitReport, Leaderboard, ModelRating, VoteData
from palaestra.stats.ranks import rank_bounds

_MEAN = 1000.0
_FOLDS = 5
_LEAST_TO_HOLD_OUT = 50


class FitConfig(BaseModel):
    """How votes become a leaderboard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor: str | None = None
    """MODEL=SCORE: shift the ratings so that this model has this score; otherwise their mean is 1000."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Confidence of the intervals."""
    min_votes: float = Field(default=30, ge=0)
    """Models with fewer votes are marked preliminary."""
    seed: int = Field(default=0, ge=0)
    """Seed of the folds for the held-out log loss."""


def fit(votes: pl.DataFrame | str | Path, config: FitConfig | None = None, **settings: Any) -> Leaderboard:  # noqa: ANN401 - FitConfig's fields
    """Rate the models of a set of votes.

    Args:
        votes: a frame with the columns of a vote file, or the path or database URL of one.
        config: the settings.
        **settings: or its fields by name, e.g. `fit(votes, anchor="my-model=1100")`.

    Raises:
        VoteFileError: the file or frame does not hold votes.
        InputError: the anchor is malformed or not among the models, or the weights lie too far apart.
        pydantic.ValidationError: a setting is unknown or out of range.
    """
    config = FitConfig(**((config or FitConfig()).model_dump() | settings))
    frame = _read(votes)
    counts = count_votes(frame)
    parts = components(counts) if counts.names else []
    fits = [fit_component(counts.of(part)) for part in parts]
    rating_M, covariance_MM, outside_M = _assemble(counts, parts, fits)
    rating_M += _shift(counts.names, parts, rating_M, config.anchor)
    lines = _lines(counts, parts, rating_M, np.sqrt(np.diag(covariance_MM)), config)
    lines = [
        line.model_copy(update={"preliminary": True}) if out else line
        for line, out in zip(lines, outside_M, strict=True)
    ]
    order = sorted(range(len(lines)), key=lambda index: (-lines[index].rating, lines[index].model))
    return Leaderboard(
        models=tuple(lines[index] for index in order),
        components=tuple(tuple(counts.names[index] for index in part) for part in parts),
        settings=config.model_dump() | {"method": "bradley-terry", "ties": "half", "intervals": "sandwich"},
        data=_data(frame, counts),
        fit=_report(counts, fits, parts, config.seed),
        warnings=_warnings(counts, parts, fits, outside_M),
        covariance=tuple(map(tuple, covariance_MM[np.ix_(order, order)].tolist())),
    )


def _read(votes: pl.DataFrame | str | Path) -> pl.DataFrame:
    from palaestra.store.formats import check_votes, read_votes

    read = check_votes(votes) if isinstance(votes, pl.DataFrame) else read_votes(votes)
    return read.frame


def _assemble(
    counts: Counts, parts: Sequence[NDArray[np.int64]], fits: Sequence[ComponentFit]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Ratings, covariance in Elo squared, and who is outside a core, for all models in the order of their names."""
    count = len(counts.names)
    rating_M, covariance_MM = np.full(count, _MEAN), np.zeros((count, count))
    outside_M = np.zeros(count, dtype=bool)
    for part, fitted in zip(parts, fits, strict=True):
        rating_M[part] += ELO * fitted.theta_M
        covariance_MM[np.ix_(part, part)] = ELO**2 * fitted.covariance_MM
        outside_M[part] = fitted.outside_core_M
    return rating_M, covariance_MM, outside_M


def _shift(
    names: tuple[str, ...], parts: Sequence[NDArray[np.int64]], rating_M: NDArray[np.float64], anchor: str | None
) -> NDArray[np.float64]:
    """What to add to each rating so that the anchor has its score; other components stay at their mean."""
    shift_M = np.zeros(len(names))
    if anchor is None:
        return shift_M
    name, _, score = anchor.rpartition("=")
    try:
        wanted = float(score)
    except ValueError:
        wanted = np.nan
    if not name or not np.isfinite(wanted):
        raise InputError(f"found the anchor {anchor!r}, expected MODEL=SCORE, e.g. 'my-model=1100'")
    if name not in names:
        raise InputError(f"the anchor {name!r} is not among the {len(names)} models of these votes")
    index = names.index(name)
    for part in parts:
        if index in part:
            shift_M[part] = wanted - rating_M[index]
    return shift_M


def _lines(
    counts: Counts,
    parts: Sequence[NDArray[np.int64]],
    rating_M: NDArray[np.float64],
    se_M: NDArray[np.float64],
    config: FitConfig,
) -> list[ModelRating]:
    z = float(ndtri(0.5 + config.confidence / 2))
    lower_M, upper_M = rating_M - z * se_M, rating_M + z * se_M
    best_M, worst_M = np.ones((2, len(rating_M)), dtype=np.int64)
    for part in parts:
        best_M[part], worst_M[part] = rank_bounds(lower_M[part], upper_M[part])
    wins_M, losses_M = counts.wins_MM.sum(axis=1), counts.wins_MM.sum(axis=0)
    ties_M, both_bad_M = counts.ties_MM.sum(axis=1), counts.both_bad_MM.sum(axis=1)
    votes_M = wins_M + losses_M + ties_M + both_bad_M
    return [
        ModelRating(
            model=name,
            rating=rating_M[m],
            lower=lower_M[m],
            upper=upper_M[m],
            se=se_M[m],
            rank=best_M[m],
            rank_lower=best_M[m],
            rank_upper=worst_M[m],
            votes=votes_M[m],
            wins=wins_M[m],
            losses=losses_M[m],
            ties=ties_M[m],
            both_bad=both_bad_M[m],
            preliminary=bool(votes_M[m] < config.min_votes),
        )
        for m, name in enumerate(counts.names)
    ]


def _data(frame: pl.DataFrame, counts: Counts) -> VoteData:
    times = frame["tstamp"].drop_nulls() if "tstamp" in frame.columns else pl.Series([], dtype=pl.Datetime("us", "UTC"))
    voters = frame["voter"].drop_nulls().n_unique() if "voter" in frame.columns else None
    first, last = (times.min(), times.max()) if len(times) else (None, None)
    return VoteData.model_validate(
        {"votes": counts.votes, "voters": voters, "sha256": counts.sha256(), "first": first, "last": last}
    )


def _report(counts: Counts, fits: Sequence[ComponentFit], parts: Sequence[NDArray[np.int64]], seed: int) -> FitReport:
    connected = len(parts) == 1 and counts.votes >= _LEAST_TO_HOLD_OUT
    return FitReport(
        iterations=max((fitted.iterations for fitted in fits), default=0),
        log_likelihood=sum(fitted.log_likelihood for fitted in fits),
        held_out_log_loss=held_out_log_loss(counts, folds=_FOLDS, seed=seed) if connected else None,
        converged=all(fitted.converged for fitted in fits),
    )


def _warnings(
    counts: Counts,
    parts: Sequence[NDArray[np.int64]],
    fits: Sequence[ComponentFit],
    outside_M: NDArray[np.bool_],
) -> tuple[str, ...]:
    warnings = []
    if len(parts) > 1:
        warnings.append(
            f"The votes fall into {len(parts)} sets of models that never met, see components; ratings and ranks of "
            "different sets cannot be compared."
        )
    if not all(fitted.converged for fitted in fits):
        warnings.append("The fit did not converge; do not use these ratings.")
    for m in np.flatnonzero(outside_M):
        wins, losses = counts.wins_MM[m].sum(), counts.wins_MM[:, m].sum()
        draws = counts.drawn_MM[m].sum()
        record = f"{wins:g} won, {losses:g} lost, {draws:g} drawn"
        warnings.append(
            f"{counts.names[m]} ({record}) has no finite rating: wins do not connect it with the others both ways. "
            "It is shown as if it had one tie more."
        )
    return tuple(warnings)
