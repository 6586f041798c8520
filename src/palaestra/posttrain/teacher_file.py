"""Which teachers there are: `[[teacher]]` tables of a TOML file, or NAME=FOLDER."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palaestra.errors import InputError
from palaestra.posttrain.routes import ALL


class TeacherSpec(BaseModel):
    """A teacher: what it is, and what it teaches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    """A folder of Hugging Face, an adapter, `gguf:smollm2`; or the name that an endpoint knows the model by."""
    domains: tuple[str, ...] = ()
    """That it teaches; the one of its own name if left out; `*` is all that no other teaches."""
    endpoint: str | None = None
    """An OpenAI-compatible base URL that tells prompt_logprobs."""
    api_key_env: str | None = None
    """The name of the variable with the endpoint's key."""


def teacher_specs(given: Sequence[str], file: Path | None = None) -> tuple[TeacherSpec, ...]:
    """The teachers that are named.

    Args:
        given: NAME=FOLDER, which teaches the domain NAME; or FOLDER, which teaches all that no other does.
        file: of `[[teacher]]` tables.

    Raises:
        InputError: the file cannot be read, a table is wrong, a name is there twice, or there is no teacher.
    """
    rows = [_row(one) for one in given]
    if file is not None:
        try:
            rows += tomllib.loads(file.read_text(encoding="utf-8"))["teacher"]
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
            raise InputError(f"cannot read {file}: {error}; expected [[teacher]] tables with name and model") from error
    specs = tuple(_checked(row) for row in rows)
    if not specs:
        raise InputError("found no teacher, expected --teacher NAME=FOLDER or --teachers FILE")
    names = [spec.name for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"found the teacher {', '.join(twice)} twice, expected each name once")
    return specs


def _row(given: str) -> dict[str, Any]:
    name, mark, folder = given.partition("=")
    if mark and not Path(given).exists():
        return {"name": name, "model": folder, "domains": (name,)}
    return {"name": Path(given).name or given, "model": given, "domains": (ALL,)}


def _checked(row: dict[str, Any]) -> TeacherSpec:
    try:
        spec = TeacherSpec.model_validate(row)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        raise InputError(f"a teacher, {place}: found {wrong['input']!r:.60}: {wrong['msg']}") from error
    return spec if spec.domains else spec.model_copy(update={"domains": (spec.name,)})
