"""A reward as an endpoint.

    POST /v1/rewards    {"model": NAME, "input": [{"messages": [...]} or {"prompt": ..., "replies": [...]}]}
                        -> {"data": [{"index": 0, "rewards": [...], "spreads": [...] or null}]}
    GET  /v1/models

`messages` ends with the assistant's reply; a prompt is a text or messages. Errors have the shape of the OpenAI
protocol. Requests are scored one after the other, away from the event loop: a model has one processor.

Not here: chat (`gateway/server.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from anyio import to_thread
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException

from palaestra.errors import PalaestraError
from palaestra.rewards.model import Reward, UncertainReward
from palaestra.schema import Message
from palaestra.store.records import without_halves

_log = logging.getLogger(__name__)
MOST_REPLIES = 256
"""Of one request."""
MOST_CHARACTERS = 2_000_000
"""Of one request, prompts and replies together."""
_CODES = {401: "invalid_api_key", 404: "model_not_found", 413: "request_too_large", 500: "server_error"}


class RewardItem(BaseModel):
    """A talk that ends with a reply, or a prompt and replies to it."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Message] | None = None
    prompt: str | list[Message] | None = None
    replies: list[str] | None = Field(default=None, min_length=1)

    def talks(self) -> list[tuple[tuple[Message, ...], str]]:
        """Each reply with the talk before it.

        Raises:
            ValueError: it is neither of the two.
        """
        if self.messages and self.prompt is None and self.replies is None:
            *before, last = self.messages
            if last.role != "assistant" or not before:
                raise ValueError("found messages that do not end with a reply to something, expected the assistant's")
            return [(tuple(before), last.text)]
        if self.prompt and self.replies and self.messages is None:
            prompt = (Message.of("user", self.prompt),) if isinstance(self.prompt, str) else tuple(self.prompt)
            return [(prompt, reply) for reply in self.replies]
        raise ValueError("expected messages that end with a reply, or prompt and replies")


class RewardRequest(BaseModel):
    """The body of a request."""

    model: str
    input: list[RewardItem] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, body: Any) -> Any:  # noqa: ANN401 - any JSON
        """Half of a surrogate pair, which nothing can write or tokenise, becomes U+FFFD, as in files."""
        return without_halves(body)


def app_for(reward: Reward, name: str, *, key: str | None = None) -> FastAPI:
    """The application.

    Args:
        reward: what scores.
        name: under which it is served.
        key: if given, requests must carry it as a bearer token.
    """
    app = FastAPI(title="Palaestra rewards", docs_url=None, redoc_url=None)
    _add_error_handlers(app)
    lock = threading.Lock()

    def authorised(authorization: str = Header(default="")) -> None:
        if key is not None and authorization != f"Bearer {key}":
            raise HTTPException(401, "found no valid key, expected the header Authorization: Bearer KEY")

    def scored(talks: Sequence[tuple[tuple[Message, ...], str]]) -> tuple[list[float], list[float] | None]:
        prompts, replies = [talk for talk, _ in talks], [reply for _, reply in talks]
        with lock:
            if isinstance(reward, UncertainReward):
                reward_N, spread_N = reward.score_with_spread(prompts, replies)
                spreads: list[float] | None = spread_N.tolist()
            else:
                reward_N, spreads = reward.score(prompts, replies), None
        if not np.isfinite(reward_N).all():
            raise HTTPException(500, f"{reward.name} gave a reward that is no number")
        return reward_N.tolist(), spreads

    @app.get("/v1/models", dependencies=[Depends(authorised)])
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "palaestra"}]}

    @app.post("/v1/rewards", dependencies=[Depends(authorised)])
    async def rewards(body: RewardRequest) -> dict[str, Any]:
        if body.model != name:
            raise HTTPException(404, f"found the model {body.model!r}, expected {name}")
        talks = _checked(body)
        reward_N, spread_N = await to_thread.run_sync(scored, [talk for item in talks for talk in item])
        data, start = [], 0
        for index, item in enumerate(talks):
            at = slice(start, start := start + len(item))
            spreads = None if spread_N is None else spread_N[at]
            data.append({"object": "reward", "index": index, "rewards": reward_N[at], "spreads": spreads})
        return {"object": "list", "model": name, "data": data}

    return app


def _checked(body: RewardRequest) -> list[list[tuple[tuple[Message, ...], str]]]:
    """The talks of each item.

    Raises:
        HTTPException: an item is malformed, or all together are too large.
    """
    try:
        talks = [item.talks() for item in body.input]
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    if (count := sum(map(len, talks))) > MOST_REPLIES:
        raise HTTPException(413, f"found {count} replies, expected at most {MOST_REPLIES} in one request")
    size = sum(len(reply) + sum(len(turn.text) for turn in talk) for item in talks for talk, reply in item)
    if size > MOST_CHARACTERS:
        raise HTTPException(413, f"found {size} characters, expected at most {MOST_CHARACTERS} in one request")
    return talks


def _error(status: int, message: str) -> Response:
    code = _CODES.get(status, "invalid_request_error")
    error = {"message": message, "type": "palaestra_error", "code": code, "param": None}
    return JSONResponse({"error": error}, status_code=status)


def _add_error_handlers(app: FastAPI) -> None:
    """Every error in the protocol's shape."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(PalaestraError)
    async def unscored(_: Request, error: PalaestraError) -> Response:
        return _error(400 if isinstance(error, ValueError) else 500, str(error))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        _log.error("a reward failed", exc_info=error)
        return _error(500, f"the reward failed with {type(error).__name__}; the server's log says more")

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def malformed(_: Request, error: RequestValidationError | ValidationError) -> Response:
        return _error(400, "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
