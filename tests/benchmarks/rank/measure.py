"""How a contestant is measured: seconds of each call, and the resident memory that a call needs beyond what was loaded."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

STYLE = ("length", "header", "list", "bold")


def resident(field: str) -> float:
    """A field of /proc/self/status in MB: VmRSS now, VmHWM at its highest since it was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1]) / 1024
    return float("nan")


def measured(call: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds of each of so many calls, the most memory that one needed, and what the last one returned."""
    seconds, extra, result = [], 0.0, None
    for _ in range(repeats):
        result = None
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        before = resident("VmRSS")
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
        extra = max(extra, resident("VmHWM") - before)
    return {"seconds": seconds, "memory_mb": extra, "result": result}


def contestant(tasks: dict[str, Callable[[pd.DataFrame], Callable[[], Any]]]) -> None:
    """The command line of a contestant: TASK PARQUET REPEATS; prints one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=sorted(tasks))
    parser.add_argument("parquet", type=Path)
    parser.add_argument("repeats", type=int)
    chosen = parser.parse_args()
    frame = pd.read_parquet(chosen.parquet)
    frame.attrs["path"] = str(chosen.parquet)
    print(json.dumps(measured(tasks[chosen.task](frame), chosen.repeats)))


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with one column a style feature, (a - b) / (a + b): given to peers for nothing."""
    from votes import COUNTS

    for name, (column, _, _) in COUNTS.items():
        a, b = (frame[column.format(side)].to_numpy(float) for side in "ab")
        total = a + b
        total[total == 0] = 1
        frame[name] = (a - b) / total
    return frame
