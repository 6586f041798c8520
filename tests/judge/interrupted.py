"""A run of judges that is killed with -9 again and again; for the test, and for the figure of `make bench-judge`."""

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

from till import Till


def served(body: dict[str, Any], _: int) -> tuple[int, str]:
    """What the endpoint says: of a judge a label that follows from the request, else a text that does."""
    text = json.dumps(body["messages"])
    if "impartial judge" in text:
        return 200, f"I have looked. [[{'A>B' if len(text) % 3 else 'B>>A'}]]"
    return 200, f"An answer of {len(text)} to {text[:40]}"


def write_plan(folder: Path, till: Till, questions: int) -> list[str]:
    """Questions, two contestants and a judge in a folder; the command that runs them, to which `--out` is added."""
    rows = [{"uid": f"q{n}", "prompt": f"What is {n} and {n}?"} for n in range(questions)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = (f'[[model]]\nname = "{one}"\nendpoint = "{till.url}"\napi_name = "{one}"\n' for one in "abj")
    (folder / "models.toml").write_text("".join(models))
    plan = ["--model", "a", "--judge", "j", "--baseline", "b", "--concurrency", "4", "--resume"]
    return [sys.executable, "-m", "palaestra", "judge", "run", "questions.jsonl", *plan]


def made_files(folder: Path) -> dict[str, str]:
    """Hashes of what a run makes: not of its record, which knows the time, nor of the book."""
    own = ("calls.", "run.json", "metrics.jsonl", "card.md")
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.startswith(own)
    }


def run_killed(command: list[str], folder: Path, till: Till, *, kills: int, further: int) -> int:
    """Start a command and kill it after some further requests, so many times; then let it end.

    Returns:
        How often it was killed before it ended.
    """
    for killed in range(kills):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        least, end = sum(till.asked.values()) + further, time.monotonic() + 60
        while process.poll() is None and sum(till.asked.values()) < least and time.monotonic() < end:
            time.sleep(0.005)
        if process.poll() is not None:
            return killed
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return kills
