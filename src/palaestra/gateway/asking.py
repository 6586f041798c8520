"""Asking many models many things: replies that are in the book come from there, the others by courier.

Calls are taken from their iterators only as places become free, so that a plan of any length needs the memory of what
is under way. A slow endpoint does not hold up the others. See `courier.py` for what happens when somebody is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from palaestra.errors import MissingPartError, PalaestraError
from palaestra.gateway.calls import Call, Order, Receipt, Reply, ReplyBook, call_key
from palaestra.gateway.client import GatewaySettings, key_of
from palaestra.schema import ModelSpec

T = TypeVar("T")
TRIES = 5
_AHEAD = 2
_LINE = 1 << 28


@dataclass(slots=True)
class Tally:
    """What a run of calls came to so far. `paid` are those that were made now, `known` those that stood in the book."""

    known: int = 0
    paid: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def add(self, reply: Reply, *, known: bool) -> None:
        """Count a reply."""
        if reply.error is not None:
            self.failed[reply.error.kind] = self.failed.get(reply.error.kind, 0) + 1
        elif known:
            self.known += 1
        else:
            self.paid += 1
            self.input_tokens += reply.input_tokens or 0
            self.output_tokens += reply.output_tokens or 0
            self.cost += reply.cost or 0.0


class Post:
    """Where calls are handed in. An async context manager; the courier is sent for when the first call needs one.

    Args:
        path: the book of replies.
        specs: the models that are asked.
        settings: timeouts, and how many calls may be under way at an endpoint.
        say: is told what somebody at the terminal should know.

    Raises:
        InputError: the book cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        specs: Sequence[ModelSpec],
        settings: GatewaySettings | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.settings, self.tally = path, settings or GatewaySettings(), Tally()
        self.specs = {spec.name: spec for spec in specs}
        self.book = ReplyBook(path)
        self._say = say
        self._courier: asyncio.subprocess.Process | None = None
        self._open = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the courier finish what is under way, and go."""
        courier = self._courier
        if courier is not None and courier.stdin is not None and courier.stdout is not None:
            courier.stdin.close()
            if self._open:
                self._say(
                    "waiting for the calls under way, which are paid for; interrupt again to leave them to the courier"
                )
            while await courier.stdout.read(1 << 16):
                pass
            await courier.wait()
        self.book.__exit__()

    async def ask(self, calls: Mapping[str, Iterable[tuple[T, Call]]]) -> AsyncGenerator[tuple[T, Reply]]:
        """Replies, each with what was handed in beside its call, in the order in which they come.

        Args:
            calls: for each model, pairs of anything and a call to that model. One round at a time.

        Raises:
            MissingPartError: a key is not set, or a local model is not installed.
            PalaestraError: the courier died, or cannot work: the book cannot be written.
        """
        waiting = {name: iter(pairs) for name, pairs in calls.items()}
        places = dict.fromkeys(calls, _AHEAD * self.settings.concurrency)
        under_way: dict[str, list[tuple[str, T]]] = {}
        ready = deque(waiting)
        while ready or under_way:
            while ready:
                name = ready[0]
                if not places[name] or (pair := next(waiting[name], None)) is None:
                    ready.popleft()
                    continue
                tag, call = pair
                key = call_key(self.specs[name], call)
                if key in under_way:
                    places[name] -= 1
                    under_way[key].append((name, tag))
                elif (reply := await self._known(key)) is not None:
                    self.tally.add(reply, known=True)
                    yield tag, reply
                else:
                    places[name] -= 1
                    under_way[key] = [(name, tag)]
                    self._open += 1
                    await self._hand_in(Order(key=key, call=call).model_dump_json())
            if under_way:
                receipt = await self._receipt()
                self._open -= 1
                for number, (name, tag) in enumerate(under_way.pop(receipt.key)):
                    places[name] += 1
                    ready.append(name)
                    self.tally.add(receipt.reply, known=number > 0)
                    yield tag, receipt.reply

    async def _hand_in(self, line: str) -> None:
        if self._courier is not None and self._courier.stdin is not None:
            with suppress(ConnectionError):  # it died: the next receipt says so
                self._courier.stdin.write(line.encode() + b"\n")
                await self._courier.stdin.drain()

    async def _receipt(self) -> Receipt:
        line = await self._line()
        if not line.startswith(b'{"key":'):
            _check(line)
        return Receipt.model_validate_json(line)

    async def _known(self, key: str) -> Reply | None:
        """The reply in the book. The first that is missing sends for a courier, and is looked up again after that.

        The courier may have waited for that of an earlier run, which has written down its last replies by then.
        """
        reply = self.book.find(key)
        if reply is not None or self._courier is not None:
            return reply
        await self._sent_for()
        return self.book.find(key)

    async def _sent_for(self) -> None:
        check_keys(list(self.specs.values()))
        with self.path.with_suffix(".log").open("ab") as log:
            self._courier = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "palaestra.gateway.courier", str(self.path),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                limit=_LINE, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        models = [spec.model_dump(mode="json") for spec in self.specs.values()]
        await self._hand_in(json.dumps({"models": models, "settings": self.settings.model_dump(), "tries": TRIES}))
        said = _check(await self._line())
        if said.get("waiting"):
            self._say("an earlier run is writing down its last replies; waiting for it")
            said = _check(await self._line())
        if lost := said.get("unanswered"):
            self._say(
                f"{lost} calls were under way when the courier of an earlier run was killed: they may have been paid "
                "for and are asked again, under the same Idempotency-Key"
            )

    async def _line(self) -> bytes:
        if self._courier is None or self._courier.stdout is None:
            raise PalaestraError("there is no courier, although calls are open")
        line = await self._courier.stdout.readline()
        if not line:
            status, log = await self._courier.wait(), self.path.with_suffix(".log")
            raise PalaestraError(
                f"the courier ended with status {status}, see {log}; run the same command again to go on"
            )
        return line


def _check(line: bytes) -> dict[str, Any]:
    """What the courier says of itself, unless that is why it cannot work."""
    said = json.loads(line)
    if failed := said.get("failed"):
        if said["exit_code"] == MissingPartError.exit_code:
            raise MissingPartError(failed)
        raise PalaestraError(failed)
    return said


def check_keys(specs: Sequence[ModelSpec]) -> None:
    """See that the variables with the models' keys are set.

    Raises:
        MissingPartError: one is not.
    """
    for spec in specs:
        key_of(spec)
