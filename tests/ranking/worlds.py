"""Simulated voters and models whose truth is known."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

OUTCOMES = np.array(["model_a", "model_b", "tie", "both_bad"])
Floats = NDArray[np.float64]


def names_of(models: int) -> list[str]:
    return [f"m{m:03d}" for m in range(models)]


def davidson_votes(
    theta_M: Floats,
    votes: int,
    rng: np.random.Generator,
    *,
    ties: float = -0.7,
    popularity_M: Floats | None = None,
    style: float = 0.0,
) -> pl.DataFrame:
    """Votes under Davidson's model, a third of the ties both bad; with `length_a`, `length_b` if style matters."""
    models = len(theta_M)
    share_M = np.full(models, 1 / models) if popularity_M is None else popularity_M / popularity_M.sum()
    first_B = rng.choice(models, votes, p=share_M)
    second_B = rng.choice(models, votes, p=share_M)
    while (same := first_B == second_B).any():
        second_B[same] = rng.choice(models, int(same.sum()), p=share_M)
    d_B = theta_M[first_B] - theta_M[second_B]
    columns: dict[str, object] = {}
    if style:
        x_B = rng.normal(size=votes)
        columns["x"] = x_B
        d_B = d_B + style * x_B
    odds = np.stack([np.exp(d_B / 2), np.exp(-d_B / 2), np.full(votes, np.exp(ties))])
    outcome_B = (rng.random(votes) * odds.sum(axis=0) > np.cumsum(odds, axis=0)).sum(axis=0)
    outcome_B = np.where((outcome_B == 2) & (rng.random(votes) < 1 / 3), 3, outcome_B)
    names = np.array(names_of(models))
    return pl.DataFrame(
        {"model_a": names[first_B], "model_b": names[second_B], "winner": OUTCOMES[outcome_B], **columns}
    )
