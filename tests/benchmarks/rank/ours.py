"""Palaestra as a contestant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from measure import STYLE, contestant

import palaestra
from palaestra.store.formats import check_votes, write_votes

CATEGORIES = [
    "overall",
    "english",
    "chinese",
    "german",
    "french",
    "japanese",
    "russian",
    "spanish",
    "korean",
    "multi_turn",
    "coding",
    "no_tie",
    "english_code=language = 'English' AND is_code",
    "english_multi=language = 'English' AND turn >= 2",
    "not_english=language <> 'English'",
    "not_code=NOT is_code",
    "single_turn=turn = 1",
    "three_turns=turn >= 3",
    "long_answers=sum_assistant_a_tokens + sum_assistant_b_tokens > 800",
    "short_answers=sum_assistant_a_tokens + sum_assistant_b_tokens <= 800",
]


def board(frame: pd.DataFrame, **settings: Any) -> Callable[[], dict[str, Any]]:
    """A fit, with what is compared with others."""

    def call() -> dict[str, Any]:
        found = palaestra.rank.fit(frame, **settings)
        lines = {line.model: (line.rating, line.se) for line in found.models}
        return {"lines": lines, "effects": {effect.name: (effect.coefficient, effect.se) for effect in found.effects}}

    return call


def categories(frame: pd.DataFrame) -> Callable[[], dict[str, Any]]:
    """Twenty categories, plain and style-controlled, from coded Parquet: the reading counts."""
    coded = Path(frame.attrs["path"]).with_suffix(".coded.parquet")
    write_votes(check_votes(frame).frame, coded)
    return lambda: {"boards": len(palaestra.rank.fit_categories(coded, CATEGORIES, style=STYLE))}


contestant(
    {
        "bt": board,
        "style": lambda frame: board(frame, style=STYLE),
        "bootstrap": lambda frame: board(frame, intervals="bootstrap", rounds=100),
        "bootstrap-style": lambda frame: board(frame, style=STYLE, intervals="bootstrap", rounds=100),
        "categories": categories,
    }
)
