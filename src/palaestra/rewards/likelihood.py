"""How likely preferences are, given the rewards of replies; with first derivatives, in numpy.

With d the difference of two rewards and s a shape that is fitted too:

    bradley-terry   P(first) = sigma(d - margin); level pairs are left out               Bradley and Terry (1952)
    rao-kupper      P(first) = sigma(d - eta), P(second) = sigma(-d - eta), the rest is level; eta = e^s   (1967)
    davidson        P(first) : P(second) : P(level) = e^(d/2) : e^(-d/2) : e^s           Davidson (1970)
    plackett-luce   the best is drawn in proportion to e^reward, then the best of the rest, and so on; of level replies
                    the mean of the logarithm over all their orders      Plackett (1975), Luce (1959), Zhu et al. (2023)

For level replies G above the rest R that mean is a sum over the subsets T of G, each with the weight 1 / C(|G|, |T|),
of log sum over T and R of e^reward: no order is ever enumerated.

Both bad counts as level. Not here: the same on tensors (`losses.py`), and what rewards are made of (`head.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from palaestra.errors import InputError
from palaestra.rewards.comparisons import LEVEL, SECOND, Comparisons, Floats, Integers
from palaestra.rewards.config import Loss

Law = Literal["bradley-terry", "rao-kupper", "davidson", "plackett-luce"]

MOST_LEVEL = 12
"""Replies of one rank under Plackett-Luce: 4,095 subsets."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Minus the log-likelihood of each preference, and the derivatives of each by the rewards and by the shape.

    A preference's derivatives by its own replies stand in `by_reward_N`: no other preference has those replies.
    """

    loss_Q: Floats
    by_reward_N: Floats
    by_shape_Q: Floats


def law_for(loss: Loss, comparisons: Comparisons) -> Law:
    """The likelihood that is meant.

    Raises:
        InputError: a likelihood with ties is asked for where there is no tie.
    """
    ties = bool((comparisons.outcome_B == LEVEL).any())
    if loss == "auto":
        return "plackett-luce" if comparisons.most_replies > 2 else "rao-kupper" if ties else "bradley-terry"  # noqa: PLR2004 - a pair
    if loss in {"rao-kupper", "davidson"} and not ties:
        raise InputError(f"found no level replies, of which --loss {loss} learns; take bradley-terry, or leave it out")
    return loss


def left_out(law: Law, comparisons: Comparisons) -> int:
    """How many level pairs say nothing under this likelihood."""
    return int((comparisons.outcome_B == LEVEL).sum()) if law == "bradley-terry" else 0


def chance(law: Law, d_B: Floats, shape: float | Floats) -> Floats:
    """The probability that the first is preferred, given that the two are not level."""
    if law != "rao-kupper":
        return expit(d_B)
    eta = np.exp(shape)
    return expit(log_expit(d_B - eta) - log_expit(-d_B - eta))


def has_shape(law: Law) -> bool:
    """Whether there is a shape to fit."""
    return law in {"rao-kupper", "davidson"}


class Likelihood:
    """A law on comparisons.

    Args:
        law: which.
        comparisons: the preferences.
        margins: whether a better reply has to be better by the margin. Bradley-Terry only.

    Raises:
        InputError: margins with another law, or too many replies of one rank.
    """

    def __init__(self, law: Law, comparisons: Comparisons, *, margins: bool = False) -> None:
        if margins and law != "bradley-terry":
            raise InputError(f"found margins with the loss {law}, expected bradley-terry: only it asks for a margin")
        self.law: Law = law
        self.comparisons = comparisons
        self._margin_B = comparisons.margin_B if margins else np.zeros(len(comparisons.first_B))
        self._share_B = comparisons.share_B
        self._of_B = comparisons.of_B

    @property
    def start(self) -> float:
        """Where the shape begins."""
        return {"rao-kupper": -1.2, "davidson": -0.5}.get(self.law, 0.0)

    def __call__(self, reward_N: Floats, shape: float = 0.0) -> Losses:
        """Losses and derivatives; preferences are not weighted yet."""
        if self.law == "plackett-luce":
            return self._sets.losses(reward_N)
        these = self.comparisons
        d_B = reward_N[these.first_B] - reward_N[these.second_B]
        loss_B, by_d_B, by_shape_B = _pair(self.law, d_B, these.outcome_B, shape, self._margin_B)
        count, replies = len(these.weight_Q), len(reward_N)
        slope_B = self._share_B * by_d_B
        return Losses(
            _summed(self._of_B, self._share_B * loss_B, count),
            _summed(these.first_B, slope_B, replies) - _summed(these.second_B, slope_B, replies),
            _summed(self._of_B, self._share_B * by_shape_B, count),
        )

    @cached_property
    def _sets(self) -> _ChoiceSets:
        return _choice_sets(self.comparisons)


def _summed(place_E: Integers, value_E: Floats, size: int) -> Floats:
    """The sum of the values at each place."""
    return np.bincount(place_E, value_E, size).astype(np.float64)


def _pair(law: Law, d_B: Floats, outcome_B: NDArray[np.int8], shape: float, margin_B: Floats) -> tuple[Floats, ...]:
    """Loss of each pair, and its derivatives by the difference and by the shape."""
    sign_B = np.where(outcome_B == SECOND, -1.0, 1.0)
    level_B = outcome_B == LEVEL
    toward_B = sign_B * d_B
    if law == "bradley-terry":
        asked_B = toward_B - margin_B
        loss_B = np.where(level_B, 0.0, -log_expit(asked_B))
        return loss_B, np.where(level_B, 0.0, -sign_B * expit(-asked_B)), np.zeros(len(d_B))
    if law == "rao-kupper":
        eta = float(np.exp(shape))
        up_B, down_B = expit(d_B - eta), expit(-d_B - eta)
        decided_B = expit(eta - toward_B)
        loss_B = np.where(
            level_B,
            -log_expit(d_B - eta) - log_expit(-d_B - eta) - (2 * eta + np.log(-np.expm1(-2 * eta))),
            -log_expit(toward_B - eta),
        )
        by_eta_level_B = 2 - up_B - down_B + 2 / np.expm1(-2 * eta)
        by_d_B = np.where(level_B, up_B - down_B, -sign_B * decided_B)
        return loss_B, by_d_B, eta * np.where(level_B, by_eta_level_B, decided_B)
    parts_3B = np.stack([d_B / 2, -d_B / 2, np.full(len(d_B), shape)])
    total_B = np.logaddexp.reduce(parts_3B, axis=0)
    chance_3B = np.exp(parts_3B - total_B)
    by_d_B = (chance_3B[0] - chance_3B[1]) / 2 - np.where(level_B, 0.0, sign_B / 2)
    return total_B - parts_3B[outcome_B, np.arange(len(d_B))], by_d_B, chance_3B[2] - level_B


@dataclass(frozen=True, slots=True)
class _ChoiceSets:
    """Minus the log-likelihood as a sum over sets of replies: factor times log sum e^reward, less factor times reward.

    `reply_E` lists the replies of one set after the other, `start_S` says where each begins.
    """

    reply_E: Integers
    start_S: Integers
    set_E: Integers
    factor_S: Floats
    of_S: Integers
    counted_N: Floats
    of_N: Integers
    preferences: int

    def losses(self, reward_N: Floats) -> Losses:
        reward_E = reward_N[self.reply_E]
        most_S = np.maximum.reduceat(reward_E, self.start_S)
        part_E = np.exp(reward_E - most_S[self.set_E])
        sum_S = np.add.reduceat(part_E, self.start_S)
        loss_Q = _summed(self.of_S, self.factor_S * (most_S + np.log(sum_S)), self.preferences)
        loss_Q -= _summed(self.of_N, self.counted_N * reward_N, self.preferences)
        slope_E = self.factor_S[self.set_E] * part_E / sum_S[self.set_E]
        by_reward_N = _summed(self.reply_E, slope_E, len(reward_N)) - self.counted_N
        return Losses(loss_Q, by_reward_N, np.zeros(self.preferences))


def _choice_sets(comparisons: Comparisons) -> _ChoiceSets:
    of_N, rank_N = comparisons.of_N, comparisons.rank_N
    edges = np.r_[0, np.flatnonzero(np.diff(of_N)) + 1, len(of_N)]
    sets: list[tuple[int, ...]] = []
    factors: list[float] = []
    of: list[int] = []
    counted_N = np.zeros(len(of_N))
    for start, end in pairwise(edges.tolist()):
        for members, factor in _terms(rank_N[start:end].tolist()):
            sets.append(tuple(start + place for place in members))
            factors.append(factor)
            of.append(int(of_N[start]))
        worst = rank_N[start:end] == rank_N[start:end].max()
        counted_N[start:end] = np.where(worst, 1 - 1 / worst.sum(), 1.0)
    sizes_S = np.array([len(one) for one in sets])
    return _ChoiceSets(
        reply_E=np.array([place for one in sets for place in one]),
        start_S=np.r_[0, sizes_S.cumsum()[:-1]],
        set_E=np.repeat(np.arange(len(sets)), sizes_S),
        factor_S=np.array(factors),
        of_S=np.array(of),
        counted_N=counted_N,
        of_N=of_N,
        preferences=len(comparisons.weight_Q),
    )


def _terms(ranks: Sequence[int]) -> list[tuple[tuple[int, ...], float]]:
    """Sets among which a choice was made, and how often: from the best rank to the worst."""
    found = []
    for rank in sorted(set(ranks)):
        level = [place for place, other in enumerate(ranks) if other == rank]
        rest = [place for place, other in enumerate(ranks) if other > rank]
        if len(level) > MOST_LEVEL:
            raise InputError(
                f"found {len(level)} replies of one rank, expected at most {MOST_LEVEL} under plackett-luce; "
                "take --loss davidson"
            )
        for size in range(1, len(level) + 1):
            if size + len(rest) > 1:
                found += [((*these, *rest), 1 / comb(len(level), size)) for these in combinations(level, size)]
    return found
