"""Votes with their prompts: from conversations, from ids, from tables of right and wrong; and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from palaestra.errors import InputError, VoteFileError
from palaestra.store.prompted_votes import PromptedVotes, read_prompted_votes


def talk(*turns: str) -> list[dict[str, str]]:
    return [
        message
        for turn in turns
        for message in ({"role": "user", "content": turn}, {"role": "assistant", "content": "."})
    ]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def told(votes: PromptedVotes) -> list[tuple[str, str, str, int]]:
    names = ((votes.prompts, votes.prompt_B), (votes.models, votes.first_B), (votes.models, votes.second_B))
    columns = [[texts[place] for place in places] for texts, places in names]
    return list(zip(*columns, votes.outcome_B.tolist(), strict=True))


VOTES = [
    {"model_a": "y", "model_b": "x", "winner": "model_a", "prompt": "One?"},
    {"model_a": "x", "model_b": "z", "winner": "tie", "prompt": "Two?\n\nMore?"},
    {"model_a": "z", "model_b": "y", "winner": "both_bad", "prompt": "One?"},
]
TOLD = [("One?", "y", "x", 0), ("Two?\n\nMore?", "x", "z", 2), ("One?", "z", "y", 3)]


def test_votes_with_a_column_of_prompts_with_conversations_and_with_ids_are_the_same(tmp_path: Path) -> None:
    talks = [{**vote, "conversation_a": talk(*vote["prompt"].split("\n\n"))} for vote in VOTES]
    ids = [{**vote, "question_id": vote["prompt"][:3]} for vote in VOTES]
    for vote in talks + ids:
        del vote["prompt"]
    asked = [{"question_id": "One", "prompt": "One?"}, {"question_id": "Two", "turns": ["Two?", "More?"]}]
    prompts = lines(tmp_path / "prompts.jsonl", asked)
    assert told(read_prompted_votes(lines(tmp_path / "plain.jsonl", VOTES))) == TOLD
    assert told(read_prompted_votes(lines(tmp_path / "talks.jsonl", talks))) == TOLD
    assert told(read_prompted_votes(lines(tmp_path / "ids.jsonl", ids), prompts=prompts)) == TOLD


def test_conversations_of_typed_parts_and_in_json_give_their_texts(tmp_path: Path) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "One?"}, {"type": "image", "image": "a.png"}]}]
    frame = pl.DataFrame([{**VOTES[0], "conversation_a": parts}]).drop("prompt")
    frame.write_parquet(tmp_path / "votes.parquet")
    assert told(read_prompted_votes(tmp_path / "votes.parquet")) == TOLD[:1]
    as_json = pl.DataFrame([{**VOTES[0], "conversation_a": json.dumps(talk("One?"))}]).drop("prompt")
    as_json.write_csv(tmp_path / "votes.csv")
    assert told(read_prompted_votes(tmp_path / "votes.csv")) == TOLD[:1]


def test_right_and_wrong_become_the_four_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "subject,prompt,b_correct,a_correct\nart,One?,True,False\nart,Two?,True,True\nlaw,Three?,False,False\n"
        "law,Four?,False,True\n"
    )
    votes = read_prompted_votes(path)
    assert votes.models == ("a", "b")
    assert told(votes) == [
        ("One?", "a", "b", 1),
        ("Two?", "a", "b", 2),
        ("Three?", "a", "b", 3),
        ("Four?", "a", "b", 0),
    ]
    assert votes.category_P == ("art", "art", "law", "law")
    path.write_text("prompt,b_correct,a_correct\nOne?,True,False\nTwo?,maybe,True\n")
    with pytest.raises(VoteFileError, match="row 2: column b_correct: found 'maybe', expected right or wrong"):
        read_prompted_votes(path)
    assert len(read_prompted_votes(path, skip_bad=1)) == 1


def test_some_of_the_votes_keep_their_numbers(tmp_path: Path) -> None:
    votes = read_prompted_votes(lines(tmp_path / "votes.jsonl", VOTES))
    assert told(votes.of_prompts(np.array([True, False]))) == [TOLD[0], TOLD[2]]
    assert told(votes.take(np.array([False, True, False]))) == TOLD[1:2]


def test_a_vote_without_its_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VoteFileError, match=r"vote 2: found a vote without its prompt \(1 of 3 votes\)"):
        read_prompted_votes(lines(tmp_path / "votes.jsonl", [VOTES[0], VOTES[1] | {"prompt": " "}, VOTES[2]]))
    bare = [{name: value for name, value in vote.items() if name != "prompt"} for vote in VOTES]
    with pytest.raises(VoteFileError, match="found votes without their prompts"):
        read_prompted_votes(lines(tmp_path / "votes.jsonl", bare))
    with pytest.raises(VoteFileError, match="found no column question_id"):
        read_prompted_votes(tmp_path / "votes.jsonl", prompts=lines(tmp_path / "p.jsonl", [{"id": "1", "prompt": "?"}]))
    with pytest.raises(InputError, match="no file"):
        read_prompted_votes(tmp_path / "none.jsonl")


def test_spaces_and_the_ends_of_lines_make_no_other_prompt(tmp_path: Path) -> None:
    texts = ("One?\nTwo.", "One?\r\nTwo.", " One?\nTwo.\n")
    rows = [VOTES[0] | {"prompt": text} for text in texts]
    assert read_prompted_votes(lines(tmp_path / "v.jsonl", rows)).prompts == ("One?\nTwo.",)
    table = [{"prompt": text, "a": 1, "b": 0} for text in texts]
    assert read_prompted_votes(lines(tmp_path / "o.jsonl", table)).prompts == ("One?\nTwo.",)


def test_votes_without_prompts_are_left_out_where_that_was_said(tmp_path: Path) -> None:
    rows = [*VOTES, VOTES[0] | {"prompt": " \n"}, VOTES[1] | {"prompt": None}]
    path = lines(tmp_path / "v.jsonl", rows)
    assert told(read_prompted_votes(path, skip_bad=2)) == told(read_prompted_votes(lines(tmp_path / "w.jsonl", VOTES)))
    with pytest.raises(VoteFileError, match=r"vote 4: .*\(2 of 5 votes\).*--skip-bad"):
        read_prompted_votes(path, skip_bad=1)
    with pytest.raises(VoteFileError, match="1 of 1"):
        read_prompted_votes(lines(tmp_path / "x.jsonl", rows[3:4]), skip_bad=9)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("nonsense", "without its prompt"),
        ("[1, 2]", "without its prompt"),
        ([{"content": "hi"}], "role and content"),
        (["hi"], "role and content"),
        ([{"role": "user", "content": [{"type": "image", "image": "x"}]}], "without its prompt"),
    ],
)
def test_conversations_that_are_none_are_refused_in_a_line(tmp_path: Path, said: object, words: str) -> None:
    row = {key: value for key, value in VOTES[0].items() if key != "prompt"} | {"conversation_a": said}
    with pytest.raises(VoteFileError, match=words):
        read_prompted_votes(lines(tmp_path / "v.jsonl", [row]))


def test_typed_parts_in_json_are_read(tmp_path: Path) -> None:
    said = json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])
    row = {key: value for key, value in VOTES[0].items() if key != "prompt"} | {"conversation_a": said}
    assert read_prompted_votes(lines(tmp_path / "v.jsonl", [row])).prompts == ("hi",)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".json", ".csv"])
def test_a_blank_in_the_first_row_hides_no_model_and_an_id_is_none(tmp_path: Path, ending: str) -> None:
    rows = [{"id": 0, "prompt": "x", "a": 1, "b": 0, "c": None}, {"id": 1, "prompt": "y", "a": 0, "b": 1, "c": 1}]
    path = tmp_path / f"o{ending}"
    if ending == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif ending == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        text = lines(tmp_path / "plain", rows).read_bytes()
        path.write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    votes = read_prompted_votes(path)
    assert (votes.models, len(votes)) == (("a", "b", "c"), 4)
