"""arena-rank 0.1.1 as a contestant, by its own public functions; runs in an environment of its own.

Its bootstrap is not run: it forks after JAX has started threads, and was found to hang.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from arena_rank.models.bradley_terry import BradleyTerry  # ty: ignore[import-not-found]
from arena_rank.models.contextual_bradley_terry import ContextualBradleyTerry  # ty: ignore[import-not-found]
from arena_rank.utils.data_utils import ContextualPairDataset, PairDataset  # ty: ignore[import-not-found]
from measure import STYLE, contestant, features

SCORES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "both_bad": 0.5}
COLUMNS = {"competitor_cols": ["model_a", "model_b"], "outcome_col": "winner", "outcome_map": SCORES}


def bt(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Bradley-Terry with its sandwich."""

    def call() -> dict[str, Any]:
        data = PairDataset.from_pandas(frame, **COLUMNS)
        found = BradleyTerry(n_competitors=len(data.competitors)).compute_ratings_and_cis(data, significance_level=0.05)
        return lines(found)

    return call


def style(frame: pd.DataFrame, **settings: Any) -> Callable[[], dict[str, Any]]:
    """Style control with its sandwich; `reg` is its ridge, 1.0 by default."""
    frame = features(frame)

    def call() -> dict[str, Any]:
        data = ContextualPairDataset.from_pandas(
            frame, **COLUMNS, feature_cols=list(STYLE), reweighted="reg" not in settings
        )
        model = ContextualBradleyTerry(n_competitors=len(data.competitors), n_features=len(STYLE), **settings)
        return lines(model.compute_ratings_and_cis(data, significance_level=0.05))

    return call


def lines(found: dict[str, Any]) -> dict[str, Any]:
    """Rating and standard error of each model, and the coefficients."""
    names = [str(name) for name in found["competitors"]]
    errors = [float(value) ** 0.5 for value in found["variances"]]
    ratings = [float(value) for value in found["ratings"]]
    effects = [float(value) for value in found.get("coeffs", [])]
    return {"lines": dict(zip(names, zip(ratings, errors, strict=True), strict=True)), "effects": effects}


contestant({"bt": bt, "style": style, "style-matched": lambda frame: style(frame, reg=1e-9)})
