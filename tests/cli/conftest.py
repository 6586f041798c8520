"""The command line as a user has it: a process, its two streams and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def palaestra(tmp_path: Path) -> Run:
    """Run `palaestra ARGUMENTS` in an empty folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PALAESTRA_")}
        return subprocess.run(
            [sys.executable, "-m", "palaestra", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=clean | {"COLUMNS": "200"} | environment,
        )

    return run
