"""Evalica and scikit-learn, for orientation: points without intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import evalica
import numpy as np
import pandas as pd
from arrays import summed
from measure import STYLE, contestant, features
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.linear_model import LogisticRegression


def by_evalica(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Bradley-Terry by Newman's iterations."""
    winner = evalica.Winner
    outcomes = {"model_a": winner.X, "model_b": winner.Y, "tie": winner.Draw, "both_bad": winner.Draw}

    def call() -> dict[str, Any]:
        found = evalica.bradley_terry(
            frame["model_a"].tolist(), frame["model_b"].tolist(), [outcomes[value] for value in frame["winner"]]
        )
        return {"models": len(found.scores)}

    return call


def by_sklearn(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """A logistic regression on rows summed by pair, nearly without a penalty."""

    def call() -> dict[str, Any]:
        first, second, score, count, names = summed(frame)
        rows = np.arange(len(first))
        design = csr_matrix((np.ones(len(rows)), (rows, first)), (len(rows), len(names)))
        design = design - csr_matrix((np.ones(len(rows)), (rows, second)), (len(rows), len(names)))
        weights = np.concatenate([count * score, count * (1 - score)])
        model = LogisticRegression(C=1e6, fit_intercept=False, tol=1e-6, max_iter=200)
        keep = weights > 0
        both = np.repeat([1.0, 0.0], len(rows))
        model.fit(vstack([design, design]).tocsr()[keep], both[keep], weights[keep])
        return {"models": model.coef_.shape[1]}

    return call


def style_by_sklearn(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """A sparse logistic regression on all rows."""
    frame = features(frame)

    def call() -> dict[str, Any]:
        codes, names = pd.factorize(pd.concat([frame["model_a"], frame["model_b"]]), sort=True)
        rows = np.arange(len(frame))
        shape = (len(frame), len(names))
        design = csr_matrix((np.ones(len(rows)), (rows, codes[: len(frame)])), shape)
        design = design - csr_matrix((np.ones(len(rows)), (rows, codes[len(frame) :])), shape)
        x = frame[list(STYLE)].to_numpy()
        whole = hstack([design, csr_matrix(x / x.std(axis=0))]).tocsr()
        won = frame["winner"].map({"model_a": 1.0, "model_b": 0.0}).fillna(0.5).to_numpy()
        weights = np.concatenate([won, 1 - won])
        keep = weights > 0
        labels = np.repeat([1.0, 0.0], len(frame))
        model = LogisticRegression(C=1e6, fit_intercept=False, tol=1e-6, max_iter=200)
        model.fit(vstack([whole, whole]).tocsr()[keep], labels[keep], weights[keep])
        return {"models": model.coef_.shape[1]}

    return call


contestant({"bt-point": by_evalica, "bt-sums": by_sklearn, "style-point": style_by_sklearn})
