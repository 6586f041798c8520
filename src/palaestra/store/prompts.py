"""Prompts from files, folders and an arena's database; and sets of prompts to folders.

    a set                 folder with promptset.json and prompts.parquet, as written here
    arena-hard v0.1, v2   uid or question_id; prompt, or turns as objects with content; category, subcategory, cluster
    mt-bench              question_id, category, turns as texts, reference
    alpaca-eval           instruction, dataset
    LMArena releases      conversation_a or conversation: the user's turns of it
    any table             a column prompt, instruction, question or text; id where there is one
    a folder of texts     .txt and .md, one prompt each, named by its path
    an arena's database   sqlite:///FILE, postgresql://...: the user's turns of every battle

A prompt without an id gets one from its text, so that it keeps it wherever it stands; in a file of questions, where
answers refer to ids (`identified`), a missing id is an error. A repeated id is an error too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.schema import Prompt, PromptSet, from_table, to_table
from palaestra.store.records import read_rows
from palaestra.store.sources import is_database

SET_FILE, PROMPTS_FILE, CARD_FILE = "promptset.json", "prompts.parquet", "card.md"
_IDS = ("id", "uid", "question_id", "instruction_id")
_TEXTS = ("turns", "prompt", "instruction", "question", "text", "content")
_CONVERSATIONS = ("conversation", "conversation_a", "messages", "full_conversation")
_TEXT_SUFFIXES = (".txt", ".md")


def read_prompts(source: str | Path, *, identified: bool = False) -> list[Prompt]:
    """Read prompts, in the order of the source.

    Args:
        source: a file, a folder, or the URL of an arena's database.
        identified: whether every prompt must bring its id.

    Raises:
        InputError: unreadable, or a row without id or text, or with an id that another has; the row is named.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        from palaestra.store.ballots import asked_prompts

        return _distinct(
            str(source),
            (
                (f"battle {battle}", _prompt({"turns": turns}, identified=False, source="arena"))
                for battle, turns in asked_prompts(str(source))
            ),
            repeated=True,
        )
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    rows = read_rows(path, "prompts")
    return _distinct(str(path), _checked(path, rows, identified=identified), repeated=not identified)


def read_prompt_set(path: str | Path) -> tuple[PromptSet, list[Prompt]]:
    """A set and its prompts, from a folder that `write_prompt_set` wrote.

    Raises:
        InputError: no such folder, or its prompts are not those that its record was made of.
    """
    path = Path(path)
    try:
        record = PromptSet.from_dict(json.loads((path / SET_FILE).read_text(encoding="utf-8")))
        prompts = from_table(Prompt, pq.read_table(path / PROMPTS_FILE))
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0]
        raise InputError(
            f"cannot read the set of prompts {path}: {said}; expected a folder with {SET_FILE} and {PROMPTS_FILE}"
        ) from error
    if prompts_sha256(prompts) != record.sha256:
        raise InputError(
            f"{path}: the prompts in {PROMPTS_FILE} are not those of {SET_FILE} (another SHA-256): build the set anew"
        )
    return record, prompts


def write_prompt_set(
    path: str | Path,
    record: PromptSet,
    prompts: Sequence[Prompt],
    card: str,
    others: Mapping[str, bytes] | None = None,
) -> None:
    """Write a set: its folder is there whole or not at all.

    Args:
        path: the folder.
        record: what the set is.
        prompts: its prompts, in their order.
        card: its card, in Markdown.
        others: further files of the folder, by name.

    Raises:
        InputError: the folder exists, or cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"found {path}, which exists; give the set another folder, or remove that one")
    part = path.with_name(f".{path.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir(parents=True)
        pq.write_table(to_table(Prompt, prompts), part / PROMPTS_FILE)
        (part / CARD_FILE).write_text(card, encoding="utf-8")
        for name, content in (others or {}).items():
            (part / name).write_bytes(content)
        (part / SET_FILE).write_text(
            json.dumps(record.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        part.rename(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give a path that can be written") from error


def prompts_sha256(prompts: Iterable[Prompt]) -> str:
    """SHA-256 over ids, turns and system prompts, in their order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(json.dumps([prompt.id, prompt.system, prompt.turns], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def text_id(turns: Sequence[str]) -> str:
    """An id that follows from the text: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(turns), ensure_ascii=False).encode()).hexdigest()[:16]


def _folder(path: Path) -> list[Prompt]:
    if (path / SET_FILE).is_file():
        return read_prompt_set(path)[1]
    files = sorted(file for file in path.rglob("*") if file.suffix in _TEXT_SUFFIXES and file.is_file())
    if not files:
        raise InputError(
            f"{path}: found no prompts, expected {SET_FILE}, or files that end in {' or '.join(_TEXT_SUFFIXES)}"
        )
    found: list[tuple[str, Prompt]] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {file}: {error}; expected a text in UTF-8") from error
        if not text:
            raise InputError(f"{file}: found no text, expected a prompt")
        name = file.relative_to(path)
        found.append((str(name), Prompt(id=str(name.with_suffix("")), turns=(text,), source=path.name)))
    return _distinct(str(path), found, repeated=False)


def _checked(path: Path, rows: list[dict[str, Any]], *, identified: bool) -> Iterator[tuple[str, Prompt]]:
    for number, row in enumerate(rows, start=1):
        where = f"row {number}"
        try:
            yield where, _prompt(row, identified=identified, source=path.name)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            said = fault["msg"].removeprefix("Value error, ")
            raise InputError(f"{path}: {where}, {'.'.join(map(str, fault['loc'])) or 'prompt'}: {said}") from error
        except InputError as error:
            raise InputError(f"{path}: {where}: {error}") from error


def _prompt(row: Mapping[str, Any], *, identified: bool, source: str) -> Prompt:
    turns = _turns(row)
    named = next((row[name] for name in _IDS if row.get(name) is not None and row[name] != ""), None)
    if isinstance(named, list | dict):
        raise InputError(f"found the id {named!r:.80}, expected a text or a number")
    if named is None and identified:
        raise InputError(
            f"found no id, expected one of the columns {', '.join(_IDS)}: answers and verdicts refer to it"
        )
    known = {name: row[name] for name in ("category", "subcategory", "language", "system") if row.get(name) is not None}
    return Prompt(
        id=text_id(turns) if named is None else str(named),
        turns=turns,
        topic=row.get("topic") or row.get("cluster"),
        criteria=_criteria(row.get("criteria")),
        score=row.get("score"),
        reference=_texts(row.get("reference")),
        source=str(row.get("source") or row.get("dataset") or source),
        **known,
    )


def _criteria(value: Any) -> dict[str, bool]:  # noqa: ANN401 - as the file has it
    if isinstance(value, list) and all(isinstance(item, dict) and {"key", "value"} <= item.keys() for item in value):
        value = {item["key"]: item["value"] for item in value}  # a map of Arrow
    if value is not None and not isinstance(value, dict):
        raise InputError(f"column criteria: found {value!r:.80}, expected an object of true and false by criterion")
    return {name: bool(met) for name, met in (value or {}).items() if met is not None}


def _turns(row: Mapping[str, Any]) -> tuple[str, ...]:
    for name in _TEXTS:
        if row.get(name) is not None:
            turns = _texts(row[name])
            if any(turn.strip() for turn in turns):
                return turns
            raise InputError(f"column {name}: found no text, expected a prompt")
    for name in _CONVERSATIONS:
        if row.get(name) is not None:
            return _of_user(name, row[name])
    raise InputError(
        f"found the columns {', '.join(row) or 'none'}, expected one of {', '.join((*_TEXTS, *_CONVERSATIONS))}"
    )


def _texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as the file has it
    """Texts from a text, a list of texts, or a list of objects with content."""
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise InputError(f"found {value!r:.80}, expected a text or a list of texts")
    texts = [item.get("content") if isinstance(item, Mapping) else item for item in items]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"found {value!r:.80}, expected texts, or objects with a content")
    return tuple(texts)


def _of_user(name: str, messages: Any) -> tuple[str, ...]:  # noqa: ANN401 - as the file has it
    """What the user said in a conversation."""
    from palaestra.schema import Message

    if not isinstance(messages, list | tuple) or not all(
        isinstance(item, Mapping) and {"role", "content"} <= item.keys() for item in messages
    ):
        raise InputError(f"column {name}: found {messages!r:.80}, expected a list of messages with role and content")
    said = [
        Message.model_validate({"role": item["role"], "content": item["content"]})
        for item in messages
        if item["role"] == "user"
    ]
    if not any(message.text.strip() for message in said):
        raise InputError(f"column {name}: found no text of a user")
    return tuple(message.text for message in said)


def _distinct(source: str, found: Iterable[tuple[str, Prompt]], *, repeated: bool) -> list[Prompt]:
    """The prompts, each id once: the same prompt again is left out where `repeated`, another one with its id never."""
    seen: dict[str, tuple[str, Prompt]] = {}
    for where, prompt in found:
        before, other = seen.setdefault(prompt.id, (where, prompt))
        if other is not prompt and not (repeated and other.turns == prompt.turns):
            raise InputError(
                f"{source}: {where}: found the id {prompt.id!r}, which {before} has already; expected each id once"
            )
    return [prompt for _, prompt in seen.values()]
