"""PPO with a value head, as Starling-7B-beta was trained from its reward; TRL has it no longer.

Prompts, rollouts, old and first log-probabilities are those of TRL's GRPOTrainer. In place of group advantages

    R_t = -beta (log mu - log pi_0), and the reward on the last token        Ziegler et al. (2019); Ouyang et al. (2022)
    A   = GAE of R and V, whitened over the tokens of a rollout              Schulman et al. (2016)
    L   = clipped loss of the policy + c max((V - G)^2, clipped)             Schulman et al. (2017)

V is one layer on the states from which the next token is read: the state before a token values that token. It begins at
nought, is trained with everything else, lies in the checkpoints, and is left out of the model that is written. Where
`beta` and the rewards are right the optimum is pi_0 exp(r / beta).

Not here: the formulas (`losses_rl.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaestra.learn.backbone import libraries
from palaestra.posttrain import losses_rl

if TYPE_CHECKING:
    from palaestra.posttrain.rl import RlConfig

_HEAD = "value_head"


def with_head(model: Any) -> Any:  # noqa: ANN401 - of transformers
    """The model, whose backbone leaves the values of places (N, T) in `model.palaestra_values` when it is read."""
    torch, _ = libraries()
    head = torch.nn.Linear(model.get_output_embeddings().weight.shape[1], 1, bias=True)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    model.add_module(_HEAD, head.to(model.device))

    def read(_backbone: Any, _inputs: Any, outputs: Any) -> None:  # noqa: ANN401 - of torch
        states_NTD = outputs.last_hidden_state
        model.palaestra_values = model.value_head(states_NTD.to(head.weight.dtype))[..., 0].float()

    model.palaestra_hook = model.base_model.register_forward_hook(read)
    return model


def without_head(model: Any) -> None:  # noqa: ANN401 - of transformers
    """Take the head off again."""
    model.palaestra_hook.remove()
    for name in ("palaestra_hook", "palaestra_values"):
        model.__dict__.pop(name, None)
    delattr(model, _HEAD)


def ppo_trainer(kind: Any, config: RlConfig) -> Any:  # noqa: ANN401 - classes of TRL
    """A GRPOTrainer that is PPO's.

    Args:
        kind: GRPOTrainer, or a class made of it.
        config: clips, weights, discounts.
    """
    torch, transformers = libraries()

    class PpoTrainer(kind):
        def __init__(self, model: str, **more: Any) -> None:  # noqa: ANN401 - TRL's
            whole = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True)
            super().__init__(model=with_head(whole), **more)

        def _calculate_rewards(self, *given: Any) -> Any:  # noqa: ANN401 - TRL's
            """TRL turns rewards into advantages and forgets them: they are kept."""
            self._rewards_N = super()._calculate_rewards(*given)[:, 0]
            return self._rewards_N[:, None]

        def _generate_and_score_completions(self, inputs: Any) -> Any:  # noqa: ANN401 - TRL's
            found = super()._generate_and_score_completions(inputs)
            mask_NT = found["completion_mask"]
            with torch.no_grad():
                log_NT, _, value_NT = self._read(self.model, found)
            first = self.accelerator.process_index * len(mask_NT)
            reward_N = self._rewards_N[first : first + len(mask_NT)]
            start_NT = found.pop("ref_per_token_logps", log_NT)
            earned_NT = losses_rl.token_rewards(reward_N, log_NT, start_NT, mask_NT, config.beta)
            plain_NT = losses_rl.gae(earned_NT, value_NT, mask_NT, config.discount, config.decay)
            self._metrics["train"]["kl"].append(
                (losses_rl.kl(log_NT, start_NT, "k1") * mask_NT).sum().item() / max(mask_NT.sum().item(), 1)
            )
            return found | {
                "old_per_token_logps": log_NT,
                "old_values": value_NT,
                "returns": plain_NT + value_NT,
                "advantages": losses_rl.whitened(plain_NT, mask_NT),
            }

        def _compute_loss(self, model: Any, inputs: Any) -> Any:  # noqa: ANN401 - TRL's
            mask_NT = inputs["completion_mask"]
            log_NT, entropy_NT, value_NT = self._read(model, inputs)
            ratio_NT = losses_rl.log_ratio(log_NT, inputs["old_per_token_logps"], mask_NT)
            policy_NT = losses_rl.clipped(ratio_NT, inputs["advantages"], config.clip_low, config.clip_high)
            if self.use_vllm and self.vllm_importance_sampling_correction:
                policy_NT = policy_NT * inputs["importance_sampling_ratio"]
            value_NT = losses_rl.value_loss(value_NT, inputs["old_values"], inputs["returns"], config.value_clip)
            tokens = inputs["num_items_in_batch"] / self.accelerator.num_processes / config.rollout_steps
            how: dict[str, Any] = {"longest": config.max_tokens, "tokens": tokens.clamp(min=1.0)}
            policy, value = (
                losses_rl.summed(loss_NT, mask_NT, config.loss, **how) for loss_NT in (policy_NT, value_NT)
            )
            self._tell(mask_NT, entropy_NT, ratio_NT, value_NT)
            share = 1 if config.loss == "dapo" else self.current_gradient_accumulation_steps
            return (policy + config.value_weight * value) / share

        def _read(self, model: Any, inputs: Any) -> Any:  # noqa: ANN401 - TRL's
            """Log-probabilities, entropies and values of the replies' tokens, each (N, T)."""
            tokens_NT = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
            mask_NT = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
            length = inputs["completion_ids"].shape[1]
            log_NT, entropy_NT, _ = self._get_per_token_logps_and_entropies(
                model, tokens_NT, mask_NT, length, compute_entropy=True
            )
            values_NT = self.accelerator.unwrap_model(self.model).palaestra_values
            return log_NT, entropy_NT, values_NT[:, -length - 1 : -1]

        def _tell(self, mask_NT: Any, entropy_NT: Any, ratio_NT: Any, value_NT: Any) -> None:  # noqa: ANN401 - tensors
            ratio_NT = ratio_NT.detach().exp()
            outside_NT = (ratio_NT < 1 - config.clip_low) | (ratio_NT > 1 + config.clip_high)
            figures = {"entropy": entropy_NT, "clip_ratio/region_mean": outside_NT.float(), "value_loss": value_NT}
            for name, each_NT in figures.items():
                mean = losses_rl.summed(each_NT.detach(), mask_NT, "bnpo")
                self._metrics["train"][name].append(self.accelerator.gather(mean).mean().item())

    return PpoTrainer
