"""`palaestra arena`: serve an arena, and take its battles out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from palaestra import console
from palaestra.arena.settings import ArenaSettings
from palaestra.cli.listening import answer, listen
from palaestra.errors import InputError, MissingPartError
from palaestra.schema import Leaderboard


def serve(*, settings: Annotated[ArenaSettings, Parameter(name="*")] | None = None) -> None:
    """Open an arena in the browser."""
    settings = settings or ArenaSettings()
    try:
        import uvicorn  # noqa: F401 - the part that may be missing

        from palaestra.arena.app import create_app
        from palaestra.gateway import Gateway, load_models
    except ImportError as error:
        raise MissingPartError(f"the arena needs {error.name}: pip install 'palaestra[arena]'") from error
    from palaestra import ranking
    from palaestra.ranking.live import warm_up
    from palaestra.store.ledger import Ledger

    specs = load_models(settings.models)
    prompt_board = None if settings.p2l is None else _prompt_board(settings.p2l)
    listening = listen(settings.host, settings.port)
    ledger = Ledger(settings.database)

    async def run() -> None:
        local = sorted({spec.endpoint for spec in specs if spec.endpoint.startswith("local:")})
        if local:
            console.note(f"Loading {', '.join(local)} ...")
        ready = asyncio.create_task(asyncio.to_thread(warm_up))
        async with Gateway(specs) as gateway:
            await ready
            plan = ranking.pair_probabilities if settings.pairing == "active" else None
            app = create_app(
                settings, ledger=ledger, specs=specs, ask=gateway.stream, fit=ranking.LiveFit(), plan=plan,
                prompt_board=prompt_board,
            )  # fmt: skip
            console.note(f"{len(specs)} contestants; the ledger is {ledger.engine.url}")
            console.note(f"The arena is open: http://{settings.host}:{listening.getsockname()[1]}  (Ctrl+C closes it)")
            await answer(app, listening)

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        asyncio.run(run())
    finally:
        ledger.close()
        listening.close()


def _prompt_board(folder: Path) -> Callable[[str], Leaderboard]:
    """What foretells the leaderboard of a prompt."""
    from palaestra.p2l.leaderboard import leaderboard
    from palaestra.p2l.model import load_prompt_boards

    boards = load_prompt_boards(folder)

    def foretell(prompt: str) -> Leaderboard:
        return leaderboard(boards, [prompt], category="prompt")

    console.note(f"Loading the leaderboards of prompts from {folder} ...")
    foretell("Hello?")  # what it loads and compiles, nobody has to wait for later
    return foretell


def export(database: str = ArenaSettings().database, *, out: Annotated[Path, Parameter(name=["--out", "-o"])]) -> None:
    """Write every voted battle, with both conversations, to a Parquet file in the columns of the public releases.

    Parameters
    ----------
    database
        The ledger of an arena.
    out
        The Parquet file to write; one that exists is replaced only when the new one is complete.
    """
    import pyarrow.parquet as pq

    from palaestra.schema import Battle, to_table
    from palaestra.store.ballots import battle_records
    from palaestra.store.database import open_engine
    from palaestra.whole_file import whole_file

    if not out.name or out.is_dir() or not out.parent.is_dir():
        raise InputError(f"found --out {str(out)!r}, expected a file in a folder that exists, e.g. battles.parquet")
    engine = open_engine(database)
    table = to_table(Battle, battle_records(engine))
    engine.dispose()
    with whole_file(out) as part:
        pq.write_table(table, part, compression="zstd")
    console.note(f"{table.num_rows} battles written to {out}")
