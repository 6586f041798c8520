"""Votes as arrays, for the contestants that have no reader of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd


def coded(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Codes of both sides, the score of side a, and the names."""
    codes, names = pd.factorize(pd.concat([frame["model_a"], frame["model_b"]]), sort=True)
    score = frame["winner"].map({"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "both_bad": 0.5}).to_numpy()
    return codes[: len(frame)], codes[len(frame) :], score, list(names)


def summed(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Rows summed by pair and outcome."""
    first, second, score, names = coded(frame)
    key = (first * len(names) + second) * 3 + (2 * score).astype(int)
    unique, count = np.unique(key, return_counts=True)
    pair, outcome = unique // 3, unique % 3
    return pair // len(names), pair % len(names), outcome / 2, count.astype(float), names
