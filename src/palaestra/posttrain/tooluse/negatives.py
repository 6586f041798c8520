"""Hard negatives: the known solution with one fault, which the check must see.

    wrong_argument   one argument is another value that the world knows
    missing_call     a call that changes something, or shows the answer, is left out
    extra_call       one more call, that does no harm: the end is right, and not economical

For training against them (preferences, a reward), and for testing whoever checks. Each is run, and given only where its
fault shows: a wrong argument that comes to the right end is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Literal

from palaestra.posttrain.tooluse.checks import verify
from palaestra.posttrain.tooluse.solvers import closing
from palaestra.posttrain.tooluse.tasks import Step, Task
from palaestra.posttrain.tooluse.tools import run
from palaestra.posttrain.tooluse.world import World
from palaestra.schema import Message, ToolCallPart, ToolResultPart

Fault = Literal["wrong_argument", "missing_call", "extra_call"]
FAULTS: tuple[Fault, ...] = ("wrong_argument", "missing_call", "extra_call")


def played(world: World, task: Task, steps: Sequence[Step], text: str) -> tuple[Message, ...]:
    """The messages of these calls with what the tools say, and a text at the end."""
    said: list[Message] = []
    state = task.start
    for place, step in enumerate(steps):
        call = ToolCallPart(call_id=f"call-{place}", name=step.name, arguments=json.dumps(step.arguments))
        state, ran = run(task.tools(world), state, step.name, call.arguments)
        said.append(Message(role="assistant", content=(call,)))
        said.append(Message(role="tool", content=(ToolResultPart(call_id=call.call_id, text=ran.text),)))
    return (*said, Message.of("assistant", text))


def negative(world: World, task: Task, fault: Fault, rng: Random) -> tuple[Message, ...] | None:
    """A trajectory with this fault; None where the task has none that shows."""
    ways = {"wrong_argument": _wrong, "missing_call": _missing, "extra_call": _extra}[fault](world, task)
    every = list(ways)
    rng.shuffle(every)
    for steps in every:
        said = played(world, task, steps, _end(world, task, steps))
        outcome = verify(task, said, {world.name: world})
        if fault == "extra_call" and outcome.success and not outcome.economical:
            return said
        if fault != "extra_call" and not outcome.success:
            return said
    return None


def _end(world: World, task: Task, steps: Sequence[Step]) -> str:
    """What somebody says who believes these calls: the field that is asked for, of the last result that has it."""
    if task.asked is None:
        return closing(task)
    state, answer = task.start, None
    for step in steps:
        state, ran = run(task.tools(world), state, step.name, json.dumps(step.arguments))
        answer = answer if ran.value is None else ran.value.get(task.asked, answer)
    return f"Answer: {'unknown' if answer is None else answer}"


def _wrong(world: World, task: Task) -> Iterator[tuple[Step, ...]]:
    for place, step in enumerate(task.solution):
        found = world.tool(step.name)
        for name, value in step.arguments.items():
            for other in _others(task, {} if found is None else found.schema(name), name, value):
                wrong = Step(name=step.name, arguments={**step.arguments, name: other})
                yield (*task.solution[:place], wrong, *task.solution[place + 1 :])


def _others(task: Task, schema: dict[str, Any], name: str, value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Values that somebody may take for this one: of the choice, of the same argument elsewhere, a number beside it."""
    if "enum" in schema:
        return [other for other in schema["enum"] if other != value]
    known = [step.arguments[name] for step in task.solution if name in step.arguments]
    known += [each for key, each in task.slots.items() if key.startswith(name)]
    found = [other for other in known if other != value and type(other) is type(value)]
    if isinstance(value, int | float):
        return [*found, value + 1]
    return found or [_changed(value)]


def _changed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A text with its last two characters in the other order, or one more where they are the same."""
    text = str(value)
    return text[:-2] + text[:-3:-1] if text[-2:] != text[:-3:-1] else f"{text}s"


def _missing(world: World, task: Task) -> Iterator[tuple[Step, ...]]:  # noqa: ARG001 - as the others
    for place in range(task.minimal):
        yield task.solution[:place] + task.solution[place + 1 :]


def _extra(world: World, task: Task) -> Iterator[tuple[Step, ...]]:  # noqa: ARG001 - as the others
    for place, step in enumerate(task.solution):
        for before in range(place, task.minimal + 1):
            yield (*task.solution[:before], step, *task.solution[before:])
