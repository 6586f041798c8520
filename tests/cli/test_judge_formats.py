"""`palaestra judge alpaca`, `judge grades` and `bench export`: table, JSON, page, and wrong use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROWS = [
    {
        "instruction_id": str(number),
        "generator_1": "base",
        "generator_2": model,
        "annotator": "[/red]",
        "preference": 1 + ((number * 7 + step * 3) % 5) / 4,
        "output_1": "x" * (10 + number),
        "output_2": "y" * (10 + 2 * step + number % 4),
    }
    for step, model in enumerate(["<b>m0</b>", "m1", "m2", "m3", "m4"])
    for number in range(12)
]


@pytest.fixture
def annotations(tmp_path: Path) -> str:
    (tmp_path / "annotations.json").write_text(json.dumps(ROWS))
    return "annotations.json"


def test_alpaca_prints_a_table_and_json(palaestra: Any, annotations: str) -> None:
    done = palaestra("judge", "alpaca", annotations, "--rounds", "20")
    assert done.returncode == 0, done.stderr
    assert all(
        words in done.stdout for words in ("[/red], against base", "<b>m0</b>", "LC win rate", "12 instructions")
    )
    arguments = ("judge", "alpaca", annotations, "--rounds", "20", "--seed", "3", "--json", "-")
    done = palaestra(*arguments)
    (board,) = json.loads(done.stdout)["boards"]
    assert (board["schema"], board["baseline"], board["settings"]["seed"]) == ("palaestra.alpaca/1", "base", 3)
    line = board["models"][0]
    assert line["lc_lower"] < line["lc_win_rate"] < line["lc_upper"]
    assert (
        palaestra("judge", "alpaca", annotations, "--rounds", "20", "--seed", "3", "--json", "-").stdout == done.stdout
    )


def test_alpacas_page_stands_alone(palaestra: Any, annotations: str, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    done = palaestra("judge", "alpaca", annotations, "--rounds", "20", "--html", "page.html", "--json", "board.json")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 1
    assert "&lt;b&gt;m0&lt;/b&gt;" in page
    assert set(re.findall(r"https?://[^\"' <)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert json.loads((tmp_path / "board.json").read_text())["boards"]


def test_grades(palaestra: Any, tmp_path: Path) -> None:
    rows = [
        {"question_id": q, "model": "m", "judge": ["gpt-4", "single-v1"], "turn": turn, "score": score}
        for q, turn, score in ((81, 1, 8), (81, 2, 6), (82, 1, 9), (82, 2, -1))
    ]
    (tmp_path / "gpt-4_single.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [{"question_id": q, "category": "math", "turns": ["a", "b"]} for q in (81, 82)]
    (tmp_path / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    done = palaestra("judge", "grades", "gpt-4_single.jsonl", "--questions", "question.jsonl")
    assert done.returncode == 0, done.stderr
    assert all(words in done.stdout for words in ("Grades by gpt-4", "turn 2", "math", "7.67"))
    assert "warning: gpt-4: 1 grades have no score from 1 to 10" in done.stderr
    done = palaestra("judge", "grades", "gpt-4_single.jsonl", "--json", "-")
    (board,) = json.loads(done.stdout)["boards"]
    assert (board["schema"], board["models"][0]["unparsed"]) == ("palaestra.grades/1", 1)


def test_bench_export(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question_id": "q1", "prompt": "why?", "system": "Be brief."}\n')
    done = palaestra("bench", "export", "q.jsonl", "--to", "lm-eval", "--out", "my-bench")
    assert done.returncode == 0, done.stderr
    assert "1 prompts are in my-bench: my_bench.yaml, questions.py, questions.jsonl" in done.stdout
    assert "warning: 1 of the prompts have a system prompt" in done.stderr
    assert "lm-eval run --model hf --tasks my_bench" in done.stderr
    again = palaestra("bench", "export", "q.jsonl", "--to", "lm-eval", "--out", "my-bench")
    assert (again.returncode, "which exists" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["judge", "alpaca", "none.json"], "no file none.json"),
        (["judge", "alpaca", "annotations.json", "--rounds", "3"], "expected 0, for no intervals, or at least 20"),
        (["judge", "alpaca", "annotations.json", "--weights", "none.csv"], "no file none.csv"),
        (["judge", "alpaca", "annotations.json", "--html", "page.txt"], "expected a path that ends in .html"),
        (["judge", "grades", "annotations.json"], "row 1: "),
        (["bench", "export", "annotations.json", "--to", "helm", "--out", "x"], "helm"),
    ],
)
def test_wrong_use_exits_with_two_and_says_why(
    palaestra: Any, annotations: str, arguments: list[str], said: str
) -> None:
    done = palaestra(*arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
