"""Exports: the questions come back, the tools run them, their logs are answers; and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.schema import Prompt
from palaestra.store.exports import ExportKind, export_prompts
from palaestra.store.prompts import read_prompts

KINDS = get_args(ExportKind)
ids = st.text("abc0123 é'\"", min_size=1, max_size=5)
texts = st.text(min_size=1, max_size=20).filter(str.strip)
prompts = st.builds(Prompt, id=ids, turns=st.tuples(texts), category=st.none() | st.sampled_from(["math", "code"]))
sets = st.lists(prompts, min_size=1, max_size=4, unique_by=lambda prompt: prompt.id)


@pytest.mark.parametrize("kind", ["arena-hard", "mt-bench", "alpaca-eval", "lm-eval"])
@given(sets)
@settings(max_examples=40, deadline=None)
def test_the_questions_come_back(kind: ExportKind, wrote: list[Prompt]) -> None:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "bench"
        written = export_prompts(wrote, kind, out)
        (file,) = [path for path in written.files if path.suffix in {".jsonl", ".json"}]
        read = read_prompts(file, identified=True)
        assert [(prompt.id, prompt.turns) for prompt in read] == [(prompt.id, prompt.turns) for prompt in wrote]
        assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in written.files)
        assert [path.name for path in Path(folder).iterdir()] == ["bench"]


def test_turns_references_and_system_prompts_go_where_there_is_a_field(tmp_path: Path) -> None:
    two = Prompt(id="81", turns=("one?", "two?"), reference=("1", "2"), system="Be brief.", category="math")
    written = export_prompts([two], "mt-bench", tmp_path / "mt")
    (read,) = read_prompts(tmp_path / "mt" / "question.jsonl", identified=True)
    assert (read.turns, read.reference, read.category) == (two.turns, two.reference, two.category)
    assert json.loads((tmp_path / "mt" / "question.jsonl").read_text())["question_id"] == 81
    assert written.lost == ("1 of the prompts have a system prompt, for which mt-bench has no field: left out",)
    assert export_prompts([two], "inspect", tmp_path / "inspect").lost == ()
    for kind in ("lm-eval", "arena-hard", "alpaca-eval"):
        with pytest.raises(InputError, match=rf"1 of 1 prompts have several turns \(81\), and {kind} asks one"):
            export_prompts([two], kind, tmp_path / kind)
        assert not (tmp_path / kind).exists()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    one = [Prompt(id="q", turns=("?",))]
    with pytest.raises(InputError, match="found no prompts"):
        export_prompts([], "arena-hard", tmp_path / "out")
    with pytest.raises(InputError, match="which exists; give another folder"):
        export_prompts(one, "arena-hard", tmp_path)
    with pytest.raises(InputError, match="found the kind 'helm', expected lm-eval, inspect"):
        export_prompts(one, "helm", tmp_path / "out")  # ty: ignore[invalid-argument-type]
    for name in ("class", "Task"):
        with pytest.raises(InputError, match=f"found the name '{name}', expected .* no word of Python"):
            export_prompts(one, "inspect", tmp_path / "out", name=name)
    for kind, name in (("lm-eval", "2nd"), ("lm-eval", "a b"), ("inspect", "class-1"), ("inspect", "é")):
        with pytest.raises(InputError, match="found the name"):
            export_prompts(one, kind, tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_what_a_killed_export_left_does_not_come_along(tmp_path: Path) -> None:
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "old.py").touch()
    export_prompts([Prompt(id="q", turns=("?",))], "arena-hard", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["question.jsonl"]


def test_a_task_called_null_keeps_its_name(tmp_path: Path) -> None:
    export_prompts([Prompt(id="q", turns=("?",))], "lm-eval", tmp_path / "null")
    assert 'task: "null"\n' in (tmp_path / "null" / "null.yaml").read_text()


AWKWARD = [
    Prompt(id="q1", turns=("What is {{1+1}}? {% raw %}",), category="math"),
    Prompt(id="q2", turns=('Write "hello"\n\nin C.\u2028Please.',)),
]


@pytest.mark.slow
def test_lm_evaluation_harness_runs_it_and_its_log_is_read_as_answers(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm_eval is not installed; make setup installs it")
    from palaestra.judge.answers import read_answers

    export_prompts(AWKWARD, "lm-eval", tmp_path / "my-bench")
    program = Path(sys.executable).with_name("lm-eval")
    done = subprocess.run(
        [program, "run", "--model", "dummy", "--tasks", "my_bench", "--include_path", tmp_path / "my-bench",
         "--log_samples", "--output_path", tmp_path / "answers"],
        cwd=tmp_path, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    answers = read_answers(tmp_path / "answers", model="dummy")
    assert [(one.question_id, one.model, one.asked, one.turns) for one in answers] == [
        (prompt.id, "dummy", prompt.turns, ("lol",)) for prompt in AWKWARD
    ]
    (log,) = (tmp_path / "answers").rglob("samples_*.jsonl")
    asked = [json.loads(line)["arguments"]["gen_args_0"]["arg_0"] for line in log.read_text().split("\n") if line]
    assert asked == [prompt.turns[0] for prompt in AWKWARD]


def test_inspect_runs_it_turn_by_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect_ai = pytest.importorskip("inspect_ai", reason="inspect_ai is not installed; make setup installs it")
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def say(messages: list, *_: object) -> ModelOutput:
        made = ModelOutput.from_content("mockllm/model", f"to {messages[-1].text}")
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return made

    several = [*AWKWARD, Prompt(id="q3", turns=("one?", "two?"), system="Be brief.")]
    export_prompts(several, "inspect", tmp_path / "bench")
    model = get_model("mockllm/model", custom_outputs=say, memoize=False)
    monkeypatch.chdir(tmp_path)
    (log,) = inspect_ai.eval("bench/bench.py", model=model, log_dir="logs", display="none")
    assert log.status == "success", log.error
    assert [[message.text for message in sample.messages] for sample in log.samples] == [
        *([prompt.turns[0], f"to {prompt.turns[0]}"] for prompt in AWKWARD),
        ["Be brief.", "one?", "to one?", "two?", "to two?"],
    ]
