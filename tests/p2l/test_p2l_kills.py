"""`palaestra p2l train`, killed wherever it is, comes to the same files when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from palaestra.cli import run


def test_a_killed_training_goes_on_to_the_same_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["ann", "bob", "cy"])
    first = rng.integers(0, 3, 600)
    frame = pl.DataFrame(
        {
            "model_a": names[first],
            "model_b": names[(first + 1) % 3],
            "winner": np.where(rng.random(600) < 0.6, "model_a", "model_b"),
            "prompt": [f"question {n} about {'sums' if n % 2 else 'verse'}" for n in rng.integers(0, 300, 600)],
        }
    )
    frame.write_parquet(tmp_path / "votes.parquet")

    def words(out: str, *more: str) -> list[str]:
        return ["p2l", "train", str(tmp_path / "votes.parquet"), "--out", str(tmp_path / out), "--members", "3", *more]

    assert run(words("whole")) == 0
    started = subprocess.Popen(
        [sys.executable, "-m", "palaestra", *words("killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    vectors, end = tmp_path / "killed" / "vectors", time.monotonic() + 300
    while not [*vectors.glob("*.npy")] and time.monotonic() < end and started.poll() is None:
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model" / "config.json").exists()
    assert run(words("killed")) == 2
    assert run(words("killed", "--resume")) == 0
    for kind in ("model/model.safetensors", "vectors/*.npy"):
        here, there = (sorted((tmp_path / out).glob(kind)) for out in ("whole", "killed"))
        assert [path.name for path in here] == [path.name for path in there]
        assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
