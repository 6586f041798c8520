"""What an answer of either protocol says: its text, why it ended, its tokens, the tools that it calls.

An answer is untrusted: a field that is missing, or of another kind than the protocol's, counts as not said; a tool call
without a name is one with an empty name, which whoever runs tools refuses. Not here: how it is asked for (`client.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from palaestra.schema import ToolCallPart

Likely = tuple[tuple[str, float], ...]
"""The likeliest tokens at one place, with their log probabilities."""


@dataclass(slots=True)
class Progress:
    """What is known of an answer while it comes."""

    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


def take(chunk: Any, progress: Progress) -> str:  # noqa: ANN401 - a chunk of either protocol
    """Note what a chunk says about the answer, and return its text."""
    if (usage := getattr(chunk, "usage", None)) is not None:
        progress.input_tokens = getattr(usage, "prompt_tokens", None)
        progress.output_tokens = getattr(usage, "completion_tokens", None)
    choices = getattr(chunk, "choices", None)
    if not isinstance(choices, list) or not choices:
        return ""
    progress.finish_reason = getattr(choices[0], "finish_reason", None) or progress.finish_reason
    message = getattr(choices[0], "delta", None) or getattr(choices[0], "message", None)
    said = getattr(message, "content", None) or getattr(choices[0], "text", None)
    return said if isinstance(said, str) else ""


def likely_tokens(answer: Any) -> tuple[Likely, ...]:  # noqa: ANN401 - an answer of either protocol
    """The likeliest tokens of each place, from either protocol; empty where the endpoint gives none."""
    choices = getattr(answer, "choices", None)
    given = getattr(choices[0], "logprobs", None) if choices else None
    if given is None:
        return ()
    said = given.model_dump()  # llama.cpp has objects in both protocols, OpenAI's /completions has a dictionary a place
    if said.get("content"):
        places = [place["top_logprobs"] for place in said["content"]]
        return tuple(tuple((token["token"], token["logprob"]) for token in place) for place in places)
    return tuple(tuple(place.items()) for place in said.get("top_logprobs") or ())


def tool_calls(answer: Any) -> tuple[ToolCallPart, ...]:  # noqa: ANN401 - an answer of the chat protocol
    """The calls of a whole answer, in its order; each has an id, its place if the endpoint gives none."""
    choices = getattr(answer, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    called = getattr(message, "tool_calls", None)
    found = []
    for place, call in enumerate(called if isinstance(called, list) else ()):
        function = getattr(call, "function", None)
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        found.append(
            ToolCallPart(
                call_id=_text(getattr(call, "id", None)) or f"call-{place}",
                name=_text(name),
                arguments=_text(arguments) or "{}",
            )
        )
    return tuple(found)


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the endpoint wrote
    """A text that can be stored; nothing where there is none."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")
