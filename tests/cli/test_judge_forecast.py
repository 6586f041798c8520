"""`palaestra judge forecast` and `judge backtest` as a user has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from forecast_worlds import world, write

from palaestra.cli import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results, a board, and boards over time."""
    scores, board, truth = world(3, models=26, new=2, benchmarks=4)
    write(tmp_path, scores, board)
    rows = [
        {"date": f"2024-0{month}-01", "model": name, "rating": truth[name], "se": 6.0}
        for month, size in ((1, 20), (2, 23), (3, 26))
        for name in board.models[:size]
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "boards.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FORECAST = ("judge", "forecast", "results.csv", "--board", "board.csv")


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FORECAST, "--production", "m001"]) == 0
    said = capsys.readouterr().out
    assert "P(beats m001)" in said
    assert "m026" in said
    assert "from 26 rated models with results, of 26 on the board, and 4 benchmarks" in " ".join(said.split())


def test_an_object_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FORECAST, "--model", "m027", "--production", "m001", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "palaestra.forecast/1"
    (line,) = found["models"]
    assert line["model"] == "m027"
    assert 0 < line["chance"] < 1
    assert line["lower"] < line["rating"] < line["upper"]
    assert found["settings"]["method"] == found["method"] == "joint"


def test_the_gate_is_an_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FORECAST, "--model", "m027", "--json", "-"]) == 0
    rating = json.loads(capsys.readouterr().out)["models"][0]["rating"]
    near = pl.read_csv(folder / "board.csv").sort((pl.col("rating") - rating).abs())["model"][0]
    line = ("--model", "m027", "--production", near)
    assert run([*FORECAST, *line, "--json", "-"]) == 0
    chance = json.loads(capsys.readouterr().out)["models"][0]["chance"]
    assert run([*FORECAST, *line, "--gate", str(chance - 1e-6)]) == 0
    assert run([*FORECAST, *line, "--gate", str(chance + 1e-6)]) == 1
    assert "m027 stays out: its chance to beat " in capsys.readouterr().err


def test_auto_says_what_it_chose(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*FORECAST, "--method", "auto", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == min(found["scores"], key=found["scores"].get)


def test_the_past_as_table_object_and_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    past = ("judge", "backtest", "results.csv", "boards.csv", "--resamples", "100")
    assert run(past) == 0
    assert "6 models, each foretold from the board before it came" in " ".join(capsys.readouterr().out.split())
    assert run([*past, "--json", "past.json", "--html", "past.html"]) == 0
    found = json.loads((folder / "past.json").read_text())
    assert found["scores"]["joint"]["models"] == 6
    page = (folder / "past.html").read_text()
    assert page.count("<svg ") == 2
    assert "https://" not in page.replace("http://www.w3.org", "")


def test_a_page_that_stands_alone_and_takes_any_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "results.csv").read_text().replace("m026", "<b>new & bold</b>")
    (folder / "results.csv").write_text(text)
    assert run([*FORECAST, "--production", "m001", "--html", "page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert "<b>new" not in page
    assert "&lt;b&gt;new &amp; bold" in page
    assert page.count("<svg ") == 1
    assert "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gate", "0.5"], "found --gate without --production"),
        (["--gate", "1.5", "--production", "m001"], "gate"),
        (["--production", "nobody"], "found no model 'nobody' on the board"),
        (["--model", "m001"], "found 'm001' on the board already"),
        (["--confidence", "2"], "confidence"),
        (["--method", "tarot"], "tarot"),
        (["--html", "page.pdf"], "expected a path that ends in .html"),
        (["--earlier", "nowhere.csv"], "no file nowhere.csv"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*FORECAST, *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


def test_hole_or_fault_in_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results.csv").write_text("model,x\na,1\nb,two\n")
    assert run(FORECAST) == 2
    assert "results.csv: row 2, column x: found 'two', expected a number or nothing" in capsys.readouterr().err


def test_it_runs_as_a_process(palaestra: Any, folder: Path) -> None:
    done = palaestra(*FORECAST, "--json", "-")
    assert done.returncode == 0
    assert np.isfinite(json.loads(done.stdout)["models"][0]["rating"])
    assert "no dates" in done.stderr
