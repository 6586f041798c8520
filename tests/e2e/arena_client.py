"""A voter without a browser: begins a battle, reads its stream as the page does, and votes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

FINAL = {"done", "stopped", "failed", "interrupted"}


@dataclass
class Seen:
    """What a turn's stream has brought so far, put together as the page does it."""

    state: str = "waiting"
    blocks: dict[str, dict[int, str]] = field(default_factory=lambda: {"a": {}, "b": {}})
    last_event: str = ""
    first_text_s: float | None = None
    numbers: list[int] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """Apply one event."""
        self.state = event["state"]
        for side in ("a", "b"):
            for index, html in event[side]["blocks"]:
                self.blocks[side][index] = html
            for index in [k for k in self.blocks[side] if k >= event[side]["count"]]:
                del self.blocks[side][index]

    def html(self, side: str) -> str:
        """The answer of one side."""
        return "".join(self.blocks[side][index] for index in sorted(self.blocks[side]))


class Voter:
    """One browser's worth of cookies."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.AsyncClient(base_url=url, timeout=60, verify=False)

    async def begin(self, prompt: str) -> dict[str, Any]:
        """Begin a battle; returns {"battle", "turn": {"id", "events"}}."""
        return (await self.http.post("/api/battles", json={"prompt": prompt})).raise_for_status().json()

    async def watch(self, turn: dict[str, Any], seen: Seen | None = None, *, events: int | None = None) -> Seen:
        """Read a turn's stream to its end, or so many events of it; `seen` goes on where it left off."""
        seen = seen or Seen()
        started = time.monotonic()
        headers = {"Last-Event-ID": seen.last_event} if seen.last_event else {}
        async with self.http.stream("GET", turn["events"], headers=headers) as response:
            response.raise_for_status()
            async for number, event in sse(response):
                seen.take(event)
                seen.last_event = number
                if number:
                    seen.numbers.append(int(number))
                if seen.first_text_s is None and (seen.html("a") or seen.html("b")):
                    seen.first_text_s = time.monotonic() - started
                if seen.state in FINAL or (events is not None and len(seen.numbers) >= events):
                    break
        return seen

    async def vote(self, turn: dict[str, Any], choice: str) -> httpx2.Response:
        """Vote on a turn; the caller looks at the status."""
        return await self.http.post(f"/api/turns/{turn['id']}/vote", json={"choice": choice})


async def sse(response: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream: id and data."""
    number, data = "", ""
    async for line in response.aiter_lines():
        if line.startswith("id:"):
            number = line[3:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            yield number, json.loads(data)
            data = ""
