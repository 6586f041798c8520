"""A trial: a language model learns for so many tokens of a mixture, and its loss on held-out examples is taken.

Weights are shares of tokens, not of examples: a domain with long examples gives fewer. A step takes the same number of
examples; the rate falls in a straight line to nought. A run is small and is not kept, so it has no checkpoints: one
that is killed begins anew. Not here: SFT as such (`posttrain/sft.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.backbone import conversation_text, encode, libraries, padded
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.examples import Example, read_examples
from palaestra.posttrain.schedule import Schedule

_IGNORED = -100
_STEEPEST = 1.0
"""The norm to which gradients are cut."""

Row = tuple[list[int], int]
"""Tokens of an example, and at which of them its completion begins."""


@dataclass(frozen=True, slots=True)
class SmallRun:
    """Trains a fresh copy of a model, and gives its loss a token on held-out completions, by domain."""

    model: str
    examples: str
    """A file with completions."""
    held_out: str
    batch: int = 8
    learning_rate: float = 1e-3
    max_tokens: int = 512
    """Of an example."""

    def __call__(self, weights: Mapping[str, float], tokens: int, seed: int) -> dict[str, float]:
        """Train on so many tokens of the mixture, and measure.

        Raises:
            InputError: the files or the model cannot be read, a domain has no example, or the loss was no number.
        """
        torch, _ = libraries()
        torch.manual_seed(seed)
        model, tokenizer = load_trainable(self.model)
        train, held = (read_examples(file, completed=True).examples for file in (self.examples, self.held_out))
        row_of = [_row(tokenizer, example, self.max_tokens) for example in train]
        steps = batches([example.domain for example in train], row_of, weights, tokens, batch=self.batch, seed=seed)
        self._learn(model, tokenizer, [[row_of[number] for number in step] for step in steps])
        return losses(model, tokenizer, held, max_tokens=self.max_tokens)

    def _learn(self, model: Any, tokenizer: Any, steps: Sequence[Sequence[Row]]) -> None:  # noqa: ANN401 - of transformers
        torch, _ = libraries()
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.learning_rate, weight_decay=0.0)
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(steps))
        for number, rows in enumerate(steps):
            loss = _token_losses(model, tokenizer, rows).mean()
            if not torch.isfinite(loss):
                raise InputError(f"found a loss that is no number at step {number}; train with a lower learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _STEEPEST)
            optimizer.step()
            falling.step()


def batches(
    domains: Sequence[str], rows: Sequence[Row], weights: Mapping[str, float], tokens: int, *, batch: int, seed: int
) -> list[list[int]]:
    """Which examples each step takes, until so many tokens are reached; weights are shares of tokens.

    Raises:
        InputError: a domain with a weight has no example.
    """
    length_D = {
        name: float(np.mean([len(rows[number][0]) for number, domain in enumerate(domains) if domain == name]))
        for name in set(domains)
    }
    wanted = {name: weight for name, weight in weights.items() if weight > 0}
    if missing := sorted(set(wanted) - set(length_D)):
        raise InputError(f"found no example of {', '.join(missing)}; expected some of each domain with a weight")
    share = {name: weight / length_D[name] for name, weight in wanted.items()}
    schedule, found, used = Schedule(domains, batch, weights=share, seed=seed), [], 0
    while used < tokens:
        found.append(schedule.step())
        used += sum(len(rows[number][0]) for number in found[-1])
    return found


def losses(model: Any, tokenizer: Any, examples: Sequence[Example], *, max_tokens: int) -> dict[str, float]:  # noqa: ANN401
    """Cross-entropy a token of completions, in nats, by domain."""
    torch, _ = libraries()
    model.eval()
    found: dict[str, float] = {}
    with torch.inference_mode():
        for name in sorted({example.domain for example in examples}):
            rows = [_row(tokenizer, example, max_tokens) for example in examples if example.domain == name]
            parts = [_token_losses(model, tokenizer, rows[first : first + 64]) for first in range(0, len(rows), 64)]
            found[name] = float(torch.cat(parts).double().mean())
    return found


def _row(tokenizer: Any, example: Example, max_tokens: int) -> Row:  # noqa: ANN401 - of transformers
    messages = [*example.prompt, *example.completion[:-1]]
    return encode(tokenizer, conversation_text(tokenizer, messages, example.reply), max_tokens)


def _token_losses(model: Any, tokenizer: Any, rows: Sequence[Row]) -> Any:  # noqa: ANN401 - of transformers
    """Cross-entropy of each token of the completions, in one row."""
    torch, _ = libraries()
    tokens_NT, mask_NT = padded([tokens for tokens, _ in rows], tokenizer.pad_token_id)
    wanted_NT = np.where(mask_NT == 1, tokens_NT, _IGNORED)
    for number, (_, start) in enumerate(rows):
        wanted_NT[number, : max(start, 1)] = _IGNORED
    device = model.device
    logits_NTV = model(
        input_ids=torch.from_numpy(tokens_NT).to(device), attention_mask=torch.from_numpy(mask_NT).to(device)
    ).logits
    wanted = torch.from_numpy(wanted_NT[:, 1:]).to(device)
    loss_NT = torch.nn.functional.cross_entropy(
        logits_NTV[:, :-1].float().transpose(1, 2), wanted, ignore_index=_IGNORED, reduction="none"
    )
    return loss_NT[wanted != _IGNORED]
