"""Who answers: a script that knows the solution, a model of a models.toml, a model on this machine.

Both kinds of model can be killed at any moment and lose nothing that was made or paid for: an endpoint's replies stand
in the gateway's book, those of a model on this machine in a file, a line a batch; the tools are deterministic, so the
same conversation is had again and every reply of it is found. Not here: whose turn it is (`rollouts.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from palaestra.errors import InputError
from palaestra.learn.backbone import conversation_text, libraries
from palaestra.learn.generation import Sampling, end_tokens, sample
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.tooluse.rollouts import Asked, Failed
from palaestra.posttrain.tooluse.talk import heard, spoken
from palaestra.posttrain.tooluse.tasks import Task
from palaestra.schema import Message, TextPart, ToolCallPart
from palaestra.store.runs import read_lines

if TYPE_CHECKING:
    from palaestra.gateway.asking import Post, Tally
    from palaestra.gateway.calls import Call, Reply
    from palaestra.schema import ModelSpec

_BATCH = 32
"""Conversations that a model on this machine answers together."""
_MOST_TOKENS = 3072
"""Of a conversation; a longer one is not asked."""


class Scripted:
    """Makes the calls of the known solution, one a turn, and says the answer."""

    name = "scripted"

    def turn(self, number: int, asked: Sequence[Asked]) -> list[Message | Failed]:
        """The next call of each solution."""
        return [scripted_turn(one.task, number) for one in asked]


def scripted_turn(task: Task, number: int) -> Message:
    """The call of this number, or the end."""
    if number >= task.minimal:
        return Message.of("assistant", closing(task))
    step = task.solution[number]
    arguments = json.dumps(step.arguments, ensure_ascii=False)
    return Message(
        role="assistant", content=(ToolCallPart(call_id=f"call-{number}", name=step.name, arguments=arguments),)
    )


def closing(task: Task) -> str:
    """The right end of a task."""
    if task.kind == "no_tool":
        return "The tools that I have cannot do this.\nAnswer: cannot"
    cited = "".join(f" [{name}]" for name in task.documents)
    return f"Answer: {'done' if task.answer is None else task.answer}{cited}"


class Endpoint:
    """A model of a models.toml, which is offered tools in the protocol's own way. A context manager.

    Args:
        spec: the model.
        book: where replies are kept.
        max_tokens: of a reply.
        temperature: of sampling.
        seed: of the first draw, sent with it; the second has the next.
        say: is told what somebody at the terminal should know.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        book: Path,
        max_tokens: int,
        temperature: float,
        seed: int,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self._spec, self._book, self._say = spec.name, spec, book, say
        self._max_tokens, self._temperature, self._seed = max_tokens, temperature, seed
        self._runner = asyncio.Runner()
        self._post: Post | None = None
        self.tally: Tally | None = None
        """What was paid."""

    def __enter__(self) -> Self:
        """Open the book."""
        import palaestra.gateway

        palaestra.gateway.GatewaySettings()  # says what is missing, if it is
        from palaestra.gateway.asking import Post

        self._runner.__enter__()
        self._post = Post(self._book, [self._spec], say=self._say)
        self.tally = self._post.tally
        return self

    def __exit__(self, *error: object) -> None:
        """Let the calls under way come to their end."""
        if self._post is not None:
            self._runner.run(self._post.__aexit__(*error))
        self._runner.close()

    def turn(self, number: int, asked: Sequence[Asked]) -> list[Message | Failed]:  # noqa: ARG002 - as others
        """What the endpoint says; what the book holds is not asked again."""
        return self._runner.run(self._turn(asked))

    async def _turn(self, asked: Sequence[Asked]) -> list[Message | Failed]:
        found: dict[int, Message | Failed] = {}
        if self._post is None:
            raise InputError("found an endpoint that was not opened, expected `with`")
        async for place, reply in self._post.ask({self.name: self._calls(asked)}):
            found[place] = _said(reply)
        return [found[place] for place in range(len(asked))]

    def _calls(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Call]]:
        from palaestra.gateway.calls import Call

        for place, one in enumerate(asked):
            yield (
                place,
                Call(
                    model=self.name, messages=one.messages, temperature=self._temperature, tools=one.offered,
                    max_tokens=self._max_tokens, seed=self._seed + one.draw, draw=one.draw,
                ),
            )  # fmt: skip


def _said(reply: Reply) -> Message | Failed:
    if reply.error is not None:
        return Failed(f"{reply.error.kind}: {reply.error.detail}")
    parts = ((TextPart(text=reply.text),) if reply.text or not reply.calls else ()) + reply.calls
    return Message(role="assistant", content=parts)


class Local:
    """A model on this machine, which is told of tools, and calls them, in plain text.

    Args:
        name: `gguf:smollm2`, or a folder of Hugging Face.
        kept: the file in which replies are kept.
        max_tokens: of a reply.
        temperature: of sampling; 0 takes the likeliest token.
        seed: of chance.
        cache: where converted models are kept; the user's cache if left out.
    """

    tally = None

    def __init__(
        self, name: str, *, kept: Path, max_tokens: int, temperature: float, seed: int, cache: Path | None = None
    ) -> None:
        self.name, self._kept, self._seed, self._cache = name, kept, seed, cache
        self._how = Sampling(max_tokens, temperature)
        self._model: tuple[Any, Any] | None = None
        self._known: dict[str, list[str | None]] = {}

    def __enter__(self) -> Self:
        """Read what was said in an earlier run; a line without its end is cut off."""
        if self._kept.is_file():
            with self._kept.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
        self._known = {line["batch"]: line["texts"] for line in read_lines(self._kept)}
        return self

    def __exit__(self, *_: object) -> None:
        """Let the model go."""
        self._model = None

    def turn(self, number: int, asked: Sequence[Asked]) -> list[Message | Failed]:
        """What the model says, batch by batch."""
        said: list[Message | Failed] = []
        for first in range(0, len(asked), _BATCH):
            batch = asked[first : first + _BATCH]
            key = f"{number}-{first}-{_hash(batch)}"
            if key not in self._known:
                self._known[key] = self._made(key, batch)
                self._write(key)
            for one, text in zip(batch, self._known[key], strict=True):
                calls = sum(isinstance(part, ToolCallPart) for message in one.messages for part in message.content)
                said.append(Failed("too long to be read") if text is None else heard(text, calls))
        return said

    def _made(self, key: str, batch: Sequence[Asked]) -> list[str | None]:
        torch, _ = libraries()
        self._model = self._model or load_trainable(self.name, cache=self._cache)
        model, tokenizer = self._model
        chance = torch.Generator(model.device)
        chance.manual_seed(int(hashlib.sha256(f"{self._seed} {key}".encode()).hexdigest()[:15], 16))
        texts = [conversation_text(tokenizer, spoken(one.messages, one.offered)) for one in batch]
        rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        longest = min(_MOST_TOKENS, model.config.max_position_embeddings) - self._how.max_tokens
        fit = [place for place, row in enumerate(rows) if len(row) <= longest]
        drawn = sample(
            model, [rows[place] for place in fit], self._how, ends=end_tokens(model, tokenizer), generator=chance
        )
        found: list[str | None] = [None] * len(batch)
        for place, one in zip(fit, drawn, strict=True):
            found[place] = tokenizer.decode(one.tokens, skip_special_tokens=True).strip()
        return found

    def _write(self, key: str) -> None:
        line = json.dumps({"batch": key, "texts": self._known[key]}, ensure_ascii=False)
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            with self._kept.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise InputError(f"cannot write {self._kept}: {error.strerror or error}; make room and resume") from error


def _hash(batch: Sequence[Asked]) -> str:
    said = [[one.task.id, one.draw, [message.model_dump(mode="json") for message in one.messages]] for one in batch]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:16]
