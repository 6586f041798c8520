"""What a model is worth on held-out examples, example by example: exact match, or the likelihood of what should follow.

    exact-match   1 where the likeliest completion, token by token, ends and is the reference (spaces around it aside)
    log-loss      the mean log-likelihood of the completion's tokens, its end among them: minus the loss, in nats

Domains count the same in the mean, so none drowns another; weights of examples are for training and count nothing here.
Not here: comparing two models (`gate.py`), and verifiers that know more than one right wording (`rewards/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.backbone import batches_by_length, conversation_text, encode, libraries, padded
from palaestra.learn.generation import Sampling, end_tokens, sample
from palaestra.posttrain.examples import Example

Metric = Literal["exact-match", "log-loss"]
_MOST_TOKENS = 2048
"""Of a prompt with what follows; longer ones lose the prompt's beginning."""
_LOGITS = 1 << 26
_SPARE = 8
"""Tokens a completion may be longer than the longest reference, for spaces around it."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A score of each example, in their order, higher is better; and what was completed, for exact match."""

    metric: Metric
    score_B: np.ndarray
    domains_B: tuple[str, ...]
    prompts_B: tuple[str, ...]
    completions: tuple[str, ...] = ()

    @property
    def domains(self) -> dict[str, float]:
        """The mean of each domain."""
        names, place_B = np.unique(np.asarray(self.domains_B), return_inverse=True)
        means_D = np.bincount(place_B, weights=self.score_B) / np.bincount(place_B)
        return {str(name): float(mean) for name, mean in zip(names, means_D, strict=True)}

    @property
    def mean(self) -> float:
        """The mean over domains."""
        return float(np.mean(list(self.domains.values())))


def metric_of(examples: Sequence[Example], metric: Metric | None = None) -> Metric:
    """The metric that examples allow: exact match where all have a reference, unless one is asked for.

    Raises:
        InputError: an example lacks what the metric needs.
    """
    chosen = metric or ("exact-match" if all(one.reference is not None for one in examples) else "log-loss")
    needs, has = (
        ("a reference", lambda one: one.reference is not None)
        if chosen == "exact-match"
        else ("a completion", lambda one: bool(one.completion))
    )
    if lacking := [one.id for one in examples if not has(one)]:
        raise InputError(
            f"found {len(lacking)} examples without {needs} (the first is {lacking[0]!r}), expected one in each for "
            f"{chosen}; all need a reference, or all a completion"
        )
    return chosen


def scored(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    metric: Metric,
    *,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Scores:
    """Score a model.

    Args:
        model: a causal language model.
        tokenizer: the model's.
        examples: at least one; with a reference for exact match, with a completion for log loss.
        metric: which.
        tell: is told how many examples are done, of how many.

    Raises:
        InputError: a prompt cannot be written by the chat template, or the model's likelihoods are no numbers.
    """
    completions: tuple[str, ...] = ()
    if metric == "exact-match":
        completions = _completed(model, tokenizer, examples, tell)
        found = [one == _as_said(tokenizer, example) for one, example in zip(completions, examples, strict=True)]
    else:
        found = _likelihoods(model, tokenizer, examples, tell)
    score_B = np.array(found, dtype=float)
    if not np.isfinite(score_B).all():
        raise InputError("found likelihoods that are no numbers, expected finite ones: are the weights broken?")
    prompts = tuple(repr([(message.role, message.text) for message in one.prompt]) for one in examples)
    return Scores(metric, score_B, tuple(one.domain for one in examples), prompts, completions)


def halves(examples: Sequence[Example], seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Two parts of the examples, domain by domain, every prompt whole in one: to choose on one and judge on the other.

    Raises:
        InputError: no domain has two prompts.
    """
    parts: tuple[list[Example], list[Example]] = ([], [])
    side: dict[tuple[str, str], int] = {}
    seen: dict[str, int] = {}
    order = np.random.default_rng(seed).permutation(len(examples))
    for place in order:
        one = examples[place]
        prompt = (one.domain, one.asked)
        if prompt not in side:
            side[prompt] = seen.get(one.domain, 0) % 2
            seen[one.domain] = seen.get(one.domain, 0) + 1
        parts[side[prompt]].append(one)
    if not parts[1]:
        raise InputError("found no domain with two prompts, expected some to choose on and others to judge on")
    return parts


def _completed(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    tell: Callable[[int, int], None],
) -> tuple[str, ...]:
    """The likeliest completion of each, token by token; one that does not end within what could match is marked so."""
    longest = max(len(_reference(tokenizer, one)) for one in examples)
    how = Sampling(max_tokens=longest + 1 + _SPARE, temperature=0)
    prompts = [
        encode(tokenizer, conversation_text(tokenizer, one.prompt), max(_MOST_TOKENS - how.max_tokens, 1))[0]
        for one in examples
    ]
    found = sample(model, prompts, how, ends=end_tokens(model, tokenizer))
    tell(len(examples), len(examples))
    return tuple(
        tokenizer.decode(one.tokens[:-1]).strip() if one.ended else f"{tokenizer.decode(one.tokens)} ..."
        for one in found
    )


def _reference(tokenizer: Any, example: Example) -> list[int]:  # noqa: ANN401 - of transformers
    return tokenizer(str(example.reference).strip(), add_special_tokens=False)["input_ids"]


def _as_said(tokenizer: Any, example: Example) -> str:  # noqa: ANN401 - of transformers
    """The reference as the tokenizer writes it: some put spaces between tokens, or lose what they do not know."""
    return tokenizer.decode(_reference(tokenizer, example)).strip()


def _likelihoods(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    tell: Callable[[int, int], None],
) -> list[float]:
    """The mean log-likelihood of each completion's tokens."""
    torch, _ = libraries()
    texts = (conversation_text(tokenizer, [*one.prompt, *one.completion[:-1]], one.reply) for one in examples)
    rows = [encode(tokenizer, text, _MOST_TOKENS) for text in texts]
    found = [0.0] * len(rows)
    done = 0
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for numbers in _batches([len(tokens) for tokens, _ in rows], model.config.vocab_size):
            tokens_NT, mask_NT = map(torch.from_numpy, padded([rows[number][0] for number in numbers], 0))
            tokens_NT, mask_NT = tokens_NT.to(model.device), mask_NT.to(model.device)
            logits_NTV = model(input_ids=tokens_NT, attention_mask=mask_NT, use_cache=False).logits[:, :-1].float()
            log_NT = logits_NTV.log_softmax(-1).gather(2, tokens_NT[:, 1:, None])[..., 0]
            for row, number in enumerate(numbers):
                tokens, start = rows[number]
                found[number] = float(log_NT[row, start - 1 : len(tokens) - 1].mean())
            done += len(numbers)
            tell(done, len(rows))
    model.train(was_training)
    return found


def _batches(lengths: Sequence[int], vocabulary: int) -> Iterator[list[int]]:
    """The numbers of rows, as many at a time as have logits that fit in a quarter of a gigabyte."""
    for numbers in batches_by_length(lengths):
        size = max(1, _LOGITS // (vocabulary * lengths[numbers[-1]]))
        for first in range(0, len(numbers), size):
            yield numbers[first : first + size]
