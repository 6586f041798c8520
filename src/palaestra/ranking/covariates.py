"""What else moves a vote beside the two models: from columns of votes to a matrix.

    position           1: the advantage of side a
    same_organization  1 where both models are of one organisation: side a's advantage among them
    own_organization   1 where model a is of the judge's organisation, minus the same of b: a judge's self-preference
    refusal            is_refusal_a minus is_refusal_b
    latency            difference of log(1 + seconds) to the first token (latency_, first_token_s_, total_s_)
    citations          difference of the numbers of cited links (citation_count_, or links in the answers)
    NAME               any other column: NAME_a minus NAME_b, or, where there is only NAME, a quality of the battle that
                       leans towards side a; NAME:ratio is (a - b) / (a + b), NAME:log a difference of log(1 + value)

Each is oriented side a minus side b: with the sides exchanged it changes its sign. Strengths are read off where all are
zero. Coefficients per root mean square; how they are estimated is the fit's business.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.style import StyleDefinition, count_in_messages, named_features, style_features

Floats = NDArray[np.float64]

_LATENCIES = ("latency", "first_token_s", "total_s")
_LINK = r"https?://[^\s)\]>]+"


@dataclass(frozen=True, slots=True)
class Design:
    """F covariates of B votes: names, and a finite matrix `x_FB` of side a minus side b, not standardised."""

    names: tuple[str, ...]
    x_FB: Floats


def covariates(
    frame: pl.DataFrame,
    *,
    style: Sequence[str] = (),
    others: Sequence[str] = (),
    definition: StyleDefinition = StyleDefinition.BLOG,
) -> Design:
    """The covariates of votes.

    Raises:
        InputError: a column is not there, has gaps, is no number, or does not vary.
    """
    features = named_features(style)
    x_FB = np.empty((len(features) + len(others), frame.height))
    if features:
        x_FB[: len(features)] = style_features(frame, features, definition)
    for f, name in enumerate(others, start=len(features)):
        x_FB[f] = _other(frame, name)
    names = (*features, *others)
    if len(set(names)) < len(names):
        raise InputError(f"found a covariate twice among {', '.join(names)}, expected each once")
    _check(names, x_FB)
    return Design(names, x_FB)


def _check(names: Sequence[str], x_FB: Floats) -> None:
    for name, x_B in zip(names, x_FB, strict=True):
        squares = float(np.dot(x_B, x_B))
        if not np.isfinite(squares):
            row = int((~np.isfinite(x_B)).argmax()) + 1
            raise InputError(
                f"covariate {name}: row {row} holds no finite number; leave such rows out or mend the column"
            )
        if squares == 0:
            raise InputError(f"covariate {name} is zero in all {len(x_B)} votes, so that nothing can be said of it")


def _other(frame: pl.DataFrame, name: str) -> Floats:
    if name == "position":
        return np.ones(frame.height)
    if name == "same_organization":
        a, b = (_named(frame, f"organization_{side}", name) for side in "ab")
        return (a == b).fill_null(value=False).cast(pl.Float64).to_numpy()
    if name == "own_organization":
        a, b, judge = (
            _named(frame, f"{of}organization{side}", name) for of, side in (("", "_a"), ("", "_b"), ("judge_", ""))
        )
        return _difference((a == judge).fill_null(value=False), (b == judge).fill_null(value=False))
    if name == "refusal":
        return _sides(frame, "is_refusal", "")
    if name == "latency":
        found = [column for column in _LATENCIES if f"{column}_a" in frame.columns]
        return _sides(frame, found[0] if found else "latency", "log")
    if name == "citations":
        return _citations(frame)
    column, _, form = name.partition(":")
    if form not in {"", "ratio", "log"}:
        raise InputError(f"covariate {name}: found the form {form!r}, expected ratio or log")
    return _sides(frame, column, form)


def _sides(frame: pl.DataFrame, column: str, form: str) -> Floats:
    """A column of each side, or one of the battle."""
    both = _pair_of_columns(frame, column)
    if both is None:
        if column not in frame.columns or form:
            raise _missing(frame, column)
        return _numbers(frame[column])
    a, b = (_numbers(frame[side]) for side in both)
    if form == "log":
        return np.log1p(a) - np.log1p(b)
    if form == "ratio":
        with np.errstate(invalid="ignore"):
            return np.where((a == 0) & (b == 0), 0.0, (a - b) / (a + b))
    return a - b


def _pair_of_columns(frame: pl.DataFrame, column: str) -> tuple[str, str] | None:
    """NAME_a and NAME_b; or x_a_y and x_b_y for the name x_y, as in sum_assistant_a_tokens."""
    words = column.split("_")
    for cut in range(len(words), 0, -1):
        a, b = ("_".join([*words[:cut], side, *words[cut:]]) for side in "ab")
        if a in frame.columns and b in frame.columns:
            return a, b
    return None


def _citations(frame: pl.DataFrame) -> Floats:
    if _pair_of_columns(frame, "citation_count") is not None:
        return _sides(frame, "citation_count", "")
    a, b = (_named(frame, f"conversation_{side}", "citations") for side in "ab")
    return _difference(count_in_messages(a, "assistant", _LINK), count_in_messages(b, "assistant", _LINK))


def _difference(a: pl.Series, b: pl.Series) -> Floats:
    return (a.cast(pl.Float64) - b.cast(pl.Float64)).to_numpy()


def _named(frame: pl.DataFrame, column: str, covariate: str) -> pl.Series:
    if column not in frame.columns:
        raise InputError(f"covariate {covariate} needs the column {column}; found {', '.join(frame.columns)}")
    return frame[column]


def _numbers(values: pl.Series) -> Floats:
    numbers = values.cast(pl.Float64, strict=False)
    gaps = numbers.is_null()
    if gaps.any():
        row = int(gaps.arg_max() or 0)
        raise InputError(
            f"covariate {values.name}: row {row + 1} holds {values[row]!r}, expected a number ({gaps.sum()} such rows)"
        )
    return numbers.to_numpy()


def _missing(frame: pl.DataFrame, column: str) -> InputError:
    near = difflib.get_close_matches(column, [*frame.columns, "position", "latency", "citations", "refusal"], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return InputError(
        f"covariate {column}: found neither {column}_a and {column}_b nor {column}{hint} The votes have "
        f"{', '.join(frame.columns)}"
    )
