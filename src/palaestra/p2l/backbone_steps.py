"""The steps in which a language model and its head are trained on votes: tokens, states, loss, transformers' Trainer.

A step takes some prompts, each with all its votes: a prompt is read once, however many votes it has. The loss of a step
is that of its votes over the votes that so many prompts have on average, so that the mean over all steps is the mean
loss of a vote.

Not here: where a training begins, and what becomes of it (`backbone.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palaestra.learn import trainer as learning
from palaestra.learn.backbone import encode, libraries
from palaestra.p2l.config import TuneConfig
from palaestra.p2l.losses import vote_losses
from palaestra.p2l.model import Kind
from palaestra.p2l.tuned import as_read
from palaestra.store.prompted_votes import PromptedVotes

_NUMBERS = ("first", "second", "outcome")
_PADDED = 16
"""Tokens of padding that are cheaper on a processor than one more pass through the model."""


def rows_of(votes: PromptedVotes, tokenizer: Any, max_tokens: int) -> list[dict[str, Any]]:  # noqa: ANN401
    """Each prompt, as its tokens, with its votes.

    Args:
        votes: with their prompts.
        tokenizer: the language model's.
        max_tokens: of a prompt.
    """
    found: list[dict[str, Any]] = [
        {"tokens": encode(tokenizer, as_read(text), max_tokens)[0], "weight": []} | {name: [] for name in _NUMBERS}
        for text in votes.prompts
    ]
    parts = (votes.first_B, votes.second_B, votes.outcome_B, votes.weight_B)
    for prompt, *vote in zip(votes.prompt_B.tolist(), *(part.tolist() for part in parts), strict=True):
        for name, value in zip((*_NUMBERS, "weight"), vote, strict=True):
            found[prompt][name].append(value)
    return found


def trainer_of(
    rows: list[dict[str, Any]],
    kind: Kind,
    tuning: TuneConfig,
    *,
    offset_L: NDArray[np.float64],
    w_LD: NDArray[np.float64],
    tokenizer: Any,  # noqa: ANN401 - of transformers
    backbone: Path,
    work: Path,
    seed: int,
) -> Any:  # noqa: ANN401 - of transformers
    """Transformers' Trainer with our rows and our losses.

    Args:
        rows: as `rows_of` makes them.
        kind: the likelihood.
        tuning: how.
        offset_L: stays as it is.
        w_LD: where the head begins.
        tokenizer: the language model's.
        backbone: the language model's folder.
        work: where checkpoints lie.
        seed: of the order of rows, and of low-rank changes.
    """
    torch, transformers = libraries()
    transformers.set_seed(seed)
    model = learning.classifier(tokenizer, backbone, len(offset_L))
    with torch.no_grad():
        model.score.weight.copy_(torch.from_numpy(w_LD))
    if tuning.mode == "lora":
        model = learning.with_lora(model, tuning.lora_rank)
    fixed_L = torch.from_numpy(offset_L).float()
    votes_each = sum(sum(row["weight"]) for row in rows) / len(rows)

    class Trainer(transformers.Trainer):
        def compute_loss(
            self,
            model: Any,  # noqa: ANN401 - of transformers
            inputs: dict[str, Any],
            return_outputs: bool = False,  # noqa: FBT001, FBT002 - of transformers
            num_items_in_batch: Any = None,  # noqa: ANN401, ARG002 - of transformers
        ) -> Any:  # noqa: ANN401 - of transformers
            state_PD = _states(model, inputs["input_ids"], inputs["attention_mask"], tuning.pooling)
            numbers_PL = self.accelerator.unwrap_model(model).score(state_PD).float()
            numbers_PL = numbers_PL + fixed_L.to(numbers_PL.device)
            loss = batch_loss(kind, numbers_PL, inputs) / (len(numbers_PL) * votes_each)
            if not torch.isfinite(loss):
                raise learning.diverged("loss", self.state.global_step, str(self.args.output_dir))
            return (loss, {"numbers_PL": numbers_PL}) if return_outputs else loss

    args = learning.arguments(
        transformers.TrainingArguments, work, batch=tuning.batch, epochs=tuning.epochs, steps=tuning.steps,
        learning_rate=tuning.rate, save_every=tuning.save_every, seed=seed,
    )  # fmt: skip
    with learning.quiet():
        return Trainer(
            model=model,
            args=args,
            data_collator=lambda batch: collated(batch, tokenizer.pad_token_id),
            train_dataset=rows,
        )


def collated(batch: list[dict[str, Any]], padding: int) -> dict[str, Any]:
    """Prompts as rows of tokens (P, T), filled up on the right, and their votes (B,) with the row of each."""
    torch, _ = libraries()
    rows = [torch.tensor(row["tokens"]) for row in batch]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(rows, batch_first=True, padding_value=padding),
        "attention_mask": pad([torch.ones_like(row) for row in rows], batch_first=True),
        "prompt_B": torch.tensor([place for place, row in enumerate(batch) for _ in row["weight"]]),
        "weight_B": torch.tensor([weight for row in batch for weight in row["weight"]], dtype=torch.float32),
        **{f"{name}_B": torch.tensor([n for row in batch for n in row[name]]) for name in _NUMBERS},
    }


def batch_loss(kind: Kind, numbers_PL: Any, batch: dict[str, Any]) -> Any:  # noqa: ANN401 - tensors
    """The summed loss of all votes of a batch, each times its weight.

    Args:
        kind: the likelihood.
        numbers_PL: strengths of the M models on each prompt, and the number of ties where the kind has one.
        batch: as `collated` makes it.
    """
    prompt_B = batch["prompt_B"]
    first_B, second_B = (numbers_PL[prompt_B, batch[name]] for name in ("first_B", "second_B"))
    raw_B = None if kind == "bradley-terry" else numbers_PL[prompt_B, -1]
    return (batch["weight_B"] * vote_losses(kind, first_B, second_B, batch["outcome_B"], raw_B)).sum()


def passes(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of rows, the shortest first, in groups of which none is padded by many tokens."""
    found: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        if not found or lengths[number] > lengths[found[-1][0]] + _PADDED:
            found.append([])
        found[-1].append(number)
    return found


def _states(model: Any, tokens_PT: Any, mask_PT: Any, pooling: Literal["mean", "last"]) -> Any:  # noqa: ANN401 - tensors
    """The state of each prompt, (P, D), as `learn.hidden` pools it; a GPU reads all at once."""
    torch, _ = libraries()
    lengths = mask_PT.sum(dim=1).tolist()
    places, states = [], []
    for rows in passes(lengths) if tokens_PT.device.type == "cpu" else [[*range(len(lengths))]]:
        longest = max(lengths[row] for row in rows)
        tokens, mask = tokens_PT[rows, :longest], mask_PT[rows, :longest]
        found = model(input_ids=tokens, attention_mask=mask, use_cache=False, output_hidden_states=True)
        states_PTD = found.hidden_states[-1]
        if pooling == "last":
            states.append(states_PTD[torch.arange(len(rows)), mask.sum(dim=1) - 1])
        else:
            states.append((states_PTD * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True))
        places += rows
    return torch.cat(states)[torch.tensor(places).argsort()]
