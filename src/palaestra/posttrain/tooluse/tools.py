"""Tools that run: a function over a world's state, with a JSON schema of its arguments.

    state, result = run(tool, state, arguments)

A state is a JSON value; a tool gets a copy of its own, and has nothing else: no file, no network, no clock, no chance.
So the same calls from the same start end in the same state, which is what makes an outcome checkable. Whatever a model
writes, a call ends in an answer to the model: an unknown name, arguments that are no JSON or do not fit, a thing that
is not there. Schemas are made from the function's own annotations, so they cannot say something else (calls in text as
in Schick et al., Toolformer, 2023; tools that run as in Li et al., API-Bank, 2023).

Not here: which tools there are (`worlds/`), and what is asked (`tasks.py`).
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from palaestra.gateway.offers import OfferedTool

State = dict[str, Any]
Result = dict[str, Any]
ErrorKind = Literal["no_tool", "no_json", "arguments", "refused", "broken"]

_LONGEST = 20_000
"""Characters of arguments, and of an answer."""


class ToolError(Exception):
    """What a tool says where it cannot do what was asked: no such account, the hour is taken."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function with a name, a description and a model of its arguments."""

    name: str
    description: str
    arguments: type[BaseModel]
    function: Callable[..., Result]
    offered: OfferedTool
    """As a model is told of it."""

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema of an argument; empty where there is no such argument."""
        properties: Any = self.offered.parameters.get("properties", {})
        return properties.get(name, {})


@dataclass(frozen=True, slots=True)
class Ran:
    """How a call ended: its value, or the kind of its error; `text` is what the model is told."""

    text: str
    value: Result | None = None
    error: ErrorKind | None = None


def tool(function: Callable[..., Result]) -> Tool:
    """A tool made of a function: `def name(state, *, argument: type, ...)`; its docstring is what models read."""
    hints, name = get_type_hints(function, include_extras=True), getattr(function, "__name__", "")
    fields: dict[str, Any] = {}
    for argument, parameter in list(inspect.signature(function).parameters.items())[1:]:
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[argument] = (hints[argument], default)
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
    model = create_model(name, __config__=strict, **fields)
    said = inspect.cleandoc(function.__doc__ or "")
    return Tool(name, said, model, function, _offered(name, said, model))


def run(tools: Iterable[Tool], state: State, name: str, arguments: str) -> tuple[State, Ran]:
    """Run one call.

    Args:
        tools: those that are offered.
        state: before it; never changed.
        name: as the model wrote it.
        arguments: JSON as the model wrote it.

    Returns:
        The state after it, that before it where the call failed; and how it ended.
    """
    offered = {each.name: each for each in tools}
    found = offered.get(name)
    if found is None:
        return state, _failed("no_tool", f"no tool is named {name[:60]!r}; there are {', '.join(offered)}")
    try:
        given = _parsed(arguments)
    except (ValueError, RecursionError) as error:
        return state, _failed("no_json", f"the arguments are no JSON object: {str(error)[:200]}")
    try:
        checked = found.arguments.model_validate_json(json.dumps(given))
    except ValueError as error:  # also of pydantic
        return state, _failed("arguments", _fault(error))
    return _ran(found, state, {field: getattr(checked, field) for field in type(checked).model_fields})


def _ran(found: Tool, state: State, arguments: dict[str, Any]) -> tuple[State, Ran]:
    """Run a tool with arguments that fit."""
    after = copy.deepcopy(state)
    try:
        value = found.function(after, **arguments)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ToolError as error:
        return state, _failed("refused", str(error))
    except Exception as error:  # noqa: BLE001 - a tool's fault is an answer to the model, never the end of a run
        return state, _failed("broken", f"{found.name} failed: {type(error).__name__}")
    if len(text) > _LONGEST:
        return state, _failed("refused", f"the answer has {len(text)} characters, more than {_LONGEST}")
    return after, Ran(text, value)


def canonical(arguments: str | Mapping[str, Any]) -> str | None:
    """Arguments with one spelling for each meaning: keys in order, 3.0 as 3; None where they are no JSON object."""
    try:
        given = _parsed(arguments) if isinstance(arguments, str) else dict(arguments)
        return json.dumps(_plain(given), sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def same(one: State, other: State) -> bool:
    """Whether two states are the same, as JSON."""
    return canonical(one) == canonical(other)


def _parsed(arguments: str) -> dict[str, Any]:
    if len(arguments) > _LONGEST:
        raise ValueError(f"{len(arguments)} characters, more than {_LONGEST}")
    given = json.loads(arguments or "{}")
    if not isinstance(given, dict):
        raise ValueError(f"found {type(given).__name__}")  # noqa: TRY004 - of the same kind as no JSON
    return given


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _offered(name: str, said: str, model: type[BaseModel]) -> OfferedTool:
    """The tool's schema, without the titles that pydantic makes of names."""
    schema = model.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return OfferedTool(name=name, description=said, parameters=schema)


def _failed(kind: ErrorKind, words: str) -> Ran:
    return Ran(json.dumps({"error": words}, ensure_ascii=False), None, kind)


def _fault(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    wrong = error.errors()[0]
    where = ".".join(map(str, wrong["loc"])) or "arguments"
    return f"{where}: {wrong['msg']}"[:200]
