"""`palaestra run watch`: a page that follows runs while they go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from palaestra import console
from palaestra.cli.listening import answer, listen
from palaestra.errors import MissingPartError


def watch(run: Path, *, port: int = 8003) -> None:
    """Curves and samples of a run that goes on, in the browser; of a folder with several, side by side.

    Parameters
    ----------
    run
        The folder of a run, or one with runs in it.
    port
        The port of 127.0.0.1 to listen on; 0 takes a free one.
    """
    try:
        import uvicorn  # noqa: F401 - the part that may be missing

        from palaestra.runs.live import watch_app
    except ImportError as error:
        raise MissingPartError(f"a live page needs {error.name}: pip install 'palaestra[server]'") from error

    app = watch_app(run)
    listening = listen("127.0.0.1", port)
    try:
        console.note(f"{run} is shown at http://127.0.0.1:{listening.getsockname()[1]}  (Ctrl+C ends it)")
        asyncio.run(answer(app, listening))
    finally:
        listening.close()
