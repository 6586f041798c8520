r"""Style of answers: counts of tokens and Markdown, and the formulas that turn them into features.

Counts come from `conv_metadata` of the public releases (integers, or structs, maps or JSON whose values are summed), from
flat columns of the same names, or from the conversations themselves. Counting follows the public rule: fenced code blocks are
removed first; then headers are lines that begin with 1 to 6 `#` and a blank, list items begin with a number and a dot or
with `-`, `*`, `+`, and bold is `**...**` or `__...__` within a line. Tokens are `num_tokens` of the messages where all have it,
otherwise words and marks, `\w+|[^\w\s]`, which is an estimate and no tokenizer's count.

With a and b the counts of the two sides, a feature is

    blog               (a - b) / (a + b), nothing on both sides being 0       LMSYS, "Does style matter?", 2024; arena-rank
    fastchat           (a - b) / (a + b + 1)                                  FastChat's code
    arena-hard-v0.1    (a - b) / (a + b + 1)                                  Arena-Hard-Auto v0.1
    arena-hard-v2.0    tokens as in `blog`; else (p - q) / (p + q + 1) of p, q = count / (tokens + 1)

Published fits also standardise and centre features over all battles. Here the fit divides by the root mean square and does
not centre: features change sign with the sides, so centring is a left-right constant (the covariate `position`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from palaestra.errors import InputError

Floats = NDArray[np.float64]
Numbers = NDArray[np.number]

FEATURES = ("length", "header", "list", "bold")
_GROUPS = {"all": FEATURES, "markdown": FEATURES[1:]}
_COUNTS = {
    "length": "sum_assistant_{}_tokens",
    "header": "header_count_{}",
    "list": "list_count_{}",
    "bold": "bold_count_{}",
}

_FENCE = r"(?s)```.*?```"
_PATTERNS = {
    "length": r"\w+|[^\w\s]",
    "header": r"(?m)^#{1,6}[ \t]",
    "list": r"(?m)^[ \t]*(?:\d+\.|[-*+])[ \t]",
    "bold": r"\*\*[^*\n]+\*\*|__[^_\n]+__",
}


class StyleDefinition(StrEnum):
    """A published formula of style features."""

    BLOG = "blog"
    FASTCHAT = "fastchat"
    ARENA_HARD_1 = "arena-hard-v0.1"
    ARENA_HARD_2 = "arena-hard-v2.0"


def named_features(style: Sequence[str]) -> tuple[str, ...]:
    """The features that names stand for, each once.

    Raises:
        InputError: a name is none.
    """
    wrong = [name for name in style if name not in (*FEATURES, *_GROUPS)]
    if wrong:
        raise InputError(f"found the style {wrong[0]!r}, expected {', '.join((*FEATURES, *_GROUPS))}")
    return tuple(dict.fromkeys(feature for name in style for feature in _GROUPS.get(name, (name,))))


def style_features(frame: pl.DataFrame, style: Sequence[str], definition: StyleDefinition) -> Floats:
    """Features of votes, side a minus side b, shape (F, B), not standardised.

    Args:
        frame: votes.
        style: names of features, as `named_features` gives them.
        definition: the formula.

    Raises:
        InputError: there is nothing to count, or counts have gaps.
    """
    wanted = list(style)
    dense = definition is StyleDefinition.ARENA_HARD_2
    counted = style_counts(frame, [*wanted, "length"] if dense and "length" not in wanted else wanted)
    x_FB = np.empty((len(wanted), frame.height))

    def fill(f: int) -> None:
        name = wanted[f]
        a, b = counted[name]
        plus = 0.0 if definition is StyleDefinition.BLOG or (dense and name == "length") else 1.0
        if dense and name != "length":
            a, b = a / (counted["length"][0] + 1), b / (counted["length"][1] + 1)
        _ratio(a, b, plus, x_FB[f])

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, range(len(wanted))))
    return x_FB


@njit(cache=True, nogil=True)
def _ratio(a_B: Any, b_B: Any, plus: float, out_B: Any) -> None:  # noqa: ANN401 - compiled
    """(a - b) / (a + b + plus), where nothing on both sides is no difference."""
    for r in range(len(out_B)):
        a, b = float(a_B[r]), float(b_B[r])
        total = a + b + plus
        out_B[r] = (a - b) / total if total != 0.0 else 0.0


def style_counts(frame: pl.DataFrame, style: Sequence[str] = FEATURES) -> dict[str, tuple[Numbers, Numbers]]:
    """Counts of both sides by feature, each of shape (B,).

    Raises:
        InputError: there is nothing to count, or counts have gaps.
    """
    frame = _unpacked(frame)
    return {name: (_count(frame, name, "a"), _count(frame, name, "b")) for name in style}


def user_tokens(frame: pl.DataFrame) -> pl.Series | None:
    """Tokens of the user's messages of each vote; None where neither counts nor conversations are there."""
    frame = _unpacked(frame)
    if "sum_user_tokens" in frame.columns:
        return frame["sum_user_tokens"]
    return _in_messages(frame, "conversation_a", "user", "length") if "conversation_a" in frame.columns else None


def _unpacked(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with what stands in `conv_metadata` as columns of their own, where it has none of that name."""
    if "conv_metadata" not in frame.columns:
        return frame.rename({name: name[14:] for name in frame.columns if name[:14] in _PREFIXES}, strict=False)
    packed = frame["conv_metadata"]
    if packed.dtype == pl.String:
        packed = packed.str.json_decode(infer_schema_length=None)
    if not isinstance(packed.dtype, pl.Struct):
        raise InputError(
            f"conv_metadata: found values of type {packed.dtype}, expected a struct of counts, or its JSON"
        )
    fields = [field.name for field in packed.dtype.fields if field.name not in frame.columns]
    return frame.with_columns(packed.struct.field(name).alias(name) for name in fields)


_PREFIXES = {"conv_metadata.", "conv_metadata_"}


def style_columns(names: Sequence[str]) -> list[str]:
    """Which of these columns the counting of style looks at: counts where they are, conversations where they are not."""
    counts = {column.format(side) for column in _COUNTS.values() for side in "ab"}
    found = [name for name in names if name == "conv_metadata" or name[:14] in _PREFIXES or name in counts]
    whole = "conv_metadata" in found or counts <= {name[14:] if name[:14] in _PREFIXES else name for name in found}
    return found if whole else [*found, *(name for name in names if name in {"conversation_a", "conversation_b"})]


def _count(frame: pl.DataFrame, name: str, side: str) -> Numbers:
    column, conversation = _COUNTS[name].format(side), f"conversation_{side}"
    if column in frame.columns:
        counts = _summed(frame[column])
    elif conversation in frame.columns:
        counts = _in_messages(frame, conversation, "assistant", name)
    else:
        raise InputError(
            f"style {name}: found neither {column} (alone or in conv_metadata) nor {conversation}; "
            f"the votes have {', '.join(frame.columns)}"
        )
    gaps = counts.null_count()
    if gaps:
        row = counts.is_null().arg_max()
        raise InputError(
            f"style {name}: {gaps} rows have no {column}, the first is row {(row or 0) + 1}; leave them out, e.g. with "
            f"the category 'counted={column} IS NOT NULL'"
        )
    return (counts if counts.dtype.is_numeric() else counts.cast(pl.Float64)).to_numpy()


def _summed(counts: pl.Series) -> pl.Series:
    """Counts that come in parts (h1 to h6, ordered and unordered) as one number."""
    if counts.dtype == pl.String:
        numbers = counts.cast(pl.Float64, strict=False)
        counts = (
            numbers if numbers.null_count() == counts.null_count() else counts.str.json_decode(infer_schema_length=None)
        )
    if isinstance(counts.dtype, pl.List):  # a map: key and value
        total = counts.list.eval(pl.element().struct.field("value")).list.sum()
        return total.set(counts.is_null(), None) if counts.null_count() else total
    if not isinstance(counts.dtype, pl.Struct):
        return counts
    fields = [counts.struct.field(field.name).cast(pl.Float64) for field in counts.dtype.fields]
    total = pl.select(pl.sum_horizontal(*fields)).to_series()
    return total.set(counts.is_null(), None) if counts.null_count() else total


def _in_messages(frame: pl.DataFrame, conversation: str, role: str, name: str) -> pl.Series:
    """What the messages of one role hold of a feature, vote by vote."""
    return count_in_messages(
        frame[conversation], role, _PATTERNS[name], fenced=name == "length", tokens=name == "length"
    )


def count_in_messages(
    talk: pl.Series, role: str, pattern: str, *, fenced: bool = True, tokens: bool = False
) -> pl.Series:
    """How often a pattern stands in the messages of one role, vote by vote; null where there is no conversation.

    Args:
        talk: conversations: lists of messages with `role` and `content`, or their JSON.
        role: whose messages.
        pattern: a regular expression.
        fenced: whether fenced code blocks count too.
        tokens: whether the messages' own `num_tokens` are taken instead, where all have it.

    Raises:
        InputError: the column holds no conversations.
    """
    if talk.dtype == pl.String:
        talk = talk.str.json_decode(infer_schema_length=None)
    said = (
        pl.DataFrame({"row": pl.int_range(len(talk), eager=True), "message": talk})
        .explode("message")
        .filter(pl.col("message").struct.field("role") == role)
        .with_columns(text=_text(talk), tokens=_own_tokens(talk))
    )
    if tokens and said.height and said["tokens"].null_count() == 0:
        found = said.group_by("row").agg(count=pl.col("tokens").sum())
    else:
        text = pl.col("text") if fenced else pl.col("text").str.replace_all(_FENCE, "")
        found = said.group_by("row").agg(count=text.str.count_matches(pattern).sum())
    rows = pl.DataFrame({"row": pl.int_range(len(talk), eager=True), "there": talk.is_not_null()})
    counted = rows.join(found, on="row", how="left", maintain_order="left")
    return counted.select(pl.when("there").then(pl.col("count").fill_null(0)).cast(pl.Float64)).to_series()


def _text(talk: pl.Series) -> pl.Expr:
    """The text of a message whose content is a string, or a list of typed parts."""
    content = next(field.dtype for field in _message_fields(talk) if field.name == "content")
    of_message = pl.col("message").struct.field("content")
    if not isinstance(content, pl.List):
        return of_message.fill_null("")
    return of_message.list.eval(pl.element().struct.field("text").drop_nulls()).list.join("\n\n").fill_null("")


def _own_tokens(talk: pl.Series) -> pl.Expr:
    there = any(field.name == "num_tokens" for field in _message_fields(talk))
    return pl.col("message").struct.field("num_tokens") if there else pl.lit(None, dtype=pl.Int64)


def _message_fields(talk: pl.Series) -> list[pl.Field]:
    message = getattr(talk.dtype, "inner", None)
    names = [field.name for field in message.fields] if isinstance(message, pl.Struct) else []
    if "role" not in names or "content" not in names:
        raise InputError(
            f"{talk.name}: found values of type {talk.dtype}, expected a list of messages with role, content"
        )
    return message.fields  # ty: ignore[unresolved-attribute] - it is a struct, as was just seen
