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
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from pydantic import Field

from palaestra.errors import InputError
from palaestra.gateway.client import Likely, Sampling
from palaestra.schema import ErrorRecord, Message, ModelSpec
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

    def sampling(self, key: str) -> Sampling:
        """What the gateway is asked for."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            top_logprobs=self.top_logprobs,
            idempotency_key=key,
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
    error: ErrorRecord | None = None


def call_key(spec: ModelSpec, call: Call) -> str:
    """SHA-256 over what the endpoint is sent: two calls with one key are one request."""
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
        [[message.role, message.text] for message in call.messages],
    ]
    return hashlib.sha256(json.dumps(sent, ensure_ascii=False).encode()).hexdigest()


class ReplyBook:
    """The replies that have come. One process writes, any number reads.

    Raises:
        InputError: the file cannot be opened, or is no book of replies.
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
        row = self._rows.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else Reply.model_validate_json(row[0])

    def failure(self, key: str) -> ErrorRecord | None:
        """How a call has failed that has no reply; None where it was not asked."""
        row = self._rows.execute("SELECT error FROM failures WHERE key = ?", (key,)).fetchone()
        return None if row is None else ErrorRecord.model_validate_json(row[0])

    def ask(self, key: str) -> None:
        """Note that a call is about to be made."""
        self._rows.execute("INSERT INTO asked VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1", (key,))

    def keep(self, replies: Sequence[tuple[str, str]]) -> None:
        """Keep replies, each a key and JSON, all of them or none."""
        keys = [(key,) for key, _ in replies]
        with closing(self._rows.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?)", replies)
            cursor.executemany("DELETE FROM asked WHERE key = ?", keys)
            cursor.executemany("DELETE FROM failures WHERE key = ?", keys)
            cursor.execute("COMMIT")

    def fail(self, key: str, error: ErrorRecord) -> None:
        """Keep how a call failed, until it is asked again with more luck."""
        with closing(self._rows.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (key, error.model_dump_json()))
            cursor.execute("DELETE FROM asked WHERE key = ?", (key,))
            cursor.execute("COMMIT")

    def unanswered(self) -> int:
        """How many calls were made of which nobody knows what came: the courier died over them."""
        return int(self._rows.execute("SELECT count(*) FROM asked").fetchone()[0])

    def forget_unanswered(self) -> None:
        """Start with a clean slate, once somebody has been told."""
        self._rows.execute("DELETE FROM asked")
