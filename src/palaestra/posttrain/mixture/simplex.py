"""Points of the simplex: weights of domains that are not negative and sum to one.

Not here: which of them are run (`design.py`), which is best (`best.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError

Floats = NDArray[np.float64]

_HALVINGS = 80
"""Bisection leaves an error of 2^-80 of where it began."""
_SMALL = 1e-12


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each weight may be.

    Raises:
        InputError: no point of the simplex is within them.
    """

    least_D: Floats
    most_D: Floats

    def __post_init__(self) -> None:
        if (self.least_D < 0).any() or (self.most_D > 1).any() or (self.least_D > self.most_D).any():
            raise InputError("found bounds outside 0 to 1, or a least above its most; expected 0 <= least <= most <= 1")
        if self.least_D.sum() > 1 + _SMALL or self.most_D.sum() < 1 - _SMALL:
            raise InputError(
                f"found bounds whose least weights sum to {self.least_D.sum():g} and whose most to "
                f"{self.most_D.sum():g}; expected at most 1 and at least 1"
            )

    @classmethod
    def none(cls, domains: int) -> Bounds:
        """From 0 to 1 for each."""
        return cls(np.zeros(domains), np.ones(domains))


def uniform(domains: int) -> Floats:
    """The centre."""
    return np.full(domains, 1 / domains)


def without(domains: int, left_out: int) -> Floats:
    """One domain left out, all others alike."""
    weight_D = np.full(domains, 1 / (domains - 1))
    weight_D[left_out] = 0.0
    return weight_D


def alone(domains: int, one: int) -> Floats:
    """One domain and nothing else: a corner."""
    return np.eye(domains)[one]


def doubled(domains: int, one: int) -> Floats:
    """One domain with twice the weight of each other."""
    weight_D = np.ones(domains)
    weight_D[one] = 2.0
    return weight_D / weight_D.sum()


def filling(domains: int, points: int, seed: int) -> Floats:
    """Points that fill the simplex evenly, shape (N, D).

    A scrambled Sobol sequence (Sobol, 1967; Owen, 1998), whose coordinates become exponential and are divided by their
    sum: that is uniform on the simplex.
    """
    from scipy.stats import qmc

    if not points:
        return np.empty((0, domains))
    sequence = qmc.Sobol(domains, scramble=True, rng=np.random.default_rng(seed))
    unit_ND = sequence.random_base2(int(np.ceil(np.log2(max(points, 2)))))[:points]
    exponential_ND = -np.log(np.clip(unit_ND, _SMALL, 1 - _SMALL))
    return exponential_ND / exponential_ND.sum(axis=1, keepdims=True)


def nearest(point_ND: Floats, bounds: Bounds) -> Floats:
    """The nearest points within the bounds that sum to one: clip(x - t) with the t that makes it so, by bisection."""
    low_N = (point_ND - bounds.most_D).min(axis=1)
    high_N = (point_ND - bounds.least_D).max(axis=1)
    for _ in range(_HALVINGS):
        middle_N = (low_N + high_N) / 2
        over_N = np.clip(point_ND - middle_N[:, None], bounds.least_D, bounds.most_D).sum(axis=1) > 1
        low_N, high_N = np.where(over_N, middle_N, low_N), np.where(over_N, high_N, middle_N)
    return np.clip(point_ND - high_N[:, None], bounds.least_D, bounds.most_D)
