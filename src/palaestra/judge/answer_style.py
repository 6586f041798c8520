"""Answers with their counts: `length`, `header`, `list`, `bold` of each question and model.

    texts    question_id, model, and text (also answer, output): counted by the public rule (`store/markdown.py`)
    counts   question_id, model, length (also tokens, token_len, token_length), and header, list, bold where known

One answer each for a question and model. The feature of two answers is log((1 + count A) / (1 + count B)), so that a
coefficient of 1 on length means: twice as long, twice the odds. Not here: what the features do (`bias.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from palaestra.errors import InputError
from palaestra.judge import answers
from palaestra.judge.answer_kinds import READERS
from palaestra.store.markdown import MARKDOWN, count_in_texts
from palaestra.store.records import read_rows

FEATURES = ("length", *MARKDOWN)
_TEXTS = ("text", "answer", "output")
_LENGTHS = ("length", "tokens", "token_len", "token_length")
_KEY = ("question_id", "model")


def read_counted_answers(path: str | Path) -> pl.DataFrame:
    """Answers from a file, or from the files of other tools (`answers.py`), with `text` where there is one and counts.

    Raises:
        InputError: unreadable, a column is missing, or a question and model has two answers.
    """
    path = Path(path)
    rows = [] if path.is_dir() else read_rows(path, "answers")
    if not rows or ("text" not in rows[0] and any(set(marks) <= rows[0].keys() for marks in READERS)):
        return _counted(answers.read_answers(path), str(path))
    frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in rows[0]}, strict=False)
    return counted_answers(frame, str(path))


def _counted(given: Sequence[answers.Answer], source: str) -> pl.DataFrame:
    """Answers of other tools; tokens are their own counts where all have them, estimates else."""
    columns = {"question_id": [each.question_id for each in given], "model": [each.model for each in given]}
    found = counted_answers(pl.DataFrame(columns | {"text": ["\n\n".join(each.turns) for each in given]}), source)
    tokens = pl.Series("length", [each.token_len for each in given], dtype=found.schema["length"])
    return found if tokens.null_count() else found.with_columns(tokens)


def counted_answers(frame: pl.DataFrame, source: str = "answers") -> pl.DataFrame:
    """Answers with their counts: question_id, model, text (null where only counts are known), and `FEATURES`.

    Raises:
        InputError: a column is missing, a count is no number from 0, or a question and model has two answers.
    """
    text = next((name for name in _TEXTS if name in frame.columns), None)
    length = next((name for name in _LENGTHS if name in frame.columns), None)
    if not set(_KEY) <= set(frame.columns) or (text is None and length is None):
        raise InputError(
            f"{source}: found the columns {', '.join(frame.columns) or 'none'}, expected question_id, model and text, "
            "or counts: length, header, list, bold"
        )
    key = frame.select(pl.col(name).cast(pl.String) for name in _KEY)
    _refuse_repeated(source, key)
    if text is not None:
        if frame[text].dtype != pl.String:
            raise InputError(f"{source}: column {text}: found {frame[text].dtype}, expected one text for each answer")
        return key.hstack([frame[text].alias("text")]).hstack(count_in_texts(frame[text]))
    counts = {name: frame[name] for name in MARKDOWN if name in frame.columns} | {"length": frame[str(length)]}
    numbers = {name: _number(source, column).alias(name) for name, column in counts.items()}
    missing = [pl.lit(None, dtype=pl.Float64).alias(name) for name in FEATURES if name not in numbers]
    found = key.with_columns(*numbers.values(), *missing, text=pl.lit(None, dtype=pl.String))
    return found.select(*_KEY, "text", *FEATURES)


def with_features(frame: pl.DataFrame, answers: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows of verdicts with a column for each feature, and the names of those that are known for all that remain.

    A row of which an answer is missing is left out; a feature that some answer lacks is left out for all.
    """
    known = answers.filter(pl.col("length").is_not_null())
    for side in "ab":
        renamed = known.select(
            "question_id",
            pl.col("model").alias(f"model_{side}"),
            *(pl.col(name).cast(pl.Float64).alias(f"{name}_{side}") for name in FEATURES),
        )
        frame = frame.join(renamed, on=["question_id", f"model_{side}"], maintain_order="left")
    there = tuple(
        name for name in FEATURES if not frame[f"{name}_a"].null_count() and not frame[f"{name}_b"].null_count()
    )
    features = [((1 + pl.col(f"{name}_a")) / (1 + pl.col(f"{name}_b"))).log().alias(name) for name in there]
    return frame.with_columns(features), there


def _number(source: str, column: pl.Series) -> pl.Series:
    found = column.cast(pl.Float64, strict=False)
    bad = (found.is_null() & column.is_not_null()) | ~(found.is_finite() & (found >= 0))
    bad = bad.fill_null(value=False)
    if bad.any():
        row = bad.arg_max() or 0
        raise InputError(
            f"{source}: row {row + 1}, column {column.name}: found {column[row]!r}, expected a count from 0"
        )
    return found


def _refuse_repeated(source: str, key: pl.DataFrame) -> None:
    repeated = key.is_duplicated()
    if repeated.any():
        row = repeated.arg_max() or 0
        question, model = key.row(row)
        raise InputError(
            f"{source}: row {row + 1}: found more than one answer of {model!r} to question {question!r}, expected one"
        )
