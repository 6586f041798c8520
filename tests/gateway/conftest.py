"""Real servers on loopback: one that behaves as each case says, and uvicorn for an application of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

Reply = Callable[["Call"], Awaitable[None]]


@dataclass
class Call:
    """One request that reached the endpoint, and the way to answer it byte by byte."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, text: str) -> None:
        """Send raw text."""
        self.writer.write(text.encode())
        await self.writer.drain()

    async def head(self, status: str = "200 OK", kind: str = "text/event-stream", **headers: str) -> None:
        """Send the head of an answer whose end is the end of the connection."""
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await self.send(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n{extra}\r\n")

    async def refuse(self, status: str, message: str = "no", **headers: str) -> None:
        """Send an error of the protocol."""
        await self.head(status, "application/json", **headers)
        await self.send(json.dumps({"error": {"message": message, "type": "test", "code": None}}))

    async def word(self, text: str | None, reason: str | None = None) -> None:
        """Send one chunk of a chat completion."""
        delta = {} if text is None else {"content": text}
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        await self.chunk(choices=[choice])

    async def chunk(self, **data: Any) -> None:
        """Send one chunk of any form."""
        head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        await self.send(f"data: {json.dumps(head | data)}\n\n")

    async def end(self, tokens_in: int | None = None, tokens_out: int | None = None) -> None:
        """Finish properly, with usage where it is given."""
        await self.word(None, "stop")
        if tokens_in is not None and tokens_out is not None:
            usage = {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            }
            await self.chunk(choices=[], usage=usage)
        await self.send("data: [DONE]\n\n")

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        await self.reader.read()
        self.left.set()


class Endpoint:
    """An OpenAI-compatible server in the hands of a test: `replies` are used in turn, the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.calls: list[Call] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and reply."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        call = Call(head[0].split()[1], headers, body, writer, reader)
        self.calls.append(call)
        try:
            await self.replies[min(len(self.calls), len(self.replies)) - 1](call)
        except ConnectionError:
            call.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def opened(*replies: Reply) -> AsyncGenerator[Endpoint]:
    """Run an endpoint."""
    endpoint = Endpoint(*replies)
    server = await asyncio.start_server(endpoint.handle, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.close()


@pytest.fixture
def endpoint() -> Callable[..., Any]:
    """`async with endpoint(reply, ...) as server`."""
    return opened
