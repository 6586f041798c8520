"""Models that follow a script, inside the process: for tests, demonstrations and load.

    scripted:BEHAVIOUR?first=SECONDS&delay=SECONDS&words=COUNT&after=COUNT

    echo       repeats the last message, word by word
    markdown   a text with heading, list, table, code and formula, `words` words long
    fail       breaks off after `after` words
    silent     never begins
    empty      ends without a word
    judge      compares two answers, with faults of its own: `scripted_judge.py`, which has other parameters
    criteria   labels the text between <prompt> and </prompt> by a rule, as a judge of prompts is asked to: a list of
               those numbers of 1 to 7 whose rule in `CRITERIA_RULES` holds; any other question is answered with its
               three longest words, which make a short name

    tools      calls the tool of those it is offered that fits the request best by its words, with arguments that it
               picks out of the request, and repeats what the tool says: `scripted_tools.py`

The same messages and seed bring the same answer. An answer never names the model.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from urllib.parse import parse_qsl

from palaestra.errors import InputError, ModelError
from palaestra.gateway import scripted_judge, scripted_tools
from palaestra.gateway.offers import OfferedTool
from palaestra.schema import ErrorRecord, Message, ToolCallPart

_BEHAVIOURS = ("echo", "markdown", "fail", "silent", "empty", "criteria", scripted_judge.NAME, scripted_tools.NAME)
_QUOTED = re.compile(r"<prompt>\n(.*)\n</prompt>", re.DOTALL)
CRITERIA_RULES: tuple[re.Pattern[str], ...] = (
    re.compile(r"[0-9]"),
    re.compile(r"\w{12,}"),
    re.compile(r"(?:\w+\W+){40,}"),
    re.compile(
        r"\b(?:solve|find|fix|calculate|compute|prove|implement|design|derive|debug|optimize|why|how)\b", re.IGNORECASE
    ),
    re.compile(r"\b(?:story|poem|song|imagine|creative|character|novel|idea|ideas|write|fiction)\b", re.IGNORECASE),
    re.compile(
        r"```|[{}]|\b(?:code|function|python|java|c\+\+|sql|algorithm|equation|theorem|api|def|import)\b", re.IGNORECASE
    ),
    re.compile(r"\b(?:i|my|we|our|company|customer|business|work|job|project)\b", re.IGNORECASE),
)
"""When `criteria` says that a prompt meets a criterion: a digit, a word of twelve letters, forty words, something to
work out, something to make up, code or formulas, somebody's own affairs. A rule to be learnt, and no judgement."""
_WORDS = "the of a wrestler ground sand oil coach turns holds lifts learns throws rests wins loses again".split()  # noqa: SIM905 - reads better
_FIXED = """## A short lesson

Wrestlers met on *soft sand*, **in pairs**, and the better one stayed.

1. Take the stance.
2. Find the hold.

| hold | points |
|------|-------:|
| throw | 3 |
| turn | 2 |

```python
def expected(r_a: float, r_b: float) -> float:
    return 1 / (1 + 10 ** ((r_b - r_a) / 400))
```

The odds are $10^{(r_a - r_b)/400}$ to one.

"""


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted model does: its behaviour, seconds to the first word and between words, and counts of words."""

    behaviour: str
    first: float = 0.0
    delay: float = 0.0
    words: int = 40
    after: int = 5
    judge: scripted_judge.JudgeScript | None = None

    @classmethod
    @cache
    def parse(cls, text: str) -> Script:
        """The script of an endpoint, without its `scripted:`.

        Raises:
            InputError: an unknown behaviour or parameter, or a value that is no number.
        """
        behaviour, _, query = text.partition("?")
        if behaviour not in _BEHAVIOURS:
            raise InputError(f"found the script {behaviour!r}, expected one of {', '.join(_BEHAVIOURS)}")
        if behaviour == scripted_judge.NAME:
            judge = scripted_judge.JudgeScript.parse(query)
            return cls(behaviour, first=judge.first, judge=judge)
        kinds = {field.name: field.type for field in fields(cls)[1:-1]}
        values: dict[str, float] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in kinds:
                raise InputError(f"found the parameter {name!r} in a script, expected {', '.join(kinds)}")
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if not 0 <= number < 1e6:  # noqa: PLR2004 - also refuses nan and inf
                raise InputError(f"found {name}={value!r} in a script, expected a number from 0 to a million")
            values[name] = int(number) if kinds[name] == "int" else number
        return cls(behaviour, **values)  # ty: ignore[invalid-argument-type]


async def stream(script: Script, messages: Sequence[Message], seed: int | None) -> AsyncIterator[str]:
    """The words of the answer, as they come.

    Raises:
        ModelError: where the script says so.
    """
    if script.behaviour == "silent":
        await asyncio.Event().wait()
    await asyncio.sleep(script.first)
    for count, word in enumerate(_pieces(script, messages, seed)):
        if script.behaviour == "fail" and count >= script.after:
            raise ModelError(ErrorRecord(kind="interrupted", detail=f"the script broke off after {script.after} words"))
        yield word
        if script.delay:
            await asyncio.sleep(script.delay)


def calls(script: Script, messages: Sequence[Message], tools: Sequence[OfferedTool]) -> tuple[ToolCallPart, ...]:
    """The tools that the answer calls; none of other behaviours than `tools`."""
    return scripted_tools.called(messages, tools) if script.behaviour == scripted_tools.NAME else ()


def count_words(text: str) -> int:
    """The tokens of a scripted model are words."""
    return len(text.split())


def _pieces(script: Script, messages: Sequence[Message], seed: int | None) -> list[str]:
    last = messages[-1].text
    if script.behaviour == "empty":
        return []
    if script.judge is not None:
        marked = [message.text for message in messages if scripted_judge.PROMPT_MARK in message.text] or [last]
        before = "\n".join(message.text for message in messages if message.text != marked[-1])
        return [scripted_judge.reply(script.judge, marked[-1], seed, before)]
    if script.behaviour == "criteria":
        return re.findall(r"\S+\s*", _labelled(last))
    if script.behaviour == scripted_tools.NAME:
        return re.findall(r"\S+\s*", scripted_tools.told(messages))
    if script.behaviour == "echo":
        return re.findall(r"\S+\s*", last)
    rng = random.Random(f"{seed} {last}")  # noqa: S311 - a script, not a secret
    words = " ".join(rng.choice(_WORDS) for _ in range(script.words)).capitalize()
    text = _FIXED + words + "." if script.behaviour == "markdown" else words
    return re.findall(r"\S+\s*|\s+", text)


def _labelled(asked: str) -> str:
    """The criteria of the text between the marks by the rules; of any other question, its three longest words."""
    quoted = _QUOTED.search(asked)
    if quoted is None:
        words = sorted(set(re.findall(r"[A-Za-z]{3,}", asked)), key=lambda word: (-len(word), word))
        return " ".join(words[:3])
    return str([number for number, rule in enumerate(CRITERIA_RULES, start=1) if rule.search(quoted[1])])
