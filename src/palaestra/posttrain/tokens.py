"""An example as tokens, and which of them are learnt: the assistant's turns in the completion, with what ends them.

The model's chat template writes the turns, but never sees a text: it writes marks, once for each sequence of roles, and
the texts are put in their place. Tokens that only a template may write are made of the template's own words alone, so
that no text can open or end a turn. All else is tokenized as the model reads it when it is asked: the prompt in one
piece, a reply by itself.

    prompt, tools' answers            read, not learnt
    the assistant's turns             learnt, each with the token that ends it
    what a template writes after that not learnt

What ends a turn is the first special token that the template writes after it, else the tokenizer's eos_token.

Not here: padding and packing (`packing.py`), what is sampled (`rollouts.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example
from palaestra.schema import Message, TextPart, ToolResultPart

TooLong = Literal["leave-out", "cut"]
"""What becomes of an example that is too long: it is left out, or loses its end (and the token that ends it)."""

_MARK = re.compile("(\u2003?)\x02([0-9]+)\x03(\u2003?)")
"""Stands for a text; its wide blanks are gone where a template strips."""
_TOGETHER = 2048
"""Texts that are tokenized in one call."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one example is made of."""

    id: str
    domain: str
    tokens: tuple[int, ...]
    learnt: tuple[bool, ...]
    """Of each token; never of the first."""

    @property
    def count(self) -> int:
        """How many tokens are learnt."""
        return sum(self.learnt)


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Examples as tokens, in their order, and what became of those that were too long."""

    rows: tuple[Tokens, ...]
    cut: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of text: of the template, or a message's own."""

    text: str
    message: int | None = None
    left: bool = False
    right: bool = False
    """Whether the template strips the message's text on that side."""


class ChatTokens:
    """Writes conversations of one model.

    Args:
        tokenizer: the model's.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - of transformers
        self._tokenizer = tokenizer
        special = sorted(set(tokenizer.all_special_tokens) | _special(tokenizer), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or "(?!)")
        self._forms: dict[tuple[tuple[str, ...], int], list[_Piece]] = {}
        self._known: dict[str, list[int]] = {}

    def of(self, example: Example) -> Tokens:
        """One example; it must have a completion.

        Raises:
            InputError: there is none, a message holds more than text, or the template cannot write these turns.
        """
        return self.of_all([example])[0]

    def of_all(self, examples: Sequence[Example]) -> list[Tokens]:
        """Several at once, which is faster."""
        written = [self._runs(example) for example in examples]
        new = dict.fromkeys(
            text for runs in written for run, _ in runs for text in run if isinstance(text, str) and text
        )
        self._learn([text for text in new if text not in self._known])
        found = [self._joined(example, runs) for example, runs in zip(examples, written, strict=True)]
        self._known.clear()
        return found

    def _joined(self, example: Example, runs: list[tuple[list[str | int], bool]]) -> Tokens:
        tokens: list[int] = []
        learnt: list[bool] = []
        for run, is_learnt in runs:
            for part in run:
                these = [part] if isinstance(part, int) else self._known[part] if part else []
                tokens += these
                learnt += [is_learnt] * len(these)
        if learnt:
            learnt[0] = False  # nothing comes before it
        return Tokens(example.id, example.domain, tuple(tokens), tuple(learnt))

    def _learn(self, texts: list[str]) -> None:
        for first in range(0, len(texts), _TOGETHER):
            part = texts[first : first + _TOGETHER]
            found = self._tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            self._known.update(zip(part, found, strict=True))

    def _runs(self, example: Example) -> list[tuple[list[str | int], bool]]:
        """Runs of texts and special tokens, and whether each is learnt."""
        if not example.completion:
            raise InputError(f"found no completion in the example {example.id}, expected what is to be learnt")
        messages = (*example.prompt, *example.completion)
        texts = [_text(message, example.id) for message in messages]
        first = len(example.prompt)
        runs: list[tuple[list[str | int], bool]] = [([], False)]
        ends = False  # whether a learnt turn is still open
        for piece in self._form(tuple(message.role for message in messages), first):
            if piece.message is None:
                ends = self._template(runs, piece.text, open_turn=ends)
                continue
            text = texts[piece.message]
            text = text.lstrip() if piece.left else text
            text = text.rstrip() if piece.right else text
            if piece.message >= first and messages[piece.message].role == "assistant":
                runs.append(([text], True))
                ends = True
            else:
                _add(runs, text)
        return runs

    def _template(self, runs: list[tuple[list[str | int], bool]], text: str, *, open_turn: bool) -> bool:
        """The template's own words; whether a learnt turn is still open after them."""
        parts = _split(self._special, text)
        if open_turn:
            cut = next((number for number, (_, special) in enumerate(parts) if special), None)
            own = [] if cut is None else parts[: cut + 1]
            parts = parts if cut is None else parts[cut + 1 :]
            for part, special in own:
                _add(runs, self._id(part) if special else part)
            if cut is None:
                _add(runs, self._tokenizer.eos_token_id)
            runs.append(([], False))
        for part, special in parts:
            _add(runs, self._id(part) if special else part)
        return False

    def _id(self, token: str) -> int:
        return int(self._tokenizer.convert_tokens_to_ids(token))

    def _form(self, roles: tuple[str, ...], first: int) -> list[_Piece]:
        """The template's words for these roles, with messages between them, an empty one at the end."""
        if (roles, first) not in self._forms:
            self._forms[roles, first] = self._written(roles, first)
        return self._forms[roles, first]

    def _written(self, roles: tuple[str, ...], first: int) -> list[_Piece]:
        whole = self._render(roles)
        for number in range(first, len(roles)):
            if roles[number] != "assistant":
                continue
            before = self._render(roles[:number], asks=True)
            so_far = self._render(roles[: number + 1])
            if not so_far.startswith(before):
                raise _refused(roles, "it writes a reply otherwise than it asks for one")
            if not whole.startswith(so_far):
                raise _refused(roles, "it writes earlier turns anew when later ones come")
            if not whole[len(before) :].lstrip("\u2003").startswith(f"\x02{number}\x03"):
                raise _refused(roles, "it writes more before a reply than where it asks for one")
        return _pieces(whole, roles)

    def _render(self, roles: Sequence[str], *, asks: bool = False) -> str:
        turns = [{"role": role, "content": f"\u2003\x02{number}\x03\u2003"} for number, role in enumerate(roles)]
        if self._tokenizer.chat_template is None:
            said = "".join(f"{turn['role'].capitalize()}: {turn['content']}\n\n" for turn in turns)
            return said + ("Assistant: " if asks else "")
        from jinja2 import TemplateError

        try:
            return self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks)
        except (ValueError, TypeError, TemplateError) as error:
            raise _refused(roles, str(error)) from error


def tokenized(
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    *,
    max_tokens: int,
    too_long: TooLong = "leave-out",
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Tokenized:
    """Examples as tokens.

    Args:
        tokenizer: the model's.
        examples: each with a completion.
        max_tokens: of an example.
        too_long: what becomes of longer ones; one that has nothing left to learn is left out in any case.
        tell: is told how many are done, of how many.

    Raises:
        InputError: as `ChatTokens.of`, or all are too long.
    """
    chat = ChatTokens(tokenizer)
    rows: list[Tokens] = []
    cut = 0
    for first in range(0, len(examples), _TOGETHER):
        for row in chat.of_all(examples[first : first + _TOGETHER]):
            if len(row.tokens) <= max_tokens:
                rows.append(row)
            elif too_long == "cut" and any(row.learnt[:max_tokens]):
                rows.append(Tokens(row.id, row.domain, row.tokens[:max_tokens], row.learnt[:max_tokens]))
                cut += 1
        tell(min(first + _TOGETHER, len(examples)), len(examples))
    if not rows:
        raise InputError(
            f"found no example of at most {max_tokens} tokens among {len(examples)}, expected some; raise max_tokens"
        )
    return Tokenized(tuple(rows), cut, len(examples) - len(rows))


def _text(message: Message, example: str) -> str:
    """A message's text, without the marks.

    Raises:
        InputError: it holds more than text.
    """
    parts = [part.text for part in message.content if isinstance(part, TextPart | ToolResultPart)]
    if len(parts) < len(message.content):
        kinds = ", ".join(sorted({part.type for part in message.content} - {"text", "tool_result"}))
        raise InputError(f"the example {example} has a message of the {message.role} with {kinds}, expected text alone")
    return "\n\n".join(parts)


def _special(tokenizer: Any) -> set[str]:  # noqa: ANN401 - of transformers
    """Tokens that no plain text becomes."""
    return {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}


def _split(pattern: re.Pattern[str], text: str) -> list[tuple[str, bool]]:
    """Plain texts and special tokens in turn."""
    found: list[tuple[str, bool]] = []
    end = 0
    for each in pattern.finditer(text):
        if each.start() > end:
            found.append((text[end : each.start()], False))
        found.append((each[0], True))
        end = each.end()
    return [*found, (text[end:], False)] if end < len(text) else found


def _add(runs: list[tuple[list[str | int], bool]], part: str | int) -> None:
    """A part at the end of the last run; texts that touch become one, as the model reads them."""
    run = runs[-1][0]
    if run and isinstance(part, str) and isinstance(run[-1], str) and not runs[-1][1]:
        run[-1] += part
    else:
        run.append(part)


def _pieces(whole: str, roles: Sequence[str]) -> list[_Piece]:
    found: list[_Piece] = []
    end = 0
    for each in _MARK.finditer(whole):
        found.append(_Piece(whole[end : each.start()]))
        found.append(_Piece("", int(each[2]), left=not each[1], right=not each[3]))
        end = each.end()
    found.append(_Piece(whole[end:]))
    if [piece.message for piece in found if piece.message is not None] != list(range(len(roles))):
        raise _refused(roles, "it does not write every message once and in order")
    return found


def _refused(roles: Iterable[str], why: str) -> InputError:
    return InputError(
        f"the model's chat template cannot write the turns {', '.join(roles)} one by one: {why}; take a model whose "
        "template can, or examples of other turns"
    )
