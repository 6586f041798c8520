"""Answers of models to the questions of a benchmark: one record, read from and written to the files of four tools.

    arena-hard-v2     MODEL.jsonl: uid, ans_id, model, messages (content: {answer}), tstamp, metadata
    arena-hard-v0.1   MODEL.jsonl: question_id, answer_id, model_id, choices[0].turns[{content, token_len}], tstamp
    mt-bench          the same, the turns as texts
    alpaca-eval       MODEL.json: instruction, output, generator, dataset; the id follows from the instruction

and, to be read only, the samples that lm-evaluation-harness logs (samples_TASK_DATE.jsonl), and plain tables with
question_id, model, text. What a tool has no field
for (usage, system prompt, style counts in the older ones) stands in fields of ours, which it passes over, so that
reading gives what was written. Of several choices the first one counts.

An answer without a word, or with FastChat's mark of a failed call, is kept and marked (`Answer.empty`).

Not here: what judges say of answers (`judgments.py`).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from palaestra.errors import InputError
from palaestra.judge.answer_kinds import WRITERS, present, reader_of
from palaestra.schema import Prompt, Usage
from palaestra.schema.record import Record
from palaestra.store.records import kind_of, read_rows, write_lines, write_list

AnswerKind = Literal["arena-hard-v2", "arena-hard-v0.1", "mt-bench", "alpaca-eval"]
FAILED = "$ERROR$"
"""What FastChat and Arena-Hard write where a call failed."""
_SHOWN = 3
_UNFIT = re.compile(r'[%/\\:*?"<>|\x00-\x1f]')


class Answer(Record):
    """What a model said to one question: one text for each turn of it."""

    record_name = "answer"

    question_id: str = Field(min_length=1)
    model: str = Field(min_length=1)
    turns: tuple[str, ...] = Field(min_length=1)
    """The model's texts."""
    asked: tuple[str, ...] = ()
    """The user's turns, where the file repeats them."""
    system: str | None = None
    """The system prompt, where the file repeats it."""
    answer_id: str | None = None
    token_len: int | None = Field(default=None, ge=0)
    """Tokens of all turns together, as the file counts them."""
    header_count: dict[str, int] = Field(default_factory=dict)
    """Headers by level, h1 to h6; empty where the file does not say."""
    list_count: dict[str, int] = Field(default_factory=dict)
    bold_count: dict[str, int] = Field(default_factory=dict)
    usage: Usage | None = None
    """What the call used, where we asked."""
    tstamp: float | None = Field(default=None, allow_inf_nan=False)
    """Seconds since 1970."""
    dataset: str | None = None
    """The part of the benchmark that the question is from (AlpacaEval)."""

    @property
    def empty(self) -> bool:
        """Whether some turn has no answer: no word, or the mark of a failed call."""
        return any(not turn.strip() or turn.strip() == FAILED for turn in self.turns)


def read_answers(path: str | Path, *, model: str | None = None) -> list[Answer]:
    """Read answers, in the order of the file; of a folder, file by file in the order of their names.

    Args:
        path: a file, a folder of MODEL.jsonl, or the output folder of lm-evaluation-harness.
        model: whose answers they are, where the file does not say; a file that says has the last word.

    Raises:
        InputError: unreadable, of no known kind, a row without an id, a model or a text, or two answers of one model
            to one question; file and row are named.
    """
    path = Path(path)
    files = _files(path) if path.is_dir() else [path]
    found: list[Answer] = []
    first: dict[tuple[str, str], str] = {}
    for file in files:
        for where, answer in _of_file(file, model):
            before = first.setdefault((answer.model, answer.question_id), where)
            if before != where:
                raise InputError(
                    f"{where}: found a second answer of {answer.model} to question {answer.question_id!r}, the first "
                    f"is {before}; expected one: remove one of them"
                )
            found.append(answer)
    return found


def write_answers(folder: str | Path, answers: Sequence[Answer], kind: AnswerKind = "arena-hard-v2") -> list[Path]:
    """Write one file a model into a folder, and give the paths; a file of that name is replaced.

    Args:
        folder: made if it is not there.
        answers: in any order, which each file keeps.
        kind: whose files.

    Raises:
        InputError: the kind is unknown, there are no answers, one of them cannot be said in that kind, or the folder
            cannot be written. Nothing is written then.
    """
    if kind not in WRITERS:
        raise InputError(f"found the kind {kind!r}, expected {', '.join(get_args(AnswerKind))}")
    if not answers:
        raise InputError("found no answers, expected at least one to write")
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for answer in answers:
        rows[answer.model].append(present(WRITERS[kind](answer)))
    suffix = ".json" if kind == "alpaca-eval" else ".jsonl"
    paths = {model: Path(folder) / f"{file_name(model)}{suffix}" for model in rows}
    for model, path in paths.items():
        (write_list if suffix == ".json" else write_lines)(path, rows[model])
    return list(paths.values())


def check_answers(answers: Iterable[Answer], prompts: Sequence[Prompt], *, complete: bool = True) -> None:
    """Whether each model has answered these prompts, all their turns, and no others.

    Args:
        answers: of one model or several.
        prompts: the questions.
        complete: whether each model must have answered all of them.

    Raises:
        InputError: it has not; model by model with the number of ids that are unknown or missing, and the first ones.
    """
    turns = {prompt.id: len(prompt.turns) for prompt in prompts}
    given: dict[str, dict[str, int]] = defaultdict(dict)
    for answer in answers:
        given[answer.model][answer.question_id] = len(answer.turns)
    said = [f"{model}: {wrong}" for model, one in given.items() if (wrong := _wrong(one, turns, complete=complete))]
    if said:
        raise InputError(
            f"the answers are not to these {len(turns)} questions: {'; '.join(said)}; give the answers to these "
            "questions, or the questions that they answer"
        )


def file_name(model: str) -> str:
    """A file's name for a model: what some file system refuses is escaped as in a URL, so are `.` and `..`."""
    if not model.strip("."):
        return model.replace(".", "%2E")
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", model)


def _wrong(given: Mapping[str, int], turns: Mapping[str, int], *, complete: bool) -> str:
    unknown = [name for name in given if name not in turns]
    missing = [name for name in turns if name not in given] if complete else []
    short = [name for name, number in given.items() if name in turns and number != turns[name]]
    parts = (("unknown", unknown), ("without an answer", missing), ("with another number of turns", short))
    return ", ".join(f"{len(names)} {what} ({_listed(names)})" for what, names in parts if names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _files(folder: Path) -> list[Path]:
    logged = sorted(folder.rglob("samples_*.jsonl"))
    files = logged or sorted(file for file in folder.iterdir() if kind_of(file) in {".jsonl", ".json", ".ndjson"})
    if not files:
        raise InputError(f"{folder}: found no answers, expected files MODEL.jsonl, or samples_TASK_DATE.jsonl")
    return files


def _of_file(file: Path, model: str | None) -> Iterable[tuple[str, Answer]]:
    rows = read_rows(file, "answers")
    name = model or _logged_model(file)
    filters = {row["filter"] for row in rows if "resps" in row and "filter" in row}
    kept = min(filters, default=None)  # each filter of lm-eval repeats the same answers
    for number, row in enumerate(rows, start=1):
        where = f"{file}: row {number}"
        if "resps" in row and row.get("filter") != kept:
            continue
        try:
            yield where, Answer.model_validate(present(reader_of(row)(row, name)))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise InputError(f"{where}, {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{where}: found {json.dumps(row, default=str)[:80]}..., expected a whole answer: "
                f"{type(error).__name__}: {error}"
            ) from error


def _logged_model(file: Path) -> str | None:
    """The model of a log of lm-evaluation-harness: it stands in the results beside it, else in the folder's name."""
    found = re.fullmatch(r"samples_.*_(\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl", file.name)
    if found is None:
        return None
    results = file.with_name(f"results_{found[1]}.json")
    if results.is_file():
        try:
            named = json.loads(results.read_text(encoding="utf-8")).get("model_name")
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(
                f"cannot read {results}: {error}; expected the results of lm-evaluation-harness"
            ) from error
        if isinstance(named, str) and named:
            return named
    return file.parent.resolve().name
