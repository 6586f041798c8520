"""`palaestra rank mpg`: table, JSON, page, and what happens when something is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from palaestra.cli import run

HEAD = "model,benchmark,domain,correct,total,guess_rate,queries,seconds,concurrency,cost\n"
ROWS = [
    "[/red],trivia,facts,80,100,,100,50,8,0.5",
    "[/red],logic,reason,30,50,0.2,,,,",
    "<b>B</b>,trivia,facts,60,100,,100,10,8,0.1",
    "<b>B</b>,logic,reason,20,50,0.2,,,,",
    "C,trivia,facts,20,100,,100,20,8,0.2",
]
RESULTS = HEAD + "\n".join(ROWS) + "\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (path := tmp_path / "results.csv").write_text(RESULTS)
    return path


def test_the_json(palaestra: Any, results: Path) -> None:
    done = palaestra("rank", "mpg", results.name, "--json", "-", "--seed", "3")
    assert done.returncode == 0, done.stderr
    board = json.loads(done.stdout)
    assert list(board) == ["schema", "models", "domains", "beats", "settings", "warnings"]
    assert board["schema"] == "palaestra.mpg/1"
    assert board["domains"] == {"facts": ["trivia"], "reason": ["logic"]}
    assert board["settings"] == {
        "by": "speed", "concurrency": 8, "correct_guessing": False, "confidence": 0.95, "draws": 10000, "seed": 3,
    }  # fmt: skip
    assert [line["pareto"] for line in board["models"]] == [True, True, False]
    assert "warning: no result for C on logic" in done.stderr
    assert palaestra("rank", "mpg", results.name, "--json", "-", "--seed", "3").stdout == done.stdout


def test_the_table(palaestra: Any, results: Path) -> None:
    done = palaestra("rank", "mpg", results.name, "--by", "cost", "--correct-guessing")
    assert done.returncode == 0, done.stderr
    assert all(words in done.stdout for words in (" [/red] ", " <b>B</b> ", "cost per query", "facts", "95% intervals"))
    assert "\x1b[" not in done.stdout


def test_the_page_stands_alone(palaestra: Any, results: Path, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    done = palaestra("rank", "mpg", results.name, "--html", "page.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2
    assert set(re.findall(r"https?://[^\"' <)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in page
    assert "<b>B</b>" not in page
    assert page.count("&lt;b&gt;B&lt;/b&gt;") >= 3


def test_a_page_without_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("altair")
    (tmp_path / "bare.csv").write_text(HEAD + "A,trivia,facts,80,100,,,,,\n")
    monkeypatch.chdir(tmp_path)
    assert run(["rank", "mpg", "bare.csv", "--html", "bare.html"]) == 0
    assert (tmp_path / "bare.html").read_text().count("<svg") == 1
    assert "no result has times: goodness stands alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv"], "no file nowhere.csv"),
        (["bad.csv"], "error: bad.csv: row 6, columns of D on logic: 60 correct of 50"),
        (["results.csv", "--concurrency", "2"], "found no times at concurrency 2, expected one of 8"),
        (["results.csv", "--by", "beauty"], "beauty"),
        (["results.csv", "--draws", "10"], "draws"),
        (["results.csv", "--html", "page.pdf"], "expected a path that ends in .html"),
    ],
)
def test_what_is_wrong_is_said(
    results: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (results.parent / "bad.csv").write_text(RESULTS + "D,logic,reason,60,50,0.2,,,,\n")
    monkeypatch.chdir(results.parent)
    assert run(["rank", "mpg", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


def test_a_page_without_the_extra_says_what_to_install(palaestra: Any, results: Path, tmp_path: Path) -> None:
    (tmp_path / "altair.py").write_text("raise ImportError('none', name='altair')\n")
    done = palaestra("rank", "mpg", results.name, "--html", "page.html")
    assert (done.returncode, done.stdout) == (3, "")
    assert "pip install 'palaestra[plots]'" in done.stderr
    assert not (tmp_path / "page.html").exists()
