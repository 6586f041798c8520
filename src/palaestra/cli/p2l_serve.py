"""`palaestra p2l serve`: the router behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from palaestra import console
from palaestra.cli.listening import answer, client_key, listen
from palaestra.errors import InputError, MissingPartError
from palaestra.p2l.router import RouterConfig, load_router

Config = Annotated[RouterConfig, Parameter(name="*")]
Only = Annotated[list[str] | None, Parameter(name="--only", help="A model that may be taken; repeat it.", negative=())]


def serve(
    model: Path,
    *,
    models: Path = Path("models.toml"),
    config: Config | None = None,
    usage: str | None = None,
    opponents: str | None = None,
    only: Only = None,
    on_error: Literal["error", "next"] = "error",
    purse: Path | None = None,
    total: float | None = None,
    name: str = "router",
    host: str = "127.0.0.1",
    port: int = 8002,
    key_env: str | None = None,
) -> None:
    """Answer every conversation through the model that is best for it and for the money; a page shows why.

    Parameters
    ----------
    model
        The folder of a trained model.
    models
        Endpoints and prices of the models.
    usage
        How long answers are: a table with model and output_tokens, or an arena's database.
    opponents
        Votes; models are compared with others as often as those stand in them. Else with all alike.
    on_error
        What happens if the chosen model fails before its first word: its error is given, or the next best is asked.
    purse
        A file that keeps what has been spent; with --total.
    total
        What all calls together may cost, whatever is asked. Needs max_tokens of every model that costs something.
    name
        The name under which the router is asked.
    host
        The address to listen on.
    port
        The port to listen on; 0 takes a free one.
    key_env
        The environment variable with the key that clients must send; without one, nobody is asked for a key.
    """
    try:
        import uvicorn  # noqa: F401 - the part that may be missing

        from palaestra.p2l.serve import RouterModel, router_app, warm_up
    except ImportError as error:
        raise MissingPartError(f"serving needs {error.name}: pip install 'palaestra[server,gateway]'") from error
    from palaestra.gateway import Gateway
    from palaestra.p2l.budget import Purse

    if (purse is None) != (total is None):
        raise InputError("found one of --purse and --total, expected both: where the money is kept, and how much it is")
    key = client_key(key_env)
    router = load_router(model, models, config, usage=usage, opponents=opponents, only=only or ())
    for note in router.notes:
        console.warn(note)
    money = Purse(purse, total) if purse is not None and total is not None else None
    listening = listen(host, port)

    async def run() -> None:
        async with Gateway(router.costs.specs) as gateway:
            routed = RouterModel(router, gateway.stream, on_error=on_error, purse=money)
            await warm_up(routed)
            app = router_app(routed, name, key=key)
            at = f"http://{host}:{listening.getsockname()[1]}"
            console.note(f"{name} answers at {at}/v1 through {len(router.models)} models; leaderboards are at {at}")
            await answer(app, listening)

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("palaestra.p2l").setLevel(logging.INFO)
    try:
        asyncio.run(run())
    finally:
        listening.close()
        if money is not None:
            money.close()
