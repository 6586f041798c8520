"""The mixture that a law foretells to be best, within bounds, and whether it is surely better than all domains alike.

The target is the mean over scored domains, the worst of them, or weights. It is looked for over points that fill the
bounds, and from the best of these by sequential quadratic programming (Kraft, 1988); the worst of several is made
smooth by a bound on all (epigraph form). How sure that is comes from `spread.py`, over all points looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palaestra.errors import InputError
from palaestra.posttrain.mixture.law import Law, Measure
from palaestra.posttrain.mixture.simplex import Bounds, Floats, filling, nearest, uniform
from palaestra.posttrain.mixture.spread import Rounds, band

Goal = Literal["mean", "worst"]

_POINTS, _POINTS_AT_ONCE = 1024, 64
_STARTS = 4
_NEAR = 0.05
"""How far points around the best one lie from it."""
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be made good, of the values of scored domains.

    Args:
        measure: whether values are losses or scores.
        goal: the mean over domains, or the worst of them.
        weight_S: of the mean; all alike if left out.
    """

    measure: Measure
    goal: Goal = "mean"
    weight_S: Floats | None = None

    @property
    def sign(self) -> float:
        """What makes more of it better."""
        return -1.0 if self.measure == "loss" else 1.0

    def value(self, value_S: Floats) -> Floats:
        """The target of values (..., S), in their own units, shape (...)."""
        if self.goal == "worst":
            return self.sign * (self.sign * value_S).min(axis=-1)
        weight_S = np.ones(value_S.shape[-1]) if self.weight_S is None else self.weight_S
        return value_S @ (weight_S / weight_S.sum())


def target_of(measure: Measure, goal: str, weights: Mapping[str, float], scored: Sequence[str]) -> Target:
    """The target with weights by name.

    Raises:
        InputError: a weight is of no scored domain, or below nought, or all are nought; or weights with `worst`.
    """
    if not weights:
        return Target(measure, "worst" if goal == "worst" else "mean")
    if goal == "worst":
        raise InputError("found weights with the target worst, expected them with mean")
    if unknown := sorted(set(weights) - set(scored)):
        raise InputError(f"found a weight of {', '.join(unknown)}; expected domains among {', '.join(scored)}")
    if min(weights.values()) < 0 or not sum(weights.values()):
        raise InputError(f"found the weights {dict(weights)}; expected none below 0 and one above")
    return Target(measure, "mean", np.array([weights.get(name, 0.0) for name in scored]))


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Best:
    """The mixture that is foretold to be best."""

    weight_D: Floats
    weights: tuple[Interval, ...]
    """By domain, with the spread of the best mixtures of the rounds."""
    target: Interval
    """In the units of scores, over all mixtures looked at."""
    uniform: float
    """What is foretold of all domains alike."""
    gain: Interval
    """How much better than that; more is better, for losses too."""
    surely_better: bool


def best_mixture(
    rounds: Rounds, target: Target, bounds: Bounds, tokens: float, *, confidence: float, seed: int
) -> Best:
    """Find the best mixture of a law, and how sure that is.

    Args:
        rounds: the law and its refits.
        target: what is to be good.
        bounds: of each weight.
        tokens: of a run.
        confidence: of intervals.
        seed: of the points looked at.
    """
    law = rounds.law
    domains = len(bounds.least_D)
    point_ND = _points(bounds, seed)
    at_N = target.sign * target.value(law.predict(point_ND, tokens))
    starts = [point_ND[place] for place in np.argsort(-at_N, kind="stable")[:_STARTS]]
    found = [_climbed(law, target, bounds, tokens, start_D) for start_D in starts]
    best_D = max([starts[0], *found], key=lambda weight_D: _good(law, target, weight_D, tokens))
    around_ND = nearest(best_D + _NEAR * np.random.default_rng(seed).normal(size=(_POINTS_AT_ONCE, domains)), bounds)
    point_ND = np.vstack([best_D[None], uniform(domains)[None], point_ND, around_ND])
    value_N = target.value(law.predict(point_ND, tokens))
    value_BN = np.concatenate([target.value(rounds_at) for rounds_at in _in_parts(rounds, point_ND, tokens)], axis=1)
    gain_N, gain_BN = (target.sign * (each - each[..., 1:2]) for each in (value_N, value_BN))
    allowed = np.r_[True, bool(_within(uniform(domains), bounds)), np.ones(len(point_ND) - 2, dtype=bool)]
    chosen_B = np.where(allowed, gain_BN, -np.inf).argmax(axis=1)
    edges_2D = np.quantile(point_ND[chosen_B], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    level = band(value_N, value_BN, confidence, rounds.freedom)
    gain = band(gain_N, gain_BN, confidence, rounds.freedom)
    return Best(
        weight_D=best_D,
        weights=tuple(
            Interval(float(weight), float(min(low, weight)), float(max(high, weight)))
            for weight, low, high in zip(best_D, *edges_2D, strict=True)
        ),
        target=Interval(float(value_N[0]), float(level.lower[0]), float(level.upper[0])),
        uniform=float(value_N[1]),
        gain=Interval(float(gain_N[0]), float(gain.lower[0]), float(gain.upper[0])),
        surely_better=bool(gain.lower[0] > 0),
    )


def _points(bounds: Bounds, seed: int) -> Floats:
    """The centre, corners, and points that fill the bounds."""
    domains = len(bounds.least_D)
    room = 1 - bounds.least_D.sum()
    inside_ND = np.vstack([uniform(domains)[None], np.eye(domains), filling(domains, _POINTS, seed)])
    return nearest(bounds.least_D + room * inside_ND, bounds)


def _in_parts(rounds: Rounds, point_ND: Floats, tokens: float) -> list[Floats]:
    """Values of all rounds, part by part: 24 domains with their squares would not fit at once."""
    return [
        rounds.predict(point_ND[first : first + _POINTS_AT_ONCE], tokens)
        for first in range(0, len(point_ND), _POINTS_AT_ONCE)
    ]


def _within(weight_D: Floats, bounds: Bounds) -> bool:
    return bool(((weight_D >= bounds.least_D - _SAME) & (weight_D <= bounds.most_D + _SAME)).all())


def _good(law: Law, target: Target, weight_D: Floats, tokens: float) -> float:
    return float(target.sign * target.value(law.predict(weight_D[None], tokens))[0])


def _climbed(law: Law, target: Target, bounds: Bounds, tokens: float, start_D: Floats) -> Floats:
    """From a start to the best mixture nearby."""
    from scipy.optimize import minimize

    def values(weight_D: Floats) -> Floats:
        return target.sign * law.predict(weight_D[None], tokens)[0]

    box = list(zip(bounds.least_D, bounds.most_D, strict=True))
    one = {"type": "eq", "fun": lambda x: x[: len(start_D)].sum() - 1}
    scale = float(np.abs(values(start_D)).max()) or 1.0
    if target.goal == "worst":
        above = {"type": "ineq", "fun": lambda x: values(x[:-1]) / scale - x[-1]}
        start = np.append(start_D, values(start_D).min() / scale)
        found = minimize(
            lambda x: -x[-1], start, method="SLSQP", bounds=[*box, (None, None)], constraints=[one, above]
        ).x[:-1]
    else:
        found = minimize(
            lambda x: -_good(law, target, x, tokens) / scale, start_D, method="SLSQP", bounds=box, constraints=[one]
        ).x
    return nearest(found[None], bounds)[0] if np.isfinite(found).all() else start_D
