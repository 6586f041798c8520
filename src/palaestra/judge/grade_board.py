"""A board of grades as MT-Bench prints it: mean scores over all, by turn and by category, with intervals.

The mean is over all turns of all questions. Both turns of a question are one cluster: with S_q the sum and n_q the
number of its grades, the mean is sum S_q / sum n_q, and its variance that of a ratio,

    Q / (Q - 1) * sum (S_q - mean n_q)² / (sum n_q)²,

with Student's t at Q - 1 degrees of freedom for the interval (Cochran, 1977, section 6). One question has no interval.

Not here: pairs, which become votes (`mt_bench.read_pairs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import t as student

from palaestra.errors import InputError
from palaestra.judge.mt_bench import LEAST, MOST, read_grades, turn_of
from palaestra.judge.verdict import Grade
from palaestra.schema import Prompt, from_table
from palaestra.schema.record import Record, Struct

_GRADES = "grades.parquet"
"""Of a run (`writing.py`)."""


class GradesConfig(BaseModel):
    """How grades become a board."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""


class MeanScore(Struct):
    """A mean of grades, with its interval cut at 1 and 10; None with a single question."""

    score: float
    lower: float | None
    upper: float | None
    grades: int
    questions: int


class GradeLine(Struct):
    """One model's means; by turn and category only where there are grades. `unparsed` had no score from 1 to 10."""

    model: str
    overall: MeanScore | None
    turns: dict[str, MeanScore]
    categories: dict[str, MeanScore]
    unparsed: int


class GradeBoard(Record):
    """Grades by one judge, best model first."""

    record_name = "grades"

    judge: str
    models: tuple[GradeLine, ...]
    turns: tuple[str, ...]
    categories: tuple[str, ...]
    settings: GradesConfig
    warnings: tuple[str, ...] = ()


def grade_boards(
    grades: Sequence[Grade] | str | Path,
    *,
    questions: Sequence[Prompt] = (),
    config: GradesConfig | None = None,
    **settings: Any,  # noqa: ANN401 - GradesConfig's fields
) -> list[GradeBoard]:
    """A board for each judge, in the order of their names.

    Args:
        grades: the grades, or the path of a run that graded, of its grades.parquet, or of MT-Bench's files.
        questions: what was asked, for its categories; grades may bring their own.
        config: settings.
        **settings: or the settings by name.

    Raises:
        InputError: see `read_grades`; or there are none, or one is of a question that is not among those given.
        pydantic.ValidationError: a setting is none of these.
    """
    config = GradesConfig(**((config.model_dump() if config else {}) | settings))
    if isinstance(grades, (str, Path)):
        grades = _grades(Path(grades))
    if not grades:
        raise InputError("found no grades, expected at least one")
    frame = _frame(grades, {prompt.id: prompt.category for prompt in questions})
    return [_board(str(judge), part, config) for (judge,), part in sorted(frame.group_by("judge"))]


def mean_score(scores: pl.DataFrame, confidence: float) -> MeanScore | None:
    """The mean of a column `score`, clustered by `question_id`; None where there is no score."""
    scores = scores.drop_nulls("score")
    if scores.is_empty():
        return None
    sums = scores.group_by("question_id", maintain_order=True).agg(pl.col("score").sum(), pl.len())
    sum_Q, number_Q = sums["score"].to_numpy(), sums["len"].to_numpy().astype(float)
    mean, clusters = float(sum_Q.sum() / number_Q.sum()), len(sum_Q)
    if clusters == 1:
        return MeanScore(score=mean, lower=None, upper=None, grades=scores.height, questions=1)
    variance = clusters / (clusters - 1) * ((sum_Q - mean * number_Q) ** 2).sum() / number_Q.sum() ** 2
    reach = float(student.ppf((1 + confidence) / 2, clusters - 1) * np.sqrt(variance))
    return MeanScore(
        score=mean,
        lower=max(LEAST, mean - reach),
        upper=min(MOST, mean + reach),
        grades=scores.height,
        questions=clusters,
    )


def _grades(path: Path) -> list[Grade]:
    """From a run's folder or table, or from MT-Bench's files."""
    table = path / _GRADES if path.is_dir() else path
    if table.name != _GRADES or not table.is_file():
        return read_grades(path)
    try:
        return from_table(Grade, pq.read_table(table))
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"cannot read {table}: {said}; expected the grades of a run") from error


def _frame(grades: Sequence[Grade], categories: Mapping[str, str | None]) -> pl.DataFrame:
    unknown = sorted({grade.question_id for grade in grades} - categories.keys()) if categories else []
    if unknown:
        raise InputError(
            f"found grades of {len(unknown)} questions that are not among the {len(categories)} given "
            f"({', '.join(unknown[:3])}{', ...' * (len(unknown) > 3)}), expected the questions that were graded"  # noqa: PLR2004 - as shown
        )
    rows = [
        (
            one.judge,
            one.model,
            one.question_id,
            None if (turn := turn_of(one.protocol)) is None else str(turn),
            one.rating,
            one.category or categories.get(one.question_id),
        )
        for one in grades
    ]
    names = ("judge", "model", "question_id", "turn", "score", "category")
    return pl.DataFrame(
        rows, schema={name: pl.Float64 if name == "score" else pl.String for name in names}, orient="row"
    )


def _board(judge: str, frame: pl.DataFrame, config: GradesConfig) -> GradeBoard:
    turns = sorted(frame["turn"].drop_nulls().unique(), key=int)
    categories = sorted(frame["category"].drop_nulls().unique())
    lines = [_line(str(model), part, turns, categories, config) for (model,), part in frame.group_by("model")]
    lost = sum(line.unparsed for line in lines)
    sets = {frozenset(part["question_id"]) for _, part in frame.group_by("model")}
    return GradeBoard(
        judge=judge,
        models=tuple(sorted(lines, key=lambda line: (-(line.overall.score if line.overall else 0.0), line.model))),
        turns=tuple(turns),
        categories=tuple(categories),
        settings=config,
        warnings=tuple(
            said
            for said in (
                f"{lost} grades have no score from 1 to 10: counted, not averaged" if lost else "",
                "models were graded on different questions: their means do not compare" if len(sets) > 1 else "",
            )
            if said
        ),
    )


def _line(
    model: str, part: pl.DataFrame, turns: Sequence[str], categories: Sequence[str], config: GradesConfig
) -> GradeLine:
    def means(column: str, values: Sequence[str]) -> dict[str, MeanScore]:
        found = {value: mean_score(part.filter(pl.col(column) == value), config.confidence) for value in values}
        return {value: mean for value, mean in found.items() if mean is not None}

    return GradeLine(
        model=model,
        overall=mean_score(part, config.confidence),
        turns=means("turn", turns),
        categories=means("category", categories),
        unparsed=part["score"].null_count(),
    )
