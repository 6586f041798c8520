"""The results as Markdown. Whether a goal is met is computed here, from the numbers beside it."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from contest import Result

Key = tuple[str, str]
Lines = Mapping[str, Sequence[float]]

TITLES = {
    "bt": "Bradley-Terry with intervals",
    "bt-point": "Bradley-Terry without intervals",
    "bt-sums": "Bradley-Terry on sums, without intervals",
    "style": "style with intervals",
    "style-matched": "style with intervals, its penalty and pair weights removed",
    "style-point": "style without intervals",
    "bootstrap": "100 bootstraps",
    "bootstrap-style": "100 bootstraps with style",
    "four-style": "4 bootstraps with style",
    "categories": "20 categories, plain and style",
}
GOALS = [
    ("bt", ("arena-rank", "bt"), 60),
    ("style", ("arena-rank", "style"), 40),
    ("style", ("arena-rank", "style-matched"), 40),
    ("bootstrap", ("FastChat's method", "bootstrap"), 50),
    ("bootstrap-style", ("FastChat's method", "four-style"), 200),
    ("categories", ("arena-rank", "style"), 1),
]
MEMORY_GOAL = 0.25
RATING_GOAL, ERROR_GOAL = 0.01, 0.02


_HEAD = """# Ranking against its peers

`make bench-rank` on {date}: {votes:,} simulated votes among 150 models, every contestant from the same pandas frame.
{cores} cores ({processor}), {memory:.0f} GiB, load {load:.1f} before the start. Python {python}, {packages};
arena-rank 0.1.1 in an environment of its own, with the versions that it pins.

One contestant at a time, each in a process of its own. Reading the file and imports are not counted, checking and
coding of names and outcomes are; peers have their style features computed for nothing. The first call of a process
stands apart: ours loads compiled kernels, JAX compiles. arena-rank compiles its fit again in every call, which counts.
Ours runs before and after its peers, and the slower of the two processes counts.

Memory is the highest resident memory of a call above what was there before it, worker processes included. In a first
call it contains libraries that are loaded when first used; in later ones it lacks what the process has kept from those
before.
"""
_AGREEMENT = f"""## Agreement

With references that have no penalty and share nothing with the engine: choix, and a sandwich by pseudo-inverse; with
style Newton's method on a dense matrix of single votes. Goals: {RATING_GOAL} Elo; {ERROR_GOAL:.0%} of standard errors.
"""


def head(votes: int, load: float) -> list[str]:
    """What ran where."""
    names = ("palaestra", "numpy", "numba", "polars", "pandas", "scikit-learn", "evalica", "choix")
    text = _HEAD.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        votes=votes,
        cores=os.cpu_count(),
        processor=_processor(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        load=load,
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in names),
    )
    return [*text.splitlines(), ""]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())


def contestants(results: Mapping[Key, Result], compiling: Result) -> list[str]:
    """Seconds and memory of each."""
    lines = [
        "## Seconds and memory",
        "",
        "| who, what | first call | later calls, median | fastest | MB, first call | MB, later calls |",
        "|---|---|---|---|---|---|",
    ]
    for (who, task), found in results.items():
        title = f"{who}, {TITLES[task]}"
        if found.failed:
            lines.append(f"| {title} | failed: {found.failed} | | | | |")
            continue
        alone = all(len(calls) == 1 for calls in found.seconds)
        later, memory = ("", "") if alone else (f"{found.later:.3f} s", f"{found.later_memory:.0f}")
        lines.append(
            f"| {title} | {found.first:.2f} s | {later} | {found.least:.3f} s | {found.first_memory:.0f} | {memory} |"
        )
    once = f"failed: {compiling.failed}" if compiling.failed else f"{compiling.first:.1f} s"
    return [
        *lines,
        "",
        f"The first style fit after an installation, which compiles the kernels and keeps them: {once}.",
        "",
    ]


def goals(results: Mapping[Key, Result]) -> list[str]:
    """Ratios, and whether they are as great as they should be."""
    lines = [
        "## Goals",
        "",
        "A ratio is the peer's time by ours, of later calls (left) and of first calls (right).",
        "",
        "| task | against | ratio | goal | | ratio, first calls | |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, against, goal in GOALS:
        own, peer = results["Palaestra", task], results[against]
        said = f"{against[0]}, {TITLES[against[1]]}" + "".join(
            f" (failed: {w.failed})" for w in (own, peer) if w.failed
        )
        later, first = peer.later, peer.first
        if "hundred" in peer.said:
            later = first = peer.said["hundred"]
            said += f", extrapolated to 100: {later:.0f} s"
        cells = [_ratio(later / own.later), str(goal), _verdict(later / own.later >= goal)]
        cells += [_ratio(first / own.first), _verdict(first / own.first >= goal)]
        lines.append(f"| {TITLES[task]} | {said} | {' | '.join(cells)} |")
    style = results["Palaestra", "style"]
    later, first = style.later_memory / 1024, style.first_memory / 1024
    cells = [f"{later:.2f} GB", f"at most {MEMORY_GOAL} GB", _verdict(later <= MEMORY_GOAL)]
    cells += [f"{first:.2f} GB", _verdict(first <= MEMORY_GOAL)]
    lines += ["", "| | later calls | goal | | first call | |", "|---|---|---|---|---|---|"]
    return [*lines, f"| extra memory with 4 features | {' | '.join(cells)} |", ""]


def _ratio(ratio: float) -> str:
    return "?" if math.isnan(ratio) else f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _verdict(met: bool) -> str:  # noqa: FBT001
    return "met" if met else "**not met**"


def agreement(rows: Sequence[tuple[str, Result, dict[str, Any], bool]]) -> list[str]:
    """Distances from references: what is compared, the result, the reference, and whether the goals are for it."""
    lines = [
        *_AGREEMENT.splitlines(),
        "",
        "| | ratings, greatest distance in Elo | standard errors | coefficients | |",
        "|---|---|---|---|---|",
    ]
    for title, found, reference, ours in rows:
        if found.failed or not reference:
            lines.append(f"| {title} | {'failed: ' + found.failed if found.failed else 'no reference'} | | | |")
            continue
        ratings, errors = _distances(found.said["lines"], reference["lines"])
        coefficients = _of_effects(found.said.get("effects"), reference.get("effects"))
        verdict = _verdict(ratings <= RATING_GOAL and errors <= ERROR_GOAL) if ours else ""
        shown = "" if math.isnan(errors) else f"{errors:.2%}" if errors > 1e-4 else f"{errors:.1e}"
        lines.append(f"| {title} | {_short(ratings)} | {shown} | {coefficients} | {verdict} |")
    return [*lines, ""]


def _distances(found: Lines, reference: Lines) -> tuple[float, float]:
    """The greatest distance of ratings around their mean, and of standard errors as a share; NaN without them."""
    mine, theirs = (np.array([lines[name][:2] for name in reference]) for lines in (found, reference))
    ratings = np.abs(mine[:, 0] - mine[:, 0].mean() - theirs[:, 0] + theirs[:, 0].mean()).max()
    errors = np.abs(mine[:, 1] / theirs[:, 1] - 1).max() if mine[:, 1].any() else float("nan")
    return float(ratings), float(errors)


def _of_effects(found: Any, reference: Any) -> str:
    if not found or not reference:
        return ""
    mine = [value[0] for value in found.values()] if isinstance(found, dict) else found
    theirs = [value[0] for value in reference.values()]
    return _short(max(abs(a - b) for a, b in zip(mine, theirs, strict=True)))


def _short(value: float) -> str:
    return f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"


def linearity(rows: Sequence[tuple[int, Result, Result]]) -> list[str]:
    """Seconds by the number of votes: votes, plain, style."""
    lines = [
        "## Cost by the number of votes",
        "",
        "| votes | plain | style | plain, each further vote | style, each further vote | MB, plain | MB, style |",
        "|---|---|---|---|---|---|---|",
    ]
    before: tuple[int, float, float] | None = None
    for votes, plain, style in rows:
        failed = plain.failed or style.failed
        if failed:
            lines.append(f"| {votes:,} | failed: {failed} | | | | | |")
            continue
        further = ["", ""]
        if before is not None:
            grown = votes - before[0]
            further = [
                f"{1e9 * (now - then) / grown:.0f} ns"
                for now, then in ((plain.later, before[1]), (style.later, before[2]))
            ]
        memory = [f"{max(found.first_memory, found.later_memory):.0f}" for found in (plain, style)]
        lines.append(f"| {votes:,} | {plain.later:.3f} s | {style.later:.3f} s | {' | '.join([*further, *memory])} |")
        before = votes, plain.later, style.later
    return [*lines, ""]
