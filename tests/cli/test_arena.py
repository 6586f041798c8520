"""`palaestra arena`: what keeps it from opening, and taking the battles out."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from socket import create_server
from typing import Any

import polars as pl
import pytest

from palaestra.cli import run
from palaestra.store.entries import Choice, Pairing
from palaestra.store.ledger import Ledger

TWO = '[[model]]\nname = "one"\nendpoint = "scripted:echo"\n[[model]]\nname = "two"\nendpoint = "scripted:echo"\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(TWO)
    return path


def test_a_port_in_use(palaestra: Any, models: Path, tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = palaestra("arena", "serve", "--port", str(port))
    assert done.returncode == 2
    assert (
        done.stderr == f"error: port {port} on 127.0.0.1 is in use; stop what listens there, or give another --port\n"
    )
    assert not (tmp_path / "arena.db").exists(), "nothing is half made"


def test_an_address_of_another_machine(palaestra: Any, models: Path) -> None:
    done = palaestra("arena", "serve", "--port", "0", "--host", "192.0.2.1")
    assert done.returncode == 2
    assert "cannot listen on 192.0.2.1:0" in done.stderr


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("sqlite:///no/such/folder/arena.db", "no/such/folder"),
        ("sqlite:////proc/arena.db", "/proc/arena.db"),
        ("sqlite:///models.toml", "models.toml"),
        ("sqlite://", "sqlite:///FILE"),
        ("mysql://host/db", "mysql"),
        ("arena.db", "arena.db"),
        ("postgresql://nobody:hidden@127.0.0.1:9/none", "127.0.0.1:9"),
    ],
)
def test_a_database_that_cannot_be_written(palaestra: Any, models: Path, database: str, words: str) -> None:
    before = models.read_bytes()
    done = palaestra("arena", "serve", "--port", "0", "--database", database)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr, "a password in a message"
    assert models.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TWO + "temprature = 1\n", "model 2 ('two'): found the unknown field 'temprature'"),
        (TWO + 'api_key = "sk-aaaaaaaaaaaaaaaaaaaaaaaa"\n', "field 'api_key' holds a key"),
        (TWO.replace("two", "one"), "two models are named"),
    ],
)
def test_a_models_file_that_is_wrong(palaestra: Any, models: Path, text: str, words: str) -> None:
    models.write_text(text)
    for command in (["arena", "serve", "--port", "0"], ["models", "list"], ["models", "check"]):
        done = palaestra(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "aaaa" not in done.stderr


def test_one_model_is_no_arena_and_a_missing_key_is_named(palaestra: Any, models: Path) -> None:
    models.write_text(TWO.split('[[model]]\nname = "two"', maxsplit=1)[0])
    alone = palaestra("arena", "serve", "--port", "0")
    assert alone.returncode == 2
    assert "an arena needs at least two" in alone.stderr
    models.write_text(TWO.replace("scripted:echo", "https://127.0.0.1:9/v1") + 'api_key_env = "NO_SUCH_KEY"\n')
    keyless = palaestra("arena", "serve", "--port", "0")
    assert keyless.returncode == 3
    assert "export NO_SUCH_KEY=..." in keyless.stderr


@pytest.mark.parametrize(
    ("missing", "extra", "arguments"),
    [
        ("fastapi", "arena", ["arena", "serve"]),
        ("openai", "arena", ["arena", "serve"]),
        ("openai", "gateway", ["models", "check"]),
        ("uvicorn", "server", ["models", "serve", "one"]),
        ("psycopg", "postgres", ["rank", "fit", "postgresql://127.0.0.1:9/x"]),
    ],
)
@pytest.mark.usefixtures("models")
def test_a_missing_extra_is_named(
    palaestra: Any, tmp_path: Path, missing: str, extra: str, arguments: list[str]
) -> None:
    """An empty folder in front of the path, in which the library fails as a missing one does."""
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / f"{missing}.py").write_text(f"raise ModuleNotFoundError('no {missing}', name='{missing}')\n")
    done = palaestra(*arguments, PYTHONPATH=str(tmp_path / "front"))
    assert done.returncode == 3, done.stderr
    assert f"pip install 'palaestra[{extra}]'" in done.stderr
    assert "needs None" not in done.stderr
    assert "Traceback" not in done.stderr


def voted(url: str) -> None:
    ledger = Ledger(url)
    choices: list[Choice] = ["a", "b", "tie", "both_bad"]
    for number, choice in enumerate(choices):
        battle = ledger.start_battle(f"voter{number}", Pairing("one", "two", 1.0, "uniform"), f"question {number}")
        last = battle.turns[-1]
        ledger.finish([replace(last.a, state="complete", text="left"), replace(last.b, state="complete", text="right")])
        ledger.vote(last.id, f"voter{number}", choice)
    ledger.start_battle("another", Pairing("two", "one", 1.0, "uniform"), "unfinished")
    ledger.close()


def test_battles_are_taken_out_and_read_again(palaestra: Any, tmp_path: Path) -> None:
    voted(f"sqlite:///{tmp_path / 'arena.db'}")
    done = palaestra("arena", "export", "--out", "battles.parquet")
    assert (done.returncode, done.stdout) == (0, "")
    assert "4 battles written to battles.parquet" in done.stderr
    frame = pl.read_parquet(tmp_path / "battles.parquet")
    assert frame["winner"].to_list() == ["model_a", "model_b", "tie", "both_bad"]
    assert [message["role"] for message in frame["conversation_a"][0]] == ["user", "assistant"]
    assert os.listdir(tmp_path).count("battles.parquet.unfinished") == 0  # noqa: PTH208 - names are enough
    ranked = [
        palaestra("rank", "fit", source, "--json", "-").stdout for source in ("battles.parquet", "sqlite:///arena.db")
    ]
    assert ranked[0] == ranked[1] != ""


def test_an_export_that_cannot_be_written(palaestra: Any, tmp_path: Path) -> None:
    voted(f"sqlite:///{tmp_path / 'arena.db'}")
    (tmp_path / "file").touch()
    for out in ("no/folder/battles.parquet", "", "/", ".", "file/battles.parquet"):
        refused = palaestra("arena", "export", "--out", out)
        assert refused.returncode == 2
        assert "expected a file in a folder that exists" in refused.stderr
    nothing = palaestra("arena", "export", "sqlite:///nowhere.db", "--out", "battles.parquet")
    assert nothing.returncode == 2
    assert not (tmp_path / "nowhere.db").exists()
    assert not (tmp_path / "battles.parquet").exists()


def test_an_interrupt_is_a_hundred_and_thirty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("palaestra.cli.rank"), "read_votes", interrupted)
    assert run(["rank", "fit", "votes.csv"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
