"""Asking a model, whatever stands behind its endpoint, and saying clearly how it went.

HTTP, its retries with back-off on 429, 5xx and lost connections, and the protocol are the `openai` library's. Ours are
the timeouts that a reader notices (first token, next token, whole answer), the limit of concurrent calls for each
endpoint, the accounting, and one kind of failure: `ModelError` with an `ErrorRecord`. A caller that stops iterating, or
is cancelled, closes the connection, and the endpoint stops generating.

Not here: what a contestant is (`schema/model.py`), how models.toml is read (`endpoints.py`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Self, cast

import openai
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.gateway import scripted
from palaestra.gateway.local import LocalWorker, slots
from palaestra.gateway.offers import OfferedTool
from palaestra.gateway.prompt import conversation, fill
from palaestra.gateway.wire import Likely, Progress, likely_tokens, take, tool_calls
from palaestra.schema import ErrorKind, ErrorRecord, Message, ModelSpec, ToolCallPart, Usage

_LONGEST_DETAIL = 500
_SERVER_ERROR = 500
_TOO_MANY = 429
_REPLACEMENT = "\ufffd"


class GatewaySettings(BaseModel):
    """How long to wait, how often to try again, how much to ask at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_s: float = Field(default=5.0, gt=0)
    """Seconds to wait for a connection."""
    first_token_s: float = Field(default=60.0, gt=0)
    """Seconds to wait for the first token, all retries and the queue of the endpoint included."""
    next_token_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for each further token."""
    total_s: float = Field(default=300.0, gt=0)
    """Seconds that a whole answer may take."""
    retries: int = Field(default=2, ge=0)
    """How often a call that failed before its first token with 429, 5xx or a lost connection is tried again."""
    concurrency: int = Field(default=16, ge=1)
    """Calls at the same time to one remote endpoint; a local one takes as many as it has slots."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What one call asks for beside the model's own settings; None leaves those as they are."""

    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    """How many of the likeliest tokens to report at each place; only for `complete`."""
    idempotency_key: str | None = None
    """Sent as a header: an endpoint that knows it does not bill the same request twice."""
    tools: tuple[OfferedTool, ...] = ()
    """What the model may call; only for `complete`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How an answer ended. Seconds are counted from the call, waiting for a free place at the endpoint included."""

    usage: Usage
    finish_reason: str | None
    first_token_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole answer. `likely` holds the likeliest tokens of each place, where they were asked for and are given."""

    text: str
    completion: Completion
    likely: tuple[Likely, ...] = ()
    calls: tuple[ToolCallPart, ...] = ()
    """The tools that it calls; their arguments are as the model wrote them."""


Deltas = AsyncGenerator[str]


class Gateway:
    """Asks the models of a models.toml. Use it as an async context manager.

    Args:
        specs: the models.
        settings: timeouts and limits.

    Raises:
        MissingPartError: a variable named by `api_key_env` is not set.
    """

    def __init__(self, specs: Sequence[ModelSpec], settings: GatewaySettings | None = None) -> None:
        self.settings = settings or GatewaySettings()
        self._specs = {spec.name: spec for spec in specs}
        self._keys = {spec.name: key_of(spec) for spec in specs}
        endpoints = {spec.endpoint for spec in specs}
        self.workers = {url: LocalWorker(url[6:]) for url in endpoints if url.startswith("local:")}
        self._places = {
            url: asyncio.Semaphore(slots(url[6:]) if url in self.workers else self.settings.concurrency)
            for url in endpoints
            if not url.startswith("scripted:")
        }
        self._clients: dict[tuple[str, str], openai.AsyncOpenAI] = {}

    async def __aenter__(self) -> Self:
        """Start the local workers, all at once."""
        try:
            await asyncio.gather(*(worker.url() for worker in self.workers.values()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection and stop the workers."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))
        await asyncio.gather(*(worker.close() for worker in self.workers.values()))

    def places(self, name: str) -> int:
        """How many calls of a model may be under way at once.

        Raises:
            KeyError: no such model.
        """
        endpoint, most = self._specs[name].endpoint, self.settings.concurrency
        return min(slots(endpoint[6:]), most) if endpoint in self.workers else most

    async def stream(
        self, name: str, messages: Sequence[Message], sampling: Sampling | None = None
    ) -> AsyncGenerator[str | Completion]:
        """The answer of a model: pieces of text as they come, and a Completion last.

        Args:
            name: a model of this gateway.
            messages: the conversation so far; the model's own system prompt is put before it.
            sampling: what overrides the model's own settings in this call.

        Raises:
            KeyError: no such model.
            ModelError: it did not answer, or broke off. Text that came before has been yielded.
        """
        spec, characters = self._specs[name], _Characters()
        asked, progress, first = time.monotonic(), Progress(), None
        async with aclosing(self._deltas(spec, messages, sampling or Sampling(), progress)) as deltas:
            while (piece := await self._next(deltas, asked, begun=first is not None)) is not None:
                first = first or time.monotonic()
                if text := characters.whole(piece):
                    yield text
        if characters.held:
            yield _REPLACEMENT
        if first is None:
            raise _failure("empty", "the model ended without a word")
        usage = _usage(spec, progress)
        yield Completion(usage, progress.finish_reason, first - asked, time.monotonic() - asked)

    async def complete(self, name: str, messages: Sequence[Message], sampling: Sampling | None = None) -> Whole:
        """The whole answer of a model in one piece, with the likeliest tokens where they are asked for.

        An answer without a word is one, since it has been paid for; who asked decides what to make of it.

        Raises:
            KeyError: no such model.
            ModelError: it did not answer, or not in `total_s`.
        """
        spec, sampling, asked = self._specs[name], sampling or Sampling(), time.monotonic()
        progress = Progress()
        try:
            async with asyncio.timeout(self.settings.total_s):
                if spec.endpoint.startswith("scripted:"):
                    pieces = [piece async for piece in self._scripted(spec, messages, sampling, progress)]
                    calls = scripted.calls(scripted.Script.parse(spec.endpoint[9:]), messages, sampling.tools)
                    text, likely = "" if calls else "".join(pieces), ()
                else:
                    async with self._places[spec.endpoint]:
                        with _as_model_errors():
                            answer = await self._open(spec, messages, sampling, stream=False)
                        text, likely, calls = take(answer, progress), likely_tokens(answer), tool_calls(answer)
        except TimeoutError as error:
            raise _failure("timeout", f"no end in {self.settings.total_s:g} s") from error
        if not text and progress.finish_reason is None:
            raise _failure(
                "interrupted", "the endpoint does not speak the protocol: neither a text nor a reason to stop"
            )
        took = time.monotonic() - asked
        ended = Completion(_usage(spec, progress), progress.finish_reason, took, took)
        return Whole(_mended(text), ended, likely, calls)

    async def _next(self, deltas: Deltas, asked: float, *, begun: bool) -> str | None:
        """The next piece of text, None at the end. The waiting for it is timed, not what the caller does with it."""
        each = self.settings.next_token_s if begun else self.settings.first_token_s
        left = asked + self.settings.total_s - time.monotonic()
        try:
            async with asyncio.timeout(min(each, left)):
                return await anext(deltas, None)
        except TimeoutError as error:
            which = "next" if begun else "first"
            late = f"no {which} token in {each:g} s" if each < left else f"no end in {self.settings.total_s:g} s"
            raise _failure("timeout", late) from error

    async def _deltas(
        self, spec: ModelSpec, messages: Sequence[Message], sampling: Sampling, progress: Progress
    ) -> Deltas:
        if spec.endpoint.startswith("scripted:"):
            async for piece in self._scripted(spec, messages, sampling, progress):
                yield piece
            return
        async with self._places[spec.endpoint]:
            with _as_model_errors():
                async with await self._open(spec, messages, sampling) as chunks:
                    async for chunk in chunks:
                        text = take(chunk, progress)
                        if text:
                            yield text
        if progress.finish_reason is None:
            raise _failure("interrupted", "the stream ended before the model said that it had finished")

    async def _scripted(
        self, spec: ModelSpec, messages: Sequence[Message], sampling: Sampling, progress: Progress
    ) -> Deltas:
        script = scripted.Script.parse(spec.endpoint.partition(":")[2])
        words = 0
        async for piece in scripted.stream(script, messages, sampling.seed):
            words += scripted.count_words(piece) or 1
            yield piece
        progress.finish_reason = "stop"
        progress.input_tokens = sum(scripted.count_words(message.text) for message in messages)
        progress.output_tokens = words

    async def _open(  # the library's stream or answer, of either protocol
        self, spec: ModelSpec, messages: Sequence[Message], sampling: Sampling, *, stream: bool = True
    ) -> Any:  # noqa: ANN401
        client = await self._client(spec)
        options: dict[str, Any] = {
            "model": spec.endpoint[6:] if spec.endpoint in self.workers else spec.api_name or spec.name,
            "stream": stream,
            "stream_options": {"include_usage": True} if stream else None,
            "temperature": spec.temperature if sampling.temperature is None else sampling.temperature,
            "max_tokens": sampling.max_tokens or spec.max_tokens,
            "stop": [*spec.stop, *sampling.stop] or None,
            "seed": sampling.seed,
            "extra_headers": {"Idempotency-Key": sampling.idempotency_key} if sampling.idempotency_key else None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        sent = conversation(spec, messages)
        if spec.template is None:
            if sampling.tools:
                given["tools"] = [tool.sent() for tool in sampling.tools]
            if sampling.top_logprobs is not None:
                given |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
            return await client.chat.completions.create(messages=cast("Any", sent), **given)
        if sampling.tools:
            raise _failure("refused", "a base model with a template cannot be offered tools")
        if sampling.top_logprobs is not None:
            given["logprobs"] = sampling.top_logprobs
        try:
            prompt = fill(spec.template, sent)
        except InputError as error:
            raise _failure("refused", str(error)) from error
        return await client.completions.create(prompt=prompt, **given)

    async def _client(self, spec: ModelSpec) -> openai.AsyncOpenAI:
        try:
            url = await worker.url() if (worker := self.workers.get(spec.endpoint)) else spec.endpoint
        except (InputError, MissingPartError) as error:  # it ran, has died, and its files are gone
            raise _failure("unreachable", str(error)) from error
        key = self._keys[spec.name]
        if (url, key) not in self._clients:
            waits = openai.Timeout(None, connect=self.settings.connect_s)  # the other waits are ours, see `stream`
            self._clients[url, key] = openai.AsyncOpenAI(
                base_url=url, api_key=key, timeout=waits, max_retries=self.settings.retries
            )
        return self._clients[url, key]


@contextmanager
def _as_model_errors() -> Generator[None]:
    """What the library and its transport raise, as `ModelError`."""
    try:
        yield
    except openai.APIError as error:
        raise _explained(error) from error
    except ValueError as error:
        raise _failure("interrupted", f"the endpoint does not speak the protocol: {error}") from error
    except Exception as error:
        if _is_transport(error):
            raise _failure("interrupted", f"{type(error).__name__}: {error}") from error
        raise


class _Characters:
    """Pieces of text as whole characters: halves that two chunks brought are joined, what is no text is replaced."""

    def __init__(self) -> None:
        self.held = ""

    def whole(self, piece: str) -> str:
        """The characters that are complete with this piece."""
        text = self.held + piece
        self.held = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return _mended(text[: len(text) - len(self.held)])


def _mended(text: str) -> str:
    """Text that can be encoded and stored: no half of a surrogate pair, no NUL."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", _REPLACEMENT)


def _is_transport(error: Exception) -> bool:
    """Whether the connection broke in mid-stream; the library lets its transport's own errors through there."""
    return isinstance(error, OSError | EOFError) or type(error).__module__.startswith(("httpx", "httpcore"))


def _usage(spec: ModelSpec, progress: Progress) -> Usage:
    """Tokens as the endpoint reports them, and what they cost; unknown where it reports none."""
    tokens_in, tokens_out = progress.input_tokens, progress.output_tokens
    if tokens_in is None or tokens_out is None:
        return Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    cost = (tokens_in * spec.input_price + tokens_out * spec.output_price) / 1e6
    return Usage(input_tokens=tokens_in, output_tokens=tokens_out, cost=cost)


def key_of(spec: ModelSpec) -> str:
    """The key that a model is asked with.

    Raises:
        MissingPartError: its variable is not set.
    """
    if spec.api_key_env is None:
        return "none"
    key = os.environ.get(spec.api_key_env, "")
    if not key:
        raise MissingPartError(
            f"model {spec.name!r} needs its key in the environment variable {spec.api_key_env}, which is not set: "
            f"export {spec.api_key_env}=..."
        )
    return key


def _failure(kind: ErrorKind, detail: str, status: int | None = None) -> ModelError:
    return ModelError(ErrorRecord(kind=kind, detail=_mended(detail[:_LONGEST_DETAIL]), status=status))


def _explained(error: openai.APIError) -> ModelError:
    """The library's error as ours."""
    if isinstance(error, openai.APITimeoutError):
        return _failure("timeout", "no connection in time")
    if isinstance(error, openai.APIConnectionError):
        return _failure("unreachable", f"{error} {error.__cause__ or ''}".strip())
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        kind: ErrorKind = (
            "rate_limited" if status == _TOO_MANY else "server_error" if status >= _SERVER_ERROR else "refused"
        )
        return _failure(kind, str(error), status)
    return _failure("interrupted", str(error))
