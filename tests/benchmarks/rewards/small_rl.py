"""A small language model optimised against a reward by policy gradients with a KL penalty.

The gradients are REINFORCE with the mean of a prompt's other replies as the baseline (RLOO; Kool et al., 2019;
Ahmadian et al., 2024): one step a batch of fresh replies, the penalty taken off the reward. It is a loop of its own,
since the library's trainer costs more around each step than a model of this size in it. A reward is brought to mean 0
and standard deviation 1 over replies of the model that all start from, so that the penalty means the same for each.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from small_gpt import SmallGpt, descend, log_chances, sampled
from small_rewards import Score
from small_tasks import Floats, hesitation, right


@dataclass(frozen=True, slots=True)
class RlPlan:
    """How long and how hard."""

    steps: int = 30
    prompts: int = 12
    group: int = 8
    """Replies to each prompt of a step."""
    rate: float = 5e-4
    penalty: float = 0.03
    """What a nat of KL costs, in standard deviations of the reward."""
    look_every: int = 10
    looks: int = 2
    """Replies to each prompt when the model is looked at."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a model is worth after so many steps, on prompts that it is not optimised on."""

    step: int
    right_P: Floats
    """The share of right replies to each prompt."""
    reward: float
    """The mean of the reward it is optimised against, brought to the first model's scale."""
    kl: float
    """From the first model, in nats a reply."""
    hesitation: float


def optimised(  # noqa: PLR0917 - a model, a reward, prompts, a plan
    base: SmallGpt, score: Score, prompts: list[str], others: list[str], plan: RlPlan, seed: int
) -> list[Look]:
    """Optimise a copy of a model against a reward, and look at it on the way.

    Args:
        base: the model; it stays as it is.
        score: the reward.
        prompts: those that it is optimised on.
        others: those that it is looked at on.
        plan: how long and how hard.
        seed: of prompts and replies.
    """
    rng = np.random.default_rng(seed)
    model = copy.deepcopy(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=0.0)
    scale = _scale(base, score, prompts)
    looks = [_look(model, base, score, others, scale, plan, step=0)]
    for step in range(1, plan.steps + 1):
        asked = [prompts[row] for row in rng.choice(len(prompts), plan.prompts) for _ in range(plan.group)]
        reply_NT = sampled(model, asked, int(rng.integers(2**31)))
        log_N = log_chances(model, asked, reply_NT)[0].sum(dim=1)
        with torch.no_grad():
            start_N = log_chances(base, asked, reply_NT)[0].sum(dim=1)
        reward_N = (score(asked, reply_NT) - scale[0]) / scale[1]
        worth_N = torch.from_numpy(reward_N).float() - plan.penalty * (log_N.detach() - start_N)
        descend(optimizer, -(advantages(worth_N, plan.group) * log_N).mean(), model)
        if step % plan.look_every == 0 or step == plan.steps:
            looks.append(_look(model, base, score, others, scale, plan, step=step))
    return looks


def advantages(worth_N: torch.Tensor, group: int) -> torch.Tensor:
    """Each reply's worth less the mean of the others to its prompt, shape (N,)."""
    worth_PG = worth_N.view(-1, group)
    others_PG = (worth_PG.sum(dim=1, keepdim=True) - worth_PG) / (group - 1)
    return (worth_PG - others_PG).flatten()


def _scale(base: SmallGpt, score: Score, prompts: list[str]) -> tuple[float, float]:
    asked = prompts * 4
    found_N = score(asked, sampled(base, asked, seed=12345))
    return float(found_N.mean()), float(max(found_N.std(), 1e-9))


@torch.no_grad()
def _look(  # noqa: PLR0917 - what is looked at
    model: SmallGpt, base: SmallGpt, score: Score, prompts: list[str], scale: tuple[float, float], plan: RlPlan,
    *, step: int,
) -> Look:  # fmt: skip
    asked = [prompt for prompt in prompts for _ in range(plan.looks)]
    reply_NT = sampled(model, asked, seed=54321)
    gone = sum(sign * log_chances(each, asked, reply_NT)[0].sum() for sign, each in ((1, model), (-1, base)))
    return Look(
        step=step,
        right_P=right(asked, reply_NT).reshape(len(prompts), -1).mean(axis=1),
        reward=float((score(asked, reply_NT).mean() - scale[0]) / scale[1]),
        kl=float(gone) / len(asked),
        hesitation=float(hesitation(reply_NT).mean()),
    )
