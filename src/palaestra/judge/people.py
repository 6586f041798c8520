"""Votes of people on the questions and models that a judge has seen: the columns of a vote file, and a question.

The question stands in question_id (also prompt_id, instruction_id, question, prompt). Battles of the arena without one
cannot be matched with verdicts. Not here: votes without questions (the room that ranks).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from palaestra.errors import InputError
from palaestra.store.formats import read_votes

_QUESTIONS = ("question_id", "prompt_id", "instruction_id", "question", "prompt")
_POINTS = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "both_bad": 0.5}


def read_people(path: str | Path) -> pl.DataFrame:
    """Votes with question_id, model_a, model_b, points (1 where A won, 0.5 tie or both bad, 0), one row a vote.

    Raises:
        InputError: unreadable, or no column says to which question a vote belongs.
    """
    frame = read_votes(path).frame
    question = next((name for name in _QUESTIONS if name in frame.columns), None)
    if question is None:
        raise InputError(
            f"{path}: found the columns {', '.join(frame.columns)}, expected one of {', '.join(_QUESTIONS)}: votes and "
            "verdicts are matched by question"
        )
    nameless = frame[question].is_null()
    if nameless.any():
        raise InputError(f"{path}: row {(nameless.arg_max() or 0) + 1}, column {question}: found nothing")
    points = pl.col("winner").cast(pl.String).replace_strict(_POINTS, return_dtype=pl.Float64)
    names = [pl.col(name).cast(pl.String) for name in ("model_a", "model_b")]
    return frame.select(pl.col(question).cast(pl.String).alias("question_id"), *names, points=points).filter(
        pl.col("model_a") != pl.col("model_b")
    )
