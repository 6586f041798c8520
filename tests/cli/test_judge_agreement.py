"""`palaestra judge agreement`, `value`, `subset`: tables, JSON, pages, and what happens when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palaestra.cli import run

BOARD = "model,score,lower,upper\n[/red],4,3.5,4.5\n<b>B</b>,3,2.5,3.5\nC,2,1.5,2.5\nD,1,0.5,1.5\nonly-here,0,0,1\n"
REFERENCE = "model,rating,se\n[/red],40,1\n<b>B</b>,20,1\nother-c,30,1\nD,10,1\nonly-there,9,1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two boards, names, verdicts of 30 questions and 10 models, and their topics."""
    monkeypatch.chdir(tmp_path)
    Path("board.csv").write_text(BOARD)
    Path("reference.csv").write_text(REFERENCE)
    Path("names.json").write_text(json.dumps({"C": "other-c"}))
    rng = np.random.default_rng(0)
    labels = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
    lines = ["question_id,model,game1,game2"]
    for question in range(30):
        for model in range(10):
            games = np.clip(rng.normal((2 - model / 2.5, 2 + model / 2.5 - 2), 1), -2, 2)
            first, second = (labels[round(2 - game)] for game in (games[0] - 0.5, games[1]))
            lines.append(f"q{question},<m{model}>,{first},{second}")
    Path("verdicts.csv").write_text("\n".join(lines) + "\n")
    rows = [{"question_id": f"q{question}", "prompt": "?", "cluster": "ab"[question % 2]} for question in range(30)]
    Path("questions.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return tmp_path


def stands_alone(page: str) -> bool:
    found = set(re.findall(r"https?://[^\"' <)]+", page))
    return found <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"} and "<script" not in page


ASKED = (
    "judge",
    "agreement",
    "board.csv",
    "reference.csv",
    "--names",
    "names.json",
    "--over",
    "votes",
    "--rounds",
    "200",
)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """What a command prints, in this process, and what it says beside it."""
    assert run(arguments) == 0
    said = capsys.readouterr()
    return said.out, said.err


def test_agreement(palaestra: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = palaestra(*ASKED, "--json", "-", "--seed", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["schema", "board", "reference", "models", "measures", "settings", "warnings"]
    assert found["schema"] == "palaestra.agreement/1"
    assert found["models"] == ["[/red]", "<b>B</b>", "C", "D"]
    assert found["settings"]["over"] == "votes"
    values = {one["name"]: one["value"] for one in found["measures"]}
    assert values["strict_agreement"] == pytest.approx(5 / 6)
    assert values["kendall"] == pytest.approx(2 / 3)
    assert "not compared of board.csv: only-here" in done.stderr
    assert shown(capsys, *ASKED, "--json", "-", "--seed", "3")[0] == done.stdout
    table, _ = shown(capsys, *ASKED)
    assert all(words in table for words in ("board.csv against", "agreement (blog, -1 to 1)", "0.8333", "95% inter"))


def test_value(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("judge", "value", "verdicts.csv", "--baseline", "base")
    found = json.loads(shown(capsys, *asked, "--json", "-")[0])
    assert found["schema"] == "palaestra.question_values/1"
    assert len(found["questions"]) == 30
    fields = {"question_id", "information", "discrimination_lower", "flips", "near_constant"}
    assert fields <= set(found["questions"][0])
    table, _ = shown(capsys, *asked, "--show", "2")
    assert table.count("│ q") == 4
    assert "30 questions, 10 models" in table


def test_subset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (
        "judge",
        "subset",
        "verdicts.csv",
        "--baseline",
        "base",
        "--size",
        "12",
        "--splits",
        "3",
        "--out",
        "ids.txt",
    )
    out, err = shown(capsys, *asked, "--questions", "questions.jsonl", "--json", "-")
    found = json.loads(out)
    assert found["schema"] == "palaestra.subset/1"
    assert (folder / "ids.txt").read_text().splitlines() == found["questions"]
    assert len(set(found["questions"])) == 12
    assert {one["way"] for one in found["curve"]} == {"chosen", "random", "stratified"}
    assert "12 of 30 questions are in ids.txt" in err
    table, err = shown(capsys, *asked)
    assert "12 <" in table
    assert "not stratified" in err


def test_pages_stand_alone(folder: Path) -> None:
    pytest.importorskip("altair")
    for arguments in (
        ["agreement", "board.csv", "reference.csv", "--names", "names.json"],
        ["value", "verdicts.csv", "--baseline", "base"],
        ["subset", "verdicts.csv", "--baseline", "base", "--size", "12", "--splits", "3", "--out", "ids.txt"],
    ):
        assert run(["judge", *arguments, "--html", "page.html"]) == 0
        page = (folder / "page.html").read_text()
        assert page.count("<svg") == 1
        assert stands_alone(page)
        assert "<b>B</b>" not in page
        assert "<m1>" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agreement", "board.csv", "nowhere.csv"], "no file nowhere.csv"),
        (["agreement", "board.csv", "verdicts.csv"], "expected a Leaderboard in JSON"),
        (["agreement", "board.csv", "reference.csv", "--names", "board.csv"], "expected a JSON object of names"),
        (["agreement", "board.csv", "reference.csv", "--names", "names.json", "--only-named"], "at least 3"),
        (["agreement", "board.csv", "reference.csv", "--overlap", "loose"], "loose"),
        (["agreement", "board.csv", "reference.csv", "--html", "page.pdf"], "expected a path that ends in .html"),
        (["value", "verdicts.csv"], "give it: --baseline NAME"),
        (["value", "bad.csv", "--baseline", "base"], "bad.csv: row 1, column game2: found 'won'"),
        (["subset", "verdicts.csv", "--baseline", "base", "--size", "31", "--out", "ids.txt"], "found 30 questions"),
        (["subset", "verdicts.csv", "--baseline", "base", "--keep", "2", "--out", "ids.txt"], "keep"),
        (["subset", "verdicts.csv", "--baseline", "base"], "--out"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.csv").write_text("question_id,model,game1,game2\nq,m,A>B,won\n")
    assert run(["judge", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err.replace("\n", " ")
    assert not (folder / "ids.txt").exists()
