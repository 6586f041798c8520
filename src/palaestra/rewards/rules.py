r"""Rewards that nobody has to train: rules, and verifiers that hold a reply against a right answer.

    rule:length         tokens of the reply                      rule:-length   the same with a minus
    rule:regex:PATTERN  1 where the pattern is found, else 0
    rule:json           1 where the reply, or its only fenced block, is JSON, else 0
    rule:exact          1 where the final answer is that of the reference, else 0
    rule:choice         1 where the letter that is chosen is the reference's, else 0
    rule:code           1 where the reply's program passes the tests of the reference, else 0 (`sandbox.py`)

A final answer is what stands in the last \boxed{}, else after the last `####`, else after the last "answer is" or
"answer:", else the last line. Two are the same if they are equal as numbers (1,000 is 1000, 0.50 is
\frac{1}{2}, 50% is 0.5), else as texts without case, blanks, dollar signs and a final stop. No algebra: x + 1 is not
1 + x.

A reference belongs to a prompt: the record's label `reference`, or a table's column, by the text of the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
import polars as pl

from palaestra.errors import InputError
from palaestra.rewards.comparisons import Floats
from palaestra.rewards.vectors import asked
from palaestra.schema import Message
from palaestra.store.markdown import count_in_texts

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.DOTALL)
_ANSWER = re.compile(r"answer(?:\s+is|\s*:)\s*:?\s*(.+)", re.IGNORECASE)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}")
_LATEX_WRAP = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}")
_LATEX_SPACE = re.compile(r"\\[,!;: ]|\\left|\\right|~")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:/(?:\d+\.?\d*|\.\d+))?%?")
_CHOSEN = (
    re.compile(r"(?i:answer(?:\s+is|\s*:))\s*:?[\s*(\[]*([A-J]\b|[a-j](?=\s*(?:[)\].,;:*]|$)))", re.MULTILINE),
    re.compile(r"\\boxed\{\(?\s*([A-J])\s*\)?\}"),
    re.compile(r"^[\s*(\[]*([A-J])[\s*)\].:]*$", re.MULTILINE),
    re.compile(r"[(\[]([A-J])[)\]]"),
)
_MOST_DIGITS = 1000
"""Of a number: what a model repeats without an end is compared as a text."""
_PLAIN = ("rule:length", "rule:-length", "rule:json", "rule:exact", "rule:choice", "rule:code")
NAMES = (*_PLAIN, "rule:regex:PATTERN")


class Rule:
    """A reward that follows from the reply alone."""

    def __init__(self, name: str, score: Callable[[Sequence[str]], Floats]) -> None:
        self.name = name
        self._score = score

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> Floats:  # noqa: ARG002
        """The reward of each reply."""
        return self._score(replies)


class Verifier:
    """A reward that holds each reply against the reference of its prompt.

    Args:
        name: rule:exact, rule:choice or rule:code.
        agrees: whether a reply and a reference agree.
        references: right answers, by the text of the prompt.
    """

    def __init__(self, name: str, agrees: Callable[[str, str], bool], references: Mapping[str, str]) -> None:
        self.name = name
        self._agrees, self._references = agrees, references

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> Floats:
        """1 where a reply agrees with its reference, else 0.

        Raises:
            InputError: a prompt has no reference.
        """
        return self.against(prompts, replies, [self._references.get(asked(prompt)) for prompt in prompts])

    def against(
        self, prompts: Sequence[Sequence[Message]], replies: Sequence[str], references: Sequence[str | None]
    ) -> Floats:
        """The same with a reference for each reply: one prompt may stand there twice.

        Raises:
            InputError: a prompt has no reference.
        """
        if (missing := next((row for row, one in enumerate(references) if one is None), None)) is not None:
            raise InputError(
                f"{self.name}: found no reference for the prompt {asked(prompts[missing])[:60]!r}, expected one in "
                "`reference`"
            )
        pairs = zip(replies, references, strict=True)
        return np.array([float(self._agrees(reply, reference or "")) for reply, reference in pairs])


def rule(name: str, references: Mapping[str, str] | None = None) -> Rule | Verifier:
    """The rule of this name.

    Args:
        name: one of `NAMES`.
        references: right answers by the text of the prompt; verifiers need them.

    Raises:
        InputError: there is no such rule, its pattern cannot be read, or a verifier has no references.
    """
    if name in _AGREES:
        if not references:
            raise InputError(
                f"{name}: found no references, expected a label or a column `reference` with right answers"
            )
        return Verifier(name, _AGREES[name], references)
    if name in {"rule:length", "rule:-length"}:
        sign = -1.0 if name == "rule:-length" else 1.0
        return Rule(name, lambda replies: sign * _lengths(replies))
    if name == "rule:json":
        return Rule(name, lambda replies: np.array([float(_is_json(reply)) for reply in replies]))
    if name.startswith("rule:regex:"):
        return Rule(name, _finder(name))
    raise InputError(f"found the rule {name!r}, expected one of {', '.join(NAMES)}")


def passes(reply: str, reference: str) -> bool:
    """Whether the program of a reply, its last fenced block or all of it, passes the tests of the reference.

    It runs: read in `sandbox.py` what that is no protection against.
    """
    from palaestra.rewards.sandbox import passes_tests

    blocks = _FENCED.findall(reply)
    return passes_tests(blocks[-1] if blocks else reply, reference)


def final_answer(reply: str) -> str:
    """What a reply ends up with."""
    if (boxed := _boxed(reply)) is not None:
        return boxed
    if "####" in reply:
        return reply.rsplit("####", 1)[1].strip().partition("\n")[0]
    if said := _ANSWER.findall(reply):
        return said[-1].strip()
    return next((line.strip() for line in reversed(reply.splitlines()) if line.strip()), "")


def same_answer(reply: str, reference: str) -> bool:
    """Whether the final answers of a reply and of a reference are the same."""
    one, other = (_plain(final_answer(text)) for text in (reply, reference))
    numbers = _number(one), _number(other)
    return numbers[0] == numbers[1] if None not in numbers else one == other


def same_choice(reply: str, reference: str) -> bool:
    """Whether a reply chooses the letter of the reference.

    Raises:
        InputError: the reference has no letter from A to J.
    """
    wanted = reference.strip().strip("().").upper()
    letter = wanted if len(wanted) == 1 else chosen(reference)
    if letter is None or not "A" <= letter <= "J":
        raise InputError(f"rule:choice: found the reference {reference!r:.60}, expected a letter from A to J")
    return chosen(reply) == letter


def chosen(reply: str) -> str | None:
    """The letter that a reply chooses: after "answer", in a box, alone on a line, or in brackets; the last such.

    After "answer is", a small letter counts where nothing but a mark follows: "the answer is a bit" chooses none.
    """
    for pattern in _CHOSEN:
        if found := pattern.findall(reply):
            return str(found[-1]).upper()
    return None


def _boxed(text: str) -> str | None:
    start = text.rfind(r"\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len(r"\boxed")
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin + 1 : place]
    return None


def _plain(text: str) -> str:
    text = _LATEX_SPACE.sub(" ", _LATEX_WRAP.sub(r"\1", _LATEX_FRACTION.sub(r"\1/\2", text)))
    text = text.replace("\\%", "%").replace("\\$", "").replace("$", "").replace("**", "").replace("\u2212", "-")
    return re.sub(r"\s+", "", _THOUSANDS.sub("", text)).rstrip(".").casefold()


def _number(text: str) -> Fraction | None:
    if not _NUMBER.fullmatch(text):
        return None
    if len(text) > _MOST_DIGITS:
        return None
    over, _, under = text.rstrip("%").partition("/")
    if under and not Fraction(under):
        return None
    value = Fraction(over) / Fraction(under or 1)
    return value / 100 if text.endswith("%") else value


def _is_json(reply: str) -> bool:
    fenced = _FENCED.findall(reply)
    try:
        json.loads(fenced[0] if len(fenced) == 1 else reply)
    except (ValueError, RecursionError):
        return False
    return True


_AGREES: dict[str, Callable[[str, str], bool]] = {
    "rule:exact": same_answer,
    "rule:choice": same_choice,
    "rule:code": passes,
}
"""What holds a reply against a reference, by the name of the rule."""


def _lengths(replies: Sequence[str]) -> Floats:
    return count_in_texts(pl.Series(list(replies), dtype=pl.String))["length"].to_numpy().astype(float)


def _finder(name: str) -> Callable[[Sequence[str]], Floats]:
    try:
        pattern = re.compile(name.removeprefix("rule:regex:"))
    except re.error as error:
        raise InputError(f"found {name!r}, expected a regular expression: {error}") from error
    return lambda replies: np.array([float(pattern.search(reply) is not None) for reply in replies])
