"""Tool-use data from a plan: tasks, a model's trajectories, what of them is kept, and the folders that hold it.

    sft         trajectories that came to the right end with the fewest calls; one a task, none twice
    rl          all training tasks: prompt, tools, and the reference that `checks.verify` checks
    heldout     tasks that need tools which training never sees, and tasks that are none of training's
    negatives   the known solution with one fault

Everything but the model's replies follows from the settings and the seed, so a run that was killed writes the same
bytes. Trajectories are executed and then chosen among (Qin et al., ToolLLM, 2023, by a judge; here by the end state).
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example, write_examples
from palaestra.posttrain.tooluse.corpus import Corpus, made_up, plant, read_corpus, write_corpus
from palaestra.posttrain.tooluse.negatives import FAULTS, negative
from palaestra.posttrain.tooluse.research import CORPUS_FILE, RESEARCH, questions, research_world
from palaestra.posttrain.tooluse.rollouts import Model, Trajectory, rollouts
from palaestra.posttrain.tooluse.talk import as_text
from palaestra.posttrain.tooluse.tasks import Needs, Task, held_out_tools, tasks_of
from palaestra.posttrain.tooluse.world import World
from palaestra.posttrain.tooluse.worlds import WORLDS

Tell = Callable[[str, int, int], None]
_A_CHAIN = 10
"""Questions of a chain of facts."""


class ToolsConfig(BaseModel):
    """What is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worlds: tuple[str, ...] = tuple(WORLDS)
    """Which toy worlds, with commas; all if left out."""
    tasks: int = Field(default=1000, ge=1)
    """Training tasks in toy worlds."""
    no_tool: float = Field(default=0.1, ge=0, lt=1)
    """The share of them that no tool can do."""
    held_out: float = Field(default=0.1, ge=0, le=1)
    """Held-out tasks, as a share of the training tasks: so many that need a held-out tool, and so many that do not."""
    held_out_tools: int = Field(default=1, ge=0, le=2)
    """Tools of each world that training never sees."""
    research: int = Field(default=0, ge=0)
    """Training questions over documents."""
    documents: int = Field(default=60, ge=5)
    """Made-up documents, if there is no corpus."""
    draws: int = Field(default=1, ge=1)
    """Trajectories of each training task."""
    most_calls: int = Field(default=12, ge=1)
    """Of a trajectory; with one more it is cut off."""
    temperature: float = Field(default=0.0, ge=0)
    """With which a model samples."""
    max_tokens: int = Field(default=256, ge=1)
    """Of each of its replies."""
    seed: int = 0
    """Of tasks and sampling."""

    @field_validator("worlds", mode="before")
    @classmethod
    def _known(cls, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any input is validated
        parts = value.split(",") if isinstance(value, str) else value
        names = tuple(dict.fromkeys(name.strip() for each in parts for name in str(each).split(",") if name.strip()))
        if unknown := [name for name in names if name not in WORLDS]:
            raise ValueError(f"found {unknown[0]!r}, expected some of {', '.join(WORLDS)}")
        if not names:
            raise ValueError(f"found no world, expected some of {', '.join(WORLDS)}")
        return names


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of a run, and the worlds that they are of."""

    worlds: Mapping[str, World]
    train: tuple[Task, ...]
    held_out: tuple[Task, ...]
    tools: frozenset[tuple[str, str]]
    """Held-out tools, with their worlds."""
    corpus: Corpus | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a run made."""

    plan: Plan
    trajectories: tuple[Trajectory, ...]
    sft: tuple[Example, ...]
    rl: tuple[Example, ...]
    held_out: tuple[Example, ...]
    negatives: tuple[Example, ...]


def plan(config: ToolsConfig, corpus: str | Path | None = None, tell: Tell = lambda *_: None) -> Plan:
    """Draw the tasks.

    Args:
        config: how many of what.
        corpus: a folder of texts for research questions; made-up documents if left out.
        tell: is told the stage, how much is done, of how much.

    Raises:
        InputError: there are not so many tasks, or the corpus cannot be read.
    """
    worlds = {name: WORLDS[name] for name in config.worlds}
    tools = held_out_tools(worlds, config.held_out_tools, config.seed)
    needs, apart = Needs(tools), round(config.tasks * config.held_out)
    draw = tasks_of(worlds, needs, "train", seed=config.seed, no_tool=config.no_tool)
    train = _taken(draw, config.tasks, set(), tell)
    known = {task.id for task in train}
    held = _taken(tasks_of(worlds, needs, "task", seed=config.seed, no_tool=config.no_tool), apart, known, tell)
    if tools:
        held += _taken(tasks_of(worlds, needs, "tool", seed=config.seed), apart, known, tell)
    if not config.research:
        return Plan(worlds, tuple(train), tuple(held), tools)
    found = _planted(config, corpus)
    world = research_world(found)
    asked = list(itertools.islice(questions(world, found, "train", config.held_out, config.seed), config.research))
    if len(asked) < config.research:
        raise InputError(f"found {len(asked)} research questions, expected {config.research}; ask for fewer")
    apart = round(config.research * config.held_out)
    held += itertools.islice(questions(world, found, "task", config.held_out, config.seed), apart)
    return Plan({**worlds, RESEARCH: world}, (*train, *asked), tuple(held), tools, found)


def _taken(draw: Any, count: int, known: set[str], tell: Tell) -> list[Task]:  # noqa: ANN401 - an iterator of tasks
    found: list[Task] = []
    for task in draw if count else ():
        if task.id not in known:
            found.append(task)
            tell(f"{task.split} tasks", len(found), count)
        if len(found) == count:
            break
    return found


def _planted(config: ToolsConfig, folder: str | Path | None) -> Corpus:
    """Twice as many chains as are needed, since the search does not find the way to every fact."""
    chains = 2 * -(-config.research // _A_CHAIN) + 2 + round(2 * config.held_out * config.research / _A_CHAIN)
    documents = made_up(max(config.documents, 6 * chains), config.seed) if folder is None else read_corpus(folder)
    return plant(documents, chains, config.seed)


def make(found: Plan, model: Model, config: ToolsConfig, tell: Tell = lambda *_: None) -> Made:
    """Have a model do the training tasks, and keep what is right and economical."""
    tried = rollouts(
        found.train, model, found.worlds, draws=config.draws, most_calls=config.most_calls,
        tell=lambda done, of: tell("trajectories", done, of),
    )  # fmt: skip
    solved: dict[str, list[Trajectory]] = {}
    for one in tried:
        solved.setdefault(one.task.id, []).append(one)
    sft = _unique([_kept(found, model, own) for own in solved.values()])
    rl = [
        task.example(found.worlds[task.world], solved=_share([one.outcome.success for one in solved[task.id]]))
        for task in found.train
    ]
    held = [task.example(found.worlds[task.world]) for task in found.held_out]
    return Made(found, tuple(tried), tuple(sft), tuple(rl), tuple(held), tuple(_negatives(found, config.seed)))


def _kept(found: Plan, model: Model, own: Sequence[Trajectory]) -> Example | None:
    """The economical trajectory of a task with the fewest characters."""
    right = [one for one in own if not one.failed and one.outcome.economical]
    if not right:
        return None
    best = min(right, key=lambda one: (len(json.dumps([m.model_dump(mode="json") for m in one.messages])), one.draw))
    labels = {"model": model.name, "solved": _share([one.outcome.success for one in own])}
    return best.task.example(found.worlds[best.task.world], best.messages, **labels)


def _unique(examples: Sequence[Example | None]) -> list[Example]:
    """Each request with its completion once, whatever the world looked like at its start."""
    seen: set[str] = set()
    kept = []
    for example in examples:
        said = "" if example is None else f"{example.asked}\n{example.completion!r}"
        if example is not None and said not in seen:
            seen.add(said)
            kept.append(example)
    return kept


def _share(right: Sequence[bool]) -> str:
    return f"{sum(right)}/{len(right)}"


def _negatives(found: Plan, seed: int) -> list[Example]:
    """One faulty trajectory a solvable task, each fault in turn."""
    made = []
    for number, task in enumerate(found.train):
        fault = FAULTS[number % len(FAULTS)]
        world = found.worlds[task.world]
        rng = Random(f"{seed} negative {task.id}")  # noqa: S311 - chance, no secret
        said = negative(world, task, fault, rng) if task.kind == "solvable" else None
        if said is not None:
            made.append(task.example(world, said, fault=fault))
    return made


def write(folder: Path, made: Made, card: Callable[[str, int], str]) -> None:
    """Write the folders of examples; each is there whole or not at all, and what was there goes.

    Args:
        folder: of the run.
        made: what it made; a folder of nothing is not written.
        card: the card of a folder by its name and size.

    Raises:
        InputError: the folder cannot be written.
    """
    if made.plan.corpus is not None:
        write_corpus(folder / CORPUS_FILE, made.plan.corpus)
    every = {
        "sft": made.sft, "sft-text": [as_text(one) for one in made.sft], "rl": made.rl, "heldout": made.held_out,
        "negatives": made.negatives,
    }  # fmt: skip
    for name, examples in every.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        if examples:
            write_examples(folder / name, examples, card(name, len(examples)))
