"""How many calls are under way at one endpoint: less after it complains, more again while it does not (AIMD).

The rule is TCP's (Chiu and Jain, 1989): one more after as many successes as there are places, three quarters of them
after a refusal. A run of failures without any success between them closes the endpoint for the rest of the run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from palaestra.schema import ErrorRecord

LOST_KINDS = frozenset({"rate_limited", "server_error", "timeout", "unreachable", "interrupted"})
"""Failures that another try may mend."""
_HOPELESS = frozenset({401, 403, 404})
"""No key, no right, no such model: every further call would fail alike."""
_IN_A_ROW = 8
_LESS = 0.75
_AT_MOST_EVERY = 1.0


class Pace:
    """The places at one endpoint.

    Args:
        most: calls at the same time, at most.
    """

    def __init__(self, most: int) -> None:
        self._most, self._limit = most, float(most)
        self._under_way, self._waiting = 0, deque[asyncio.Future[None]]()
        self._slowed, self._in_a_row = 0.0, 0
        self._closed: dict[str | None, ErrorRecord] = {}

    async def enter(self) -> None:
        """Wait for a place."""
        while self._under_way >= int(self._limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()
                raise
        self._under_way += 1

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1
        self._wake()

    def went_well(self) -> None:
        """A reply came."""
        self._in_a_row = 0
        self._limit = min(self._most, self._limit + 1 / self._limit)

    def closed(self, model: str) -> ErrorRecord | None:
        """Why a model of this endpoint is not asked any more; None if it is."""
        return self._closed.get(model) or self._closed.get(None)

    def went_wrong(self, model: str, error: ErrorRecord, *, finally_: bool) -> None:
        """A call failed; `finally_` if it will not be tried again."""
        if error.kind in LOST_KINDS and time.monotonic() - self._slowed > _AT_MOST_EVERY:
            self._limit, self._slowed = max(1.0, self._limit * _LESS), time.monotonic()
        if error.status in _HOPELESS:
            self._closed.setdefault(model, error)
        elif finally_ and error.kind in LOST_KINDS:
            self._in_a_row += 1
            if self._in_a_row >= _IN_A_ROW:
                self._closed.setdefault(None, error)

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
