"""Training a language model itself into a reward, whole or by LoRA (Hu et al., 2021), on TRL's RewardTrainer.

TRL trains on pairs of which one is better. Here a row is one prompt with its K replies and their ranks, read in one
pass, and the loss is any of `losses.py`; on pairs the Bradley-Terry loss is TRL's to the last digit. Prompts, not
comparisons, are held out. A run that was killed goes on from the newest checkpoint that is whole; a loss or a gradient
that is no number ends it with a message, before it reaches the weights.

Not here: what scores with the result (`backbone_model.py`), and heads on vectors that stay as they are, which train in
seconds where this takes hours on a processor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError, MissingPartError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import backbone_folder, conversation_text, encode, libraries, load_tokenizer
from palaestra.learn.trainer import Measure, Tell
from palaestra.rewards.backbone_model import ABOUT_FILE, KIND, SEEN_FILE, scores, weights_sha256
from palaestra.rewards.backbone_rows import Held, Row, held_out_accuracy, rows_of, tie_strength
from palaestra.rewards.seen import Marks, marks_of
from palaestra.schema import Preference

Loss = Literal["bradley-terry", "rao-kupper", "davidson", "plackett-luce", "pairwise"]


class BackboneConfig(BaseModel):
    """How a language model becomes a reward."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "gguf:smollm2"
    """The language model: `gguf:smollm2`, or a folder of Hugging Face."""
    loss: Loss = "bradley-terry"
    """What the fit minimises; `bradley-terry` leaves level pairs out, the others use them. How strong ties are is not
    learnt with `rao-kupper` and `davidson`: it follows from the share of level pairs, as if all rewards were equal."""
    method: Literal["full", "lora"] = "lora"
    """Whether all weights are trained, or low-rank changes of them."""
    lora_rank: int = Field(default=16, ge=1)
    """Rank of the changes."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """At the start; it falls to nought in a straight line."""
    epochs: int = Field(default=1, ge=1)
    """How often each comparison is seen."""
    steps: int | None = Field(default=None, ge=1)
    """Steps of the optimiser in place of epochs."""
    batch: int = Field(default=8, ge=1)
    """Comparisons of one step."""
    max_tokens: int = Field(default=512, ge=8)
    """Of a prompt with its reply; of longer ones the prompt's beginning is left out."""
    centring: float = Field(default=0.0, ge=0)
    """Pulls the rewards of a pair towards a mean of nought (Bradley-Terry alone)."""
    margins: bool = False
    """Ask the better reply to be better by the margin that the record gives (Bradley-Terry alone)."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    """The share of prompts on which the reward is checked and not trained."""
    save_every: int = Field(default=50, ge=1)
    """Steps between checkpoints, from which a killed run goes on."""
    seed: int = 0
    """Of the order of comparisons, the new weights and what is held out."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training ended with."""

    comparisons: int
    """That were trained on."""
    left_out: int
    """Level pairs that the loss cannot take."""
    steps: int
    loss: float
    """Mean over all steps."""
    held: Held | None
    """On prompts that were held out; None where none were."""


def train_backbone(
    preferences: Sequence[Preference],
    config: BackboneConfig,
    folder: Path,
    *,
    work: Path,
    cache: Path | None = None,
    measure: Measure = lambda **_values: None,
    tell: Tell = lambda _done, _all: None,
) -> Trained:
    """Train, and write the reward's folder, whole or not at all.

    Args:
        preferences: what people preferred.
        config: how.
        folder: of the reward; must not be there yet.
        work: checkpoints of the training; what an earlier, equal run left there is gone on from.
        cache: where converted models are kept; the user's cache if left out.
        measure: is told the loss of each step.
        tell: is told the step, of how many.

    Raises:
        InputError: nothing can be learnt from these preferences; the folder is there; or the loss was no number.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    if config.margins and config.loss != "bradley-terry":
        raise InputError(
            f"found margins with the loss {config.loss}, expected bradley-terry: only it asks for a margin"
        )
    if folder.exists():
        raise InputError(f"found {folder} there already, expected a new folder for the reward")
    _, transformers = libraries()
    transformers.set_seed(config.seed)
    tokenizer = load_tokenizer(config.backbone, cache)
    learning.pad_with_another_token(tokenizer, config.backbone)
    rows = rows_of(preferences, config.loss, share=config.held_out, seed=config.seed)

    def tokens(preference: Preference) -> list[list[int]]:
        texts = (conversation_text(tokenizer, preference.prompt, reply) for reply in preference.replies)
        return [encode(tokenizer, text, config.max_tokens)[0] for text in texts]

    examples = [_example(row, tokens(row.preference)) for row in rows.train]
    trainer = _trainer(config, tokenizer, examples, work, backbone_folder(config.backbone, cache))
    trainer.palaestra_loss = _loss(config, [row.preference for row in rows.train])
    steps, loss = learning.train(trainer, work, measure, tell)
    model = trainer.model.merge_and_unload() if config.method == "lora" else trainer.model
    held = _held(model.eval(), [(row.preference, tokens(row.preference)) for row in rows.held], tokenizer, folder)
    found = Trained(len(rows.train), rows.left_out, steps, loss, held)
    seen = marks_of(row.preference.prompt for row in rows.train)
    _write(folder, model, tokenizer, config, found, seen)
    return found


def _trainer(
    config: BackboneConfig,
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: list[dict[str, Any]],
    work: Path,
    backbone: Path,
) -> Any:  # noqa: ANN401 - TRL's
    """TRL's trainer with our rows and our losses."""
    torch, _ = libraries()
    try:
        import datasets
        import trl
    except ImportError as error:
        raise MissingPartError(f"training a backbone needs {error.name}: pip install 'palaestra[train]'") from error

    class Trainer(trl.RewardTrainer):
        palaestra_loss: Callable[..., Any]

        def _prepare_dataset(self, dataset: Any, *_: Any, **_more: Any) -> Any:  # noqa: ANN401
            return dataset

        def compute_loss(
            self,
            model: Any,  # noqa: ANN401 - TRL's
            inputs: dict[str, Any],
            return_outputs: bool = False,  # noqa: FBT001, FBT002 - TRL's
            num_items_in_batch: Any = None,  # noqa: ANN401, ARG002 - TRL's
        ) -> Any:  # noqa: ANN401 - TRL's
            rank_BK = inputs["rank_BK"]
            outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
            rewards_N = outputs.logits.squeeze(-1).float()
            reward_BK = rewards_N.new_zeros(rank_BK.shape).masked_scatter(rank_BK > 0, rewards_N)
            loss = self.palaestra_loss(reward_BK, rank_BK, inputs["margin_B"], inputs["weight_B"])
            if not torch.isfinite(loss):
                raise learning.diverged("loss", self.state.global_step, str(self.args.output_dir))
            return (loss, outputs) if return_outputs else loss

    args = learning.arguments(
        trl.RewardConfig, work, batch=config.batch, epochs=config.epochs, steps=config.steps,
        learning_rate=config.learning_rate, save_every=config.save_every, seed=config.seed,
        gradient_checkpointing=False,
    )  # fmt: skip
    with learning.quiet():
        return Trainer(
            model=learning.classifier(tokenizer, backbone, 1),
            args=args,
            data_collator=lambda batch: _collated(batch, tokenizer.pad_token_id),
            train_dataset=datasets.Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=learning.lora(config.lora_rank) if config.method == "lora" else None,
        )


def _loss(config: BackboneConfig, preferences: Sequence[Preference]) -> Callable[..., Any]:
    """The loss of a batch of rewards (B, K), ranks (B, K), margins (B,) and weights (B,)."""
    from palaestra.rewards import losses

    if config.loss == "plackett-luce":
        return lambda reward, rank, _margin, weight: losses.plackett_luce(reward, rank, weight_B=weight)
    if config.loss == "pairwise":
        return lambda reward, rank, _margin, weight: losses.pairwise_k(reward, rank, weight_B=weight)
    if config.loss == "bradley-terry":
        return lambda reward, rank, margin, weight: losses.bradley_terry(
            reward.gather(1, rank.argmin(1, keepdim=True))[:, 0],
            reward.gather(1, rank.argmax(1, keepdim=True))[:, 0],
            margin_B=margin if config.margins else None,
            centring=config.centring,
            weight_B=weight,
        )
    fitted, eta = getattr(losses, config.loss.replace("-", "_")), tie_strength(preferences, config.loss)
    return lambda reward, rank, _margin, weight: fitted(
        reward[:, 0],
        reward[:, 1],
        (rank[:, 0] > rank[:, 1]).long() + 2 * (rank[:, 0] == rank[:, 1]).long(),
        eta,
        weight_B=weight,
    )


def _example(row: Row, tokens: list[list[int]]) -> dict[str, Any]:
    preference = row.preference
    return {
        "tokens": tokens,
        "ranks": list(preference.ranks),
        "margin": preference.margin or 0.0,
        "weight": preference.weight,
    }


def _collated(batch: Sequence[dict[str, Any]], padding: int) -> dict[str, Any]:
    """All replies of a batch as rows of tokens, prompt by prompt, and the ranks (B, K), 0 where there is no reply."""
    torch, _ = libraries()
    most = max(len(each["ranks"]) for each in batch)
    rows = [torch.tensor(row) for each in batch for row in each["tokens"]]
    ones = [torch.ones_like(row) for row in rows]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(rows, batch_first=True, padding_value=padding),
        "attention_mask": pad(ones, batch_first=True),
        "rank_BK": torch.tensor([each["ranks"] + [0] * (most - len(each["ranks"])) for each in batch]),
        "margin_B": torch.tensor([each["margin"] for each in batch]),
        "weight_B": torch.tensor([each["weight"] for each in batch]),
    }


def _held(model: Any, rows: list[tuple[Preference, list[list[int]]]], tokenizer: Any, folder: Path) -> Held | None:  # noqa: ANN401
    if not rows:
        return None
    found = scores(model, [row for _, tokens in rows for row in tokens], tokenizer.pad_token_id, str(folder))
    ends = np.cumsum([len(tokens) for _, tokens in rows])[:-1]
    return held_out_accuracy([preference for preference, _ in rows], np.split(found, ends))


def _write(  # noqa: PLR0917 - what a folder holds
    folder: Path,
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    config: BackboneConfig,
    found: Trained,
    seen: Marks,
) -> None:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        model.save_pretrained(part, max_shard_size="100GB")
        tokenizer.save_pretrained(part)
        np.save(part / SEEN_FILE, seen)
        about = {
            "palaestra_kind": KIND,
            "weights_sha256": weights_sha256(part),
            "max_tokens": config.max_tokens,
            "config": config.model_dump(mode="json"),
        }
        (part / ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        (part / "card.md").write_text(_card(folder.name, config, found), encoding="utf-8")
        part.replace(folder)
    except OSError as error:
        raise InputError(f"cannot write the reward to {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _card(name: str, config: BackboneConfig, found: Trained) -> str:
    held = found.held and f"{found.held.accuracy:.1%} [{found.held.lower:.1%}, {found.held.upper:.1%}]"
    lines = [
        f"# {name}",
        "",
        f"A reward for replies: {config.backbone}, trained ({config.method}) by the {config.loss} loss.",
        "",
        f"- comparisons: {found.comparisons}, level ones left out: {found.left_out}",
        f"- steps: {found.steps} of {config.batch} comparisons, mean loss {found.loss:.4f}",
        f"- pairs ranked as people did, on held-out prompts: {held or 'none were held out'}",
        f"- reads at most {config.max_tokens} tokens of a prompt with its reply",
        "",
        "Its scores compare replies to one prompt. What they are worth on other prompts, languages and models was not",
        "measured here.",
        "",
    ]
    return "\n".join(lines)
