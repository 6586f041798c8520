"""What replies earn: several rewards with their weights, lengths counted, and what is right, all per domain.

A reward is any callable of prompts, replies, references and domains; whoever calls (`cli/`, a recipe) brings it along:
verifiers and trained rewards live in another room. Not here: what is optimised (`rl.py`), and what looks for rewards
that are fooled (`hacking.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.posttrain.hacking import repetition
from palaestra.posttrain.lengths import LengthConfig, shaped
from palaestra.schema import Message

Floats = NDArray[np.float64]

_RIGHT = 0.5
_LARGEST = 1e18
"""Of a reward: its square still is a number of 32 bits."""


class RewardFunction(Protocol):
    """How good replies are; higher is better."""

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        replies: Sequence[str],
        references: Sequence[str | None],
        domains: Sequence[str],
        /,
    ) -> Sequence[float] | Floats:
        """One finite number for each reply."""
        ...


@dataclass(frozen=True, slots=True)
class Paid:
    """A reward, its name in the figures, and its weight in the sum."""

    name: str
    score: RewardFunction
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies to prompts, group by group: `group` replies to the first prompt, then those to the next."""

    prompts: tuple[tuple[Message, ...], ...]
    texts: tuple[str, ...]
    references: tuple[str | None, ...]
    domains: tuple[str, ...]
    tokens: tuple[int, ...]
    """The end token counted."""
    cut: tuple[bool, ...]
    """Whether a reply had reached the most tokens without an end."""
    group: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What replies have earned; each array has one number for each reply."""

    reward_N: Floats
    """What is optimised: the weighted sum, with lengths counted."""
    correct_N: NDArray[np.bool_]
    parts: dict[str, Floats] = field(default_factory=dict)
    """Each reward by itself, and `judge`, which is not optimised."""


def scored(
    replies: Replies,
    rewards: Sequence[Paid],
    lengths: LengthConfig,
    longest: int,
    *,
    price: float = 0.0,
    judge: RewardFunction | None = None,
) -> Scored:
    """Score replies.

    Args:
        replies: group by group.
        rewards: at least one; a reply is right where the first of them is above 0.5.
        lengths: what tokens cost.
        longest: the most tokens of a reply.
        price: of `constrained` lengths, now.
        judge: a reward that is held out.

    Raises:
        InputError: a reward gives another number of rewards than there are replies, or one that is not finite.
    """
    parts = {one.name: _checked(one.name, one.score, replies) for one in rewards}
    total_N = np.sum([one.weight * parts[one.name] for one in rewards], axis=0)
    correct_N = parts[rewards[0].name] > _RIGHT
    length_N = np.array(replies.tokens, dtype=float)
    rows = [slice(start, start + replies.group) for start in range(0, len(length_N), replies.group)]
    paid = [shaped(total_N[row], correct_N[row], length_N[row], lengths, longest, price) for row in rows]
    if judge is not None:
        parts["judge"] = _checked("the held-out judge", judge, replies)
    return Scored(np.concatenate(paid), correct_N, parts)


def lines(replies: Replies, found: Scored) -> list[dict[str, float | str]]:
    """One line a reply: domain, reward, each part, whether it is right, tokens, whether it was cut, repetition."""
    return [
        {
            "domain": replies.domains[row],
            "reward": float(found.reward_N[row]),
            **{f"reward_{name}" if name != "judge" else name: float(part[row]) for name, part in found.parts.items()},
            "correct": float(found.correct_N[row]),
            "tokens": float(replies.tokens[row]),
            "cut": float(replies.cut[row]),
            "repetition": repetition(replies.texts[row]),
        }
        for row in range(len(replies.texts))
    ]


def means(rows: Sequence[dict[str, float | str]]) -> dict[str, float]:
    """The mean of each figure over lines."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "domain"}


def by_domain(rows: Sequence[dict[str, float | str]]) -> dict[str, dict[str, float]]:
    """The means of each domain, by its name."""
    names = sorted({str(row["domain"]) for row in rows})
    return {name: means([row for row in rows if row["domain"] == name]) for name in names}


def _checked(name: str, score: RewardFunction, replies: Replies) -> Floats:
    found = np.asarray(score(replies.prompts, replies.texts, replies.references, replies.domains), dtype=float)
    if found.shape != (len(replies.texts),):
        raise InputError(f"{name}: found rewards of shape {found.shape}, expected one for each of {len(replies.texts)}")
    if len(wrong := np.flatnonzero(~(np.abs(found) < _LARGEST))):  # a trainer would count them as nothing
        row = int(wrong[0])
        raise InputError(
            f"{name}: found the reward {found[row]} for {replies.texts[row][:60]!r}, expected a finite one"
        )
    return found
