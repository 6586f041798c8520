"""What else moves a vote beside the two models: from columns of votes to a matrix.

    position           1: the advantage of side a
    same_organization  1 where both models are of one organisation: side a's advantage among them
    own_organization   1 where model a is of the judge's organisation, minus the same of b: a judge's self-preference
    refusal            is_refusal_a minus is_refusal_b
    latency            difference of log(1 + seconds): latency_, or first_token_s_, or total_s_, the first that is there
    citations          difference of the numbers of sources: citation_count_, or search results among the parts of
                       answers where any has such, or links in the text of answers
    NAME               any other column, also one in conv_metadata: NAME_a minus NAME_b, or, where there is only NAME, a
                       quality of the battle that leans towards side a
    NAME:ratio         (a - b) / (a + b), nothing on both sides being 0
    NAME:log           difference of log(1 + value)

Each is oriented side a minus side b, so that with the sides exchanged it changes its sign; only what is said of side a
itself (position, same_organization, a quality of the battle) stays. Strengths are read off where all are zero. An
unknown organisation is nobody's. Not here: how coefficients are estimated, and per what unit they are stated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.messages import messages_of
from palaestra.ranking.style import StyleDefinition, named_features, ratio, style_features, summed, unpacked
from palaestra.stats.parts import on_threads, ranges
from palaestra.store.markdown import WITHOUT_CODE

Floats = NDArray[np.float64]

_FORMS = ("ratio", "log")
_LATENCIES = ("latency", "first_token_s", "total_s")
_LINK = r"https?://[^\s)\]>]+"


@dataclass(frozen=True, slots=True)
class Design:
    """F covariates of B votes: names, and a finite matrix `x_FB` of side a minus side b, not standardised.

    Covariates of one vote lie together. `most_F` is the greatest magnitude of each.
    """

    names: tuple[str, ...]
    x_FB: Floats
    most_F: Floats


def covariates(
    frame: pl.DataFrame,
    *,
    style: Sequence[str] = (),
    others: Sequence[str] = (),
    definition: StyleDefinition = StyleDefinition.BLOG,
) -> Design:
    """The covariates of votes.

    Args:
        frame: votes.
        style: features of style, by name.
        others: the other covariates, by name.
        definition: the formula of a style feature.

    Raises:
        InputError: a column is not there, has gaps, is no number, or does not vary.
        ValueError: there is no such definition.
    """
    features = named_features(style)
    names = (*features, *others)
    if len(set(names)) < len(names):
        raise InputError(f"found a covariate twice among {', '.join(names)}, expected each once")
    if names and frame.is_empty():
        raise InputError(f"covariate {names[0]}: found no votes")
    x_FB = np.empty((frame.height, len(names))).T
    if features:
        style_features(frame, features, StyleDefinition(definition), out=x_FB[: len(features)])
    for f, name in enumerate(others, start=len(features)):
        x_FB[f] = _NAMED[name](frame) if name in _NAMED else _any(frame, name)
    least_F, most_F = _extremes(x_FB)
    for name, x_B, least, most in zip(names, x_FB, least_F.tolist(), most_F.tolist(), strict=True):
        _check(name, x_B, least, most)
    return Design(names, x_FB, np.maximum(-least_F, most_F))


def _extremes(x_FB: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest value of each covariate; not finite if one is not."""
    axes = tuple(range(len(x_FB)))
    done = on_threads(lambda both: _range(axes, x_FB.T[slice(*both)]), ranges(x_FB.shape[1]))
    return np.min([least_F for least_F, _ in done], axis=0), np.max([most_F for _, most_F in done], axis=0)


@njit(cache=True, nogil=True)
def _range(axes: Any, x_BF: Any) -> Any:  # noqa: ANN401 - compiled
    least_F, most_F = np.full(len(axes), np.inf), np.full(len(axes), -np.inf)
    for r in range(len(x_BF)):
        for f in range(len(axes)):
            x = x_BF[r, f]
            least_F[f] = x if not x >= least_F[f] else least_F[f]  # also NaN, which stays
            most_F[f] = x if not x <= most_F[f] else most_F[f]
    return least_F, most_F


def _check(name: str, x_B: Floats, least: float, most: float) -> None:
    if not (np.isfinite(least) and np.isfinite(most)):
        row = int((~np.isfinite(x_B)).argmax()) + 1
        raise InputError(f"covariate {name}: row {row} holds no finite number; leave such rows out or mend the column")
    if least == most == 0:
        raise InputError(f"covariate {name} is zero in all {len(x_B)} votes, so that nothing can be said of it")
    if least == most and name != "position":
        raise InputError(
            f"covariate {name} is {least:g} in all {len(x_B)} votes; for an advantage of side a ask for position"
        )


def _same_organization(frame: pl.DataFrame) -> Floats:
    a, b = (_organization(frame, f"organization_{side}", "same_organization") for side in "ab")
    return (a == b).fill_null(value=False).cast(pl.Float64).to_numpy()


def _own_organization(frame: pl.DataFrame) -> Floats:
    columns = ("organization_a", "organization_b", "judge_organization")
    a, b, judge = (_organization(frame, column, "own_organization") for column in columns)
    own_a, own_b = ((side == judge).fill_null(value=False).cast(pl.Float64).to_numpy() for side in (a, b))
    return own_a - own_b


def _organization(frame: pl.DataFrame, column: str, name: str) -> pl.Series:
    if column not in frame.columns:
        raise InputError(f"covariate {name} needs the column {column}; found {', '.join(frame.columns)}")
    return frame[column].cast(pl.String)


def _refusal(frame: pl.DataFrame) -> Floats:
    both = _pair_of_columns(frame, "is_refusal")
    if both is None:
        hint = "; is_refusal alone does not say whose it was" if "is_refusal" in frame.columns else ""
        raise InputError(
            f"covariate refusal needs the columns is_refusal_a and is_refusal_b{hint}; found {', '.join(frame.columns)}"
        )
    return _difference(frame, both, "refusal", "")


def _latency(frame: pl.DataFrame) -> Floats:
    found = next((both for name in _LATENCIES if (both := _pair_of_columns(frame, name))), None)
    if found is None:
        needed = " or ".join(f"{name}_a and {name}_b" for name in _LATENCIES)
        raise InputError(f"covariate latency needs the columns {needed}; found {', '.join(frame.columns)}")
    return _difference(frame, found, "latency", "log")


def _citations(frame: pl.DataFrame) -> Floats:
    whole = unpacked(frame)
    if (both := _pair_of_columns(whole, "citation_count")) is not None:
        return _difference(whole, both, "citations", "")
    if not {"conversation_a", "conversation_b"} <= set(whole.columns):
        raise InputError(
            "covariate citations needs citation_count_a and citation_count_b, or conversation_a and conversation_b; "
            f"found values in {', '.join(whole.columns)}"
        )
    answers = [messages_of(whole[f"conversation_{side}"], "assistant") for side in "ab"]
    counts = [found.per_vote(count=pl.col("sources"))["count"] for found in answers]
    if not any(count.sum() for count in counts):
        counts = [found.per_vote(count=WITHOUT_CODE.str.count_matches(_LINK))["count"] for found in answers]
    a, b = (
        _without_gaps(count.alias(f"conversation_{side}"), "citations")
        for count, side in zip(counts, "ab", strict=True)
    )
    return a - b


_NAMED: dict[str, Callable[[pl.DataFrame], Floats]] = {
    "position": lambda frame: np.ones(frame.height),
    "same_organization": _same_organization,
    "own_organization": _own_organization,
    "refusal": _refusal,
    "latency": _latency,
    "citations": _citations,
}


def _any(frame: pl.DataFrame, name: str) -> Floats:
    """A column of each side, or one of the battle."""
    column, _, form = name.partition(":")
    if form and form not in _FORMS:
        raise InputError(f"covariate {name}: found the form {form!r}, expected {' or '.join(_FORMS)}")
    both = _pair_of_columns(frame, column)
    if both is None and column not in frame.columns:
        frame = unpacked(frame)
        both = _pair_of_columns(frame, column)
    if both is not None:
        return _difference(frame, both, name, form)
    if column not in frame.columns:
        raise _missing(frame, column)
    if form:
        raise InputError(
            f"covariate {name}: found the column {column} alone, expected {column}_a and {column}_b to compare"
        )
    return _without_gaps(summed(frame[column]), name)


def _difference(frame: pl.DataFrame, both: tuple[str, str], name: str, form: str) -> Floats:
    a, b = (_without_gaps(summed(frame[column]), name) for column in both)
    if not form:
        return a - b
    for column, x_B in zip(both, (a, b), strict=True):
        if (x_B < 0).any():
            row = int((x_B < 0).argmax())
            raise InputError(f"covariate {name}: row {row + 1} of {column} holds {x_B[row]:g}, expected 0 or more")
    if form == "log":
        return np.log1p(a) - np.log1p(b)
    found_B = np.empty(len(a))
    ratio(a, b, 0.0, found_B)
    return found_B


def _pair_of_columns(frame: pl.DataFrame, column: str) -> tuple[str, str] | None:
    """NAME_a and NAME_b; or x_a_y and x_b_y for the name x_y, as in sum_assistant_a_tokens."""
    words = column.split("_")
    for cut in range(len(words), 0, -1):
        a, b = ("_".join([*words[:cut], side, *words[cut:]]) for side in "ab")
        if a in frame.columns and b in frame.columns:
            return a, b
    return None


def _without_gaps(numbers: pl.Series, name: str) -> Floats:
    if numbers.null_count():
        missing = numbers.is_null()
        raise InputError(
            f"covariate {name}: {missing.sum()} of {len(numbers)} rows have no {numbers.name}, the first is row "
            f"{(missing.arg_max() or 0) + 1}; leave them out, e.g. with the category 'known={numbers.name} IS NOT NULL'"
        )
    return numbers.cast(pl.Float64).to_numpy()


def _missing(frame: pl.DataFrame, column: str) -> InputError:
    known = {name[:-2] if name.endswith(("_a", "_b")) else name for name in frame.columns} | {*_NAMED}
    near = difflib.get_close_matches(column, sorted(known), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return InputError(
        f"covariate {column}: found neither {column}_a and {column}_b nor {column}{hint} There are values in "
        f"{', '.join(frame.columns)}; {', '.join(_NAMED)} have names of their own"
    )
