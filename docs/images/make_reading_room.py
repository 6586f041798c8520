"""The pictures of docs/reading_room.md: a run of scripted models and judges, read in a browser."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from palaestra.cli import run

HERE = Path(__file__).resolve().parent
MODELS = {
    "Marathon-80": "markdown?words=80",
    "Sprint-20": "markdown?words=20",
    "Discus-40": "markdown?words=40",
    "Echo": "echo",
    "first-liker": "judge?position=2&length=0.5",
    "length-liker": "judge?length=2&ties=0.6&prose=0.15",
}
TOPICS = {
    "mathematics": ["Prove that there are infinitely many primes.", "How many diagonals has a polygon of n sides?"],
    "code": ["Write a function that reverses a linked list.", "Why is this loop slow: for x in a: if x in b: c += 1"],
    "writing": ["Write a haiku about sand.", "Say no to an invitation without hurting anybody."],
    "history": ["What was a palaestra?", "Who wrote down the first rules of wrestling?"],
}


def main() -> None:
    """Run, read, and look."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no Chromium on the path; install it with: make test-system")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        room = _room()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1240, "height": 1460})
            page.goto((room / "index.html").as_uri() + "#marks=flip&sort=spread")
            page.locator("section[aria-labelledby=questions]").screenshot(path=HERE / "reading-room-list.png")
            page.locator("ol.questions li:not([hidden]) a").first.click()
            page.locator("section.verdicts:visible summary").first.click()
            page.screenshot(path=HERE / "reading-room.png")
            browser.close()
        os.chdir(HERE)


def _room() -> Path:
    tables = "".join(f'[[model]]\nname = "{name}"\nendpoint = "scripted:{end}"\n' for name, end in MODELS.items())
    Path("models.toml").write_text(tables)
    rows = [
        {"uid": f"{topic}-{number}", "prompt": prompt, "category": topic}
        for topic, prompts in TOPICS.items()
        for number, prompt in enumerate(prompts, start=1)
    ]
    Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    contestants = [word for name in list(MODELS)[:4] for word in ("--model", name)]
    judges = [word for name in list(MODELS)[4:] for word in ("--judge", name)]
    if run(["judge", "run", "questions.jsonl", *contestants, *judges, "--schedule", "all", "--out", "run"]):
        sys.exit("the run failed")
    if run(["judge", "read", "run", "--out", "room"]):
        sys.exit("the room was not written")
    return Path("room").resolve()


if __name__ == "__main__":
    main()
