"""Verdicts against one baseline as a table of questions by models: what each model got on each question.

A model's points on a question are 1, 1/2 or 0 for a win, tie or loss against the baseline (or the judge's own
probability), averaged over the verdicts that are there: over both orders, and over judges. A strong win is a win.

Not here: a board's scores with strong wins counted three times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.judge.verdict import POINTS

Floats = NDArray[np.float64]

LEAST_MODELS, LEAST_QUESTIONS = 3, 3


@dataclass(frozen=True, slots=True)
class Items:
    """Points of models on questions, and how far the two orders of a pair contradict each other."""

    questions: tuple[str, ...]
    models: tuple[str, ...]
    points_QM: Floats
    """NaN where there is no verdict."""
    flips_Q: Floats
    """Pairs of verdicts that name different winners when the answers are swapped; a tie contradicts nothing."""
    pairs_Q: Floats
    """Pairs of verdicts in both orders."""
    category_Q: tuple[str | None, ...]
    without_label: int
    """Verdicts that hold none, and are left out."""
    of_itself: int
    """Verdicts of the baseline against itself, which are left out too."""


def items(verdicts: pl.DataFrame, baseline: str | None = None) -> Items:
    """The table of verdicts against a baseline; questions and models in alphabetical order.

    Args:
        verdicts: columns question_id, judge, model_a, model_b, label, preference, and category if known.
        baseline: the model that all others were compared with; if not given, the one that is in every verdict.

    Raises:
        InputError: a verdict is not against the baseline, the baseline cannot be told, or there are fewer than three
            models or questions.
    """
    others = verdicts.filter(pl.col("model_a") != pl.col("model_b"))
    baseline = _baseline(others) if baseline is None else baseline
    is_a, is_b = pl.col("model_a") == baseline, pl.col("model_b") == baseline
    if strangers := others.filter(~(is_a | is_b)).height:
        raise InputError(f"found {strangers} verdicts without {baseline!r}, expected all against one baseline")
    of_label = pl.col("label").replace_strict(POINTS, default=None, return_dtype=pl.Float64)
    of_a = pl.coalesce("preference", of_label)
    seen = others.select(
        "question_id",
        "judge",
        model=pl.when(is_a).then("model_b").otherwise("model_a"),
        points=pl.when(is_a).then(1 - of_a).otherwise(of_a),
        second=is_a,
    )
    judged = seen.drop_nulls("points")
    questions, models = (tuple(judged[name].unique().sort()) for name in ("question_id", "model"))
    if len(questions) < LEAST_QUESTIONS or len(models) < LEAST_MODELS:
        raise InputError(
            f"found verdicts on {len(questions)} questions and {len(models)} models besides the baseline, expected at "
            f"least {LEAST_QUESTIONS} and {LEAST_MODELS}"
        )
    return Items(
        questions,
        models,
        _points(judged, questions, models),
        *_flips(judged, questions),
        _categories(verdicts, questions),
        without_label=seen.height - judged.height,
        of_itself=verdicts.height - others.height,
    )


def _baseline(verdicts: pl.DataFrame) -> str:
    """The model that is in every verdict."""
    if verdicts.is_empty():
        raise InputError("found no verdicts of one model against another")
    counts = (
        pl.concat([verdicts["model_a"], verdicts["model_b"]])
        .value_counts(name="n")
        .filter(pl.col("n") == verdicts.height)
    )
    if counts.height != 1:
        raise InputError("found no single model that is in all verdicts; name the baseline: --baseline NAME")
    return str(counts.to_series(0)[0])


def _codes(values: pl.Series, names: tuple[str, ...]) -> NDArray[np.int64]:
    return values.replace_strict(dict(zip(names, range(len(names)), strict=True)), return_dtype=pl.Int64).to_numpy()


def _points(judged: pl.DataFrame, questions: tuple[str, ...], models: tuple[str, ...]) -> Floats:
    shape = (len(questions), len(models))
    place_B = _codes(judged["question_id"], questions) * shape[1] + _codes(judged["model"], models)
    total, count = (
        np.bincount(place_B, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)
        for weights in (judged["points"].to_numpy(), None)
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(count > 0, count, np.nan), dtype=np.float64)


def _flips(judged: pl.DataFrame, questions: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Contradictions and pairs, by question: one pair for each model and judge with verdicts in both orders."""
    points, second = pl.col("points"), pl.col("second")
    pairs = judged.group_by("question_id", "model", "judge").agg(
        one=points.filter(second).mean(), other=points.filter(~second).mean()
    )
    pairs = pairs.drop_nulls(["one", "other"]).select(
        "question_id", flipped=((pl.col("one") - 0.5) * (pl.col("other") - 0.5) < 0).cast(pl.Float64)
    )
    place_B = _codes(pairs["question_id"], questions)
    flips_Q = np.bincount(place_B, weights=pairs["flipped"].to_numpy(), minlength=len(questions)).astype(np.float64)
    return flips_Q, np.bincount(place_B, minlength=len(questions)).astype(np.float64)


def _categories(verdicts: pl.DataFrame, questions: tuple[str, ...]) -> tuple[str | None, ...]:
    if "category" not in verdicts.columns:
        return (None,) * len(questions)
    known = (
        verdicts.select("question_id", "category").drop_nulls().unique("question_id", keep="first", maintain_order=True)
    )
    named = dict(known.iter_rows())
    return tuple(named.get(question) for question in questions)


def gaps(table: Items) -> list[str]:
    """What is missing in the table, in words."""
    said = []
    for count, why in ((table.without_label, "without a label"), (table.of_itself, "of the baseline against itself")):
        if count:
            said.append(f"left out: {count} {'verdict' if count == 1 else 'verdicts'} {why}")
    if missing := int(np.isnan(table.points_QM).sum()):
        said.append(f"no verdict on {missing} of {table.points_QM.size} pairs of question and model")
    return said
