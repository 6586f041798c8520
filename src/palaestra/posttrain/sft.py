"""Supervised fine-tuning: a model learns to write the completions of examples, a mixture of domains (TRL's trainer).

    L = - sum over learnt tokens of log p(token | what stands before it) / how many those are in the whole step

A step is `batch` examples, drawn by the mixture (`mixing.py`), packed into rows in which they do not see each other
(`packing.py`), cut into `parts` passes and dealt to the processes; none of that changes what is learnt. Whole models,
or low-rank changes (Hu et al., LoRA, 2021). A run that was killed goes on from the newest checkpoint that is whole, and
ends with the same bytes; a loss or a gradient that is no number ends it before it reaches the weights.

Not here: where examples come from (`teacher_data.py`), learning from the model's own replies (`distill.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import Dtype, libraries
from palaestra.learn.language_model import load_trainable, write_model
from palaestra.learn.trainer import Tell
from palaestra.posttrain.examples import Example, parted
from palaestra.posttrain.mixing import DomainShare, Mixture, Source
from palaestra.posttrain.packing import check_apart
from palaestra.posttrain.sft_trainer import Steps, Watch, domain_losses, sft_trainer
from palaestra.posttrain.tokens import TooLong, tokenized
from palaestra.stats.clustered import Estimate


class SftConfig(BaseModel):
    """How a model is fine-tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """The model that it begins as: `gguf:smollm2`, or a folder of Hugging Face."""
    mixture: dict[str, float] | None = None
    """The weight of each domain, others are left out; by the number of examples if left out."""
    by: Literal["examples", "tokens"] = "examples"
    """Whether weights are shares of the examples drawn or of the tokens learnt."""
    epoch_cap: int | dict[str, int] | None = None
    """How often an example may be seen, for all domains or by domain; 1 where neither this nor `steps` is said."""
    steps: int | None = Field(default=None, ge=1)
    """Updates; up to where the first domain has reached its cap if left out."""
    batch: int = Field(default=32, ge=1)
    """Examples of a step, over all processes."""
    parts: int = Field(default=1, ge=1)
    """Into how many passes a process cuts its share of a step, to save memory."""
    pack_to: int = Field(default=1024, ge=0)
    """Tokens of a packed row; 0 gives each example a row of its own."""
    max_tokens: int = Field(default=1024, ge=2)
    """Of an example; at most `pack_to`."""
    too_long: TooLong = "leave-out"
    """What becomes of longer ones: left out, or their end is cut."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """At the start; it falls to nought in a straight line."""
    warmup: int = Field(default=0, ge=0)
    """Steps in which the rate rises from nought."""
    lora_rank: int | None = Field(default=None, ge=1)
    """Train low-rank changes in place of all weights."""
    dtype: Dtype = "auto"
    """What is computed in; the weights themselves stay 32-bit."""
    gradient_checkpointing: bool = False
    """Compute what lies between layers twice, to save memory."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """The share of each domain's prompts that the loss is measured on and nothing is learnt from."""
    check_every: int = Field(default=100, ge=1)
    """Steps between looks at held-out examples."""
    save_every: int = Field(default=100, ge=1)
    """Steps between checkpoints, from which a killed run goes on."""
    seed: int = Field(default=0, ge=0)
    """Of the order of examples, what is held out, and new weights."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What a fine-tuning ended with."""

    steps: int
    loss: float
    """Mean over all steps."""
    examples: int
    """Draws."""
    tokens: int
    """Read, prompts included."""
    learnt: int
    """Tokens that were learnt, every use counted."""
    cut: int
    left_out: int
    """Examples that were too long."""
    shares: tuple[DomainShare, ...]
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    """The loss on held-out examples, by domain; empty where none were."""


def train_sft(
    examples: Sequence[Example],
    config: SftConfig,
    folder: Path,
    *,
    work: Path,
    held: Sequence[Example] | None = None,
    cache: Path | None = None,
    measure: Callable[..., None] = lambda **_values: None,
    tell: Tell = lambda _done, _all: None,
    card: Callable[[FineTuned], str] | None = None,
) -> FineTuned:
    """Fine-tune, and write the model's folder, whole or not at all.

    Args:
        examples: with completions.
        config: how.
        folder: of the model; must not be there yet.
        work: checkpoints; what an earlier, equal run left there is gone on from.
        held: held-out examples; `config.held_out` of the others if left out.
        cache: where converted models are kept; the user's cache if left out.
        measure: is told what each step and look measured.
        tell: is told the step, of how many.
        card: of the model, made of what came out; `sft_card` if left out.

    Raises:
        InputError: an example has no completion or cannot be written by the model's template, the mixture cannot be
            drawn, the folder is there, or the loss was no number.
        MissingPartError: the extra `train` is not installed.
    """
    if folder.exists():
        raise InputError(f"found {folder} there already, expected a new folder for the model")
    learning.check_installed(low_rank=config.lora_rank is not None)
    _, transformers = libraries()
    transformers.set_seed(config.seed)
    model, tokenizer = load_trainable(config.model, cache=cache)
    taught, watched = parted(examples, config.held_out, config.seed) if held is None else (list(examples), list(held))
    longest = min(config.max_tokens, config.pack_to or config.max_tokens)
    said = tokenized(tokenizer, taught, max_tokens=longest, too_long=config.too_long)
    watched_rows = tokenized(tokenizer, watched, max_tokens=longest, too_long="cut").rows if watched else ()
    weight_of = {example.id: example.weight for example in taught}
    mixture = Mixture(
        [Source(row.id, row.domain, row.count, weight_of[row.id]) for row in said.rows],
        weights=config.mixture, cap=_cap(config), by=config.by, seed=config.seed,
    )  # fmt: skip
    plan = mixture.plan(None if config.steps is None else config.steps * config.batch)
    padding = tokenizer.pad_token_id
    if config.pack_to:
        check_apart(model, said.rows, padding)
    args = _arguments(config, work, -(-len(plan.order) // config.batch))
    steps = Steps(
        said.rows, plan.order, config.batch, parts=config.parts, world=args.world_size, room=config.pack_to,
        padding=padding, flat="flash" in str(model.config._attn_implementation),  # noqa: SLF001 - transformers has no public one
    )  # fmt: skip
    note = measure if args.process_index == 0 else _nobody
    watch = Watch(watched_rows, config.check_every, note)
    trainer = sft_trainer(model, tokenizer, args, steps, watch, peft=_lora(config.lora_rank))
    before = domain_losses(trainer.model, watched_rows, padding) if watched_rows else {}
    _looked(note, 0, before)
    done, loss = learning.train(trainer, work, note, tell if args.process_index == 0 else lambda _done, _all: None)
    after = domain_losses(trainer.model, watched_rows, padding) if watched_rows else {}
    _looked(note, done, after)
    found = FineTuned(
        done, loss, len(plan.order), sum(len(said.rows[place].tokens) for place in plan.order),
        sum(share.tokens for share in plan.shares), said.cut, said.left_out, plan.shares, before, after,
    )  # fmt: skip
    _write(trainer, tokenizer, folder, (card or sft_card(folder.name, config))(found), merge=bool(config.lora_rank))
    return found


def sft_card(name: str, config: SftConfig) -> Callable[[FineTuned], str]:
    """The card of a model."""

    def card(found: FineTuned) -> str:
        how = "whole" if config.lora_rank is None else f"by low-rank changes (rank {config.lora_rank})"
        lines = [
            f"# {name}",
            "",
            f"{config.model}, fine-tuned {how} on {found.examples:,} draws of examples.",
            "",
            f"- steps: {found.steps:,} of {config.batch} examples; mean loss {found.loss:.4f} a token",
            f"- tokens: {found.tokens:,} read, {found.learnt:,} of them learnt",
            f"- too long: {found.left_out:,} examples left out, {found.cut:,} cut",
            f"- learning rate {config.learning_rate:g}, falling to nought; seed {config.seed}",
            "",
            *mixture_table(found),
        ]
        return "\n".join(lines) + "\n"

    return card


def mixture_table(found: FineTuned) -> list[str]:
    """Each domain's share and held-out loss, as lines of Markdown."""
    lines = [
        "| domain | examples | asked for | of draws | of tokens learnt | most used | held-out loss before | after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for share in found.shares:
        most = f"{share.most} times{', cap reached' if share.ended else ''}"
        losses = " | ".join(_figure(each.get(share.domain)) for each in (found.before, found.after))
        lines.append(
            f"| {share.domain} | {share.examples:,} | {share.weight:.1%} | {share.share:.1%} | {share.token_share:.1%} "
            f"| {most} | {losses} |"
        )
    return lines


def _figure(one: Estimate | None) -> str:
    if one is None:
        return ""
    return f"{one.value:.4f}" + ("" if one.lower is None else f" ({one.lower:.4f} to {one.upper:.4f})")


def _cap(config: SftConfig) -> int | dict[str, int] | None:
    return 1 if config.epoch_cap is None and config.steps is None else config.epoch_cap


def _arguments(config: SftConfig, work: Path, steps: int) -> Any:  # noqa: ANN401 - of TRL
    import trl

    return learning.arguments(
        trl.SFTConfig, work, batch=1, epochs=1, steps=steps, learning_rate=config.learning_rate,
        save_every=config.save_every, seed=config.seed, dtype=config.dtype,
        gradient_accumulation_steps=config.parts, warmup_steps=config.warmup,
        gradient_checkpointing=config.gradient_checkpointing, packing=False, max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip


def _lora(rank: int | None) -> Any:  # noqa: ANN401 - of peft
    if rank is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules="all-linear")


def _write(trainer: Any, tokenizer: Any, folder: Path, card: str, *, merge: bool) -> None:  # noqa: ANN401 - of transformers
    model = trainer.model
    if trainer.is_fsdp_enabled:  # every process brings its part, the first one writes
        model.load_state_dict(trainer.accelerator.get_state_dict(trainer.model_wrapped), assign=True)
    if trainer.is_world_process_zero():
        write_model(folder, model.merge_and_unload() if merge else model, tokenizer, {"README.md": card})


def _looked(note: Callable[..., None], step: int, found: dict[str, Estimate]) -> None:
    if found:
        note(step=step, **{f"held_out_loss/{name}": one.value for name, one in found.items()})


def _nobody(**_values: Any) -> None:  # noqa: ANN401 - what is measured
    """Only the first process tells."""
