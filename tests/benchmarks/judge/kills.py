"""One plan of a judges' run, interrupted by kill -9 again and again: the same files, and no request paid for twice."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "judge"))

from interrupted import made_files, run_killed, served, write_plan
from till import Till

QUESTIONS = 120


def bench_kills(kills: int, out: list[str]) -> None:
    """The plan whole, and the same plan killed so many times and then let go."""
    with tempfile.TemporaryDirectory() as name, Till(served, seconds=0.1) as till:
        folder = Path(name)
        command = write_plan(folder, till, QUESTIONS)
        subprocess.run([*command, "--out", "whole"], cwd=folder, check=True, capture_output=True)
        made = dict(till.asked)
        till.asked.clear()
        killed = run_killed([*command, "--out", "run"], folder, till, kills=kills, further=3)
        same, once = made_files(folder / "run") == made_files(folder / "whole"), dict(till.asked) == made
    out += [
        "## A run interrupted by kill -9",
        "",
        f"{len(made)} requests ({QUESTIONS} questions, two contestants, a judge), killed {killed} times, then let go:",
        f"the files are {'the same' if same else '**others**'}, and",
        f"{'every request was made once' if once else '**some request was made twice, or never**'}.",
        "",
    ]
