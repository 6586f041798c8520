"""A finding of an audit: one figure of one judge, its interval, what it would be of a judge without fault, and words.

Not here: how figures are measured (`position.py`, `bias.py` and their neighbours).
"""

from __future__ import annotations

from typing import Literal

from palaestra.schema.record import Struct
from palaestra.stats.clustered import Estimate

Unit = Literal["share", "percentage points", "log odds", "points", "kappa", "alpha"]
Holds = Literal["above", "below", "within", "unknown"]

_SIGNED = ("log odds", "points")


class Finding(Struct):
    """One figure of one judge."""

    judge: str
    audit: str
    """Which audit it belongs to, as `position bias`."""
    figure: str
    """What is measured, as `log odds of A`."""
    value: float
    lower: float | None = None
    """None where a single question stands behind the figure, or where the figure has no interval."""
    upper: float | None = None
    unit: Unit
    null: float | None = None
    """What a judge without this fault would have; None where there is no such number."""
    holds: Holds = "unknown"
    """Where the interval lies, seen from there."""
    rows: int
    """How many comparisons stand behind it."""
    questions: int
    words: str
    """The figure in a sentence."""


def finding(
    judge: str,
    audit: str,
    figure: str,
    estimate: Estimate,
    unit: Unit,
    *,
    null: float | None = None,
    above: str = "",
    below: str = "",
    within: str = "",
    plain: str = "",
) -> Finding:
    """A finding with the words that its interval deserves.

    Args:
        judge: whose.
        audit: which audit.
        figure: what is measured.
        estimate: the figure.
        unit: of the figure.
        null: what it would be without fault.
        above: said where the whole interval is above that.
        below: where it is below.
        within: where it holds it.
        plain: where there is nothing to compare with, or no interval.
    """
    holds = place(estimate, null)
    said = {"above": above, "below": below, "within": within, "unknown": plain}[holds] or plain or within
    shown = written(estimate.value, estimate.lower, estimate.upper, unit)
    return Finding(
        judge=judge,
        audit=audit,
        figure=figure,
        value=estimate.value,
        lower=estimate.lower,
        upper=estimate.upper,
        unit=unit,
        null=null,
        holds=holds,
        rows=estimate.rows,
        questions=estimate.clusters,
        words=f"{audit}: {said or figure}, {shown}",
    )


def place(estimate: Estimate, null: float | None) -> Holds:
    """Where an interval lies, seen from a number."""
    if null is None or estimate.lower is None or estimate.upper is None:
        return "unknown"
    return "above" if estimate.lower > null else ("below" if estimate.upper < null else "within")


def written(value: float, lower: float | None, upper: float | None, unit: Unit) -> str:
    """A figure with its interval."""
    if unit == "percentage points":
        bounds = "" if lower is None or upper is None else f" [{100 * lower:+.1f}, {100 * upper:+.1f}]"
        return f"{100 * value:+.1f} {unit}{bounds}"
    if unit == "share":
        return f"{value:.1%}" + ("" if lower is None or upper is None else f" [{lower:.1%}, {upper:.1%}]")
    sign = "+" if unit in _SIGNED else ""
    bounds = "" if lower is None or upper is None else f" [{lower:{sign}.2f}, {upper:{sign}.2f}]"
    return f"{value:{sign}.2f} {unit}{bounds}"
