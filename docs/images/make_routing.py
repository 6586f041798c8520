"""The pictures of docs/routing.md: a head trained on invented votes; the router's page and the arena's in a browser."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from palaestra.cli import run
from palaestra.store.records import write_lines

HERE = Path(__file__).resolve().parent
MODELS = {"Amphora": (1.0, 0.2), "Bouleuterion": (4.0, 1.0), "Discobolus": (20.0, 5.0)}
"""Prices of a million output and input tokens."""
GOOD = {"verse": (0.8, 0.6, 0.5), "code": (0.1, 0.4, 0.9)}
PROMPTS = {
    "verse": "Write a {} about {}",
    "code": "Write a Python function that {}s a {}",
}
WORDS = {
    "verse": (["poem", "song", "haiku", "rhyme"], ["the sea", "winter", "wrestlers", "an old city", "love", "dust"]),
    "code": (["sort", "parse", "compress", "search"], ["list", "graph", "JSON file", "matrix", "tree", "log file"]),
}


def main() -> None:
    """Train, serve, and look."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no Chromium on the path; install it with: make test-system")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_lines("votes.jsonl", list(votes(1500)))
        tables = (
            f'[[model]]\nname = "{name}"\nendpoint = "scripted:markdown"\noutput_price = {out}\ninput_price = {into}\n'
            "max_tokens = 400\n"
            for name, (out, into) in MODELS.items()
        )
        Path("models.toml").write_text("".join(tables))
        if run(["p2l", "train", "votes.jsonl", "--out", "head", "--members", "16"]):
            sys.exit("the training failed")
        serve = ["p2l", "serve", "head", "--port", "0", "--budget", "0.004"]
        arena = ["arena", "serve", "--port", "0", "--p2l", "head"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 760}, color_scheme="light")
            with started(*serve) as url:
                page.goto(url)
                page.get_by_label("Prompt").fill("Write a Python function that merges two sorted lists")
                page.get_by_role("button").click()
                page.get_by_role("heading", name="Its leaderboard").wait_for()
                page.screenshot(path=HERE / "routing-page.png")
            with started(*arena) as url:
                page.goto(f"{url}/prompt")
                page.get_by_label("The prompt").fill("Write a poem about a wrestler in winter")
                page.keyboard.press("Enter")
                page.locator("#prompt-board table").wait_for()
                page.screenshot(path=HERE / "routing-arena.png")
            browser.close()
        os.chdir(HERE)


def votes(count: int) -> list[dict[str, str]]:
    """Votes of people who like one model's verse and another one's code."""
    rng, rows = random.Random(0), []  # noqa: S311 - an invented crowd
    for _ in range(count):
        kind = rng.choice(list(PROMPTS))
        prompt = PROMPTS[kind].format(*(rng.choice(words) for words in WORDS[kind]))
        first, second = rng.sample(range(len(MODELS)), 2)
        wins = rng.random() < GOOD[kind][first] / (GOOD[kind][first] + GOOD[kind][second])
        names = list(MODELS)
        winner = "model_a" if wins else "model_b"
        rows.append({"model_a": names[first], "model_b": names[second], "winner": winner, "prompt": prompt})
    return rows


@contextmanager
def started(*arguments: str) -> Generator[str]:
    """A server, and where it answers."""
    command = [sys.executable, "-m", "palaestra", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            for line in process.stderr or ():
                if "leaderboards are at" in line or "The arena is open" in line:
                    yield re.findall(r"http://[\w.:]+", line)[-1]
                    return
            sys.exit("the server did not open")
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
