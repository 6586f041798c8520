"""The models that follow a script do what the script says, every time."""

from __future__ import annotations

import asyncio
import re

import pytest

from palaestra.errors import ModelError
from palaestra.gateway import Completion, Gateway, GatewaySettings, Sampling
from palaestra.schema import Message, ModelSpec


def answer(script: str, prompt: str = "one two three", seed: int | None = None) -> tuple[str, Completion | None]:
    async def ask() -> tuple[str, Completion | None]:
        text, end = "", None
        spec = ModelSpec(name="Hidden-Name", endpoint=f"scripted:{script}", output_price=1e6)
        async with Gateway([spec], GatewaySettings(first_token_s=0.3)) as gateway:
            async for piece in gateway.stream("Hidden-Name", [Message.of("user", prompt)], Sampling(seed=seed)):
                if isinstance(piece, str):
                    text += piece
                else:
                    end = piece
        return text, end

    return asyncio.run(ask())


def test_echo_counts_its_words_and_what_they_cost() -> None:
    text, end = answer("echo", "one two  three")
    assert text == "one two  three"
    assert end is not None
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cost) == (3, 3, 3.0)


def test_the_same_seed_brings_the_same_answer() -> None:
    first, second, other = (answer("markdown?words=30", seed=seed)[0] for seed in (1, 1, 2))
    assert first == second != other
    assert "Hidden-Name" not in first
    assert {"##", "```python", "$10^", "| hold |", "1. "} <= {
        mark for mark in ("##", "```python", "$10^", "| hold |", "1. ") if mark in first
    }
    assert len(re.findall(r"\w+", first)) > 60


@pytest.mark.parametrize(
    ("script", "kind"), [("fail?after=2", "interrupted"), ("silent", "timeout"), ("empty", "empty")]
)
def test_scripts_that_fail(script: str, kind: str) -> None:
    with pytest.raises(ModelError) as failed:
        answer(script)
    assert failed.value.record.kind == kind


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Hello there", "[]"),
        ("Add 3 numbers", "[1]"),
        ("Write a poem about my cat", "[5, 7]"),
        ("Explain thermodynamics", "[2]"),
        ("Fix this: def f(x): return {x}", "[4, 6]"),
        (" ".join(["word"] * 41), "[3]"),
    ],
)
def test_criteria_labels_a_prompt_by_its_rules(prompt: str, said: str) -> None:
    text, end = answer("criteria", f"Which of 7 criteria?\n<prompt>\n{prompt}\n</prompt>")
    assert text == said
    assert end is not None


def test_criteria_gives_any_other_question_a_short_name() -> None:
    assert answer("criteria", "name a topic about sailing boats and harbours")[0] == "harbours sailing about"
