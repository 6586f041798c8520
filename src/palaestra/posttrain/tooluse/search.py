"""The fewest calls by which a task can be done, found without knowing how: breadth first, over calls one could know.

A call is informed if each of its arguments is one of a choice, stands in the request, or in an earlier result, under
its own name or one that the world counts as the same. Calls that guess (an account's number that nobody has told) are
none: without that, every look-up could be left out. The goal is the state, and that a result has shown the answer in
the field that is asked for. What a clever solver infers from results without being shown it does not count.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palaestra.posttrain.tooluse.tools import State, Tool, canonical, run

if TYPE_CHECKING:
    from palaestra.posttrain.tooluse.tasks import Step, Task
    from palaestra.posttrain.tooluse.world import World

Known = frozenset[tuple[str, str]]
"""Values that somebody has told, as JSON, by the names under which they were told."""


def informed(world: World, task: Task, steps: Sequence[Step]) -> bool:
    """Whether these calls can be known one after the other, and do the task."""
    state, known = task.start, _told(task.slots)
    for step in steps:
        found = world.tool(step.name)
        if found is None or any(
            json.dumps(value) not in _pool(world, found, name, known) for name, value in step.arguments.items()
        ):
            return False
        state, ran = run(task.tools(world), state, step.name, json.dumps(step.arguments))
        if ran.value is None:
            return False
        known |= _told(ran.value)
    return _done(task, state, known)


def fewest(world: World, task: Task, most: int) -> int | None:
    """The fewest informed calls, up to so many, that do the task with the tools that are offered; None if none do."""
    return _search(world, task, most, None) or None


def hopeless(world: World, task: Task, most: int, budget: int) -> bool:
    """Whether no informed calls, up to so many, do the task; not so where more than `budget` calls had to be run."""
    return _search(world, task, most, budget) == 0


def _search(world: World, task: Task, most: int, budget: int | None) -> int:
    """The number of calls; 0 where there are none, -1 where the budget ran out before that was known."""
    told = _told(task.slots)
    tools, ran_so_far = task.tools(world), 0
    level: dict[tuple[str | None, Known], State] = {(canonical(task.start), told): task.start}
    seen = set(level)
    for depth in range(1, most + 1):
        following: dict[tuple[str | None, Known], State] = {}
        for (_, known), state in level.items():
            for after, knows in _calls(world, tools, state, known):
                ran_so_far += 1
                if budget is not None and ran_so_far > budget:
                    return -1
                if _done(task, after, knows):
                    return depth
                key = (canonical(after), knows)
                if key not in seen:
                    seen.add(key)
                    following[key] = after
        level = following
    return 0


def _calls(world: World, tools: Sequence[Tool], state: State, known: Known) -> Iterator[tuple[State, Known]]:
    """What each informed call that succeeds comes to."""
    for each in tools:
        names = list(each.arguments.model_fields)
        for values in itertools.product(*(sorted(_pool(world, each, name, known)) for name in names)):
            arguments = "{" + ", ".join(f'"{name}": {value}' for name, value in zip(names, values, strict=True)) + "}"
            after, ran = run((each,), state, each.name, arguments)
            if ran.value is not None:
                yield after, known | _told(ran.value)


def _pool(world: World, tool: Tool, name: str, known: Known) -> set[str]:
    """The values that an argument may have, as JSON."""
    schema = tool.schema(name)
    if "enum" in schema:
        return {json.dumps(choice) for choice in schema["enum"]}
    if "const" in schema:
        return {json.dumps(schema["const"])}
    names = world.aliases.get(name, (name,))
    return {value for told, value in known if told in names}


def _told(value: Mapping[str, Any]) -> Known:
    """Every value in what was said, by its field."""
    found: set[tuple[str, str]] = set()
    for name, each in value.items():
        for one in each if isinstance(each, list) else [each]:
            if isinstance(one, dict):
                found |= _told(one)
            else:
                found.add((name, json.dumps(one)))
    return frozenset(found)


def _done(task: Task, state: State, known: Known) -> bool:
    shown = task.asked is None or (task.asked, json.dumps(task.answer)) in known - _told(task.slots)
    return shown and canonical(state) == canonical(task.end)
