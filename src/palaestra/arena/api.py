"""What the pages' scripts call. Until a battle's vote is stored, nothing here names a model.

Whatever follows the first prompt names the turn that the voter has before them, so that a page which another tab has
left behind is told so, and never acts on answers that it does not show.

Every error has the shape {"error": {"code", "message"}}, with words for people.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from palaestra.arena import pages
from palaestra.arena.battles import Battles, ended_state
from palaestra.arena.board import LiveBoard
from palaestra.arena.reveal import reveal
from palaestra.arena.turns import LiveTurn
from palaestra.arena.voters import known_voter, welcome
from palaestra.pictures.markdown import BlockStream
from palaestra.schema import ModelSpec
from palaestra.store.entries import Choice, Turn

_LONGEST_NUMBER = 10


class Prompt(BaseModel):
    """A message to both models."""

    prompt: str


class Vote(BaseModel):
    """Which answer is better; the side is the one on which it was shown."""

    choice: Choice


def turn_routes(battles: Battles) -> APIRouter:
    """Begin, go on, ask again, stop, watch."""
    routes = APIRouter(prefix="/api")
    watched = _Watched(battles)

    @routes.post("/battles", status_code=201)
    async def begin(body: Prompt, request: Request, response: Response) -> dict[str, Any]:
        return _begun(await battles.begin(welcome(request, response), body.prompt))

    @routes.post("/turns/{turn}/next", status_code=201)
    async def go_on(turn: str, body: Prompt, request: Request) -> dict[str, Any]:
        return _begun(await battles.go_on(known_voter(request), turn, body.prompt))

    @routes.post("/turns/{turn}/regenerate", status_code=201)
    async def ask_again(turn: str, request: Request) -> dict[str, Any]:
        return _begun(await battles.ask_again(known_voter(request), turn))

    @routes.post("/turns/{turn}/stop")
    async def stop(turn: str, request: Request) -> dict[str, str]:
        return {"state": await battles.stop(known_voter(request), turn)}

    @routes.get("/turns/{turn}/events", response_class=EventSourceResponse)
    async def events(
        turn: Annotated[LiveTurn | Turn, Depends(watched)], last_event_id: Annotated[str, Header()] = ""
    ) -> AsyncIterator[ServerSentEvent]:
        if isinstance(turn, Turn):
            yield ServerSentEvent(data=_ended(turn))
            return
        known = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < _LONGEST_NUMBER else 0
        async for number, event in turn.events(known):
            yield ServerSentEvent(data=event, id=str(number))

    return routes


def board_routes(battles: Battles, board: LiveBoard, specs: dict[str, ModelSpec]) -> APIRouter:
    """Vote, and what the votes amount to."""
    routes = APIRouter(prefix="/api")

    @routes.post("/turns/{turn}/vote")
    async def vote(turn: str, body: Vote, request: Request) -> dict[str, Any]:
        before = board.current
        voted = await battles.vote(known_voter(request), turn, body.choice)
        revealed = reveal(voted, specs, before, await board.after_vote())
        return {"reveal": revealed, "html": pages.reveal_fragment(revealed)}

    @routes.get("/leaderboard")
    async def leaderboard() -> dict[str, Any]:
        return board.current.to_dict()

    @routes.get("/leaderboard/events", response_class=EventSourceResponse)
    async def leaderboard_events() -> AsyncIterator[ServerSentEvent]:
        async for current in board.changes():
            html = pages.board_fragment(current, specs)
            yield ServerSentEvent(event="board", data={"html": html, "votes": current.data.votes})

    return routes


class _Watched:
    """The turn that a browser wants to watch: live, or as the ledger holds it; checked before the stream begins."""

    def __init__(self, battles: Battles) -> None:
        self._battles = battles

    async def __call__(self, turn: str, request: Request) -> LiveTurn | Turn:
        voter = known_voter(request)
        live = self._battles.live.get(turn)
        if live is not None and live.voter == voter:
            return live
        return await asyncio.to_thread(self._battles.ledger.turn, turn, voter)


def _begun(turn: Turn) -> dict[str, Any]:
    """What the browser needs to watch a turn; `html` is the turn's place in the page, empty as yet."""
    view = pages.turn_view(turn, live=True)
    return {"battle": turn.battle, "turn": {"id": turn.id, "events": view["events"], "html": pages.turn_fragment(view)}}


def _ended(turn: Turn) -> dict[str, Any]:
    """The one event of a turn that nobody is answering any more."""
    event: dict[str, Any] = {"state": ended_state(turn)}
    for answer in (turn.a, turn.b):
        stream = BlockStream()
        blocks = [[k, html] for k, html in stream.finish(answer.text)]
        event[answer.side] = {
            "blocks": blocks,
            "count": len(stream.blocks),
            "failed": answer.state == "failed",
        }
    return event
