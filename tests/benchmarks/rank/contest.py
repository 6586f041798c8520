"""One contestant at a time, each in a process of its own: what it took, or why it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
SCRIPTS = {
    "Palaestra": "ours.py",
    "arena-rank": "arena_rank_peer.py",
    "FastChat's method": "fastchat_method.py",
    "evalica": "others.py",
    "scikit-learn": "others.py",
}


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds and MB of each call, a tuple for each process that a contestant has had; `said` is what a call returned.

    Of several processes the slowest counts, and the largest.
    """

    seconds: tuple[tuple[float, ...], ...] = ()
    memory: tuple[tuple[float, ...], ...] = ()
    said: dict[str, Any] = field(default_factory=dict)
    failed: str = ""

    @property
    def first(self) -> float:
        """Seconds of a process's first call."""
        return max((calls[0] for calls in self.seconds), default=float("nan"))

    @property
    def later(self) -> float:
        """Seconds of the calls after it, their median; of the only call, where there is one."""
        return max((median(calls[1:] or calls) for calls in self.seconds), default=float("nan"))

    @property
    def least(self) -> float:
        """Seconds of the fastest call."""
        return min((min(calls) for calls in self.seconds), default=float("nan"))

    @property
    def first_memory(self) -> float:
        """MB of a process's first call."""
        return max((calls[0] for calls in self.memory), default=float("nan"))

    @property
    def later_memory(self) -> float:
        """The most MB of a call after it, or of the only one."""
        return max((max(calls[1:] or calls) for calls in self.memory), default=float("nan"))

    def and_again(self, other: Result) -> Result:
        """Both processes together; a failure stays one."""
        if self.failed or other.failed:
            return self if self.failed else other
        return replace(self, seconds=self.seconds + other.seconds, memory=self.memory + other.memory)


@dataclass(frozen=True, slots=True)
class Contest:
    """What holds for all contestants: the interpreter that has arena-rank, and how many seconds each may take."""

    peer_python: str
    timeout: float

    def run(self, who: str, task: str, data: Path, repeats: int, **environment: str) -> Result:
        """A process that does a task so many times."""
        python = self.peer_python if who == "arena-rank" else sys.executable
        print(f"  {who}: {task}", file=sys.stderr, flush=True)
        try:
            with subprocess.Popen(
                [python, str(HERE / SCRIPTS[who]), task, str(data), str(repeats)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=HERE,
                env=os.environ | environment,
                start_new_session=True,
            ) as process:
                return self._result(process)
        except OSError as error:
            return Result(failed=f"{error.strerror}: {python}")

    def _result(self, process: subprocess.Popen[str]) -> Result:
        try:
            said, complained = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # it may have processes of its own
            process.communicate()
            return Result(failed=f"took more than {self.timeout:.0f} s")
        if process.returncode:
            last = (complained.strip().splitlines() or ["said nothing"])[-1]
            return Result(failed=f"exit status {process.returncode}: {last[:100]}")
        found = json.loads(said.splitlines()[-1])
        return Result((tuple(found["seconds"]),), (tuple(found["memory_mb"]),), found["result"])
