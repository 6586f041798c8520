"""`palaestra models`: list, check, and an endpoint that any OpenAI client can use."""

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

import openai
import pytest

FOUR = "\n".join(
    f'[[model]]\nname = "{name}"\nendpoint = "scripted:{script}"\norganization = "Us"\noutput_price = 1000.0\n'
    for name, script in (("echo", "echo"), ("poet", "markdown?words=9"), ("quitter", "fail?after=1"), ("mute", "empty"))
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(FOUR)
    return path


def test_list(palaestra: Any, models: Path) -> None:
    shown = palaestra("models", "list")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("echo", "poet", "quitter", "mute", "scripted:echo", "Us"))
    listed = json.loads(palaestra("models", "list", "--json", "-").stdout)
    assert [line["name"] for line in listed] == ["echo", "poet", "quitter", "mute"]
    assert listed[0]["output_price"] == 1000.0


def test_check_fails_when_one_does_not_answer(palaestra: Any, models: Path) -> None:
    done = palaestra("models", "check", "--json", "-")
    assert done.returncode == 1
    results = {line["model"]: line for line in json.loads(done.stdout)}
    assert results["echo"]["ok"]
    assert results["echo"]["output_tokens"] == 7
    assert results["echo"]["cost"] == pytest.approx(0.007)
    assert results["quitter"]["error"]["kind"] == "interrupted"
    assert results["mute"]["error"]["kind"] == "empty"
    assert "2 of 4 models did not answer: quitter, mute" in done.stderr
    models.write_text(FOUR.split('[[model]]\nname = "quitter"', maxsplit=1)[0])
    well = palaestra("models", "check")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.count("ok") >= 2


@pytest.fixture
def served(models: Path, tmp_path: Path) -> Iterator[str]:
    """`palaestra models serve echo` with a key; its base URL."""
    command = [sys.executable, "-m", "palaestra", "models", "serve", "echo", "--port", "0", "--key-env", "DOOR_KEY"]
    environment = os.environ | {"DOOR_KEY": "open"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        yield found.group(0)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in {0, 130}
        assert "Traceback" not in process.stderr.read()


def test_serve_answers_any_client(served: str) -> None:
    with openai.OpenAI(base_url=served, api_key="open") as client:
        assert [model.id for model in client.models.list()] == ["echo"]
        done = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "say it again"}])
        assert done.choices[0].message.content == "say it again"
        assert done.usage is not None
        assert done.usage.completion_tokens == 3
    with openai.OpenAI(base_url=served, api_key="closed") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_serve_refuses(palaestra: Any, models: Path) -> None:
    unknown = palaestra("models", "serve", "nobody", "--port", "0")
    assert unknown.returncode == 2
    assert "found no model 'nobody' in models.toml" in unknown.stderr
    keyless = palaestra("models", "serve", "echo", "--port", "0", "--key-env", "NO_SUCH_KEY")
    assert keyless.returncode == 3
    assert "export NO_SUCH_KEY=..." in keyless.stderr
