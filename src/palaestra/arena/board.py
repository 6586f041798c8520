"""The live board: a pure function of the ledger, fitted again when votes come.

Votes are append-only, so the board reads only those after the last one that it knows, and hands on only these. Fits are
never run side by side: whoever asks while one is running gets the next one, which includes every vote committed before
the asking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import polars as pl

from palaestra.schema import Leaderboard
from palaestra.store.ballots import vote_frame
from palaestra.store.ledger import Ledger

Fit = Callable[[pl.DataFrame], Leaderboard]

_log = logging.getLogger(__name__)


class LiveBoard:
    """The current leaderboard.

    Args:
        ledger: where the votes are.
        fit: called with the votes that are new, gives the leaderboard of all votes so far.
    """

    def __init__(self, ledger: Ledger, fit: Fit) -> None:
        self._ledger = ledger
        self._fit = fit
        self._last = 0
        self._lock = asyncio.Lock()
        self._waiting: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.current = self._read_and_fit()

    async def refresh(self) -> Leaderboard:
        """The board of every vote committed before this call."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._refit())
        await asyncio.shield(self._waiting)
        return self.current

    async def after_vote(self) -> Leaderboard:
        """The board with a vote that has just been stored; should the fit fail, the vote stands, and the last board."""
        try:
            return await self.refresh()
        except Exception:  # noqa: BLE001 - whatever it was, the voter must hear that the vote is stored
            _log.exception("a vote is stored, but the leaderboard could not be fitted; the last one is shown")
            return self.current

    async def changes(self) -> AsyncIterator[Leaderboard]:
        """The current board, and each new one."""
        while True:
            changed = self._changed
            yield self.current
            await changed.wait()

    async def _refit(self) -> None:
        async with self._lock:
            self._waiting = None  # whoever asks from here on may have voted after our reading: theirs is the next fit
            self.current = await asyncio.to_thread(self._read_and_fit)
        self._changed.set()
        self._changed = asyncio.Event()

    def _read_and_fit(self) -> Leaderboard:
        newer = vote_frame(self._ledger.engine, after=self._last)
        if newer.is_empty() and self._last:
            return self.current
        board = self._fit(newer)
        self._last = int(newer["id"][-1]) if newer.height else 0
        return board
