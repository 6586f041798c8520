"""Prompts as the question files of other tools, in a new folder.

    arena-hard    question.jsonl: uid, category, subcategory, cluster, prompt (v2.0)
    mt-bench      question.jsonl: question_id, category, turns, reference
    alpaca-eval   questions.json: instruction_id, instruction, dataset
    lm-eval       NAME.yaml, questions.jsonl, questions.py: a task of lm-evaluation-harness, which logs the answers
    inspect       NAME.py, questions.jsonl: a task of inspect_ai, which logs the answers

All but mt-bench and inspect ask one turn: prompts of several are refused there. What else a tool has no field for is
left out and told. `read_prompts` reads the questions of all of them again. No tool is needed to write its files.

Not here: answers (`judge/answers.py`), and the task that judges them too (`judge/inspect_task.py`).
"""

from __future__ import annotations

import json
import keyword
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from palaestra.errors import InputError
from palaestra.schema import Prompt

ExportKind = Literal["lm-eval", "inspect", "arena-hard", "mt-bench", "alpaca-eval"]
_ONE_TURN = ("lm-eval", "arena-hard", "alpaca-eval")
_HAVE_SYSTEM = ("inspect",)
_HAVE_REFERENCE = ("mt-bench", "inspect", "lm-eval")
_SHOWN = 3
_NAMES_OF_INSPECT = ("Path", "Task", "task", "json_dataset", "ChatMessageUser", "solver", "ask_turns")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

_YAML = """\
# Asks every question of questions.jsonl once, without examples. The answers are in the log: lm-eval run --log_samples.
task: "{name}"
custom_dataset: !function questions.questions
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{reference}}}}"
num_fewshot: 0
generation_kwargs:
  until: []
  do_sample: false
  max_gen_toks: 4096
metric_list:
  - metric: bypass
metadata:
  version: 1.0
"""
_LM_EVAL = '''\
"""The questions beside this file, as lm-evaluation-harness wants them."""

import json
from pathlib import Path

import datasets


def questions(**_):
    lines = Path(__file__).with_name("questions.jsonl").read_text(encoding="utf-8").split("\\n")
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines if line])}
'''
_INSPECT = '''\
"""The questions beside this file, asked turn by turn; the answers are in the log. Nothing is scored."""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import ChatMessageUser
from inspect_ai.solver import solver


@solver
def ask_turns():
    async def solve(state, generate):
        state = await generate(state)
        for turn in state.metadata["further_turns"]:
            state.messages.append(ChatMessageUser(content=turn))
            state = await generate(state)
        return state

    return solve


@task
def {name}():
    return Task(dataset=json_dataset(str(Path(__file__).with_name("questions.jsonl"))), solver=ask_turns())
'''


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: the files, how many prompts, what was lost, and how to run it where that is one command."""

    files: tuple[Path, ...]
    prompts: int
    lost: tuple[str, ...]
    command: str | None


def export_prompts(prompts: Sequence[Prompt], kind: ExportKind, out: str | Path, *, name: str | None = None) -> Export:
    """Write prompts as the questions of another tool; the folder is there whole or not at all.

    Args:
        prompts: the benchmark.
        kind: whose files.
        out: the folder, which must not exist.
        name: the task's name for lm-eval and inspect; if left out, made from the folder's.

    Raises:
        InputError: there are no prompts, one has several turns where the tool asks one, the folder exists or cannot be
            written, or the name is none of a task.
    """
    out = Path(out)
    if kind not in get_args(ExportKind):
        raise InputError(f"found the kind {kind!r}, expected {', '.join(get_args(ExportKind))}")
    if not prompts:
        raise InputError("found no prompts, expected at least one to write")
    if kind in _ONE_TURN and (several := [prompt.id for prompt in prompts if len(prompt.turns) > 1]):
        raise InputError(
            f"{len(several)} of {len(prompts)} prompts have several turns ({', '.join(several[:_SHOWN])}"
            f"{', ...' * (len(several) > _SHOWN)}), and {kind} asks one; export them to mt-bench or inspect"
        )
    task = _task_name(name or re.sub(r"[^A-Za-z0-9_]+", "_", out.name).strip("_"), kind)
    files = _FILES[kind](prompts, task)
    _write(out, files)
    return Export(tuple(out / file for file in files), len(prompts), _lost(prompts, kind), _command(kind, out, task))


def _task_name(name: str, kind: ExportKind) -> str:
    if kind == "lm-eval" and not _NAME.fullmatch(name):
        raise InputError(f"found the name {name!r}, expected letters, digits, - and _ after a letter: --name NAME")
    taken = keyword.iskeyword(name) or name in _NAMES_OF_INSPECT
    if kind == "inspect" and (taken or not name.isidentifier() or not _NAME.fullmatch(name)):
        raise InputError(
            f"found the name {name!r}, expected letters, digits, _ after a letter, no word of Python: --name NAME"
        )
    return name


def _write(out: Path, files: dict[str, str]) -> None:
    if out.exists():
        raise InputError(f"found {out}, which exists; give another folder, or remove that one")
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of an export that was killed
        part.mkdir(parents=True)
        for file, text in files.items():
            (part / file).write_text(text, encoding="utf-8")
        part.rename(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; give a path that can be written") from error


def _lost(prompts: Sequence[Prompt], kind: ExportKind) -> tuple[str, ...]:
    fields: list[tuple[str, Callable[[Prompt], Any], bool]] = [
        ("a system prompt", lambda prompt: prompt.system, kind in _HAVE_SYSTEM),
        ("a reference answer", lambda prompt: prompt.reference, kind in _HAVE_REFERENCE),
    ]
    counts = [(what, sum(bool(of(prompt)) for prompt in prompts)) for what, of, kept in fields if not kept]
    said = "{} of the prompts have {}, for which {} has no field: left out"
    return tuple(said.format(number, what, kind) for what, number in counts if number)


def _command(kind: ExportKind, out: Path, name: str) -> str | None:
    return {
        "lm-eval": f"lm-eval run --model hf --tasks {name} --include_path {out} --apply_chat_template --log_samples "
        "--output_path answers",
        "inspect": f"inspect eval {out / f'{name}.py'} --model ...",
    }.get(kind)


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(_present(row), ensure_ascii=False) + "\n" for row in rows)


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None and value != ()}


def _arena_hard(prompts: Sequence[Prompt], _: str) -> dict[str, str]:
    rows = [
        {
            "uid": prompt.id,
            "category": prompt.category or "hard_prompt",
            "subcategory": prompt.subcategory,
            "cluster": prompt.topic,
            "language": prompt.language,
            "prompt": prompt.turns[0],
        }
        for prompt in prompts
    ]
    return {"question.jsonl": _lines(rows)}


def _mt_bench(prompts: Sequence[Prompt], _: str) -> dict[str, str]:
    rows = [
        {
            "question_id": int(prompt.id) if re.fullmatch("0|[1-9][0-9]{0,17}", prompt.id) else prompt.id,
            "category": prompt.category or "general",
            "turns": prompt.turns,
            "reference": prompt.reference,
        }
        for prompt in prompts
    ]
    return {"question.jsonl": _lines(rows)}


def _alpaca_eval(prompts: Sequence[Prompt], _: str) -> dict[str, str]:
    rows = [
        {
            "instruction_id": prompt.id,
            "instruction": prompt.turns[0],
            "dataset": prompt.category or prompt.source or "own",
        }
        for prompt in prompts
    ]
    return {"questions.json": json.dumps(rows, ensure_ascii=False, indent=1) + "\n"}


def _lm_eval(prompts: Sequence[Prompt], name: str) -> dict[str, str]:
    rows = [
        {
            "question_id": prompt.id,
            "category": prompt.category or "",
            "prompt": prompt.turns[0],
            "reference": prompt.reference[0] if prompt.reference else "",
        }
        for prompt in prompts
    ]
    return {f"{name}.yaml": _YAML.format(name=name), "questions.py": _LM_EVAL, "questions.jsonl": _lines(rows)}


def _inspect(prompts: Sequence[Prompt], name: str) -> dict[str, str]:
    rows = []
    for prompt in prompts:
        told = [{"role": "system", "content": prompt.system}] if prompt.system else []
        rows.append(
            {
                "id": prompt.id,
                "input": [*told, {"role": "user", "content": prompt.turns[0]}],
                "target": list(prompt.reference) or "",
                "metadata": {"category": prompt.category, "further_turns": list(prompt.turns[1:])},
            }
        )
    return {f"{name}.py": _INSPECT.replace("{name}", name), "questions.jsonl": _lines(rows)}


_FILES: dict[str, Callable[[Sequence[Prompt], str], dict[str, str]]] = {
    "lm-eval": _lm_eval,
    "inspect": _inspect,
    "arena-hard": _arena_hard,
    "mt-bench": _mt_bench,
    "alpaca-eval": _alpaca_eval,
}
