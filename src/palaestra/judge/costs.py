"""What a run would cost, before it is paid for: calls, tokens and money, by who is asked.

Calls are counted exactly, but for what follows from replies that are not there yet: judges that have to be asked again.
Tokens are estimates: four characters make one. Answers that are still to come count with the most that their models may
write, or with the mean length of the answers that are there, where models have no limit; so do judges' texts. Replies
that stand in the run's book already are free, and counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call, call_key
from palaestra.judge.answering import Answers, known_answer, turn_call
from palaestra.judge.answers import Answer
from palaestra.judge.judging import Panel
from palaestra.judge.plan import Plan, needed_specs
from palaestra.schema import CHARACTERS_PER_TOKEN, ModelSpec

_NO_LIMIT = 1024
"""Tokens of an answer of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model would be asked. Tokens and money are at most what is said here, but for second attempts."""

    model: str
    role: str
    calls: int
    known: int
    """Calls whose replies are there already."""
    input_tokens: int
    output_tokens: int
    cost: float


def dry_run(plan: Plan, book: Path | None) -> list[Cost]:
    """What every contestant and judge would be asked.

    Args:
        plan: the run.
        book: an earlier run's replies, if there are any.
    """
    specs = {spec.name: spec for spec in needed_specs(plan)}
    with_book = book if book is not None and book.is_file() else Path(":memory:")
    post = Post(with_book, list(specs.values()))
    with post.book:
        contestants = [name for name in plan.contestants if name in specs]
        costs = [_of_answers(plan, post, specs[name]) for name in contestants]
        return [cost for cost in costs if cost.calls] + [
            _of_verdicts(plan, post, specs[name]) for name in plan.config.judges
        ]


def _of_answers(plan: Plan, post: Post, spec: ModelSpec) -> Cost:
    there = {answer.question_id for answer in plan.given if answer.model == spec.name}
    length, calls, known, sent = _answer_tokens(plan, spec.name, post), 0, 0, 0
    for prompt in plan.prompts:
        if prompt.id in there:
            continue
        said: list[str] = []
        for _ in prompt.turns:
            call = turn_call(spec.name, prompt, said, plan.config.seed)
            reply = post.book.find(call_key(spec, call))
            calls += 1
            known += reply is not None
            sent += 0 if reply is not None else _tokens(call)
            said.append("x" * int(length * CHARACTERS_PER_TOKEN) if reply is None else reply.text)
    return _cost(spec, "answers", calls, known, (sent, (calls - known) * length))


def _of_verdicts(plan: Plan, post: Post, spec: ModelSpec) -> Cost:
    panel = Panel(post, plan.prompts, _supposed(plan, post), plan.how, rubric=plan.rubric, seed=plan.config.seed)
    calls = known = sent = 0
    for call in _judge_calls(plan, panel, spec.name):
        calls += 1
        known += call is None
        sent += 0 if call is None else _tokens(call)
    if plan.how.compares and plan.meetings() is None:  # every pair has been counted: only so many of them will meet
        each, calls = sent / max(calls - known, 1), plan.budget()
        known = min(known, calls)
        sent = round(each * (calls - known))
    return _cost(spec, "verdicts", calls, known, (sent, (calls - known) * plan.how.max_tokens))


def _judge_calls(plan: Plan, panel: Panel, judge: str) -> Iterator[Call | None]:
    """The first request of each game that is not settled; None for those that are."""
    from palaestra.judge.schedule import everybody

    if not plan.how.compares:
        games = panel.gradings(plan.models, (judge,))
    else:
        meetings = plan.meetings()
        games = panel.games(everybody(plan.prompts, plan.models) if meetings is None else meetings, (judge,))
    for game in games:
        yield panel.look(game).call


def _supposed(plan: Plan, post: Post) -> Answers:
    """The answers that are there, and in the place of the others text of the length that they may have."""
    answers = Answers({(answer.model, answer.question_id): answer for answer in plan.given})
    for name in plan.contestants:
        if name not in post.specs:
            continue
        text = "x" * int(_answer_tokens(plan, name, post) * CHARACTERS_PER_TOKEN)
        for prompt in plan.prompts:
            if (name, prompt.id) not in answers.found:
                supposed = Answer(question_id=prompt.id, model=name, turns=tuple(text for _ in prompt.turns))
                answers.found[name, prompt.id] = known_answer(post, name, prompt, plan.config.seed) or supposed
    return answers


def _answer_tokens(plan: Plan, name: str, post: Post) -> int:
    spec = post.specs.get(name)
    if spec is not None and spec.max_tokens is not None:
        return spec.max_tokens
    lengths = [len(turn) for answer in plan.given for turn in answer.turns]
    return round(mean(lengths) / CHARACTERS_PER_TOKEN) if lengths else _NO_LIMIT


def _tokens(call: Call) -> int:
    return round(sum(len(message.text) for message in call.messages) / CHARACTERS_PER_TOKEN)


def _cost(spec: ModelSpec, role: str, calls: int, known: int, tokens: tuple[int, int]) -> Cost:
    money = (tokens[0] * spec.input_price + tokens[1] * spec.output_price) / 1e6
    return Cost(spec.name, role, calls, known, tokens[0], tokens[1], money)
