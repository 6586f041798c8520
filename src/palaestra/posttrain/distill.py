"""On-policy distillation of many teachers into one student (Agarwal et al., GKD, 2024; Lu, 2025).

The student answers; each prompt belongs to a domain and to its expert, who says how likely every next token was; the
student moves towards that, position by position, and each domain counts for its share of rows, not of tokens. With
`balance = headroom` domains that are still far from their expert get more rows, those that have converged a floor.

Teachers are anything that can say how likely tokens are: folders (`teachers.py`), an endpoint (`teacher_endpoint.py`),
Ray actors (`teacher_actors.py`). Not here: the recipe around it, which merges, gates and compares
(`recipes/experts_to_generalist`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import Dtype, libraries, prompt_tokens
from palaestra.learn.generation import Sampling, end_tokens
from palaestra.learn.language_model import load_trainable, write_model
from palaestra.learn.trainer import Tell
from palaestra.posttrain.distill_trainer import Aim, Teaching, distillation_trainer, restore
from palaestra.posttrain.divergences import Blend, Divergence
from palaestra.posttrain.examples import Example
from palaestra.posttrain.rollouts import Prompt, Rollouts
from palaestra.posttrain.schedule import Balance, Headroom, Schedule

Route = Callable[[Sequence[Example]], Sequence[Mapping[str, float]]]
"""Whose each prompt is: the shares of teachers, by name."""


class DistillConfig(BaseModel):
    """How a student learns from its teachers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    divergence: Divergence = "reverse"
    """What is made small at each position; `sampled` takes the sampled token alone, as endpoints tell it."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """The teacher's share in the mixture of `jensen-shannon`."""
    average: Literal["domain", "tokens"] = "domain"
    """Whether each domain counts by its rows, or all tokens alike, which lets long answers drown the others."""
    balance: Balance = "equal"
    """How many rows each domain gets."""
    blend: Blend = "geometric"
    """How several teachers of one prompt become one."""
    given: float = Field(default=0.0, ge=0, le=1)
    """The share of rows that take the example's own completion in place of a sampled one."""
    steps: int = Field(default=500, ge=1)
    """Updates of the student."""
    batch: int = Field(default=96, ge=1)
    """Prompts of a step, over all processes."""
    parts: int = Field(default=1, ge=1)
    """Into how many passes a process cuts its share of a step, to save memory."""
    block: int = Field(default=8, ge=1)
    """Steps that are sampled and judged together."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """At the start; it falls to nought in a straight line."""
    warmup: int = Field(default=0, ge=0)
    """Steps in which the rate rises from nought."""
    max_tokens: int = Field(default=256, ge=1)
    """Of a completion."""
    max_prompt: int = Field(default=1024, ge=1)
    """Of a prompt; longer ones are left out, and counted."""
    temperature: float = Field(default=1.0, gt=0)
    """With which the student samples."""
    most: float = Field(default=2.0, gt=0)
    """The largest importance weight of a token, with `sampled`."""
    top: int | None = Field(default=None, ge=1)
    """Tokens that a teacher tells of each position, the rest as one; all of them if left out."""
    lora_rank: int | None = Field(default=None, ge=1)
    """Train low-rank changes in place of all weights."""
    dtype: Dtype = "auto"
    """What is computed in; the weights themselves stay 32-bit."""
    check_every: int = Field(default=100, ge=1)
    """Steps between looks at held-out prompts, and at least between checkpoints."""
    seed: int = Field(default=0, ge=0)
    """Of prompts and sampling."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """What a distillation ended with."""

    steps: int
    loss: float
    """Mean over all steps."""
    rows: int
    tokens: int
    """That the student sampled and learnt from."""
    too_long: int
    """Prompts that were left out."""
    converged: tuple[str, ...] = ()
    """Domains that reached their expert, or stopped getting better."""
    held_out: dict[str, float] = field(default_factory=dict)
    """The end's score on held-out prompts, by domain."""


def distill(
    examples: Sequence[Example],
    student: str,
    config: DistillConfig,
    folder: Path,
    *,
    work: Path,
    teachers: Any,  # noqa: ANN401 - teachers by name
    route: Route,
    evaluate: Callable[[Any, Any], Mapping[str, float]] | None = None,
    experts: Mapping[str, float] | None = None,
    cache: Path | None = None,
    measure: Callable[..., None] = lambda **_values: None,
    tell: Tell = lambda _done, _all: None,
    card: Callable[[Distilled], str] = lambda _found: "",
) -> Distilled:
    """Distil, and write the student's folder, whole or not at all.

    Args:
        examples: prompts with their domains.
        student: the model that it begins as: `gguf:smollm2`, or a folder of Hugging Face.
        config: how.
        folder: of the student; must not be there yet.
        work: checkpoints; what an earlier, equal run left there is gone on from.
        teachers: by name, each a `Teacher`; as `teachers.Folders`.
        route: whose each prompt is.
        evaluate: scores of a model and tokenizer on held-out prompts, by domain.
        experts: the score of each domain's expert on them; needed for `balance = headroom`.
        cache: where converted models are kept; the user's cache if left out.
        measure: is told what each step and look measured.
        tell: is told the step, of how many.
        card: of the student, made of what came out.

    Raises:
        InputError: a prompt has no teacher, the folder is there, the loss was no number, or a teacher's answers were.
        MissingPartError: the extra `train` is not installed.
    """
    if folder.exists():
        raise InputError(f"found {folder} there already, expected a new folder for the student")
    if config.divergence == "sampled" and config.given:
        raise InputError("found completions that are given with the sampled divergence, expected sampled ones")
    if config.balance == "headroom" and (evaluate is None or experts is None):
        raise InputError("found balance headroom without held-out prompts, expected them with every expert's score")
    _, transformers = libraries()
    transformers.set_seed(config.seed)
    model, tokenizer = load_trainable(student, cache=cache)
    ends = end_tokens(model, tokenizer)
    prompts, too_long = _prompts(examples, config, tokenizer, route)
    domains = [prompt.domain for prompt in prompts]
    schedule = Schedule(domains, config.batch, weights=_weights(config, domains), seed=config.seed)
    start = dict(evaluate(model, tokenizer)) if evaluate is not None else {}
    headroom = _headroom(config, experts, start, schedule.names)
    if start:
        each = {f"held_out/{name}": score for name, score in start.items()}
        measure(step=0, held_out=sum(start.values()) / len(start), **each)
    args = _arguments(config, work)
    if config.batch < config.parts * args.world_size:
        raise InputError(
            f"found a batch of {config.batch} in {config.parts} parts for each of {args.world_size} processes, "
            "expected at least a prompt for each part"
        )
    if config.lora_rank is not None:
        model = _with_lora(model, config.lora_rank)
    rollouts = Rollouts(
        prompts, schedule.names, teachers, how=Sampling(config.max_tokens, config.temperature), ends=ends,
        given=config.given, blend=config.blend, seed=config.seed,
    )  # fmt: skip
    teaching = Teaching(
        rollouts, schedule, Aim(config.divergence, config.beta, config.average, config.most), block=config.block,
        check_every=_whole_blocks(config), headroom=headroom, adapt=config.balance == "headroom", note=measure,
        evaluate=None if evaluate is None else lambda model: evaluate(model, tokenizer),
    )  # fmt: skip
    trainer = distillation_trainer(model, args, teaching)
    if trainer.is_fsdp_enabled:
        raise InputError("found FSDP, expected one process or torchrun without it: sharded students cannot sample here")
    restore(learning.newest_whole(work), teaching)
    steps, loss = learning.train(trainer, work, measure, tell)
    trained = trainer.model.merge_and_unload() if config.lora_rank is not None else trainer.model
    final = dict(evaluate(trained, tokenizer)) if evaluate is not None else {}
    done = tuple(sorted(headroom.converged)) if headroom is not None else ()
    found = Distilled(steps, loss, steps * config.batch, teaching.tokens, too_long, done, final)
    if trainer.is_world_process_zero():
        write_model(folder, trained, tokenizer, {"README.md": text} if (text := card(found)) else None)
    return found


def _headroom(
    config: DistillConfig, experts: Mapping[str, float] | None, start: Mapping[str, float], names: Sequence[str]
) -> Headroom | None:
    """What is left to gain in domains that have held-out prompts, and an expert whose score is known."""
    known = {name: score for name, score in (experts or {}).items() if name in start}
    if config.balance == "headroom" and (missing := sorted(set(names) - known.keys())):
        raise InputError(
            f"found no held-out prompts, or no expert's score, of {', '.join(missing)}, expected them of each domain "
            "for balance headroom"
        )
    return Headroom(known, start) if known else None


def _prompts(
    examples: Sequence[Example],
    config: DistillConfig,
    tokenizer: Any,  # noqa: ANN401 - of transformers
    route: Route,
) -> tuple[list[Prompt], int]:
    """Prompts as tokens, with their teachers, and how many were too long."""
    found = []
    for example, shares in zip(examples, route(examples), strict=True):
        whose = {name: share for name, share in shares.items() if share > 0}
        if not whose:
            raise InputError(f"found no teacher for {example.id} of the domain {example.domain}, expected one")
        tokens = prompt_tokens(tokenizer, example.prompt)
        if len(tokens) <= config.max_prompt:
            found.append(Prompt(tokens, example.domain, whose, _given(example, config, tokenizer)))
    if config.top is not None and any(len(prompt.teachers) > 1 for prompt in found):
        raise InputError(
            "found several teachers of one prompt with top, expected one teacher a prompt, or all tokens told"
        )
    if not found:
        raise InputError(f"found no prompt of at most {config.max_prompt} tokens, expected some; raise max_prompt")
    return found, len(examples) - len(found)


def _given(example: Example, config: DistillConfig, tokenizer: Any) -> list[int] | None:  # noqa: ANN401 - of transformers
    if not config.given or not example.reply:
        return None
    said = tokenizer(example.reply, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [*said, tokenizer.eos_token_id][: config.max_tokens]


def _weights(config: DistillConfig, domains: Sequence[str]) -> dict[str, float]:
    """How many rows each domain gets at the start."""
    if config.balance == "share":
        return {name: float(domains.count(name)) for name in set(domains)}
    return dict.fromkeys(domains, 1.0)


def _whole_blocks(config: DistillConfig) -> int:
    """Steps between looks and checkpoints: a multiple of a block."""
    return config.block * max(1, round(config.check_every / config.block))


def _arguments(config: DistillConfig, work: Path) -> Any:  # noqa: ANN401 - of transformers
    _, transformers = libraries()
    return learning.arguments(
        transformers.TrainingArguments, work, batch=1, epochs=1, steps=config.steps,
        learning_rate=config.learning_rate, save_every=_whole_blocks(config), seed=config.seed, dtype=config.dtype,
        gradient_accumulation_steps=config.parts, warmup_steps=config.warmup,
    )  # fmt: skip


def _with_lora(model: Any, rank: int) -> Any:  # noqa: ANN401 - of transformers and peft
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    )
