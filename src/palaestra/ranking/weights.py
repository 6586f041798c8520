"""How much each vote matters, and which are left out: importance weights. A row's `weight` is a count and stays one.

    pair weights, capped  1 / max(n, 50) for a pair that met n times: the rule of the public board since July 2025
    pair weights, equal   1 / n: each pair counts the same, however often it met
    inverse propensity    1 / probability with which the pair was drawn (Horvitz and Thompson, 1952)
    decay                 0.5 ** (age / half-life), age counted from the last vote

Weights multiply, and are scaled to mean one over the votes that are kept, so that a penalty for each vote keeps its
meaning. Left out, if asked: repeated prompts that the releases tagged, and votes above a voter's daily cap. Not here:
what the weights do in the fit (the likelihood has n·ω, the sandwich's middle n·ω²).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.ranking.labels import tagged
from palaestra.ranking.votes import Votes

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_DAY = 86_400 * 10**6
"""Microseconds of a day."""


class Weighting(BaseModel):
    """How much each vote matters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair_weights: Literal["none", "capped", "equal"] = "none"
    """capped: 1/max(n, least_pair_count) for a pair that met n times; equal: 1/n."""
    least_pair_count: float = Field(default=50, gt=0)
    """Where capped pair weights begin."""
    inverse_propensity: bool = False
    """Weigh each vote by one over its propensity, so that the board is that of pairs drawn evenly."""
    half_life_days: float | None = Field(default=None, ge=1e-3, allow_inf_nan=False)
    """Age at which a vote counts half; needs times."""
    dedup: bool = False
    """Leave out votes on prompts that dedup_tag calls frequent and not sampled."""
    daily_votes_per_voter: int | None = Field(default=None, ge=1)
    """Keep so many votes of a voter on one day (UTC), the first ones; needs voters and times."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """Rows to keep (None: all), importance weights of the kept ones (None: all one), and what to say about it.

    `keep_B` is over the rows that were given, `weight_B` over the rows that are kept.
    """

    keep_B: Mask | None
    weight_B: Floats | None
    notes: tuple[str, ...] = ()


def weigh(votes: Votes, weighting: Weighting) -> Weighted:
    """The weights of votes: rows are left out first, and pairs are counted among what is kept.

    Raises:
        InputError: a column that a rule needs is not there, or has gaps.
    """
    keep_B, notes = kept(votes, weighting)
    count_B = votes.count_B if keep_B is None else votes.count_B[keep_B]
    factors = _factors(votes, weighting, keep_B) if len(count_B) else []
    if not factors:
        return Weighted(keep_B, None, notes)
    weight_B = factors[0]
    for factor_B in factors[1:]:
        weight_B = weight_B * factor_B
    weight_B /= np.dot(weight_B, count_B) / count_B.sum()
    if weighting.inverse_propensity and weighting.pair_weights != "none":
        notes += (
            "Pair weights and inverse propensities both even out the pairs, together twice over: use one of them.",
        )
    return Weighted(keep_B, weight_B, (*notes, _in_words(weight_B, count_B)))


def deduplicated(frame: pl.DataFrame) -> Mask | None:
    """Which rows are not on a frequent prompt, or are in the sample that was taken of it, by the releases' `dedup_tag`.

    A row without a tag stays. Shape (B,); None where there is no `dedup_tag` with `high_freq`.

    Raises:
        InputError: `dedup_tag` holds something else than labels.
    """
    tags = tagged(frame, "dedup_tag")
    frequent_B = tags.get("high_freq")
    return None if frequent_B is None else ~frequent_B | tags.get("sampled", ~frequent_B)


def within_daily_cap(frame: pl.DataFrame, most: int, among_B: Mask | None = None) -> Mask:
    """Which rows are among the first `most` of their voter on their day (UTC), by time, then by row; shape (B,).

    A row is one vote here, whatever its weight. Rows without a voter or a time are kept. Rows outside `among_B` count
    for nothing, and are not kept.

    Raises:
        InputError: there are no voters or no times.
    """
    time_B = _column(frame, "tstamp", "a daily cap")
    voter_B = _column(frame, "voter", "a daily cap")
    code_B = voter_B.cast(pl.String).to_arrow().dictionary_encode().indices.fill_null(-1).to_numpy()
    keep_B = np.ones(frame.height, dtype=bool) if among_B is None else among_B.copy()
    row_B = np.flatnonzero(keep_B & (code_B >= 0) & time_B.is_not_null().to_numpy())
    microseconds_B = time_B.dt.epoch("us").fill_null(0).to_numpy()
    if (np.diff(microseconds_B[row_B]) < 0).any():
        row_B = row_B[np.argsort(microseconds_B[row_B], kind="stable")]
    keep_B[row_B] = _first_of_the_day(code_B[row_B], microseconds_B[row_B] // _DAY, most)
    return keep_B


@njit(cache=True)
def _first_of_the_day(voter_B: NDArray[np.int32], day_B: NDArray[np.int64], most: int) -> Mask:
    """Which rows, in the order of time, are among the first of their voter on their day."""
    voters = voter_B.max() + 1 if len(voter_B) else 0
    day, seen = np.zeros(voters, dtype=np.int64), np.zeros(voters, dtype=np.int64)
    first_B = np.empty(len(voter_B), dtype=np.bool_)
    for row in range(len(voter_B)):
        voter = voter_B[row]
        if day[voter] != day_B[row]:
            day[voter], seen[voter] = day_B[row], 0
        seen[voter] += 1
        first_B[row] = seen[voter] <= most
    return first_B


def kept(votes: Votes, weighting: Weighting) -> tuple[Mask | None, tuple[str, ...]]:
    """Which rows stay, None for all, and a line on what is left out; errors as those of `weigh`."""
    if not weighting.dedup and weighting.daily_votes_per_voter is None:
        return None, ()
    keep_B, notes = np.ones(len(votes), dtype=bool), []
    if weighting.dedup:
        found_B = deduplicated(votes.frame)
        if found_B is None:
            raise InputError(f"dedup needs the column dedup_tag with high_freq; found {', '.join(votes.frame.columns)}")
        keep_B &= found_B
        notes.append(f"Left out by dedup: {_rows(~keep_B)} on frequent prompts.")
    if weighting.daily_votes_per_voter is not None:
        most = weighting.daily_votes_per_voter
        found_B = within_daily_cap(votes.frame, most, keep_B)
        notes.append(f"Left out by the daily cap: {_rows(keep_B & ~found_B)} above {most} of a voter on a day (UTC).")
        unknown = votes.frame.select(pl.any_horizontal(pl.col("voter", "tstamp").is_null())).to_series().to_numpy()
        if (unknown & found_B).any():
            notes.append(f"Kept whatever the daily cap: {_rows(unknown & found_B)} without a voter or a time.")
        keep_B = found_B
    return (None if keep_B.all() else keep_B), tuple(notes)


def _rows(which_B: Mask) -> str:
    number = int(which_B.sum())
    return "1 row" if number == 1 else f"{number:,} rows"


def _factors(votes: Votes, weighting: Weighting, keep_B: Mask | None) -> list[Floats]:
    """What the weights are the product of, each over the kept rows."""
    factors = []
    if weighting.pair_weights != "none":
        factors.append(
            _by_pair(votes, keep_B, weighting.least_pair_count if weighting.pair_weights == "capped" else 0.0)
        )
    if weighting.inverse_propensity:
        propensity_B = _whole(votes.frame, "propensity", "inverse propensity", keep_B)
        factors.append(1 / propensity_B.cast(pl.Float64).to_numpy())
    if weighting.half_life_days is not None:
        time_B = _whole(votes.frame, "tstamp", "a half-life", keep_B).dt.epoch("us").to_numpy()
        factors.append(np.exp2((time_B - time_B.max()) / (_DAY * weighting.half_life_days)))
    return factors


def _by_pair(votes: Votes, keep_B: Mask | None, least: float) -> Floats:
    size = len(votes.names)
    pair_B = np.minimum(votes.first_B, votes.second_B) * np.int64(size) + np.maximum(votes.first_B, votes.second_B)
    count_B = votes.count_B
    if keep_B is not None:
        pair_B, count_B = pair_B[keep_B], count_B[keep_B]
    met_K = np.bincount(pair_B, count_B, minlength=size * size)
    with np.errstate(divide="ignore"):  # pairs that never met are looked up by nobody
        return (1 / np.maximum(met_K, least))[pair_B]


def _column(frame: pl.DataFrame, name: str, rule: str) -> pl.Series:
    if name not in frame.columns:
        raise InputError(f"{rule} needs the column {name}; found {', '.join(frame.columns)}")
    return frame[name]


def _whole(frame: pl.DataFrame, name: str, rule: str, keep_B: Mask | None) -> pl.Series:
    """A column without gaps in the kept rows."""
    values = _column(frame, name, rule)
    kept = values if keep_B is None else values.filter(pl.Series(keep_B))
    if kept.null_count():
        raise InputError(
            f"{rule} needs {name} in every row; found {kept.null_count():,} of {len(kept):,} rows without: "
            f"leave them out, or fit without it"
        )
    return kept


def _in_words(weight_B: Floats, count_B: Floats) -> str:
    """Kish's effective number, (Σnω)² / Σnω², and the share of the heaviest single vote."""
    total = float(np.dot(weight_B, count_B))
    effective = total**2 / float(np.dot(weight_B**2, count_B))
    return (
        f"The weights leave the worth of {effective:,.0f} of {count_B.sum():,.0f} votes (Kish); the heaviest vote "
        f"counts as much as {weight_B.max():,.1f} average ones and has {weight_B.max() / total:.2%} of all weight."
    )
