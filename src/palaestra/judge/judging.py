"""Judges are asked, and asked again where they cannot be read; what they said becomes verdicts.

A game is one judge's look at one pair in one order (or at one answer). What has been said of it stands in the book of
replies; `Panel.look` walks through that: it gives the verdict, or the request that is still missing. So a run that was
killed goes on where it was, and the files that it writes do not depend on how often that happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call, Reply, call_key
from palaestra.judge.answering import Answers
from palaestra.judge.protocols import Protocol, judge_messages, reminder
from palaestra.judge.reading import Read, read_reply
from palaestra.judge.schedule import Meeting
from palaestra.judge.verdict import Grade, Verdict
from palaestra.schema import Message, Prompt


class Game(NamedTuple):
    """One judge, one pair, one order. `b` is None where answers are graded alone."""

    judge: str
    question: int
    a: str
    b: str | None
    number: int


class Look(NamedTuple):
    """What is known of a game."""

    call: Call | None
    """The request that is missing; None once the game is settled."""
    reply: Reply | None
    """The judge's last reply."""
    read: Read
    """What that says."""
    attempts: int
    """How often the judge has replied."""


class Panel:
    """Judges with what they judge, and how they are asked."""

    def __init__(
        self,
        post: Post,
        prompts: Sequence[Prompt],
        answers: Answers,
        how: Protocol,
        *,
        rubric: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._post, self._prompts, self._answers = post, prompts, answers
        self._how, self._rubric, self._seed = how, rubric, seed

    def games(self, meetings: Iterable[Meeting], judges: Sequence[str], *, both_orders: bool = True) -> Iterator[Game]:
        """Every judge's games of these meetings; a meeting without both answers is none."""
        for meeting in meetings:
            question = self._prompts[meeting.question].id
            if all(self._answers.turns(model, question) is not None for model in meeting[1:]):
                for judge in judges:
                    yield Game(judge, meeting.question, meeting.a, meeting.b, 1)
                    if both_orders and self._how.games > 1:
                        yield Game(judge, meeting.question, meeting.b, meeting.a, 2)

    def gradings(self, models: Sequence[str], judges: Sequence[str]) -> Iterator[Game]:
        """Every judge's look at every answer alone."""
        for number, prompt in enumerate(self._prompts):
            for model in models:
                if self._answers.turns(model, prompt.id) is not None:
                    for judge in judges:
                        yield Game(judge, number, model, None, 1)

    async def hear(self, games: Iterable[Game], judges: Sequence[str], tick: Callable[[], None]) -> None:
        """Ask until every game has a verdict, or has been asked about often enough.

        Args:
            games: in any order; taken as places become free.
            judges: whoever occurs in them.
            tick: called after each game that is settled.
        """
        waiting: Iterable[Game] = games
        for attempt in range(1, self._how.attempts + 1):
            unread: list[Game] = []
            last = attempt == self._how.attempts
            async for game, reply in self._post.ask(self._open(waiting, judges, tick)):
                if last or reply.error is not None or read_reply(self._how, reply).readable:
                    tick()
                else:
                    unread.append(game)
            waiting = unread

    def _open(
        self, games: Iterable[Game], judges: Sequence[str], tick: Callable[[], None]
    ) -> dict[str, Iterator[tuple[Game, Call]]]:
        """The requests that are missing, by judge, made as they are taken."""
        if len(judges) == 1:
            return {judges[0]: self._missing(games, tick)}
        own: dict[str, list[Game]] = {judge: [] for judge in judges}
        for game in games:
            own[game.judge].append(game)
        return {judge: self._missing(each, tick) for judge, each in own.items()}

    def _missing(self, games: Iterable[Game], tick: Callable[[], None]) -> Iterator[tuple[Game, Call]]:
        for game in games:
            seen = self.look(game)
            self._post.tally.known += seen.attempts
            if seen.call is None:
                tick()
            else:
                yield game, seen.call

    def look(self, game: Game) -> Look:
        """What the book says of a game."""
        prompt = self._prompts[game.question]
        turns = [self._answers.turns(model, prompt.id) for model in (game.a, game.b) if model is not None]
        messages: tuple[Message, ...] = judge_messages(
            self._how, prompt, tuple(each for each in turns if each is not None), self._rubric
        )
        reply, read = None, Read()
        for attempt in range(1, self._how.attempts + 1):
            call = self._call(game.judge, messages)
            found = self._post.book.find(call_key(self._post.specs[game.judge], call))
            if found is None:
                return Look(call, reply, read, attempt - 1)
            reply, read = found, read_reply(self._how, found)
            if read.readable:
                return Look(None, reply, read, attempt)
            messages += reminder(self._how, found.text)
        return Look(None, reply, read, self._how.attempts)

    def verdict(self, game: Game) -> Verdict:
        """The verdict of a pair as it stands in the book, with an error where there is none."""
        seen = self.look(game)
        return Verdict(
            model_a=game.a,
            model_b=game.b or "",
            game=game.number,
            label=seen.read.label,
            preference=seen.read.preference,
            **self._around(game, seen),
        )

    def grade(self, game: Game) -> Grade:
        """The grade of an answer, likewise."""
        seen = self.look(game)
        return Grade(model=game.a, rating=seen.read.rating, **self._around(game, seen))

    def _around(self, game: Game, seen: Look) -> dict[str, Any]:
        """What verdicts and grades have in common."""
        prompt, reply, error = self._prompts[game.question], seen.reply, None
        if seen.call is not None:
            failure = self._post.book.failure(call_key(self._post.specs[game.judge], seen.call))
            error = f"{failure.kind}: {failure.detail}" if failure else "not asked"
        used = (
            {name: getattr(reply, name) for name in ("text", "input_tokens", "output_tokens", "cost")} if reply else {}
        )
        return {
            "question_id": prompt.id,
            "judge": game.judge,
            "protocol": self._how.name,
            "error": error,
            "attempts": seen.attempts,
            "category": prompt.category,
            **used,
        }

    def _call(self, judge: str, messages: tuple[Message, ...]) -> Call:
        return Call(
            model=judge,
            messages=messages,
            temperature=self._how.temperature,
            max_tokens=self._how.max_tokens,
            top_logprobs=self._how.top_logprobs,
            seed=self._seed,
        )
