"""AlpacaEval (Li et al., 2023; Dubois et al., 2024): annotation files, win rates, length-controlled win rates.

An annotation is one judge's preference between two outputs for one instruction: 1 where the first one (the baseline's)
is better, 2 where the second one (the model's) is, 1.5 a tie, anything between by the judge's own probabilities. As the
authors do, a 0 counts as a tie, and a row without a preference is left out and counted. The win rate is the mean of
preference - 1, its standard error that of a mean; the length-controlled one is in `length_controlled.py`.

Of two equal rows on one instruction the second is left out and counted; two that contradict each other are an error.
Not here: model outputs, which are answers (`answers.py`); ratings from such files (`palaestra rank fit` reads them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, ValidationError

from palaestra.errors import InputError
from palaestra.schema import arrow_schema
from palaestra.schema.record import Record
from palaestra.store.prompts import text_id
from palaestra.store.records import read_rows, write_list

_TIE = 1.5
_PAIR = ("annotator", "generator_1", "generator_2", "instruction_id")
_TEXTS = ("instruction", "output_1", "output_2", "dataset")


class Annotation(Record):
    """One judge's preference between two outputs. Generator 1 is the baseline, 2 the model."""

    record_name = "annotation"

    instruction_id: str = Field(min_length=1)
    """As the file has it, else made from the instruction."""
    generator_1: str = Field(min_length=1)
    generator_2: str = Field(min_length=1)
    annotator: str = "annotator"
    preference: float | None = Field(default=None, ge=1.0, le=2.0)
    """None where the judge's text could not be read."""
    instruction: str | None = None
    output_1: str | None = None
    output_2: str | None = None
    len_1: int | None = Field(default=None, ge=0)
    """Characters of output 1."""
    len_2: int | None = Field(default=None, ge=0)
    dataset: str | None = None


def read_annotations(path: str | Path) -> list[Annotation]:
    """Read annotations, in the order of the file.

    Lengths are those of the outputs where these are there. A column `dir` names the model in the place of generator_2:
    tables put together from many folders have it, since the name in a folder's files is not always the board's.

    Raises:
        InputError: unreadable, a column is missing, or a preference is no number from 1 to 2 (or 0); the row is named.
    """
    rows = read_rows(path, "annotations")
    return [_annotation(f"{path}: row {number}", row) for number, row in enumerate(rows, start=1)]


def write_annotations(path: str | Path, annotations: Sequence[Annotation]) -> None:
    """Write annotations as AlpacaEval does, one JSON list.

    Raises:
        InputError: there are none, or the path cannot be written.
    """
    if not annotations:
        raise InputError("found no annotations, expected at least one to write")
    rows = ({name: value for name, value in one.model_dump().items() if value is not None} for one in annotations)
    write_list(path, ({"preference": None} | row for row in rows))


def annotation_frame(annotations: Iterable[Annotation]) -> pl.DataFrame:
    """Annotations as a frame without their texts; equal ones are one row, with their number in the column `rows`.

    A row without a preference beside one that has it, as a retry leaves them, is one of that row.

    Raises:
        InputError: two rows of one annotator on one instruction and pair differ in their preference.
    """
    names = [name for name in Annotation.model_fields if name not in {"instruction", "output_1", "output_2"}]
    whole = pl.DataFrame(pl.from_arrow(arrow_schema(Annotation).empty_table())).select(names)
    rows = ([getattr(one, name) for name in names] for one in annotations)
    frame = pl.DataFrame(list(rows), schema=whole.schema, orient="row")
    failed = pl.col("preference").is_null() & pl.col("preference").is_not_null().any().over(_PAIR)
    kept = frame.filter(~failed).group_by(names, maintain_order=True).len("rows")
    twice = kept.filter(kept.select(_PAIR).is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise InputError(
            f"found several rows of {row['annotator']} on {row['generator_2']} against {row['generator_1']}, "
            f"instruction {row['instruction_id']!r}, that differ; expected one: remove the others"
        )
    return kept


def _annotation(where: str, row: Mapping[str, Any]) -> Annotation:
    known = {name: row[name] for name in ("generator_1", "annotator", *_TEXTS) if row.get(name) is not None}
    named = row.get("instruction_id", row.get("question_id"))
    if named is None and row.get("instruction"):
        named = text_id((str(row["instruction"]),))
    try:
        return Annotation(
            instruction_id="" if named is None else str(named),
            generator_2=row.get("dir") or row.get("generator_2") or "",
            preference=_preference(row),
            len_1=_length(row, "1"),
            len_2=_length(row, "2"),
            **{"generator_1": ""} | known,
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"{where}, column {fault['loc'][0]}: found {fault['input']!r}: {fault['msg']}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _preference(row: Mapping[str, Any]) -> float | None:
    if "preference" not in row and not {"generator_1", "generator_2"} <= row.keys():
        raise InputError(f"found the columns {', '.join(row)}, expected generator_1, generator_2 and preference")
    given = row.get("preference")
    try:
        number = float("nan" if given is None else given)
    except (TypeError, ValueError) as error:
        raise InputError(f"column preference: found {given!r}, expected a number from 1 to 2") from error
    return None if number != number else _TIE if number == 0 else number  # noqa: PLR0124 - NaN


def _length(row: Mapping[str, Any], side: str) -> int | None:
    output, length = row.get(f"output_{side}"), row.get(f"len_{side}")
    if output is not None:
        return len(str(output))
    return None if length is None else length
