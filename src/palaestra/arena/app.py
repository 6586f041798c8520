"""The arena as a web application: routes, errors, and what runs beside them.

Everything that it needs is handed in: the ledger, the contestants, how to ask a model, how to fit a board.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from palaestra.arena import pages
from palaestra.arena.api import board_routes, turn_routes
from palaestra.arena.battles import Battles
from palaestra.arena.board import Fit, LiveBoard
from palaestra.arena.guard import Guard, refusal
from palaestra.arena.pairing import Matchmaker
from palaestra.arena.prompt_board import PromptBoard, prompt_routes
from palaestra.arena.settings import ArenaSettings
from palaestra.arena.turns import Ask
from palaestra.errors import DatabaseError, LedgerError
from palaestra.schema import Leaderboard, ModelSpec
from palaestra.store.ledger import Ledger

_STATIC = Path(__file__).parent / "static"
_log = logging.getLogger(__name__)


PlanForBoard = Callable[[Leaderboard, Sequence[str]], Mapping[tuple[str, str], float]]
"""The probability of each unordered pair of some models, given the board."""


def create_app(
    settings: ArenaSettings,
    *,
    ledger: Ledger,
    specs: Sequence[ModelSpec],
    ask: Ask,
    fit: Fit,
    plan: PlanForBoard | None = None,
    prompt_board: PromptBoard | None = None,
) -> FastAPI:
    """The application.

    Args:
        settings: limits, pace and seed; what is listened on and opened is the caller's business.
        ledger: open; closed by whoever opened it.
        specs: the contestants, at least two.
        ask: asks a model by name; yields text and at last a Completion, or raises ModelError.
        fit: called with the votes that are new, gives the leaderboard of all votes so far.
        plan: how pairs are drawn, given the current board; evenly if None.
        prompt_board: the leaderboard of a prompt, for a page of its own; there is none if None.

    Raises:
        InputError: fewer than two contestants.
        DatabaseError: the ledger cannot be read or written.
    """
    interrupted = ledger.mark_interrupted()
    if interrupted:
        _log.warning("%d answers were left unfinished by the last server; they are marked as interrupted", interrupted)
    by_name = {spec.name: spec for spec in specs}
    board = LiveBoard(ledger, fit)
    planned = None if plan is None else lambda models: plan(board.current, models)
    battles = Battles(settings, ledger, Matchmaker(list(by_name), seed=settings.seed, plan=planned), ask)
    app = FastAPI(title="Palaestra arena", lifespan=_lifespan(battles), docs_url=None, redoc_url=None)
    app.state.battles = battles
    app.state.has_prompt_board = prompt_board is not None
    app.add_middleware(Guard)
    app.include_router(turn_routes(battles))
    app.include_router(board_routes(battles, board, by_name))
    app.include_router(pages.page_routes(battles, board, by_name))
    if prompt_board is not None:
        app.include_router(prompt_routes(prompt_board, board, by_name, longest=settings.longest_prompt))
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _add_error_handlers(app)
    return app


def _lifespan(battles: Battles):  # noqa: ANN202 - FastAPI's own type
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
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
        return answer(
            request,
            503,
            "database",
            "The arena cannot write at the moment, so nothing was recorded. Try again.",
        )

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:
        return answer(request, 500, "unforeseen", "Something went wrong here. Reload the page: it shows what was kept.")
