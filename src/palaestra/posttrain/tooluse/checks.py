"""Whether a trajectory is right: its calls are run again from the task's start, and what comes of that is compared.

    outcome = verify(example, completion)

Nothing that the trajectory says of results is believed. Success is the goal state, the answer, and (for a question over
documents) the citations; for a task that no tool can do it is to say so and to change nothing. Economy is success with
no more calls than the fewest, failed ones counted. State and answer, not the way there, decide (as in Yao et al.,
tau-bench, 2024); validity, arguments and refusals are counted beside that (as in the Berkeley Function Calling
Leaderboard). Not here: rewards made of it, which are whoever trains' own.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example
from palaestra.posttrain.tooluse.tasks import Task
from palaestra.posttrain.tooluse.tools import ErrorKind, State, canonical, run, same
from palaestra.posttrain.tooluse.world import World
from palaestra.posttrain.tooluse.worlds import WORLDS
from palaestra.schema import Message, ToolCallPart

CANNOT = "cannot"
_ANSWER = re.compile(r"^[\s*_]*answer[\s*_]*:[\s*_]*(.*?)[\s*_]*$", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_CITED = re.compile(r"\[([^\[\]\n]+)\]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trajectory."""

    calls: int
    valid: int
    """Calls that ran without an error."""
    minimal: int
    """The fewest calls of the task."""
    missing: int
    """Calls of the known solution that were not made, with these arguments."""
    extra: int
    """Calls that are none of the known solution's."""
    state_match: bool
    answer_match: bool
    refused: bool
    """Whether it says that it cannot be done."""
    solvable: bool
    cited: int = 0
    """Needed documents that are cited."""
    cited_unread: int = 0
    """Citations of documents that were not read."""
    documents: int = 0
    """Needed documents."""
    errors: Mapping[ErrorKind, int] = field(default_factory=dict)

    @property
    def argument_match(self) -> bool:
        """Whether the calls are those of the known solution, in any order; another way may be as right."""
        return not self.missing and not self.extra

    @property
    def refusal_right(self) -> bool:
        """Whether it says that it cannot be done where that is so, and only there."""
        return self.refused != self.solvable

    @property
    def citations_right(self) -> bool:
        """Whether all needed documents are cited, and none that was not read."""
        return self.cited == self.documents and not self.cited_unread

    @property
    def success(self) -> bool:
        """Whether it came to the right end."""
        return self.state_match and self.answer_match and self.refusal_right and self.citations_right

    @property
    def economical(self) -> bool:
        """Whether it did so with the fewest calls."""
        return self.success and self.calls <= self.minimal

    @property
    def fault(self) -> str:
        """The first thing that is wrong, in a word; nothing where it is economical."""
        if self.economical:
            return ""
        if not self.refusal_right:
            return "refused" if self.refused else "not refused"
        if not self.state_match:
            return "wrong state"
        if not self.answer_match:
            return "wrong answer"
        return "extra calls" if self.success else "wrong citations"


def verify(example: Example | Task, trajectory: Sequence[Message], worlds: Mapping[str, World] = WORLDS) -> Outcome:
    """Check a trajectory.

    Args:
        example: of `train tools`, or its task.
        trajectory: the assistant's messages; tools' answers between them are not read.
        worlds: by name; those of a corpus are not among the fixed ones.

    Raises:
        InputError: the example is none of a tool task, or its world is not there.
    """
    task = example if isinstance(example, Task) else Task.of(example)
    world = worlds.get(task.world)
    if world is None:
        raise InputError(f"found a task of the world {task.world!r}, expected one of {', '.join(sorted(worlds))}")
    made = [part for message in trajectory for part in message.content if isinstance(part, ToolCallPart)]
    state, errors, read = _run_again(task, world, made)
    said = final_text(trajectory)
    answer = answer_of(said)
    refused = answer is not None and normalised(answer) == CANNOT
    right = Counter((step.name, canonical(step.arguments)) for step in task.solution)
    tried = Counter((call.name, canonical(call.arguments)) for call in made)
    cited = {name.strip() for name in _CITED.findall(said or "")} if task.documents else set()
    return Outcome(
        calls=len(made), valid=len(made) - sum(errors.values()), minimal=task.minimal,
        missing=(right - tried).total(), extra=(tried - right).total(),
        state_match=same(state, task.end),
        answer_match=refused if task.kind == "no_tool" else _matches(task, said, answer),
        refused=refused, solvable=task.kind == "solvable",
        cited=len(cited & set(task.documents)), cited_unread=len(cited - read), documents=len(task.documents),
        errors=errors,
    )  # fmt: skip


def final_text(trajectory: Sequence[Message]) -> str | None:
    """What is said at the end; None where the trajectory ends with a call, or before the assistant spoke."""
    if not trajectory or trajectory[-1].role != "assistant":
        return None
    if any(isinstance(part, ToolCallPart) for part in trajectory[-1].content):
        return None
    return trajectory[-1].text


def answer_of(text: str | None) -> str | None:
    """The value of the last line "Answer: ..."; without such a line, the whole text."""
    if text is None:
        return None
    found = _ANSWER.findall(text)
    return _CITED.sub("", found[-1] if found else text).strip()


def normalised(text: str) -> str:
    """Small letters, without quotes and without what ends a sentence."""
    return " ".join(text.casefold().strip(" \t\n.!\"'`").split())


def right_answer(answer: str | float, said: str) -> bool:
    """Whether what was said is this value: a number up to four digits behind the point, a text up to case."""
    if isinstance(answer, str):
        return normalised(answer) == normalised(said)
    found = _NUMBER.findall(said)
    if len(found) != 1 or len(_NUMBER.sub("", said).split()) > 1:
        return False
    return math.isclose(float(found[0].replace(",", "")), answer, rel_tol=1e-9, abs_tol=5e-5)


def _matches(task: Task, said: str | None, answer: str | None) -> bool:
    """Whether the answer is right; where only a state is asked for, any end will do, but there must be one."""
    if answer is None or said is None:
        return False
    return bool(said.strip()) if task.answer is None else right_answer(task.answer, answer)


def _run_again(task: Task, world: World, made: Sequence[ToolCallPart]) -> tuple[State, dict[ErrorKind, int], set[str]]:
    """The state at the end, errors by kind, and the documents that were read."""
    state: State = task.start
    errors: Counter[ErrorKind] = Counter()
    read: set[str] = set()
    tools = task.tools(world)
    for call in made:
        state, ran = run(tools, state, call.name, call.arguments)
        if ran.error is not None:
            errors[ran.error] += 1
        elif ran.value is not None and task.documents and "text" in ran.value:
            read.add(str(json.loads(call.arguments).get("document")))
    return state, dict(errors), read
