"""Asking an endpoint that does what endpoints do: refuse, retry, drip, break off, fall silent, be gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from palaestra.errors import MissingPartError, ModelError
from palaestra.gateway import Completion, Gateway, GatewaySettings, Sampling
from palaestra.schema import ErrorRecord, ImagePart, Message, ModelSpec, TextPart

HELLO = [Message.of("user", "Hello?")]
PATIENT = GatewaySettings(retries=2)


def spec(url: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name="subject", endpoint=url, **fields)


async def ask(
    model: ModelSpec,
    messages: list[Message] = HELLO,
    *,
    settings: GatewaySettings = PATIENT,
    sampling: Sampling | None = None,
) -> tuple[str, Completion | None, ErrorRecord | None]:
    """The text that came, how it ended, and the failure if it failed."""
    text, end = "", None
    async with Gateway([model], settings) as gateway:
        try:
            async for piece in gateway.stream(model.name, messages, sampling):
                if isinstance(piece, str):
                    text += piece
                else:
                    end = piece
        except ModelError as error:
            return text, end, error.record
    return text, end, None


async def greet(call: Any) -> None:
    await call.head()
    for word in ("Hel", "lo ", "there"):
        await call.word(word)
    await call.end(7, 3)


def test_an_answer_with_usage_and_cost(endpoint: Callable[..., Any]) -> None:
    async def story() -> None:
        async with endpoint(greet) as server:
            model = spec(
                server.url, api_name="org/real-name", system="Be kind.", temperature=0.5, max_tokens=99, stop=("END",),
                input_price=2.0, output_price=10.0,
            )  # fmt: skip
            text, end, failure = await ask(model, sampling=Sampling(seed=4))
        assert (text, failure) == ("Hello there", None)
        assert end is not None
        assert end.finish_reason == "stop"
        assert (end.usage.input_tokens, end.usage.output_tokens) == (7, 3)
        assert end.usage.cost == pytest.approx((7 * 2 + 3 * 10) / 1e6)
        assert 0 < end.first_token_s <= end.total_s
        body = server.calls[0].body
        assert body["model"] == "org/real-name"
        assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]
        assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0.5, 99, ["END"], 4)
        assert body["stream_options"] == {"include_usage": True}

    asyncio.run(story())


def test_what_is_not_set_is_not_sent_and_no_usage_is_no_cost(endpoint: Callable[..., Any]) -> None:
    async def without(call: Any) -> None:
        await call.head()
        await call.word("Hi")
        await call.end()

    async def story() -> None:
        async with endpoint(without) as server:
            _, end, _ = await ask(spec(server.url, input_price=1.0))
        assert end is not None
        assert (end.usage.output_tokens, end.usage.cost) == (None, None)
        assert {"temperature", "max_tokens", "stop", "seed"} & set(server.calls[0].body) == set()
        assert server.calls[0].body["model"] == "subject"

    asyncio.run(story())


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"])
def test_a_passing_failure_is_tried_again(endpoint: Callable[..., Any], status: str) -> None:
    async def busy(call: Any) -> None:
        await call.refuse(status, retry_after_ms="20")

    async def story() -> None:
        async with endpoint(busy, busy, greet) as server:
            text, _, failure = await ask(spec(server.url))
        assert (text, failure) == ("Hello there", None)
        assert len(server.calls) == 3

    asyncio.run(story())


def test_a_connection_that_is_dropped_is_tried_again(endpoint: Callable[..., Any]) -> None:
    async def drop(call: Any) -> None:
        call.writer.transport.abort()

    async def story() -> None:
        async with endpoint(drop, greet) as server:
            text, _, _ = await ask(spec(server.url))
        assert text == "Hello there"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "kind", "calls"),
    [
        ("429 Too Many Requests", "rate_limited", 3),
        ("500 Internal Server Error", "server_error", 3),
        ("401 Unauthorized", "refused", 1),
        ("404 Not Found", "refused", 1),
        ("400 Bad Request", "refused", 1),
    ],
)
def test_a_lasting_failure_is_a_record(endpoint: Callable[..., Any], status: str, kind: str, calls: int) -> None:
    async def refuse(call: Any) -> None:
        await call.refuse(status, "the provider's words", retry_after_ms="5")

    async def story() -> None:
        async with endpoint(refuse) as server:
            text, end, failure = await ask(spec(server.url))
        assert (text, end) == ("", None)
        assert failure is not None
        assert (failure.kind, failure.status) == (kind, int(status[:3]))
        assert "the provider's words" in failure.detail
        assert len(server.calls) == calls

    asyncio.run(story())


async def silent(call: Any) -> None:
    await call.head()
    await call.gone()


async def stalls(call: Any) -> None:
    await call.head()
    await call.word("One ")
    await call.gone()


async def drips(call: Any) -> None:
    await call.head()
    while True:
        await call.word("drop ")
        await asyncio.sleep(0.02)


async def halves(call: Any) -> None:
    await call.head()
    for piece in ("a \ud83d", "\ude00 b", " \ude00", "\0", "\ud83d"):
        await call.word(piece)
    await call.end()


def test_characters_that_chunks_have_parted_are_joined_and_what_is_no_text_is_replaced(
    endpoint: Callable[..., Any],
) -> None:
    async def story() -> None:
        async with endpoint(halves) as server:
            text, _, failure = await ask(spec(server.url))
        assert failure is None
        assert text == "a \U0001f600 b \ufffd\ufffd\ufffd"

    asyncio.run(story())


def test_a_template_that_fails_on_a_conversation(endpoint: Callable[..., Any]) -> None:
    async def story() -> None:
        async with endpoint(greet) as server:
            _, _, failure = await ask(spec(server.url, template="{{ messages[3].content }}"))
            assert server.calls == []
        assert failure is not None
        assert failure.kind == "refused"
        assert "Jinja" in failure.detail

    asyncio.run(story())


IMPATIENCE = {silent: {"first_token_s": 0.5}, stalls: {"next_token_s": 0.3}, drips: {"total_s": 2.5}}


async def breaks(call: Any) -> None:
    await call.head()
    await call.word("One ")
    await call.word("two")
    call.writer.transport.abort()


async def ends_early(call: Any) -> None:
    await call.head()
    await call.word("One ")


async def says_nothing(call: Any) -> None:
    await call.head()
    await call.end(5, 0)


async def says_error(call: Any) -> None:
    await call.head()
    await call.word("One ")
    await call.send('data: {"error": {"message": "the machine is on fire"}}\n\n')


async def talks_nonsense(call: Any) -> None:
    await call.head()
    await call.send("data: {this is no JSON\n\n")


async def talks_of_other_things(call: Any) -> None:
    await call.head()
    for line in (
        "5",
        "[]",
        '{"answer": 42}',
        '{"choices": [{"delta": {"content": 7}}], "usage": {}}',
        '{"choices": {}}',
    ):
        await call.send(f"data: {line}\n\n")


async def is_a_web_page(call: Any) -> None:
    await call.head(kind="text/html")
    await call.send("<html>Welcome!</html>")


@pytest.mark.parametrize(
    ("reply", "kind", "text", "words"),
    [
        (silent, "timeout", "", "no first token in 0.5 s"),
        (stalls, "timeout", "One ", "no next token in 0.3 s"),
        (drips, "timeout", "drop ", "no end in 2.5 s"),
        (breaks, "interrupted", "One ", ""),
        (ends_early, "interrupted", "One ", "before the model said that it had finished"),
        (says_nothing, "empty", "", "without a word"),
        (says_error, "interrupted", "One ", "on fire"),
        (talks_nonsense, "interrupted", "", ""),
        (talks_of_other_things, "interrupted", "", ""),
        (is_a_web_page, "interrupted", "", ""),
    ],
)
def test_failures_in_the_middle(endpoint: Callable[..., Any], reply: Any, kind: str, text: str, words: str) -> None:
    async def story() -> None:
        async with endpoint(reply) as server:
            settings = PATIENT.model_copy(update=IMPATIENCE.get(reply, {}))
            came, end, failure = await ask(spec(server.url), settings=settings)
        assert end is None
        assert failure is not None
        assert failure.kind == kind, failure
        assert words in failure.detail
        assert came.startswith(text)
        assert len(server.calls) == 1, "what has begun is not begun again"

    asyncio.run(story())


def test_nothing_listens() -> None:
    async def story() -> None:
        _, _, failure = await ask(spec("http://127.0.0.1:9/v1"))
        assert failure is not None
        assert failure.kind == "unreachable"

    asyncio.run(story())


@pytest.mark.parametrize("how", ["cancelled", "left"])
def test_the_endpoint_learns_that_nobody_listens_any_more(endpoint: Callable[..., Any], how: str) -> None:
    async def story() -> None:
        async with endpoint(stalls) as server, Gateway([spec(server.url)], GatewaySettings()) as gateway:
            begun = asyncio.Event()

            async def listen() -> None:
                stream = gateway.stream("subject", HELLO)
                async for _ in stream:
                    begun.set()
                    if how == "left":
                        await stream.aclose()
                        return

            task = asyncio.create_task(listen())
            await begun.wait()
            if how == "cancelled":
                task.cancel()
            await asyncio.wait_for(server.calls[0].left.wait(), 2)
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_slow_reader_is_no_timeout(endpoint: Callable[..., Any]) -> None:
    async def story() -> None:
        settings = PATIENT.model_copy(update={"next_token_s": 0.5})
        async with endpoint(greet) as server, Gateway([spec(server.url)], settings) as gateway:
            pieces = []
            async for piece in gateway.stream("subject", HELLO):
                pieces.append(piece)
                await asyncio.sleep(settings.next_token_s + 0.1)
        assert isinstance(pieces[-1], Completion)

    asyncio.run(story())


def test_calls_beyond_the_limit_wait_for_a_place(endpoint: Callable[..., Any]) -> None:
    running = most = 0

    async def count(call: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        await greet(call)

    async def story() -> None:
        settings = GatewaySettings(concurrency=3)
        async with endpoint(count) as server, Gateway([spec(server.url)], settings) as gateway:

            async def one() -> None:
                async for _ in gateway.stream("subject", HELLO):
                    pass

            await asyncio.gather(*(one() for _ in range(12)))
        assert len(server.calls) == 12

    asyncio.run(story())
    assert most == 3


def test_a_base_model_is_sent_a_text(endpoint: Callable[..., Any]) -> None:
    async def complete(call: Any) -> None:
        await call.head()
        for text, reason in ((" A city", None), (".", "stop")):
            await call.chunk(object="text_completion", choices=[{"index": 0, "text": text, "finish_reason": reason}])
        await call.send("data: [DONE]\n\n")

    async def story() -> None:
        template = "{% for m in messages %}{{ 'Q' if m.role == 'user' else 'A' }}: {{ m.content }}\n{% endfor %}A:"
        async with endpoint(complete) as server:
            text, _, failure = await ask(
                spec(server.url, template=template, stop=("\nQ:",)),
                [*HELLO, Message.of("assistant", "Hi."), Message.of("user", "Paris? {{ 7 * 7 }}")],
            )
        assert (text, failure) == (" A city.", None)
        assert server.calls[0].path == "/v1/completions"
        assert server.calls[0].body["prompt"] == "Q: Hello?\nA: Hi.\nQ: Paris? {{ 7 * 7 }}\nA:"
        assert server.calls[0].body["stop"] == ["\nQ:"]

    asyncio.run(story())


def test_a_key_comes_from_the_environment(endpoint: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "a key that is not for this endpoint")

    async def story() -> None:
        async with endpoint(greet) as server:
            with pytest.raises(MissingPartError, match="export TEST_KEY="):
                Gateway([spec(server.url, api_key_env="TEST_KEY")])
            monkeypatch.setenv("TEST_KEY", "secret-1")
            await ask(spec(server.url, api_key_env="TEST_KEY"))
            await ask(spec(server.url))
        assert server.calls[0].headers["authorization"] == "Bearer secret-1"
        assert "not for this" not in server.calls[1].headers.get("authorization", "")

    asyncio.run(story())


def test_a_part_that_is_no_text_is_refused(endpoint: Callable[..., Any]) -> None:
    async def story() -> None:
        async with endpoint(greet) as server:
            picture = Message(
                role="user", content=(TextPart(text="What is it?"), ImagePart(image="https://e.org/p.png"))
            )
            _, _, failure = await ask(spec(server.url), [picture])
        assert failure is not None
        assert (failure.kind, "image" in failure.detail) == ("refused", True)
        assert server.calls == []

    asyncio.run(story())


def test_an_unknown_model_is_a_fault_of_the_caller() -> None:
    async def story() -> None:
        async with Gateway([spec("scripted:echo")]) as gateway:
            with pytest.raises(KeyError):
                await anext(gateway.stream("nobody", HELLO))

    asyncio.run(story())


def test_first_token_includes_waiting_for_retries(endpoint: Callable[..., Any]) -> None:
    """A hint to wait for 50 seconds is not followed beyond that."""

    async def busy(call: Any) -> None:
        await call.refuse("429 Too Many Requests", retry_after="50")

    async def story() -> None:
        async with endpoint(busy) as server:
            started = time.monotonic()
            settings = PATIENT.model_copy(update={"first_token_s": 0.5})
            _, _, failure = await ask(spec(server.url), settings=settings)
        assert failure is not None
        assert failure.kind in {"timeout", "rate_limited"}
        assert time.monotonic() - started < 25

    asyncio.run(story())
