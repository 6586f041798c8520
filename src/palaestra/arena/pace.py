"""One common pace for two answers, so that speed betrays nobody.

Both sides always show the same number of characters, until the shorter answer has been shown whole. Three rules:

1. Nothing is shown before both sides have begun (or ended).
2. No side is shown further than every side that is still writing has come: the slower one governs.
3. The speed is the slower side's own, a little less so that it does not stutter, and never above a common ceiling. A
   side that has ended keeps its speed in this rule, so the pace does not change when the shorter answer is complete.
   But one word has no speed: an ended side of fewer than 32 characters does not count. And nobody waits minutes: an
   ended side counts as no slower than 30 characters a second, so a pace below that may rise when the slow side ends.

The voter thus sees the pace of the slower model, and nothing tells which of the two that is. There is no time after
which a fast side is shown alone: that would name the slow one. A side that never begins ends by its timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 0.9
_SHORTEST_S = 0.1
_MEASURABLE = 32
_SLOWEST_ENDED = 30.0


@dataclass(frozen=True, slots=True)
class Written:
    """How far one side has come: characters, seconds of writing from the first to the last, whether it has ended."""

    characters: int
    seconds: float
    ended: bool

    @property
    def speed(self) -> float | None:
        """Characters a second, None where too little is known to say."""
        measured = self.characters / max(self.seconds, _SHORTEST_S)
        if not self.ended:
            return measured or None
        return max(measured, _SLOWEST_ENDED) if self.characters >= _MEASURABLE else None


class CommonPace:
    """How many characters of each side may be shown.

    Args:
        ceiling: characters a second, at most.
    """

    def __init__(self, ceiling: float) -> None:
        self._ceiling = ceiling
        self._shown = 0.0

    @property
    def shown(self) -> int:
        """The characters shown so far."""
        return int(self._shown)

    def advance(self, seconds: float, sides: Sequence[Written]) -> int:
        """The characters that may be shown of every side, `seconds` after the last call."""
        if any(side.characters == 0 and not side.ended for side in sides):
            return 0
        speeds = [side.speed for side in sides if side.speed is not None]
        speed = min([self._ceiling, *(_MARGIN * speed for speed in speeds)])
        still_writing = [side.characters for side in sides if not side.ended]
        limit = min(still_writing) if still_writing else max(side.characters for side in sides)
        self._shown = min(self._shown + speed * seconds, float(limit))
        return self.shown
