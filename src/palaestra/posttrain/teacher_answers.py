"""A teacher's answers to prompts, several each: of a model on this machine, or of an endpoint by the gateway.

Both can be killed at any moment and lose nothing that was made or paid for. A model on this machine answers in blocks;
what a block brought is one line of a file, and its chance comes from seed and number, so that a resumed run has the
same bytes. An endpoint's replies stand in the gateway's book; each draw has a seed of its own.

Not here: which answers are kept (`teacher_data.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries, prompt_tokens
from palaestra.learn.generation import Sampling, end_tokens, sample
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.examples import Example

if TYPE_CHECKING:
    from palaestra.gateway.asking import Tally
    from palaestra.gateway.calls import Call
    from palaestra.schema import ModelSpec

Tell = Callable[[int, int], None]
"""Is told how many completions there are, of how many."""

_BLOCK = 512
"""Completions that are made together."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one draw."""

    text: str | None
    tokens: int | None = None
    """None where the endpoint reports none."""
    ended: bool = True
    """Whether it came to its end before the most tokens."""
    error: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is something to learn from."""
        return self.error is None and self.ended and bool((self.text or "").strip())


class Teacher(Protocol):
    """Whoever answers."""

    @property
    def name(self) -> str:
        """For the reader."""
        ...

    def __call__(self, examples: Sequence[Example], tell: Tell) -> list[list[Answer]]:
        """Of each prompt, its draws."""
        ...


class LocalTeacher:
    """A model on this machine.

    Args:
        name: `gguf:smollm2`, or a folder of Hugging Face.
        n: completions of a prompt.
        how: temperature and length.
        seed: of chance.
        kept: the file in which answers are kept.
        cache: where converted models are kept; the user's cache if left out.
    """

    def __init__(self, name: str, *, n: int, how: Sampling, seed: int, kept: Path, cache: Path | None = None) -> None:
        self.name, self._n, self._how, self._seed, self._kept, self._cache = name, n, how, seed, kept, cache

    def __call__(self, examples: Sequence[Example], tell: Tell) -> list[list[Answer]]:
        """Of each prompt, its draws; what the file holds is not made again.

        Raises:
            InputError: the file cannot be read or written, or the model's template cannot write a prompt.
        """
        asked = [example for example in examples for _ in range(self._n)]
        blocks = [asked[first : first + _BLOCK] for first in range(0, len(asked), _BLOCK)]
        known = self._read()
        model: Any = None
        found: list[Answer] = []
        for number, block in enumerate(blocks):
            key = _key(number, block)
            if key not in known:
                model = model or load_trainable(self.name, cache=self._cache)
                known[key] = self._made(model, block, number)
                self._write(key, known[key])
            found += known[key]
            tell(len(found), len(asked))
        return [found[first : first + self._n] for first in range(0, len(found), self._n)]

    def _made(self, model: tuple[Any, Any], block: Sequence[Example], number: int) -> list[Answer]:
        torch, _ = libraries()
        loaded, tokenizer = model
        chance = torch.Generator(loaded.device).manual_seed((self._seed << 32) + number)
        prompts = [prompt_tokens(tokenizer, example.prompt) for example in block]
        drawn = sample(loaded, prompts, self._how, ends=end_tokens(loaded, tokenizer), generator=chance)
        return [
            Answer(tokenizer.decode(one.tokens, skip_special_tokens=True).strip(), len(one.tokens), one.ended)
            for one in drawn
        ]

    def _read(self) -> dict[str, list[Answer]]:
        """Blocks by key; a line that was not written to its end is cut off."""
        if not self._kept.is_file():
            return {}
        content = self._kept.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._kept.open("r+b") as file:
                file.truncate(len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            return {line["block"]: [Answer(**one) for one in line["answers"]] for line in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"cannot read {self._kept}: {error}; expected the answers of a teacher") from error

    def _write(self, key: str, answers: Sequence[Answer]) -> None:
        line = json.dumps({"block": key, "answers": [asdict(one) for one in answers]}, ensure_ascii=False)
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            with self._kept.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise InputError(f"cannot write {self._kept}: {error.strerror or error}; make room and resume") from error


class EndpointTeacher:
    """A model of a models.toml.

    Args:
        spec: the model.
        n: completions of a prompt.
        how: temperature and length.
        seed: of the first draw, sent with it; the second has the next.
        book: where replies are kept.
        say: is told what somebody at the terminal should know.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        n: int,
        how: Sampling,
        seed: int,
        book: Path,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self._spec, self._n, self._how = spec.name, spec, n, how
        self._seed, self._book, self._say = seed, book, say
        self.tally: Tally | None = None
        """What was paid, once it has answered."""

    def __call__(self, examples: Sequence[Example], tell: Tell) -> list[list[Answer]]:
        """Of each prompt, its draws; what the book holds is not asked again.

        Raises:
            MissingPartError: its key is not set, or the extra `gateway` is not installed.
        """
        return asyncio.run(self._all(examples, tell))

    async def _all(self, examples: Sequence[Example], tell: Tell) -> list[list[Answer]]:
        import palaestra.gateway

        palaestra.gateway.GatewaySettings()  # says what is missing, if it is
        from palaestra.gateway.asking import Post

        found: dict[tuple[int, int], Answer] = {}
        async with Post(self._book, [self._spec], say=self._say) as post:
            self.tally = post.tally
            async for place, reply in post.ask({self.name: self._calls(examples)}):
                error = None if reply.error is None else f"{reply.error.kind}: {reply.error.detail}"
                found[place] = Answer(
                    None if error else reply.text.strip(), reply.output_tokens, reply.finish_reason != "length", error
                )
                tell(len(found), len(examples) * self._n)
        return [[found[number, draw] for draw in range(self._n)] for number in range(len(examples))]

    def _calls(self, examples: Sequence[Example]) -> Iterator[tuple[tuple[int, int], Call]]:
        from palaestra.gateway.calls import Call

        for number, example in enumerate(examples):
            for draw in range(self._n):
                yield (number, draw), Call(
                    model=self.name, messages=example.prompt, temperature=self._how.temperature,
                    max_tokens=self._how.max_tokens, seed=self._seed + draw, draw=draw,
                )  # fmt: skip


def _key(number: int, block: Sequence[Example]) -> str:
    said = json.dumps([[example.id, repr(example.prompt)] for example in block], ensure_ascii=False)
    return f"{number}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
