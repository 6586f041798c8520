"""`palaestra train tools` as a user runs it: scripted, by an endpoint, by a model on this machine; killed; refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from till import Till
from tiny_llama import make_tiny_llama

from palaestra.cli import run
from palaestra.posttrain.examples import read_examples
from palaestra.posttrain.tooluse.checks import verify
from palaestra.posttrain.tooluse.make import ToolsConfig, plan
from palaestra.posttrain.tooluse.research import worlds_of
from palaestra.posttrain.tooluse.solvers import scripted_turn
from palaestra.posttrain.tooluse.tasks import Task
from palaestra.schema import ToolCallPart, ToolResultPart

FOLDERS = ("sft", "sft-text", "rl", "heldout", "negatives")
SMALL = ("--worlds", "bank,files", "--tasks", "24", "--no-tool", "0.2", "--seed", "4")


def tools(out: Path, *more: str) -> int:
    return run(["train", "tools", "--out", str(out), *more])


def made(folder: Path) -> dict[str, str]:
    """Hashes of the data that a run made."""
    files = [file for name in FOLDERS for file in sorted((folder / name).rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def oracle(config: ToolsConfig) -> Any:
    """An endpoint that solves tasks; each third one it first calls a tool that is not there."""
    tasks = {json.dumps(message_texts(task)): task for task in plan(config).train}
    assert (
        len(tasks) == config.tasks
    )  # of this seed no two have the same words, so that the endpoint knows which is meant

    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        task = tasks[json.dumps([message["content"] for message in body["messages"][:2]])]
        assert [tool["function"]["name"] for tool in body["tools"]] == list(task.offered)
        turn = sum(message["role"] == "tool" for message in body["messages"])
        clumsy = list(tasks.values()).index(task) % 3 == 0
        if clumsy and turn == 0:
            return 200, wire("no_such_tool", "{not json", 0)
        said = scripted_turn(task, turn - clumsy)
        calls = [part for part in said.content if isinstance(part, ToolCallPart)]
        return 200, wire(calls[0].name, calls[0].arguments, turn) if calls else said.text

    return answer


def message_texts(task: Task) -> list[str]:
    return [message.text for message in task.prompt]


def wire(name: str, arguments: str, number: int) -> dict[str, Any]:
    call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def write_models(folder: Path, endpoint: str) -> None:
    (folder / "models.toml").write_text(f'[[model]]\nname = "m"\nendpoint = "{endpoint}"\n')


def test_scripted_data_is_right_and_the_same_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = (*SMALL, "--research", "5", "--html", str(tmp_path / "page.html"), "--json", "-")
    assert tools(tmp_path / "one", *how) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["overall"]["success"]["value"]) == ("palaestra.tools/1", 1.0)
    assert {line["group"] for line in said["worlds"]} == {"bank", "files", "research"}
    assert said["overall"]["tasks"] == 29
    assert sum(line["tasks"] for line in said["calls"]) == 29
    worlds = worlds_of(tmp_path / "one")
    sets = {name: read_examples(tmp_path / "one" / name).examples for name in FOLDERS}
    assert {name: len(sets[name]) for name in said["examples"]} == said["examples"]
    assert len(sets["rl"]) == 29
    assert all(verify(one, one.completion, worlds).economical for one in sets["sft"])
    assert not any(verify(one, one.completion, worlds).economical for one in sets["negatives"])
    assert {one.labels["fault"] for one in sets["negatives"]} == {"wrong_argument", "missing_call", "extra_call"}
    assert {one.labels["split"] for one in sets["heldout"]} == {"task", "tool"}
    typed = {part.type for one in sets["sft"] for message in one.completion for part in message.content}
    assert typed == {"text", "tool_call", "tool_result"}
    page = (tmp_path / "page.html").read_text()
    assert "By the fewest calls" in page
    assert all(name in page for name in ("find_account", "search_documents", "open_document"))
    card = (tmp_path / "one" / "rl" / "README.md").read_text()
    assert "tools held out: bank." in card
    assert tools(tmp_path / "two", *SMALL, "--research", "5") == 0
    assert made(tmp_path / "one") == made(tmp_path / "two")
    assert tools(tmp_path / "other", *SMALL[:-1], "5") == 0
    assert made(tmp_path / "one")["rl/examples.parquet"] != made(tmp_path / "other")["rl/examples.parquet"]


def test_an_endpoint_is_offered_tools_told_of_its_errors_and_paid_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ToolsConfig(worlds=("bank", "files"), tasks=24, no_tool=0.2, seed=4)
    with Till(oracle(config), seconds=0) as till:
        write_models(tmp_path, till.url)
        how = (*SMALL, "--model", "m", "--models", str(tmp_path / "models.toml"))
        assert tools(tmp_path / "run", *how, "--json", "-") == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["overall"]["success"]["value"], said["faults"]) == (1.0, {"extra calls": 8})
        assert said["examples"]["sft"] == 16
        assert said["calls_paid"] == sum(till.asked.values()) == len(till.asked)
        sft = read_examples(tmp_path / "run" / "sft").examples
        results = [
            part for one in sft for m in one.completion for part in m.content if isinstance(part, ToolResultPart)
        ]
        assert results
        before = made(tmp_path / "run")
        assert tools(tmp_path / "run", *how) == 2  # neither resume nor overwrite
        assert tools(tmp_path / "run", *how, "--overwrite") == 0
        assert made(tmp_path / "run") == before
        assert max(till.asked.values()) == 1  # the book was kept


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_bytes_and_pays_once(tmp_path: Path) -> None:
    config = ToolsConfig(worlds=("bank", "files"), tasks=24, no_tool=0.2, seed=4)
    with Till(oracle(config), seconds=0.02) as till:
        write_models(tmp_path, till.url)
        command = [
            sys.executable,
            "-m",
            "palaestra",
            "train",
            "tools",
            *SMALL,
            "--model",
            "m",
            "--resume",
            "--out",
            "run",
        ]
        kills = 0
        for _ in range(4):
            process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            least, end = sum(till.asked.values()) + 20, time.monotonic() + 60
            while process.poll() is None and sum(till.asked.values()) < least and time.monotonic() < end:
                time.sleep(0.005)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        assert kills >= 2
        assert set(till.paid.values()) == {1}
    with Till(oracle(config), seconds=0) as till:
        write_models(tmp_path, till.url)
        assert tools(tmp_path / "whole", *SMALL, "--model", "m", "--models", str(tmp_path / "models.toml")) == 0
    assert made(tmp_path / "run") == made(tmp_path / "whole")


def test_an_endpoint_that_fails_or_never_stops_calling_ends_its_own_trajectory_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        if "account" in body["messages"][1]["content"]:
            return 400, "no"
        return 200, wire(body["tools"][0]["function"]["name"], "null", len(body["messages"]))

    with Till(answer, seconds=0) as till:
        write_models(tmp_path, till.url)
        how = (*SMALL, "--model", "m", "--models", str(tmp_path / "models.toml"), "--most-calls", "3", "--json", "-")
        assert tools(tmp_path / "run", *how) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["overall"]["success"]["value"] == 0
    assert said["faults"]["no reply"] == said["overall"]["failed"] > 0
    assert said["overall"]["valid_calls"] == 0
    assert said["examples"]["sft"] == 0
    assert not (tmp_path / "run" / "sft").exists()


def test_the_gateways_scripted_model_does_what_one_hasty_call_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models(tmp_path, "scripted:tools")
    how = ("--tasks", "80", "--model", "m", "--models", str(tmp_path / "models.toml"), "--json", "-")
    assert tools(tmp_path / "run", *how) == 0
    said = json.loads(capsys.readouterr().out)
    by_calls = {line["group"]: line["success"]["value"] for line in said["calls"]}
    assert 0 < by_calls["1"] < 1
    assert all(share == 0 for calls, share in by_calls.items() if int(calls) > 2)


def test_a_model_on_this_machine_is_sampled_and_resumes_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_llama(tmp_path / "model")
    how = (
        "--worlds", "bank", "--tasks", "40", "--model", str(model), "--max-tokens", "12", "--temperature", "1",
        "--held-out", "0",
    )  # fmt: skip
    assert tools(tmp_path / "run", *how, "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["overall"]["success"]["value"] < 0.2
    replies = tmp_path / "run" / "replies.jsonl"
    lines = replies.read_bytes()
    assert lines.count(b"\n") >= 2
    before = made(tmp_path / "run")
    replies.write_bytes(lines[: lines.index(b"\n") + 20])  # as a kill in the middle of the second line leaves it
    assert tools(tmp_path / "run", *how, "--resume") == 0
    assert replies.read_bytes() == lines
    assert made(tmp_path / "run") == before
    assert tools(tmp_path / "run", *how[:-2], "--held-out", "0.1", "--resume") == 2  # another run


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--worlds", "bank,moon"), "expected some of bank, calendar"),
        (("--model", "nobody"), "found the model 'nobody', expected a folder"),
        (("--corpus", "texts"), "found --corpus without --research"),
        (("--tasks", "0"), "tasks"),
        (("--research", "5", "--corpus", "no-folder"), "found no .txt or .md file"),
        (("--html", "page.txt"), "expected a path that ends in .html"),
    ],
)
def test_bad_usage_is_said_before_a_folder_is_made(
    more: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tools(tmp_path / "run", "--models", str(tmp_path / "none.toml"), *SMALL[2:4], *more) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
