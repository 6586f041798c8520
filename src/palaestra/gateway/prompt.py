"""What a model is sent: a conversation in the protocol's form; for a base model, a text that a template makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from palaestra.errors import InputError, ModelError
from palaestra.schema import ErrorRecord, Message, ModelSpec, TextPart


def conversation(spec: ModelSpec, messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages with the model's system prompt before them.

    Raises:
        ModelError: a part is no text; it is refused, never dropped.
    """
    for message in messages:
        for part in message.content:
            if not isinstance(part, TextPart):
                words = f"a message holds a part of type {part.type!r}; only text can be sent so far"
                raise ModelError(ErrorRecord(kind="refused", detail=words))
    system = [{"role": "system", "content": spec.system}] if spec.system else []
    return system + [{"role": message.role, "content": message.text} for message in messages]


def fill(template: str, messages: Sequence[dict[str, str]]) -> str:
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
