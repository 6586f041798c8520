r"""Rows of other tools' preferences, recognised by their columns and turned into the fields of ours.

    preference    as `preferences.py` writes it
    votes         model_a, model_b, winner, conversation_a, conversation_b. Conversations that part before the last
                  reply (each model saw its own earlier answers) are one prompt, and two replies that hold the rest
    ppe-human     winner, prompt, response_1, response_2
    ranked        prompt, answers = [{answer, rank, model}]: Nectar
    rewardbench-2 prompt, chosen and rejected as lists, num_correct: all chosen are level, and above all rejected
    rm-bench      prompt, chosen and rejected as lists of the three styles: nine pairs an item
    pairs         chosen, rejected, prompt (also instruction, question); as texts or as messages. Without a prompt the
                  two are conversations alike but for the last reply, as messages or "\n\nHuman: ...\n\nAssistant: ..."
    judgebench    question, response_A, response_B, label = A>B | B>A
    llmbar        input, output_1, output_2, label = 1 | 2
    auto-j        prompt, response 1, response 2, label = 0 | 1 | 2 for level

Not here: files, and rows that are malformed (`preferences.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from palaestra.errors import InputError
from palaestra.schema import Message, Winner

Row = dict[str, Any]
Translate = Callable[[Row], Iterator[Row]]

LABELS = ("hard_prompt", "easy_prompt", "if_prompt", "math_prompt", "is_code", "sim")
"""Columns of PPE that are kept as labels."""
IDS = ("id", "pair_id", "question_id", "uid")
_PROMPTS = ("prompt", "instruction", "question", "input")
_STYLES = ("concise", "detailed", "markdown")
_TURN = re.compile(r"\n\n(Human|Assistant):")
_RANKS = {
    "model_a": (1, 2), "model_b": (2, 1), "tie": (1, 1), "both_bad": (1, 1), "tie (bothbad)": (1, 1), "both bad": (1, 1)
}  # fmt: skip


def recognised(path: str, row: Row) -> str:
    """The format of a file with rows like this one.

    Raises:
        InputError: there is none with these columns.
    """
    name = next((name for name, marks in _MARKS.items() if all(_has(row, mark) for mark in marks)), None)
    if name is None:
        raise InputError(
            f"{path}: found the columns {', '.join(row)}, expected those of preferences: chosen and rejected with "
            "prompt, or votes with conversation_a and conversation_b, or another format of docs/rewards.md"
        )
    if name in {"rm-bench", "rewardbench-2"} and not isinstance(row["chosen"], list):
        return "pairs"
    if name == "rm-bench" and _talk_or_none(row["chosen"]) is not None:
        return "pairs"
    return name


def _has(row: Row, mark: str) -> bool:
    return any(name in row for name in _PROMPTS) if mark == "PROMPT" else mark in row


def _prompt(row: Row) -> tuple[Message, ...]:
    """The conversation before the reply.

    Raises:
        ValueError: there is none.
    """
    name = next((name for name in _PROMPTS if row.get(name)), None)
    if name is None:
        raise ValueError(f"found no prompt, expected what was asked in a column {', '.join(_PROMPTS)}")
    return _talk_or_none(row[name]) or (Message.of("user", str(row[name])),)


def _talk_or_none(value: Any) -> tuple[Message, ...] | None:  # noqa: ANN401 - whatever a file holds
    """Messages, where these are some: a list, JSON of one, or a transcript of Human and Assistant."""
    if isinstance(value, str) and value.startswith("\n\nHuman:"):
        return _transcript(value)
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if all(isinstance(one, Message) for one in value):
        return tuple(value)
    if not all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in value):
        return None
    return tuple(_message(one) for one in value)


def _message(one: Row) -> Message:
    """A message without what other readers keep in it, and without the fields that only other parts have."""
    content = one["content"]
    if isinstance(content, list):
        content = [{name: value for name, value in part.items() if value is not None} for part in content]
    return Message.model_validate({"role": one["role"], "content": content, "num_tokens": one.get("num_tokens")})


def _transcript(text: str) -> tuple[Message, ...]:
    marks = [*_TURN.finditer(text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(
        Message.of("user" if mark.group(1) == "Human" else "assistant", text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    )


def _parted(first: tuple[Message, ...], second: tuple[Message, ...]) -> tuple[tuple[Message, ...], str, str]:
    """What two conversations have in common, up to a user's turn, and what each goes on with."""
    common = 0
    while common < min(len(first), len(second)) and _same(first[common], second[common]):
        common += 1
    while common and first[common - 1].role not in {"user", "tool"}:
        common -= 1
    if not common:
        raise ValueError(
            "found no prompt: the two conversations have no first turn in common, expected the same question"
        )
    rest = [_rest(talk[common:]) for talk in (first, second)]
    return first[:common], rest[0], rest[1]


def _same(first: Message, second: Message) -> bool:
    return first.role == second.role and first.content == second.content


def _rest(talk: tuple[Message, ...]) -> str:
    """The text of a reply; of several turns, each under the name of who speaks."""
    if not talk or talk[-1].role != "assistant":
        raise ValueError("found a conversation that does not end with a reply, expected the assistant's")
    if len(talk) == 1:
        return talk[0].text
    names = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
    said = [talk[0].text, *(f"{names[message.role]}: {message.text}" for message in talk[1:])]
    return "\n\n".join(said)


def _votes(row: Row) -> Iterator[Row]:
    first, second = (_talk_or_none(row.get(f"conversation_{side}")) for side in "ab")
    if not first or not second:
        raise ValueError("found a vote without its prompt, expected messages in conversation_a and conversation_b")
    prompt, one, other = _parted(first, second)
    yield {"prompt": prompt, "replies": (one, other), **_outcome(row["winner"]), "models": _models(row)}


def _outcome(winner: Any) -> Row:  # noqa: ANN401 - whatever a file holds
    if winner not in _RANKS:
        known = ", ".join(outcome.value for outcome in Winner)
        raise ValueError(f"column winner: found {winner!r}, expected {known}")
    return {"ranks": _RANKS[winner], "both_bad": winner not in {"model_a", "model_b", "tie"}}


def _models(row: Row, first: str = "model_a", second: str = "model_b") -> tuple[str | None, ...]:
    found = (row.get(first), row.get(second))
    return () if found == (None, None) else tuple(None if name is None else str(name) for name in found)


def _ppe(row: Row) -> Iterator[Row]:
    models = _models(row) or _models(row, "model_1", "model_2") or _models(row, "model_name_1", "model_name_2")
    replies = (row["response_1"], row["response_2"])
    yield {"prompt": _prompt(row), "replies": replies, **_outcome(row["winner"]), "models": models}


def _ranked(row: Row) -> Iterator[Row]:
    answers = [(float(one["rank"]), one["answer"], one.get("model")) for one in row["answers"]]
    if not all(math.isfinite(rank) for rank, _, _ in answers):
        raise ValueError("found an answer whose rank is no number, expected the place of each, 1 for the best")
    places = {rank: place for place, rank in enumerate(sorted({rank for rank, _, _ in answers}), start=1)}
    models = tuple(model for _, _, model in answers)
    yield {
        "prompt": _prompt(row),
        "replies": tuple(answer for _, answer, _ in answers),
        "ranks": tuple(places[rank] for rank, _, _ in answers),
        "models": models if any(models) else (),
    }


def _best_of(row: Row) -> Iterator[Row]:
    chosen, rejected = row["chosen"], row["rejected"]
    yield {
        "prompt": _prompt(row),
        "replies": (*chosen, *rejected),
        "ranks": (*[1] * len(chosen), *[2] * len(rejected)),
    }


def _rm_bench(row: Row) -> Iterator[Row]:
    if len(row["chosen"]) != len(_STYLES) or len(row["rejected"]) != len(_STYLES):
        raise ValueError(
            f"found {len(row['chosen'])} chosen and {len(row['rejected'])} rejected, expected three styles"
        )
    item = hashlib.sha256(json.dumps([row["prompt"], row["chosen"]]).encode()).hexdigest()[:12]
    for (better, chosen), (worse, rejected) in product(
        zip(_STYLES, row["chosen"], strict=True), zip(_STYLES, row["rejected"], strict=True)
    ):
        yield {
            "prompt": _prompt(row),
            "replies": (chosen, rejected),
            "ranks": (1, 2),
            "suffix": f"-{item}-{better}-{worse}",
            "labels": {"item": item, "chosen_style": better, "rejected_style": worse},
        }


def _pairs(row: Row) -> Iterator[Row]:
    talks = [_talk_or_none(row[side]) for side in ("chosen", "rejected")]
    models = _models(row, "chosen_model", "rejected_model")
    margin = None if row.get("margin") is None else float(row["margin"])
    rest: Row = {"ranks": (1, 2), "models": models, "margin": margin}
    asked = any(row.get(name) for name in _PROMPTS)
    if talks[0] and talks[1] and not asked:
        prompt, chosen, rejected = _parted(talks[0], talks[1])
        yield {"prompt": prompt, "replies": (chosen, rejected), **rest}
        return
    prompt = _prompt(row)
    replies = tuple(
        _after(prompt, talk) if talk else row[side] for talk, side in zip(talks, ("chosen", "rejected"), strict=True)
    )
    yield {"prompt": prompt, "replies": replies, **rest}


def _after(prompt: tuple[Message, ...], talk: tuple[Message, ...]) -> str:
    """The reply of a conversation that may or may not begin with the prompt."""
    begins = len(talk) > len(prompt) and all(_same(one, other) for one, other in zip(prompt, talk, strict=False))
    return _rest(talk[len(prompt) :] if begins else talk)


def _by_label(first: str, second: str, ranks: dict[str, tuple[int, int]]) -> Translate:
    def translate(row: Row) -> Iterator[Row]:
        label = str(row["label"])
        if label not in ranks:
            raise ValueError(f"column label: found {row['label']!r}, expected {', '.join(ranks)}")
        yield {"prompt": _prompt(row), "replies": (row[first], row[second]), "ranks": ranks[label]}

    return translate


_MARKS: dict[str, tuple[str, ...]] = {
    "preference": ("replies", "ranks", "prompt"),
    "votes": ("winner", "model_a", "model_b", "conversation_a", "conversation_b"),
    "ppe-human": ("winner", "response_1", "response_2", "prompt"),
    "ranked": ("answers", "prompt"),
    "rewardbench-2": ("chosen", "rejected", "prompt", "num_correct"),
    "rm-bench": ("chosen", "rejected", "prompt", "subset"),
    "pairs": ("chosen", "rejected"),
    "judgebench": ("response_A", "response_B", "label", "PROMPT"),
    "llmbar": ("output_1", "output_2", "label", "PROMPT"),
    "auto-j": ("response 1", "response 2", "label", "PROMPT"),
}
FORMATS: dict[str, Translate] = {
    "preference": lambda row: iter([{name: value for name, value in row.items() if name not in {"schema", *IDS}}]),
    "votes": _votes,
    "ppe-human": _ppe,
    "ranked": _ranked,
    "rewardbench-2": _best_of,
    "rm-bench": _rm_bench,
    "pairs": _pairs,
    "judgebench": _by_label("response_A", "response_B", {"A>B": (1, 2), "B>A": (2, 1)}),
    "llmbar": _by_label("output_1", "output_2", {"1": (1, 2), "2": (2, 1)}),
    "auto-j": _by_label("response 1", "response 2", {"0": (1, 2), "1": (2, 1), "2": (1, 1)}),
}
