"""A scripted judge with known faults: what an audit should find is what stands in its endpoint.

    scripted:judge?position=0.5&length=1&markdown=0.3&self=1&signature=TEXT&sharp=4&noise=1&ties=0.4&strong=2&prose=0.1&first=0.05

It reads the last message that holds these marks, each once, in this order; other text around them is not looked at:

    <|User Prompt|> ...
    <|The Start of Assistant A's Answer|> ... <|The End of Assistant A's Answer|>
    <|The Start of Assistant B's Answer|> ... <|The End of Assistant B's Answer|>

An answer's hidden quality is the last `quality=NUMBER` in it, else a number from 0 to 1 that its text hashes to. The
log odds that A is better are

    z = sharp (quality A - quality B) + position + length log((characters A + 1) / (characters B + 1))
        + markdown (sum over headers, list items, bold texts of log((1 + count A) / (1 + count B)))
        + self (A holds the signature - B holds it)

and P(A) : P(tie) : P(B) = e^(z / 2 noise) : ties : e^(-z / 2 noise) (Davidson, 1970). Without noise the sign decides,
and |z| <= ties is a tie. A side that wins against |z| > strong gets two brackets. `prose` is the share of replies
without a verdict, `first` how many seconds each takes. The same request (messages, seed, script) brings the same reply.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl

from palaestra.errors import InputError

NAME = "judge"

PROMPT_MARK = "<|User Prompt|>"
START_MARK = "<|The Start of Assistant {}'s Answer|>"
END_MARK = "<|The End of Assistant {}'s Answer|>"

_QUALITY = re.compile(r"quality=(-?\d+(?:\.\d+)?)")
_MARKDOWN = (
    re.compile(r"^#{1,6}\s", re.MULTILINE),
    re.compile(r"^\s*(?:\d+\.|[-*+])\s", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
)
_LARGEST = 1e3
_NEVER_NEGATIVE = ("sharp", "noise", "ties", "strong", "prose", "first")


@dataclass(frozen=True, slots=True)
class JudgeScript:
    """What a scripted judge looks at; log odds for A unless the module says otherwise."""

    position: float = 0.0
    length: float = 0.0
    markdown: float = 0.0
    own: float = 0.0
    """The parameter `self`."""
    signature: str = "In my own words:"
    """Marks the answers of the judge's own model."""
    sharp: float = 4.0
    noise: float = 1.0
    ties: float = 0.0
    strong: float = 2.0
    prose: float = 0.0
    first: float = 0.0
    """Seconds that it takes."""

    @classmethod
    def parse(cls, query: str) -> JudgeScript:
        """The script of `scripted:judge?QUERY`.

        Raises:
            InputError: an unknown parameter, or a value that it cannot have.
        """
        known = ["self" if field.name == "own" else field.name for field in fields(cls)]
        values: dict[str, str | float] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                raise InputError(f"found the parameter {name!r} in a script, expected {', '.join(known)}")
            values["own" if name == "self" else name] = value if name == "signature" else _number(name, value)
        if values.get("signature") == "":
            raise InputError("found an empty signature in a script, expected a text that marks the judge's own answers")
        return cls(**values)  # ty: ignore[invalid-argument-type]


def reply(script: JudgeScript, text: str, seed: int | None, before: str = "") -> str:
    """What the judge writes.

    Args:
        script: its faults.
        text: the last message with two answers between their marks.
        seed: of the request.
        before: all other messages, which only change the draw.
    """
    answers = [_between(text, START_MARK.format(side), END_MARK.format(side)) for side in "AB"]
    if None in answers:
        return "I was shown no two answers, so that there is nothing to compare."
    rng = random.Random(f"{script} {seed} {before} {text}")  # noqa: S311 - a script, not a secret
    if rng.random() < script.prose:
        return "Both answers have something to say, and I would rather not choose between them."
    a, b = (answer or "" for answer in answers)
    label = _label(script, _lead(script, a, b), rng)
    return f"I have read both answers and weighed them. My final verdict is: [[{label}]]"


def hidden_quality(answer: str) -> float:
    """What the judge is told by an answer itself, from its `quality=` or from its text."""
    said = _QUALITY.findall(answer)
    if said:
        return float(said[-1])
    return int.from_bytes(hashlib.sha256(answer.strip().encode()).digest()[:7], "big") / 2**56


def _lead(script: JudgeScript, a: str, b: str) -> float:
    z = script.sharp * (hidden_quality(a) - hidden_quality(b)) + script.position
    z += script.length * math.log((len(a) + 1) / (len(b) + 1))
    for mark in _MARKDOWN if script.markdown else ():
        z += script.markdown * math.log((1 + len(mark.findall(a))) / (1 + len(mark.findall(b))))
    return z + script.own * ((script.signature in a) - (script.signature in b))


def _label(script: JudgeScript, z: float, rng: random.Random) -> str:
    if script.noise:
        lean = min(max(z / (2 * script.noise), -300.0), 300.0)
        first, second = math.exp(lean), math.exp(-lean)
        drawn = rng.random() * (first + second + script.ties)
        side = "A" if drawn < first else ("B" if drawn < first + second else "")
    else:
        side = "" if abs(z) <= script.ties else ("A" if z > 0 else "B")
    if not side:
        return "A=B"
    how = ">>" if abs(z) > script.strong and (z > 0) == (side == "A") else ">"
    return f"A{how}B" if side == "A" else f"B{how}A"


def _between(text: str, start: str, end: str) -> str | None:
    _, found, rest = text.partition(start)
    answer, closed, _ = rest.partition(end)
    return answer.strip() if found and closed else None


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    least, most = (0.0 if name in _NEVER_NEGATIVE else -_LARGEST), (1.0 if name == "prose" else _LARGEST)
    if not least <= number <= most:
        raise InputError(f"found {name}={value!r} in a script, expected a number from {least:g} to {most:g}")
    return number
