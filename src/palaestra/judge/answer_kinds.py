"""The rows of answer files, tool by tool: read into the fields of an `Answer`, and written from one.

Not here: files and folders, and what holds between answers (`answers.py`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palaestra.errors import InputError
from palaestra.store.prompts import text_id

if TYPE_CHECKING:
    from palaestra.judge.answers import Answer

_COUNTS = ("header_count", "list_count", "bold_count")
_IDS = ("question_id", "uid", "id", "instruction_id")


def reader_of(row: Mapping[str, Any]) -> Callable[[Mapping[str, Any], str | None], dict[str, Any]]:
    """What reads such a row, from the row and the model where the row names none.

    Raises:
        InputError: it is no answer of a known kind.
    """
    for marks, reader in READERS.items():
        if set(marks) <= row.keys():
            return reader
    raise InputError(
        f"found the fields {', '.join(row) or 'none'}, expected those of an answer: "
        + ", or ".join(" and ".join(marks) for marks in READERS)
    )


def _named(row: Mapping[str, Any], ids: Sequence[str] = _IDS) -> str:
    found = next((row[name] for name in ids if row.get(name) not in (None, "")), None)
    if found is None or isinstance(found, dict | list):
        raise InputError(f"found no id of a question, expected one of {', '.join(ids)}")
    return str(found)


def _from_messages(row: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    said: dict[str, list[str]] = defaultdict(list)
    for message in row["messages"]:
        said[message["role"]].append(_text(message["content"]))
    return {
        "question_id": _named(row),
        "model": row.get("model", model),
        "turns": tuple(said["assistant"]),
        "asked": tuple(said["user"]),
        "system": "\n\n".join(said["system"]) if said["system"] else None,
        "answer_id": row.get("ans_id"),
        **_known(row.get("metadata")),
        **_ours(row),
    }


def _from_choices(row: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    turns = row["choices"][0]["turns"]
    counted = [turn["token_len"] for turn in turns if isinstance(turn, Mapping) and "token_len" in turn]
    whole = {"token_len": sum(counted)} if len(counted) == len(turns) else {}
    return {
        "question_id": _named(row),
        "model": row.get("model_id", model),
        "turns": tuple(map(_text, turns)),
        "asked": tuple(row.get("asked") or ()),
        "system": row.get("system"),
        "answer_id": row.get("answer_id"),
        **_known(whole | (row.get("conv_metadata") or {})),
        **_ours(row),
    }


def _from_alpaca(row: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    own = {name: row.get(name) for name in ("system", "answer_id", "token_len")}
    asked = tuple(row.get("asked") or (row["instruction"],))
    return own | {
        "question_id": _named(row) if any(name in row for name in _IDS) else text_id((row["instruction"],)),
        "model": row.get("generator", model),
        "turns": tuple(row.get("turns") or (row["output"],)),
        "asked": asked,
        **_known(row),
        **_ours(row),
    }


def _from_samples(row: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    text = row["resps"][0]
    return {
        "question_id": _named(row["doc"]),
        "model": model,
        "turns": (text if isinstance(text, str) else text[0],),
        "asked": (row["doc"]["prompt"],) if "prompt" in row["doc"] else (),
        "dataset": row["doc"].get("category"),
    }


def _from_table(row: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    return {"question_id": _named(row), "model": row.get("model") or model, "turns": [_text(row["text"])]}


READERS: dict[tuple[str, ...], Callable[[Mapping[str, Any], str | None], dict[str, Any]]] = {
    ("messages",): _from_messages,
    ("choices",): _from_choices,
    ("instruction", "output"): _from_alpaca,
    ("doc", "resps"): _from_samples,
    ("model", "text"): _from_table,
}


def _text(content: Any) -> str:  # noqa: ANN401 - as the file has it
    """A text, or the answer or the content of an object."""
    if isinstance(content, Mapping):
        content = content["answer"] if "answer" in content else content["content"]
    if content is None:
        return ""
    if not isinstance(content, str):
        raise InputError(f"found {content!r:.80}, expected a text, or an object with an answer")
    return content


def _known(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Token and style counts, where there are any."""
    metadata = metadata or {}
    return {name: metadata[name] for name in ("token_len", *_COUNTS) if metadata.get(name) is not None}


def _ours(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("usage", "tstamp", "dataset")}


def present(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in row.items() if value is not None and value not in ((), {}, [])}


def _extra(answer: Answer) -> dict[str, Any]:
    """What no tool has a field for."""
    return {
        "usage": answer.usage.model_dump() if answer.usage else None,
        "tstamp": answer.tstamp,
        "dataset": answer.dataset,
    }


def _metadata(answer: Answer) -> dict[str, Any]:
    return present({name: getattr(answer, name) for name in ("token_len", *_COUNTS)})


def _as_messages(answer: Answer) -> dict[str, Any]:
    if len(answer.asked) != len(answer.turns):
        raise InputError(
            f"the answer of {answer.model} to {answer.question_id!r} has {len(answer.asked)} of the user's turns and "
            f"{len(answer.turns)} of the model's, expected as many in a file of messages: fill `asked`"
        )
    messages = [{"role": "system", "content": answer.system}] if answer.system is not None else []
    for asked, said in zip(answer.asked, answer.turns, strict=True):
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": {"answer": said}})  # ty: ignore[invalid-argument-type]
    return {
        "uid": answer.question_id,
        "ans_id": answer.answer_id,
        "model": answer.model,
        "messages": messages,
        "metadata": _metadata(answer),
        **_extra(answer),
    }


def _as_choices(answer: Answer, turns: Sequence[Any], question_id: str | int) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "answer_id": answer.answer_id,
        "model_id": answer.model,
        "choices": [{"index": 0, "turns": list(turns)}],
        "asked": answer.asked,
        "system": answer.system,
        "conv_metadata": _metadata(answer),
        **_extra(answer),
    }


def _as_arena_hard_1(answer: Answer) -> dict[str, Any]:
    single = {"token_len": answer.token_len} if len(answer.turns) == 1 and answer.token_len is not None else {}
    return _as_choices(answer, [{"content": turn, **single} for turn in answer.turns], answer.question_id)


def _as_mt_bench(answer: Answer) -> dict[str, Any]:
    """Its ids are numbers, where they can be."""
    name = answer.question_id
    return _as_choices(answer, answer.turns, int(name) if re.fullmatch("0|[1-9][0-9]{0,17}", name) else name)


def _as_alpaca(answer: Answer) -> dict[str, Any]:
    if not answer.asked:
        raise InputError(
            f"the answer of {answer.model} to {answer.question_id!r} has no instruction, which AlpacaEval's files "
            "repeat: fill `asked`"
        )
    several = {"asked": answer.asked, "turns": answer.turns} if len(answer.turns) + len(answer.asked) > 2 else {}  # noqa: PLR2004 - one question, one answer
    return {
        "instruction_id": answer.question_id,
        "instruction": "\n\n".join(answer.asked),
        "output": "\n\n".join(answer.turns),
        "generator": answer.model,
        "system": answer.system,
        "answer_id": answer.answer_id,
        **several,
        **_metadata(answer),
        **_extra(answer),
    }


WRITERS: dict[str, Callable[[Answer], dict[str, Any]]] = {
    "arena-hard-v2": _as_messages,
    "arena-hard-v0.1": _as_arena_hard_1,
    "mt-bench": _as_mt_bench,
    "alpaca-eval": _as_alpaca,
}
