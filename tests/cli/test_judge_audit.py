"""`palaestra judge audit | calibrate | plant`: tables, JSON, pages, and what happens when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from judge_worlds import answers_of, judged, votes_of

from palaestra.cli import run
from palaestra.gateway.scripted_judge import JudgeScript


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    answers = answers_of(5, 20, 0, signed="m4")
    judges = [
        judged(answers, JudgeScript(position=1.5), judge="m4"),
        judged(answers, JudgeScript(sharp=3), judge="[/red]"),
    ]
    pl.concat(judges).write_csv(tmp_path / "verdicts.csv")
    judges[0].with_columns(label=pl.lit("A=B")).write_parquet(tmp_path / "other.parquet")
    answers.write_ndjson(tmp_path / "answers.jsonl")
    some = answers["question_id"].unique(maintain_order=True).head(12)
    votes = votes_of(judged(answers.filter(pl.col("question_id").is_in(some.to_list())), JudgeScript(), seed=2))
    winner = pl.col("points").replace_strict({1.0: "model_a", 0.5: "tie", 0.0: "model_b"}, return_dtype=pl.String)
    votes.select("question_id", "model_a", "model_b", winner=winner).write_parquet(tmp_path / "votes.parquet")
    return tmp_path


def test_the_table_says_what_was_found(palaestra: Any, folder: Path) -> None:
    done = palaestra("judge", "audit", "verdicts.csv", "--answers", "answers.jsonl", "--people", "votes.parquet")
    assert done.returncode == 0, done.stderr
    assert "position bias: A favoured, +1." in done.stdout
    assert "[/red]" in done.stdout
    assert "agreement with people" in done.stdout


def test_the_json_and_the_page(palaestra: Any, folder: Path) -> None:
    arguments = ("verdicts.csv", "--paraphrased", "other.parquet", "--rerun", "verdicts.csv", "--html", "page.html")
    done = palaestra("judge", "audit", *arguments, "--json", "-", "--confidence", "0.9")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["schema", "findings", "verdicts", "unread", "settings", "notes"]
    assert found["schema"] == "palaestra.judge_audit/1"
    assert found["settings"] == {"confidence": 0.9, "simulations": 200, "seed": 0}
    assert list(found["findings"][0]) == [
        "judge", "audit", "figure", "value", "lower", "upper", "unit", "null", "holds", "rows", "questions", "words",
    ]  # fmt: skip
    beyond = next(one for one in found["findings"] if one["figure"] == "changed beyond noise")
    assert beyond["holds"] == "above"
    page = (folder / "page.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_calibration(palaestra: Any, folder: Path) -> None:
    done = palaestra("judge", "calibrate", "verdicts.csv", "--people", "votes.parquet", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert "people alone" in done.stdout
    assert "120 comparisons with votes, 80 with the judge alone" in " ".join(done.stdout.split())
    assert "<svg" in (folder / "page.html").read_text()
    done = palaestra("judge", "calibrate", "verdicts.csv", "--people", "votes.parquet", "--json", "-")
    found = json.loads(done.stdout)["calibrations"]
    assert [one["judge"] for one in found] == ["[/red]", "m4"]
    assert list(found[0]) == [
        "schema", "judge", "models", "labelled", "others", "questions", "weight", "votes_worth", "width_ratio",
        "settings", "warnings",
    ]  # fmt: skip


def test_planted_faults_are_answers(palaestra: Any, folder: Path) -> None:
    done = palaestra("judge", "plant", "answers.jsonl", "--out", "faulty.jsonl", "--seed", "3")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (folder / "faulty.jsonl").read_text().splitlines()]
    assert {row["model"] for row in rows} >= {"m0", "m0~empty", "m4~decoration"}
    assert all({"question_id", "model", "text"} <= set(row) for row in rows)
    again = palaestra("judge", "plant", "answers.jsonl", "--out", "again.jsonl", "--seed", "3")
    assert again.returncode == 0
    assert (folder / "again.jsonl").read_bytes() == (folder / "faulty.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audit", "nowhere.csv"), "nowhere.csv"),
        (("audit", "verdicts.csv", "--rerun", "verdicts.csv"), "--paraphrased"),
        (("audit", "verdicts.csv", "--family", "openai"), "NAME=FAMILY"),
        (("audit", "verdicts.csv", "--html", "page.txt"), ".html"),
        (("audit", "verdicts.csv", "--confidence", "1"), "confidence"),
        (("audit", "verdicts.csv", "--answers", "votes.parquet"), "expected question_id, model and text"),
        (("calibrate", "verdicts.csv", "--people", "answers.jsonl"), "answers.jsonl"),
        (("plant", "votes.parquet", "--out", "x.jsonl"), "expected question_id, model and text"),
    ],
)
def test_what_cannot_be_used_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple, said: str
) -> None:
    monkeypatch.chdir(folder)
    assert run(["judge", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "x.jsonl").exists()
