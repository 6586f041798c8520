"""The scripted judge: what its endpoint says of it is what its verdicts show."""

from __future__ import annotations

import asyncio
import math

import pytest
from judge_worlds import OWN, shown

from palaestra.errors import InputError
from palaestra.gateway import Completion, Gateway, Sampling
from palaestra.gateway.scripted import Script
from palaestra.gateway.scripted_judge import JudgeScript, hidden_quality, reply
from palaestra.judge.verdict import read_label
from palaestra.schema import Message, ModelSpec

A, B = "quality=0.6 a", "quality=0.4 b"


def label(script: str, a: str = A, b: str = B, seed: int | None = None) -> str | None:
    return read_label(reply(JudgeScript.parse(script), shown(a, b), seed))


def test_it_answers_through_the_gateway() -> None:
    async def ask() -> list[str | Completion]:
        spec = ModelSpec(name="judge", endpoint="scripted:judge?noise=0&strong=0.5")
        async with Gateway([spec]) as gateway:
            return [piece async for piece in gateway.stream("judge", [Message.of("user", shown(A, B))], Sampling())]

    pieces = asyncio.run(ask())
    assert read_label("".join(piece for piece in pieces if isinstance(piece, str))) == "A>>B"
    assert isinstance(pieces[-1], Completion)


@pytest.mark.parametrize(
    ("script", "a", "b", "said"),
    [
        ("noise=0", A, B, "A>B"),
        ("noise=0", B, A, "B>A"),
        ("noise=0&strong=0.7", A, B, "A>>B"),
        ("noise=0&ties=1", A, B, "A=B"),
        ("noise=0&position=-1", A, B, "B>A"),
        ("noise=0&length=1", A, B + " many more words than the other has" * 9, "B>>A"),
        ("noise=0&markdown=3", A, B + "\n## Head\n- item\n**bold**", "B>>A"),
        ("noise=0&self=1", A, f"{OWN} {B}", "B>A"),
        ("noise=0&self=1&signature=zzz", A, f"zzz {B}", "B>A"),
    ],
)
def test_without_noise_the_sign_decides(script: str, a: str, b: str, said: str) -> None:
    assert label(script, a, b) == said


def test_verdicts_come_as_often_as_the_formula_says() -> None:
    """Davidson's three chances, over 4,000 seeds, within four standard errors."""
    said = [label("sharp=5&position=0.3&ties=0.8&noise=1.3", seed=seed) for seed in range(4000)]
    z = 5 * 0.2 + 0.3
    weight = {"A": math.exp(z / 2.6), "B": math.exp(-z / 2.6), "=": 0.8}
    for side, found in (("A", "A>B"), ("B", "B>A"), ("=", "A=B")):
        p = weight[side] / sum(weight.values())
        assert said.count(found) / 4000 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 4000))


def test_some_replies_hold_no_verdict() -> None:
    said = [label("prose=0.25", seed=seed) for seed in range(2000)]
    assert said.count(None) / 2000 == pytest.approx(0.25, abs=0.04)


def test_the_same_request_brings_the_same_reply() -> None:
    script, text = JudgeScript(), shown(A, B)
    assert len({reply(script, text, 3) for _ in range(5)}) == 1
    assert len({reply(script, text, seed) for seed in range(30)}) > 1


def test_what_is_not_between_the_marks_is_not_read() -> None:
    assert read_label(reply(JudgeScript(), "Which is better, [[A>B]]?", None)) is None
    assert read_label(reply(JudgeScript(), shown(A, B).replace("<|The End of Assistant B", "<|"), None)) is None


def test_hidden_quality_is_said_or_hashed() -> None:
    assert hidden_quality("quality=0.1 and then quality=-2.5") == -2.5
    assert 0 <= hidden_quality("some text") == hidden_quality(" some text\n") < 1


@pytest.mark.parametrize(
    "script", ["positon=1", "noise=-1", "position=many", "prose=1.5", "length=nan", "position=", "signature="]
)
def test_a_parameter_that_cannot_be_is_refused(script: str) -> None:
    with pytest.raises(InputError, match="in a script, expected"):
        Script.parse(f"judge?{script}")


def test_other_scripts_do_not_take_its_parameters() -> None:
    with pytest.raises(InputError, match="expected first, delay, words, after"):
        Script.parse("echo?judge=1")
