"""How a model does on held-out prompts: greedy replies, each scored, domain by domain, with intervals.

Domains count alike, however many prompts each has. Prompts are drawn, so intervals are over prompts; two models
answer the same ones, and their difference is paired. Not here: what is right (`rewards/rules.py`, or a domain's own
checker, passed in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.learn.backbone import conversation_text
from palaestra.learn.generation import Sampling, sample
from palaestra.posttrain.examples import Example

Score = Callable[[Sequence[Example], Sequence[str]], Sequence[float]]
"""How good replies to examples are, as a number each; 1 is right."""


@dataclass(frozen=True, slots=True)
class Replies:
    """What a model said to held-out prompts, and what that was worth."""

    domains: tuple[str, ...]
    replies: tuple[str, ...]
    score_P: NDArray[np.float64]
    tokens_P: NDArray[np.int64]

    def by_domain(self) -> dict[str, float]:
        """The mean score of each domain."""
        return {name: float(self.score_P[place].mean()) for name, place in self._places().items()}

    def tokens(self) -> dict[str, float]:
        """The mean length of replies of each domain, in tokens."""
        return {name: float(self.tokens_P[place].mean()) for name, place in self._places().items()}

    def mean(self) -> tuple[float, float]:
        """The mean over domains, and its standard error over prompts."""
        return balanced_mean(self.score_P, self.domains)

    def gain(self, other: Replies) -> tuple[float, float]:
        """How much better this is than another model's replies to the same prompts, and the standard error of that."""
        return balanced_mean(self.score_P - other.score_P, self.domains)

    def _places(self) -> dict[str, NDArray[np.intp]]:
        names = np.array(self.domains)
        return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}


def balanced_mean(value_P: NDArray[np.float64], domains: Sequence[str]) -> tuple[float, float]:
    """The mean of domains' means, and its standard error: sqrt(sum_d var_d / n_d) / D."""
    names = np.array(domains)
    parts = [value_P[names == name] for name in np.unique(names)]
    variance = sum(part.var(ddof=1) / len(part) if len(part) > 1 else 0.25 for part in parts)
    return float(np.mean([part.mean() for part in parts])), float(np.sqrt(variance) / len(parts))


def answered(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    score: Score,
    *,
    max_tokens: int,
) -> Replies:
    """Ask a model, greedily, and score what it says.

    Args:
        model: a causal language model.
        tokenizer: the model's.
        examples: held-out prompts.
        score: of replies.
        max_tokens: of a reply.
    """
    prompts = [prompt_tokens(tokenizer, example) for example in examples]
    found = sample(model, prompts, Sampling(max_tokens, temperature=0.0), ends=end_tokens(model, tokenizer))
    replies = tuple(tokenizer.decode(one.tokens, skip_special_tokens=True).strip() for one in found)
    return Replies(
        tuple(example.domain for example in examples),
        replies,
        np.array(score(examples, replies), dtype=np.float64),
        np.array([len(one.tokens) for one in found]),
    )


def prompt_tokens(tokenizer: Any, example: Example) -> list[int]:  # noqa: ANN401 - of transformers
    """A prompt as the model reads it, up to where the assistant speaks."""
    return tokenizer(conversation_text(tokenizer, example.prompt), add_special_tokens=False)["input_ids"]


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:  # noqa: ANN401 - of transformers
    """The tokens that end a reply: the tokenizer's, and those that the model names."""
    said = model.generation_config.eos_token_id
    more = said if isinstance(said, list) else [] if said is None else [said]
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *more]))


def kept(scores: Mapping[str, float], start: Mapping[str, float], experts: Mapping[str, float]) -> dict[str, float]:
    """The share of each expert's gain over the start that a model keeps; domains without a gain are left out."""
    return {
        name: (scores[name] - start[name]) / (expert - start[name])
        for name, expert in experts.items()
        if expert > start[name]
    }
