"""An OpenAI-compatible endpoint for any completion function: a contestant, a checkpoint, an ensemble, a router.

    POST /v1/chat/completions    whole or streamed, with usage
    GET  /v1/models

A function that has more to say of an answer than its text says it first, as `Told`: clients find it in headers
(`x-palaestra-...`) and in the field `palaestra` of the answer or of the first chunk, which those who do not know it
ignore.

What a client asks for and we do not do (several choices, tools, log-probabilities, parts that are no text) is refused
with 400 in the protocol's own error shape, never ignored. When the client leaves, the function is cancelled.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.exceptions import HTTPException

from palaestra.errors import ModelError
from palaestra.gateway.client import Completion, Sampling
from palaestra.schema import Message

_PLAIN = "".join(map(chr, range(32, 127))).replace("%", "")


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told beside the text, by name; values as JSON has them. It comes before all text."""

    fields: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """Texts and numbers as headers; what is not plain ASCII is percent-encoded."""
        plain = {name: value for name, value in self.fields.items() if isinstance(value, str | int | float)}
        return {
            f"x-palaestra-{name.replace('_', '-')}": quote(str(value), safe=_PLAIN) for name, value in plain.items()
        }


Complete = Callable[[str, Sequence[Message], Sampling], AsyncGenerator[str | Completion | Told]]

_STATUS = {"rate_limited": 429, "timeout": 504, "refused": 400}


class StreamOptions(BaseModel):
    """Whether the last chunk of a stream tells the usage."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of a chat completion; unknown fields of the protocol that change nothing in the text are let pass."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Literal[1] = 1
    tools: None = None
    logprobs: Literal[False] | None = None

    @field_validator("messages")
    @classmethod
    def _whole_characters(cls, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What JSON lets pass and no text may hold."""
        try:
            json.dumps(messages, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("found half of a surrogate pair, expected whole characters") from error
        return messages

    def conversation(self) -> list[Message]:
        """The messages as records."""
        return [Message.model_validate({"role": m.get("role"), "content": m.get("content")}) for m in self.messages]

    def sampling(self) -> Sampling:
        """What the request asks for."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(self.temperature, self.max_completion_tokens or self.max_tokens, stop, self.seed)


def app_for(complete: Complete, models: Sequence[str], *, key: str | None = None) -> FastAPI:
    """The application.

    Args:
        complete: answers (model, messages, sampling); yields text and at last a Completion, or raises ModelError. It
            may yield what is Told before its text.
        models: the names that are served.
        key: if given, requests must carry it as a bearer token.
    """
    app = FastAPI(title="Palaestra models", docs_url=None, redoc_url=None)
    _add_error_handlers(app)
    authorised = key_check(key)

    @app.get("/v1/models", dependencies=[Depends(authorised)])
    async def list_models() -> dict[str, Any]:
        served = [{"id": name, "object": "model", "created": 0, "owned_by": "palaestra"} for name in models]
        return {"object": "list", "data": served}

    @app.post("/v1/chat/completions", dependencies=[Depends(authorised)])
    async def chat(body: ChatRequest) -> Response:
        if body.model not in models:
            raise HTTPException(404, f"found the model {body.model!r}, expected one of {', '.join(models)}")
        pieces = complete(body.model, body.conversation(), body.sampling())
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.model}
        first = await anext(pieces)  # a failure before the first word has a status of its own
        told = first if isinstance(first, Told) else None
        if isinstance(first, Told):
            first = await anext(pieces)
        headers = {} if told is None else told.headers
        if not body.stream:
            return JSONResponse(await _whole(first, pieces, head, told), headers=headers)
        chunks = _chunks(first, pieces, head, told, with_usage=body.stream_options.include_usage)
        return StreamingResponse(chunks, media_type="text/event-stream", headers=headers)

    return app


Piece = str | Completion | Told


def key_check(key: str | None) -> Callable[[str], None]:
    """A dependency that lets only requests with the key pass; all, if there is none."""

    def authorised(authorization: str = Header(default="")) -> None:
        if key is not None and authorization != f"Bearer {key}":
            raise HTTPException(401, "found no valid key, expected the header Authorization: Bearer KEY")

    return authorised


async def _whole(first: Piece, rest: AsyncGenerator[Piece], head: dict[str, Any], told: Told | None) -> dict[str, Any]:
    text, end = first if isinstance(first, str) else "", first if isinstance(first, Completion) else None
    async with aclosing(rest):
        async for piece in rest:
            if isinstance(piece, str):
                text += piece
            elif isinstance(piece, Completion):
                end = piece
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": end.finish_reason if end else None,
    }
    return head | {"object": "chat.completion", "choices": [choice], "usage": _usage(end)} | _said(told)


async def _chunks(
    first: Piece, rest: AsyncGenerator[Piece], head: dict[str, Any], told: Told | None, *, with_usage: bool
) -> AsyncIterator[str]:
    head = head | {"object": "chat.completion.chunk"}

    def event(delta: dict[str, str], reason: str | None = None, **more: object) -> str:
        return _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | more)

    async with aclosing(rest):
        try:
            yield event({"role": "assistant", "content": first if isinstance(first, str) else ""}, **_said(told))
            async for piece in rest:
                if isinstance(piece, str):
                    yield event({"content": piece})
                    continue
                if isinstance(piece, Told):
                    continue
                yield event({}, piece.finish_reason or "stop")
                if with_usage:
                    yield _event(head | {"choices": [], "usage": _usage(piece)})
        except ModelError as error:
            yield _event(_error(error.record.kind, error.record.detail))
            return
    yield "data: [DONE]\n\n"


def _said(told: Told | None) -> dict[str, Any]:
    return {} if told is None else {"palaestra": told.fields}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _usage(end: Completion | None) -> dict[str, int] | None:
    if end is None or end.usage.input_tokens is None or end.usage.output_tokens is None:
        return None
    tokens_in, tokens_out = end.usage.input_tokens, end.usage.output_tokens
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "palaestra_error", "code": code, "param": None}}


def _add_error_handlers(app: FastAPI) -> None:
    """Every error in the protocol's shape."""

    @app.exception_handler(ModelError)
    async def failed(_: Request, error: ModelError) -> Response:
        status = _STATUS.get(error.record.kind, 502)
        return JSONResponse(_error(error.record.kind, error.record.detail), status_code=status)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        code = {401: "invalid_api_key", 404: "model_not_found"}.get(error.status_code, "invalid_request_error")
        return JSONResponse(_error(code, str(error.detail)), status_code=error.status_code)

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def malformed(_: Request, error: RequestValidationError | ValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return JSONResponse(_error("invalid_request_error", wrong), status_code=400)
