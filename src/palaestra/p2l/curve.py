"""What quality costs: a router under every budget, against drawing models blindly at the same cost.

The blind rival knows how good each model is on the whole, and mixes the two that are best for the money, on every
prompt alike: the upper hull of mean costs and mean qualities. What a router gains over it, it gains by reading the
prompt. Where outcomes are known (who was right on which prompt), quality is what they say, and the gain has an interval
over prompts; else it is the expected score.

The gap between the cheapest and the best model that a router recovers is averaged over budgets, as Ong et al.,
*RouteLLM* (2024), do it (APGR).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from palaestra.errors import InputError
from palaestra.p2l.budget import spread
from palaestra.p2l.hull import Hulls, at_budget, upper_hulls
from palaestra.p2l.router import Outlook
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]
POINTS = 21
_TIE = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over prompts, and its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One budget. `cost` is what a call costs on average, `price` the value that the last money bought."""

    cost: float
    quality: Measured
    blind: Measured
    gain: Measured
    price: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Budgets from the cheapest model on every prompt to the best one on each; `models` are single models.

    `gain` is the mean of the points' gains, `recovered` the mean share of the gap between the cheapest model and the
    one that is best on the whole. `realised` says whether quality is what came out, or what is expected.
    """

    points: tuple[CurvePoint, ...]
    models: dict[str, tuple[float, Measured]]
    gain: Measured
    recovered: float | None
    blind_recovered: float | None
    realised: bool
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def curve(
    outlook: Outlook,
    models: tuple[str, ...],
    quality_PM: Floats | None = None,
    *,
    points: int = POINTS,
    confidence: float = 0.95,
) -> Curve:
    """The curve of a set of prompts.

    Args:
        outlook: of the prompts, by which the router decides.
        models: the routed models.
        quality_PM: what came out, if it is known; higher is better.
        points: budgets, evenly spread.
        confidence: of intervals over prompts.

    Raises:
        InputError: fewer than two prompts, or money buys nothing (`has_room`).
    """
    prompts = len(outlook.value_PM)
    truth_PM = outlook.value_PM if quality_PM is None else quality_PM
    hulls, single_M = upper_hulls(outlook.cost_PM, outlook.value_PM), outlook.cost_PM.mean(axis=0)
    blind = upper_hulls(single_M, truth_PM.mean(axis=0, keepdims=True))
    low, high = _ends(hulls, blind)
    if prompts < 2 or not high > low:  # noqa: PLR2004 - an interval needs two
        raise InputError(f"found {prompts} prompts and budgets from {low:.6g} to {high:.6g}, expected room for a curve")
    drawn, gains = [], []
    for budget in np.linspace(low, high, points):
        bought = spread(hulls, float(budget) * prompts * (1 + 1e-12))
        routed_P = (bought.mixtures.chances(len(models)) * truth_PM).sum(axis=1)
        rival_M = at_budget(blind, max(float(bought.mixtures.cost_P.mean()), blind.cost_PK[0, 0])).chances(len(models))[
            0
        ]
        rival_P = truth_PM @ rival_M
        gains.append(routed_P - rival_P)
        measured = (_mean(one, confidence) for one in (routed_P, rival_P, routed_P - rival_P))
        drawn.append(CurvePoint(float(bought.mixtures.cost_P.mean()), *measured, bought.price))
    return Curve(
        points=tuple(drawn),
        models={name: (float(single_M[m]), _mean(truth_PM[:, m], confidence)) for m, name in enumerate(models)},
        gain=_mean(np.mean(gains, axis=0), confidence),
        recovered=_recovered([point.quality.value for point in drawn], blind),
        blind_recovered=_recovered([point.blind.value for point in drawn], blind),
        realised=quality_PM is not None,
        confidence=confidence,
    )


def has_room(outlook: Outlook, quality_PM: Floats | None = None) -> bool:
    """Whether there is a curve to draw: two prompts, and a cost at which more quality is bought than by the cheapest.

    There is none where all models cost the same, nor where the cheapest is the best on each prompt and on the whole.
    """
    truth_PM = outlook.value_PM if quality_PM is None else quality_PM
    hulls = upper_hulls(outlook.cost_PM, outlook.value_PM)
    low, high = _ends(hulls, upper_hulls(outlook.cost_PM.mean(axis=0), truth_PM.mean(axis=0, keepdims=True)))
    return len(truth_PM) > 1 and high > low


def _ends(hulls: Hulls, blind: Hulls) -> tuple[float, float]:
    """The least and the greatest mean cost of a call that make a difference."""
    low = max(float(hulls.cost_PK[:, 0].mean()), float(blind.cost_PK[0, 0]))
    return low, max(float(at_budget(hulls, None).cost_P.mean()), float(at_budget(blind, None).cost_P[0]))


def outcomes_of(votes: PromptedVotes, models: tuple[str, ...]) -> Floats:
    """Who was right on which prompt, from the votes that a table of outcomes is read as; P by M, 0 to 1.

    A prompt that stands in the table several times counts with its mean.

    Raises:
        InputError: a model without an outcome on a prompt; both are named.
    """
    place = {name: number for number, name in enumerate(votes.models)}
    if missing := [name for name in models if name not in place]:
        raise InputError(f"found no outcomes of {missing[0]!r}, expected a column of each of {', '.join(models)}")
    right_PM, seen_PM = np.zeros((2, len(votes.prompts), len(votes.models)))
    for side_B, wins in ((votes.first_B, 0), (votes.second_B, 1)):
        np.add.at(right_PM, (votes.prompt_B, side_B), np.isin(votes.outcome_B, (wins, _TIE)))
        np.add.at(seen_PM, (votes.prompt_B, side_B), 1.0)
    columns = [place[name] for name in models]
    right_PM, seen_PM = right_PM[:, columns], seen_PM[:, columns]
    if (seen_PM == 0).any():
        prompt, model = np.argwhere(seen_PM == 0)[0]
        raise InputError(
            f"found no outcome of {models[model]!r} on {votes.prompts[prompt]!r:.60}, expected one of each model on "
            "each prompt"
        )
    return right_PM / seen_PM


def _mean(one_P: Floats, confidence: float) -> Measured:
    mean, half = float(one_P.mean()), float(ndtri((1 + confidence) / 2) * one_P.std(ddof=1) / np.sqrt(len(one_P)))
    return Measured(mean, mean - half, mean + half)


def _recovered(quality: list[float], blind: Hulls) -> float | None:
    worst, best = blind.value_PK[0, 0], blind.value_PK[0, blind.corners_P[0] - 1]
    return float(np.mean((np.array(quality) - worst) / (best - worst))) if best > worst else None
