"""Sampling from a language model in batches: prompts padded on the left, one cache, rows that are done taken out.

For models that are trained here and now: what is sampled comes with the log-probability that it was sampled with, and
chance comes from a generator that the caller seeds, so that a resumed run samples the same. At the sizes that fit a
processor this is faster than `generate` of transformers, which prepares every token anew (docs/benchmarks/distill.md).

Not here: models that answer people (`gateway/`), and vLLM (`posttrain/vllm_rollouts.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from palaestra.learn.backbone import libraries, padded

_SPARSE = 0.75
"""Rows that are done are taken out once no more than this share is left."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    max_tokens: int
    """Of a completion, its end token counted."""
    temperature: float = 1.0
    """0 takes the likeliest token."""
    rows: int = 512
    """Prompts at a time."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A completion: its tokens, the end token among them if it was reached, and their log-probabilities."""

    tokens: list[int]
    logprobs: list[float]
    ended: bool


def sample(
    model: Any,  # noqa: ANN401 - of transformers
    prompts: Sequence[Sequence[int]],
    how: Sampling,
    *,
    ends: Collection[int],
    generator: Any = None,  # noqa: ANN401 - torch.Generator
) -> list[Sampled]:
    """One completion of each prompt, in their order.

    Args:
        model: a causal language model; it is set to `eval` meanwhile.
        prompts: tokens, at least one each.
        how: temperature and length.
        ends: tokens that end a completion.
        generator: of chance, on the model's device; torch's own if left out.
    """
    torch, _ = libraries()
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    found: dict[int, Sampled] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(order), how.rows):
                numbers = order[first : first + how.rows]
                done = _batch(model, [prompts[number] for number in numbers], how, tuple(ends), generator)
                found.update(zip(numbers, done, strict=True))
    finally:
        model.train(was_training)
    return [found[number] for number in range(len(prompts))]


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:  # noqa: ANN401 - of transformers
    """The tokens that end a reply: the tokenizer's first, and those that the model's settings of generation name."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = named if isinstance(named, list) else [] if named is None else [named]
    return tuple(dict.fromkeys([int(tokenizer.eos_token_id), *map(int, more)]))


def _batch(
    model: Any,  # noqa: ANN401 - of transformers
    prompts: Sequence[Sequence[int]],
    how: Sampling,
    ends: tuple[int, ...],
    generator: Any,  # noqa: ANN401 - torch.Generator
) -> list[Sampled]:
    torch, transformers = libraries()
    device = model.device
    tokens_NT, mask_NT = (torch.from_numpy(part).to(device) for part in _left_padded(prompts, ends[0]))
    position_NT = (mask_NT.cumsum(1) - 1).clamp(min=0)
    end = torch.tensor(ends, device=device)
    count = len(prompts)
    taken = torch.full((count, how.max_tokens), ends[0], device=device)
    log_NT = torch.zeros((count, how.max_tokens), device=device)
    length = torch.zeros(count, dtype=torch.long, device=device)
    ended = torch.zeros(count, dtype=torch.bool, device=device)
    row = torch.arange(count, device=device)
    open_ = torch.ones(count, dtype=torch.bool, device=device)
    cache = transformers.DynamicCache()
    new_NT, new_position = tokens_NT, position_NT
    for step in range(how.max_tokens):
        logits_NV = model(
            input_ids=new_NT, attention_mask=mask_NT, position_ids=new_position, cache=cache,
            use_cache=True, logits_to_keep=1,
        ).logits[:, -1].float()  # fmt: skip
        drawn, logprob = _drawn(logits_NV, how.temperature, generator)
        here = row[open_]
        taken[here, step], log_NT[here, step] = drawn[open_], logprob[open_]
        length[here] = step + 1
        over = open_ & torch.isin(drawn, end)
        ended[row[over]] = True
        open_ &= ~over
        left = int(open_.sum())
        if not left:
            break
        if left <= _SPARSE * len(open_):
            keep = open_.nonzero()[:, 0]
            cache.batch_select_indices(keep)
            drawn, mask_NT, row, open_ = drawn[keep], mask_NT[keep], row[keep], open_[keep]
            new_position = new_position[keep]
        new_position = new_position[:, -1:] + 1
        new_NT = drawn[:, None]
        mask_NT = torch.nn.functional.pad(mask_NT, (0, 1), value=1)
    sizes = length.tolist()
    return [
        Sampled(tokens[:size], logs[:size], finished)
        for tokens, logs, size, finished in zip(taken.tolist(), log_NT.tolist(), sizes, ended.tolist(), strict=True)
    ]


def _drawn(logits_NV: Any, temperature: float, generator: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
    """A token of each row, and its log-probability at this temperature (at 1 where the likeliest is taken)."""
    torch, _ = libraries()
    log_NV = torch.log_softmax(logits_NV / temperature if temperature else logits_NV, dim=-1)
    drawn = torch.multinomial(log_NV.exp(), 1, generator=generator)[:, 0] if temperature else log_NV.argmax(-1)
    return drawn, log_NV.gather(1, drawn[:, None])[:, 0]


def _left_padded(prompts: Sequence[Sequence[int]], token: int) -> Any:  # noqa: ANN401 - two arrays
    tokens_NT, mask_NT = padded([list(reversed(prompt)) for prompt in prompts], token)
    return tokens_NT[:, ::-1].copy(), mask_NT[:, ::-1].copy()
