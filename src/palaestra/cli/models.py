"""`palaestra models`: list the contestants, see that they answer, enrol a checkpoint, give one an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.cli.listening import answer, client_key, listen
from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.recipes.gate import GateConfig
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


def add(
    checkpoint: Path,
    *,
    name: str | None = None,
    models: Path = Path("models.toml"),
    organization: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's name
    system: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    gate: Annotated[GateConfig | None, Parameter(name="*")] = None,
    json: JsonTarget = None,
) -> int:
    """Enrol a trained checkpoint: one more [[model]] table at the end of a models.toml, all else as it was.

    Parameters
    ----------
    checkpoint
        A folder of Hugging Face, the folder of a run that made one, or a GGUF file.
    name
        The name on the leaderboard; the folder's if left out.
    models
        The file; made if it is not there.
    organization
        Who made it.
    license
        Of its weights.
    system
        A system prompt sent before every conversation.
    temperature
        At which it answers; the endpoint's default (1) if left out.
    max_tokens
        Of an answer, at most; what its context has room for if left out.
    """
    from palaestra.cli.enrolment import enrol_spec
    from palaestra.gateway.enrol import checkpoint_spec

    spec = checkpoint_spec(
        checkpoint, name, organization=organization, license=license, system=system, temperature=temperature,
        max_tokens=max_tokens,
    )  # fmt: skip
    if code := enrol_spec(spec, models, gate or GateConfig()):
        return code
    if json is not None:
        console.write_json(spec.to_dict(), json)
    return 0


def serve(
    model: str,
    *,
    models: Path = Path("models.toml"),
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8001,
    key_env: str | None = None,
) -> None:
    """Give a contestant or a trained checkpoint an OpenAI-compatible endpoint (/v1/chat/completions, /v1/models).

    Parameters
    ----------
    model
        A folder of Hugging Face, the folder of a run that made one, a GGUF file; or a model by its name in the file.
    models
        The file.
    name
        Under which it is served; its own if left out.
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

    spec = _served(model, models)
    spec = spec.model_copy(update={"name": name or spec.name, "api_name": spec.api_name or spec.name})
    key = client_key(key_env)
    listening = listen(host, port)

    async def run() -> None:
        async with Gateway([spec]) as gateway:
            app = app_for(gateway.stream, [spec.name], key=key)
            console.note(f"{spec.name} answers at http://{host}:{listening.getsockname()[1]}/v1  (Ctrl+C stops it)")
            await answer(app, listening)

    try:
        asyncio.run(run())
    finally:
        listening.close()


def _served(model: str, models: Path) -> ModelSpec:
    """The model of this name in the file, else the checkpoint at this path."""
    from palaestra.gateway.enrol import checkpoint_spec
    from palaestra.gateway.local import checkpoint_folder

    is_checkpoint = checkpoint_folder(model) is not None or (model.endswith(".gguf") and Path(model).is_file())
    if models.is_file() or not is_checkpoint:
        found = [spec for spec in _load(models) if spec.name == model]
        if found:
            return found[0]
    if not is_checkpoint:
        raise InputError(
            f"found no model {model!r} in {models}, and no folder of that name with a config.json; see "
            f"`palaestra models list --models {models}`"
        )
    return checkpoint_spec(model)


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
