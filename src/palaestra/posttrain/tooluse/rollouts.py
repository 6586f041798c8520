"""Trajectories: a model is asked, its calls are run, it is told what came of them, until it answers or has had enough.

All tasks go on together, a turn at a time, so that a model on this machine answers in batches and an endpoint many
requests at once. Whatever a model writes, the run goes on: an error of a call is an answer to the model, a model that
does not answer ends its own trajectory, and one that never stops calling is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from palaestra.gateway.offers import OfferedTool
from palaestra.posttrain.tooluse.checks import Outcome, verify
from palaestra.posttrain.tooluse.tasks import Task
from palaestra.posttrain.tooluse.tools import State, run
from palaestra.posttrain.tooluse.world import World
from palaestra.schema import Message, ToolCallPart, ToolResultPart

Tell = Callable[[int, int], None]
_CUT = '{"error": "no further calls"}'


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model is asked in a turn."""

    task: Task
    draw: int
    messages: tuple[Message, ...]
    offered: tuple[OfferedTool, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A model did not answer."""

    why: str


class Model(Protocol):
    """Whoever answers."""

    @property
    def name(self) -> str:
        """For the reader."""
        ...

    def turn(self, number: int, asked: Sequence[Asked]) -> list[Message | Failed]:
        """What is said next in each conversation.

        Args:
            number: of the turn, from 0; with the same history, the same is said.
            asked: conversations that go on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What a model did with a task, and what came of it."""

    task: Task
    draw: int
    messages: tuple[Message, ...]
    """After the prompt."""
    outcome: Outcome
    failed: str = ""
    """Why the model did not answer, if so."""


@dataclass(slots=True)
class _Open:
    """A trajectory under way."""

    task: Task
    draw: int
    world: World
    offered: tuple[OfferedTool, ...]
    state: State
    said: list[Message] = field(default_factory=list)
    calls: int = 0
    done: bool = False
    failed: str = ""

    @property
    def asked(self) -> Asked:
        return Asked(self.task, self.draw, (*self.task.prompt, *self.said), self.offered)

    def take(self, reply: Message | Failed, most: int) -> None:
        """What the model said; its calls are run."""
        if isinstance(reply, Failed):
            self.done, self.failed = True, reply.why
            return
        self.said.append(reply)
        calls = [part for part in reply.content if isinstance(part, ToolCallPart)]
        results = [ToolResultPart(call_id=call.call_id, text=self._result(call, most)) for call in calls]
        if results:
            self.said.append(Message(role="tool", content=tuple(results)))
        self.done = not calls or self.calls > most

    def _result(self, call: ToolCallPart, most: int) -> str:
        self.calls += 1
        if self.calls > most:
            return _CUT
        self.state, ran = run(self.task.tools(self.world), self.state, call.name, call.arguments)
        return ran.text


def rollouts(
    tasks: Sequence[Task],
    model: Model,
    worlds: Mapping[str, World],
    *,
    draws: int = 1,
    most_calls: int = 12,
    tell: Tell = lambda _done, _all: None,
) -> list[Trajectory]:
    """Trajectories, task by task and draw by draw.

    Args:
        tasks: what is asked.
        model: who answers.
        worlds: of the tasks, by name.
        draws: trajectories of each task.
        most_calls: with one more, a trajectory is cut off.
        tell: is told how many are done, of how many.
    """
    every = [
        _Open(
            task, draw, worlds[task.world], tuple(each.offered for each in task.tools(worlds[task.world])), task.start
        )
        for task in tasks
        for draw in range(draws)
    ]
    number = 0
    while going := [one for one in every if not one.done]:
        replies = model.turn(number, [one.asked for one in going])
        for one, reply in zip(going, replies, strict=True):
            one.take(reply, most_calls)
        number += 1
        tell(sum(one.done for one in every), len(every))
    return [
        Trajectory(one.task, one.draw, tuple(one.said), verify(one.task, one.said, worlds), one.failed) for one in every
    ]
