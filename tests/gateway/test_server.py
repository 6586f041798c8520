"""Our own endpoint, asked by the client library that everybody has, over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from socket import create_server
from typing import Any

import httpx2
import openai
import pytest
import uvicorn

from palaestra.errors import ModelError
from palaestra.gateway import Completion, Gateway, Sampling
from palaestra.gateway.server import app_for
from palaestra.schema import ErrorRecord, Message, ModelSpec, Usage

KEY = "let-me-in"


class Subject:
    """A completion function that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[Message], Sampling]] = []
        self.closed = threading.Event()

    async def complete(
        self, model: str, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[str | Completion]:
        self.asked.append((model, list(messages), sampling))
        prompt = messages[-1].text
        try:
            if prompt == "busy":
                raise ModelError(ErrorRecord(kind="rate_limited", detail="come back later"))
            for word in ("Hel", "lo ", "😀"):
                yield word
                if prompt == "break":
                    raise ModelError(ErrorRecord(kind="interrupted", detail="it broke"))
            if prompt == "for ever":
                while True:
                    yield "and "
                    await asyncio.sleep(0.01)
            yield Completion(Usage(input_tokens=5, output_tokens=3), "stop", 0.01, 0.02)
        finally:
            self.closed.set()


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject()


@pytest.fixture(scope="module")
def url(subject: Subject) -> Iterator[str]:
    """The base URL of a running server."""
    listening = create_server(("127.0.0.1", 0))
    app = app_for(subject.complete, ["tiny", "second"], key=KEY)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as opened:
        yield opened


def say(text: str) -> Any:
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "second"]


def test_a_whole_answer(client: openai.OpenAI, subject: Subject) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=say("hi"), temperature=0.2, max_completion_tokens=9, stop="X", seed=3
    )
    assert done.choices[0].message.content == "Hello 😀"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (5, 3, 8)
    model, messages, sampling = subject.asked[-1]
    assert (model, [message.role for message in messages], messages[-1].text) == ("tiny", ["system", "user"], "hi")
    assert sampling == Sampling(temperature=0.2, max_tokens=9, stop=("X",), seed=3)


def test_a_streamed_answer(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="second", messages=say("hi"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello 😀"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    assert {chunk.model for chunk in chunks} == {"second"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_parts_of_text_are_read(client: openai.OpenAI, subject: Subject) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "in"}, {"type": "text", "text": "parts"}]}]
    client.chat.completions.create(model="tiny", messages=parts)
    assert subject.asked[-1][1][-1].text == "in\n\nparts"


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_word_has_its_status(client: openai.OpenAI, stream: Any) -> None:
    with pytest.raises(openai.RateLimitError, match="come back later"):
        client.chat.completions.create(model="tiny", messages=say("busy"), stream=stream)


def test_a_failure_in_mid_stream_is_an_error_of_the_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="tiny", messages=say("break"), stream=True)
    assert next(stream).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APIError, match="it broke"):
        next(stream)


def test_who_leaves_stops_the_function(client: openai.OpenAI, subject: Subject) -> None:
    stream = client.chat.completions.create(model="tiny", messages=say("for ever"), stream=True)
    next(iter(stream))
    subject.closed.clear()
    stream.close()
    assert subject.closed.wait(3)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (
            {"model": "huge", "messages": [{"role": "user", "content": "x"}]},
            404,
            "found the model 'huge', expected one of",
        ),
        ({"model": "tiny", "messages": []}, 400, "messages"),
        ({"model": "tiny"}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, 400, "model"),
        ({"model": "tiny", "messages": [{"role": "wizard", "content": "x"}]}, 400, "role"),
        ({"model": "tiny", "messages": [{"content": "x"}]}, 400, "role"),
        ({"model": "tiny", "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400, "content"),
        ({"model": "tiny", "messages": ["x"]}, 400, "messages"),
        ({"model": "tiny", "messages": [{"role": "user", "content": "x"}], "n": 2}, 400, "n:"),
        ({"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": [{}]}, 400, "tools"),
        ({"model": "tiny", "messages": [{"role": "user", "content": "x"}], "logprobs": True}, 400, "logprobs"),
        ({"model": "tiny", "messages": [{"role": "user", "content": "x"}], "temperature": -1}, 400, "temperature"),
    ],
)
def test_what_is_not_done_is_refused(url: str, body: dict[str, object], status: int, words: str) -> None:
    response = httpx2.post(f"{url}/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}])
def test_without_the_key_nothing(url: str, header: dict[str, str]) -> None:
    for response in (
        httpx2.get(f"{url}/models", headers=header),
        httpx2.post(f"{url}/chat/completions", headers=header),
    ):
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"


def test_the_ring_closes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we serve is enrolled like any other endpoint."""
    monkeypatch.setenv("RING_KEY", KEY)
    spec = ModelSpec(name="ours", endpoint=url, api_name="tiny", api_key_env="RING_KEY")

    async def ask() -> list[str | Completion]:
        async with Gateway([spec]) as gateway:
            return [piece async for piece in gateway.stream("ours", [Message.of("user", "hi")])]

    *words, end = asyncio.run(ask())
    assert "".join(map(str, words)) == "Hello 😀"
    assert isinstance(end, Completion)
    assert end.usage.output_tokens == 3
