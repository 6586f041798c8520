"""A run's folder while it is written, after kill -9, and when it goes on; and what a reader sees of it meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.store.run_lock import at_work
from palaestra.store.run_reading import find_runs, latest, series, version, view_run
from palaestra.store.runs import METRICS_FILE, SAMPLES_FILE, RunFolder, read_lines

KILLED = """
import os, signal, sys
from palaestra.store.runs import RunFolder
run = RunFolder(sys.argv[1], "train toy", {"rate": 0.1}, seed=3, again="resume")
for step in range(1, 4):
    run.measure(step=step, loss=1.0 / step)
    run.sample(step=step, prompt="1 + 1", reply=str(step))
print("ready", flush=True)
sys.stdin.readline()
open(run.path / "metrics.jsonl", "a").write('{"seconds": 9, "step": 4, "lo')
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_in(path: Path, again: Any = "ask") -> RunFolder:
    return RunFolder(path, "train toy", {"rate": 0.1}, seed=3, again=again)


def test_samples_on_the_way_stay_and_those_of_the_end_stand_below(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    run.sample(step=1, prompt="a", reply="half \ud83d")
    run.sample(step=2, prompt="a", reply="ä 😀")
    run.finish({"score": 1.0}, [{"prompt": "end"}], "# card\n")
    lines = read_lines(tmp_path / "run" / SAMPLES_FILE)
    assert [line.get("reply") for line in lines] == ["half \ufffd", "ä 😀", None]
    assert all(line["seconds"] >= 0 for line in lines[:2])
    again = run_in(tmp_path / "run", "resume")
    again.sample(step=3, prompt="a", reply="more")
    again.finish({"score": 1.0}, [{"prompt": "end"}], "# card\n")
    lines = read_lines(tmp_path / "run" / SAMPLES_FILE)
    assert [line["prompt"] for line in lines] == ["a", "a", "a", "end"], "what finish wrote before is not there twice"


def test_a_killed_run_is_seen_as_such_and_goes_on_where_its_files_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = version(path)
        assert at_work(path)
        assert view_run(path).state == "running"
        with pytest.raises(InputError, match=f"another process .number {process.pid}. is at work"):
            run_in(path, "resume")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(20) == -signal.SIGKILL
    assert not at_work(path)
    assert version(path) != before
    seen = view_run(path)
    assert seen.state == "killed"
    assert [line["step"] for line in read_lines(path / METRICS_FILE)] == [1, 2, 3], "half a line is not read"
    assert 0 <= seen.seconds < 9
    run = run_in(path, "resume")
    assert at_work(path)
    assert at_work(path), "to look does not give the lock up"
    run.measure(step=3, loss=0.3)
    run.sample(step=3, prompt="1 + 1", reply="again")
    run.measure(step=4, loss=0.25)
    seen = view_run(path)
    assert seen.state == "running"
    assert (seen.series[0].at, seen.series[0].values) == ([1, 2, 3, 4], [1.0, 0.5, 0.3, 0.25])
    assert [sample["reply"] for sample in seen.samples] == ["1", "2", "again"]
    assert len(read_lines(path / SAMPLES_FILE)) == 4, "nothing that was written is lost"
    run.finish({}, [], "")
    assert view_run(path).state == "done"
    assert not at_work(path)


def test_a_look_from_another_process_does_not_take_the_folder(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    code = "import sys\nfrom palaestra.store.run_lock import at_work\nfor _ in range(50): assert at_work(sys.argv[1])"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(run.path)], check=True)
    run.end("interrupted")
    seen = view_run(run.path)
    assert seen.state == "interrupted"


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path / "run")
    (tmp_path / "run" / METRICS_FILE).mkdir()
    with pytest.raises(InputError, match=r"cannot write .*metrics.jsonl: .*; make room, and go on with --resume"):
        run.measure(loss=1.0)
    run.end("failed")


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"a": 1}\nnonsense\n', "line 2"), ("[1]\n", "line 1: found b'\\[1\\]', expected a JSON object")],
)
def test_a_broken_line_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(InputError, match=words):
        read_lines(tmp_path / "metrics.jsonl")


def test_runs_are_found_however_deep(tmp_path: Path) -> None:
    for name in ("b", "a/deep/run", ".hidden"):
        run_in(tmp_path / name).finish({}, [], "")
    assert [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)] == ["a/deep/run", "b"]
    assert find_runs(tmp_path / "b") == [tmp_path / "b"]
    with pytest.raises(InputError, match="found no folder"):
        find_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found no run.json"):
        view_run(tmp_path)


def test_names_and_texts_say_which_figure_and_which_line() -> None:
    lines = [
        {"seconds": 1, "step": 1, "loss": 2.0, "held_out/add": 0.1, "held_out/sub": 0.2, "note": True},
        {"seconds": 2, "step": 2, "loss": float("nan"), "held_out/add": 0.3},
        {"seconds": 3, "step": 2, "domain": "add", "reward": 0.5},
        {"seconds": 4.5, "tokens": 7},
    ]
    found = {one.full_name: one for one in series(lines)}
    assert list(found) == ["loss", "held_out/add", "held_out/sub", "reward/add", "tokens"]
    assert (found["loss"].values, found["loss"].not_finite) == ([2.0], 1)
    assert found["held_out/add"].values == [0.1, 0.3]
    assert (found["tokens"].over, found["tokens"].at) == ("seconds", [4.5])


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(allow_nan=False, allow_infinity=False)), max_size=60))
def test_the_last_measurement_of_each_step_counts(points: list[tuple[int, float]]) -> None:
    found = series([{"seconds": 0.0, "step": step, "loss": loss} for step, loss in points])
    expected = dict(sorted(dict(points).items()))
    assert [(list(map(int, one.at)), one.values) for one in found] == (
        [(list(expected), list(expected.values()))] if points else []
    )
    assert json.loads(json.dumps(latest([{"step": s, "prompt": "p", "v": v} for s, v in points]))) == [
        {"step": s, "prompt": "p", "v": v} for s, v in _last(points)
    ]


def _last(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Each step once, in the order of its last coming."""
    return [point for place, point in enumerate(points) if point[0] not in {s for s, _ in points[place + 1 :]}]


def test_the_lock_knows_a_process_that_has_ended(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert at_work(run.path), "a child that ends does not give it up"
    run.finish({}, [], "")
