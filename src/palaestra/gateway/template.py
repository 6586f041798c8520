"""The text that a base model is sent: a Jinja template over the conversation, rendered in a sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from palaestra.errors import InputError


def fill(template: str, messages: Sequence[dict[str, str]]) -> str:
    """The prompt.

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
