"""Which figure foretold what the optimised models were worth?

Several rewards, each with its offline figures and with what became of a model that was optimised against it (a rating
of people, a score; as many results as one has). Of each metric in each domain: Pearson's and Spearman's correlation
over the rewards with each result, where less is better with the sign turned. Beside the domains stand the mean over
them and, since a model is optimised against the weakest spot, their lower quartile.

Intervals resample rewards. With ten rewards or so they are very wide, and the best of a hundred metrics is best by
luck: read this as Frick et al. (2024) have it, as a pattern over many metrics, not as a test of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from palaestra.errors import InputError
from palaestra.rewards.ppe.resampling import LESS_IS_BETTER, Figure, number
from palaestra.schema.record import Struct
from palaestra.store.records import read_rows

Floats = NDArray[np.float64]
Key = tuple[str, str, str]

LEAST_REWARDS = 4
MEAN_OF_DOMAINS, LOW_QUARTILE = "mean of domains", "lower quartile of domains"
_TOTALS = ("overall", "mean")
"""Domains that are sums of others."""


class Foretold(Struct):
    """How one figure, over the rewards, goes with a result."""

    side: str
    domain: str
    metric: str
    result: str
    rewards: int
    pearson: float | None
    pearson_lower: float | None
    pearson_upper: float | None
    spearman: float | None
    spearman_lower: float | None
    spearman_upper: float | None


def read_results(path: str | Path) -> dict[str, dict[str, float]]:
    """What became of the models: by result, and by reward; from rows of reward, score, and result if there are several.

    Rows of one reward and result that differ in their `seed` are runs of one thing: their mean is the result.

    Raises:
        InputError: a row lacks a column, its score is no finite number, or a reward has two scores of one result and
            seed.
    """
    runs: dict[str, dict[str, dict[str, float]]] = {}
    for line, row in enumerate(read_rows(path, "downstream results"), start=1):
        try:
            reward, score = str(row["reward"]), float(row["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: row {line}: {error}; expected reward and score (a number), and result"
            ) from error
        seeds = runs.setdefault(str(row.get("result") or "downstream"), {}).setdefault(reward, {})
        seed = str(row.get("seed"))
        if seed in seeds or not np.isfinite(score):
            raise InputError(
                f"{path}: row {line}: found {reward!r} with {score}, expected one finite score a reward (and seed, if "
                "there is such a column)"
            )
        seeds[seed] = score
    return {
        result: {reward: float(np.mean(list(seeds.values()))) for reward, seeds in of_reward.items()}
        for result, of_reward in runs.items()
    }


def foretold(
    figures: Sequence[Figure],
    results: Mapping[str, Mapping[str, float]],
    *,
    rounds: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Foretold]:
    """The correlation of each figure with each result, over the rewards that have both.

    Args:
        figures: of all rewards.
        results: by result and reward.
        rounds: of the bootstrap over rewards.
        seed: of the rounds.
        confidence: of the intervals.

    Raises:
        InputError: a result has fewer than four of the rewards.
    """
    columns = _columns(figures)
    names = sorted({figure.proxy for figure in figures})
    shown = []
    for result, scores in results.items():
        known = [name for name in names if name in scores]
        if len(known) < LEAST_REWARDS:
            raise InputError(
                f"{result}: found results of {len(known)} of the rewards {', '.join(names)}, expected at least "
                f"{LEAST_REWARDS}"
            )
        for key, values in columns.items():
            both = [name for name in known if name in values]
            if len(both) >= LEAST_REWARDS:
                pairs = (np.array([source[name] for name in both]) for source in (values, scores))
                shown.append(_foretold(key, result, *pairs, rounds=rounds, seed=seed, confidence=confidence))
    return shown


def _columns(figures: Sequence[Figure]) -> dict[Key, dict[str, float]]:
    """By figure and reward the value, more being better; with mean and lower quartile of domains."""
    columns: dict[Key, dict[str, float]] = {}
    spread: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in figures:
        if one.value is None:
            continue
        value = -one.value if one.metric in LESS_IS_BETTER else one.value
        columns.setdefault((one.side, one.domain, one.metric), {})[one.proxy] = value
        if one.domain not in _TOTALS and not one.domain.startswith("language "):
            spread.setdefault((one.side, one.metric), {}).setdefault(one.proxy, []).append(value)
    for (side, metric), values in spread.items():
        most = max(map(len, values.values()))
        if most > 1:
            whole = {name: each for name, each in values.items() if len(each) == most}
            columns[side, MEAN_OF_DOMAINS, metric] = {name: float(np.mean(each)) for name, each in whole.items()}
            low = {name: float(np.quantile(each, 0.25)) for name, each in whole.items()}
            columns[side, LOW_QUARTILE, metric] = low
    return columns


def _foretold(
    key: Key, result: str, value_M: Floats, score_M: Floats, *, rounds: int, seed: int, confidence: float
) -> Foretold:
    drawn_RM = np.random.default_rng(seed).integers(len(value_M), size=(rounds, len(value_M)))
    place_RM = np.vstack([np.arange(len(value_M)), drawn_RM])
    x_RM, y_RM = value_M[place_RM], score_M[place_RM]
    pearson = _with_interval(_correlations(x_RM, y_RM), confidence)
    spearman = _with_interval(_correlations(rankdata(x_RM, axis=1), rankdata(y_RM, axis=1)), confidence)
    return Foretold(
        side=key[0],
        domain=key[1],
        metric=key[2],
        result=result,
        rewards=len(value_M),
        pearson=pearson[0],
        pearson_lower=pearson[1],
        pearson_upper=pearson[2],
        spearman=spearman[0],
        spearman_lower=spearman[1],
        spearman_upper=spearman[2],
    )


def _correlations(x_RM: Floats, y_RM: Floats) -> Floats:
    x_RM, y_RM = (each - each.mean(axis=1, keepdims=True) for each in (x_RM, y_RM))
    spread_R = np.sqrt((x_RM**2).sum(axis=1) * (y_RM**2).sum(axis=1))
    return np.divide((x_RM * y_RM).sum(axis=1), spread_R, out=np.full(len(x_RM), np.nan), where=spread_R > 1e-12)  # noqa: PLR2004 - rounding


def _with_interval(found_R: Floats, confidence: float) -> tuple[float | None, float | None, float | None]:
    drawn_R = found_R[1:][~np.isnan(found_R[1:])]
    if np.isnan(found_R[0]) or len(drawn_R) < len(found_R) / 2:
        return number(found_R[0]), None, None
    low, high = np.quantile(drawn_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(found_R[0]), float(low), float(high)
