"""models.toml: reading it, and refusing what must not stand in it.

An endpoint is `local:NAME` (also a path to a folder), `scripted:BEHAVIOUR` or the base URL of an OpenAI-compatible
server. A key never stands in the file: `api_key_env` names the environment variable that holds it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from palaestra.errors import InputError, ModelsFileError
from palaestra.gateway import local, scripted
from palaestra.gateway.prompt import conversation, fill
from palaestra.schema import Message, ModelSpec

_KEY_FIELD = re.compile(r"(api_?|secret_?|access_?)?(key|token|secret|password)", re.IGNORECASE)
_KEY_VALUE = re.compile(r"\b(sk|gsk|hf|xai|pk|rk)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_models(path: str | Path) -> tuple[ModelSpec, ...]:
    """The contestants of a models.toml, in its order.

    Raises:
        ModelsFileError: the file is missing or malformed, names no model or one twice, has an unknown field, an
            endpoint that cannot be, or a key in it. The message names the table and the field.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelsFileError(f"no file {path}; expected a models.toml with [[model]] tables, see --models") from error
    except OSError as error:
        raise ModelsFileError(f"cannot read {path}: {error}; expected TOML with [[model]] tables") from error
    return read_models(content, path)


def read_models(content: bytes, path: Path) -> tuple[ModelSpec, ...]:
    """The contestants in the content of a models.toml, as `load_models` reads them.

    Args:
        content: of the file.
        path: its name, for messages.

    Raises:
        ModelsFileError: as for `load_models`.
    """
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelsFileError(f"cannot read {path}: {error}; expected TOML with [[model]] tables") from error
    unknown = sorted(set(data) - {"model"})
    tables = data.get("model")
    if unknown or not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        found = f"the unknown {', '.join(map(repr, unknown))}" if unknown else "no [[model]] table"
        raise ModelsFileError(f"{path}: found {found}, expected one [[model]] table for each model and nothing else")
    specs = tuple(_spec(f"{path}: model {number}", table) for number, table in enumerate(tables, start=1))
    _check_names(path, specs)
    return specs


def _spec(where: str, table: dict[str, Any]) -> ModelSpec:
    where = f"{where} ({table['name']!r})" if isinstance(table.get("name"), str) else where
    _refuse_keys(where, table)
    try:
        spec = ModelSpec.model_validate(table)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "extra_forbidden":
            known = ", ".join(ModelSpec.model_fields)
            raise ModelsFileError(f"{where}: found the unknown field {field!r}, expected one of {known}") from error
        found = "" if wrong["type"] == "missing" else f", found {wrong['input']!r}"
        raise ModelsFileError(f"{where}: field {field!r}{found}: {wrong['msg']}") from error
    try:
        _check_endpoint(spec.endpoint)
    except InputError as error:
        raise ModelsFileError(f"{where}: field 'endpoint': {error}") from error
    try:
        fill(spec.template or "", conversation(spec, [Message.of("user", "Hello?")]))
    except InputError as error:
        raise ModelsFileError(f"{where}: field 'template': {error}") from error
    if spec.template is not None and local.checkpoint_folder(spec.endpoint.removeprefix("local:")) is not None:
        raise ModelsFileError(
            f"{where}: field 'template': a folder has its own in its tokenizer, as it was trained; leave it out"
        )
    if spec.api_key_env is not None and not _VARIABLE.fullmatch(spec.api_key_env):
        raise ModelsFileError(
            f"{where}: field 'api_key_env' holds no name of a variable; it must not hold the key itself"
        )
    return spec


def _refuse_keys(where: str, table: dict[str, Any]) -> None:
    """A key in a file is soon a key in a repository. The message does not repeat it."""
    for field, value in table.items():
        looks_like_one = isinstance(value, str) and _KEY_VALUE.search(value)
        if _KEY_FIELD.fullmatch(field) or looks_like_one:
            raise ModelsFileError(
                f"{where}: field {field!r} holds a key, which must not stand in this file; put it into an environment "
                'variable and name that: api_key_env = "MY_KEY"'
            )


def _check_endpoint(endpoint: str) -> None:
    kind, _, rest = endpoint.partition(":")
    if kind == "local":
        local.check_name(rest)
    elif kind == "scripted":
        scripted.Script.parse(rest)
    else:
        try:
            url = urlsplit(endpoint)
            _ = url.port
        except ValueError as error:
            raise InputError(f"found {endpoint!r}, which is no URL: {error}") from error
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise InputError(f"found {endpoint!r}, expected local:NAME, or a base URL such as https://host/v1")
        if url.username or url.password:
            raise InputError("found a user or password in the URL, expected the key in a variable named by api_key_env")


def _check_names(path: Path, specs: tuple[ModelSpec, ...]) -> None:
    seen: dict[str, str] = {}
    for spec in specs:
        other = seen.get(spec.name.casefold())
        seen[spec.name.casefold()] = spec.name
        if other is not None:
            raise ModelsFileError(
                f"{path}: two models are named {spec.name!r} and {other!r}, which a reader of the board cannot tell "
                "apart; give each a name of its own"
            )
