"""What the reader of a forecast has to know: few models, rare benchmarks, results beyond all that was seen, drift."""

from __future__ import annotations

import numpy as np

from palaestra.judge.equating import Equating
from palaestra.judge.forecast_methods import JointFit, Method, Prior
from palaestra.judge.forecast_rows import Rated, Rows
from palaestra.judge.forecast_tables import Ratings

_FEW = 15
_SHOWN = 5
_CLEAR = 3.0
"""Standard errors; a drift below is not told from chance."""
_STRETCH = 0.1
_NEW_SHARE = 3


def board_warnings(rated: Rated, board: Ratings, method: Method, prior: Prior) -> list[str]:
    """Of the rated models as a whole."""
    found = []
    if len(rated.rating_M) < _FEW:
        found.append(
            f"only {len(rated.rating_M)} rated models have results: intervals rest on the prior as much as on them"
        )
    if not board.se_M.any():
        found.append("the board has no standard errors: its ratings are taken as exact")
    aside = [name for name, use in zip(rated.benchmarks, rated.useful_K, strict=True) if not use]
    if aside:
        found.append(f"left aside, as too few rated models differ there: {_listed(aside)}")
    if method == "joint" and not rated.dated:
        found.append("no dates: that newer models score otherwise at the same rating can be neither seen nor followed")
    if method == "joint_without_date" and rated.dated:
        found += _newest(rated, prior)
    return found


def model_warnings(rated: Rated, new: Rows, row: int) -> list[str]:
    """Of one new model: results outside of what rated models have, and benchmarks that few of them have."""
    value_MK, new_K = rated.rows.value_MK, new.value_MK[row]
    seen_MK, use_K = np.isfinite(value_MK), rated.useful_K & np.isfinite(new_K)
    low_K = np.where(seen_MK, value_MK, np.inf).min(axis=0)
    high_K = np.where(seen_MK, value_MK, -np.inf).max(axis=0)
    found = []
    for side, beyond_K in (("above", new_K > high_K), ("below", new_K < low_K)):
        names = [rated.benchmarks[column] for column in np.flatnonzero(use_K & beyond_K)]
        if names:
            found.append(f"extrapolated: {side} all rated models on {_listed(names)}")
    rare_K = use_K & (seen_MK.sum(axis=0) < len(value_MK) / 2)
    if (use_K == rare_K).all():
        names = [rated.benchmarks[column] for column in np.flatnonzero(rare_K)]
        found.append(f"all its results are on benchmarks that most rated models lack: {_listed(names)}")
    if rated.dated and not np.isfinite(new.year_M[row]):
        found.append("no date, though the rated models have one")
    return found


def drift_warning(since: Equating) -> list[str]:
    """Of the board's scale then and now."""
    error = max(since.scatter, 1e-9) / since.shared**0.5
    if abs(since.shift) <= _CLEAR * error and abs(since.slope - 1) <= _STRETCH:
        return []
    said = (
        f"the board's scale has changed: {since.shared} shared models moved by {since.shift:+.0f} points on average, "
        f"and their spread by a factor of {since.slope:.2f}; forecasts are on the scale of the board that was given"
    )
    return [said]


def _newest(rated: Rated, prior: Prior) -> list[str]:
    """Do the newest models lie above or below what the older ones say of them?"""
    error_M = JointFit(rated, prior, dated=False).left_out_errors(rated)
    known = np.flatnonzero(np.isfinite(rated.rows.year_M))
    newest = known[np.argsort(rated.rows.year_M[known], kind="stable")][-max(len(known) // _NEW_SHARE, 2) :]
    mean, error = float(error_M[newest].mean()), float(error_M[newest].std(ddof=1)) / len(newest) ** 0.5
    if abs(mean) <= _CLEAR * max(error, 1e-9):
        return []
    side = "above" if mean > 0 else "below"
    return [f"drift: the newest {len(newest)} rated models lie {side} what their results say; use the date"]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
