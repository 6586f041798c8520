from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example, read_examples, write_examples
from palaestra.schema import Message, Prompt, PromptSet
from palaestra.store.prompts import prompts_sha256, write_prompt_set

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(texts, st.none() | texts, st.sampled_from(["add", "mul"]), st.none() | texts, st.floats(0, 9)),
        min_size=1, max_size=5,
    ),
    st.sampled_from(["folder", "file.parquet", "file.jsonl"]),
)  # fmt: skip
def test_what_is_written_is_read_again(tmp_path_factory: Any, rows: list[Any], name: str) -> None:
    path = tmp_path_factory.mktemp("examples") / name
    examples = tuple(
        Example.of(prompt, completion, id=f"{number}", domain=domain, reference=reference, weight=weight)
        for number, (prompt, completion, domain, reference, weight) in enumerate(rows)
    )
    write_examples(path, examples)
    assert read_examples(path).examples == examples


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "asked", "reply"),
    [
        ({"prompt": "Hi", "completion": "Yes"}, "Hi", "Yes"),
        ({"prompt": [{"role": "user", "content": "Hi"}]}, "Hi", ""),
        ({"instruction": "Add", "input": "1 2", "output": "3"}, "Add\n\n1 2", "3"),
        ({"question": "2+2", "answer": "4"}, "2+2", ""),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                          {"role": "assistant", "content": "a"}]}, "u", "a",
        ),
    ],
)  # fmt: skip
def test_other_peoples_columns(tmp_path: Path, row: dict[str, Any], asked: str, reply: str) -> None:
    (found,) = read_examples(written(tmp_path, row)).examples
    assert (found.asked, found.reply) == (asked, reply)


def test_turns_of_tools_stay_between_those_of_the_assistant(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": [{"type": "tool_call", "call_id": "1", "name": "now", "arguments": "{}"}]},
        {"role": "tool", "content": [{"type": "tool_result", "call_id": "1", "text": "noon"}]},
        {"role": "assistant", "content": "Noon."},
    ]
    (found,) = read_examples(written(tmp_path, {"messages": messages})).examples
    assert [message.role for message in found.completion] == ["assistant", "tool", "assistant"]
    write_examples(tmp_path / "again", [found])
    assert read_examples(tmp_path / "again").examples == (found,)


def test_a_set_of_prompts(tmp_path: Path) -> None:
    prompts = [
        Prompt(id="1", turns=("2+2",), category="sums", reference=("4",)),
        Prompt(id="2", turns=("Hi",), system="Be kind."),
    ]
    write_prompt_set(
        tmp_path / "set",
        PromptSet(name="s", version="1", prompts=2, sha256=prompts_sha256(prompts)),
        prompts,
        "# Mine\n",
    )
    one, two = read_examples(tmp_path / "set").examples
    assert (one.id, one.domain, one.reference, one.asked) == ("1", "sums", "4", "2+2")
    assert [message.role for message in two.prompt] == ["system", "user"]
    assert read_examples(tmp_path / "set").domains == {"all": 1, "sums": 1}


def test_a_folder_opens_as_the_hub_reads_it(tmp_path: Path) -> None:
    write_examples(tmp_path / "data", [Example.of("a", "b", domain="x")], "# Some examples\n")
    card = (tmp_path / "data" / "README.md").read_text()
    assert card.startswith("---\nconfigs:")
    assert "n<1K" in card
    assert card.endswith("# Some examples\n")
    frame = pl.read_parquet(tmp_path / "data" / "examples.parquet")
    assert json.loads(frame["prompt"][0])[0]["role"] == "user"
    with pytest.raises(InputError, match="there already"):
        write_examples(tmp_path / "data", [Example.of("a")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "a"}, {"prompt": " "}], "row 2: found an empty text where the user should speak"),
        ([{"text": "a"}], "row 1: found the columns text, expected prompt, messages or instruction"),
        ([{"id": "1", "prompt": "a"}, {"id": "1", "prompt": "b"}], "row 2: found the id '1', which an earlier row has"),
        ([{"prompt": "a", "weight": -1}], "row 1: weight"),
        ([{"messages": [{"role": "assistant", "content": "a"}]}], "row 1: prompt"),
        ([{"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}], "ends with the"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_named(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_examples(written(tmp_path, *rows))


def test_malformed_rows_may_be_left_out_and_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "a"}, {"prompt": ""}, {"prompt": "b"})
    found = read_examples(path, skip_bad=1)
    assert [example.asked for example in found.examples] == ["a", "b"]
    assert found.skipped == (f"{path}: row 2: found an empty text where the user should speak",)


def test_repeated_texts_without_ids_are_examples_of_their_own(tmp_path: Path) -> None:
    found = read_examples(written(tmp_path, {"prompt": "a"}, {"prompt": "a"})).examples
    assert len({example.id for example in found}) == 2


def test_a_completion_may_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: found no completion"):
        read_examples(written(tmp_path, {"prompt": "a"}), completed=True)


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no example to write"):
        write_examples(tmp_path / "data", [])
    assert Example(id="1", prompt=(Message.of("user", "a"),)).reply == ""
