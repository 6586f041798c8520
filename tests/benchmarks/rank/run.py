"""The benchmark of `make bench-rank`: who takes how long, who needs how much memory, who is right.

One machine, one run, one contestant at a time in a process of its own; data in a pandas frame before the clock starts.
Goals are ratios; whether they are met is computed here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import exact
import pandas as pd
from votes import simulate

HERE = Path(__file__).parent


def run(script: str, task: str, data: Path, repeats: int, python: str = sys.executable, timeout: float = 900) -> dict[str, Any]:
    """What a contestant printed; {"failed": why} where it did not."""
    command = [python, str(HERE / script), task, str(data), str(repeats)]
    print(f"  {script} {task} ...", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True, cwd=HERE)  # noqa: S603
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {timeout:.0f} s"}
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return {"failed": (said.strip().splitlines() or ["?"])[-1][:120]}


def seconds(result: dict[str, Any], *, first: bool = False) -> float:
    """The median of the calls after the first one, or the first."""
    if "failed" in result:
        return float("nan")
    return result["seconds"][0] if first else median(result["seconds"][1:] or result["seconds"])


def shown(result: dict[str, Any]) -> str:
    """Seconds of the first and of later calls, and memory."""
    if "failed" in result:
        return f"failed: {result['failed']}"
    later = f"{seconds(result):.3f} s" if len(result["seconds"]) > 1 else ""
    return f"{result['seconds'][0]:.2f} s | {later} | {result['memory_mb']:.0f} MB"


def verdict(peer: float, own: float, goal: float) -> str:
    """The ratio and whether it meets its goal."""
    ratio = peer / own
    return f"{ratio:.0f} | {goal:g} | {'met' if ratio >= goal else 'not met'}"


def agreement(mine: dict[str, Any], reference: dict[str, Any]) -> tuple[float, float]:
    """The greatest difference of ratings in Elo, and of standard errors as a share."""
    ratings = max(abs(mine[name][0] - reference[name][0]) for name in reference)
    errors = max(abs(mine[name][1] / reference[name][1] - 1) for name in reference)
    return ratings, errors


def report(votes: int, peer_python: str, *, large: bool) -> str:
    """The whole run as Markdown."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        data, few = Path(folder) / "votes.parquet", Path(folder) / "few.parquet"
        simulate(votes).to_parquet(data)
        simulate(40_000, seed=1).to_parquet(few)
        ours = {task: run("ours.py", task, data, repeats) for task, repeats in (("bt", 7), ("style", 7), ("bootstrap", 3))}
        peers = {
            "arena-rank, sandwich": run("arena_rank_peer.py", "bt", data, 4, peer_python),
            "arena-rank, style, sandwich": run("arena_rank_peer.py", "style", data, 3, peer_python),
            "arena-rank, style, ridge removed": run("arena_rank_peer.py", "style-matched", data, 2, peer_python),
            "FastChat's method, 100 bootstraps": run("fastchat_method.py", "bootstrap", data, 2),
            "FastChat's method, style, no intervals": run("fastchat_method.py", "style-point", data, 1),
            "FastChat's method, style, 4 of 100 bootstraps": run("fastchat_method.py", "bootstrap-style", data, 1),
            "evalica, no intervals": run("others.py", "evalica", data, 2),
            "scikit-learn on sums, no intervals": run("others.py", "sklearn", data, 2),
            "scikit-learn, style, no intervals": run("others.py", "sklearn-style", data, 1),
        }
        again = {task: run("ours.py", task, data, 5) for task in ("bt", "style")}
        ours |= {task: run("ours.py", task, data, 2) for task in ("bootstrap-style", "categories")}
        for task, result in again.items():  # ours before and after the peers: the slower of both counts
            if seconds(result) > seconds(ours[task]):
                ours[task] = result
        hundred_styles = peers["FastChat's method, style, 4 of 100 bootstraps"].get("result", float("nan"))
        lines += _contestants(ours, peers)
        lines += _goals(ours, peers, hundred_styles)
        lines += _agreement(ours, data, few)
        lines += _linearity(folder, large=large)
    return "\n".join([*_head(votes), *lines]) + "\n"


def _head(votes: int) -> list[str]:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "polars", "pandas", "scikit-learn", "evalica"))
    return [
        "# Ranking against its peers",
        "",
        f"`make bench-rank`, {datetime.now(UTC):%Y-%m-%d}. {votes:,} simulated votes, 150 models, from the same pandas frame. "
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Python {platform.python_version()}, {packages}; arena-rank 0.1.1 "
        "with JAX in an environment of its own. One contestant at a time, each in its own process, imports and loading not "
        "counted; memory is what a call needs beyond the loaded frame.",
        "",
        "The first call of a process is shown apart: it loads compiled code (ours, from its cache) or compiles (JAX, which "
        "does so again in later calls).",
        "",
    ]


def _contestants(ours: dict[str, Any], peers: dict[str, Any]) -> list[str]:
    rows = [("Palaestra, " + task, result) for task, result in ours.items()] + list(peers.items())
    table = ["## Seconds and memory", "", "| who | first call | later calls | memory |", "|---|---|---|---|"]
    return [*table, *(f"| {name} | {shown(result)} |" for name, result in rows), ""]


def _goals(ours: dict[str, Any], peers: dict[str, Any], hundred_styles: float) -> list[str]:
    bt, style = peers["arena-rank, sandwich"], peers["arena-rank, style, sandwich"]
    fastchat = peers["FastChat's method, 100 bootstraps"]
    rows = [
        ("Bradley-Terry with intervals, against arena-rank", verdict(seconds(bt), seconds(ours["bt"]), 60)),
        ("the same, first call of each process", verdict(seconds(bt, first=True), seconds(ours["bt"], first=True), 60)),
        ("style, 4 features, with intervals, against arena-rank", verdict(seconds(style), seconds(ours["style"]), 40)),
        ("the same, first calls", verdict(seconds(style, first=True), seconds(ours["style"], first=True), 40)),
        ("100 bootstraps, against FastChat's method", verdict(seconds(fastchat), seconds(ours["bootstrap"]), 50)),
        (
            f"100 bootstraps with style, against FastChat's method ({hundred_styles:.0f} s, extrapolated)",
            verdict(hundred_styles, seconds(ours["bootstrap-style"]), 200),
        ),
        (
            "20 categories, plain and style, from coded Parquet, against one style fit of arena-rank",
            verdict(seconds(style), seconds(ours["categories"]), 1),
        ),
    ]
    memory = ours["style"].get("memory_mb", float("nan")) / 1024
    table = ["## Goals", "", "| task | ratio | goal | |", "|---|---|---|---|"]
    table += [f"| {task} | {cells} |" for task, cells in rows]
    table.append(f"| extra memory with 4 features, GB | {memory:.2f} | at most 0.25 | {'met' if memory <= 0.25 else 'not met'} |")  # noqa: PLR2004
    return [*table, ""]


def _agreement(ours: dict[str, Any], data: Path, few: Path) -> list[str]:
    whole = agreement(ours["bt"]["result"]["lines"], exact.plain(pd.read_parquet(data)))
    reference = exact.styled(pd.read_parquet(few))
    mine = run("ours.py", "style", few, 1)["result"]
    style = agreement(mine["lines"], reference["lines"])
    effects = agreement(mine["effects"], reference["effects"])
    met = max(whole[0], style[0]) <= 0.01 and max(whole[1], style[1], effects[1]) <= 0.02  # noqa: PLR2004 - the goals
    return [
        "## Agreement with an unpenalised reference",
        "",
        "| | greatest difference of ratings, Elo | of standard errors |",
        "|---|---|---|",
        f"| all votes, choix and the exact sandwich | {whole[0]:.1e} | {whole[1]:.1e} |",
        f"| 40,000 votes with style, Newton on rows and the exact sandwich | {style[0]:.1e} | {style[1]:.1e} |",
        f"| its coefficients, natural units | {effects[0]:.1e} | {effects[1]:.1e} |",
        "",
        f"Goals 0.01 Elo and 2 %: {'met' if met else 'not met'}.",
        "",
    ]


def _linearity(folder: str, *, large: bool) -> list[str]:
    sizes = [200_000, 2_000_000, *([20_000_000] if large else [])]
    table = ["## Cost grows with the votes, and no faster", "", "| votes | plain | style | style, each vote |", "|---|---|---|---|"]
    for size in sizes:
        data = Path(folder) / f"size-{size}.parquet"
        chunk = 2_000_000
        parts = [simulate(min(chunk, size - start), seed=start // chunk) for start in range(0, size, chunk)]
        pd.concat(parts).drop(columns=["language", "turn", "is_code"]).to_parquet(data)
        del parts
        plain, style = (seconds(run("ours.py", task, data, 3)) for task in ("bt", "style"))
        table.append(f"| {size:,} | {plain:.3f} s | {style:.3f} s | {1e9 * style / size:.0f} ns |")
        data.unlink()
    return [*table, ""]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--votes", type=int, default=2_000_000)
    parser.add_argument("--peer-python", default=".venv-peers/bin/python")
    parser.add_argument("--no-20m", action="store_true")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    text = report(chosen.votes, str(Path(chosen.peer_python).absolute()), large=not chosen.no_20m)
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
