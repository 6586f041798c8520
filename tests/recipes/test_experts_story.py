"""The story of many experts and one model in its smallest size: every stage for real, on one core."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from palaestra.cli import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("story") / "out"
    assert run(["train", "experts", str(out), "--size", "minute", "--json", str(out.parent / "said.json")]) == 0
    return out


def rows(story: Path) -> dict[str, dict[str, float]]:
    return {row["name"]: row for row in json.loads((story / "board.json").read_text())}


def test_the_board_has_all_and_distillation_is_ahead_of_merges_and_joint_reinforcement(story: Path) -> None:
    board = rows(story)
    base, experts = board["base"], board["each expert in its own domain"]
    assert experts["lower"] > base["upper"]
    merges = [row for name, row in board.items() if name.startswith("merge: ")]
    assert len(merges) == 2
    ours = board["distilled from the base"]
    assert all(ours["mean"] > row["mean"] for row in [base, *merges, board["joint: rl"]])
    assert {"joint: gold", "joint: gold-all-compute", "joint: experts-data"} <= board.keys()
    said = json.loads((story.parent / "said.json").read_text())
    assert {row["name"] for row in said["rows"]} == board.keys()


def test_it_says_where_the_student_began_and_why(story: Path) -> None:
    said = json.loads((story / "start.json").read_text())
    text = (story / "board.md").read_text()
    assert ("from that merge" if said["passed"] else "from the base") in text
    assert said["reason"] in text
    assert "Workings: " in text
    assert (story / "board.png").stat().st_size > 10_000


def test_what_is_there_is_not_made_again_and_another_plan_is_refused(
    story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {path: path.stat().st_mtime_ns for path in story.rglob("*.safetensors")}
    assert len(weights) == 1 + 1 + 3 + 2 + 2 + 4 + 2
    assert run(["train", "experts", str(story), "--size", "minute"]) == 0
    assert {path: path.stat().st_mtime_ns for path in story.rglob("*.safetensors")} == weights
    assert run(["train", "experts", str(story), "--size", "whole"]) == 2
    assert "found another plan" in capsys.readouterr().err


def test_a_stage_whose_models_are_not_there_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "experts", str(tmp_path / "new"), "--size", "minute", "--stage", "experts"]) == 2
    assert "found no model in" in capsys.readouterr().err


def test_the_shell_file_runs_every_stage_in_order() -> None:
    text = (Path(__file__).parents[2] / "runs" / "experts.sh").read_text()
    stages = [line.split()[1] for line in text.splitlines() if line.startswith("stage ")]
    assert stages == ["base", "experts", "merges", "distil", "joint", "short", "board"]
