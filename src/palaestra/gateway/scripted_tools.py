"""A scripted model that calls tools by rule, and no better than a rule can: one call, then what the tool said.

The tool is the one whose name and description share most words with the request, none where none is shared. Texts of
its arguments are taken from the request where it quotes them, else from its names and words with digits, in their
order; numbers likewise; a choice is the first that the request names. Its faults are those of hasty models: it never
looks a thing up first, and takes a result for the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from palaestra.gateway.offers import OfferedTool
from palaestra.schema import Message, ToolCallPart, ToolResultPart

NAME = "tools"
_WORD = re.compile(r"[a-z]{3,}")
_COMMON = frozenset("the and for with that this from into what which have has you are its all one".split())  # noqa: SIM905 - reads better


def called(messages: Sequence[Message], tools: Sequence[OfferedTool]) -> tuple[ToolCallPart, ...]:
    """One call, or none where a tool has answered already or none fits."""
    if any(message.role == "tool" for message in messages):
        return ()
    asked = _asked(messages)
    words = _words(asked)
    fits = [len(words & _words(f"{tool.name} {tool.description}")) for tool in tools]
    if not fits or not max(fits):
        return ()
    tool = tools[fits.index(max(fits))]
    return (ToolCallPart(call_id="call-0", name=tool.name, arguments=json.dumps(_arguments(tool.parameters, asked))),)


def told(messages: Sequence[Message]) -> str:
    """What the last tool said, of a single field its value; where none was called, that it cannot be done."""
    said = [part.text for message in messages for part in message.content if isinstance(part, ToolResultPart)]
    if not said:
        return "I cannot do this with the tools that I have.\nAnswer: cannot"
    with suppress(ValueError):
        value = json.loads(said[-1])
        if isinstance(value, dict) and len(value) == 1 and "error" not in value:
            return f"Answer: {next(iter(value.values()))}"
    return f"Answer: {said[-1]}"


def _asked(messages: Sequence[Message]) -> str:
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in _WORD.findall(text.lower().replace("_", " "))} - _COMMON


def _arguments(schema: dict[str, Any], asked: str) -> dict[str, Any]:
    names = schema.get("properties") or {}
    texts = iter(re.findall(r'"([^"]+)"', asked) + re.findall(r"\b(?:[A-Z][a-z]+|[\w-]*\d[\w-]*)\b", asked)[1:])
    numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", asked))
    return {name: _argument(kind, asked, texts, numbers) for name, kind in names.items()}


def _argument(kind: dict[str, Any], asked: str, texts: Iterator[str], numbers: Iterator[str]) -> Any:  # noqa: ANN401 - JSON
    if choices := kind.get("enum"):
        return next((choice for choice in choices if str(choice).lower() in asked.lower()), choices[0])
    if kind.get("type") in {"integer", "number"}:
        number = float(next(numbers, "1"))
        return int(number) if kind["type"] == "integer" else number
    return next(texts, "unknown")
