"""The share of the experts' headroom over the base that one model keeps, with intervals over prompts and seeds.

    kept_d = (student_d - base_d) / (expert_d - base_d)          the mean over domains; each domain counts the same

Only domains in which the expert is better than the base by at least five points count: below that the share is a
quotient of noise, and such domains are named. Intervals: prompts are drawn anew within each domain, the same ones for
base, expert and student, and seeds are drawn anew among those that were run (bootstrap, percentiles).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.recipes.experts_to_generalist.grades import Right

LEAST = 0.05
"""Headroom below which a domain does not count."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A share with its interval, and the same by domain."""

    value: float
    lower: float
    upper: float
    by_domain: dict[str, float]
    worst: str
    left_out: tuple[str, ...]
    """Domains without headroom."""


def kept(base: Right, experts: Right, students: Sequence[Right], *, seed: int = 0, rounds: int = 2000) -> Kept:
    """What students of several seeds keep.

    Args:
        base: before.
        experts: of each domain its own expert.
        students: one of each seed.
        seed: of the bootstrap.
        rounds: of it.

    Raises:
        InputError: no expert is better than the base.
    """
    names = [name for name in experts.right if experts.right[name].mean() - base.right[name].mean() >= LEAST]
    if not names:
        raise InputError("found no domain whose expert is better than the base by five points, expected some")
    chance = np.random.default_rng(seed)
    seed_RS = chance.integers(len(students), size=(rounds, len(students)))
    share_RD = np.column_stack([_drawn(name, base, experts, students, seed_RS, chance) for name in names])
    by_domain = {name: _share(name, base, experts, students) for name in names}
    low, high = np.percentile(share_RD.mean(axis=1), [2.5, 97.5])
    return Kept(
        float(np.mean(list(by_domain.values()))), float(low), float(high), by_domain,
        min(by_domain, key=by_domain.__getitem__), tuple(sorted(set(experts.right) - set(names))),
    )  # fmt: skip


def mean_interval(models: Sequence[Right], *, seed: int = 0, rounds: int = 2000) -> tuple[float, float, float]:
    """The mean accuracy over domains and seeds, with its interval over prompts and seeds."""
    chance = np.random.default_rng(seed)
    seed_RS = chance.integers(len(models), size=(rounds, len(models)))
    parts = []
    for name in models[0].right:
        right_SP = np.array([model.right[name] for model in models])
        prompt_RP = chance.integers(right_SP.shape[1], size=(rounds, right_SP.shape[1]))
        drawn_RS = np.stack([right_SP[s][prompt_RP].mean(axis=1) for s in range(len(models))], axis=1)
        parts.append(np.take_along_axis(drawn_RS, seed_RS, axis=1).mean(axis=1))
    low, high = np.percentile(np.mean(parts, axis=0), [2.5, 97.5])
    return float(np.mean([model.mean for model in models])), float(low), float(high)


def _share(name: str, base: Right, experts: Right, students: Sequence[Right]) -> float:
    before = float(base.right[name].mean())
    after = float(np.mean([student.right[name].mean() for student in students]))
    return (after - before) / (float(experts.right[name].mean()) - before)


def _drawn(  # noqa: PLR0917 - what a domain's share is made of
    name: str,
    base: Right,
    experts: Right,
    students: Sequence[Right],
    seed_RS: NDArray[np.int64],
    chance: np.random.Generator,
) -> NDArray[np.float64]:
    """The domain's share on prompts and seeds that are drawn anew, (R,)."""
    own_P, expert_P = base.right[name], experts.right[name]
    prompt_RP = chance.integers(len(own_P), size=(len(seed_RS), len(own_P)))
    before_R, best_R = own_P[prompt_RP].mean(axis=1), expert_P[prompt_RP].mean(axis=1)
    after_RS = np.stack([student.right[name][prompt_RP].mean(axis=1) for student in students], axis=1)
    after_R = np.take_along_axis(after_RS, seed_RS, axis=1).mean(axis=1)
    return (after_R - before_R) / np.maximum(best_R - before_R, LEAST / 2)


def headrooms(base: Right, experts: Right) -> Mapping[str, float]:
    """How much better each expert is than the base."""
    return {name: float(experts.right[name].mean() - base.right[name].mean()) for name in experts.right}
