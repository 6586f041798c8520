"""How a contestant is measured: seconds of each call, and the resident memory that it needs beyond what was loaded."""

from __future__ import annotations

import argparse
import gc
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

STYLE = ("length", "header", "list", "bold")


class Peak:
    """The highest resident memory since it was made, in MB beyond what there was then; of this process alone.

    Linux keeps the highest value, and lets it be reset; where it does not, a thread looks every millisecond.
    """

    def __init__(self) -> None:
        self._kept, self._seen, self._done = False, 0.0, threading.Event()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
            self._kept = True
        self._before = _resident("VmRSS")
        if not self._kept:
            threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._done.wait(0.001):
            self._seen = max(self._seen, _resident("VmRSS"))

    def extra(self) -> float:
        """What it has been so far."""
        return (_resident("VmHWM") if self._kept else self._seen) - self._before

    def stop(self) -> None:
        """Look no further."""
        self._done.set()


def _resident(field: str) -> float:
    """VmRSS: resident memory now, VmHWM: at its highest; in MB, NaN where there is no /proc."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return float(line.split()[1]) / 1024
    return float("nan")


def measured(call: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds and extra memory of each of so many calls, and what the last one returned.

    A call with processes of its own returns what they have needed as "workers_mb".
    """
    seconds, memory, result = [], [], None
    for _ in range(repeats):
        result = None
        gc.collect()
        peak = Peak()
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
        memory.append(peak.extra() + result.get("workers_mb", 0.0))
        peak.stop()
    return {"seconds": seconds, "memory_mb": memory, "result": result}


def contestant(tasks: dict[str, Callable[[pd.DataFrame], Callable[[], dict[str, Any]]]]) -> None:
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
