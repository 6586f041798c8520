"""Reinforcement: a language model is moved towards what is rewarded, by GRPO, RLOO or PPO, and held to where it began.

    grpo   groups of replies, each against its group's mean          Shao et al. (2024), on TRL's GRPOTrainer
    rloo   each against the mean of the others, KL in the reward     Ahmadian et al. (2024), on TRL's RLOOTrainer
    ppo    a value head, generalised advantages                      Schulman et al. (2017), `ppo.py`

Rewards come as callables with weights (`rollout_scores.py`), lengths may be counted (`lengths.py`), and rewards
that are fooled are watched (`hacking.py`), against a judge that is not optimised if there is one. All figures are
written per domain. A run that was killed goes on from the newest checkpoint that is whole, to the same weights on the
same machine; a loss or a gradient that is no number ends it, and that checkpoint stays.

With `trl={"use_vllm": True, ...}` rollouts come from vLLM, with TRL's correction for what it samples differently.
`torchrun` and accelerate make it many processes. Not here: what is right (`rewards/`), and tools (`tooluse/`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from palaestra.errors import InputError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import backbone_folder, conversation_text, libraries, load_tokenizer
from palaestra.learn.language_model import write_model
from palaestra.learn.trainer import Measure, Tell
from palaestra.posttrain import rl_trainer
from palaestra.posttrain.examples import Example
from palaestra.posttrain.hacking import Watch
from palaestra.posttrain.lengths import LengthConfig, check_lengths, dual_step
from palaestra.posttrain.losses_rl import Sum
from palaestra.posttrain.rollout_scores import Paid, Replies, RewardFunction, by_domain, lines, means, scored

Method = Literal["grpo", "rloo", "ppo"]

STATE_FILE = "palaestra-rl.json"
_SHOWN = 8
_ALL = "all"


class RlConfig(BaseModel):
    """How a language model is reinforced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "gguf:smollm2"
    """The start: `gguf:smollm2`, or a folder of Hugging Face."""
    method: Method = "grpo"
    """`grpo`, `rloo` or `ppo`."""
    loss: Sum = "dapo"
    """Of grpo and ppo: how tokens become one number; with `dr_grpo` groups are not divided by their deviation."""
    tuning: Literal["full", "lora"] = "full"
    """Whether all weights are trained, or low-rank changes of them; a value head needs all."""
    lora_rank: int = Field(default=16, ge=1)
    """Rank of the changes."""
    steps: int = Field(default=100, ge=1)
    """Of the optimiser."""
    prompts: int = Field(default=4, ge=1)
    """Of one step, on each process."""
    group: int = Field(default=8, ge=2)
    """Replies to each prompt."""
    micro_batches: int = Field(default=1, ge=1)
    """Into how many parts a step's replies are divided for memory."""
    rollout_steps: int = Field(default=1, ge=1)
    """Steps that one rollout lasts: more is faster and staler; ratios and clips correct for it."""
    passes: int = Field(default=1, ge=1)
    """How often each rollout is learnt from."""
    max_tokens: int = Field(default=128, ge=1)
    """Of a reply."""
    max_prompt_tokens: int = Field(default=1024, ge=8)
    """Of a prompt; of longer ones the middle is left out."""
    temperature: float = Field(default=1.0, gt=0)
    """Of sampling."""
    learning_rate: float = Field(default=1e-6, gt=0)
    """At the start; it falls to nought in a straight line."""
    beta: float = Field(default=0.02, ge=0)
    """What a nat of KL to the start costs: in the loss for grpo, in the reward for rloo and ppo."""
    clip_low: float = Field(default=0.2, gt=0, lt=1)
    """How far a ratio may fall."""
    clip_high: float = Field(default=0.2, gt=0)
    """How far it may rise; 0.28 in DAPO."""
    lengths: LengthConfig = LengthConfig()
    """What tokens cost."""
    value_weight: float = Field(default=0.5, gt=0)
    """Of ppo: the value loss in the sum."""
    value_clip: float = Field(default=0.2, gt=0)
    """Of ppo: how far a value may go in one round."""
    discount: float = Field(default=1.0, gt=0, le=1)
    """Of ppo: gamma."""
    decay: float = Field(default=0.95, ge=0, le=1)
    """Of ppo: lambda of the advantages."""
    watch: int = Field(default=10, ge=2)
    """Rollouts at each end that are compared, to see whether the reward is fooled."""
    save_every: int = Field(default=50, ge=1)
    """Steps between checkpoints, rounded up to whole rollouts."""
    trl: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings of TRL's config, as they are: use_vllm, vllm_mode, vllm_importance_sampling_mode, delta ..."""
    seed: int = Field(default=0, ge=0)
    """Of prompts and replies."""


@dataclass(frozen=True, slots=True)
class Reinforced:
    """What a training ended with."""

    steps: int
    rollouts: int
    loss: float
    """Mean over all steps."""
    first: dict[str, float]
    """Figures of the first rollout: reward, correct, tokens, repetition, each reward, judge."""
    last: dict[str, float]
    alarms: tuple[str, ...]
    samples: tuple[dict[str, Any], ...]
    """Some replies of the last rollout, with their rewards."""


@dataclass
class _Run:
    """What happens between TRL and us while a policy is trained."""

    examples: Sequence[Example]
    config: RlConfig
    rewards: Sequence[Paid]
    judge: RewardFunction | None
    measure: Measure
    warn: Callable[[str], None]
    watch: Watch
    price: float = 0.0
    alarms: list[str] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def reward(
        self,
        completions: list[str],
        completion_ids: list[list[int]],
        row: list[int],
        trainer_state: Any,  # noqa: ANN401 - of transformers
        **_: Any,  # noqa: ANN401 - TRL's
    ) -> list[float]:
        """What TRL calls after each rollout."""
        asked = [self.examples[number] for number in row]
        replies = Replies(
            prompts=tuple(one.prompt for one in asked),
            texts=tuple(completions),
            references=tuple(one.reference for one in asked),
            domains=tuple(one.domain for one in asked),
            tokens=tuple(map(len, completion_ids)),
            cut=tuple(ids[-1] not in self.ends for ids in completion_ids),
            group=self.config.group,
        )
        found = scored(
            replies, self.rewards, self.config.lengths, self.config.max_tokens, price=self.price, judge=self.judge
        )
        self._note(trainer_state, replies, found)
        return found.reward_N.tolist()

    ends: tuple[int, ...] = ()

    def _note(self, state: Any, replies: Replies, found: Any) -> None:  # noqa: ANN401 - TRL's
        """Figures of all processes, per domain; the next price; alarms."""
        from accelerate.utils import gather_object

        rows = gather_object(lines(replies, found))
        figures = means(rows)
        said = self.watch.look(figures)
        constrained = self.config.lengths.form == "constrained"
        if constrained:
            figures = figures | {"price": self.price}
            self.price = dual_step(self.price, figures["tokens"], self.config.lengths, self.config.max_tokens)
        if not state.is_world_process_zero:
            return
        self.measure(step=state.global_step, domain=_ALL, **figures)
        domains = by_domain(rows)
        for name, values in domains.items() if len(domains) > 1 else ():
            self.measure(step=state.global_step, domain=name, **values)
        for words in said:
            self.alarms.append(words)
            self.measure(step=state.global_step, alarm=words)
            self.warn(words)
        self.samples = [
            {"step": state.global_step, "prompt": replies.prompts[number][-1].text, "reply": replies.texts[number],
             "domain": replies.domains[number], "reference": replies.references[number],
             "reward": float(found.reward_N[number]), "tokens": replies.tokens[number]}
            for number in range(min(_SHOWN, len(replies.texts)))
        ]  # fmt: skip

    def state(self) -> str:
        kept = {"price": self.price, "alarms": self.alarms, "samples": self.samples, "watch": self.watch.state()}
        return json.dumps(kept, ensure_ascii=False)

    def restore(self, work: Path) -> None:
        """Go on from what the newest whole checkpoint knows."""
        newest = learning.newest_whole(work)
        if newest is None:
            return
        kept = json.loads((Path(newest) / STATE_FILE).read_text(encoding="utf-8"))
        self.price, self.alarms, self.samples = kept["price"], kept["alarms"], kept["samples"]
        self.watch.restore(kept["watch"])


def train_rl(
    examples: Sequence[Example],
    config: RlConfig,
    folder: Path,
    *,
    rewards: Sequence[Paid],
    work: Path,
    judge: RewardFunction | None = None,
    cache: Path | None = None,
    measure: Measure = lambda **_values: None,
    tell: Tell = lambda _done, _all: None,
    warn: Callable[[str], None] = lambda _words: None,
) -> Reinforced:
    """Train, and write the model's folder, whole or not at all.

    Args:
        examples: prompts, with references where a reward needs them; completions are not read.
        config: how.
        folder: of the model; must not be there yet.
        rewards: at least one; a reply is right where the first is above 0.5.
        work: checkpoints of the training; what an earlier, equal run left there is gone on from.
        judge: a reward that is looked at and not optimised.
        cache: where converted models are kept; the user's cache if left out.
        measure: is told, by name: figures of each rollout (`step`, `domain`, `reward`, `correct`, `tokens`,
            `repetition`, `cut`, each reward as `reward_NAME`, `judge`), the loss of each step, KL, entropy, alarms.
        tell: is told the step, of how many.
        warn: is told alarms, in words.

    Raises:
        InputError: there is nothing to learn from, settings do not fit, the folder is there, or the loss was no number.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    check_rl(config)
    _check(examples, folder, rewards)
    trl = rl_trainer.trl_part()
    tokenizer = load_tokenizer(config.model, cache)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    run = _Run(examples, config, rewards, judge, measure, warn, Watch(config.watch))
    run.restore(work)
    trainer = _trainer(trl, config, tokenizer, run, work, backbone_folder(config.model, cache))
    run.ends = tuple(trainer.eos_token_ids)
    trainer.add_callback(rl_trainer.keeper(run.state, lambda step, found: measure(step=step, **found), STATE_FILE))
    steps, loss = learning.train(trainer, work, measure, tell)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.accelerator.is_main_process:
        write_model(folder, _plain(model, config), tokenizer, {"card.md": _card(folder.name, config, rewards, run)})
    history = run.watch.history
    return Reinforced(steps, len(history), loss, history[0], history[-1], tuple(run.alarms), tuple(run.samples))


def check_rl(config: RlConfig) -> None:
    """Refuse settings that do not fit together, before anything is read.

    Raises:
        InputError: they do not.
    """
    if config.prompts * config.group % config.micro_batches:
        raise InputError(
            f"found {config.prompts} prompts with {config.group} replies in {config.micro_batches} parts, expected "
            "parts of one size"
        )
    if config.method == "ppo" and config.tuning == "lora":
        raise InputError("found ppo with lora, expected full: a value head reads states that change with the model")
    check_lengths(config.lengths)


def _trainer(  # noqa: PLR0917 - what a trainer is made of
    trl: Any,  # noqa: ANN401 - a module
    config: RlConfig,
    tokenizer: Any,  # noqa: ANN401 - of transformers
    run: _Run,
    work: Path,
    start: Path,
) -> Any:  # noqa: ANN401 - TRL's
    import datasets

    grouped = config.method != "rloo"
    kind = rl_trainer.policy_trainer(trl.GRPOTrainer if grouped else trl.RLOOTrainer, config.max_prompt_tokens)
    if config.method == "ppo":
        from palaestra.posttrain.ppo import ppo_trainer

        kind = ppo_trainer(kind, config)
    args = _arguments(trl.GRPOConfig if grouped else trl.RLOOConfig, config, work, grouped=grouped)
    window = config.rollout_steps * config.passes
    rollouts = -(-config.steps // window)
    needed = rollouts * config.rollout_steps * config.prompts * args.world_size
    rows = [
        {"prompt": conversation_text(tokenizer, run.examples[row].prompt), "row": row}
        for row in rl_trainer.order([one.weight for one in run.examples], needed, config.seed)
    ]
    with learning.quiet():
        return kind(
            model=str(start),
            reward_funcs=run.reward,
            args=args,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=rl_trainer.low_rank(config.lora_rank) if config.tuning == "lora" else None,
        )


def _arguments(kind: Any, config: RlConfig, work: Path, *, grouped: bool) -> Any:  # noqa: ANN401 - TRL's
    window = config.rollout_steps * config.passes
    settings: dict[str, Any] = {
        "gradient_checkpointing": False,
        "gradient_accumulation_steps": config.micro_batches,
        "num_generations": config.group,
        "steps_per_generation": config.micro_batches * config.rollout_steps,
        "num_iterations": config.passes,
        "max_completion_length": config.max_tokens,
        "temperature": config.temperature,
        "beta": config.beta,
        "epsilon": config.clip_low,
        "epsilon_high": config.clip_high,
        "shuffle_dataset": False,
        "model_init_kwargs": {"dtype": "float32", "local_files_only": True},
    }
    further: dict[str, Any] = dict(config.trl)
    if grouped:
        scale = "none" if config.loss == "dr_grpo" else "group"
        settings |= {"loss_type": config.loss, "scale_rewards": scale}
    try:
        return learning.arguments(
            kind, work, batch=config.prompts * config.group // config.micro_batches, epochs=1, steps=config.steps,
            learning_rate=config.learning_rate, save_every=-(-config.save_every // window) * window, seed=config.seed,
            **(settings | further),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise InputError(f"TRL refuses these settings: {error}") from error


def _plain(model: Any, config: RlConfig) -> Any:  # noqa: ANN401 - of transformers
    """The language model alone, in float32."""
    torch, _ = libraries()
    if config.method == "ppo":
        from palaestra.posttrain.ppo import without_head

        without_head(model)
    return (model.merge_and_unload() if config.tuning == "lora" else model).to(torch.float32)


def _check(examples: Sequence[Example], folder: Path, rewards: Sequence[Paid]) -> None:
    if folder.exists():
        raise InputError(f"found {folder} there already, expected a new folder for the model")
    if not examples or not rewards:
        raise InputError("found no example or no reward, expected at least one of each")
    names = [one.name for one in rewards]
    if len(set(names)) < len(names) or "judge" in names:
        raise InputError(f"found the rewards {', '.join(names)}, expected names that differ, none of them `judge`")


def _card(name: str, config: RlConfig, rewards: Sequence[Paid], run: _Run) -> str:
    first, last = run.watch.history[0], run.watch.history[-1]
    told = [f"- {key.replace('_', ' ')}: {first[key]:.4g} -> {last[key]:.4g}" for key in last if key in first]
    tokens = "" if config.lengths.form == "none" else f" Tokens cost: {_words(config.lengths)}."
    rewarded = ", ".join(f"{one.weight:g} {one.name}" for one in rewards)
    text = [
        f"# {name}", "",
        f"A language model: {config.model}, reinforced by {config.method} ({config.tuning}) for {config.steps} steps.",
        f"Rewards: {rewarded}. KL to the start costs {config.beta:g} a nat.{tokens}", "",
        "First rollout -> last, on the prompts that it was trained on:", "",
        *told, "",
        *(f"**Alarm**: {words}" for words in run.alarms),
    ]  # fmt: skip
    return "\n".join(text) + "\n"


def _words(lengths: LengthConfig) -> str:
    """The settings of lengths as words."""
    return ", ".join(f"{name} {value}" for name, value in lengths.model_dump(exclude_none=True).items())
