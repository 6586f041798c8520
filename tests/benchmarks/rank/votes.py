"""Simulated votes for the benchmark: uneven popularity, Davidson ties, four style counts of which length matters.

Strengths N(0, 0.8) in natural units, popularity lognormal(0.8), about 19 % ties, a third of them "both bad"; counts are
negative-binomial, and longer answers are preferred with log odds 0.25 for one standard deviation of (a - b) / (a + b).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

MODELS = 150
COUNTS = {
    "length": ("sum_assistant_{}_tokens", 400.0, 1.5),
    "header": ("header_count_{}", 1.5, 0.5),
    "list": ("list_count_{}", 6.0, 0.8),
    "bold": ("bold_count_{}", 5.0, 0.7),
}
LANGUAGES = ("English", "Chinese", "German", "French", "Japanese", "Russian", "Spanish", "Korean")


def simulate(votes: int, seed: int = 0) -> pd.DataFrame:
    """A frame of so many votes with string names, as a user would have it."""
    world = np.random.default_rng(12345)
    popularity_M = world.lognormal(0, 0.8, MODELS)
    theta_M = world.normal(0, 0.8, MODELS)
    names = np.array([f"vendor-{m % 17}/model-{m:03d}-instruct" for m in range(MODELS)])
    rng = np.random.default_rng(seed)
    first_B, second_B = _pairs(popularity_M, votes, rng)
    counts = {
        name: [rng.negative_binomial(shape, shape / (shape + mean), votes) for _ in range(2)]
        for name, (_, mean, shape) in COUNTS.items()
    }
    a, b = (side.astype(float) for side in counts["length"])
    ratio = np.divide(a - b, a + b, out=np.zeros(votes), where=a + b > 0)
    d_B = theta_M[first_B] - theta_M[second_B] + 0.25 * ratio / ratio.std()
    odds = np.stack([np.exp(d_B / 2), np.exp(-d_B / 2), np.full(votes, np.exp(-0.7))])
    outcome_B = (rng.random(votes) * odds.sum(axis=0) > np.cumsum(odds, axis=0)).sum(axis=0)
    outcome_B = np.where((outcome_B == 2) & (rng.random(votes) < 1 / 3), 3, outcome_B)
    columns = {
        "model_a": names[first_B],
        "model_b": names[second_B],
        "winner": np.array(["model_a", "model_b", "tie", "both_bad"])[outcome_B],
        "language": np.array(LANGUAGES)[np.minimum(rng.geometric(0.45, votes) - 1, len(LANGUAGES) - 1)],
        "turn": rng.geometric(0.7, votes).astype(np.int32),
        "is_code": rng.random(votes) < 0.2,
    }
    for name, (column, _, _) in COUNTS.items():
        for side, values in zip("ab", counts[name], strict=True):
            columns[column.format(side)] = values.astype(np.int32)
    return pd.DataFrame(columns)


def _pairs(popularity_M: np.ndarray, votes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    share_M = popularity_M / popularity_M.sum()
    first_B, second_B = rng.choice(len(share_M), (2, votes), p=share_M)
    while (same := first_B == second_B).any():
        second_B[same] = rng.choice(len(share_M), same.sum(), p=share_M)
    return first_B, second_B
