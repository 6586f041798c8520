"""Answers and votes from files: counts, features, and rows that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palaestra.errors import InputError
from palaestra.judge.answer_style import counted_answers, read_counted_answers, with_features
from palaestra.judge.people import read_people


def test_texts_are_counted_outside_their_code() -> None:
    text = "# Head\n- one\n2. two\n**bold** and __bold__\n```\n# no head\n- no item\n```"
    found = counted_answers(pl.DataFrame({"question_id": [1], "model": ["m"], "answer": [text]}))
    assert found.select("header", "list", "bold").row(0) == (1, 2, 2)
    assert found["question_id"].to_list() == ["1"]


def test_features_are_logs_of_ratios_and_mirror_each_other() -> None:
    answers = counted_answers(
        pl.DataFrame({"question_id": ["q", "q"], "model": ["a", "b"], "tokens": [9, 99], "list": [3, 0]})
    )
    frame = pl.DataFrame({"question_id": ["q", "q", "q"], "model_a": ["a", "b", "a"], "model_b": ["b", "a", "c"]})
    found, names = with_features(frame, answers)
    assert names == ("length", "list")
    assert found["length"].to_list() == pytest.approx([np.log(0.1), np.log(10)])
    assert found["list"].to_list() == pytest.approx([np.log(4), -np.log(4)])
    assert found.height == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("question_id,text\nq,x\n", "expected question_id, model and text"),
        ("question_id,model\nq,x\n", "expected question_id, model and text"),
        ("question_id,model,text\nq,m,x\nq,m,y\n", "row 1: found more than one answer of 'm' to question 'q'"),
        ("question_id,model,length\nq,m,many\n", "row 1, column length: found 'many', expected a count"),
        ("question_id,model,length\nq,m,-1\n", "row 1, column length: found '-1', expected a count"),
    ],
)
def test_answers_that_cannot_be_are_refused(tmp_path: Path, table: str, said: str) -> None:
    (path := tmp_path / "answers.csv").write_text(table)
    with pytest.raises(InputError, match=said):
        read_counted_answers(path)


def test_votes_need_a_question(tmp_path: Path) -> None:
    (path := tmp_path / "votes.csv").write_text("model_a,model_b,winner\na,b,tie\n")
    with pytest.raises(InputError, match="matched by question"):
        read_people(path)


def test_votes_become_points(tmp_path: Path) -> None:
    rows = ["q1,a,b,model_a", "q1,a,b,model_b", "q2,b,a,tie", "q2,a,b,both_bad"]
    (path := tmp_path / "votes.csv").write_text("prompt,model_a,model_b,winner\n" + "\n".join(rows) + "\n")
    found = read_people(path)
    assert found.columns == ["question_id", "model_a", "model_b", "points"]
    assert found["points"].to_list() == [1.0, 0.0, 0.5, 0.5]
