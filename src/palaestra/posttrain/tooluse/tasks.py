"""Tasks with a known end: drawn from a world's templates, split by tool, some of which no tool can do.

    solvable   the state after the solution is the goal, a field of its last result the answer
    no_tool    tools of another world, or without one that is needed: the right answer is to say so (the irrelevance
               of Patil et al., the Berkeley Function Calling Leaderboard, 2024)

The calls of a template's program are the solution, and the fewest: each can be known by the request and the results
before it, none can be left out, and an answer that one lucky call shows is drawn anew. `search.fewest` says so without
knowing the program, which the tests do for every template.

Whole tools are held out: a task that needs one is never a training task, and no training task offers one.
Not here: trajectories (`rollouts.py`), and whether one is right (`checks.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example
from palaestra.posttrain.tooluse.search import fewest, hopeless, informed
from palaestra.posttrain.tooluse.tools import Result, State, Tool, ToolError, run, same
from palaestra.posttrain.tooluse.world import Drawn, Template, World
from palaestra.schema import Message

Split = Literal["train", "task", "tool"]
"""Where a task belongs: training, or held out by itself, or by a tool that it needs."""
Kind = Literal["solvable", "no_tool"]

SYSTEM = (
    "You work with {about}, by tools alone. Make no more calls than are needed. When all is done, end with one line "
    '"Answer: " and the value that was asked for, "Answer: done" where something was to be changed, or '
    '"Answer: cannot" if the tools that you have cannot do it.'
)
_CITE = " Behind the answer, cite every document that it rests on by its name, as [name], and open it before."
_MOST_CALLS = 7
_TRIES = 200
"""Draws for one task before it is given up."""
_ROUND_ABOUT = 2
"""So many more calls than the solution must not do either, where a tool was taken away."""
_BUDGET = 4000
"""Calls that are run to see that; a task that needs more is not taken."""


class Step(BaseModel):
    """A call of a solution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: dict[str, Any]


class Task(BaseModel):
    """What is asked in which world with which tools, and what must come of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    world: str
    template: str
    wording: int = Field(ge=0)
    kind: Kind = "solvable"
    split: Split = "train"
    about: str
    request: str
    slots: dict[str, Any]
    """The values that the request names, by argument."""
    offered: tuple[str, ...]
    """The tools, in the order in which they are told."""
    start: dict[str, Any]
    goal: dict[str, Any] | None = None
    """The state at the end; None where nothing may change."""
    asked: str | None = None
    """The field of the last result that is the answer."""
    answer: str | int | float | None = None
    solution: tuple[Step, ...] = ()
    """The fewest calls; none where no tool can do it."""
    documents: tuple[str, ...] = ()
    """What must be cited."""

    @property
    def minimal(self) -> int:
        """The fewest calls."""
        return len(self.solution)

    @property
    def end(self) -> State:
        """The state in which it must end."""
        return self.start if self.goal is None else self.goal

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What a model is asked."""
        system = SYSTEM.format(about=self.about) + (_CITE if self.documents else "")
        return (Message.of("system", system), Message.of("user", self.request))

    def tools(self, world: World) -> tuple[Tool, ...]:
        """The tools that are offered, in their order.

        Raises:
            InputError: the world has no such tool.
        """
        found = {each.name: each for each in world.tools}
        if missing := [name for name in self.offered if name not in found]:
            raise InputError(f"found a task with the tool {missing[0]!r}, expected one of the world {world.name}")
        return tuple(found[name] for name in self.offered)

    def example(self, world: World, completion: Sequence[Message] = (), **labels: str) -> Example:
        """As an example: the tools are a label, the reference is all that `checks.verify` needs."""
        offered = [each.offered.sent() for each in self.tools(world)]
        return Example(
            id=self.id,
            prompt=self.prompt,
            completion=tuple(completion),
            domain=self.world.partition("-")[0],
            reference=self.model_dump_json(),
            labels={
                "template": self.template, "kind": self.kind, "split": self.split, "calls": str(self.minimal),
                "tools": json.dumps(offered, ensure_ascii=False), **labels,
            },
        )  # fmt: skip

    @classmethod
    def of(cls, example: Example) -> Task:
        """The task of an example.

        Raises:
            InputError: its reference is none.
        """
        try:
            return cls.model_validate_json(example.reference or "")
        except ValueError as error:
            raise InputError(
                f"found the example {example.id} without the reference of a tool task, expected one of `train tools`"
            ) from error


@dataclass(frozen=True, slots=True)
class Needs:
    """How tasks are drawn."""

    held_out: frozenset[tuple[str, str]] = frozenset()
    """World and name of each tool that training never sees."""


def held_out_tools(worlds: Mapping[str, World], each: int, seed: int) -> frozenset[tuple[str, str]]:
    """Tools that training never sees: so many of each world, such that at least half its templates stay.

    Raises:
        InputError: a world has too few.
    """
    found: set[tuple[str, str]] = set()
    for name, world in sorted(worlds.items()):
        rng = Random(f"{seed} held out {name}")  # noqa: S311 - chance, no secret
        uses = _uses(world)
        order = sorted({tool for used in uses.values() for tool in used})
        rng.shuffle(order)
        taken: set[str] = set()
        for tool in order:
            left = sum(not used & (taken | {tool}) for used in uses.values())
            if len(taken) < each and 2 * left >= len(uses):
                taken.add(tool)
        if len(taken) < each:
            raise InputError(f"found {len(taken)} tools of {name} that can be held out, expected {each}; ask for fewer")
        found |= {(name, tool) for tool in taken}
    return frozenset(found)


def _uses(world: World) -> dict[str, set[str]]:
    """The tools that each template needs, by a few draws."""
    return {
        template.name: {
            step.name
            for number in range(20)
            if (task := drawn(world, template, Random(f"uses {number}"))) is not None  # noqa: S311 - the same
            for step in task.solution
        }
        for template in world.templates
    }


def drawn(world: World, template: Template, rng: Random, wording: int | None = None) -> Task | None:
    """One task of a template; None where the draw cannot be used."""
    start = world.start(rng)
    program = _Program(world, start)
    try:
        found = template.draw(rng, start, program.call)
    except (ToolError, IndexError):  # a draw from nothing, or a step that the world refuses
        return None
    if not 1 <= len(program.steps) <= _MOST_CALLS:
        return None
    place = rng.randrange(len(template.wordings)) if wording is None else wording
    task = Task(
        id="", world=world.name, template=template.name, wording=place, about=world.about,
        request=template.wordings[place].format(**found.slots), slots=found.slots,
        offered=tuple(each.name for each in world.tools), start=start,
        goal=None if same(start, program.state) else program.state, asked=found.asked,
        answer=None if found.asked is None else program.last[found.asked], solution=tuple(program.steps),
    )  # fmt: skip
    return named(task) if _fair(world, task, found) else None


class _Program:
    """Runs a template's calls, and writes them down."""

    def __init__(self, world: World, start: State) -> None:
        self._world, self.state = world, start
        self.steps: list[Step] = []
        self.last: Result = {}

    def call(self, tool: Tool, **arguments: Any) -> Result:  # noqa: ANN401 - what the tool takes
        self.state, ran = run(self._world.tools, self.state, tool.name, json.dumps(arguments))
        if ran.value is None:
            raise ToolError(ran.text)
        self.steps.append(Step(name=tool.name, arguments=arguments))
        self.last = ran.value
        return ran.value


def _fair(world: World, task: Task, found: Drawn) -> bool:
    """Whether the task asks for something, its solution could be known, and no step of it can be left out.

    An answer must not stand in the request, and not be shown by one lucky call.
    """
    if task.goal is None and task.asked is None:
        return False
    if not informed(world, task, task.solution):
        return False
    for place in range(task.minimal):
        if informed(world, task, task.solution[:place] + task.solution[place + 1 :]):
            return False
    given = {str(value) for value in found.slots.values()}
    if task.asked is not None and str(task.answer) in given:
        return False
    return task.asked is None or task.minimal == 1 or fewest(world, task, 1) is None


def named(task: Task) -> Task:
    """The task with an id of what it is: the same task has the same."""
    said = json.dumps([task.world, task.request, task.start, task.kind], sort_keys=True)
    return task.model_copy(update={"id": f"{task.world}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"})


def tasks_of(
    worlds: Mapping[str, World], needs: Needs, split: Split, *, seed: int, no_tool: float = 0.0
) -> Iterator[Task]:
    """Tasks of a split without end, worlds and templates in turn, none twice.

    Args:
        worlds: by name.
        needs: which tools are held out.
        split: `tool` gives tasks that need a held-out tool, the others tasks that need none and are offered none.
        seed: of chance. Splits may share tasks: who takes both leaves out, by id, what the other has.
        no_tool: the share of tasks that no tool can do.

    Raises:
        InputError: no task of a world can be drawn.
    """
    rng = Random(f"{seed} {split}")  # noqa: S311 - the same
    seen: set[str] = set()
    names = sorted(worlds)
    number = 0
    while True:
        world = worlds[names[number % len(names)]]
        number += 1
        needed = [name for name in names if not worlds[name].by_heart]
        if impossible := bool(needed) and rng.random() < no_tool:
            world = worlds[rng.choice(needed)]
        for _ in range(_TRIES):
            task = _one(worlds, world, needs, split, rng, impossible=impossible)
            if task is not None and task.id not in seen:
                seen.add(task.id)
                yield task
                break
        else:
            names = [name for name in names if name != world.name]
            if not names:
                raise InputError(f"found no further task for the split {split!r}; ask for fewer, or for more worlds")


def _one(
    worlds: Mapping[str, World], world: World, needs: Needs, split: Split, rng: Random, *, impossible: bool
) -> Task | None:
    template = rng.choice(world.templates)
    task = drawn(world, template, rng)
    if task is None:
        return None
    kept_back = {name for of, name in needs.held_out if of == world.name}
    if bool({step.name for step in task.solution} & kept_back) != (split == "tool"):
        return None
    offered = [name for name in task.offered if split == "tool" or name not in kept_back]
    rng.shuffle(offered)
    task = named(task.model_copy(update={"split": split, "offered": tuple(offered)}))
    return _impossible(worlds, world, task, needs, rng) if impossible else task


def _impossible(worlds: Mapping[str, World], world: World, task: Task, needs: Needs, rng: Random) -> Task | None:
    """The same request where no tool can do it."""
    if world.by_heart:
        return None
    nothing = {"kind": "no_tool", "goal": None, "asked": None, "answer": None, "solution": ()}
    others = [other for name, other in sorted(worlds.items()) if name != world.name]
    if others and (task.asked is not None or rng.random() < 0.5):  # noqa: PLR2004 - one of two ways
        other = rng.choice(others)
        kept_back = {name for of, name in needs.held_out if of == other.name and task.split != "tool"}
        offered = tuple(each.name for each in other.tools if each.name not in kept_back)
        foreign = {"world": other.name, "about": other.about, "start": other.start(rng), "offered": offered}
        return named(task.model_copy(update={**nothing, **foreign}))
    if task.asked is not None:  # an answer may be inferred in more ways than a search knows; a change must be made
        return None
    without = task.solution[-1].name
    left = task.model_copy(update={"offered": tuple(name for name in task.offered if name != without)})
    if not left.offered or not hopeless(world, left, task.minimal + _ROUND_ABOUT, _BUDGET):
        return None
    return named(left.model_copy(update=nothing))
