"""Prompts from every kind of source, sets of prompts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palaestra.errors import InputError
from palaestra.schema import Prompt, PromptSet
from palaestra.store.prompts import prompts_sha256, read_prompt_set, read_prompts, text_id, write_prompt_set


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "prompt_id", "turns", "more"),
    [
        (
            {"uid": "u", "category": "hard_prompt", "subcategory": "coding", "prompt": "Sort it."},
            "u", ("Sort it.",), {"category": "hard_prompt", "subcategory": "coding"},
        ),
        (
            {"question_id": "q", "category": "c", "cluster": "Sorting", "turns": [{"content": "Sort it."}]},
            "q", ("Sort it.",), {"topic": "Sorting"},
        ),
        (
            {"question_id": 81, "category": "math", "turns": ["1 + 1?", "And 2 + 2?"], "reference": ["2", "4"]},
            "81", ("1 + 1?", "And 2 + 2?"), {"reference": ("2", "4"), "category": "math"},
        ),
        ({"instruction": "Write.", "dataset": "koala"}, text_id(["Write."]), ("Write.",), {"source": "koala"}),
        (
            {"id": "c", "conversation_a": [
                {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
                {"role": "user", "content": [{"type": "text", "text": "More"}]},
            ]},
            "c", ("Hi", "More"), {},
        ),
    ],
)  # fmt: skip
def test_every_known_kind_of_question(
    tmp_path: Path, row: dict[str, Any], prompt_id: str, turns: tuple[str, ...], more: dict[str, Any]
) -> None:
    [prompt] = read_prompts(lines(tmp_path / "q.jsonl", row))
    assert (prompt.id, prompt.turns) == (prompt_id, turns)
    assert {name: getattr(prompt, name) for name in more} == more


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.md").write_text("Second\n")
    (tmp_path / "a.txt").write_text("First\n")
    (tmp_path / "notes.pdf").write_text("no prompt")
    assert [(prompt.id, prompt.text) for prompt in read_prompts(tmp_path)] == [("a", "First"), ("deep/b", "Second")]
    (tmp_path / "a.md").write_text("Another\n")
    with pytest.raises(InputError, match=r"a\.txt: found the id 'a', which a\.md has already"):
        read_prompts(tmp_path)
    (tmp_path / "a.txt").write_text("  \n")
    with pytest.raises(InputError, match=r"a\.txt: found no text"):
        read_prompts(tmp_path)


def test_the_same_text_twice_is_one_prompt_where_ids_come_from_texts(tmp_path: Path) -> None:
    path = lines(tmp_path / "q.jsonl", {"prompt": "One"}, {"prompt": "Two"}, {"prompt": "One"})
    assert [prompt.text for prompt in read_prompts(path)] == ["One", "Two"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"uid": "a", "prompt": "One"}, {"prompt": "Two"}], "row 2: found no id"),
        ([{"uid": "a", "prompt": "One"}, {"uid": "a", "prompt": "Two"}], "row 2: found the id 'a', which row 1 has"),
        ([{"uid": "a", "prompt": " "}], "row 1: column prompt: found no text"),
        ([{"uid": "a", "answer": "x"}], "row 1: found the columns uid, answer, expected one of turns, prompt"),
        ([{"uid": "a", "turns": ["x", "y"], "reference": ["z"]}], "row 1, prompt: found 1 reference answers"),
        ([{"uid": "a", "turns": [3]}], "row 1: found \\[3\\], expected texts"),
        ([{"uid": ["a"], "prompt": "One"}], "row 1: found the id \\['a'\\], expected a text or a number"),
        ([{"uid": "a", "conversation": "hello"}], "row 1: column conversation: found 'hello', expected a list"),
        ([{"uid": "a", "conversation": [{"role": "user"}]}], "row 1: column conversation: found .*role and content"),
        ([{"uid": "a", "conversation": ["x"]}], "row 1: column conversation: found"),
        ([{"uid": "a", "prompt": "x", "criteria": "abc"}], "row 1: column criteria: found 'abc', expected an object"),
        ([{"uid": "a", "prompt": "x", "criteria": [1]}], "row 1: column criteria: found \\[1\\]"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_prompts(lines(tmp_path / "q.jsonl", *rows), identified=True)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("q.jsonl", '{"uid": 1}\n{', "line 2"), ("q.json", "[]", "found no rows"), ("q.xlsx", "x", "found 'q.xlsx'")],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_prompts(tmp_path / name)


def test_a_set_comes_back_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    prompts = [Prompt(id=f"p{n}", turns=(f"Question {n}?",), criteria={"complexity": n > 1}, score=n) for n in range(3)]
    record = PromptSet(name="mine", version="1", prompts=3, sha256=prompts_sha256(prompts))
    write_prompt_set(tmp_path / "set", record, prompts, "# Mine\n")
    assert read_prompt_set(tmp_path / "set") == (record, prompts)
    assert read_prompts(tmp_path / "set") == prompts
    with pytest.raises(InputError, match="exists"):
        write_prompt_set(tmp_path / "set", record, prompts, "")
    other = record.model_copy(update={"sha256": "0"})
    (tmp_path / "set" / "promptset.json").write_text(json.dumps(other.to_dict()))
    with pytest.raises(InputError, match="are not those of"):
        read_prompts(tmp_path / "set")
