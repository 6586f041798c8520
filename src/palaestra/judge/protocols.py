"""How a judge is asked: what it is told, what it is shown, how it answers, how often it is asked.

The protocols follow Arena-Hard-Auto v0.1 and v2.0 (Li et al., 2024) and MT-Bench (Zheng et al., 2023): who is A in
which game, whether the judge writes its own answer first, the five labels, the baselines, temperature and length. The
words are our own. Whoever needs others gives them in a TOML file with the fields of `Protocol`.

    arena-hard-v0.1   the judge answers first; gpt-4-0314 is the baseline; contradictory labels are no verdict
    arena-hard-v2     the judge answers hard prompts first, creative ones not; o3-mini and gemini-2.0-flash; last label
    pairwise          which answer helps more, by five labels; any baseline or schedule; own rubric
    reference         the same beside a right answer, which every question must bring
    letter            one letter, A, B or C for a tie, weighted by the probabilities of the letters where they are given
    grade             one answer alone, from 1 to 10; with a reference where there is one
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from palaestra.errors import InputError
from palaestra.judge.verdict import Reading
from palaestra.schema import Message, Prompt
from palaestra.schema.record import Struct

AnswersWith = Literal["label", "letter", "rating"]
EVERY = "*"


class Protocol(Struct):
    """How a judge is asked."""

    name: str = Field(min_length=1)
    system: dict[str, str]
    """What the judge is told, by category of the question, `*` for all others."""
    answers_with: AnswersWith = "label"
    """`label`: one of the five, in brackets; `letter`: A, B or C; `rating`: of one answer, 1 to 10 in brackets."""
    reading: Reading = "only"
    """Which of several labels counts."""
    games: int = Field(default=2, ge=1, le=2)
    """2: every pair is judged in both orders."""
    baselines: dict[str, str] = Field(default_factory=dict)
    """Whom models are compared with, by category or `*`."""
    reference: Literal["none", "if there", "needed"] = "none"
    """Whether the judge sees a right answer."""
    attempts: int = Field(default=2, ge=1, le=10)
    """How often it is asked until it can be read: a judge without a verdict is reminded of what it owes."""
    temperature: float | None = Field(default=0.0, ge=0.0)
    max_tokens: int = Field(default=4096, ge=1)
    top_logprobs: int | None = Field(default=None, ge=1, le=20)
    """How many likely tokens are asked for, to weight a letter."""
    strong: int = Field(default=1, ge=1)
    """As how many votes a strong verdict counts where this protocol's boards are published so."""

    @property
    def compares(self) -> bool:
        """Whether two answers are shown, not one."""
        return self.answers_with != "rating"


def protocol(name_or_path: str) -> Protocol:
    """A protocol by its name, or from a TOML file.

    Raises:
        InputError: an unknown name, or a file that holds no protocol; the field is named.
    """
    if name_or_path in PROTOCOLS:
        return PROTOCOLS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"found the protocol {name_or_path!r}, expected {', '.join(PROTOCOLS)}, or a TOML file")
    try:
        return Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"{path}: field {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; expected TOML with the fields of a protocol") from error


def judge_messages(
    how: Protocol, prompt: Prompt, answers: tuple[tuple[str, ...], ...], rubric: str | None = None
) -> tuple[Message, ...]:
    """What the judge is sent.

    Args:
        how: the protocol.
        prompt: the question.
        answers: the turns of A's answer and of B's; of one answer where answers are graded alone.
        rubric: what good answers are like here, if more is to be said than the protocol says.

    Raises:
        InputError: the protocol needs a reference, and the question has none.
    """
    told = how.system.get(prompt.category or EVERY) or how.system.get(EVERY)
    if told is None:
        raise InputError(f"question {prompt.id!r}: the protocol {how.name} knows no category {prompt.category!r}")
    if rubric:
        told = f"{told}\n\nJudge by this rubric:\n{rubric.strip()}"
    return Message.of("system", told), Message.of("user", _shown(how, prompt, answers))


def reminder(how: Protocol, said: str) -> tuple[Message, ...]:
    """What follows in the conversation with a judge that wrote no verdict."""
    owed = {
        "label": "You have not given a verdict that can be read. End with exactly one of: "
        "[[A>>B]], [[A>B]], [[A=B]], [[B>A]], [[B>>A]].",
        "letter": "Answer with one letter and nothing else: A, B, or C for a tie.",
        "rating": "You have not given a rating that can be read. End with one number from 1 to 10 in double brackets, "
        "as in [[5]].",
    }[how.answers_with]
    return Message.of("assistant", said if said.strip() else "(no text)"), Message.of("user", owed)


def _shown(how: Protocol, prompt: Prompt, answers: tuple[tuple[str, ...], ...]) -> str:
    parts = []
    if prompt.system:
        parts.append(f"<|System Prompt|>\n{prompt.system}")
    parts.append(f"<|User Prompt|>\n{_turns(prompt.turns)}")
    if how.reference != "none":
        if prompt.reference:
            parts.append(_framed("Reference Answer", prompt.reference))
        elif how.reference == "needed":
            raise InputError(
                f"question {prompt.id!r} has no reference answer, which the protocol {how.name} shows to the judge; "
                "add a column reference, or take another protocol"
            )
    names = ("Assistant A's Answer", "Assistant B's Answer") if how.compares else ("Assistant's Answer",)
    parts += [_framed(name, turns) for name, turns in zip(names, answers, strict=True)]
    return "\n\n".join(parts)


def _framed(name: str, turns: tuple[str, ...]) -> str:
    return f"<|The Start of {name}|>\n{_turns(turns)}\n<|The End of {name}|>"


def _turns(turns: tuple[str, ...]) -> str:
    if len(turns) == 1:
        return turns[0]
    return "\n\n".join(f"(turn {number})\n{turn}" for number, turn in enumerate(turns, start=1))


_OWN_ANSWER = (
    "Before anything else, write your own answer to the prompt. Judge only after that, and compare both answers with "
    "yours.\n\n"
)
_COMPARE = (
    "You are an impartial judge of two assistants, A and B, who answered the same prompt. {own}"
    "Look for mistakes in both answers and correct them. Ask which answer is more helpful: does it respond to what was "
    "asked, completely and correctly, and where something was left open, does it say so or choose sensibly? Then ask "
    "whether it is relevant, with nothing that was not wanted, and whether it is concise, without being curt. New and "
    "useful points that the prompt did not ask for, but needs, count for an answer. The order of the answers and their "
    "length must not sway you.\n\n"
    "Explain your judgement, and end it with exactly one of these labels:\n"
    "[[A>>B]] assistant A is much better\n"
    "[[A>B]] assistant A is slightly better\n"
    "[[A=B]] both are about equally good\n"
    "[[B>A]] assistant B is slightly better\n"
    "[[B>>A]] assistant B is much better\n\n"
    "For example: My verdict: [[A=B]]"
)
_LETTER = (
    "You are an impartial judge of two assistants, A and B, who answered the same prompt. Decide whose answer is "
    "better: more helpful, more correct, more to the point. Neither order nor length may sway you. Answer with "
    "one letter and nothing else: A if A is better, B if B is better, C if they are equally good."
)
_GRADE = (
    "You are an impartial judge of an assistant's answer to a prompt. Weigh how helpful, relevant, correct, deep and "
    "detailed it is; where a reference answer is shown, measure its correctness by that. Explain your judgement "
    "shortly, then rate the last turn of the answer from 1 to 10 in double brackets, for example: Rating: [[5]]"
)
_WITH_OWN, _WITHOUT = _COMPARE.format(own=_OWN_ANSWER), _COMPARE.format(own="")

PROTOCOLS: dict[str, Protocol] = {
    how.name: how
    for how in (
        Protocol(
            name="arena-hard-v0.1",
            system={EVERY: _WITH_OWN},
            baselines={EVERY: "gpt-4-0314"},
            strong=3,
        ),
        Protocol(
            name="arena-hard-v2",
            system={EVERY: _WITH_OWN, "creative_writing": _WITHOUT},
            reading="last",
            baselines={EVERY: "o3-mini-2025-01-31", "creative_writing": "gemini-2.0-flash-001"},
            max_tokens=16_000,
            strong=3,
        ),
        Protocol(name="pairwise", system={EVERY: _WITHOUT}),
        Protocol(name="reference", system={EVERY: _WITHOUT}, reference="needed"),
        Protocol(name="letter", system={EVERY: _LETTER}, answers_with="letter", max_tokens=1, top_logprobs=20),
        Protocol(name="grade", system={EVERY: _GRADE}, answers_with="rating", games=1, reference="if there"),
    )
}
