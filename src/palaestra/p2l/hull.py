"""What can be bought: for each prompt, the best value at every cost, from the models that are there.

A router draws model i with probability pi_i: it maximises value'pi subject to cost'pi <= C, sum pi = 1, pi >= 0 (Frick
et al., *Prompt-to-leaderboard*, 2025). Every pi is a point in the convex hull of the points (cost_i, value_i), so that
the best ones lie on its upper edge, from the cheapest model up to the best: at most two models, neighbours on the edge,
are mixed. The edge holds the answer for every budget at once, and no solver is needed.

Not here: where values and costs come from (`router.py`, `costs.py`), one budget for many prompts (`budget.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palaestra.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

_STEPS = 4
"""So often a share is taken down by its last digit, before the cheaper model alone is taken."""


@dataclass(frozen=True, slots=True)
class Hulls:
    """The upper edges for P prompts, each with its corners from the cheapest model to the best, K at most.

    Costs and values of corners rise, the slope from one to the next falls. Beyond a prompt's last corner stand -1 and
    infinity.
    """

    model_PK: Integers
    cost_PK: Floats
    value_PK: Floats
    corners_P: Integers

    def __len__(self) -> int:
        """The number of prompts."""
        return len(self.model_PK)


@dataclass(frozen=True, slots=True)
class Mixtures:
    """For P prompts, one model, or two of which the second is drawn with probability `share_P`."""

    low_P: Integers
    high_P: Integers
    share_P: Floats
    low_cost_P: Floats
    high_cost_P: Floats
    low_value_P: Floats
    high_value_P: Floats

    @property
    def cost_P(self) -> Floats:
        """Expected cost."""
        return _between(self.low_cost_P, self.high_cost_P, self.share_P)

    @property
    def value_P(self) -> Floats:
        """Expected value."""
        return _between(self.low_value_P, self.high_value_P, self.share_P)

    @property
    def mixed_P(self) -> NDArray[np.bool_]:
        """Whether chance decides."""
        return (self.share_P > 0) & (self.share_P < 1)

    def chances(self, models: int) -> Floats:
        """The probability of each model, P by M."""
        chance_PM = np.zeros((len(self.low_P), models))
        rows = np.arange(len(self.low_P))
        np.add.at(chance_PM, (rows, self.low_P), 1 - self.share_P)
        np.add.at(chance_PM, (rows, self.high_P), self.share_P)
        return chance_PM

    def whole(self) -> Mixtures:
        """The same, with every mixture rounded down to its cheaper model: what is spent then depends on no chance."""
        return replace(self, share_P=np.floor(self.share_P))

    def renamed(self, model_M: NDArray[np.integer]) -> Mixtures:
        """The same, where model number i is called `model_M[i]`."""
        return replace(self, low_P=model_M[self.low_P], high_P=model_M[self.high_P])

    def draw(self, seed: int) -> Integers:
        """One model for each prompt."""
        drawn_P = np.random.default_rng(seed).random(len(self.share_P)) < self.share_P
        return np.where(drawn_P, self.high_P, self.low_P)


def upper_hulls(cost: ArrayLike, value: ArrayLike, allowed: ArrayLike | None = None) -> Hulls:
    """The upper edges.

    A walk along each edge, all prompts at once: from the cheapest model (the best of them, where several cost the
    same), step by step to the dearer model to which value rises most for the money.

    Args:
        cost: costs of calls, P by M, or M where they are the same for all prompts.
        value: what is maximised, P by M.
        allowed: which models may be taken, P by M or M; all, if None.

    Raises:
        InputError: a cost or value is no finite number, a cost is negative, or a prompt has no model.
    """
    value_PM = np.atleast_2d(np.asarray(value, dtype=float))
    cost_PM = np.broadcast_to(np.asarray(cost, dtype=float), value_PM.shape)
    allowed_PM = np.broadcast_to(True if allowed is None else np.asarray(allowed, dtype=bool), value_PM.shape)
    _check(cost_PM, value_PM, allowed_PM)
    cost_PM, value_PM = np.where(allowed_PM, cost_PM, np.inf), np.where(allowed_PM, value_PM, -np.inf)
    rows = np.arange(len(value_PM))
    least_P = cost_PM.min(axis=1)
    at_P = np.where(cost_PM == least_P[:, None], value_PM, -np.inf).argmax(axis=1)
    corners: list[Integers] = [at_P.astype(np.int32)]
    going_P = np.ones(len(rows), dtype=bool)
    while True:
        dearer_PM = cost_PM - cost_PM[rows, at_P][:, None]
        better_PM = value_PM - value_PM[rows, at_P][:, None]
        onward_PM = (dearer_PM > 0) & (better_PM > 0) & allowed_PM
        going_P = going_P & onward_PM.any(axis=1)
        if not going_P.any():
            break
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope_PM = np.where(onward_PM, better_PM / dearer_PM, -np.inf)
        steepest_PM = onward_PM & (slope_PM == slope_PM.max(axis=1)[:, None])
        next_P = np.where(steepest_PM, value_PM, -np.inf).argmax(axis=1)  # the furthest, where several are in line
        at_P = np.where(going_P, next_P, at_P)
        corners.append(np.where(going_P, next_P, -1).astype(np.int32))
    model_PK = np.stack(corners, axis=1)
    there_PK = model_PK >= 0
    picked = (rows[:, None], np.maximum(model_PK, 0))
    return Hulls(
        model_PK,
        np.where(there_PK, cost_PM[picked], np.inf),
        np.where(there_PK, value_PM[picked], np.inf),
        there_PK.sum(axis=1).astype(np.int32),
    )


def at_budget(hulls: Hulls, budget: ArrayLike | None) -> Mixtures:
    """The best mixture whose expected cost is within the budget, for each prompt by itself.

    Args:
        hulls: the upper edges.
        budget: for a call, one number or P; None buys the best.

    Raises:
        InputError: a budget that is below the cost of the cheapest model; both are named.
    """
    rows, last_P = np.arange(len(hulls)), hulls.corners_P - 1
    if budget is None:
        return mixed(hulls, last_P, np.zeros(len(hulls)))
    budget_P = np.broadcast_to(np.asarray(budget, dtype=float), len(hulls))
    least_P = hulls.cost_PK[:, 0]
    if not np.all(budget_P >= least_P):  # so that NaN is refused too
        prompt = int(np.argmax(~(budget_P >= least_P)))
        raise InputError(
            f"found a budget of {budget_P[prompt]:.6g} for a call, but the cheapest model costs {least_P[prompt]:.6g} "
            f"on prompt {prompt + 1} ({int(np.sum(~(budget_P >= least_P)))} of {len(hulls)} prompts cannot be bought); "
            f"expected at least {least_P.max():.6g} for all of them"
        )
    there_PK = np.arange(hulls.cost_PK.shape[1]) < hulls.corners_P[:, None]  # beyond is no corner, whatever the budget
    corner_P = (there_PK & (hulls.cost_PK <= budget_P[:, None])).sum(axis=1) - 1
    higher_P = np.minimum(corner_P + 1, last_P)
    low_P, high_P = hulls.cost_PK[rows, corner_P], hulls.cost_PK[rows, higher_P]
    width_P = high_P - low_P
    share_P = np.divide(budget_P - low_P, width_P, out=np.zeros(len(hulls)), where=width_P > 0)
    return mixed(hulls, corner_P, _within(low_P, high_P, share_P, budget_P))


def at_price(hulls: Hulls, price: float) -> Mixtures:
    """The model with the greatest value - price x cost: as far along the edge as it rises faster than the price.

    With the price at which a budget for many prompts ran out (`budget.py`), later prompts of the same kind spend the
    same on average, and spend it where it does most.

    Args:
        hulls: the upper edges.
        price: value for a unit of money, 0 or more; with 0, the best model.

    Raises:
        InputError: a price that is negative or no finite number.
    """
    if not (np.isfinite(price) and price >= 0):
        raise InputError(f"found a price of {price!r}, expected a number from 0 up: value for a unit of money")
    corner_P = (slopes(hulls) > price).sum(axis=1)
    return mixed(hulls, corner_P, np.zeros(len(hulls)))


def strictly(cost: ArrayLike, value: ArrayLike, budget: ArrayLike) -> Mixtures:
    """The best single model whose cost is within the budget; the cheaper of two that are equally good.

    Args:
        cost: costs of calls, P by M or M.
        value: what is maximised, P by M.
        budget: for a call, one number or P.

    Raises:
        InputError: as for `upper_hulls`, or no model is within the budget.
    """
    value_PM = np.atleast_2d(np.asarray(value, dtype=float))
    cost_PM = np.broadcast_to(np.asarray(cost, dtype=float), value_PM.shape)
    budget_P = np.broadcast_to(np.asarray(budget, dtype=float), len(value_PM))
    hulls = upper_hulls(cost_PM, value_PM)
    at_budget(hulls, budget_P)  # refuses a budget that buys nothing
    affordable = upper_hulls(cost_PM, value_PM, cost_PM <= budget_P[:, None])
    return at_budget(affordable, None)


def mixed(hulls: Hulls, corner_P: NDArray[np.integer], share_P: Floats) -> Mixtures:
    """A corner of each prompt, mixed with the next one."""
    rows = np.arange(len(hulls))
    higher_P = np.where(share_P > 0, np.minimum(corner_P + 1, hulls.corners_P - 1), corner_P)
    low, high = (rows, corner_P), (rows, higher_P)
    return Mixtures(
        hulls.model_PK[low],
        hulls.model_PK[high],
        share_P,
        hulls.cost_PK[low],
        hulls.cost_PK[high],
        hulls.value_PK[low],
        hulls.value_PK[high],
    )


def slopes(hulls: Hulls) -> Floats:
    """Value for money from each corner to the next, P by K - 1; -infinity beyond the last corner. They never rise."""
    there_PK = np.arange(1, hulls.model_PK.shape[1]) < hulls.corners_P[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        steep_PK = np.diff(hulls.value_PK, axis=1) / np.diff(hulls.cost_PK, axis=1)
    return np.minimum.accumulate(np.where(there_PK, steep_PK, -np.inf), axis=1)


def _check(cost_PM: Floats, value_PM: Floats, allowed_PM: NDArray[np.bool_]) -> None:
    for name, table_PM in (("cost", cost_PM), ("value", value_PM)):
        wrong_PM = allowed_PM & (~np.isfinite(table_PM) | ((table_PM < 0) if name == "cost" else False))
        if wrong_PM.any():
            prompt, model = np.argwhere(wrong_PM)[0]
            least = " from 0 up" if name == "cost" else ""
            raise InputError(
                f"prompt {prompt + 1}, model {model + 1}: found the {name} {table_PM[prompt, model]!r}, "
                f"expected a finite number{least}"
            )
    if value_PM.shape[1] == 0 or not allowed_PM.any(axis=1).all():
        raise InputError("found a prompt without a model that may be taken, expected at least one")


def _between(low_P: Floats, high_P: Floats, share_P: Floats) -> Floats:
    return np.where(share_P > 0, low_P + share_P * (high_P - low_P), low_P)


def _within(low_P: Floats, high_P: Floats, share_P: Floats, budget_P: Floats) -> Floats:
    """Shares, taken down by what rounding has put above the budget."""
    for _ in range(_STEPS):
        over_P = _between(low_P, high_P, share_P) > budget_P
        if not over_P.any():
            return share_P
        share_P = np.where(over_P, np.nextafter(share_P, 0), share_P)
    return np.where(_between(low_P, high_P, share_P) > budget_P, 0.0, share_P)
