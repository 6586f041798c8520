"""A turn while it is being answered: two models write, one pace shows them, any number of browsers look on.

The turn is a task of its own and outlives every connection. It keeps, for each side, the rendered blocks and the number
of the event in which each block last changed; an event is "every block that changed since event n". So a browser that
reconnects with Last-Event-ID gets just what it lacks, a slow one skips what it missed, and memory does not grow with
the number of events. What leaves this module towards the browser is HTML of the answers and a state, nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from palaestra.arena.pace import CommonPace, Written
from palaestra.arena.settings import ArenaSettings
from palaestra.errors import ModelError
from palaestra.gateway.client import Completion
from palaestra.pictures.markdown import BlockStream
from palaestra.schema import ErrorRecord, Message
from palaestra.store.entries import Answer, AnswerState, Turn

TurnState = Literal["waiting", "streaming", "done", "stopped", "failed", "interrupted"]
Ask = Callable[[str, Sequence[Message]], AsyncIterator[str | Completion]]
Record = Callable[[Sequence[Answer]], Awaitable[None]]

TICK_S = 0.15

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveSide:
    """One answer as it grows."""

    answer: Answer
    messages: Sequence[Message]
    text: str = ""
    saved: str | None = None
    asked: float = 0.0
    first: float | None = None
    latest: float = 0.0
    ended: float | None = None
    error: ErrorRecord | None = None
    completion: Completion | None = None
    blocks: BlockStream = field(default_factory=BlockStream)
    versions: list[int] = field(default_factory=list)

    def add(self, piece: str) -> None:
        """Append what the model wrote; white space before the first word is not part of an answer."""
        self.text = (self.text + piece) if self.text else piece.lstrip()
        if self.text:
            self.latest = time.monotonic()
            self.first = self.first or self.latest

    def written(self) -> Written:
        """How far it has come, for the pace."""
        until = self.latest if self.ended else time.monotonic()
        return Written(len(self.text), until - (self.first or until), self.ended is not None)

    def mark(self, changed: list[tuple[int, str]], version: int) -> None:
        """Note in which event blocks changed."""
        for index, _ in changed:
            self.versions += [version] * (index + 1 - len(self.versions))
            self.versions[index] = version

    def since(self, version: int) -> dict[str, Any]:
        """The blocks that changed after event `version`."""
        blocks = [[k, html] for k, html in enumerate(self.blocks.blocks) if self.versions[k] > version]
        return {"blocks": blocks, "count": len(self.blocks.blocks), "failed": self.error is not None}

    def outcome(self, state: AnswerState) -> Answer:
        """The answer as it goes into the ledger."""
        known = self.completion
        return replace(
            self.answer,
            state="failed" if self.error else state,
            text=self.text,
            first_token_s=self.first - self.asked if self.first else None,
            total_s=self.ended - self.asked if self.ended else None,
            usage=known.usage if known else None,
            finish_reason=known.finish_reason if known else None,
            error=self.error,
        )


class LiveTurn:
    """A turn being answered.

    Args:
        turn: as the ledger holds it.
        voter: whose turn it is.
        histories: what each side's model is sent, the new prompt included.
        settings: the pace, and how long a turn goes on with nobody looking.
        ask: asks a model; yields text and at last a Completion, or raises ModelError.
        record: writes how the answers ended into the ledger.
    """

    def __init__(
        self,
        turn: Turn,
        voter: str,
        histories: tuple[Sequence[Message], Sequence[Message]],
        *,
        settings: ArenaSettings,
        ask: Ask,
        record: Record,
    ) -> None:
        self.turn = turn
        self.voter = voter
        self.sides = {"a": LiveSide(turn.a, histories[0]), "b": LiveSide(turn.b, histories[1])}
        self.state: TurnState = "waiting"
        self.recorded = False
        """Whether the ledger knows how the answers ended."""
        self._ask = ask
        self._record = record
        self._pace = CommonPace(settings.pace)
        self._abandoned_after = settings.abandoned_after
        self._version = 0
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._stop_as: Literal["stopped", "interrupted"] = "stopped"
        self._watchers = 0
        self._left = time.monotonic()
        self.task = asyncio.create_task(self._run(), name=f"turn {turn.id}")

    async def stop(self, state: Literal["stopped", "interrupted"] = "stopped") -> TurnState:
        """Stop both models; what has been shown so far becomes the answers."""
        self._stop_as = state
        self._stop.set()
        await asyncio.shield(self.task)
        return self.state

    def unsaved(self) -> list[tuple[LiveSide, str]]:
        """The sides that have begun and, should there be more of it than was last saved, their text.

        Only what has been shown: after a crash, nobody shall see which model was ahead of the common pace.
        """
        begun = [(side, side.text[: self._pace.shown]) for side in self.sides.values() if side.first is not None]
        return [(side, text) for side, text in begun if text != side.saved]

    async def events(self, after: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Events after number `after`, until the turn has ended."""
        self._watchers += 1
        try:
            while True:
                changed = self._changed
                if self._version > after or self.state not in {"waiting", "streaming"}:
                    yield self._version, self._event(after)
                    after = self._version
                if self.state not in {"waiting", "streaming"}:
                    return
                await changed.wait()
        finally:
            self._watchers -= 1
            self._left = time.monotonic()

    def _event(self, after: int) -> dict[str, Any]:
        return {"state": self.state, **{name: side.since(after) for name, side in self.sides.items()}}

    async def _run(self) -> None:
        try:
            state = await self._show_both()
            await self._end(state)
        except Exception:  # noqa: BLE001 - the browser must hear that it is over, whatever it was
            _log.exception("turn %s could not be shown or written to its end", self.turn.id)
            state = "interrupted"
        self._announce(state)

    async def _show_both(self) -> TurnState:
        pumps = [asyncio.create_task(self._pump(side)) for side in self.sides.values()]
        try:
            return await self._show()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, side: LiveSide) -> None:
        """Take what a model writes; a failure of it is a record, whatever its cause."""
        side.asked = time.monotonic()
        try:
            async for piece in self._ask(side.answer.model, side.messages):
                if isinstance(piece, str):
                    side.add(piece)
                else:
                    side.completion = piece
            if not side.text:
                side.error = ErrorRecord(kind="empty", detail="the answer is blank")
        except ModelError as error:
            side.error = error.record
        except Exception as error:  # noqa: BLE001 - a fault of one model must not end the battle without a word
            _log.exception("asking %s failed in an unforeseen way", side.answer.model)
            side.error = ErrorRecord(kind="server_error", detail=f"{type(error).__name__}: {error}")
        finally:
            side.ended = time.monotonic()

    async def _show(self) -> TurnState:
        """Show both answers at the common pace; returns the state in which the turn ends."""
        before = time.monotonic()
        while True:
            await self._tick()
            now = time.monotonic()
            if any(side.error for side in self.sides.values()):
                return "failed"
            if self._stop.is_set():
                return self._stop_as
            if not self._watchers and now - self._left > self._abandoned_after:
                return "stopped"
            written = [side.written() for side in self.sides.values()]
            shown = self._pace.advance(now - before, written)
            before = now
            if all(side.ended for side in written) and shown >= max(side.characters for side in written):
                return "done"
            if shown:
                self._render(shown)
                self._announce("streaming")

    async def _tick(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), TICK_S)
        except TimeoutError:
            return

    def _render(self, shown: int | None = None) -> None:
        """Render up to `shown` characters; None: everything, exactly."""
        for side in self.sides.values():
            changed = side.blocks.finish(side.text) if shown is None else side.blocks.update(side.text[:shown])
            side.mark(changed, self._version + 1)

    def _announce(self, state: TurnState) -> None:
        """Wake whoever looks on."""
        self.state = state
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _end(self, state: TurnState) -> None:
        """Write the answers down; only then are the browsers told, since a vote may follow at once."""
        if state != "done":
            for side in self.sides.values():
                side.text = side.text[: self._pace.shown]
        self._render()
        answered: AnswerState = (
            "complete" if state == "done" else "interrupted" if state == "interrupted" else "stopped"
        )
        await self._record([side.outcome(answered) for side in self.sides.values()])
        self.recorded = True
