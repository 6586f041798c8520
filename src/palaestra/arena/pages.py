"""The pages that a person reads: battle, leaderboard, about; Jinja templates that are readable without a script."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from palaestra.arena.battles import Battles, ended_state
from palaestra.arena.board import LiveBoard
from palaestra.arena.reveal import reveal
from palaestra.arena.voters import known_voter, welcome
from palaestra.pictures.markdown import highlight_css, render
from palaestra.schema import Leaderboard, ModelSpec
from palaestra.store.entries import Answer, BattleState, Turn

TEMPLATES = Jinja2Templates(Path(__file__).parent / "templates")
_TICKS = 5


def page_routes(battles: Battles, board: LiveBoard, specs: dict[str, ModelSpec]) -> APIRouter:
    """The routes of pages."""
    routes = APIRouter(include_in_schema=False)
    limits = {"prompt": battles.settings.longest_prompt, "turns": battles.settings.most_turns}
    highlight = highlight_css()

    @routes.get("/", response_class=HTMLResponse)
    async def new_battle(request: Request) -> Response:
        page = shown(request, "battle", "New battle", battle=None, limits=limits)
        welcome(request, page)  # here, and not with the first message: two tabs may send theirs at the same moment
        return page

    @routes.get("/battle/{battle}", response_class=HTMLResponse)
    async def one_battle(battle: str, request: Request) -> Response:
        live = frozenset(
            battles.live
        )  # before the ledger: a turn that ends in between is then streamed, not "interrupted"
        found = await asyncio.to_thread(battles.ledger.battle, battle, known_voter(request))
        view = await asyncio.to_thread(_battle_view, found, live, board, specs)
        return shown(request, "battle", "Battle", battle=view, limits=limits)

    @routes.get("/leaderboard", response_class=HTMLResponse)
    async def leaderboard(request: Request) -> Response:
        return shown(request, "leaderboard", "Leaderboard", **_board_view(board.current, specs))

    @routes.get("/about", response_class=HTMLResponse)
    async def about(request: Request) -> Response:
        listed = [{"model": s.name, "organization": s.organization, "license": s.license} for s in specs.values()]
        return shown(request, "about", "About", models=listed)

    @routes.get("/highlight.css")
    async def highlight_style() -> Response:
        return Response(highlight, media_type="text/css", headers={"cache-control": "max-age=3600"})

    return routes


def board_fragment(board: Leaderboard, specs: dict[str, ModelSpec]) -> str:
    """The leaderboard's table as HTML, for a page that is open."""
    return TEMPLATES.env.get_template("_board.html").render(**_board_view(board, specs))


def turn_fragment(view: dict[str, Any]) -> str:
    """A turn as HTML, for a page that is open."""
    return str(TEMPLATES.env.get_template("_turn.html").module.show(view))  # ty: ignore[missing-attribute] - a macro


def reveal_fragment(revealed: dict[str, Any]) -> str:
    """Who was who, as HTML, for a page that is open."""
    return TEMPLATES.env.get_template("_reveal.html").render(reveal=revealed)


def error_page(request: Request, status: int, message: str) -> Response:
    """A page that says what went wrong."""
    return shown(request, "error", f"Error {status}", status_code=status, status=status, message=message)


def shown(request: Request, page: str, title: str, *, status_code: int = 200, **context: Any) -> Response:  # noqa: ANN401 - a template's values
    """A page from its template."""
    values = {"page": page, "title": title, **context}
    response = TEMPLATES.TemplateResponse(request, f"{page}.html", values, status_code=status_code)
    response.headers["cache-control"] = "no-store"
    return response


def turn_view(turn: Turn, *, live: bool) -> dict[str, Any]:
    """A turn as the templates take it."""
    return {
        "id": turn.id,
        "events": f"/api/turns/{turn.id}/events",
        "prompt": turn.prompt,
        "state": "waiting" if live else ended_state(turn),
        "live": live,
        "a": _answer_view(turn.a, live=live),
        "b": _answer_view(turn.b, live=live),
    }


def _battle_view(
    battle: BattleState, live: frozenset[str], board: LiveBoard, specs: dict[str, ModelSpec]
) -> dict[str, Any]:
    turns = [turn_view(turn, live=turn.id in live) for turn in battle.turns]
    shown = reveal(battle, specs, None, board.current) if battle.choice else None
    return {"id": battle.id, "state": "voted" if battle.choice else "open", "turns": turns, "reveal": shown}


def _answer_view(answer: Answer, *, live: bool) -> dict[str, Any]:
    """A live answer comes by the stream alone: what the ledger holds of it may be ahead of the common pace."""
    return {"html": Markup("" if live else render(answer.text)), "failed": answer.state == "failed"}  # noqa: S704 - render's output is sanitised


def _board_view(board: Leaderboard, specs: dict[str, ModelSpec]) -> dict[str, Any]:
    rows = []
    for line in board.models:
        spec = specs.get(line.model)
        made_by = {
            "organization": spec.organization if spec else None,
            "license": spec.license if spec else None,
        }
        rows.append(line.model_dump() | made_by)
    rated = {line.model for line in board.models}
    return {
        "rows": rows,
        "unrated": [name for name in specs if name not in rated],
        "axis": axis_of(board),
        "votes": board.data.votes,
        "voters": board.data.voters or 0,
        "updated": board.data.last or datetime.now(UTC),
        "warnings": board.warnings,
        "held_out_log_loss": board.fit.held_out_log_loss,
    }


def axis_of(board: Leaderboard) -> dict[str, Any]:
    """A common scale for all intervals, with round ticks."""
    low = min((line.lower for line in board.models), default=900.0)
    high = max((line.upper for line in board.models), default=1100.0)
    rough = max(high - low, 1.0) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    start, end = math.floor(low / step) * step, math.ceil(high / step) * step
    count = round((end - start) / step)
    return {"min": start, "max": end, "ticks": [start + step * index for index in range(count + 1)]}
