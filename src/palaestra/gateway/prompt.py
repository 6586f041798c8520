"""What a model is sent: a conversation in the protocol's form; for a base model, a text that a template makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from palaestra.errors import InputError, ModelError
from palaestra.schema import ErrorRecord, Message, ModelSpec, TextPart, ToolCallPart, ToolResultPart


def conversation(spec: ModelSpec, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages with the model's system prompt before them. Each result of a tool becomes a message of its own.

    Raises:
        ModelError: a part is neither text nor a tool's call or result, or a base model with a template is to be sent
            tools; it is refused, never dropped.
    """
    known = (TextPart,) if spec.template is not None else (TextPart, ToolCallPart, ToolResultPart)
    for message in messages:
        for part in message.content:
            if not isinstance(part, known):
                words = f"a message holds a part of type {part.type!r}; only text can be sent so far"
                raise ModelError(ErrorRecord(kind="refused", detail=words))
    sent: list[dict[str, Any]] = [{"role": "system", "content": spec.system}] if spec.system else []
    for message in messages:
        sent += _sent(message)
    return sent


def _sent(message: Message) -> list[dict[str, Any]]:
    """A message in the protocol's form; one with results of tools is one for each."""
    results = [part for part in message.content if isinstance(part, ToolResultPart)]
    said = [{"role": "tool", "tool_call_id": part.call_id, "content": part.text} for part in results]
    calls = [
        {"id": part.call_id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in message.content
        if isinstance(part, ToolCallPart)
    ]
    if calls:
        return [*said, {"role": message.role, "content": message.text or None, "tool_calls": calls}]
    return [*said, {"role": message.role, "content": message.text}] if message.text or not said else said


def fill(template: str, messages: Sequence[dict[str, Any]]) -> str:
    """The text for a base model, rendered in a sandbox.

    Args:
        template: Jinja over `messages`.
        messages: `role` and `content` of each.

    Raises:
        InputError: the template is malformed, or fails on this conversation.
    """
    try:
        return _compiled(template).render(messages=messages)
    except Exception as error:
        raise InputError(f"found no Jinja template over `messages`: {type(error).__name__}: {error}") from error


@cache
def _compiled(template: str) -> Template:
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
