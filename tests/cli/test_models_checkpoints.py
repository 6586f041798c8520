"""A trained checkpoint joins, is served, and fights: `palaestra models add | serve`, and the gate before it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import polars as pl
import pytest
from forecast_worlds import world, write
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import make_tiny_llama

from palaestra.cli import run
from palaestra.cli.enrolment import Enrolment, check_enrolment, enrol_checkpoint
from palaestra.errors import InputError
from palaestra.gateway import Completion, Gateway, load_models
from palaestra.judge.forecast import forecast
from palaestra.judge.forecast_tables import read_scores
from palaestra.recipes.gate import GateConfig, decide, with_row
from palaestra.schema import Message

pytest.importorskip("torch")
pytest.importorskip("transformers")

NEW = "m027"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a tiny model in it."""
    return make_tiny_llama(tmp_path_factory.mktemp("runs") / "small" / "model").parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Offline results of 26 rated models and two new ones, and a board."""
    write(tmp_path, *world(3, models=26, new=2, benchmarks=4)[:2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rival(folder: Path) -> tuple[str, float]:
    """A rated model, and the chance of the new one to beat it."""
    rating = forecast("results.csv", "board.csv", (NEW,)).models[0].rating
    near = pl.read_csv("board.csv").sort((pl.col("rating") - rating).abs())["model"][0]
    chance = forecast("results.csv", "board.csv", (NEW,), production=near).models[0].chance
    assert chance is not None
    return near, chance


def test_add_and_the_arena_can_ask_it(folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "models.toml").write_text('# ours\n[[model]]\nname = "echo"\nendpoint = "scripted:echo"\n')
    line = ["models", "add", str(checkpoint), "--max-tokens", "6", "--license", "MIT", "--json", "-"]
    assert run(line) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["name"] == "small"
    assert "small has joined models.toml" in said.err
    specs = load_models("models.toml")
    assert [(spec.name, spec.license, spec.max_tokens) for spec in specs] == [("echo", None, None), ("small", "MIT", 6)]

    async def ask() -> list[Any]:
        async with Gateway(specs) as gateway:
            assert gateway.places("small") == 16
            return [piece async for piece in gateway.stream("small", [Message.of("user", "hello")])]

    *words, end = asyncio.run(ask())
    assert words
    assert isinstance(end, Completion)
    assert end.usage.output_tokens == 6
    assert run(line) == 2
    assert "found a model named 'small' already" in capsys.readouterr().err


@pytest.fixture
def served(folder: Path, checkpoint: Path) -> Iterator[str]:
    """`palaestra models serve RUN`, without a models.toml; its base URL."""
    command = [sys.executable, "-m", "palaestra", "models", "serve", str(checkpoint), "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("small answers at ")
        yield re.findall(r"http://\S+", said)[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {0, 130}
        assert "Traceback" not in process.stderr.read()


def test_serve_a_folder(served: str) -> None:
    with openai.OpenAI(base_url=served, api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["small"]
        asked: Any = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "seed": 1}
        whole = client.chat.completions.create(**asked)
        pieces = client.chat.completions.create(**asked, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 5
        with pytest.raises(openai.BadRequestError, match="expected 1 to 2047"):
            client.chat.completions.create(model="small", messages=[{"role": "user", "content": "x" * 4000}])


def test_what_cannot_be_served_is_one_clear_line(folder: Path, palaestra: Any, checkpoint: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((checkpoint / "model" / "config.json").read_text())
    done = palaestra("models", "serve", str(broken), "--port", "0")
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: cannot read the model in .*; expected config.json, safetensors and a tokenizer\n", done.stderr
    )
    nothing = palaestra("models", "serve", str(folder), "--port", "0")
    assert nothing.returncode == 2
    assert "no file models.toml" in nothing.stderr
    assert run(["models", "add", str(folder)]) == 2


GATE = ("--gate", "results.csv", "--board", "board.csv", "--beats")


def test_the_gate_lets_in_or_keeps_out_in_words(
    folder: Path, checkpoint: Path, rival: tuple[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    name, chance = rival
    line = ["models", "add", str(checkpoint), "--name", NEW, *GATE, name, "--chance"]
    assert run([*line, str(chance + 1e-6)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"{NEW} stays out: its foretold rating is" in said
    assert f"its chance to beat {name} {chance:.3f}, below" in said
    assert not (folder / "models.toml").exists()
    assert run([*line, str(chance - 1e-6)]) == 0
    assert f"{NEW} joins: " in capsys.readouterr().err
    assert [spec.name for spec in load_models("models.toml")] == [NEW]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--gate", "results.csv"], "found --gate without --board and --beats, expected the three together"),
        ([*GATE, "nobody"], "found no model 'nobody' on the board"),
        ([*GATE, "m001", "--chance", "1.5"], "chance"),
        (["--gate", "nowhere.csv", "--board", "board.csv", "--beats", "m001"], "no file nowhere.csv"),
        ([*GATE, "m001"], "found no results of 'small', expected a row of it among the results"),
    ],
)
def test_a_gate_that_cannot_be_is_said(
    folder: Path, checkpoint: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "add", str(checkpoint), *flags]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (folder / "models.toml").exists()


def test_what_was_measured_is_the_row(folder: Path, rival: tuple[str, float]) -> None:
    """A row that is measured says what the same row in the file says."""
    name, chance = rival
    rows = pl.read_csv("results.csv")
    row = rows.filter(pl.col("model") == NEW).drop("model").to_dicts()[0]
    measured = {benchmark: value for benchmark, value in row.items() if value is not None}
    rows.filter(pl.col("model") != NEW).write_csv("others.csv")
    config = GateConfig(gate="others.csv", board="board.csv", beats=name)
    assert decide(config, NEW, measured | {"loss": 2.0}).chance == pytest.approx(chance, abs=1e-12)
    with pytest.raises(InputError, match="found the measurements loss, expected one of the benchmarks b"):
        decide(config, NEW, {"loss": 2.0})
    with pytest.raises(InputError, match="found results of 'm001' already"):
        decide(config, "m001", measured)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.01, 0.99))
def test_a_measured_share_is_turned_as_those_of_the_file_are(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    file = tmp_path_factory.getbasetemp() / "shares.csv"
    file.write_text(f"model,x\na,0.2\nb,0.9\nc,{share!r}\n")
    turned = read_scores(file)
    file.write_text("model,x\na,0.2\nb,0.9\n")
    assert with_row(read_scores(file), "c", {"x": share}).value_MK.tolist() == turned.value_MK.tolist()


def test_the_flags_of_every_command_that_trains(
    folder: Path, checkpoint: Path, rival: tuple[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    name, chance = rival
    assert enrol_checkpoint(Enrolment(), checkpoint, "small") == 0
    assert not (folder / "models.toml").exists()
    plain = Enrolment(enrol=Path("models.toml"))
    check_enrolment(plain, "small")
    assert enrol_checkpoint(plain, checkpoint / "model", "small", temperature=0.0) == 0
    assert load_models("models.toml")[0].temperature == 0.0
    with pytest.raises(InputError, match="found a model named 'small' already"):
        check_enrolment(plain, "small")
    gated = Enrolment(
        enrol=Path("models.toml"), enrol_as=NEW, gate="results.csv", board="board.csv", beats=name, chance=chance + 1e-6
    )
    check_enrolment(gated, "small")
    assert enrol_checkpoint(gated, checkpoint, "small") == 1
    assert enrol_checkpoint(gated.model_copy(update={"chance": 0.0}), checkpoint, "small") == 0
    assert [spec.name for spec in load_models("models.toml")] == ["small", NEW]
    with pytest.raises(InputError, match="without --enrol"):
        check_enrolment(Enrolment(enrol_as="x"), "small")
    capsys.readouterr()
