"""Worlds in which the law from mixture to loss is known, and trials that run in other processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palaestra.posttrain.mixture.design import Design, design
from palaestra.posttrain.mixture.law import Runs

Floats = NDArray[np.float64]
Truth = Callable[[Floats], Floats]
"""From mixtures (N, D) to losses (N, D)."""


def planted(domains: int, seed: int, *, strength: float = 1.0, floor: float = 0.0) -> Truth:
    """An exponential law: each domain helps itself most, others a little."""
    chance = np.random.default_rng(seed)
    constant_D = chance.uniform(0.0, 0.8, domains)
    slope_DD = strength * (chance.uniform(0, 0.4, (domains, domains)) + np.diag(chance.uniform(0.6, 1.2, domains)))
    return lambda weight_ND: floor + np.exp(constant_D - weight_ND @ slope_DD.T)


def plan_of(domains: int, runs: int, seed: int = 0) -> Design:
    """A design over domains d0, d1, ..."""
    return design([f"d{number}" for number in range(domains)], runs=runs, budget_tokens=10**6, seed=seed)


def noisy(plan: Design, truth: Truth, noise: float, seed: int) -> Runs:
    """What the runs of a design measure."""
    weight_RD = np.stack([run.weight_D(plan.domains) for run in plan.runs])
    tokens_R = np.array([float(run.tokens) for run in plan.runs])
    chance_RD = np.random.default_rng(seed + 1_000_003).normal(size=weight_RD.shape)
    return Runs(plan.domains, plan.domains, weight_RD, tokens_R, truth(weight_RD) * np.exp(noise * chance_RD))


@dataclass(frozen=True)
class PlantedTrial:
    """A trial that computes what a run would measure, and notes that it was asked."""

    asked: str
    """A file: a line for each time, at the start."""
    seconds: float = 0.0
    fails: str = ""
    """The domain that, by itself, makes it fail, or `all`; `kill` in place of a message ends the process."""
    how: str = "raise"

    def __call__(self, weights: Mapping[str, float], tokens: int, seed: int) -> dict[str, float]:
        """As a trainer would."""
        with Path(self.asked).open("a") as file:
            file.write(f"{seed}\n")
        time.sleep(self.seconds)
        if self.fails and (self.fails == "all" or weights[self.fails] == 1):
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "nan":
                return dict.fromkeys(weights, float("nan"))
            raise ValueError("the disk is full")
        names = sorted(weights)
        weight_D = np.array([weights[name] for name in names])
        noise_D = 0.01 * np.random.default_rng(seed).normal(size=len(names))
        loss_D = planted(len(names), 3)(weight_D[None])[0] * np.exp(noise_D) * (tokens / 1000) ** -0.1
        return dict(zip(names, loss_D.tolist(), strict=True))
