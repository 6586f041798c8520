"""How many prompts of each domain a step takes, and which: balance between domains, and domains that are done.

Every step takes the same number of prompts. Each domain has a weight, and gets its share to within one prompt over any
run of steps (largest remainders, carried on). Within a domain prompts come in a shuffled order, again and again, each
round in an order of its own. Weights are

    equal      the same for all
    share      as many prompts as each domain has
    headroom   what is still to be gained, smoothed: (expert - student) / (expert - start) on held-out prompts, and
               never less than a floor, so that what is learnt is not forgotten

A domain that has converged keeps the floor. Not here: what a step does with its prompts (`distill_trainer.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from palaestra.errors import InputError

Balance = Literal["equal", "share", "headroom"]

FLOOR = 0.25
"""A domain without headroom keeps this share of an equal weight."""
_ARRIVED = 0.05
"""The share of an expert's gain that may be missing where a domain has arrived."""
_SMOOTHING = 0.5
"""What a new measurement counts against the ones before."""


class Schedule:
    """Which prompts each step takes.

    Args:
        domains: the domain of each prompt.
        batch: prompts of a step.
        weights: by domain; all equal if left out.
        seed: of the order within domains.

    Raises:
        InputError: a weight is negative, or all are zero, or one is of a domain that has no prompt.
    """

    def __init__(
        self, domains: Sequence[str], batch: int, *, weights: Mapping[str, float] | None = None, seed: int = 0
    ) -> None:
        self.names = tuple(sorted(set(domains)))
        self._prompts = {
            name: [number for number, domain in enumerate(domains) if domain == name] for name in self.names
        }
        self._batch, self._seed = batch, seed
        self._owed = dict.fromkeys(self.names, 0.0)
        self._taken = dict.fromkeys(self.names, 0)
        self._orders: dict[tuple[str, int], list[int]] = {}
        self.weights: dict[str, float] = {}
        self.reweigh(weights or dict.fromkeys(self.names, 1.0))

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Take other weights from the next step on; a domain that is not named gets none."""
        if unknown := sorted(set(weights) - set(self.names)):
            raise InputError(f"found a weight of {', '.join(unknown)}, expected domains among {', '.join(self.names)}")
        total = sum(weights.values())
        if min(weights.values()) < 0 or total <= 0:
            raise InputError(f"found the weights {dict(weights)}, expected none below 0 and one above")
        self.weights = {name: weights.get(name, 0.0) / total for name in self.names}

    def step(self) -> list[int]:
        """The numbers of the next step's prompts, domain by domain."""
        for name in self.names:
            self._owed[name] += self._batch * self.weights[name]
        counts = {name: max(0, int(self._owed[name])) for name in self.names}
        short = self._batch - sum(counts.values())
        ranked = sorted(self.names, key=lambda name: counts[name] - self._owed[name])
        for name in ranked[:short] if short >= 0 else ():
            counts[name] += 1
        for name in reversed(ranked):  # owed from before, when weights were others
            if sum(counts.values()) <= self._batch:
                break
            counts[name] -= min(counts[name], sum(counts.values()) - self._batch)
        for name in self.names:
            self._owed[name] -= counts[name]
        return [number for name in self.names for number in self._next(name, counts[name])]

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON."""
        return {"owed": dict(self._owed), "taken": dict(self._taken), "weights": dict(self.weights)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._owed = dict(state["owed"])
        self._taken = {name: int(count) for name, count in state["taken"].items()}
        self.weights = dict(state["weights"])

    def _next(self, name: str, count: int) -> list[int]:
        prompts = self._prompts[name]
        places = range(self._taken[name], self._taken[name] + count)
        self._taken[name] += count
        return [self._order(name, place // len(prompts))[place % len(prompts)] for place in places]

    def _order(self, name: str, round_: int) -> list[int]:
        if (name, round_) not in self._orders:
            self._orders.pop((name, round_ - 2), None)
            chance = np.random.default_rng((self._seed, round_, *name.encode()))
            self._orders[name, round_] = chance.permutation(self._prompts[name]).tolist()
        return self._orders[name, round_]


class Headroom:
    """What each domain still has to gain, and which have converged.

    Args:
        experts: the score of each domain's expert on held-out prompts.
        start: the student's own before it began; of these domains at least.
        patience: looks without a new best after which a domain that had gained something stands still.
    """

    def __init__(self, experts: Mapping[str, float], start: Mapping[str, float], patience: int = 3) -> None:
        self._experts, self._patience = dict(experts), patience
        self._start = {name: start[name] for name in experts}
        self._smoothed = dict.fromkeys(experts, 1.0)
        self._last = dict.fromkeys(experts, (1.0, 1.0))
        self._best = dict(self._start)
        self._since = dict.fromkeys(experts, 0)

    def kept(self, scores: Mapping[str, float]) -> dict[str, float]:
        """The share of each expert's gain over the start that these scores keep; 1 where the expert gained nothing."""
        return {
            name: (scores[name] - self._start[name]) / gain if (gain := expert - self._start[name]) > 0 else 1.0
            for name, expert in self._experts.items()
        }

    def measured(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Take a measurement; the weights of domains from now on."""
        for name, share in self.kept(scores).items():
            left = min(1.0, max(0.0, 1.0 - share))
            self._smoothed[name] += _SMOOTHING * (left - self._smoothed[name])
            self._last[name] = (self._last[name][1], left)
            better = scores[name] > self._best[name]
            self._best[name] = max(self._best[name], scores[name])
            gained = self._best[name] > self._start[name]
            self._since[name] = self._since[name] + 1 if gained and not better else 0
        equal = sum(self._smoothed.values()) / len(self._smoothed) or 1.0
        return {
            name: max(FLOOR, 0.0 if name in self.converged else left / equal) for name, left in self._smoothed.items()
        }

    @property
    def converged(self) -> frozenset[str]:
        """Domains that arrived (two looks in a row with nearly nothing left), or gained and then stood still."""
        return frozenset(
            name
            for name in self._experts
            if sum(self._last[name]) <= 2 * _ARRIVED or self._since[name] >= self._patience
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON."""
        return {
            "smoothed": self._smoothed, "best": self._best, "since": self._since, "start": self._start,
            "last": self._last,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._smoothed, self._best, self._start = (dict(state[name]) for name in ("smoothed", "best", "start"))
        self._since = {name: int(count) for name, count in state["since"].items()}
        self._last = {name: (float(pair[0]), float(pair[1])) for name, pair in state["last"].items()}
