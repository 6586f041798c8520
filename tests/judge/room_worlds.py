"""Run folders of judges whose every verdict is known, some of it hostile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from palaestra.judge.answers import Answer, write_answers
from palaestra.judge.verdict import Grade, Verdict, label_of
from palaestra.schema import to_table
from palaestra.store.runs import RunFolder

MODELS = ("one", "two", "base")
HOSTILE_NAME = '<img src=x onerror="window.hacked=1">'
HOSTILE = """<script>window.hacked = 1</script> <img src=x onerror="window.hacked = 1">

###### deep heading

# high heading

[click](javascript:window.hacked=1) ![spy](https://example.org/spy.png) </article></main>

| a | b |
|---|--:|
| <b>1</b> | 2 |

```python
x = "</script><script>window.hacked = 1</script>"
```
"""

Row = tuple[str, str, str, str, int, str | None]
"""question, judge, model_a, model_b, game, label."""


def both(question: str, judge: str, model: str, first: str | None, second: str | None) -> list[Row]:
    """A model's two games against the baseline, which is A in the first."""
    return [(question, judge, "base", model, 1, first), (question, judge, model, "base", 2, second)]


def questions_file(path: Path, texts: Mapping[str, str], **fields: Any) -> Path:
    rows = [{"uid": name, "prompt": text, **fields} for name, text in texts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answers_of(questions: Iterable[str], models: Sequence[str], text: str = "{model} on {question}") -> list[Answer]:
    return [
        Answer(question_id=name, model=model, turns=(text.replace("{model}", model).replace("{question}", name),),
               asked=("?",))
        for model in models for name in questions
    ]  # fmt: skip


def write_run(
    folder: Path,
    questions: Path,
    answers: Sequence[Answer],
    rows: Sequence[Row] = (),
    *,
    grades: Sequence[Grade] = (),
    text: str | None = "Because.",
    **config: Any,
) -> Path:
    """A folder as `palaestra judge run` leaves it."""
    said: dict[str, Any] = {
        "questions": str(questions),
        "models": [],
        "judges": ["j"],
        "schedule": "baseline",
        "baselines": ["base"],
    }
    said |= config
    said["met"] = [{"*": name} for name in said["baselines"]] if said["schedule"] == "baseline" else []
    run = RunFolder(folder, "judge run", said, inputs=[questions], seed=0)
    write_answers(folder / "answers", answers)
    verdicts = [
        Verdict(question_id=question, judge=judge, protocol="pairwise", model_a=a, model_b=b, game=game,
                label=label_of(label) if label else None, text=text, error=None if text else "timeout: late")
        for question, judge, a, b, game, label in rows
    ]  # fmt: skip
    if verdicts:
        pq.write_table(to_table(Verdict, verdicts), folder / "verdicts.parquet")
    if grades:
        pq.write_table(to_table(Grade, grades), folder / "grades.parquet")
    run.finish({"games": len(verdicts) + len(grades)}, [], "# a run\n")
    return folder


def known_run(folder: Path, name: str = "run") -> Path:
    """Four questions, two judges: a flip with a disagreement, a strong win, a tie, and what could not be read."""
    texts = {"q1": "What is <b>one</b>?", "q2": "Name two apples.", "q3": "Three?", "q4": "Four?"}
    questions = folder / f"{name}.jsonl"
    rows = [{"uid": key, "prompt": text, "category": "ab"[n % 2]} for n, (key, text) in enumerate(texts.items())]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    games = [
        *both("q1", "j", "one", "B>A", "B>A"), *both("q1", "k", "one", "A>B", "B>A"),
        *both("q1", "j", "two", "B>A", "A>B"), *both("q1", "k", "two", "A>B", "B>A"),
        *both("q2", "j", "one", "B>>A", "A>>B"), *both("q2", "k", "one", "B>A", "A>B"),
        *both("q2", "j", "two", "A>B", "B>A"), *both("q2", "k", "two", "A>B", "B>A"),
        *both("q3", "j", "one", "A=B", "A=B"), *both("q3", "k", "one", "A=B", "A=B"),
        *both("q3", "j", "two", "A=B", "A=B"), *both("q3", "k", "two", "A=B", "B>A"),
        *both("q4", "j", "one", None, "A>B"), *both("q4", "k", "one", "B>A", "A>B"),
        *both("q4", "j", "two", "B>A", "A>B"), *both("q4", "k", "two", "B>A", "A>B"),
    ]  # fmt: skip
    answers = answers_of(texts, MODELS)
    hostile = [a.model_copy(update={"turns": (HOSTILE,)}) if a.model == "one" and a.question_id == "q1" else a
               for a in answers]  # fmt: skip
    return write_run(folder / name, questions, hostile, games, judges=["j", "k"], models=["one", "two"])
