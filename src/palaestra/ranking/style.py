"""Style of answers: counts of tokens and Markdown, and the formulas that turn them into features.

Counts come from `conv_metadata` of the public releases (integers, or structs, maps or JSON whose values are summed),
from flat columns of the same names, or, where a side lacks them, from the conversations. Counting is by the public rule
(FastChat's `add_markdown_info.py`) in the answers without their fenced code: headers are lines that begin with 1 to 6
`#` and a blank, list items lines that begin with a number and a dot or with `-`, `*`, `+`, and a blank, bold is
`**...**` or `__...__` within a line. Tokens are `num_tokens` of the messages if all answers have it, else estimates.

With a and b the counts of the two sides, a feature is

    blog               (a - b) / (a + b), nothing on both sides being 0   LMSYS, "Does style matter?", 2024; arena-rank
    fastchat           (a - b) / (a + b + 1)                              FastChat's code
    arena-hard-v0.1    (a - b) / (a + b + 1)                              Arena-Hard-Auto v0.1
    arena-hard-v2.0    tokens as in `blog`; else (p - q) / (p + q + 1) of p, q = count / (tokens + 1)

Published fits also standardise and centre features over all battles. Here the fit divides by the root mean square and
does not centre: features change sign with the sides, so centring is a left-right constant (the covariate `position`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.messages import Messages, count_in_messages, from_json, messages_of
from palaestra.stats.parts import on_threads
from palaestra.store.markdown import MARKDOWN, TOKEN, WITHOUT_CODE

__all__ = [
    "FEATURES",
    "StyleDefinition",
    "count_in_messages",
    "named_features",
    "ratio",
    "style_columns",
    "style_counts",
    "style_features",
    "summed",
    "unpacked",
    "user_tokens",
]

Floats = NDArray[np.float64]

_ROWS_AT_ONCE = 1 << 17
FEATURES = ("length", "header", "list", "bold")
_GROUPS = {"all": FEATURES, "markdown": FEATURES[1:]}
_COUNTS = {
    "length": "sum_assistant_{}_tokens",
    "header": "header_count_{}",
    "list": "list_count_{}",
    "bold": "bold_count_{}",
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


def style_features(
    frame: pl.DataFrame, style: Sequence[str], definition: StyleDefinition, *, out: Floats | None = None
) -> Floats:
    """Features of votes, side a minus side b, shape (F, B), not standardised.

    Args:
        frame: votes.
        style: names of features, as `named_features` gives them.
        definition: the formula.
        out: where they go, if not into an array of their own.

    Raises:
        InputError: there is nothing to count, or counts have gaps or are below zero.
    """
    dense = definition == StyleDefinition.ARENA_HARD_2
    counted = style_counts(frame, [*style, "length"] if dense else style)
    count = {column.name: column.to_numpy() for column in counted}
    x_FB = np.empty((frame.height, len(style))).T if out is None else out

    def fill(low: int) -> None:
        rows = slice(low, low + _ROWS_AT_ONCE)
        part_FB = np.empty_like(x_FB[:, rows], order="C")
        for feature, x_B in zip(style, part_FB, strict=True):
            a, b = (count[f"{feature}_{side}"][rows] for side in "ab")
            if dense and feature != "length":
                _ratio_of_densities(a, b, count["length_a"][rows], count["length_b"][rows], x_B)
            else:
                ratio(a, b, 0.0 if dense or definition == StyleDefinition.BLOG else 1.0, x_B)
        x_FB[:, rows] = part_FB

    on_threads(fill, range(0, frame.height, _ROWS_AT_ONCE))
    return x_FB


@njit(cache=True, nogil=True)
def ratio(a_B: Any, b_B: Any, plus: float, out_B: Any) -> None:  # noqa: ANN401 - compiled
    """(a - b) / (a + b + plus), where nothing on both sides is no difference."""
    for r in range(len(out_B)):
        a, b = float(a_B[r]), float(b_B[r])
        total = a + b + plus
        out_B[r] = (a - b) / total if total != 0.0 else 0.0


@njit(cache=True, nogil=True)
def _ratio_of_densities(a_B: Any, b_B: Any, tokens_a_B: Any, tokens_b_B: Any, out_B: Any) -> None:  # noqa: ANN401 - compiled
    """(p - q) / (p + q + 1) of the counts for each token."""
    for r in range(len(out_B)):
        p, q = float(a_B[r]) / (float(tokens_a_B[r]) + 1.0), float(b_B[r]) / (float(tokens_b_B[r]) + 1.0)
        out_B[r] = (p - q) / (p + q + 1.0)


def style_counts(frame: pl.DataFrame, style: Sequence[str] = FEATURES) -> pl.DataFrame:
    """Counts of both sides, one row a vote: the columns `length_a`, `length_b`, `header_a` and so on, without gaps.

    Raises:
        InputError: there is nothing to count, or counts have gaps or are below zero.
    """
    wanted = named_features(style)
    whole = unpacked(frame)
    ready = [name for name in wanted if {_COUNTS[name].format(side) for side in "ab"} <= set(whole.columns)]
    rest = [name for name in wanted if name not in ready]
    if rest and not {"conversation_a", "conversation_b"} <= set(whole.columns):
        raise InputError(
            f"style {rest[0]}: found neither {' and '.join(_COUNTS[rest[0]].format(side) for side in 'ab')}, alone or "
            f"in conv_metadata, nor conversation_a and conversation_b; found values in {', '.join(whole.columns)}"
        )
    counts = {f"{name}_{side}": summed(whole[_COUNTS[name].format(side)]) for name in ready for side in "ab"}
    counts |= _counts_in_answers(whole, rest) if rest else {}
    sources = {
        f"{name}_{side}": _COUNTS[name].format(side) if name in ready else f"conversation_{side}"
        for name in wanted
        for side in "ab"
    }
    counted = pl.DataFrame({name: counts[name] for name in sources})
    _refuse_gaps(counted, {n: s if s in frame.columns else f"conv_metadata.{s}" for n, s in sources.items()})
    return counted


def user_tokens(frame: pl.DataFrame) -> pl.Series | None:
    """Tokens of the user's messages of each vote; None where neither counts nor conversations are there."""
    whole = unpacked(frame)
    if "sum_user_tokens" in whole.columns:
        return summed(whole["sum_user_tokens"])
    if "conversation_a" not in whole.columns:
        return None
    messages = messages_of(whole["conversation_a"], "user")
    own = messages.said["tokens"].null_count() == 0
    return messages.per_vote(tokens=pl.col("tokens") if own else pl.col("text").str.count_matches(TOKEN))["tokens"]


def unpacked(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that hold values, and those that stand in `conv_metadata` or flat under its name, as columns alike.

    Raises:
        InputError: `conv_metadata` holds no counts by name.
    """
    bare = {_bare(name): name for name in frame.columns if _bare(name) not in frame.columns}
    frame = frame.rename({name: new for new, name in bare.items()})
    if "conv_metadata" in frame.columns and frame["conv_metadata"].null_count() < frame.height:
        packed = from_json(frame["conv_metadata"], "a struct of counts")
        if not isinstance(packed.dtype, pl.Struct):
            raise InputError(
                f"conv_metadata: found values of type {packed.dtype}, expected a struct of counts, or its JSON"
            )
        fields = [field.name for field in packed.dtype.fields if field.name not in frame.columns]
        frame = frame.with_columns(packed.struct.field(name).alias(name) for name in fields)
    return frame.select(column for column in frame if column.null_count() < max(frame.height, 1))


def _bare(name: str) -> str:
    return name.removeprefix("conv_metadata.").removeprefix("conv_metadata_")


def style_columns(names: Iterable[str]) -> list[str]:
    """Which of these columns the counting of style looks at: counts where they are, else conversations."""
    counts = {column.format(side) for column in _COUNTS.values() for side in "ab"}
    found = [name for name in names if name == "conv_metadata" or _bare(name) in counts]
    whole = "conv_metadata" in found or counts <= set(map(_bare, found))
    return found if whole else [*found, *(name for name in names if name in {"conversation_a", "conversation_b"})]


def summed(counts: pl.Series) -> pl.Series:
    """A column as one number a vote: numbers or their text as they are, parts (a struct, a map, their JSON) as a sum.

    Raises:
        InputError: the column holds something else.
    """
    if counts.dtype == pl.String:
        found = counts.cast(pl.Float64, strict=False)
        plain = found.null_count() == counts.null_count()
        return found if plain else summed(from_json(counts, "a number, or numbers by name,"))
    if any(not (part.is_numeric() or part in {pl.Boolean, pl.Null}) for part in _parts(counts.dtype)):
        raise InputError(f"column {counts.name}: found values of type {counts.dtype}, expected numbers")
    if isinstance(counts.dtype, pl.Map):
        return counts.map.values().list.sum()
    if isinstance(counts.dtype, pl.List):
        total = counts.list.eval(pl.element().struct.field("value")).list.sum()
    elif isinstance(counts.dtype, pl.Struct):
        fields = [counts.struct.field(field.name) for field in counts.dtype.fields]
        total = pl.select(pl.sum_horizontal(field.cast(pl.Float64) for field in fields).alias(counts.name)).to_series()
    else:
        return counts if counts.dtype.is_integer() or counts.dtype.is_float() else counts.cast(pl.Float64)
    return total.set(counts.is_null(), None) if counts.null_count() else total


def _parts(kind: Any) -> list[Any]:  # noqa: ANN401 - a type of polars
    """The types of the numbers in a column."""
    if isinstance(kind, pl.Map):
        return [kind.value]
    if isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct):
        return [field.dtype for field in kind.inner.fields if field.name == "value"] or [kind]
    return [field.dtype for field in kind.fields] if isinstance(kind, pl.Struct) else [kind]


def _counts_in_answers(frame: pl.DataFrame, wanted: Sequence[str]) -> dict[str, pl.Series]:
    """What the answers of both sides hold; tokens are the writers' own counts on both sides, or estimates on both."""
    answers = {side: messages_of(frame[f"conversation_{side}"], "assistant") for side in "ab"}
    own = all(found.said["tokens"].null_count() == 0 for found in answers.values())
    asked = {"length": pl.col("tokens") if own else pl.col("text").str.count_matches(TOKEN)}
    for name, patterns in MARKDOWN.items():
        asked[name] = sum((pl.col("bare").str.count_matches(pattern) for pattern in patterns), start=pl.lit(0))
    counts: dict[str, pl.Series] = {}
    for side, found in answers.items():
        bare = found.said.with_columns(bare=WITHOUT_CODE) if {*wanted} & {*MARKDOWN} else found.said
        counted = Messages(found.talk, bare).per_vote(**{name: asked[name] for name in wanted})
        counts |= {f"{column.name}_{side}": column for column in counted}
    return counts


def _refuse_gaps(counts: pl.DataFrame, sources: Mapping[str, str]) -> None:
    for column in counts:
        if column.null_count():
            missing, source = column.is_null(), sources[column.name]
            raise InputError(
                f"style {column.name[:-2]}: {missing.sum()} of {len(column)} rows have no {source}, the first is row "
                f"{(missing.arg_max() or 0) + 1}; leave them out, e.g. with the category 'counted={source} IS NOT NULL'"
            )
    for name, least in counts.min().rows(named=True)[0].items():
        if least is not None and least < 0:
            row = (counts[name] < 0).arg_max() or 0
            raise InputError(
                f"style {name[:-2]}: row {row + 1} has the {sources[name]} {counts[name][row]}, expected 0 or more"
            )
