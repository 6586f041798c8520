"""`palaestra train merge` as a user runs it: what it writes, what it says, killed and gone on with, and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import make_family, weights_of

from palaestra.cli import run


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = make_family(tmp_path_factory.mktemp("family"), 2, spread=0.05)
    with (folders[0].parent / "examples.jsonl").open("w") as file:
        for number in range(24):
            row = {"prompt": f"{number}+1", "completion": str(number + 1), "domain": "ab"[number % 2]}
            file.write(json.dumps(row | {"reference": row["completion"]}) + "\n")
    return folders


def merge(family: list[Path], out: Path, *more: str) -> int:
    return run(["train", "merge", *map(str, family), "--out", str(out), *more])


def test_flags_and_a_recipe_say_the_same(
    family: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ("--method", "ties", "--weights", "0.7,0.4", "--density", "0.3", "--lambda", "0.8")
    assert merge(family, tmp_path / "flags", *how, "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["models"], said["gate"], said["search"]) == ("palaestra.merge/1", 2, None, None)
    (tmp_path / "merge.toml").write_text(
        f'base = "{family[0]}"\nmethod = "ties"\ndensity = 0.3\nlambda = 0.8\n'
        f'[[expert]]\nmodel = "{family[1]}"\nweight = 0.7\n[[expert]]\nmodel = "{family[2]}"\nweight = 0.4\n'
    )
    assert run(["train", "merge", "--recipe", str(tmp_path / "merge.toml"), "--out", str(tmp_path / "file")]) == 0
    one, two = (tmp_path / name / "model" / "model.safetensors" for name in ("flags", "file"))
    assert one.read_bytes() == two.read_bytes()
    assert "0.7" in capsys.readouterr().out
    card = json.loads((tmp_path / "flags" / "run.json").read_text())
    assert (card["state"], card["config"]["recipe"]["lambda"]) == ("done", 0.8)
    assert {Path(one["path"]).name for one in card["inputs"]} == {"base", "expert0", "expert1"}
    assert merge(family, tmp_path / "flags", *how) == 2  # there is a run already
    assert merge(family, tmp_path / "flags", *how, "--overwrite") == 0


def test_a_merge_is_held_against_its_base_domain_by_domain(
    family: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = str(family[0].parent / "examples.jsonl")
    assert merge(family, tmp_path / "run", "--validate", examples, "--metric", "log-loss", "--json", "-") == 0
    gate = json.loads(capsys.readouterr().out)["gate"]
    assert [one["domain"] for one in gate["domains"]] == ["a", "b"]
    assert gate["difference"]["value"] == pytest.approx(gate["other"] - gate["base"])
    assert gate["base"] == pytest.approx(sum(one["base"] for one in gate["domains"]) / 2)
    assert gate["reason"] in (tmp_path / "run" / "model" / "README.md").read_text()
    rows = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert merge(family, tmp_path / "exact", "--validate", examples) == 0
    assert "0 prompts tell the two models apart" in capsys.readouterr().out  # neither can add


def test_a_search_killed_on_its_way_ends_with_the_same_bytes_and_pays_no_point_twice(
    family: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = str(family[0].parent / "examples.jsonl")
    how = ("--validate", examples, "--metric", "log-loss", "--method", "task-arithmetic", "--search", "14")
    assert merge(family, tmp_path / "whole", *how, "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)["search"]
    assert said["evaluations"] == len(said["points"]) == 14
    assert said["best"] == max(point["score"] for point in said["points"]) >= said["start"]
    command = [
        sys.executable,
        "-m",
        "palaestra",
        "train",
        "merge",
        *map(str, family),
        "--out",
        str(tmp_path / "killed"),
    ]
    going = subprocess.Popen([*command, *how], env=dict(os.environ), stderr=subprocess.DEVNULL)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    until = time.monotonic() + 300
    while (not metrics.exists() or len(metrics.read_bytes().splitlines()) < 3) and time.monotonic() < until:
        time.sleep(0.01)
    going.send_signal(signal.SIGKILL)
    going.wait()
    paid = [line for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert 3 <= len(paid) < 14
    with metrics.open("a") as file:
        file.write('{"seconds": 1.0, "evalua')  # as a kill may leave it
    assert merge(family, tmp_path / "killed", *how, "--resume", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["search"] == said
    lines = metrics.read_text().splitlines(keepends=True)
    assert lines[: len(paid)] == paid
    assert [json.loads(line)["evaluation"] for line in lines] == list(range(14))
    one, two = weights_of(tmp_path / "whole" / "model"), weights_of(tmp_path / "killed" / "model")
    assert all(one[name].equal(two[name]) for name in one)
    assert not (tmp_path / "killed" / "work").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--weights", "0.5"), "found 1 --weights and 2 experts"),
        (("--weights", "0.5,x"), "expected numbers with commas"),
        (("--method", "slerp", "--density", "0.5"), "found density with slerp"),
        (("--search", "5"), "without --validate"),
        (("--validate", "none.jsonl"), "none.jsonl"),
        (("--method", "model-stock", "--search", "5"), "finds its own weights"),
        (("--recipe", "merge.toml"), "beside --recipe"),
        (("--resume", "--overwrite"), "expected one of them"),
    ],
)
def test_bad_usage_is_said_before_a_folder_is_made(
    more: tuple[str, ...], said: str, family: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(family, tmp_path / "run", *more) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_base_alone_and_a_missing_expert_are_refused(
    family: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(family[:1], tmp_path / "run") == 2
    assert "at least one expert" in capsys.readouterr().err
    assert merge([family[0], tmp_path / "gone"], tmp_path / "run") == 2
    assert "expert: found the backbone" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
