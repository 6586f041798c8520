"""The other verbs of `palaestra rank`, as a user runs them: right, wrong, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

DATA = Path(__file__).parent.parent / "data"
LLMFAO = str(DATA / "llmfao.csv")


@pytest.fixture
def votes(tmp_path: Path) -> str:
    """Two thousand votes with voters, times, a language and a covariate."""
    rng = np.random.default_rng(0)
    names = np.array(["ada", "bea", "cid", "dov"])
    first = rng.integers(4, size=2000)
    second = (first + rng.integers(1, 4, size=2000)) % 4
    won = rng.random(2000) < 1 / (1 + np.exp(0.3 * (first - second)))
    winner = np.where(
        rng.random(2000) < 0.2, rng.choice(["tie", "both_bad"], 2000), np.where(won, "model_a", "model_b")
    )
    frame = pl.DataFrame(
        {
            "model_a": names[first],
            "model_b": names[second],
            "winner": winner,
            "voter": [f"v{k % 90}" for k in range(2000)],
            "tstamp": 1.7e9 + 3600.0 * np.arange(2000),
            "language": rng.choice(["English", "German"], 2000),
            "x": rng.normal(size=2000),
        }
    )
    frame.write_csv(tmp_path / "votes.csv")
    return "votes.csv"


def said(done: Any) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compare(palaestra: Any, votes: str) -> None:
    found = said(palaestra("rank", "compare", votes, "ada", "bea", "--json", "-"))
    assert found["schema"] == "palaestra.comparison/1"
    assert found["lower"] < found["difference"] < found["upper"]
    table = palaestra("rank", "compare", votes, "ada", "bea")
    assert "P(ada better)" in table.stdout
    refused = palaestra("rank", "compare", votes, "ada", "zoe")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no model 'zoe'" in refused.stderr


def test_settings_reach_the_fit(palaestra: Any, votes: str) -> None:
    flags = ["--ties", "auto", "--covariates", "x", "--covariates", "position", "--cluster", "voter", "--json", "-"]
    board = said(palaestra("rank", "fit", votes, *flags))
    assert [effect["name"] for effect in board["effects"]] == ["x", "position"]
    assert board["settings"]["cluster"] == "voter"
    assert set(board["fit"]["tie_log_losses"]) == {"half", "rao-kupper", "davidson", "grounded"}
    shown = palaestra("rank", "fit", votes, "--covariates", "x", "--ties", "davidson", "--intervals", "bootstrap")
    assert shown.returncode == 0
    assert "one root mean square" in shown.stdout
    assert shown.stderr == "", "a bar of progress is for a terminal"


def test_categories(palaestra: Any, votes: str) -> None:
    boards = said(palaestra("rank", "fit", votes, "--category", "all", "--json", "-"))["boards"]
    assert {"overall", "english", "german", "no_tie"} <= set(boards)
    assert boards["english"]["category"] == "english"
    own = said(palaestra("rank", "fit", votes, "--category", "mine=x > 0", "--json", "-"))
    assert own["category"] == "mine"
    assert "ranks by category" in palaestra("rank", "fit", votes, "--category", "all").stdout
    refused = palaestra("rank", "fit", votes, "--category", "mine=y > 0")
    assert refused.returncode == 2
    assert "mine" in refused.stderr


def test_next(palaestra: Any, votes: str) -> None:
    found = said(palaestra("rank", "next", votes, "--new", "eve", "--json", "-"))
    assert found["schema"] == "palaestra.pairs/1"
    assert len(found["pairs"]) == 10
    assert sum(pair["propensity"] for pair in found["pairs"]) == pytest.approx(1)
    assert "eve" in {found["pairs"][0]["model_a"], found["pairs"][0]["model_b"]}
    assert "propensity" in palaestra("rank", "next", votes).stdout


def test_fraud_and_robustness(palaestra: Any, votes: str) -> None:
    report = said(palaestra("rank", "fraud", LLMFAO, "--json", "-"))
    assert report["schema"] == "palaestra.fraud/1"
    assert report["flagged"] == sum(line["flagged"] for line in report["voters"]) > 0
    assert "voters flagged" in palaestra("rank", "fraud", LLMFAO).stdout
    found = said(palaestra("rank", "robustness", votes, "--json", "-"))
    assert found["lead_after"] < 0 < found["lead_before"]
    assert "verified" in palaestra("rank", "robustness", votes, "--what", "voters").stdout
    without = palaestra("rank", "fraud", str(DATA / "nowhere.csv"))
    assert without.returncode == 2


def test_history_person_and_elo(palaestra: Any, votes: str, tmp_path: Path) -> None:
    found = said(palaestra("rank", "history", votes, "--every", "1w", "--plot", "history.svg", "--json", "-"))
    assert {"date", "model", "rating", "lower", "upper", "rank"} <= set(found["rows"][0])
    assert (tmp_path / "history.svg").read_text().startswith("<svg")
    assert "boards, every 1w" in palaestra("rank", "history", votes).stdout
    own = said(palaestra("rank", "person", votes, "v3", "--json", "-"))
    assert own["voter"] == "v3"
    assert "agrees with the others" in palaestra("rank", "person", votes, "v3").stdout
    assert said(palaestra("rank", "elo", votes, "--json", "-"))["k"] == 4
    refused = palaestra("rank", "history", LLMFAO)
    assert refused.returncode == 2
    assert "time of every vote" in refused.stderr


def test_the_report_is_a_page(palaestra: Any, votes: str, tmp_path: Path) -> None:
    done = palaestra("rank", "fit", votes, "--category", "all", "--html", "board.html", "--json", "board.json")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "board.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert all(name in page for name in ("ada", "bea", "cid", "dov"))
    assert "http://" not in page.replace("http://www.w3.org", "")
    refused = palaestra("rank", "fit", votes, "--html", "board.txt")
    assert refused.returncode == 2
    assert "ends in .html" in refused.stderr
