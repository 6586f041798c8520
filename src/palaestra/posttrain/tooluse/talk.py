"""Tool calls as plain text, for models that know no protocol of tools, and back.

    <tool_call>{"name": "find_item", "arguments": {"name": "lamp"}}</tool_call>
    <tool_result>{"item": "I-204"}</tool_result>

The system's message lists the tools, a line of JSON each. What stands between the marks and is no call is kept as a
call without a name, which whoever runs tools refuses with words; so a model learns what was wrong. Not here: endpoints,
which have their own form (`gateway/wire.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from palaestra.gateway.offers import OfferedTool
from palaestra.posttrain.examples import Example
from palaestra.schema import Message, TextPart, ToolCallPart, ToolResultPart

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_BEFORE = "These are your tools, each with the JSON schema of its arguments:"
_AFTER = f'To call one, write {OPEN}{{"name": "...", "arguments": {{...}}}}{CLOSE} and wait for its result.'


def spoken(messages: Sequence[Message], tools: Sequence[OfferedTool]) -> tuple[Message, ...]:
    """A conversation as texts alone; with tools, its first message tells of them."""
    told = [_text(message) for message in messages]
    if tools and told:
        listed = [json.dumps(tool.sent()["function"], ensure_ascii=False) for tool in tools]
        rule = "\n".join((_BEFORE, *listed, _AFTER))
        head = told[0].text if told[0].role == "system" else ""
        told[: bool(head)] = [Message.of("system", f"{head}\n\n{rule}".strip())]
    return tuple(told)


def heard(text: str, place: int = 0) -> Message:
    """A model's text as a message with its calls as parts.

    Args:
        text: as it was written.
        place: how many calls there were before, for their ids.
    """
    parts: list[TextPart | ToolCallPart] = []
    plain = _CALL.sub("", text).strip()
    if plain:
        parts.append(TextPart(text=plain))
    for number, inside in enumerate(_CALL.findall(text), start=place):
        parts.append(_call(inside.strip(), f"call-{number}"))
    return Message(role="assistant", content=tuple(parts) or (TextPart(text=""),))


def as_text(example: Example) -> Example:
    """An example of typed parts as one of texts alone, which any trainer of chats can read."""
    offered = [each["function"] for each in json.loads(example.labels.get("tools", "[]"))]
    tools = [OfferedTool.model_validate(each) for each in offered]
    return example.model_copy(
        update={"prompt": spoken(example.prompt, tools), "completion": spoken(example.completion, ())}
    )


def _call(inside: str, call_id: str) -> ToolCallPart:
    try:
        said = json.loads(inside)
        name, arguments = said["name"], said.get("arguments", {})
        if isinstance(name, str):
            arguments = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            return ToolCallPart(call_id=call_id, name=name, arguments=arguments)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return ToolCallPart(call_id=call_id, name="", arguments=inside)


def _text(message: Message) -> Message:
    return Message.of(message.role, "\n".join(_written(part) for part in message.content))


def _written(part: object) -> str:
    if isinstance(part, ToolCallPart):
        if not part.name:
            return f"{OPEN}{part.arguments}{CLOSE}"
        return f'{OPEN}{{"name": {json.dumps(part.name)}, "arguments": {part.arguments}}}{CLOSE}'
    if isinstance(part, ToolResultPart):
        return f"<tool_result>{part.text}</tool_result>"
    return getattr(part, "text", None) or ""
