"""`palaestra reward serve`: a reward as an endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

from palaestra import console
from palaestra.cli.listening import answer, client_key, listen
from palaestra.errors import MissingPartError


def serve(
    reward: str,
    *,
    name: str | None = None,
    models: Path = Path("models.toml"),
    host: str = "127.0.0.1",
    port: int = 8002,
    key_env: str | None = None,
) -> None:
    """Give a reward an endpoint (POST /v1/rewards, GET /v1/models).

    Parameters
    ----------
    reward
        A folder that `reward train` wrote, rule:length, perplexity:gguf:smollm2 ...
    name
        The name under which it is served; its own if left out.
    models
        The models.toml, for features of an endpoint.
    host
        The address to listen on.
    port
        The port to listen on; 0 takes a free one.
    key_env
        The environment variable with the key that clients must send; without one, nobody is asked for a key.
    """
    try:
        import uvicorn  # noqa: F401 - the part that may be missing

        from palaestra.rewards.serve import app_for
    except ImportError as error:
        raise MissingPartError(f"serving needs {error.name}: pip install 'palaestra[server]'") from error
    from palaestra.gateway import load_models
    from palaestra.rewards.model import load_reward

    key = client_key(key_env)
    loaded = load_reward(reward, specs=load_models(models) if models.is_file() else ())
    served = name or loaded.name
    listening = listen(host, port)
    try:
        app = app_for(loaded, served, key=key)
        console.note(f"{served} answers at http://{host}:{listening.getsockname()[1]}/v1/rewards  (Ctrl+C stops it)")
        asyncio.run(answer(app, listening))
    finally:
        listening.close()
