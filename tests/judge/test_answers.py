"""Answers: each kind of file gives back what was written into it; foreign files; and what is refused, by name."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.judge.answers import FAILED, Answer, AnswerKind, check_answers, file_name, read_answers, write_answers
from palaestra.schema import Prompt, Usage
from palaestra.store.prompts import read_prompts, text_id

names = st.text(min_size=1, max_size=12)
counts = st.none() | st.integers(0, 10**6)
styles = st.dictionaries(st.sampled_from(["h1", "ordered", "**"]), st.integers(0, 99), max_size=2)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    number = draw(st.integers(1, 3))
    texts = st.lists(st.text(max_size=30), min_size=number, max_size=number).map(tuple)
    usage = st.builds(Usage, input_tokens=counts, output_tokens=counts, cost=st.none() | st.floats(0, 9))
    return Answer(
        question_id=draw(names | st.sampled_from(["81", "007", "0"])),
        model=draw(names | st.sampled_from(["org/model", "a:b", "..", "org%2Fmodel"])),
        turns=draw(texts),
        asked=draw(texts),
        system=draw(st.none() | st.text(max_size=9)),
        answer_id=draw(st.none() | names),
        token_len=draw(counts),
        header_count=draw(styles),
        list_count=draw(styles),
        bold_count=draw(styles),
        usage=draw(st.none() | usage),
        tstamp=draw(st.none() | st.floats(0, 2e9)),
        dataset=draw(st.none() | names),
    )


written = st.lists(answers(), min_size=1, max_size=5, unique_by=lambda one: (one.model, one.question_id))


@pytest.mark.parametrize("kind", get_args(AnswerKind))
@given(written)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(kind: AnswerKind, wrote: list[Answer]) -> None:
    with TemporaryDirectory() as folder:
        paths = write_answers(folder, wrote, kind)
        assert len(set(paths)) == len({answer.model for answer in wrote})
        read = read_answers(folder)
        assert sorted(read, key=str) == sorted(wrote, key=str)
        assert [one for path in paths for one in read_answers(path)] == [
            answer for model in dict.fromkeys(a.model for a in wrote) for answer in wrote if answer.model == model
        ]


@given(st.lists(names, min_size=2, max_size=2, unique=True))
@settings(deadline=None)
def test_file_names_are_as_many_as_models(models: list[str]) -> None:
    assert file_name(models[0]) != file_name(models[1])


def lines(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


V2 = {
    "uid": "q1",
    "ans_id": "x",
    "model": "m",
    "messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": {"answer": "# So"}}],
    "tstamp": 1.5,
    "metadata": {"token_len": 2, "header_count": {"h1": 1}, "list_count": {"ordered": 0}, "bold_count": {"**": 0}},
}
V1 = {
    "question_id": "q1",
    "answer_id": "x",
    "model_id": "m",
    "choices": [{"index": 0, "turns": [{"content": "So", "token_len": 2}, {"content": "And", "token_len": 3}]}],
    "tstamp": 1.5,
}
MT = V1 | {"question_id": 81, "choices": [{"index": 0, "turns": ["one", ""]}, {"index": 1, "turns": ["two", "2"]}]}
ALPACA = {"dataset": "koala", "instruction": "why?", "output": "so", "generator": "m"}
SAMPLE = {
    "doc_id": 0,
    "doc": {"question_id": "q1", "prompt": "why?", "category": "math"},
    "arguments": {"gen_args_0": {"arg_0": "why?"}},
    "resps": [["so"]],
    "filtered_resps": ["so"],
    "filter": "none",
}


def test_their_own_files_are_read(tmp_path: Path) -> None:
    (two,) = read_answers(lines(tmp_path / "two.jsonl", V2))
    assert (two.question_id, two.asked, two.turns, two.token_len) == ("q1", ("why?",), ("# So",), 2)
    assert two.header_count == {"h1": 1}
    (one,) = read_answers(lines(tmp_path / "one.jsonl", V1))
    assert (one.turns, one.token_len, one.tstamp) == (("So", "And"), 5, 1.5)
    (mt,) = read_answers(lines(tmp_path / "mt.jsonl", MT))
    assert (mt.question_id, mt.turns) == ("81", ("one", ""))
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps([ALPACA]))
    (alpaca,) = read_answers(path)
    assert (alpaca.model, alpaca.asked, alpaca.dataset) == ("m", ("why?",), "koala")
    assert alpaca.question_id == text_id(("why?",)) == read_prompts(path)[0].id


def test_samples_of_lm_evaluation_harness_are_of_the_model_in_the_results_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "org__model"
    date = "2026-11-25T10-00-00.123456"
    strict = SAMPLE | {"filter": "strict"}
    lines(folder / f"samples_bench_{date}.jsonl", SAMPLE, strict, SAMPLE | {"doc": {"uid": "q2"}, "resps": [["b"]]})
    (answer, second) = read_answers(tmp_path)
    assert (answer.model, answer.question_id, answer.turns, answer.dataset) == ("org__model", "q1", ("so",), "math")
    assert (second.question_id, second.turns) == ("q2", ("b",))
    lines(folder / f"results_{date}.json", {"model_name": "org/model"})
    assert {answer.model for answer in read_answers(tmp_path)} == {"org/model"}
    with pytest.raises(InputError, match=r"loose\.jsonl: row 1, model: Field required"):
        read_answers(lines(tmp_path / "loose.jsonl", SAMPLE))
    assert read_answers(tmp_path / "loose.jsonl", model="m")[0].model == "m"


def test_an_empty_answer_is_kept_and_marked(tmp_path: Path) -> None:
    said = [("q1", "\n "), ("q2", FAILED), ("q3", "yes")]
    rows = [V1 | {"question_id": name, "choices": [{"turns": [{"content": text}]}]} for name, text in said]
    read = read_answers(lines(tmp_path / "m.jsonl", *rows))
    assert [answer.empty for answer in read] == [True, True, False]
    (none,) = read_answers(lines(tmp_path / "n.jsonl", V1 | {"choices": [{"turns": [{"content": None}]}]}))
    assert none.turns == ("",)


BAD = {
    "no id": (V1 | {"question_id": None}, r"row 2: found no id of a question"),
    "an object as id": (V1 | {"question_id": {}}, r"row 2: found no id of a question"),
    "no choices": (V1 | {"choices": []}, r"row 2: .*expected a whole answer: IndexError"),
    "no turns": (V1 | {"choices": [{"turns": []}]}, r"row 2, turns: "),
    "a number": (V1 | {"choices": [{"turns": [7]}]}, r"row 2: found 7, expected a text"),
    "no model": (V1 | {"model_id": ""}, r"row 2, model: "),
    "nothing known": ({"question_id": 1, "text": "so"}, r"row 2: found the fields question_id, text, expected those"),
    "tokens below zero": (V2 | {"uid": "q2", "metadata": {"token_len": -1}}, r"row 2, token_len: "),
    "messages that are none": (V2 | {"messages": ["so"]}, r"row 2: .*TypeError"),
    "the same question": (V1, r"row 2: found a second answer of m to question 'q1', the first is .*row 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_answer_is_named(tmp_path: Path, case: str) -> None:
    row, said = BAD[case]
    with pytest.raises(InputError, match=said):
        read_answers(lines(tmp_path / "m.jsonl", V1, row))


def test_a_broken_line_an_empty_file_and_a_bare_folder_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(V1) + '\n{"question_id": \n')
    with pytest.raises(InputError, match=r"m\.jsonl: line 2"):
        read_answers(path)
    path.write_text("")
    with pytest.raises(InputError, match="found no rows"):
        read_answers(path)
    path.unlink()
    with pytest.raises(InputError, match=r"found no answers, expected files MODEL\.jsonl"):
        read_answers(tmp_path)
    with pytest.raises(InputError, match="no file"):
        read_answers(path)


def test_two_files_with_the_same_answers_are_refused(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", V1)
    lines(tmp_path / "b.jsonl", V1)
    with pytest.raises(InputError, match=r"b\.jsonl: row 1: found a second answer .*a\.jsonl: row 1"):
        read_answers(tmp_path)


def test_nothing_is_written_where_one_answer_does_not_fit(tmp_path: Path) -> None:
    fits = Answer(question_id="q", model="m", turns=("so",), asked=("why?",))
    bare = fits.model_copy(update={"model": "n", "asked": ()})
    for kind, said in (("arena-hard-v2", "fill `asked`"), ("alpaca-eval", "no instruction")):
        with pytest.raises(InputError, match=said):
            write_answers(tmp_path / "out", [fits, bare], kind)
    with pytest.raises(InputError, match="found no answers"):
        write_answers(tmp_path / "out", [])
    with pytest.raises(InputError, match="found the kind 'helm', expected arena-hard-v2"):
        write_answers(tmp_path / "out", [fits], "helm")  # ty: ignore[invalid-argument-type]
    assert not (tmp_path / "out").exists()


def test_answers_to_other_questions_are_told_with_their_number_and_the_first_ids() -> None:
    prompts = [Prompt(id=f"q{number}", turns=("why?",)) for number in range(6)]
    good = [Answer(question_id=prompt.id, model="good", turns=("so",)) for prompt in prompts]
    check_answers(good, prompts)
    check_answers(good[:2], prompts, complete=False)
    bad = [Answer(question_id=name, model="bad", turns=("so",)) for name in ("x1", "x2", "q0")]
    bad.append(Answer(question_id="q1", model="bad", turns=("so", "and")))
    with pytest.raises(InputError) as error:
        check_answers([*good, *bad], prompts)
    assert "bad: 2 unknown (x1, x2), 4 without an answer (q2, q3, q4, ...)" in str(error.value)
    assert "1 with another number of turns (q1)" in str(error.value)
    assert "good" not in str(error.value)
