"""The router as a model: it answers every conversation through the model that it chooses, and says which, and why.

    POST /v1/chat/completions    as any model (`gateway/server.py`), under one name
    POST /v1/leaderboard         {"prompt": ...}: the prompt's own leaderboard, what would be chosen, and what it costs
    GET  /                       the same as a page (`page.py`)

What was chosen is told in headers and in the field `palaestra`, and in the log. A model that does not answer is an
error like any other, unless the server was told to ask the next best one (`on_error="next"`); then those that failed
are told too. Once a word has been sent, there is no other model. With a purse no call begins that it could not pay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from palaestra.errors import InputError, ModelError
from palaestra.gateway.client import Completion, Sampling
from palaestra.gateway.server import Told, app_for, key_check
from palaestra.p2l.aggregate import board_of
from palaestra.p2l.budget import EmptyPurseError, Purse, ceiling_of
from palaestra.p2l.leaderboard import record_of
from palaestra.p2l.page import prompt_page
from palaestra.p2l.router import Outlook, Router, Routing
from palaestra.schema import ErrorRecord, Message

OnError = Literal["error", "next"]
_FRAME = 32
"""Bytes that a chat template may put around a message, each of them a token at worst."""
_log = logging.getLogger(__name__)


Ask = Callable[[str, Sequence[Message], Sampling], AsyncGenerator[str | Completion]]
"""How a model is asked: `Gateway.stream`."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One draw: the model, and what is told of it."""

    model: str
    told: dict[str, Any]


class RouterModel:
    """Completes conversations.

    Args:
        router: decides.
        ask: asks.
        on_error: what to do if the chosen model fails before its first word.
        purse: pays for calls, if there is a limit on all of them together.
    """

    def __init__(self, router: Router, ask: Ask, *, on_error: OnError = "error", purse: Purse | None = None) -> None:
        self.router, self._ask, self._on_error, self.purse = router, ask, on_error, purse
        self._rng = np.random.default_rng(router.config.seed)
        self._one_at_a_time = asyncio.Lock()

    async def look(self, prompt: str, length: int | None = None) -> Outlook:
        """What is known of a prompt, without holding up other requests meanwhile."""
        async with self._one_at_a_time:  # what makes vectors of texts need not be safe to share
            return await asyncio.to_thread(self.router.outlook, [prompt], None if length is None else [length])

    async def complete(
        self, _: str, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[str | Completion | Told]:
        """Choose, ask, and tell.

        Raises:
            ModelError: nothing was asked; the budget or the purse buys no model; or the model failed, and no other one
                can be had: then the failure is told, not the want of money.
        """
        prompt = said_by_user(messages)
        outlook = await self.look(prompt, sum(len(message.text) for message in messages))
        failed: list[dict[str, str]] = []
        failure: ModelError | None = None
        while True:
            try:
                chosen = self._choose(outlook, messages, sampling, failed)
            except ModelError as nobody:
                raise failure or nobody from None
            begun = False
            try:
                async with aclosing(self._paid(chosen, messages, sampling)) as pieces:
                    async for piece in pieces:
                        if not begun:
                            _log.info("%s", chosen.told)
                            yield Told(chosen.told)
                            begun = True
                        yield piece
            except ModelError as error:
                _log.warning("%s failed: %s", chosen.model, error)
                failed.append({"model": chosen.model, "error": error.record.kind})
                failure = error
                if begun or self._on_error == "error" or len(failed) == len(self.router.models):
                    raise
            else:
                return

    async def _paid(
        self, chosen: Chosen, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[str | Completion]:
        """The model's pieces. A call that nobody counted to its end has cost all that was set aside for it."""
        if self.purse is None:
            async with aclosing(self._ask(chosen.model, messages, sampling)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        try:
            call = self.purse.set_aside(chosen.model, self._ceiling(chosen.model, messages, sampling))
        except EmptyPurseError as error:  # another request was faster
            raise ModelError(ErrorRecord(kind="rate_limited", detail=str(error))) from error
        cost = None
        try:
            async with aclosing(self._ask(chosen.model, messages, sampling)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Completion):
                        cost = piece.usage.cost
                    yield piece
        except ModelError as error:
            cost = 0.0 if error.record.kind in {"unreachable", "rate_limited", "refused"} else None
            raise
        finally:
            self.purse.pay(call, cost)

    def _choose(
        self, outlook: Outlook, messages: Sequence[Message], sampling: Sampling, failed: list[dict[str, str]]
    ) -> Chosen:
        names = {one["model"] for one in failed}
        allowed_M = np.array([name not in names for name in self.router.models])
        if self.purse is not None:
            left = self.purse.left
            afforded_M = [self._ceiling(name, messages, sampling) <= left for name in self.router.models]
            allowed_M &= np.array(afforded_M)
        if not allowed_M.any():
            left = 0.0 if self.purse is None else self.purse.left
            raise ModelError(ErrorRecord(kind="rate_limited", detail=f"the {left:.6g} left in the purse buy no call"))
        try:
            routing = self.router.route(outlook, allowed_M=allowed_M)
        except InputError as error:
            raise ModelError(ErrorRecord(kind="refused", detail=str(error))) from error
        mixtures = routing.mixtures
        drawn = self._rng.random() < mixtures.share_P[0]
        number = int((mixtures.high_P if drawn else mixtures.low_P)[0])
        told = described(routing) | {
            "model": routing.models[number],
            "expected_cost": float(outlook.cost_PM[0, number]),
        }
        if failed:
            told["failed"] = list(failed)
        return Chosen(routing.models[number], told)

    def _ceiling(self, name: str, messages: Sequence[Message], sampling: Sampling) -> float:
        spec = next(spec for spec in self.router.costs.specs if spec.name == name)
        texts = [message.text for message in messages] + [spec.system or "", spec.template or ""]
        sent = sum(len(text.encode()) + _FRAME for text in texts)
        try:
            most = sampling.max_tokens or spec.max_tokens
            return ceiling_of(sent, most, spec.input_price, spec.output_price, name)
        except InputError as error:
            raise ModelError(ErrorRecord(kind="refused", detail=str(error))) from error


def said_by_user(messages: Sequence[Message]) -> str:
    """What the prompt's leaderboard is of: the user's turns, joined by a blank line.

    Raises:
        ModelError: the user has said nothing.
    """
    prompt = "\n\n".join(message.text for message in messages if message.role == "user")
    if not prompt.strip():
        words = "found no words of the user, expected a message of the role user with some text"
        raise ModelError(ErrorRecord(kind="refused", detail=words))
    return prompt


def described(routing: Routing) -> dict[str, Any]:
    """What is told of a decision about one prompt."""
    return {
        "model": next(iter(routing.chances(0))),
        "reason": routing.reason_P[0],
        "chances": routing.chances(0),
        "expected_score": float(routing.mixtures.value_P[0]),
        "expected_cost": float(routing.mixtures.cost_P[0]),
        "strength": float(routing.strength_P[0]),
    }


async def warm_up(model: RouterModel) -> None:
    """Load and compile what the first request would wait for.

    Raises:
        MissingPartError: an extra that makes vectors of prompts is not installed.
    """
    await asyncio.to_thread(answer_of, model.router, await model.look("Hello?"), "Hello?")


class Asked(BaseModel):
    """Whose leaderboard is wanted."""

    prompt: str = Field(min_length=1)


def router_app(model: RouterModel, name: str = "router", *, key: str | None = None) -> FastAPI:
    """The server.

    Args:
        model: the router.
        name: under which it is asked.
        key: if given, requests must carry it as a bearer token; the page asks for it.
    """
    app = app_for(model.complete, [name], key=key)

    async def answer(text: str) -> dict[str, Any]:
        prompt = said_by_user([Message.of("user", text)])
        return await asyncio.to_thread(answer_of, model.router, await model.look(prompt), prompt)

    @app.post("/v1/leaderboard", dependencies=[Depends(key_check(key))])
    async def leaderboard(body: Asked) -> dict[str, Any]:
        return await answer(body.prompt)

    @app.get("/", include_in_schema=False)
    async def empty_page() -> Response:
        return HTMLResponse(prompt_page(name, needs_key=key is not None))

    @app.post("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        sent = {field: said[0] for field, said in parse_qs((await request.body()).decode(errors="replace")).items()}
        prompt, wrong, found = sent.get("prompt", ""), None, None
        if key is not None and sent.get("key") != key:
            wrong = "This is not the key that this server was started with."
        elif not prompt.strip():
            wrong = "There is no prompt: write what a person would ask."
        else:
            try:
                found = await answer(prompt)
            except InputError as error:
                wrong = str(error)
        text = prompt_page(name, needs_key=key is not None, prompt=prompt, found=found, wrong=wrong)
        return HTMLResponse(text, status_code=200 if wrong is None else 400)

    return app


def answer_of(router: Router, outlook: Outlook, prompt: str) -> dict[str, Any]:
    """A prompt's leaderboard as JSON: the board's record, what would be chosen, and what each routed model costs."""
    found = board_of(router.boards.kind, outlook.coefficients)
    board = record_of(router.boards, found, [prompt], category="prompt").to_dict()
    try:
        decision: dict[str, Any] = described(router.route(outlook))
    except InputError as error:
        decision = {"error": str(error)}
    routed = {
        name: {"expected_score": float(outlook.value_PM[0, place]), "expected_cost": float(outlook.cost_PM[0, place])}
        for place, name in enumerate(router.models)
    }
    told = ("category", "models", "settings", "usable", "warnings")  # data and fit are those of all votes
    return {"board": {key: board[key] for key in told}, "decision": decision, "routed": routed}
