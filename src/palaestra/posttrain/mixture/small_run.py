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
from palaestra.learn.backbone import libraries
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain import packing
from palaestra.posttrain.examples import read_examples
from palaestra.posttrain.schedule import Schedule
from palaestra.posttrain.sft_trainer import domain_losses
from palaestra.posttrain.tokens import Tokens, tokenized

_STEEPEST = 1.0
"""The norm to which gradients are cut."""


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
        taught, seen = (
            tokenized(tokenizer, part, max_tokens=self.max_tokens, too_long="cut").rows for part in (train, held)
        )
        steps = batches(taught, weights, tokens, batch=self.batch, seed=seed)
        self._learn(model, tokenizer.pad_token_id, [[taught[number] for number in step] for step in steps])
        return {name: found.value for name, found in domain_losses(model, seen, tokenizer.pad_token_id).items()}

    def _learn(self, model: Any, padding: int, steps: Sequence[Sequence[Tokens]]) -> None:  # noqa: ANN401 - of transformers
        torch, _ = libraries()
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.learning_rate, weight_decay=0.0)
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(steps))
        for number, rows in enumerate(steps):
            made = {name: part.to(model.device) for name, part in packing.batch(rows, 0, padding).items()}
            loss = model(**made, use_cache=False).loss
            if not torch.isfinite(loss):
                raise InputError(f"found a loss that is no number at step {number}; train with a lower learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _STEEPEST)
            optimizer.step()
            falling.step()


def batches(
    rows: Sequence[Tokens], weights: Mapping[str, float], tokens: int, *, batch: int, seed: int
) -> list[list[int]]:
    """Which examples each step takes, until so many tokens are reached; weights are shares of tokens.

    Raises:
        InputError: a domain with a weight has no example.
    """
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(row.domain, []).append(len(row.tokens))
    length_D = {name: float(np.mean(found)) for name, found in lengths.items()}
    wanted = {name: weight for name, weight in weights.items() if weight > 0}
    if missing := sorted(set(wanted) - set(length_D)):
        raise InputError(f"found no example of {', '.join(missing)}; expected some of each domain with a weight")
    share = {name: weight / length_D[name] for name, weight in wanted.items()}
    schedule, found, used = Schedule([row.domain for row in rows], batch, weights=share, seed=seed), [], 0
    while used < tokens:
        found.append(schedule.step())
        used += sum(len(rows[number].tokens) for number in found[-1])
    return found
