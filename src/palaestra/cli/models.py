"""`palaestra models`: list the contestants, see that they answer, give one an endpoint of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.cli.listening import answer, client_key, listen
from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.schema import Message, ModelSpec

if TYPE_CHECKING:
    from palaestra.gateway import Gateway

_QUESTION = "In one sentence: what is a leaderboard?"


def list_models(*, models: Path = Path("models.toml"), json: JsonTarget = None) -> None:
    """List the contestants of a models.toml.

    Parameters
    ----------
    models
        The file.
    """
    specs = _load(models)
    if json is not None:
        console.write_json([spec.to_dict() for spec in specs], json)
        return
    table = Table("model", "endpoint", "organization", "license", "in $/M", "out $/M")
    for spec in specs:
        prices = (f"{spec.input_price:g}", f"{spec.output_price:g}")
        table.add_row(spec.name, spec.endpoint, spec.organization or "", spec.license or "", *prices)
    console.show(table)


def check(*, models: Path = Path("models.toml"), json: JsonTarget = None) -> int:
    """Ask every contestant one short question. Exit code 1 if one does not answer.

    Parameters
    ----------
    models
        The file.
    """
    specs = _load(models)
    results = asyncio.run(_ask_all(specs))
    console.give(results, json, _results_table(results))
    failed = [result["model"] for result in results if not result["ok"]]
    if failed:
        console.complain(f"{len(failed)} of {len(results)} models did not answer: {', '.join(failed)}")
    return 1 if failed else 0


def serve(
    name: str,
    *,
    models: Path = Path("models.toml"),
    host: str = "127.0.0.1",
    port: int = 8001,
    key_env: str | None = None,
) -> None:
    """Give one contestant an OpenAI-compatible endpoint (/v1/chat/completions, /v1/models).

    Parameters
    ----------
    name
        The model, by its name in the file.
    models
        The file.
    host
        The address to listen on.
    port
        The port to listen on; 0 takes a free one.
    key_env
        The environment variable with the key that clients must send; without one, nobody is asked for a key.
    """
    try:
        import uvicorn  # noqa: F401 - the part that may be missing

        from palaestra.gateway.server import app_for
    except ImportError as error:
        raise MissingPartError(f"serving needs {error.name}: pip install 'palaestra[server]'") from error
    from palaestra.gateway import Gateway

    specs = [spec for spec in _load(models) if spec.name == name]
    if not specs:
        raise InputError(f"found no model {name!r} in {models}; see `palaestra models list --models {models}`")
    key = client_key(key_env)
    listening = listen(host, port)

    async def run() -> None:
        async with Gateway(specs) as gateway:
            app = app_for(gateway.stream, [name], key=key)
            console.note(f"{name} answers at http://{host}:{listening.getsockname()[1]}/v1  (Ctrl+C stops it)")
            await answer(app, listening)

    try:
        asyncio.run(run())
    finally:
        listening.close()


def _load(path: Path) -> tuple[ModelSpec, ...]:
    from palaestra.gateway import load_models

    return load_models(path)


async def _ask_all(specs: Sequence[ModelSpec]) -> list[dict[str, Any]]:
    from palaestra.gateway import Gateway

    async with Gateway(specs) as gateway:
        return list(await asyncio.gather(*(_ask(gateway, spec.name) for spec in specs)))


async def _ask(gateway: Gateway, name: str) -> dict[str, Any]:
    text, end = "", None
    try:
        async for piece in gateway.stream(name, [Message.of("user", _QUESTION)]):
            if isinstance(piece, str):
                text += piece
            else:
                end = piece
    except ModelError as error:
        return {"model": name, "ok": False, "error": error.record.model_dump()}
    if end is None:
        return {"model": name, "ok": False, "error": {"kind": "interrupted", "detail": "no end", "status": None}}
    writing = end.total_s - end.first_token_s
    tokens = end.usage.output_tokens
    return {
        "model": name,
        "ok": True,
        "first_token_s": end.first_token_s,
        "tokens_per_s": tokens / writing if tokens and writing > 0 else None,
        "output_tokens": tokens,
        "cost": end.usage.cost,
        "answer": text.strip(),
    }


def _results_table(results: list[dict[str, Any]]) -> Table:
    table = Table("model", "", "first token s", "tokens/s", "cost $", "answer")
    for result in results:
        if not result["ok"]:
            error = result["error"]
            table.add_row(result["model"], Text(error["kind"], "red"), "", "", "", _line(error["detail"]))
            continue
        speed, cost = result["tokens_per_s"], result["cost"]
        figures = (
            f"{result['first_token_s']:.2f}",
            f"{speed:.0f}" if speed else "?",
            "?" if cost is None else f"{cost:g}",
        )
        table.add_row(result["model"], Text("ok", "green"), *figures, _line(result["answer"]))
    return table


def _line(text: str) -> str:
    """The beginning of a text as one line that is safe to show on a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:80])
