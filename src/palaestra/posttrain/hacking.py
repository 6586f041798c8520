"""Is the reward fooled? It rises while a judge that is not optimised falls, or replies begin to repeat themselves.

Gao, Schulman and Hilton, *Scaling laws for reward model overoptimization* (2023), is why one looks. The first rollouts
are compared with the latest as many: a rise or a fall is one of more than four standard errors of the difference of
means. That is much, since one looks again after every rollout: over 150 rollouts, a reward that stays where it is seems
to rise in 4 runs of 100. This is a watch, not a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_ERRORS = 4.0
_MORE_REPEATED = 0.1
"""So much more of a reply must be repeated before it is worth a word."""


def repetition(text: str, words: int = 3) -> float:
    """The share of n-grams of words that stood before in the text, from 0 to 1; of letters where there is one word.

    Args:
        text: a reply.
        words: n.
    """
    pieces: Sequence[str] = text.split()
    if len(pieces) < 2:  # noqa: PLR2004 - a text without blanks
        pieces = text.strip()
    grams = [tuple(pieces[start : start + words]) for start in range(len(pieces) - words + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


@dataclass
class Watch:
    """What rollouts were like, one after the other, and which alarms were given.

    Attributes:
        window: how many rollouts are compared at each end.
        history: figures of each rollout: `reward`, `tokens`, `repetition`, perhaps `judge`.
        given: kinds of alarms that were given; each is given once.
    """

    window: int = 10
    history: list[dict[str, float]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def look(self, figures: dict[str, float]) -> list[str]:
        """Add a rollout, and say what is alarming, in words."""
        self.history.append(figures)
        if len(self.history) < 2 * self.window:
            return []
        found = {"judge": self._fooled(), "repetition": self._repeating()}
        new = {kind: words for kind, words in found.items() if words and kind not in self.given}
        self.given += list(new)
        return list(new.values())

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"history": self.history, "given": self.given}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from an earlier state."""
        self.history, self.given = list(state["history"]), list(state["given"])

    def _fooled(self) -> str | None:
        if not all("judge" in one for one in self.history):
            return None
        reward, judge, tokens = (self._change(name) for name in ("reward", "judge", "tokens"))
        if not (reward.errors > _ERRORS and judge.errors < -_ERRORS):
            return None
        return (
            f"the reward rose from {reward.before:.3g} to {reward.after:.3g} while the held-out judge fell from "
            f"{judge.before:.3g} to {judge.after:.3g} (tokens from {tokens.before:.0f} to {tokens.after:.0f}), "
            f"comparing the first and the last {self.window} rollouts of {len(self.history)}: the reward is being "
            "fooled; stop, or take more KL, another reward or an earlier checkpoint"
        )

    def _repeating(self) -> str | None:
        change = self._change("repetition")
        if not (change.errors > _ERRORS and change.after - change.before > _MORE_REPEATED):
            return None
        return (
            f"replies repeat themselves: {change.after:.0%} of their three-word pieces stood before in the same reply, "
            f"{change.before:.0%} at the beginning"
        )

    def _change(self, name: str) -> _Change:
        before, after = (
            np.array([one[name] for one in part])
            for part in (self.history[: self.window], self.history[-self.window :])
        )
        error = float(np.sqrt((before.var(ddof=1) + after.var(ddof=1)) / self.window))
        gap = float(after.mean() - before.mean())
        return _Change(float(before.mean()), float(after.mean()), gap / max(error, 1e-12))


@dataclass(frozen=True, slots=True)
class _Change:
    before: float
    after: float
    errors: float
    """The change in standard errors."""
