"""`palaestra rank fit`: the interface's JSON, the table, and what happens when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent.parent / "data"
VOTES = "model_a,model_b,winner\n" + "A,B,model_a\nB,A,model_a\nB,C,tie\nC,A,both_bad\nC,B,model_b\n" * 10
FIELDS = {
    "model",
    "rating",
    "lower",
    "upper",
    "se",
    "rank",
    "rank_lower",
    "rank_upper",
    "votes",
    "wins",
    "losses",
    "ties",
}


def test_the_json_of_the_interface(palaestra: Any) -> None:
    done = palaestra("rank", "fit", str(DATA / "llmfao.csv"), "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    board = json.loads(done.stdout)
    assert list(board) == [
        "schema", "category", "models", "effects", "components", "settings", "data", "fit", "warnings",
        "usable",
    ]  # fmt: skip
    assert board["schema"] == "palaestra.leaderboard/1"
    assert len(board["models"]) == 59
    simultaneous = {"rank_simultaneous_lower", "rank_simultaneous_upper"}
    assert set(board["models"][0]) == FIELDS | {"both_bad", "preliminary"} | simultaneous
    assert [line["rating"] for line in board["models"]] == sorted(
        (line["rating"] for line in board["models"]), reverse=True
    )
    assert set(board["data"]) == {"votes", "voters", "sha256", "first", "last"}
    assert set(board["fit"]) >= {"iterations", "log_likelihood", "held_out_log_loss", "converged", "calibration"}
    again = palaestra("rank", "fit", str(DATA / "llmfao.csv"), "--json", "-")
    assert again.stdout == done.stdout, "same seed, same inputs, same bytes"


def test_the_table_is_for_people_and_fits_a_pipe(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(VOTES)
    done = palaestra("rank", "fit", "votes.csv")
    assert done.returncode == 0
    assert "50 votes, 95% intervals" in done.stdout
    assert all(f" {name} " in done.stdout for name in "ABC")
    assert "\x1b[" not in done.stdout
    assert done.stderr == ""


def test_names_are_shown_as_they_are(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(VOTES.replace("A,", "[/red],").replace(",B,", ",:bug:,"))
    done = palaestra("rank", "fit", "votes.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert " [/red] " in done.stdout
    assert " :bug: " in done.stdout


def test_settings_by_flag_then_file_then_environment(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(VOTES)

    def anchored(*flags: str, **environment: str) -> str:
        done = palaestra("rank", "fit", "votes.csv", "--json", "-", *flags, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["settings"]["anchor"]

    assert anchored(PALAESTRA_RANK_FIT_ANCHOR="A=1") == "A=1"
    (tmp_path / "palaestra.toml").write_text('[rank.fit]\nanchor = "A=2"\n')
    assert anchored(PALAESTRA_RANK_FIT_ANCHOR="A=1") == "A=2"
    assert anchored("--anchor", "A=3", PALAESTRA_RANK_FIT_ANCHOR="A=1") == "A=3"


def test_json_to_a_file_and_to_a_place_that_cannot_be(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(VOTES)
    assert palaestra("rank", "fit", "votes.csv", "--json", "board.json").returncode == 0
    assert json.loads((tmp_path / "board.json").read_text())["data"]["votes"] == 50
    refused = palaestra("rank", "fit", "votes.csv", "--json", "no/such/folder/board.json")
    assert refused.returncode == 2
    assert "cannot write JSON to 'no/such/folder/board.json'" in refused.stderr


def test_malformed_rows_are_refused_or_reported(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(VOTES + "A,B,draw\n")
    refused = palaestra("rank", "fit", "votes.csv")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: votes.csv: row 51, column winner: found 'draw', expected model_a, model_b")
    allowed = palaestra("rank", "fit", "votes.csv", "--skip-bad", "1")
    assert allowed.returncode == 0
    assert "warning: left out votes.csv: row 51" in allowed.stderr


def test_warnings_go_beside_the_result(palaestra: Any, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("model_a,model_b,winner\nA,B,model_a\n")
    done = palaestra("rank", "fit", "votes.csv", "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["warnings"]
    assert "A (1 won, 0 lost, 0 drawn) has no finite rating" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rank", "fit"], "--votes requires an argument"),
        (["rank", "fit", "nowhere.csv"], "no file nowhere.csv"),
        (["rank", "fit", "votes.csv", "--anchor", "Z=1"], "the anchor 'Z' is not among the 3 models"),
        (["rank", "fit", "votes.csv", "--anchor", "A"], "expected MODEL=SCORE"),
        (["rank", "fit", "votes.csv", "--confidence", "2"], "confidence"),
        (["rank", "fit", "votes.csv", "--skip-bad", "many"], "--skip-bad"),
        (["rank", "fit", "votes.csv", "--skip-bad", "-1"], "--skip-bad"),
        (["rank", "fit", "votes.csv", "--seed", "-1"], "seed"),
        (["rank", "fit", "postgresql://host:abc/name"], "expected sqlite:///FILE"),
        (["rank", "fit", "votes.csv", "--colour", "red"], "--colour"),
        (["rank", "fit", "sqlite:///nowhere.db"], "nowhere.db"),
        (["rank", "fit", "sqlite:///votes.csv"], "votes.csv"),
        (["rank", "fly"], "fly"),
        (["prank"], "prank"),
    ],
)
def test_bad_usage_is_two_and_says_what(palaestra: Any, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "votes.csv").write_text(VOTES)
    done = palaestra(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


def test_help_and_version(palaestra: Any) -> None:
    for arguments in (["--help"], ["rank", "--help"], ["rank", "fit", "--help"], ["arena", "serve", "--help"], []):
        done = palaestra(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: palaestra" in done.stdout
    assert palaestra("--version").stdout.strip() == "0.1.0"
