"""Every tutorial runs, and says on one screen what the room's function says."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palaestra.bench.pool import Pool
from palaestra.bench.scorer import cuts_of
from palaestra.bench.selection import Thresholds, above
from palaestra.ranking import fit
from palaestra.ranking.compare import ELO
from palaestra.schema import Prompt

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("[0-9]*.py"))


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs_and_prints(tutorial: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(tutorial)], cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 3
    assert list(tmp_path.iterdir()) == []


def test_101_is_the_fit_of_the_ranking_room(capsys: pytest.CaptureFixture[str]) -> None:
    told = runpy.run_path(str(next(path for path in TUTORIALS if path.stem.startswith("101"))))
    capsys.readouterr()
    names = told["names"]
    votes = pl.DataFrame(
        {
            "model_a": [names[m] for m in told["first"]],
            "model_b": [names[m] for m in told["second"]],
            "winner": np.where(told["y"] == 1, "model_a", "model_b"),
        }
    )
    board = {line.model: line for line in fit(votes).models}
    for m, name in enumerate(names):
        assert board[name].rating == pytest.approx(1000 + ELO * told["strength"][m], abs=1e-4)
        assert board[name].se == pytest.approx(ELO * told["error"][m], rel=1e-6)


def test_105_draws_as_the_bench_room_does(capsys: pytest.CaptureFixture[str]) -> None:
    told = runpy.run_path(str(next(path for path in TUTORIALS if path.stem.startswith("105"))))
    capsys.readouterr()
    counts_L = told["met"][told["labelled"]].sum(axis=1)
    assert told["cuts"] == pytest.approx(np.array(cuts_of(told["expected"], counts_L, np.ones(len(counts_L)))))
    score_P = told["score"].astype(float)
    prompts = tuple(Prompt(id=str(place), turns=("?",)) for place in range(len(score_P)))
    kept, _ = above(Pool(prompts, told["topic"], np.zeros((len(score_P), 7)), score_P, score_P), Thresholds(5, 3, 6, 6))
    assert [int(prompt.id) for prompt in kept.prompts] == np.flatnonzero(told["here"]).tolist()


def test_109_merges_as_the_room_does(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from palaestra.posttrain.merging import methods
    from palaestra.posttrain.merging.sparse import trimmed

    told = runpy.run_path(str(next(path for path in TUTORIALS if path.stem.startswith("109"))))
    capsys.readouterr()
    for x_0, *x in zip(told["base"], *told["near"], strict=True):
        changes, stack = [one - x_0 for one in x], torch.stack(x)
        equal = [0.25] * 4
        for found, expected in (
            (told["linear"](x_0, stack), methods.linear(x, equal)),
            (told["task_arithmetic"](x_0, stack), methods.task_arithmetic(x_0, changes, [1.0] * 4, scale=0.5)),
            (told["ties"](x_0, stack), methods.elected(x_0, [trimmed(one, 0.5) for one in changes], equal)),
            (told["model_stock"](x_0, stack), methods.model_stock(x_0, x)),
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
