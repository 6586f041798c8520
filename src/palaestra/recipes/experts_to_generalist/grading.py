"""What a model knows of each domain: greedy replies to held-out prompts, checked, with intervals.

A domain's accuracy has Wilson's interval (1927). The mean over domains counts each the same; its interval recovers the
variances from those of the domains (Zou and Donner, *Construction of confidence limits about effect measures*, 2008):

    lower = mean - sqrt(sum over d of (p_d - l_d)^2) / D        and so above, with u_d - p_d

so that it has a width even where a model makes no mistake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.backbone import prompt_tokens
from palaestra.learn.generation import Sampled, Sampling, end_tokens, sample
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.examples import Example
from palaestra.recipes.experts_to_generalist.world import LONGEST_ANSWER, score
from palaestra.stats import clustered
from palaestra.stats.clustered import Estimate


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said to one example."""

    example: Example
    text: str
    tokens: int
    """Those of the reply, its end among them."""
    right: bool


@dataclass(frozen=True, slots=True)
class Grades:
    """Accuracy and length by domain, and over all of them."""

    replies: tuple[Reply, ...]
    """In the order of the examples."""
    accuracy: dict[str, Estimate]
    """By domain, in the order in which they came."""
    mean: Estimate
    """Over domains, each the same."""
    tokens: dict[str, float]
    """Mean tokens of a reply, by domain."""

    @property
    def mean_tokens(self) -> float:
        """Of a reply, each domain the same."""
        return sum(self.tokens.values()) / len(self.tokens)


def grade(
    model: Any,  # noqa: ANN401 - of transformers, or a folder
    examples: Sequence[Example],
    *,
    tokenizer: Any = None,  # noqa: ANN401 - of transformers
    max_tokens: int = LONGEST_ANSWER + 1,
    rows: int = 256,
    confidence: float = 0.95,
) -> Grades:
    """Let a model answer, and check.

    Args:
        model: a model in memory, or its folder.
        examples: held-out ones, of as many domains as one likes.
        tokenizer: the model's; a folder has its own.
        max_tokens: of a reply; more where a model writes workings.
        rows: prompts at a time.
        confidence: of the intervals.

    Raises:
        InputError: there is no example, one is none of this world, or the folder has no model.
        MissingPartError: the extra `train` is not installed.
    """
    if not examples:
        raise InputError("found no example to grade a model on, expected at least one")
    if isinstance(model, (str, Path)):
        model, tokenizer = load_trainable(str(model))
    prompts = [prompt_tokens(tokenizer, each.prompt) for each in examples]
    how = Sampling(max_tokens=max_tokens, temperature=0.0, rows=rows)
    said = sample(model, prompts, how, ends=end_tokens(model, tokenizer))
    return graded([_reply(tokenizer, *pair) for pair in zip(examples, said, strict=True)], confidence)


def graded(replies: Sequence[Reply], confidence: float = 0.95) -> Grades:
    """Replies by domain, and the mean over domains."""
    by_domain: dict[str, list[Reply]] = {}
    for reply in replies:
        by_domain.setdefault(reply.example.domain, []).append(reply)
    accuracy = {
        name: clustered.share(np.array([reply.right for reply in found]), np.arange(len(found)), confidence)
        for name, found in by_domain.items()
    }
    tokens = {name: sum(reply.tokens for reply in found) / len(found) for name, found in by_domain.items()}
    return Grades(tuple(replies), accuracy, mean_of(list(accuracy.values())), tokens)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent figures; without an interval where one of them has none."""
    value = sum(each.value for each in estimates) / len(estimates)
    rows = sum(each.rows for each in estimates)
    below = [each.value - each.lower for each in estimates if each.lower is not None]
    above = [each.upper - each.value for each in estimates if each.upper is not None]
    if len(below) < len(estimates):
        return Estimate(value, None, None, None, rows, rows)
    down, up = (math.hypot(*half) / len(estimates) for half in (below, above))
    se = math.hypot(*(each.se or 0.0 for each in estimates)) / len(estimates)
    return Estimate(value, max(0.0, value - down), min(1.0, value + up), se, rows, rows)


def _reply(tokenizer: Any, example: Example, said: Sampled) -> Reply:  # noqa: ANN401 - of transformers
    tokens = said.tokens[:-1] if said.ended else said.tokens
    text = tokenizer.decode(tokens)
    return Reply(example, text, len(said.tokens), said.ended and score(example.domain, example.asked, text))
