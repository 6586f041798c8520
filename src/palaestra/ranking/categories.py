"""Which votes belong to which category: those of the public board, occupations, and any expression of one's own.

A category is a mask over the rows of a frame; what is fitted on it, plain and with style controlled, is the fit's
business. Names and rules are those of the public board (FastChat's monitor; "Chatbot Arena Categories", LMSYS, 2024;
hard prompts: Li et al., 2024, arXiv:2406.11939); `docs/categories.md` has the table. A vote whose label is missing is
not in the category; `no_refusal` and `dedup` leave out only what a label tells them to. Not here: making labels.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from palaestra.errors import InputError
from palaestra.ranking.labels import numbers, tagged, truth
from palaestra.ranking.style import count_in_messages, user_tokens
from palaestra.ranking.weights import deduplicated, within_daily_cap

Mask = NDArray[np.bool_]

_CODES = {
    "english": "en",
    "chinese": "zh",
    "french": "fr",
    "german": "de",
    "japanese": "ja",
    "korean": "ko",
    "russian": "ru",
    "spanish": "es",
}
_CRITERIA = (
    "specificity",
    "domain_knowledge",
    "complexity",
    "problem_solving",
    "creativity",
    "technical_accuracy",
    "real_world",
)
_HARD_CRITERIA, _TURNS, _LONG_TOKENS, _SHORT_TOKENS, _VOTES_A_DAY = 6, 2, 500, 5, 5
_VISION = ("captioning", "creative_writing_vision", "diagram", "entity_recognition", "homework", "humor", "ocr")
_INDUSTRY = "industry_"
_ALIASES = {
    "full": "overall",
    "multiturn": "multi_turn",
    "long_query": "long_user",
    "hard_6": "hard",
    "hard_english_6": "hard_english",
    "instruction_following": "if",
}
_SPELLINGS = {
    "if": ("if", "instruction_following"),
    "hard": ("hard", "hard_prompt"),
    "coding": ("coding", "code"),
}
"""Under which names a label is looked for, where there is more than one."""


def available(frame: pl.DataFrame) -> tuple[str, ...]:
    """The built-in categories whose columns are there, overall first.

    Raises:
        InputError: a column of labels holds something else.
    """
    return tuple(category_masks(frame, ["all"]))


def category_masks(frame: pl.DataFrame, wanted: Sequence[str]) -> dict[str, Mask]:
    """Which rows belong to each category, by the names that were asked for; masks of shape (B,).

    Args:
        frame: votes as `store.formats.check_votes` leaves them.
        wanted: built-in names or their aliases, `all` for every one whose columns are there, or `NAME=EXPRESSION` with
            a SQL expression over the columns.

    Raises:
        InputError: a category is unknown or lacks its columns, or an expression cannot be used.
    """
    columns = _Columns(frame)
    masks: dict[str, Mask] = {}
    for item in wanted:
        name, own, expression = item.partition("=")
        if own:
            _refuse_name(name, masks)
            masks[name] = _by_expression(columns.reachable, name, expression)
        elif item == "all":
            masks |= columns.all()
        else:
            masks[item] = columns.mask(item)
    return masks


def _refuse_name(name: str, taken: dict[str, Mask]) -> None:
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"found the category name {name!r}, expected letters, digits, _ and - before the first =")
    if name in {"all", *_RULES, *_ALIASES, *taken}:
        raise InputError(f"the category {name!r} exists already; give the expression another name")


def _by_expression(frame: pl.DataFrame, name: str, expression: str) -> Mask:
    try:
        found = frame.with_columns(pl.sql_expr(expression).alias(name))[name]
    except PolarsError as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise InputError(
            f"category {name}: cannot use the expression {expression!r} ({said}); the votes have the columns "
            f"{', '.join(_reachable(frame))}"
        ) from error
    if found.dtype != pl.Boolean:
        raise InputError(f"category {name}: {expression!r} gives {found.dtype}, expected true or false for each vote")
    return truth(found)


def _reachable(frame: pl.DataFrame) -> list[str]:
    """The columns, and the fields in them, as an expression names them."""
    inner = {name: kind.fields if isinstance(kind, pl.Struct) else [] for name, kind in frame.schema.items()}
    return [path for name, fields in inner.items() for path in (name, *(f"{name}.{field.name}" for field in fields))]


class _Columns:
    """What categories are made from, each thing looked up once. A column without a value in any row is not there."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.whole = frame
        self.frame = frame.select(column for column in frame if column.null_count() < max(len(column), 1))

    def all(self) -> dict[str, Mask]:
        """Every built-in category whose columns are there."""
        names = [*_RULES, *self.industries]
        found = {name: self.found(name) for name in names}
        return {name: mask for name, mask in found.items() if mask is not None}

    def mask(self, name: str) -> Mask:
        """One built-in category.

        Raises:
            InputError: there is none of that name, or its columns are not there.
        """
        known = _ALIASES.get(name, name)
        if known not in _RULES and not known.startswith(_INDUSTRY):
            near = difflib.get_close_matches(name, [*_RULES, *_ALIASES], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputError(
                f"found the category {name!r}, expected NAME=EXPRESSION, all, or one of {', '.join(_RULES)}, "
                f"{_INDUSTRY}...{hint}"
            )
        found = self.found(known)
        if found is None:
            needs = _RULES[known][0] if known in _RULES else f"occupational_tags with {known.removeprefix(_INDUSTRY)}"
            raise InputError(f"category {name} needs {needs}; found values in {', '.join(_reachable(self.frame))}")
        return found

    def found(self, name: str) -> Mask | None:
        """One built-in category, None where its columns are not there."""
        return _RULES[name][1](self) if name in _RULES else self.industries.get(name)

    def label(self, name: str) -> Mask | None:
        """A label: a plain column of it, `NAME` or `is_NAME`, or else what category_tag says."""
        names = _SPELLINGS.get(name, (name,))
        plain = _first_of(self.frame, *names, *(f"is_{name}" for name in names))
        return (
            truth(plain) if plain is not None else next((self.tags[name] for name in names if name in self.tags), None)
        )

    @cached_property
    def reachable(self) -> pl.DataFrame:
        """All columns, with maps of labels as structs, whose fields an expression can name."""
        maps = [name for name, kind in self.whole.schema.items() if kind == pl.Map(pl.String, pl.Boolean)]
        labels = {name: tagged(self.whole, name) for name in maps}
        return self.whole.with_columns(pl.DataFrame(found).to_struct(name) for name, found in labels.items() if found)

    @cached_property
    def tags(self) -> dict[str, Mask]:
        return tagged(self.frame, "category_tag")

    @cached_property
    def industries(self) -> dict[str, Mask]:
        return {f"{_INDUSTRY}{name}": mask for name, mask in tagged(self.frame, "occupational_tags").items()}

    @cached_property
    def languages(self) -> list[str]:
        """As they are written in these votes."""
        return self.frame["language"].drop_nulls().unique().cast(pl.String).to_list()

    @cached_property
    def user_tokens(self) -> pl.Series | None:
        found = user_tokens(self.frame)
        return None if found is None else numbers(found)

    @cached_property
    def turns(self) -> pl.Series | None:
        """How many messages the user wrote."""
        found = _first_of(self.frame, "turn", "turns", "conv_metadata.turns", "conv_metadata_turns")
        if found is None and "conv_metadata" in self.frame.columns:
            found = _field(self.frame["conv_metadata"], "turns")
        if found is None and "conversation_a" in self.frame.columns:
            found = count_in_messages(self.frame["conversation_a"], "user", r"\A")
        return None if found is None else numbers(found)


def _first_of(frame: pl.DataFrame, *names: str) -> pl.Series | None:
    return next((frame[name] for name in names if name in frame.columns), None)


def _field(packed: pl.Series, name: str) -> pl.Series | None:
    """A field of a struct or of its JSON; None where no vote has it."""
    found = None
    if isinstance(packed.dtype, pl.Struct) and name in packed.struct.fields:
        found = packed.struct.field(name)
    elif packed.dtype == pl.String:
        found = packed.str.json_path_match(f"$.{name}")
    return None if found is None or found.null_count() == len(found) else found


def _both(columns: _Columns, first: str, second: str) -> Mask | None:
    a, b = columns.found(first), columns.found(second)
    return None if a is None or b is None else a & b


def _language(columns: _Columns, name: str) -> Mask | None:
    if "language" not in columns.frame.columns:
        return None
    meant = [word for word in columns.languages if re.split(r"[\s_-]", word.strip().lower())[0] in {name, _CODES[name]}]
    return truth(columns.frame["language"].is_in(meant))


def _hard(columns: _Columns) -> Mask | None:
    label = columns.label("hard")
    met = [columns.tags[name] for name in _CRITERIA if name in columns.tags]
    if label is not None or not met:
        return label
    return np.sum(met, axis=0) >= _HARD_CRITERIA


def _at_least(of: Callable[[_Columns], pl.Series | None], least: int, columns: _Columns) -> Mask | None:
    found = of(columns)
    return None if found is None else truth(found >= least)


def _no_refusal(columns: _Columns) -> Mask | None:
    there = columns.frame.columns
    names = ["is_refusal"] if "is_refusal" in there else ["is_refusal_a", "is_refusal_b"]
    return ~np.any([truth(columns.frame[name]) for name in names], axis=0) if set(names) <= set(there) else None


def _limited(columns: _Columns) -> Mask | None:
    there = {"voter", "tstamp"} <= set(columns.frame.columns)
    return within_daily_cap(columns.frame, _VOTES_A_DAY) if there else None


def _no_tie(columns: _Columns) -> Mask:
    winner = columns.frame["winner"]
    return truth((winner == "model_a") | (winner == "model_b"))


def _labelled(name: str, source: str) -> tuple[str, _Rule]:
    words = _SPELLINGS.get(name, (name,))
    needs = f"a column {' or '.join(f'{word} or is_{word}' for word in words)}, or category_tag with {source}"
    return needs, lambda columns: columns.label(name)


_Rule = Callable[[_Columns], Mask | None]
_USER_TOKENS = "sum_user_tokens (alone or in conv_metadata) or conversation_a"
_RULES: dict[str, tuple[str, _Rule]] = {
    "overall": ("nothing", lambda columns: np.ones(columns.frame.height, dtype=bool)),
    **{name: ("the column language", partial(_language, name=name)) for name in _CODES},
    "multi_turn": (
        "the column turn, conv_metadata with turns, or conversation_a",
        partial(_at_least, lambda columns: columns.turns, _TURNS),
    ),
    "long_user": (_USER_TOKENS, partial(_at_least, lambda columns: columns.user_tokens, _LONG_TOKENS)),
    "coding": _labelled("coding", "coding"),
    "hard": ("a column hard or is_hard, or category_tag with hard, hard_prompt or criteria_v0.1", _hard),
    "hard_english": (
        "a column hard or is_hard, or category_tag with criteria_v0.1, and the column language",
        partial(_both, first="hard", second="english"),
    ),
    "if": _labelled("if", "if_v0.1 or if"),
    "math": _labelled("math", "math_v0.1 or math"),
    "creative_writing": _labelled("creative_writing", "creative_writing_v0.1 or creative_writing"),
    "expert": _labelled("expert", "expert"),
    **{name: _labelled(name, f"{name}_v0.1 or {name}") for name in _VISION},
    "no_tie": ("the column winner", _no_tie),
    "no_short": (_USER_TOKENS, partial(_at_least, lambda columns: columns.user_tokens, _SHORT_TOKENS)),
    "no_refusal": ("a column is_refusal, or is_refusal_a and is_refusal_b", _no_refusal),
    "dedup": ("the column dedup_tag with high_freq", lambda columns: deduplicated(columns.frame)),
    "overall_limit_5_user_vote": ("the columns voter and tstamp", _limited),
}
"""Of each built-in category, what it needs, in words, and its rule."""
