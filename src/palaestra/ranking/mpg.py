"""Many benchmarks of different sizes into two numbers a model: goodness, and fastness or cost, with what is not known.

After the idea of Project MPG (arXiv 2410.22368): two numbers from Beta posteriors over benchmark counts. Its equations,
prior, weights and map of benchmarks to domains are not reproduced here; those in `mpg_posterior.py` are our own.

Not here: one number made of both, which would need a price for a second; the Pareto set needs none. Not a fit either:
questions that two models share are not matched, so that differences are told apart more slowly than paired answers
would allow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.ranking.aggregate import borda, mean_win_rate
from palaestra.ranking.mpg_posterior import (
    RankRanges,
    chance_of_beating,
    fastness_interval,
    goodness_draws,
    goodness_moments,
    pareto,
    pareto_chance,
    rank_ranges,
)
from palaestra.ranking.mpg_tally import Spent, Tally, paid, tally, timed
from palaestra.schema import Result
from palaestra.schema.record import Record, Struct
from palaestra.store.results import read_results

Floats = NDArray[np.float64]

_SHOWN = 5


class MpgConfig(BaseModel):
    """How results become goodness and fastness."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["speed", "cost"] = "speed"
    """What stands beside goodness: queries per second, or cost per query."""
    concurrency: int | None = Field(default=None, ge=1)
    """Only times at this concurrency; needed where there are times at several."""
    correct_guessing: bool = False
    """Take out what guessing gets right, on benchmarks with a guess rate."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals, and of all simultaneous ranks together."""
    draws: int = Field(default=10_000, ge=1000)
    """Draws from the posterior."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws."""


class DomainGoodness(Struct):
    """Goodness in one domain."""

    goodness: float
    lower: float
    upper: float


class MpgLine(Struct):
    """One model's line.

    `missing` are the benchmarks without a result, behind which only the prior stands. `fastness` is in queries per
    second; it and `cost_per_query` are None if not measured or not asked for, and `pareto` is None with them. Ranks are
    by goodness.
    """

    model: str
    goodness: float
    lower: float
    upper: float
    se: float
    rank: int
    rank_lower: int
    rank_upper: int
    rank_simultaneous_lower: int
    rank_simultaneous_upper: int
    domains: dict[str, DomainGoodness]
    missing: tuple[str, ...]
    fastness: float | None
    fastness_lower: float | None
    fastness_upper: float | None
    cost_per_query: float | None
    pareto: bool | None
    pareto_probability: float | None
    borda: float
    mean_win_rate: float | None


class MpgBoard(Record):
    """Goodness and fastness of all models, best goodness first. `beats[i][j]` is the chance that i is better than j."""

    record_name = "mpg"

    models: tuple[MpgLine, ...]
    domains: dict[str, tuple[str, ...]]
    """The benchmarks of each domain."""
    beats: tuple[tuple[float, ...], ...]
    settings: MpgConfig
    """Those of the call, with the concurrency at which the times were taken."""
    warnings: tuple[str, ...] = ()

    def table(self) -> pl.DataFrame:
        """One row a model, best first, with the fields of `MpgLine`; domains as structs."""
        return pl.DataFrame([line.model_dump() for line in self.models], infer_schema_length=None)

    def to_json(self, path: str | Path | None = None) -> str:
        """The record as JSON; written too if a path is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text


def mpg(results: Sequence[Result] | str | Path, config: MpgConfig | None = None, **settings: Any) -> MpgBoard:  # noqa: ANN401 - MpgConfig's fields
    """Goodness of each model over many benchmarks, and its fastness or cost beside it.

    Args:
        results: the results, or the path of a file of them.
        config: settings.
        **settings: or the settings by name.

    Raises:
        InputError: there are no results, they contradict each other (see `mpg_tally.tally`), times are at several
            concurrencies and none was chosen, or guessing is to be corrected and no result has a guess rate.
        pydantic.ValidationError: a setting is none of these.
    """
    config = MpgConfig(**((config.model_dump() if config else {}) | settings))
    if isinstance(results, (str, Path)):
        results = read_results(results)
    counts = tally(results)
    guess_K = counts.guess_K if config.correct_guessing else np.zeros(len(counts.benchmarks))
    if config.correct_guessing and not guess_K.any():
        raise InputError(
            "found no guess rate, expected one to correct for; fill guess_rate or leave the correction out"
        )
    good_rng, fast_rng = (np.random.default_rng(part) for part in np.random.SeedSequence(config.seed).spawn(2))
    good = _goodness(counts, guess_K, config, good_rng)
    axis = _axis(results, counts.models, config, good, fast_rng)
    counted = _counted(counts)
    order = np.argsort(-good.mean_M, kind="stable")
    return MpgBoard(
        models=tuple(_line(counts, good, axis, counted, int(model)) for model in order),
        domains=counts.domains,
        beats=tuple(map(tuple, good.beats_MM[np.ix_(order, order)].tolist())),
        settings=config.model_copy(update={"concurrency": axis.concurrency}),
        warnings=(*_gaps(counts, config), *axis.warnings(counts.models, config.by)),
    )


@dataclass(frozen=True, slots=True)
class _Goodness:
    mean_MD: Floats
    se_M: Floats
    ends_MD2: Floats
    ends_M2: Floats
    beats_MM: Floats
    ranks: RankRanges
    drawn_MR: Floats

    @property
    def mean_M(self) -> Floats:
        return self.mean_MD.mean(axis=1)


def _goodness(counts: Tally, guess_K: Floats, config: MpgConfig, rng: np.random.Generator) -> _Goodness:
    mean_MD, variance_M = goodness_moments(counts, guess_K)
    ends = ((1 - config.confidence) / 2, (1 + config.confidence) / 2)
    drawn_MR, ends_MD2 = goodness_draws(counts, guess_K, ends, config.draws, rng)
    return _Goodness(
        mean_MD,
        np.sqrt(variance_M),
        ends_MD2,
        np.quantile(drawn_MR, ends, axis=-1).T,
        chance_of_beating(drawn_MR),
        rank_ranges(drawn_MR, config.confidence),
        drawn_MR,
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """What stands beside goodness; NaN where it was not measured."""

    spent: Spent
    value_M: Floats
    lower_M: Floats
    upper_M: Floats
    pareto_M: NDArray[np.bool_]
    chance_M: Floats
    concurrency: int | None
    fields: tuple[str, ...]

    def of(self, model: int) -> dict[str, Any]:
        known = not np.isnan(self.value_M[model])
        values = (self.value_M[model], self.lower_M[model], self.upper_M[model])
        named = dict.fromkeys(("fastness", "fastness_lower", "fastness_upper", "cost_per_query"))
        named |= {field: float(value) for field, value in zip(self.fields, values, strict=False) if known}
        chances = {"pareto": bool(self.pareto_M[model]), "pareto_probability": float(self.chance_M[model])}
        return named | (chances if known else dict.fromkeys(chances))

    def warnings(self, models: Sequence[str], by: str) -> list[str]:
        said = {"speed": ("times", "queries per second"), "cost": ("costs", "costs per query")}[by]
        lacking = [name for name, on in zip(models, self.spent.on, strict=True) if not on]
        if len(lacking) == len(models):
            return [f"no result has {said[0]}: goodness stands alone"]
        found = [f"no {said[0]} for {_listed(lacking)}: left out of the Pareto set"] if lacking else []
        if len({on for on in self.spent.on if on}) > 1:
            found.append(
                f"{said[0]} were measured on different benchmarks: {said[1]} compare only over the same prompts"
            )
        return found


def _axis(
    results: Sequence[Result], models: tuple[str, ...], config: MpgConfig, good: _Goodness, rng: np.random.Generator
) -> _Axis:
    if config.by == "speed":
        spent, concurrency = timed(results, models, config.concurrency)
        ends = fastness_interval(spent.queries_M, spent.amount_M, config.confidence)
        fields = ("fastness", "fastness_lower", "fastness_upper")
    else:
        spent, concurrency = paid(results, models), None
        ends = (spent.amount_M / spent.queries_M,) * 3
        fields = ("cost_per_query",)
    known = np.flatnonzero(~np.isnan(ends[0]))
    pareto_M, chance_M = np.zeros(len(models), dtype=bool), np.full(len(models), np.nan)
    if len(known):
        better_M = ends[0][known] if config.by == "speed" else -ends[0][known]
        better_MR = np.broadcast_to(better_M[:, None], (len(known), config.draws))  # a cost is known
        if config.by == "speed":
            shape_M, seconds_M = 1 + spent.queries_M[known], spent.amount_M[known]
            better_MR = rng.gamma(shape_M[:, None], 1 / seconds_M[:, None], better_MR.shape)
        pareto_M[known] = pareto(good.mean_M[known], better_M)
        chance_M[known] = pareto_chance(good.drawn_MR[known], better_MR)
    return _Axis(spent, *ends, pareto_M, chance_M, concurrency, fields)


def _counted(counts: Tally) -> tuple[Floats, Floats]:
    """Borda, benchmarks weighted as in goodness, and the mean win rate."""
    share_MK = np.full(counts.total_MK.shape, np.nan)
    np.divide(counts.correct_MK, counts.total_MK, out=share_MK, where=counts.total_MK > 0)
    return borda(share_MK, counts.weight_DK.mean(axis=0)), mean_win_rate(share_MK)


def _line(counts: Tally, good: _Goodness, axis: _Axis, counted: tuple[Floats, Floats], model: int) -> MpgLine:
    mean, ranks = float(good.mean_M[model]), good.ranks
    borda_M, rate_M = counted
    return MpgLine(
        model=counts.models[model],
        goodness=mean,
        lower=float(good.ends_M2[model, 0]),
        upper=float(good.ends_M2[model, 1]),
        se=float(good.se_M[model]),
        rank=1 + int((good.mean_M > mean).sum()),
        rank_lower=int(ranks.lower_M[model]),
        rank_upper=int(ranks.upper_M[model]),
        rank_simultaneous_lower=int(ranks.all_lower_M[model]),
        rank_simultaneous_upper=int(ranks.all_upper_M[model]),
        domains={
            domain: DomainGoodness(goodness=float(value), lower=float(low), upper=float(high))
            for domain, value, (low, high) in zip(
                counts.domains, good.mean_MD[model], good.ends_MD2[model], strict=True
            )
        },
        missing=counts.missing(model),
        borda=float(borda_M[model]),
        mean_win_rate=None if np.isnan(rate_M[model]) else float(rate_M[model]),
        **axis.of(model),
    )


def _gaps(counts: Tally, config: MpgConfig) -> list[str]:
    """What the reader has to know of the results themselves."""
    found = []
    without = [
        f"{name} on {benchmark}" for model, name in enumerate(counts.models) for benchmark in counts.missing(model)
    ]
    if without:
        found.append(
            f"no result for {_listed(without)}: only the prior stands there, around one half and wide, "
            "so that a model may gain by what it left out"
        )
    if counts.guess_K.any() and not config.correct_guessing:
        found.append("the results have guess rates, which are left alone unless correct_guessing is set")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
