"""Killed with -9 at every stage in turn, the same command goes on, and ends with the bytes of a run that was not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from crowds import crowd, embeddings_endpoint

pytest.importorskip("umap")
pytest.importorskip("altair")

RUNNER = """
import json, os, signal, sys
import altair, openai, sklearn.cluster, sklearn.linear_model, umap, vl_convert
import palaestra.bench.criteria as criteria
import palaestra.bench.embeddings as embeddings
import palaestra.bench.folder
import palaestra.gateway
from palaestra.bench.stages import Work
from palaestra.cli import run

embeddings.CHUNK, criteria._AT_ONCE = 100, 64
kept = Work._kept

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def watched(deadly, before):
    def keep(self, path, make):
        there, hit = path.exists(), deadly in f"{path.parent.name}/{path.name}"

        def torn():
            if hit and before:
                path.with_name(f".{path.name}.1.part").write_bytes(b"PK half of a file")
                die()
            return make()

        found = kept(self, path, torn)
        if hit and not there:
            die()
        return found
    return keep

for deadly, arguments in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        Work._kept = watched(deadly.lstrip("~"), deadly.startswith("~"))
        os._exit(run(arguments))
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
DEADLY = (
    "~duplicates-",
    "/00000.npz",
    "~/00002.npz",
    "topics-",
    "~labels-",
    "/00001.npz",
    "~features-",
    "~scorer-",
    "scorer-",
)
"""Killed before the artefact (~), or right after; the numbered ones are chunks of vectors and of labels."""


@pytest.mark.slow
def test_a_build_goes_on_after_kill_9_and_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [json.dumps({"id": one.id, "prompt": one.text}) + "\n" for one in crowd(260, seed=2)[0]]
    (tmp_path / "crowd.jsonl").write_text("".join(rows))
    (tmp_path / "runner.py").write_text(RUNNER)

    def command(folder: str) -> list[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        asked = f"bench build crowd.jsonl --out {folder}/set --work {folder}.work --models models.toml --judge rule"
        asked += " --embedder words --near 0.97 --topic-size 15 --label 128 --size 12 --score 3 --mean 3"
        return [*asked.split(), "--first-score", "3", "--first-mean", "1", "--json", f"{folder}.json"]

    with embeddings_endpoint() as url:
        (tmp_path / "models.toml").write_text(
            f'[[model]]\nname = "words"\nendpoint = "{url}"\n\n'
            '[[model]]\nname = "rule"\nendpoint = "scripted:criteria"\n'
        )
        plan = [("never", command("whole")), *((deadly, command("parts")) for deadly in (*DEADLY, "never"))]
        done = subprocess.run(
            [sys.executable, "runner.py"],
            cwd=tmp_path,
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.split() == ["0", *["-9"] * len(DEADLY), "0"], done.stderr
    whole, parts = tmp_path / "whole" / "set", tmp_path / "parts" / "set"
    assert {path.name for path in whole.iterdir()} == {path.name for path in parts.iterdir()}
    for path in whole.iterdir():
        assert path.read_bytes() == (parts / path.name).read_bytes(), path.name
