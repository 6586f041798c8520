"""Other prompts like these: rounds of the bootstrap, the same ones for every proxy, and what they say of a figure.

Row 0 of the weights is what was seen, with each prompt once; the other rows draw prompts with replacement. A figure's
interval is its rounds, moved to the figure (`stats/quality.py`). The difference of two proxies is taken round by round,
so that what their prompts have in common cancels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from palaestra.schema.record import Struct
from palaestra.stats.quality import recentred

Floats = NDArray[np.float64]
Side = Literal["human", "correctness", "pairs"]

SIGNED = frozenset({"agreement", "spearman", "kendall", "row_pearson"})
"""Metrics from -1 to 1; the others go from 0 to 1."""
LESS_IS_BETTER = frozenset({"brier", "loss"})


class Figure(Struct):
    """One metric of one proxy in one domain, with its interval and how far it is from the first proxy's."""

    side: Side
    domain: str
    metric: str
    proxy: str
    value: float | None
    """None where it is not defined."""
    lower: float | None
    upper: float | None
    gap: float | None = None
    """This proxy's minus the first one's."""
    gap_lower: float | None = None
    gap_upper: float | None = None
    count: int
    """The pairs, or the prompts, that it comes from."""


def prompt_weights(prompts: int, rounds: int, seed: int) -> Floats:
    """How often each prompt is there, shape (1 + R, P): ones first, then draws with replacement."""
    drawn = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=rounds)
    return np.vstack([np.ones(prompts), drawn.astype(float)])


def mean_by_rounds(value_P: Floats, weight_RP: Floats, share_P: Floats | None = None) -> Floats:
    """Weighted means, shape (R,); prompts whose value is NaN are left out.

    Args:
        value_P: the value of each prompt.
        weight_RP: how often each is there.
        share_P: what each counts, one if not given.
    """
    known_P = ~np.isnan(value_P)
    counts_RP = weight_RP[:, known_P] * (1.0 if share_P is None else share_P[known_P])
    total_R = counts_RP.sum(axis=1)
    return counts_RP @ value_P[known_P] / np.where(total_R > 0, total_R, np.nan)


def figures(
    side: Side, domain: str, rounds: Mapping[str, Mapping[str, Floats]], counts: Mapping[str, int], confidence: float
) -> list[Figure]:
    """Figures of all proxies.

    Args:
        side: whose metrics these are.
        domain: of which prompts.
        rounds: by proxy and metric, the value and then its rounds, shape (1 + R,).
        counts: what each metric comes from.
        confidence: of the intervals.
    """
    first = next(iter(rounds.values()), {})
    return [
        _figure(side, domain, metric, proxy, values_R, first.get(metric), counts[metric], confidence)
        for proxy, metrics in rounds.items()
        for metric, values_R in metrics.items()
    ]


def _figure(  # noqa: PLR0917 - one row, spelled out
    side: Side,
    domain: str,
    metric: str,
    proxy: str,
    values_R: Floats,
    first_R: Floats | None,
    count: int,
    confidence: float,
) -> Figure:
    value = float(values_R[0])
    ends = recentred(value, values_R[1:], confidence, signed=metric in SIGNED)
    gap = (None, None, None) if first_R is None or first_R is values_R else _gap(values_R - first_R, confidence)
    return Figure(
        side=side,
        domain=domain,
        metric=metric,
        proxy=proxy,
        value=number(value),
        lower=number(ends[0]),
        upper=number(ends[1]),
        gap=gap[0],
        gap_lower=gap[1],
        gap_upper=gap[2],
        count=count,
    )


def _gap(gap_R: Floats, confidence: float) -> tuple[float | None, float | None, float | None]:
    drawn_R = gap_R[1:][~np.isnan(gap_R[1:])]
    if np.isnan(gap_R[0]) or not len(drawn_R):
        return None, None, None
    low, high = np.quantile(drawn_R - drawn_R.mean(), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(gap_R[0]), float(gap_R[0] + min(low, 0.0)), float(gap_R[0] + max(high, 0.0))


def number(value: float) -> float | None:
    """A number, or None for NaN."""
    return None if np.isnan(value) else float(value)
