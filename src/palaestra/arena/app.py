"""The arena as a web application: routes, errors, and what runs beside them.

Everything that it needs is handed in: the ledger, the contestants, how to ask a model, how to fit a board.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from palaestra.arena import pages
from palaestra.arena.api import api_routes
from palaestra.arena.battles import Battles
from palaestra.arena.board import Fit, LiveBoard
from palaestra.arena.guard import Guard, refusal
from palaestra.arena.pairing import Matchmaker
from palaestra.arena.turns import Ask
from palaestra.errors import DatabaseError, LedgerError
from palaestra.schema import ModelSpec
from palaestra.store.ledger import Ledger

_STATIC = Path(__file__).parent / "static"
_log = logging.getLogger(__name__)


class ArenaConfig(BaseModel):
    """The arena's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pace: float = Field(default=240.0, gt=0)
    """Characters a second that are shown of each answer, at most."""
    longest_prompt: int = Field(default=20_000, ge=1, le=200_000)
    """Characters in a message, at most."""
    most_turns: int = Field(default=20, ge=1)
    """Turns in a battle, at most."""
    most_live: int = Field(default=256, ge=1)
    """Turns answered at the same time, by everybody together."""
    most_live_each: int = Field(default=2, ge=1)
    """Turns answered at the same time, by one voter."""
    seed: int | None = None
    """Seed of the draw of pairs and sides; without one, the operating system's randomness."""


def create_app(  # noqa: D417 - config is the first edition's settings, described above
    *, ledger: Ledger, specs: Sequence[ModelSpec], ask: Ask, fit: Fit, config: ArenaConfig | None = None
) -> FastAPI:
    """The application.

    Args:
        ledger: open; closed by whoever opened it.
        specs: the contestants, at least two.
        ask: asks a model by name; yields text and at last a Completion, or raises ModelError.
        fit: turns a frame of votes into a leaderboard.

    Raises:
        MissingPartError: fewer than two contestants.
        DatabaseError: the ledger cannot be read or written.
    """
    config = config or ArenaConfig()
    interrupted = ledger.mark_interrupted()
    if interrupted:
        _log.warning("%d answers were left unfinished by the last server; they are marked as interrupted", interrupted)
    by_name = {spec.name: spec for spec in specs}
    battles = Battles(
        ledger,
        Matchmaker(list(by_name), seed=config.seed),
        ask,
        ceiling=config.pace,
        longest_prompt=config.longest_prompt,
        most_turns=config.most_turns,
        most_live=config.most_live,
        most_live_each=config.most_live_each,
    )
    board = LiveBoard(ledger, fit)
    app = FastAPI(title="Palaestra arena", lifespan=_lifespan(battles), docs_url=None, redoc_url=None)
    app.state.battles = battles
    app.add_middleware(Guard)
    app.include_router(api_routes(battles, board, by_name))
    app.include_router(pages.page_routes(battles, board, by_name))
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _add_error_handlers(app)
    return app


def _lifespan(battles: Battles):  # noqa: ANN202 - FastAPI's own type
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        saving = asyncio.create_task(battles.save_progress())
        yield
        saving.cancel()
        with suppress(asyncio.CancelledError):
            await saving
        await battles.close()

    return lifespan


def _add_error_handlers(app: FastAPI) -> None:
    """Every error in words: as JSON below /api, as a page elsewhere."""

    def answer(request: Request, status: int, code: str, message: str) -> Response:
        if request.url.path.startswith("/api/"):
            return refusal(status, code, message)
        return pages.error_page(request, status, message)

    @app.exception_handler(LedgerError)
    async def refused(request: Request, error: LedgerError) -> Response:
        code = type(error).__name__.removesuffix("Error").lower()
        return answer(request, error.status, code, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        return answer(request, 422, "malformed", f"The request is malformed: {wrong}")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        missing = error.status_code == 404  # noqa: PLR2004 - the status that people know by number
        message = "There is nothing at this address." if missing else str(error.detail)
        return answer(request, error.status_code, "missing" if missing else "http", message)

    @app.exception_handler(DatabaseError)
    async def database_failed(request: Request, error: DatabaseError) -> Response:
        _log.error("%s", error)
        return answer(request, 503, "database", "The arena cannot write at the moment, so nothing was recorded. Try again.")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:
        return answer(request, 500, "unforeseen", "Something went wrong here. Nothing was recorded. Try again.")
