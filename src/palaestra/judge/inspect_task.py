"""A benchmark as a task of inspect_ai: `inspect eval palaestra/arena_hard -T prompts=... -T baseline_answers=...`.

Inspect asks the contestant, turn by turn; the scorer shows its answer and the baseline's to a judge in both orders, as
`palaestra judge run` does, by the same protocols. A sample's score is what the contestant scores, the mean of both
games, from 0 to 1; its metadata hold both labels and the judge's texts. A sample of which a game cannot be read after
all attempts, or whose answer is empty, has no score: Inspect counts it as unscored, and leaves it out of the mean.

The judge is the argument `judge`, else the model in Inspect's role `grader`; never silently the contestant itself.

Not here: boards with intervals (`palaestra judge board`), and protocols that weigh probabilities of letters, which
need what not every provider gives. This is the entry point of the group `inspect_ai`; nothing else imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from palaestra.errors import InputError
from palaestra.judge import protocols
from palaestra.judge.answers import Answer, check_answers, read_answers
from palaestra.judge.protocols import EVERY, Protocol, judge_messages, reminder
from palaestra.judge.verdict import POINTS, Label, read_label
from palaestra.store.prompts import SET_FILE, read_prompt_set, read_prompts

if TYPE_CHECKING:
    from palaestra.schema import Message, Prompt

_ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


@task
def arena_hard(
    prompts: str,
    baseline_answers: str,
    protocol: str = "pairwise",
    judge: str | Model | None = None,
    baseline: str | None = None,
) -> Task:
    """The questions of a benchmark, each answer compared with the baseline's.

    Args:
        prompts: a set of prompts or a file of questions.
        baseline_answers: answers to all of them, as `read_answers` reads them.
        protocol: a name, or a TOML file, as in `palaestra judge run`.
        judge: a model of Inspect; if left out, the one in the role `grader`.
        baseline: whose answers; if left out, the set's or the protocol's baseline, or the only model in the file.

    Raises:
        InputError: the questions, the answers or the protocol cannot be used.
    """
    how, asked = _protocol(protocol), _prompts(prompts)
    against = _baselines(Path(prompts), how, asked, read_answers(baseline_answers), baseline)
    return Task(
        dataset=MemoryDataset([_sample(prompt) for prompt in asked], name=Path(prompts).stem),
        solver=ask_turns(),
        scorer=pairwise(how, {prompt.id: prompt for prompt in asked}, against, judge),
    )


@solver
def ask_turns() -> Solver:
    """Ask turn by turn; the sample holds the first, its metadata the others."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        for turn in state.metadata["further_turns"]:
            if state.completed or not state.output.completion.strip():
                break
            state.messages.append(ChatMessageUser(content=turn))
            state = await generate(state)
        return state

    return solve


@scorer(metrics=[mean(), stderr()])
def pairwise(
    how: Protocol, prompts: Mapping[str, Prompt], against: Mapping[str, Answer], judge: str | Model | None
) -> Scorer:
    """Compare with the baseline in both orders.

    Args:
        how: the protocol.
        prompts: the questions by id.
        against: the baseline's answers by question.
        judge: a model of Inspect; None for the one in the role `grader`, without which nothing is scored.
    """

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001 - Inspect's protocol
        prompt, base = prompts[str(state.sample_id)], against[str(state.sample_id)]
        turns = tuple(message.text for message in state.messages if message.role == "assistant")
        if len(turns) != len(prompt.turns) or not all(turn.strip() for turn in turns):
            return Score.unscored(reason="no_response", explanation="a turn has no answer")
        grader = get_model(judge) if judge is not None else get_model(role="grader", required=True)
        first, second = await asyncio.gather(
            _game(grader, how, prompt, (base.turns, turns)), _game(grader, how, prompt, (turns, base.turns))
        )
        metadata = {
            "baseline": base.model,
            "judge": str(grader),
            "protocol": how.name,
            "category": prompt.category,
            "labels": [first.label, second.label],
            "texts": [first.text, second.text],
            "attempts": [first.attempts, second.attempts],
        }
        if first.label is None or second.label is None:
            return Score.unscored(
                reason="grader_failed", explanation="the judge gave no verdict that can be read", metadata=metadata
            )
        points = (1 - POINTS[first.label] + POINTS[second.label]) / 2
        return Score(value=points, answer=turns[-1], explanation=second.text, metadata=metadata)

    return score


class _Game(NamedTuple):
    label: Label | None
    text: str
    attempts: int


async def _game(grader: Model, how: Protocol, prompt: Prompt, answers: tuple[tuple[str, ...], ...]) -> _Game:
    """One look at the pair in one order; a judge that cannot be read is reminded, as often as the protocol says."""
    config = GenerateConfig(temperature=how.temperature, max_tokens=how.max_tokens)
    messages, text = judge_messages(how, prompt, answers), ""
    for attempt in range(1, how.attempts + 1):
        text = (await grader.generate(_theirs(messages), config=config)).completion
        label = read_label(text, how.reading)
        if label is not None:
            return _Game(label, text, attempt)
        messages += reminder(how, text)
    return _Game(None, text, how.attempts)


def _theirs(messages: Sequence[Message]) -> list[ChatMessage]:
    return [_ROLES[message.role](content=message.text) for message in messages]


def _protocol(name: str) -> Protocol:
    how = protocols.protocol(name)
    if how.answers_with != "label" or how.games != 2:  # noqa: PLR2004 - both orders
        raise InputError(f"found the protocol {how.name}, expected one with labels and both orders, such as pairwise")
    return how


def _prompts(path: str) -> list[Prompt]:
    return read_prompts(path, identified=Path(path).is_file())


def _sample(prompt: Prompt) -> Sample:
    told: list[ChatMessage] = [ChatMessageSystem(content=prompt.system)] if prompt.system else []
    return Sample(
        id=prompt.id,
        input=[*told, ChatMessageUser(content=prompt.turns[0])],
        target=list(prompt.reference) or "",
        metadata={"category": prompt.category, "further_turns": list(prompt.turns[1:])},
    )


def _baselines(
    path: Path, how: Protocol, prompts: Sequence[Prompt], answers: Sequence[Answer], named: str | None
) -> dict[str, Answer]:
    """The baseline's answer to each question; every question must have one, with words in it."""
    own = read_prompt_set(path)[0].baselines if (path / SET_FILE).is_file() else {}
    models = dict.fromkeys(answer.model for answer in answers)
    names = {EVERY: named} if named else {**how.baselines, **own}
    if not names and len(models) == 1:
        names = {EVERY: next(iter(models))}
    kept = []
    by_place = {(answer.model, answer.question_id): answer for answer in answers}
    for prompt in prompts:
        name = names.get(prompt.category or EVERY, names.get(EVERY))
        answer = by_place.get((name or "", prompt.id))
        if answer is None or answer.empty:
            raise InputError(
                f"found no answer of the baseline {name!r} to question {prompt.id!r}, expected one in these answers of "
                f"{', '.join(models)}; name the baseline, or give all its answers"
            )
        kept.append(answer)
    check_answers([answer.model_copy(update={"model": "the baseline"}) for answer in kept], prompts)
    return {answer.question_id: answer for answer in kept}
