"""`palaestra p2l train --mode lora|full`: kills, what the other commands make of the folder, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from lm_worlds import ordered, write_votes
from tiny_llama import make_tiny_llama

from palaestra.cli import run
from palaestra.store.prompted_votes import read_prompted_votes

pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny language model, votes, and a run in `whole/run`."""
    folder = tmp_path_factory.mktemp("lm")
    make_tiny_llama(folder / "llama")
    write_votes(ordered(90, 400, "rao-kupper"), folder / "votes.parquet")
    write_votes(ordered(40, 200, "rao-kupper", seed=1), folder / "new.parquet")
    assert run(words(folder, "whole/run")) == 0
    return folder


def words(folder: Path, out: str, *more: str) -> list[str]:
    """The command, with these flags in the place of its own."""
    flags = {
        "--mode": "full", "--backbone": str(folder / "llama"), "--steps": "24", "--save-every": "3",
        "--learning-rate": "3e-3", "--members": "4", "--max-tokens": "32",
    } | dict(zip(more[::2], more[1::2], strict=True))  # fmt: skip
    given = [word for flag, value in flags.items() for word in (flag, value)]
    return ["p2l", "train", str(folder / "votes.parquet"), "--out", str(folder / out), *given]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_folder(place: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "palaestra", *words(place, "killed/run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    work, end = place / "killed" / "run" / "work", time.monotonic() + 300
    while not [*work.glob("checkpoint-*/whole")] and time.monotonic() < end and started.poll() is None:
        time.sleep(0.002)
    os.kill(started.pid, signal.SIGKILL)
    said, _ = started.communicate()
    assert started.returncode == -signal.SIGKILL
    assert said == b""
    assert not (work / "backbone").exists()
    assert run(words(place, "killed/run")) == 2
    assert run([*words(place, "killed/run"), "--resume"]) == 0
    files = [path.relative_to(place / "whole") for path in (place / "whole" / "run" / "model").rglob("*")]
    assert {"config.json", "model.safetensors", "card.md", "backbone", "head.npz"} <= {path.name for path in files}
    for file in (path for path in files if (place / "whole" / path).is_file()):
        assert (place / "whole" / file).read_bytes() == (place / "killed" / file).read_bytes(), file
    assert [path.name for path in work.iterdir()] == ["backbone"]
    lines = (place / "killed" / "run" / "metrics.jsonl").read_text().splitlines()
    assert {json.loads(line).get("step") for line in lines} >= set(range(1, 25))


def test_other_commands_take_the_folder_wherever_it_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = shutil.copytree(place / "whole" / "run" / "model", place / "elsewhere")
    card = (model / "card.md").read_text()
    assert "all weights: 24 steps of 8 prompts, learning rate 0.003" in card
    assert "head, spread and ensemble: from" in card
    capsys.readouterr()
    assert run(["p2l", "board", str(model), "--prompt", "ab+cd-ef", "--json", "-"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert {line["model"] for line in board["models"]} == {"ann", "bob", "cy"}
    assert run(["p2l", "evaluate", str(model), str(place / "new.parquet"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["votes"] == 200
    prices = "".join(
        f'[[model]]\nname = "{name}"\nendpoint = "scripted:echo"\noutput_price = 1\ninput_price = 1\nmax_tokens = 9\n'
        for name in ("ann", "bob", "cy")
    )
    (place / "models.toml").write_text(prices)
    (place / "prompts.jsonl").write_text('{"prompt": "ab+cd-ef"}\n')
    flags = ["--models", str(place / "models.toml"), "--json", "-"]
    assert run(["p2l", "route", str(model), str(place / "prompts.jsonl"), *flags]) == 0
    assert len(json.loads(capsys.readouterr().out)["prompts"]) == 1
    few = pl.read_parquet(place / "new.parquet").filter(pl.col("model_a") == "cy")
    few.with_columns(model_a=pl.lit("dee")).write_parquet(place / "few.parquet")
    assert run(["p2l", "add", str(model), str(place / "few.parquet"), "--out", str(place / "joined")]) == 0
    assert run(["p2l", "board", str(place / "joined"), "--prompt", "ab+cd-ef"]) == 0
    assert "dee" in capsys.readouterr().out
    weights = model / "backbone" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    assert run(["p2l", "board", str(model), "--prompt", "ab+cd-ef"]) == 2
    assert "found another language model" in capsys.readouterr().err
    shutil.rmtree(model / "backbone")
    assert run(["p2l", "board", str(model), "--prompt", "ab+cd-ef"]) == 2
    assert "found no language model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mode", "half"], "half"),
        (["--features", "local:minilm"], "found --features or --models with --mode full"),
        (["--mode", "head"], "found --backbone with --mode head"),
        (["--backbone", "nowhere"], "found the backbone 'nowhere'"),
        (["--aside", "0.95"], "on the prompts that the language model learns from"),
        (["--learning-rate", "1e30"], "no number after step"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert run(words(place, str(tmp_path / "run"), *more)) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1


def test_what_is_not_installed_is_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    assert run(words(place, str(tmp_path / "run"), "--mode", "lora")) == 3
    assert "needs peft: pip install 'palaestra[train]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_language_model_by_low_rank_changes(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--mode", "lora", "--steps", "3", "--json", "-"]
    assert run(words(place, str(tmp_path / "run"), *more)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tuned"]["mode"] == "lora"
    assert found["features"].endswith("llama, trained (lora)")


def test_a_training_does_not_go_on_with_other_votes(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is the same; which of its votes are read is not: a language model that saw others is no start."""
    votes = pl.read_parquet(place / "votes.parquet")
    blank = votes.head(1).with_columns(pl.lit(None, dtype=pl.String).alias("winner"))
    pl.concat([votes, blank]).write_parquet(tmp_path / "votes.parquet")
    shutil.copytree(place / "llama", tmp_path / "llama")
    given = [*words(tmp_path, "run", "--steps", "2"), "--skip-bad", "1"]
    assert run(given) == 0
    votes.head(380).write_parquet(tmp_path / "fewer.parquet")
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    other = read_prompted_votes(tmp_path / "fewer.parquet").sha256
    assert card["config"]["votes_sha256"] == read_prompted_votes(place / "votes.parquet").sha256 != other
    card["config"]["votes_sha256"] = other
    (tmp_path / "run" / "run.json").write_text(json.dumps(card))
    assert run([*given, "--resume"]) == 2
    assert "votes_sha256" in capsys.readouterr().err
