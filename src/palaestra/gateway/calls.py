"""Calls that are paid for once, and the book of replies in which they stand.

A call is everything that makes a request what it is; its key is a hash of that. The book is one SQLite file: a reply is
in it before anybody else hears of it, so that whoever asks the same again gets it from there. What was asked and has no
reply may have been paid for and lost: only the death of the courier itself can bring that about (`courier.py`).

Not here: who asks (`courier.py`), and who wants to know (`asking.py`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr

from palaestra.errors import BookError, InputError
from palaestra.gateway.client import Sampling
from palaestra.gateway.offers import OfferedTool
from palaestra.gateway.wire import Likely
from palaestra.schema import ErrorRecord, Message, ModelSpec, TextPart, ToolCallPart
from palaestra.schema.record import Struct


class Call(Struct):
    """One request to a model."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    """None, as for what follows: the model's own."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    draw: int = Field(default=0, ge=0)
    """Tells apart requests that are meant to be made again: the first sample, the second one."""
    tools: tuple[OfferedTool, ...] = ()
    """What the model may call."""
    _key: tuple[ModelSpec, str] | None = PrivateAttr(default=None)

    def key(self, spec: ModelSpec) -> str:
        """See `call_key`; the last one is kept."""
        if self._key is None or self._key[0] is not spec:
            self._key = spec, _hashed(spec, self)
        return self._key[1]

    def sampling(self, key: str) -> Sampling:
        """What the gateway is asked for."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            top_logprobs=self.top_logprobs,
            idempotency_key=key,
            tools=self.tools,
        )


class Reply(Struct):
    """What came of a call: a text, or an error. Cost is None where the endpoint reports no tokens."""

    text: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    seconds: float = 0.0
    likely: tuple[Likely, ...] = ()
    calls: tuple[ToolCallPart, ...] = ()
    error: ErrorRecord | None = None


def call_key(spec: ModelSpec, call: Call) -> str:
    """SHA-256 over what the endpoint is sent: two calls with one key are one request."""
    return call.key(spec)


def _hashed(spec: ModelSpec, call: Call) -> str:
    sent = [
        spec.endpoint,
        spec.api_name or spec.name,
        spec.system,
        spec.template,
        [*spec.stop, *call.stop],
        spec.temperature if call.temperature is None else call.temperature,
        call.max_tokens or spec.max_tokens,
        call.seed,
        call.top_logprobs,
        call.draw,
        [_sent(message) for message in call.messages],
    ]
    if call.tools:
        sent.append([tool.sent() for tool in call.tools])
    return hashlib.sha256(json.dumps(sent, ensure_ascii=False).encode()).hexdigest()


def _sent(message: Message) -> list[Any]:
    """What of a message makes the request what it is; texts as ever, so that books of earlier versions still serve."""
    if all(isinstance(part, TextPart) for part in message.content):
        return [message.role, message.text]
    return [message.role, *(part.model_dump(mode="json") for part in message.content)]


class Order(Struct):
    """A call that somebody hands in."""

    key: str
    call: Call


class Receipt(Struct):
    """What came of it."""

    key: str
    reply: Reply


class ReplyBook:
    """The replies that have come. One process writes, any number reads.

    Raises:
        InputError: the file cannot be opened, or is no book of replies.
        BookError: from every method, where the file cannot be read or written any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            for order in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL) WITHOUT ROWID",
                "CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, error TEXT NOT NULL) WITHOUT ROWID",
                "CREATE TABLE IF NOT EXISTS asked (key TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID",
            ):
                self._rows.execute(order)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"cannot open the book of replies {path}: {error}; give a folder that can be written"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def find(self, key: str) -> Reply | None:
        """The reply to a call; None where none has come."""
        row = self._row("SELECT reply FROM replies WHERE key = ?", key)
        return None if row is None else Reply.model_validate_json(row[0])

    def failure(self, key: str) -> ErrorRecord | None:
        """How a call has failed that has no reply; None where it was not asked."""
        row = self._row("SELECT error FROM failures WHERE key = ?", key)
        return None if row is None else ErrorRecord.model_validate_json(row[0])

    def ask(self, key: str) -> None:
        """Note that a call is about to be made."""
        order = "INSERT INTO asked VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1"
        try:
            self._rows.execute(order, (key,))  # one statement is a transaction
        except sqlite3.Error as error:
            raise self._broken("written", error) from error

    def keep(self, replies: Sequence[tuple[str, str]]) -> None:
        """Keep replies, each a key and JSON, all of them or none."""
        keys = [(key,) for key, _ in replies]
        with self._together() as rows:
            rows.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?)", replies)
            rows.executemany("DELETE FROM asked WHERE key = ?", keys)
            rows.executemany("DELETE FROM failures WHERE key = ?", keys)

    def fail(self, key: str, error: ErrorRecord) -> None:
        """Keep how a call failed, until it is asked again with more luck."""
        with self._together() as rows:
            rows.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (key, error.model_dump_json()))
            rows.execute("DELETE FROM asked WHERE key = ?", (key,))

    def unanswered(self) -> int:
        """How many calls were made of which nobody knows what came: the courier died over them."""
        row = self._row("SELECT count(*) FROM asked")
        return 0 if row is None else int(row[0])

    def forget_unanswered(self) -> None:
        """Start with a clean slate, once somebody has been told."""
        with self._together() as rows:
            rows.execute("DELETE FROM asked")

    def _row(self, query: str, *key: str) -> tuple[Any, ...] | None:
        try:
            return self._rows.execute(query, key).fetchone()
        except sqlite3.Error as error:
            raise self._broken("read", error) from error

    @contextmanager
    def _together(self) -> Generator[sqlite3.Connection]:
        """What is written in the block is written whole or not at all."""
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            yield self._rows
            self._rows.execute("COMMIT")
        except sqlite3.Error as error:
            if self._rows.in_transaction:
                self._rows.execute("ROLLBACK")
            raise self._broken("written", error) from error

    def _broken(self, what: str, error: sqlite3.Error) -> BookError:
        return BookError(
            f"the book of replies {self.path} cannot be {what}: {error}; expected room on its disk: make some, and run "
            "the same command with --resume"
        )
