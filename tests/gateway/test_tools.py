"""Tools through the gateway: how they are offered, how calls come back, what is told of results, what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from till import Till

from palaestra.errors import ModelError
from palaestra.gateway import Gateway, Sampling
from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call, Reply, call_key
from palaestra.gateway.offers import OfferedTool
from palaestra.schema import ImagePart, Message, ModelSpec, TextPart, ToolCallPart, ToolResultPart

WEATHER = OfferedTool(
    name="weather",
    description="Tell the weather of a town.",
    parameters={"type": "object", "properties": {"town": {"type": "string"}, "days": {"type": "integer"}}},
)
ASKED = Message.of("user", "What is the weather in Arvo for 3 days?")
CALLED = Message(role="assistant", content=(ToolCallPart(call_id="a", name="weather", arguments='{"town": "Arvo"}'),))
TOLD = Message(role="tool", content=(ToolResultPart(call_id="a", text="rain"), ToolResultPart(call_id="b", text="sun")))


def spec(endpoint: str, **more: Any) -> ModelSpec:
    return ModelSpec(name="m", endpoint=endpoint, **more)


async def complete(model: ModelSpec, *messages: Message) -> Any:
    async with Gateway([model]) as gateway:
        return await gateway.complete("m", messages, Sampling(tools=(WEATHER,)))


def test_tools_are_offered_and_calls_come_back_as_they_were_written() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        bodies.append(body)
        calls = [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"town": "A'}},
            {"type": "function", "function": {"name": "weather"}},
            {"id": 7, "function": {}},
        ]
        return 200, {"role": "assistant", "content": "I look.", "tool_calls": calls}

    with Till(answer, seconds=0) as till:
        whole = asyncio.run(complete(spec(till.url), ASKED, CALLED, TOLD))
    assert whole.text == "I look."
    assert [(call.call_id, call.name, call.arguments) for call in whole.calls] == [
        ("a", "weather", '{"town": "A'),
        ("call-1", "weather", "{}"),
        ("call-2", "", "{}"),
    ]
    (body,) = bodies
    assert body["tools"] == [WEATHER.sent()]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"town": "Arvo"}'}
    assert [message.get("tool_call_id") for message in body["messages"][2:]] == ["a", "b"]


def test_calls_stand_in_the_book(tmp_path: Path) -> None:
    def answer(body: dict[str, Any], _: int) -> tuple[int, Any]:
        function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
        return 200, {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": function}]}

    async def asked(model: ModelSpec) -> list[Reply]:
        async with Post(tmp_path / "calls.db", [model]) as post:
            call = Call(model="m", messages=(ASKED,), tools=(WEATHER,))
            return [reply async for _, reply in post.ask({"m": [(0, call)]})]

    with Till(answer, seconds=0) as till:
        first, second = asyncio.run(asked(spec(till.url))), asyncio.run(asked(spec(till.url)))
        assert sum(till.asked.values()) == 1
    assert first[0].calls == second[0].calls == (ToolCallPart(call_id="a", name="weather", arguments="{}"),)


def test_tools_and_their_results_make_another_request_and_texts_the_same_as_ever() -> None:
    model = spec("http://127.0.0.1/v1")
    plain = Call(model="m", messages=(ASKED,))
    others = [plain.model_copy(update={"tools": (WEATHER,)}), Call(model="m", messages=(ASKED, CALLED, TOLD))]
    others.append(Call(model="m", messages=(ASKED, CALLED.model_copy(update={"content": ()}), TOLD)))
    assert len({call_key(model, call) for call in (plain, *others)}) == 4
    assert (
        call_key(model, plain) == "599d45dcedaf149bf622694bba9d394ad6663ad59701e5a8d63cdd5b3b755e40"
    )  # as in earlier versions


def test_what_cannot_be_sent_is_refused() -> None:
    image = Message(role="user", content=(TextPart(text="?"), ImagePart(image="x")))
    with pytest.raises(ModelError, match="part of type 'image'"):
        asyncio.run(complete(spec("http://127.0.0.1:1/v1"), image))
    base = spec("http://127.0.0.1:1/v1", template="{{ messages[0].content }}")
    with pytest.raises(ModelError, match="cannot be offered tools"):
        asyncio.run(complete(base, ASKED))
    with pytest.raises(ModelError, match="part of type 'tool_call'"):
        asyncio.run(complete(base, ASKED, CALLED))


def test_the_scripted_model_calls_once_and_repeats_what_it_is_told() -> None:
    model = spec("scripted:tools")
    called = asyncio.run(complete(model, ASKED))
    assert (called.text, called.calls[0].name) == ("", "weather")
    assert json.loads(called.calls[0].arguments) == {"town": "Arvo", "days": 3}
    assert asyncio.run(complete(model, ASKED, CALLED, TOLD)).text == "Answer: sun"
    told = Message(role="tool", content=(ToolResultPart(call_id="a", text='{"degrees": 4}'),))
    assert asyncio.run(complete(model, ASKED, CALLED, told)).text == "Answer: 4"
    assert asyncio.run(complete(model, Message.of("user", "Sing!"))).text.endswith("Answer: cannot")
