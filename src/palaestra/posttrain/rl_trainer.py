"""TRL's trainers of policies, with our prompts, our sampling, and chance that a resumed run finds again.

The loss, the advantages, the KL and the corrections are TRL's (GRPOTrainer, RLOOTrainer). What is added:

    prompts    tokenized as everywhere here, in an order that the seed gives for the whole run at once
    sampling   `learn/generation.py` on one process or several with whole models; TRL's own with vLLM, FSDP, DeepSpeed
    chance     drawn anew for each rollout from the seed and the step, so that it does not matter what was before
    a stop     at a loss that is no number, before it reaches the weights

A checkpoint lies between two rollouts, never within one: what would be left of a rollout is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palaestra.errors import InputError, MissingPartError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import encode, libraries
from palaestra.learn.generation import Sampling, sample

_NO_CHANCES = ("probability tensor", "device-side assert")
"""How torch says, on a processor and on a GPU, that it cannot draw a token."""


def trl_part() -> Any:  # noqa: ANN401 - a module
    """The library TRL.

    Raises:
        MissingPartError: it is not installed.
    """
    libraries()
    try:
        import datasets  # noqa: F401 - TRL's rows
        import trl
    except ImportError as error:
        raise MissingPartError(f"reinforcement needs {error.name}: pip install 'palaestra[train]'") from error
    return trl


def policy_trainer(kind: Any, max_prompt: int) -> Any:  # noqa: ANN401 - a class of TRL
    """GRPOTrainer or RLOOTrainer with the additions above.

    Args:
        kind: the class.
        max_prompt: tokens of a prompt; of longer ones the middle is left out.
    """
    torch, transformers = libraries()
    trl = trl_part()
    with_logprobs = issubclass(kind, trl.GRPOTrainer)

    class PolicyTrainer(kind):
        def _tokenize_prompts(self, prompts: list[str]) -> Any:  # noqa: ANN401 - TRL's
            return [encode(self._tokenizer, prompt, max_prompt)[0] for prompt in prompts], None, {}

        def _generate_single_turn(self, prompt_ids: list[list[int]], *rest: Any, **more: Any) -> Any:  # noqa: ANN401
            if self.use_vllm or self.is_fsdp_enabled or self.is_deepspeed_enabled:
                return super()._generate_single_turn(prompt_ids, *rest, **more)
            device = self.accelerator.device
            chance = torch.Generator(device).manual_seed(self._chance())
            model = self.accelerator.unwrap_model(self.model)
            how = Sampling(max_tokens=self.max_completion_length, temperature=self.temperature)
            try:
                drawn = sample(model, prompt_ids, how, ends=self.eos_token_ids, generator=chance)
            except RuntimeError as error:
                if not any(words in str(error) for words in _NO_CHANCES):
                    raise
                raise learning.diverged(
                    "chance of a token", self.state.global_step, str(self.args.output_dir)
                ) from error
            tokens = [one.tokens for one in drawn]
            return (tokens, None) if with_logprobs else tokens

        def _generate_and_score_completions(self, inputs: Any) -> Any:  # noqa: ANN401 - TRL's
            transformers.set_seed(self._chance())
            return super()._generate_and_score_completions(inputs)

        def _chance(self) -> int:
            """A seed of this step on this process."""
            parts = (self.args.seed, self.state.global_step, self.accelerator.process_index)
            return int(np.random.SeedSequence(parts).generate_state(1)[0])

        def compute_loss(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - TRL's
            loss = super().compute_loss(model, inputs, *rest, **more)
            if not torch.isfinite(loss):
                raise learning.diverged("loss", self.state.global_step, str(self.args.output_dir))
            return loss

    return PolicyTrainer


def keeper(states: Callable[[], str], told: Callable[[int, dict[str, float]], None], name: str) -> Any:  # noqa: ANN401
    """A callback that writes our state into each checkpoint, and passes on what TRL measures.

    Args:
        states: the state, as text.
        told: is given the step, and KL, entropy and the share of clipped ratios.
        name: of the file.
    """
    _, transformers = libraries()
    measured = {"kl": "kl", "entropy": "entropy", "clip_ratio/region_mean": "clipped", "value_loss": "value_loss"}

    class Keeper(transformers.TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            found = {ours: logs[theirs] for theirs, ours in measured.items() if (logs or {}).get(theirs) is not None}
            if found and state.is_world_process_zero:
                told(state.global_step, found)

        def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if not finite(model):  # such a checkpoint is never marked as whole
                raise learning.diverged("weight", state.global_step, args.output_dir)
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / name).write_text(states(), encoding="utf-8")

    return Keeper()


def finite(model: Any) -> bool:  # noqa: ANN401 - of torch
    """Whether all weights are numbers."""
    torch, _ = libraries()
    return all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def order(weights: Sequence[float], count: int, seed: int) -> list[int]:
    """The numbers of the examples of a whole run: each once before any comes twice, or drawn by their weights.

    Args:
        weights: of the examples; those with 0 are left out.
        count: how many are needed.
        seed: of chance.

    Raises:
        InputError: no example has a weight.
    """
    weight_E = np.asarray(weights, dtype=float)
    used = np.flatnonzero(weight_E > 0)
    if not len(used):
        raise InputError("found no example with a weight above 0, expected at least one")
    rng = np.random.default_rng(seed)
    if np.ptp(weight_E[used]) > 0:
        return rng.choice(len(weight_E), size=count, p=weight_E / weight_E.sum()).tolist()
    rounds = -(-count // len(used))
    return np.concatenate([rng.permutation(used) for _ in range(rounds)])[:count].tolist()


def low_rank(rank: int) -> Any:  # noqa: ANN401 - of peft
    """Low-rank changes of all linear layers of a language model (Hu et al., 2021).

    Raises:
        MissingPartError: peft is not installed.
    """
    learning.check_installed(low_rank=True)
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules="all-linear")
