"""Conversations in columns: what one role has said in them, and how much of something, vote by vote.

A conversation is a list of messages with `role` and `content`, or its JSON. Content is text, or a list of typed parts:
those of type `text`, joined by a blank line, as in `schema.Message.text`. Not here: how tokens are estimated
(`store/markdown.py`), what of a text is style (`style`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from palaestra.errors import InputError
from palaestra.store.markdown import WITHOUT_CODE


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one role in B conversations.

    `said` holds them one under the other: `row`, the place of their vote from 0; `text`; `tokens`, the count that came
    with them, null where none did; `sources`, how many of their parts are search results.
    """

    talk: pl.Series
    said: pl.DataFrame

    def per_vote(self, **counts: pl.Expr) -> pl.DataFrame:
        """Sums of counts over the messages of each vote, floats; null where a vote has no conversation."""
        found = self.said.select("row", **counts)
        row, size = found["row"].to_numpy(), len(self.talk)
        sums = {name: np.bincount(row, weights=found[name].to_numpy(), minlength=size) for name in counts}
        there = pl.lit(self.talk.is_not_null())
        return pl.DataFrame(sums).select(pl.when(there).then(pl.col(name)).alias(name) for name in counts)


def messages_of(talk: pl.Series, role: str) -> Messages:
    """The messages of one role.

    Args:
        talk: conversations, shape (B,).
        role: whose messages.

    Raises:
        InputError: the column holds no conversations.
    """
    talk = from_json(talk, "a list of messages")
    fields = _fields_of_items(talk.dtype)
    if not {"role", "content"} <= set(fields):
        raise InputError(
            f"{talk.name}: found values of type {talk.dtype}, expected a list of messages with role, content"
        )
    message = pl.col("message").struct
    text, sources = _read(talk.name, message.field("content"), fields["content"])
    tokens = message.field("num_tokens") if "num_tokens" in fields else pl.lit(None, dtype=pl.Int64)
    said = (
        pl.DataFrame({"row": pl.int_range(len(talk), eager=True), "message": talk})
        .explode("message")
        .filter(message.field("role") == role)
        .select("row", text=text.fill_null(""), tokens=tokens, sources=sources)
    )
    return Messages(talk, said)


def _read(name: str, content: pl.Expr, kind: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """The text of a content and the number of its sources."""
    if kind in {pl.String, pl.Null}:
        return content.cast(pl.String), pl.lit(0)
    parts = _fields_of_items(kind)
    if "text" not in parts:
        raise InputError(f"{name}: found content of type {kind}, expected text, or a list of parts with text")
    part = pl.element().struct
    if "type" not in parts:
        return content.list.eval(part.field("text")).list.join("\n\n"), pl.lit(0)
    text = content.list.eval(pl.when(part.field("type") == "text").then(part.field("text"))).list.join("\n\n")
    return text, content.list.eval(part.field("type") == "search_result").list.sum().fill_null(0)


def count_in_messages(talk: pl.Series, role: str, pattern: str, *, fenced: bool = True) -> pl.Series:
    """How often a pattern stands in the messages of one role, shape (B,); null where a vote has no conversation.

    Args:
        talk: conversations, shape (B,).
        role: whose messages.
        pattern: a regular expression.
        fenced: whether fenced code blocks count too.

    Raises:
        InputError: the column holds no conversations.
    """
    messages = messages_of(talk, role)
    text = pl.col("text") if fenced else WITHOUT_CODE
    return messages.per_vote(count=text.str.count_matches(pattern))["count"]


def from_json(column: pl.Series, expected: str) -> pl.Series:
    """What the JSON in a column says; a column that is no text stays as it is.

    Args:
        column: the column.
        expected: what the JSON should be, in words.

    Raises:
        InputError: a text is no JSON, or the texts have no shape in common.
    """
    if column.dtype != pl.String:
        return column
    try:
        return column.str.json_decode(infer_schema_length=None)
    except PolarsError as error:
        for row, text in enumerate(column, start=1):
            if text is not None and not _is_json(text):
                raise InputError(
                    f"column {column.name}: row {row} holds {_short(text)}, expected {expected} as JSON"
                ) from error
        raise InputError(
            f"column {column.name}: found JSON of several shapes ({str(error).splitlines()[0]}), expected {expected} "
            f"in each row, e.g. {_short(column.drop_nulls()[0])}"
        ) from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")  # noqa: PLR2004 - a line of a message


def _fields_of_items(kind: pl.DataType) -> dict[str, pl.DataType]:
    """The fields of the structs in a list; none of any other type."""
    item = getattr(kind, "inner", None)
    return {field.name: field.dtype for field in item.fields} if isinstance(item, pl.Struct) else {}
