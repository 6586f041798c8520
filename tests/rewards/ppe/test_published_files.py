"""Benchmarks of pairs in the files of their authors, small ones made here with all their columns, by the command."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.store.preferences import read_preferences

LONG, SHORT = "a longer reply", "short"


def words(*counts: int) -> list[str]:
    return [" ".join(["word"] * count) for count in counts]


REWARD_BENCH = [
    {
        "id": number, "prompt": "Say it.", "chosen": LONG, "chosen_model": "m1", "rejected": SHORT,
        "rejected_model": "m2", "subset": subset,
    }
    for number, subset in enumerate(["alpacaeval-easy", "mt-bench-hard", "xstest-should-refuse", "math-prm", "hep-go"])
]  # fmt: skip
RM_BENCH = [
    {
        "id": 8, "subset": "alpacaeval", "prompt": "Which drawers?", "chosen": words(2, 3, 4),
        "rejected": words(1, 3, 5), "num_words_chosen": [1, 1, 1],
    },
    {
        "id": 8, "prompt": "Write it.", "subset": "bigcode/humanevalpack", "language": "cpp", "task_id": "CPP/8",
        "chosen": words(2, 3, 4), "rejected": words(1, 2, 3),
    },
]  # fmt: skip
JUDGE_BENCH = [
    {
        "pair_id": f"p{number}", "original_id": 1420, "source": source, "question": "Who is right?",
        "response_model": "m", "response_A": LONG, "response_B": SHORT, "label": label,
    }
    for number, (source, label) in enumerate(
        [("mmlu-pro-law", "A>B"), ("livebench-math", "B>A"), ("livecodebench", "A>B"), ("livebench-reasoning", "A>B")]
    )
]  # fmt: skip
LLMBAR = [
    {"input": "Add one to 1.", "output_1": SHORT, "output_2": LONG, "label": 2},
    {"input": "Add one to 2.", "output_1": LONG, "output_2": SHORT, "label": 2},
]


def as_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_list(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress(json.dumps(rows, indent=2).encode()))
    return path


def figures(files: Mapping[str, Path], tmp_path: Path) -> dict[str, float]:
    pairs = [part for name, path in files.items() for part in ("--pairs", f"{name}={path}")]
    assert run(["reward", "ppe", "rule:length", *pairs, "--json", str(tmp_path / "out.json")]) == 0
    said = json.loads((tmp_path / "out.json").read_text())
    return {one["domain"]: one["value"] for one in said["figures"] if one["metric"] == "accuracy"}


def test_files_are_read_as_they_are_and_summed_up_by_their_sections(tmp_path: Path) -> None:
    found = figures(
        {
            "rb": as_lines(tmp_path / "filtered.jsonl", REWARD_BENCH),
            "rm": as_list(tmp_path / "chat_filtered.json.gz", RM_BENCH),
            "jb": as_lines(tmp_path / "dataset=judgebench,response_model=m.jsonl", JUDGE_BENCH),
            "bar": as_list(tmp_path / "LLMBar_Natural_dataset.json.gz", LLMBAR),
        },
        tmp_path,
    )
    sections = ("Chat", "Chat Hard", "Safety", "Reasoning", "score", "math-prm")
    assert [found[f"rb: {name}"] for name in sections] == [1] * 6
    assert (found["rm: easy"], found["rm: hard"]) == (1, pytest.approx(1 / 6))
    assert found["rm: alpacaeval"] == pytest.approx(4.5 / 9)
    assert found["rm: bigcode/humanevalpack"] == pytest.approx(7 / 9)
    assert found["rm: score"] == pytest.approx((1 + 4.5 / 6 + 1 / 6) / 3)
    assert [found[f"jb: {name}"] for name in ("knowledge", "reasoning", "math", "coding")] == [1, 1, 0, 1]
    assert found["bar"] == 0.5


def test_the_readers_keep_what_the_files_say(tmp_path: Path) -> None:
    (one, *_) = read_preferences(as_lines(tmp_path / "rb.jsonl", REWARD_BENCH)).preferences
    assert (one.models, one.category) == (("m1", "m2"), "alpacaeval-easy")
    nine = read_preferences(as_list(tmp_path / "rm.json.gz", RM_BENCH)).preferences
    assert len(nine) == 18
    assert len({one.id for one in nine}) == 18
    assert len({one.labels["item"] for one in nine}) == 2
    (one, *_) = read_preferences(as_lines(tmp_path / "jb.jsonl", JUDGE_BENCH)).preferences
    assert (one.id, one.source, one.text) == ("p0", "mmlu-pro-law", "Who is right?")
    assert [one.ranks for one in read_preferences(as_list(tmp_path / "bar.json.gz", LLMBAR)).preferences] == [
        (2, 1)
    ] * 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (RM_BENCH[0] | {"rejected": ["b"]}, "expected three styles"),
        (JUDGE_BENCH[0] | {"label": "A"}, "found 'A', expected A>B"),
        (LLMBAR[0] | {"label": 3}, "found 3, expected 1, 2"),
    ],
)
def test_what_is_not_as_published_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"row 1: .*{said}"):
        read_preferences(as_lines(tmp_path / "x.jsonl", [row]))
