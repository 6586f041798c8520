r"""Rewards that also count tokens, so that a model says the same in fewer, and is never paid for wrong and short.

    group        right: 1 - alpha sigmoid((n - mean n) / std n) over the right ones; wrong: nothing is taken off
                                                                          Arora and Zanette (2025)
    overlong     0 up to L - C, then a straight line down to -1 at L      soft punishment of DAPO (Yu et al., 2025)
    pass-rate    right: r - alpha (share of right ones) n / L             hard prompts are not squeezed (prime-rl)
    budget       right: r - alpha max(0, n - B) / L                       as L1 (Aggarwal and Welleck, 2025), one-sided
    exact-budget right: r - alpha |n - B| / L                             L1's exact form
    constrained  right: r - lambda n / L, lambda <- max(0, lambda + eta (mean n - B) / L)     a dual step

What a right reply loses is at most `alpha` (or the largest lambda), which is under 1: with rewards that are 1 for
right and 0 for wrong, no wrong reply beats a right one. In every form but `exact-budget` a shorter right reply
is worth no less than a longer one. A wrong reply gains nothing by being short; only `overlong` takes anything off it,
since it punishes what would have been cut, right or wrong.

Not here: what is right (a verifier), and how lengths are measured (`rl.py` counts tokens).

Axis: G replies to one prompt.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit

from palaestra.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Form = Literal["none", "group", "overlong", "pass-rate", "budget", "exact-budget", "constrained"]

_SAME = 1e-9
_MOST = 0.99
"""The largest lambda: a right reply of any length stays above a wrong one."""


class LengthConfig(BaseModel):
    """What tokens cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form = "none"
    """As above."""
    alpha: float = Field(default=0.3, ge=0, lt=1)
    """The most that a right reply can lose; under 1."""
    budget: float | None = Field(default=None, gt=0)
    """Tokens of a reply: B, of the budgets and of `constrained`."""
    soft: float = Field(default=0.2, gt=0, le=1)
    """Of `overlong`: the last part of the longest reply, on which the punishment grows."""
    rate: float = Field(default=0.05, gt=0)
    """Of `constrained`: eta, of the dual step."""


def shaped(  # noqa: PLR0917 - three columns and what they are held against
    reward_G: Floats, correct_G: Bools, length_G: Floats, config: LengthConfig, longest: int, price: float = 0.0
) -> Floats:
    """The rewards of one prompt's replies with their lengths counted, shape (G,).

    Args:
        reward_G: before; 1 for right and 0 for wrong, or any.
        correct_G: which are right.
        length_G: in tokens.
        config: the form.
        longest: L, the most tokens that a reply may have.
        price: lambda, of `constrained`.

    Raises:
        InputError: the form needs a budget and has none.
    """
    reward_G, length_G = np.asarray(reward_G, dtype=float), np.asarray(length_G, dtype=float)
    if config.form == "none":
        return reward_G
    if config.form == "overlong":
        return reward_G + overlong(length_G, longest, config.soft * longest)
    if config.form == "group":
        cost_G = config.alpha * relative(length_G, correct_G)
    elif config.form == "pass-rate":
        cost_G = config.alpha * np.mean(correct_G) * length_G / longest
    elif config.form == "constrained":
        cost_G = price * length_G / longest
    else:
        away_G = length_G - _budget(config)
        far_G = np.abs(away_G) if config.form == "exact-budget" else np.maximum(away_G, 0.0)
        cost_G = config.alpha * np.minimum(far_G / longest, 1.0)
    return reward_G - np.where(correct_G, cost_G, 0.0)


def relative(length_G: Floats, correct_G: Bools) -> Floats:
    """How long each reply is among the right ones, from 0 to 1, shape (G,): 0.5 where they are all of one length."""
    right = length_G[correct_G]
    if not len(right):
        return np.zeros(len(length_G))
    spread = right.std()
    return expit((length_G - right.mean()) / spread) if spread > _SAME else np.full(len(length_G), 0.5)


def overlong(length_G: Floats, longest: float, soft: float) -> Floats:
    """What is taken off for being close to the longest, from 0 to -1, shape (G,)."""
    return -np.clip((length_G - (longest - soft)) / soft, 0.0, 1.0)


def dual_step(price: float, mean_length: float, config: LengthConfig, longest: int) -> float:
    """The next lambda of `constrained`: it rises while replies are longer than the budget, up to just under 1.

    Args:
        price: lambda now.
        mean_length: tokens of a reply, by all replies of a rollout.
        config: budget and rate.
        longest: the most tokens that a reply may have.

    Raises:
        InputError: there is no budget.
    """
    return float(np.clip(price + config.rate * (mean_length - _budget(config)) / longest, 0.0, _MOST))


def check_lengths(config: LengthConfig) -> None:
    """Refuse a form without its budget, before anything is trained.

    Raises:
        InputError: the form needs a budget and has none.
    """
    if config.form in {"budget", "exact-budget", "constrained"}:
        _budget(config)


def _budget(config: LengthConfig) -> float:
    if config.budget is None:
        raise InputError(f"found the length penalty {config.form!r} without a budget, expected one in tokens")
    return config.budget
