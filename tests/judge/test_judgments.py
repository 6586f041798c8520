"""Judgment files of Arena-Hard: verdicts come back as they went, foreign rows are read, votes agree with them."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from palaestra.errors import InputError
from palaestra.judge.judgments import JudgmentKind, read_judgments, write_judgments
from palaestra.judge.verdict import LABELS, Verdict, verdict_frame
from palaestra.store.formats import read_votes

KINDS = get_args(JudgmentKind)
names = st.text(min_size=1, max_size=6)
counts = st.none() | st.integers(0, 10**6)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    game = draw(st.sampled_from([1, 2]))
    pair = ("base", draw(st.sampled_from(["org/model", "m"])))[:: 1 if game == 1 else -1]
    return Verdict(
        question_id=draw(st.sampled_from(["q1", "q2"]) | names),
        judge=draw(st.sampled_from(["judge", "a:b"])),
        protocol=draw(st.sampled_from(["arena-hard-v2.0", "mine"])),
        model_a=pair[0],
        model_b=pair[1],
        game=game,
        label=draw(st.none() | st.sampled_from(LABELS)),
        preference=draw(st.none() | st.floats(0, 1)),
        text=draw(st.none() | st.text(max_size=20)),
        error=draw(st.none() | names),
        attempts=draw(st.integers(0, 5)),
        input_tokens=draw(counts),
        output_tokens=draw(counts),
        cost=draw(st.none() | st.floats(0, 9)),
        category=draw(st.none() | names),
    )


def place(one: Verdict) -> tuple[object, ...]:
    return (one.question_id, one.judge, one.protocol, one.model_a, one.model_b, one.game)


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(verdicts(), min_size=1, max_size=8, unique_by=place))
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back(kind: JudgmentKind, wrote: list[Verdict]) -> None:
    frame = verdict_frame(wrote)
    with TemporaryDirectory() as folder:
        paths = write_judgments(folder, frame, kind)
        read = read_judgments(folder)
        assert pl.concat([read_judgments(path) for path in paths]).height == frame.height
    by = ["question_id", "judge", "protocol", "model_a", "model_b", "game"]
    assert_frame_equal(read.sort(by), frame.sort(by))


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ONE = {
    "question_id": "q1",
    "model": "m",
    "judge": "gpt-4",
    "games": [
        {"user_prompt": "...", "judgment": "My final verdict is [[A>>B]]", "score": "A>>B"},
        {"user_prompt": "...", "judgment": "no idea", "score": None},
    ],
}
TWO = {
    "uid": "q1",
    "category": "hard_prompt",
    "judge": "gpt-4.1",
    "model": "m",
    "baseline": "base",
    "games": [
        {"score": "B>A", "judgment": {"answer": "[[B>A]]"}, "prompt": []},
        None,
    ],
}


def test_their_own_files_are_read(tmp_path: Path) -> None:
    one = read_judgments(lines(tmp_path / "one.jsonl", ONE), baseline="base")
    assert one["model_a"].to_list() == ["base", "m"]
    assert one["label"].to_list() == ["A>>B", None]
    assert one["preference"].to_list() == [1.0, None]
    assert one["text"].to_list() == ["My final verdict is [[A>>B]]", "no idea"]
    assert one["protocol"].unique().to_list() == ["arena-hard-v0.1"]
    two = read_judgments(lines(tmp_path / "two.jsonl", TWO))
    assert two.select("model_a", "model_b", "game", "label", "category").rows() == [
        ("base", "m", 1, "B>A", "hard_prompt")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_votes_are_read_from_what_is_written(tmp_path: Path, kind: JudgmentKind) -> None:
    common = {"question_id": "q1", "judge": "j", "protocol": "p"}
    both = [
        Verdict(**common, model_a="base", model_b="m", game=1, label="B>A", text="x"),
        Verdict(**common, model_a="m", model_b="base", game=2, label="A=B", text="y"),
    ]
    (path,) = write_judgments(tmp_path, verdict_frame(both), kind)
    votes = read_votes(path)
    assert votes.format == "arena-hard"
    assert votes.frame.select(pl.col("model_a", "model_b", "winner").cast(pl.String)).rows() == [
        ("base", "m", "model_b"),
        ("m", "base", "tie"),
    ]


BAD = {
    "no games": (TWO | {"games": None}, "row 1: found the games null, expected a list of one or two"),
    "three games": (TWO | {"games": [None] * 3}, "row 1: found the games .*, expected a list of one or two"),
    "no label": (TWO | {"games": [{"score": "A"}]}, "row 1: found the score 'A', expected A>>B, A>B"),
    "no score": (TWO | {"games": [{"judgment": "A"}]}, "row 1: expected question_id or uid, .*'score'"),
    "no id": (TWO | {"uid": None}, "row 1: found no id of a question, expected uid or question_id"),
    "no judge": (TWO | {"judge": None}, "row 1, judge: "),
    "no baseline": (ONE, "row 1: the verdicts do not name their baseline; give it: --baseline NAME"),
    "itself": (TWO | {"model": "base"}, "row 1: found the model 'base' against itself"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_row_is_named(tmp_path: Path, case: str) -> None:
    row, said = BAD[case]
    with pytest.raises(InputError, match=said):
        read_judgments(lines(tmp_path / "m.jsonl", row))


def test_the_same_game_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2: found game 1 .*row 1 has already"):
        read_judgments(lines(tmp_path / "m.jsonl", TWO, TWO))
    frame = read_judgments(lines(tmp_path / "m.jsonl", TWO))
    with pytest.raises(InputError, match=r"found game 1 of m against base on question 'q1' by gpt-4\.1 twice"):
        write_judgments(tmp_path / "out", pl.concat([frame, frame]))
    with pytest.raises(InputError, match="found no verdicts"):
        write_judgments(tmp_path / "out", frame.clear())
    with pytest.raises(InputError, match="found the kind 'x'"):
        write_judgments(tmp_path / "out", frame, "x")  # ty: ignore[invalid-argument-type]
    assert not (tmp_path / "out").exists()
