"""Preferences of every format, their round trip, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.schema import Message, Preference
from palaestra.store.preferences import read_preferences, write_preferences

ASKED = {"role": "user", "content": "How are you?"}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FORMATS = {
    "votes": {
        "model_a": "x", "model_b": "y", "winner": "model_b",
        "conversation_a": [ASKED, said("Bad.")], "conversation_b": [ASKED, said("Good.")],
    },
    "ppe-human": {"prompt": "How are you?", "response_1": "Bad.", "response_2": "Good.", "winner": "model_b"},
    "ranked": {
        "prompt": "How are you?",
        "answers": [{"answer": "Bad.", "rank": 3.0, "model": "x"}, {"answer": "Good.", "rank": 1.0, "model": "y"}],
    },
    "pairs": {"prompt": "How are you?", "chosen": "Good.", "rejected": "Bad."},
    "judgebench": {"question": "How are you?", "response_A": "Bad.", "response_B": "Good.", "label": "B>A"},
    "llmbar": {"input": "How are you?", "output_1": "Bad.", "output_2": "Good.", "label": 2},
    "auto-j": {"prompt": "How are you?", "response 1": "Bad.", "response 2": "Good.", "label": 1, "scenario": "chat"},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_who_is_better(tmp_path: Path, name: str) -> None:
    found = read_preferences(lines(tmp_path / "file.jsonl", FORMATS[name]))
    (one,) = found.preferences
    assert found.format == name
    assert (one.text, one.chosen, one.rejected, one.is_pair) == ("How are you?", "Good.", "Bad.", True)


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": [ASKED, said("Good.")], "rejected": [ASKED, said("Bad.")]},
        {"prompt": [ASKED], "chosen": [said("Good.")], "rejected": [said("Bad.")]},
        {"prompt": "How are you?", "chosen": [ASKED, said("Good.")], "rejected": [ASKED, said("Bad.")]},
        {
            "chosen": "\n\nHuman: How are you?\n\nAssistant: Good.",
            "rejected": "\n\nHuman: How are you?\n\nAssistant: Bad.",
        },
        {"prompt": "How are you?", "chosen": "Good.", "rejected": "Bad.", "subset": "alpacaeval-easy"},
    ],
)
def test_pairs_of_texts_messages_and_transcripts_are_the_same(tmp_path: Path, row: dict[str, Any]) -> None:
    (one,) = read_preferences(lines(tmp_path / "file.jsonl", row)).preferences
    assert (one.prompt, one.chosen, one.rejected) == ((Message.of("user", "How are you?"),), "Good.", "Bad.")


def test_level_outcomes_are_ties_and_both_bad_is_told_apart(tmp_path: Path) -> None:
    rows = [FORMATS["votes"] | {"winner": winner, "id": winner} for winner in ("tie", "both_bad", "tie (bothbad)")]
    found = read_preferences(lines(tmp_path / "file.jsonl", *rows)).preferences
    assert [(one.is_tie, one.both_bad) for one in found] == [(True, False), (True, True), (True, True)]


def test_talks_that_part_early_keep_what_each_model_was_told(tmp_path: Path) -> None:
    more = {"role": "user", "content": "Why?"}
    row = FORMATS["votes"] | {
        "conversation_a": [ASKED, said("Bad."), more, said("Rain.")],
        "conversation_b": [ASKED, said("Good."), more, said("Sun.")],
    }
    (one,) = read_preferences(lines(tmp_path / "file.jsonl", row)).preferences
    assert one.text == "How are you?"
    assert one.replies == ("Bad.\n\nUser: Why?\n\nAssistant: Rain.", "Good.\n\nUser: Why?\n\nAssistant: Sun.")


def test_an_item_of_rm_bench_is_nine_pairs_and_one_of_rewardbench_2_is_one_ranking(tmp_path: Path) -> None:
    item = {
        "id": 1,
        "prompt": "Say 1.",
        "subset": "chat",
        "chosen": ["1", "One: 1", "**1**"],
        "rejected": ["2", "3", "4"],
    }
    nine = read_preferences(lines(tmp_path / "nine.jsonl", item)).preferences
    assert len({(one.labels["chosen_style"], one.labels["rejected_style"]) for one in nine}) == 9
    assert {one.category for one in nine} == {"chat"}
    four = {
        "id": 1,
        "prompt": "Say 1.",
        "subset": "math",
        "chosen": ["1"],
        "rejected": ["2", "3", "4"],
        "num_correct": 1,
    }
    (one,) = read_preferences(lines(tmp_path / "four.jsonl", four)).preferences
    assert one.ranks == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("row", "said_of_it"),
    [
        (FORMATS["votes"] | {"conversation_a": None}, "row 2: found a vote without its prompt"),
        (FORMATS["votes"] | {"winner": "left"}, "row 2: column winner: found 'left', expected model_a, model_b"),
        (
            FORMATS["votes"] | {"conversation_b": [{"role": "user", "content": "Else?"}, said("Good.")]},
            "row 2: found no prompt",
        ),
        (FORMATS["votes"] | {"conversation_b": [ASKED]}, "row 2: found a conversation that does not end with a reply"),
    ],
)
def test_a_malformed_row_is_named_and_left_out_only_where_that_is_allowed(
    tmp_path: Path, row: dict[str, Any], said_of_it: str
) -> None:
    path = lines(tmp_path / "file.jsonl", FORMATS["votes"] | {"id": "1"}, row | {"id": "2"})
    with pytest.raises(InputError, match=said_of_it):
        read_preferences(path)
    found = read_preferences(path, skip_bad=1)
    assert len(found.preferences) == len(found.skipped) == 1


def test_a_pair_without_a_prompt_or_with_a_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: found no prompt"):
        read_preferences(lines(tmp_path / "file.jsonl", {"chosen": "Good.", "rejected": "Bad."}))
    with pytest.raises(InputError, match="row 2: found the id '1', which an earlier row has"):
        read_preferences(lines(tmp_path / "file.jsonl", *[FORMATS["pairs"] | {"id": "1"}] * 2))
    with pytest.raises(InputError, match="found the columns a, expected"):
        read_preferences(lines(tmp_path / "file.jsonl", {"a": 1}))


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def preferences(draw: st.DrawFn) -> Preference:
    size = draw(st.integers(2, 4))
    ranks = draw(st.lists(st.integers(1, 3), min_size=size, max_size=size).filter(lambda found: min(found) == 1))
    return Preference(
        id=draw(st.uuids()).hex,
        prompt=(Message.of("user", "?" + draw(texts)),),
        replies=tuple(draw(st.lists(texts, min_size=size, max_size=size))),
        ranks=tuple(ranks),
        models=draw(st.sampled_from([(), tuple("abcd"[:size])])),
        weight=draw(st.floats(0, 1e6)),
        labels=draw(st.dictionaries(st.text("ab", min_size=1, max_size=3), texts, max_size=2)),
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(preferences(), min_size=1, max_size=4, unique_by=lambda one: one.id))
    path = tmp_path_factory.mktemp("round") / f"preferences{suffix}"
    write_preferences(path, wanted)
    assert list(read_preferences(path).preferences) == wanted


def test_a_rank_that_is_no_number_is_no_place(tmp_path: Path) -> None:
    path = tmp_path / "ranked.jsonl"
    answers = [{"answer": text, "rank": rank} for text, rank in (("a", 1.0), ("b", float("nan")), ("c", 2.0))]
    path.write_text(json.dumps({"prompt": "How are you?", "answers": answers}) + "\n")
    with pytest.raises(InputError, match="row 1: found an answer whose rank is no number"):
        read_preferences(path)
