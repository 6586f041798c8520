"""Simulated worlds for forecasts: models with an ability, noisy benchmarks with holes, a board with errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from palaestra.judge.forecast_tables import Ratings, Scores


def world(
    seed: int, *, models: int = 30, new: int = 4, benchmarks: int = 6, holes: float = 0.3, se: float = 8.0
) -> tuple[Scores, Ratings, dict[str, float]]:
    """Results of all models, a board of all but the new ones, and the truth of all."""
    rng = np.random.default_rng(seed)
    count = models + new
    ability = rng.normal(size=count)
    value = ability[:, None] * rng.uniform(0.5, 1.5, benchmarks) * rng.choice([1, 1, 1, -1], benchmarks)
    value += rng.normal(size=value.shape) * rng.uniform(0.3, 1.2, benchmarks)
    kept = rng.integers(benchmarks, size=count)
    hole = rng.random(value.shape) < holes
    hole[np.arange(count), kept] = False
    value[hole] = np.nan
    truth = 1100 + 80 * ability + 25 * rng.normal(size=count)
    names = tuple(f"m{number:03}" for number in range(count))
    scores = Scores(
        names,
        tuple(f"b{number}" for number in range(benchmarks)),
        value,
        np.zeros(value.shape),
        np.full(count, np.nan),
        {f"b{number}": "none" for number in range(benchmarks)},
    )
    seen = truth[:models] + se * rng.normal(size=models)
    board = Ratings(names[:models], seen, np.full(models, se))
    return scores, board, dict(zip(names, truth.tolist(), strict=True))


def write(folder: Path, scores: Scores, board: Ratings) -> tuple[Path, Path]:
    """The two tables as files."""
    columns = {name: scores.value_MK[:, place] for place, name in enumerate(scores.benchmarks)}
    results, rated = folder / "results.csv", folder / "board.csv"
    pl.DataFrame({"model": scores.models, **columns}).fill_nan(None).write_csv(results)
    pl.DataFrame({"model": board.models, "rating": board.rating_M, "se": board.se_M}).write_csv(rated)
    return results, rated
