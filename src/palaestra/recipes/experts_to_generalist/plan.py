"""How large the story is: a minute for a test, ten minutes for a tutorial, three hours for the real thing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from palaestra.posttrain.divergences import Divergence
from palaestra.posttrain.schedule import Balance
from palaestra.recipes.experts_to_generalist.world import DOMAINS

Size = Literal["minute", "ten-minutes", "whole"]

_SPARED = frozenset({"alp", "mod", "cmp", "set"})
"""Near copies of others, and slow to learn: the whole story has 24 domains."""


class Plan(BaseModel):
    """Sizes and settings of every stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: tuple[str, ...] = tuple(name for name in DOMAINS if name not in _SPARED)
    width: int = 256
    layers: int = 4
    batch: int = Field(default=16, ge=1)
    """Examples of a step of supervised training."""
    base_steps: int = Field(default=6000, ge=1)
    base_rate: float = 1e-3
    expert_steps: int = Field(default=750, ge=1)
    expert_rate: float = 1e-3
    methods: tuple[str, ...] = ("linear", "task-arithmetic", "ties", "dare-ties", "della", "model-stock", "karcher")
    scales: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Lambdas from which validation chooses, for the methods that have one."""
    distill_steps: int = Field(default=1250, ge=1)
    distill_batch: int = Field(default=48, ge=1)
    distill_rate: float = 6e-4
    block: int = 8
    divergence: Divergence = "forward"
    balance: Balance = "headroom"
    seeds: int = Field(default=3, ge=1)
    costly_seeds: int = Field(default=1, ge=1)
    """Of joint training with the compute of everything, which takes as long as all else."""
    group: int = 8
    """Replies to a prompt of reinforcement."""
    rl_rate: float = 1e-4
    talk_steps: int = Field(default=2500, ge=1)
    """Supervised steps after which the talker writes workings."""
    short_steps: int = Field(default=400, ge=1)
    """Steps of reinforcement that make its workings shorter."""
    validation: int = Field(default=60, ge=2)
    test: int = Field(default=200, ge=2)
    """Held-out prompts of a domain."""
    workers: int = Field(default=2, ge=1)

    @property
    def rows(self) -> int:
        """Answers that a distilled student learns from."""
        return self.distill_steps * self.distill_batch

    @property
    def equal_steps(self) -> int:
        """Supervised steps with as many answers as the student learns from."""
        return max(1, round(self.rows / self.batch))

    @property
    def total_steps(self) -> int:
        """Supervised steps with the compute of all experts and the student.

        A supervised token costs three passes (one forward, twice that backward), a distilled one five: the student's
        sampling, its teacher's reading, and the same three.
        """
        experts = 3 * len(self.domains) * self.expert_steps * self.batch
        return max(1, round((experts + 5 * self.rows) / (3 * self.batch)))


PLANS: dict[Size, Plan] = {
    "minute": Plan(
        domains=("vow", "api", "run"), width=64, layers=2, batch=32, base_steps=150, base_rate=4e-3, expert_steps=100,
        expert_rate=3e-3, methods=("linear", "ties"), scales=(1.0,), distill_steps=120, distill_batch=24,
        distill_rate=3e-3, seeds=1, talk_steps=30, short_steps=3, validation=20, test=60, workers=1,
    ),
    "ten-minutes": Plan(
        domains=("srt", "rev", "max", "ded", "pat", "kvp"), width=128, layers=3, batch=32, base_steps=900,
        base_rate=2e-3, expert_steps=250, expert_rate=1e-3, methods=("linear", "ties", "model-stock"),
        scales=(0.3, 1.0), distill_steps=400, distill_batch=48, distill_rate=1e-3, seeds=1, talk_steps=500,
        short_steps=60, validation=40, test=100,
    ),
    "whole": Plan(),
}  # fmt: skip
