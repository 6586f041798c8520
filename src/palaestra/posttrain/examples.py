"""What post-training reads and writes: an example is a prompt, perhaps with what should follow it, of one domain.

    ours           JSON lines, Parquet, or a folder with examples.parquet: id, prompt, completion, domain, reference
    messages       the columns of chat data sets: all from the first assistant's message on is the completion
    prompt, completion   texts or lists of messages, as TRL names them
    instruction, output  with an `input`, as Alpaca's files name them
    a set of prompts     folder of `bench build`: category is the domain, reference the right answer

An example without a completion is a prompt to answer: reinforcement and distillation read nothing else of it. A
malformed row is named, and an error unless as many may be left out. Not here: tokens (`tokens.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from palaestra.errors import InputError
from palaestra.schema import Message
from palaestra.store.prompts import SET_FILE, read_prompt_set
from palaestra.store.records import read_rows, write_lines
from palaestra.whole_file import whole_file

EXAMPLES_FILE, CARD_FILE = "examples.parquet", "README.md"
NO_DOMAIN = "all"
_HELD_AT_MOST = 256
"""Prompts of a domain."""
_DOMAINS = ("domain", "category", "subset", "task")
_IDS = ("id", "uid", "question_id", "prompt_id")
_REFERENCES = ("reference", "answer", "ground_truth")
_COMPLETIONS = ("completion", "response", "output", "reply")


class Example(BaseModel):
    """A prompt, and what should follow it where that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    prompt: tuple[Message, ...] = Field(min_length=1)
    """Ends with the user's turn, or a tool's."""
    completion: tuple[Message, ...] = ()
    """The assistant's turns, and tools' answers between them; ends with the assistant's. Empty: only a prompt."""
    domain: str = Field(default=NO_DOMAIN, min_length=1)
    reference: str | None = None
    """The right answer, for a verifier."""
    weight: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    labels: dict[str, str] = Field(default_factory=dict)
    """What else is known: the teacher, the seed, the tools of a task."""

    @property
    def asked(self) -> str:
        """What the user has said, turn by turn."""
        return "\n\n".join(message.text for message in self.prompt if message.role == "user")

    @property
    def reply(self) -> str:
        """The text of the last assistant's turn; empty where there is no completion."""
        return self.completion[-1].text if self.completion else ""

    @classmethod
    def of(cls, prompt: str, completion: str | None = None, **fields: Any) -> Self:  # noqa: ANN401 - of this record
        """An example of one user's turn and one reply; its id is made of both unless given."""
        said = {"prompt": prompt} | ({} if completion is None else {"completion": completion})
        return cls.model_validate(_fields(said) | fields)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.prompt[-1].role not in {"user", "tool"}:
            raise ValueError(f"found a prompt that ends with the {self.prompt[-1].role}, expected the user's turn")
        if self.completion and self.completion[-1].role != "assistant":
            raise ValueError(f"found a completion that ends with the {self.completion[-1].role}, not the assistant")
        if wrong := {message.role for message in self.completion} - {"assistant", "tool"}:
            raise ValueError(f"found the {', '.join(sorted(wrong))} in a completion, expected the assistant and tools")
        return self


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """Examples in the order of their source, and a line on each row that was left out."""

    examples: tuple[Example, ...]
    skipped: tuple[str, ...] = ()

    @property
    def domains(self) -> dict[str, int]:
        """How many examples each domain has, by name."""
        found: dict[str, int] = {}
        for example in self.examples:
            found[example.domain] = found.get(example.domain, 0) + 1
        return dict(sorted(found.items()))


def read_examples(source: str | Path, *, skip_bad: int = 0, completed: bool = False) -> ExampleFile:
    """Read examples.

    Args:
        source: a file, or a folder that was written here or by `bench build`.
        skip_bad: how many malformed rows may be left out.
        completed: whether each must have a completion.

    Raises:
        InputError: it cannot be read, has columns of no format, or more malformed rows than allowed; the row is named.
    """
    path = Path(source)
    if path.is_dir() and (path / SET_FILE).is_file():
        rows: Sequence[Mapping[str, Any]] = [
            {
                "id": prompt.id,
                "prompt": [
                    *([{"role": "system", "content": prompt.system}] if prompt.system else []),
                    {"role": "user", "content": prompt.text},
                ],
                "domain": prompt.category,
                "reference": prompt.reference[-1] if prompt.reference else None,
            }
            for prompt in read_prompt_set(path)[1]
        ]
    else:
        rows = read_rows(path / EXAMPLES_FILE if path.is_dir() else path, "examples")
    return _checked(str(path), rows, skip_bad, completed=completed)


def write_examples(path: str | Path, examples: Sequence[Example], card: str = "") -> None:
    """Write examples: JSON lines or Parquet by the suffix, else a folder with a card; whole or not there.

    Args:
        path: of the file or folder; a folder must not be there yet.
        examples: at least one.
        card: Markdown of the folder's README.md, after the head that the Hub reads.

    Raises:
        InputError: there is nothing to write, or the path cannot be written.
    """
    path = Path(path)
    if not examples:
        raise InputError(f"found no example to write to {path}, expected at least one")
    if path.suffix == ".jsonl":
        write_lines(path, (_row(example) for example in examples))
    elif path.suffix == ".parquet":
        with whole_file(path, "examples to ") as part:
            _frame(examples).write_parquet(part)
    else:
        _write_folder(path, examples, card)


def parted(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and held-out ones: of each domain some prompts, chosen by a hash, with all they have.

    Args:
        examples: of any domains.
        share: of each domain's prompts that is held out; one at least where there are two, and never more than 256.
        seed: of the choice.
    """
    asked: dict[str, dict[str, str]] = {}
    for example in examples:
        digest = hashlib.sha256(f"{seed} {example.asked}".encode()).hexdigest()
        asked.setdefault(example.domain, {})[example.asked] = digest
    out: set[tuple[str, str]] = set()
    for domain, prompts in asked.items():
        count = min(round(share * len(prompts)), _HELD_AT_MOST)
        if share and not count and len(prompts) > 1:
            count = 1
        out |= {(domain, prompt) for prompt in sorted(prompts, key=prompts.__getitem__)[:count]}
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[(example.domain, example.asked) in out].append(example)
    return parts


def _write_folder(path: Path, examples: Sequence[Example], card: str) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"found {path} there already, expected a new folder for the examples")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    head = (
        "---\nconfigs:\n- config_name: default\n  data_files: examples.parquet\n"
        f"size_categories:\n- {_size(len(examples))}\n---\n\n"
    )
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _frame(examples).write_parquet(part / EXAMPLES_FILE)
        (part / CARD_FILE).write_text(head + (card or f"# {path.name}\n"), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write the examples to {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _size(count: int) -> str:
    """The Hub's own words for a size."""
    for limit, words in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M")):
        if count < limit:
            return words
    return "n>1M"


def _row(example: Example) -> dict[str, Any]:
    row = example.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return row | {
        name: [message.model_dump(mode="json", exclude_none=True) for message in getattr(example, name)]
        for name in ("prompt", "completion")
        if getattr(example, name)
    }


def _frame(examples: Sequence[Example]) -> pl.DataFrame:
    """Columns of texts; messages and labels as JSON, which every reader of Parquet can read."""
    return pl.DataFrame(
        {
            "id": [example.id for example in examples],
            "prompt": [_json(_row(example)["prompt"]) for example in examples],
            "completion": [_json(_row(example).get("completion")) for example in examples],
            "domain": [example.domain for example in examples],
            "reference": [example.reference for example in examples],
            "weight": [example.weight for example in examples],
            "labels": [_json(example.labels or None) for example in examples],
        },
        schema_overrides=dict.fromkeys(("completion", "reference", "labels"), pl.String),
    )


def _json(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _checked(source: str, rows: Iterable[Mapping[str, Any]], skip_bad: int, *, completed: bool) -> ExampleFile:
    kept: dict[str, Example] = {}
    skipped: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            example = Example.model_validate(_fields(row))
            if completed and not example.completion:
                raise ValueError("found no completion, expected what should follow the prompt")  # noqa: TRY301
            if example.id in kept and _first(row, *_IDS) is None:
                example = example.model_copy(update={"id": f"{example.id}-{number}"})  # the same text once more
            if example.id in kept:
                raise ValueError(f"found the id {example.id!r}, which an earlier row has, expected one of its own")  # noqa: TRY301
        except (ValueError, TypeError, KeyError) as error:
            skipped.append(f"{source}: row {number}: {_said(error)}")
            if len(skipped) > skip_bad:
                raise InputError(skipped[-1]) from error
            continue
        kept[example.id] = example
    if not kept:
        raise InputError(f"{source}: found no example, expected at least one")
    return ExampleFile(tuple(kept.values()), tuple(skipped))


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of any format as the fields of an example."""
    prompt, completion = _told(row)
    found: dict[str, Any] = {
        "prompt": prompt,
        "completion": completion,
        "domain": _first(row, *_DOMAINS) or NO_DOMAIN,
        "reference": _first(row, *_REFERENCES),
        "weight": 1.0 if row.get("weight") is None else float(row["weight"]),
        "labels": _labels(row.get("labels")),
    }
    said = json.dumps([prompt, completion, found["domain"]], ensure_ascii=False, sort_keys=True)
    return found | {"id": _first(row, *_IDS) or hashlib.sha256(said.encode()).hexdigest()[:16]}


def _told(row: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The messages of the prompt and of the completion."""
    if row.get("messages") is not None:
        messages = _messages(row["messages"], "user")
        replies = [number for number, message in enumerate(messages) if message.get("role") == "assistant"]
        cut = replies[0] if replies else len(messages)
        return messages[:cut], messages[cut:]
    completion = next((row[name] for name in _COMPLETIONS if row.get(name) is not None), None)
    said = [] if completion is None else _messages(completion, "assistant")
    if row.get("prompt") is not None:
        return _messages(row["prompt"], "user"), said
    for name in ("instruction", "question"):
        if row.get(name) is not None:
            more = f"\n\n{row['input']}" if row.get("input") else ""
            return _messages(f"{row[name]}{more}", "user"), said
    raise ValueError(f"found the columns {', '.join(row)}, expected prompt, messages or instruction")


def _messages(value: Any, role: str) -> list[Any]:  # noqa: ANN401 - any input is validated
    """A text as one message; JSON of messages, as it is written here, as what it holds."""
    if isinstance(value, str) and value.startswith('[{"role"'):
        value = json.loads(value)
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"found an empty text where the {role} should speak")
        return [{"role": role, "content": value}]
    return [message.model_dump(mode="json") if isinstance(message, Message) else message for message in value]


def _labels(value: Any) -> dict[str, str]:  # noqa: ANN401 - any input is validated
    found = json.loads(value) if isinstance(value, str) else value
    return {str(name): str(said) for name, said in (found or {}).items() if said is not None}


def _first(row: Mapping[str, Any], *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name) is not None), None)


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        wrong = error.errors()[0]
        return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg'].removeprefix('Value error, ')}".removeprefix(": ")
    return f"found no {error.args[0]}, expected one" if isinstance(error, KeyError) else str(error)
