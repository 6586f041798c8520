"""A grade: what a judge said of one answer alone, from 1 to 10 (MT-Bench's single-answer grading)."""

from __future__ import annotations

from pydantic import Field

from palaestra.schema import Record


class Grade(Record):
    """One judge's grade of one answer. The row of a file of grades."""

    record_name = "grade"

    question_id: str
    judge: str
    protocol: str
    model: str
    rating: float | None = Field(default=None, ge=1.0, le=10.0)
    """None where the text holds no rating, or where none came."""
    text: str | None = None
    error: str | None = None
    attempts: int = Field(default=1, ge=0)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    category: str | None = None
