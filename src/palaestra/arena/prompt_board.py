"""A page that takes a prompt and draws its own leaderboard, beside the one of all prompts.

Who foretells the leaderboard is handed in. The prompt is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from palaestra.arena import pages
from palaestra.arena.board import LiveBoard
from palaestra.arena.guard import refusal
from palaestra.errors import InputError
from palaestra.schema import Leaderboard, ModelSpec

PromptBoard = Callable[[str], Leaderboard]


class Asked(BaseModel):
    """Whose leaderboard is wanted."""

    prompt: str


def prompt_routes(foretell: PromptBoard, board: LiveBoard, specs: dict[str, ModelSpec], *, longest: int) -> APIRouter:
    """The page, and what its script calls.

    Args:
        foretell: the leaderboard of a prompt.
        board: of all prompts, for the ranks there.
        specs: the contestants; others on the prompt's leaderboard are shown too.
        longest: characters in a prompt, at most.
    """
    routes = APIRouter(include_in_schema=False)
    one_at_a_time = asyncio.Lock()

    @routes.get("/prompt", response_class=HTMLResponse)
    async def page(request: Request) -> Response:
        return pages.shown(request, "foretold", "A prompt's leaderboard", longest=longest)

    @routes.post("/api/prompt", response_model=None)
    async def leaderboard(body: Asked) -> dict[str, Any] | Response:
        if not body.prompt.strip():
            return refusal(422, "empty", "Write a prompt first.")
        if len(body.prompt) > longest:
            return refusal(
                422, "too_long", f"This prompt has {len(body.prompt)} characters, at most {longest} are read."
            )
        try:
            async with one_at_a_time:
                found = await asyncio.to_thread(foretell, body.prompt)
        except InputError as error:
            return refusal(422, "refused", str(error))
        told = found.to_dict()
        return {
            "models": told["models"],
            "warnings": told["warnings"],
            "html": prompt_fragment(found, board.current, specs),
        }

    return routes


def prompt_fragment(found: Leaderboard, overall: Leaderboard, specs: dict[str, ModelSpec]) -> str:
    """The table as HTML."""
    ranks = {line.model: line.rank for line in overall.models}
    rows = [
        line.model_dump()
        | {
            "overall": ranks.get(line.model),
            "organization": specs[line.model].organization if line.model in specs else None,
        }
        for line in found.models
    ]
    template = pages.TEMPLATES.env.get_template("_prompt_board.html")
    return template.render(rows=rows, axis=pages.axis_of(found), warnings=found.warnings)
