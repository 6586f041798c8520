"""`palaestra run list | show | watch` as a user has them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from palaestra.cli import run
from palaestra.store.runs import RunFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One run that is done, one that failed, and a folder that is broken."""
    monkeypatch.chdir(tmp_path)
    first = RunFolder("out/first", "train sft", {"rate": 0.1, "base": "<b>tiny"}, seed=3)
    for step in range(1, 6):
        first.measure(step=step, loss=2.0 / step, **{f"held_out/{name}": step / 10 for name in ("add", "sub")})
        first.sample(step=step, prompt="1 + 1 =", reply=f"<script>{step}</script>\x1b[31m", domain="add")
    first.measure(step=6, loss=float("nan"))
    first.finish({"accuracy": 0.75}, [], "# first\n\nIt went well.\n")
    RunFolder("out/second", "train rl", {}).end("failed")
    (tmp_path / "out/third").mkdir()
    (tmp_path / "out/third/run.json").write_text("{")
    return tmp_path


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "list", "out"]) == 0
    said = capsys.readouterr()
    assert re.search(r"first\s*│\s*train sft\s*│\s*done\s*│.*accuracy 0.75", said.out)
    assert re.search(r"second\s*│\s*train rl\s*│\s*failed", said.out)
    assert "left out: cannot read out/third/run.json" in " ".join(said.err.split())
    assert run(["run", "list", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "palaestra.runs/1"
    assert [(one["path"], one["state"], one["metrics"]) for one in found["runs"]] == [
        ("out/first", "done", {"accuracy": 0.75}),
        ("out/second", "failed", {}),
    ]
    assert found["runs"][0]["last"] == {"loss": 0.4, "held_out/add": 0.5, "held_out/sub": 0.5}


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "show", "out/first", "--samples", "2"]) == 0
    said = capsys.readouterr().out
    for words in ("train sft", "<b>tiny", "accuracy", "held_out/sub", "5 over step, 1 no number", "It went well."):
        assert words in said
    assert "\x1b" not in said
    assert "<script>4</script>" in said
    assert "<script>3</script>" not in said
    assert run(["run", "show", "out/first", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "palaestra.run-view/1"
    assert found["config"] == {"rate": 0.1, "base": "<b>tiny"}
    assert found["seed"] == 3
    assert [one["name"] for one in found["series"]] == ["loss", "held_out/add", "held_out/sub"]
    assert found["series"][0] == {
        "name": "loss", "over": "step", "points": 5, "not_finite": 1, "first": 2.0, "last": 0.4, "least": 0.4,
        "largest": 2.0,
    }  # fmt: skip
    assert len(found["samples"]) == 5


def test_a_page_that_stands_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "show", "out/first", "--html", "page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert page.count("<svg ") == 2, "one picture of the loss, one of both domains"
    assert "<script" not in page
    assert "&lt;script&gt;5" in page
    assert "https://" not in page.replace("http://www.w3.org", "")
    assert run(["run", "show", "out/second", "--html", "page.html"]) == 0
    assert "No numbers were measured" in (folder / "page.html").read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["list", "nowhere"], "found no folder nowhere, expected one with runs in it"),
        (["show", "out"], "found no run.json in out, expected the folder of a run"),
        (["show", "out/third"], "cannot read out/third/run.json"),
        (["show", "out/first", "--html", "page.pdf"], "expected a path that ends in .html"),
        (["show", "out/first", "--samples", "-1"], "samples"),
        (["watch", "nowhere"], "found no folder nowhere"),
        (["watch", "empty"], "found no run in empty, expected the folder of a run or one with runs in it"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, line: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert run(["run", *line]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in " ".join(said.err.split())


@pytest.fixture
def watched(folder: Path) -> Iterator[str]:
    """The address of `palaestra run watch out`."""
    command = [sys.executable, "-m", "palaestra", "run", "watch", "out", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        yield found.group(0)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in {0, 130}
        assert "Traceback" not in process.stderr.read()


def test_watch_says_only_what_is_new(watched: str, folder: Path, palaestra: Any) -> None:
    first = httpx2.get(f"{watched}/now", params={"run": "first"}).json()
    assert "<polyline" in first["html"]
    assert "<script" not in first["html"]
    assert "first is done" in first["said"]
    same = {"run": "first", "seen": first["version"]}
    assert httpx2.get(f"{watched}/now", params=same).status_code == 204
    with (folder / "out/first/metrics.jsonl").open("a") as file:
        file.write('{"seconds": 9, "step": 7, "new_number": 1}\n{"seconds": 9, "step": 8, "ha')
    grown = httpx2.get(f"{watched}/now", params=same)
    assert grown.status_code == 200
    assert "new_number" in grown.json()["html"]
    every = httpx2.get(watched).text
    assert "cannot read out/third/run.json" in every, "a broken run is said, the others are shown"
    assert "second is failed" in every


def test_watch_answers_nobody_else(watched: str) -> None:
    assert httpx2.get(watched, headers={"host": "evil.example"}).status_code == 400
    unknown = httpx2.get(watched, params={"run": "../first"})
    assert unknown.status_code == 404
    assert "found no run &#x27;../first&#x27; in out, expected one of first, second, third" in unknown.text
    answer = httpx2.get(watched)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert httpx2.get(f"{watched}/nothing").status_code == 404
    assert httpx2.get(f"{watched}/docs").status_code == 404
