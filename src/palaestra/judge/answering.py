"""Answers of the contestants: those that are given, and for the rest their models are asked.

A question of several turns is asked turn by turn, with the model's own answers between them. An answer that is not
given and cannot be asked for, or does not come, is a failure with its reason; it is counted, and nothing is judged in
its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call, Reply, call_key
from palaestra.judge.answers import Answer
from palaestra.schema import ErrorRecord, Message, Prompt, Usage

Key = tuple[str, str]
"""Model and question."""


_NOT_GIVEN = ErrorRecord(kind="cancelled", detail="not among the given answers, and the model is not in models.toml")


@dataclass(slots=True)
class Answers:
    """All answers, and what did not come."""

    found: dict[Key, Answer] = field(default_factory=dict)
    failed: dict[Key, ErrorRecord] = field(default_factory=dict)

    def turns(self, model: str, question: str) -> tuple[str, ...] | None:
        """What a model said; None where there is nothing that can be judged."""
        answer = self.found.get((model, question))
        return None if answer is None or answer.empty else answer.turns


async def gather_answers(
    post: Post,
    prompts: Sequence[Prompt],
    models: Sequence[str],
    given: Sequence[Answer],
    *,
    seed: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Answers:
    """The answers of all models to all questions.

    Args:
        post: where models are asked.
        prompts: the questions.
        models: the contestants.
        given: answers that are there already.
        seed: sent with every request, for endpoints that know one.
        tick: called after each turn that came.
    """
    answers = Answers({(answer.model, answer.question_id): answer for answer in given})
    missing = {name: [prompt for prompt in prompts if (name, prompt.id) not in answers.found] for name in models}
    asked = {name: wanted for name, wanted in missing.items() if name in post.specs}
    for name, wanted in missing.items():
        if name not in asked:
            answers.failed |= {(name, prompt.id): _NOT_GIVEN for prompt in wanted}
    longest = max((len(prompt.turns) for wanted in asked.values() for prompt in wanted), default=0)
    for turn in range(longest):
        calls = {name: _calls(post, name, wanted, turn, seed) for name, wanted in asked.items() if wanted}
        async for _ in post.ask(calls):
            tick()
    for name, wanted in asked.items():
        for prompt in wanted:
            if (answer := known_answer(post, name, prompt, seed)) is not None:
                answers.found[name, prompt.id] = answer
            else:
                answers.failed[name, prompt.id] = _why(post, name, prompt, seed)
    return answers


def known_answer(post: Post, model: str, prompt: Prompt, seed: int | None) -> Answer | None:
    """The answer that stands in the book; None where a turn is missing."""
    replies = list(_replies(post, model, prompt, seed))
    return _answer(model, prompt, replies) if len(replies) == len(prompt.turns) else None


def turn_call(model: str, prompt: Prompt, said: Sequence[str], seed: int | None) -> Call:
    """The request for the next turn, after what the model has said so far."""
    messages = [Message.of("system", prompt.system)] if prompt.system else []
    for number, turn in enumerate(prompt.turns[: len(said) + 1]):
        messages.append(Message.of("user", turn))
        if number < len(said):
            messages.append(Message.of("assistant", said[number]))
    return Call(model=model, messages=tuple(messages), seed=seed)


def _calls(
    post: Post, model: str, prompts: Sequence[Prompt], turn: int, seed: int | None
) -> Iterator[tuple[None, Call]]:
    for prompt in prompts:
        if turn < len(prompt.turns):
            said = [reply.text for reply in _replies(post, model, prompt, seed, turn)]
            if len(said) == turn:
                yield None, turn_call(model, prompt, said, seed)


def _replies(post: Post, model: str, prompt: Prompt, seed: int | None, turns: int | None = None) -> Iterator[Reply]:
    """The replies to the first turns that stand in the book, up to the first that does not."""
    said: list[str] = []
    for _ in prompt.turns[:turns]:
        reply = post.book.find(call_key(post.specs[model], turn_call(model, prompt, said, seed)))
        if reply is None:
            return
        said.append(reply.text)
        yield reply


def _why(post: Post, model: str, prompt: Prompt, seed: int | None) -> ErrorRecord:
    said = [reply.text for reply in _replies(post, model, prompt, seed)]
    error = post.book.failure(call_key(post.specs[model], turn_call(model, prompt, said, seed)))
    return error or ErrorRecord(kind="cancelled", detail="it was not asked")


def _answer(model: str, prompt: Prompt, replies: Sequence[Reply]) -> Answer:
    tokens = [reply.output_tokens for reply in replies]
    costs = [reply.cost for reply in replies]
    known = [number for number in tokens if number is not None]
    return Answer(
        question_id=prompt.id,
        model=model,
        turns=tuple(reply.text for reply in replies),
        asked=prompt.turns,
        system=prompt.system,
        token_len=sum(known) if len(known) == len(tokens) else None,
        usage=Usage(
            input_tokens=_total([reply.input_tokens for reply in replies]),
            output_tokens=_total(tokens),
            cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        ),
    )


def _total(numbers: Sequence[int | None]) -> int | None:
    return None if None in numbers else sum(number for number in numbers if number is not None)
