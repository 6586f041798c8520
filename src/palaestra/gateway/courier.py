"""The courier: a process that makes the calls, writes each reply into the book, and outlives whoever sent it.

This module run as a program. It reads one call a line from standard input and writes one receipt a line to standard
output. When its input closes, however its sender died, also by kill -9, it makes no further call, waits for those that
are under way, writes them down, and ends: what has been paid for is there when the same command is run again. It leads
a session of its own, so that a signal to the sender's group does not reach it; one courier works on a book at a time.

Where the book cannot be written (a full disk), no further call is made either. What comes of those under way is kept in
memory, and written once that is possible again; if it is not within some seconds, the sender is told what is lost.

If the courier itself is killed, the calls under way are lost to us and perhaps not to the bill. The book knows them;
the next run says how many, and asks them again under the same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from palaestra.errors import BookError, ModelError, PalaestraError
from palaestra.gateway.calls import Call, Order, Receipt, Reply, ReplyBook
from palaestra.gateway.client import Gateway, GatewaySettings
from palaestra.gateway.pace import LOST_KINDS, Pace
from palaestra.schema import ErrorRecord, ModelSpec

_LINE = 1 << 28
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_WRITE_AGAIN = (0, 1, 2, 4)
"""Seconds to wait before the book is tried again at the end."""
_TOGETHER = 0.003
"""Seconds in which replies are gathered, to be written down at once."""


class Courier:
    """Makes calls and keeps replies.

    Args:
        gateway: asks.
        book: keeps.
        tries: how often a call is made that fails in a way that another try may mend.
    """

    def __init__(self, gateway: Gateway, book: ReplyBook, specs: Sequence[ModelSpec], tries: int) -> None:
        self._gateway, self._book, self._tries = gateway, book, tries
        paces = {spec.endpoint: Pace(gateway.places(spec.name)) for spec in specs}
        self._pace = {spec.name: paces[spec.endpoint] for spec in specs}
        self._tasks: set[asyncio.Task[None]] = set()
        self._come: list[tuple[str, str]] = []
        self._no_more = False
        self._reading: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Take calls until there are none, then wait for those under way.

        Raises:
            BookError: the book cannot be written.
        """
        self._reading = asyncio.create_task(self._read(lines))
        await asyncio.wait({self._reading})
        self._no_more = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        for seconds in _WRITE_AGAIN:
            if self._come:
                await asyncio.sleep(seconds)
                self._write()
        if self._fault is not None:
            if isinstance(self._fault, BookError):
                lost = f"{len(self._come)} replies that were paid for are lost" if self._come else "no reply is lost"
                raise BookError(f"{self._fault}; no further call was made, and {lost}") from self._fault
            raise self._fault

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            if not line.endswith(b"\n"):
                break  # the sender died in the middle of it
            task = asyncio.create_task(self._handle(line))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop(error)

    def _stop(self, error: BaseException) -> None:
        """Make no further call; the first fault is what the sender is told at the end."""
        self._fault, self._no_more = self._fault or error, True
        if self._reading is not None:
            self._reading.cancel()

    async def _handle(self, line: bytes) -> None:
        order = Order.model_validate_json(line)
        key, call = order.key, order.call
        pace = self._pace[call.model]
        for attempt in range(1, self._tries + 1):
            await pace.enter()
            try:
                if self._no_more:
                    return
                if closed := pace.closed(call.model):
                    self._failed(key, _not_asked(closed))
                    return
                error = await self._make(key, call, pace, last=attempt == self._tries)
            finally:
                pace.leave()
            if error is None:
                return
            if error.kind not in LOST_KINDS or attempt == self._tries:
                self._failed(key, error)
                return
            await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _make(self, key: str, call: Call, pace: Pace, *, last: bool) -> ErrorRecord | None:
        """Make one call; the error if it failed."""
        self._book.ask(key)
        try:
            whole = await self._gateway.complete(call.model, call.messages, call.sampling(key))
        except ModelError as error:
            self._book.fail(key, error.record)
            pace.went_wrong(call.model, error.record, finally_=last or error.record.kind not in LOST_KINDS)
            return error.record
        pace.went_well()
        usage, end = whole.completion.usage, whole.completion
        reply = Reply(
            text=whole.text,
            finish_reason=end.finish_reason,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost=usage.cost,
            seconds=round(end.total_s, 3),
            likely=whole.likely,
            calls=whole.calls,
        ).model_dump_json()
        if not self._come:
            asyncio.get_running_loop().call_later(_TOGETHER, self._write)
        self._come.append((key, reply))
        return None

    def _write(self) -> None:
        """Write down the replies that have come, and only then tell of them."""
        if not self._come:
            return
        try:
            self._book.keep(self._come)
        except BookError as error:
            self._stop(error)
            return
        come, self._come = self._come, []
        _say("\n".join(f'{{"key":"{key}","reply":{reply}}}' for key, reply in come))

    def _failed(self, key: str, error: ErrorRecord) -> None:
        self._book.fail(key, error)
        _say(Receipt(key=key, reply=Reply(error=error)).model_dump_json())


def _not_asked(closed: ErrorRecord) -> ErrorRecord:
    return closed.model_copy(update={"detail": f"not asked, since the endpoint has failed for good: {closed.detail}"})


def _say(line: str) -> None:
    """A receipt. Nobody may be there to take it; it stands in the book."""
    with suppress(OSError, ValueError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


async def _work(head: dict[str, Any], lines: asyncio.StreamReader, book: ReplyBook) -> None:
    specs = tuple(ModelSpec.model_validate(spec) for spec in head["models"])
    async with Gateway(specs, GatewaySettings.model_validate(head["settings"])) as gateway:
        _say(json.dumps({"ready": True, "unanswered": book.unanswered()}))
        book.forget_unanswered()
        await Courier(gateway, book, specs, head["tries"]).serve(lines)


async def _main(path: Path) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    head = json.loads(await lines.readline())
    with path.with_suffix(".lock").open("w") as lock:
        await _alone(lock)
        with ReplyBook(path) as book:
            try:
                await _work(head, lines, book)
            except PalaestraError as error:
                _say(json.dumps({"failed": str(error), "exit_code": error.exit_code}))


async def _alone(lock: TextIO) -> None:
    """Wait for the courier of an earlier run to write down what it is waiting for."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say(json.dumps({"waiting": True}))
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - nobody may be left to take the last buffer
