"""How sure a reward is: refits on resampled prompts.

Prompts are weighted instead of drawn (the Bayesian bootstrap of Rubin, 1981): all preferences on one prompt share an
exponential weight. The ridge stays what it is. Intervals of style coefficients come from all rounds, Student's t at
their standard deviation; the first few rounds are kept as members of an ensemble, whose standard deviation at a reply
is the spread of its score (Lakshminarayanan, Pritzel and Blundell, 2017, who train them from different starts).

Members are centred at the replies that they were trained on: a level that all rewards share has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import stdtrit

from palaestra.rewards.comparisons import Floats
from palaestra.rewards.head import Design, Fit, fit_path
from palaestra.rewards.likelihood import Likelihood


class StyleEffect(BaseModel):
    """A coefficient of style: log-odds for one more in log(1 + count), and for a standard deviation of differences."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    lower: float
    upper: float
    per_deviation: float
    left_out: bool


def resampled(
    likelihood: Likelihood,
    design: Design,
    fit: Fit,
    *,
    rounds: int,
    seed: int,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Fit]:
    """Refits under the fit's ridge, each on other weights of the prompts."""
    these = likelihood.comparisons
    found = []
    for number in range(rounds):
        weight_G = np.random.default_rng([seed, number]).exponential(size=these.clusters)
        weight_Q = these.weight_Q * weight_G[these.cluster_Q]
        found += fit_path(likelihood, design, [fit.ridge], weight_Q, start=fit, exact=False)
        tell(number + 1, rounds)
    return found


def style_effects(design: Design, fit: Fit, rounds: list[Fit], confidence: float) -> tuple[StyleEffect, ...]:
    """What style is worth, with all that the vectors know of it counted as style."""
    if not design.styles:
        return ()
    size = design.styles
    drawn_RS = np.stack([one.coefficient_C[:size] for one in rounds])
    half_S = float(stdtrit(len(rounds) - 1, 0.5 + confidence / 2)) * drawn_RS.std(axis=0, ddof=1)
    deviation_S = np.sqrt(2 * design.style_variance_S)
    return tuple(
        StyleEffect(
            name=name,
            value=float(value),
            lower=float(value - half),
            upper=float(value + half),
            per_deviation=float(value * deviation),
            left_out=place < design.style.left_out,
        )
        for place, (name, value, half, deviation) in enumerate(
            zip(design.style.names, fit.coefficient_C, half_S, deviation_S, strict=False)
        )
    )


def spread(score_RN: Floats) -> Floats:
    """The standard deviation of members' scores of each reply, shape (N,)."""
    return score_RN.std(axis=0, ddof=1)
