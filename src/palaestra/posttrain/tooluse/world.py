"""What a toy world is: tools over one state, and templates of tasks whose right end is known by construction.

A template draws what a task is about, and runs the program that solves it by `call`; the calls are the solution, the
state they leave is the goal, and a field of the last result is the answer where one is asked for. Names of arguments
and of fields in results agree (an `account` is an account in both), so that it can be told which calls a solver could
know to make (`search.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from palaestra.posttrain.tooluse.tools import Result, State, Tool


class Call(Protocol):
    """Run a tool as a step of the solution, and get its result."""

    def __call__(self, tool: Tool, **arguments: Any) -> Result:  # noqa: ANN401 - what the tool takes
        """The result.

        Raises:
            ToolError: the draw cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a task is about: values that its wording names, and the field of the last result that is asked for."""

    slots: dict[str, Any]
    asked: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of task: several wordings of it, over the same slots."""

    name: str
    wordings: tuple[str, ...]
    draw: Callable[[Random, State, Call], Drawn]


@dataclass(frozen=True, slots=True)
class World:
    """Tools, a start by chance, and templates of tasks."""

    name: str
    about: str
    """Completes "You work with ..."."""
    tools: tuple[Tool, ...]
    start: Callable[[Random], State]
    templates: tuple[Template, ...]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For an argument, fields of other names that a solver may take for it: `amount` may be a `balance`."""
    by_heart: bool = False
    """Whether a good model can do without the tools, so that a task is not impossible where they are missing."""

    def tool(self, name: str) -> Tool | None:
        """The tool of this name."""
        return next((each for each in self.tools if each.name == name), None)
