"""Who meets whom: a pair drawn at random, with the probability of drawing it, and the sides tossed separately.

Even over the unordered pairs of the models that are in service, or by a plan that is handed in: a callable which gives
each of these pairs a probability, e.g. by what the next vote would teach. A model whose last calls all failed is rested
for a while, so that a dead endpoint does not spoil every second battle; the probability that is stored is the one over
the models that were in service at that moment. It keeps estimates from unevenly drawn pairs unbiased.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from palaestra.errors import InputError
from palaestra.store.entries import Pairing

Plan = Callable[[Sequence[str]], Mapping[tuple[str, str], float]]
"""The probability of each unordered pair of some models, adding up to one."""

_FAILURES_TO_REST = 3
_REST_S = 60.0


class Matchmaker:
    """Draws pairs, and rests the models that keep failing.

    Args:
        models: the names enrolled; at least two.
        seed: for a reproducible sequence of pairs; None draws from the operating system.
        plan: how pairs are drawn; evenly if None.
        clock: seconds, monotonic.

    Raises:
        InputError: fewer than two models are enrolled.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        seed: int | None = None,
        plan: Plan | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if len(models) < 2:  # noqa: PLR2004 - a pair is two
            raise InputError(
                f"found {len(models)} model, an arena needs at least two; add a [[model]] table to models.toml"
            )
        self.models = tuple(models)
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - asked for by the seed
        self._plan = plan
        self._clock = clock
        self._failures: Counter[str] = Counter()
        self._rested_until: dict[str, float] = {}

    def in_service(self) -> list[str]:
        """The models that may be drawn now."""
        now = self._clock()
        return [model for model in self.models if self._rested_until.get(model, 0.0) <= now]

    def draw(self) -> Pairing | None:
        """A pair and its propensity, or None while fewer than two models are in service."""
        models = self.in_service()
        pairs = list(combinations(models, 2))
        if not pairs:
            return None
        if self._plan is None:
            (model_a, model_b), propensity, method = self._random.choice(pairs), 1 / len(pairs), "uniform"
        else:
            planned = self._plan(models)
            (model_a, model_b) = self._random.choices(list(planned), list(planned.values()))[0]
            propensity, method = planned[model_a, model_b], "active"
        if self._random.random() < 0.5:  # noqa: PLR2004 - a fair coin
            model_a, model_b = model_b, model_a
        return Pairing(model_a, model_b, propensity, method)

    def report(self, model: str, *, answered: bool) -> None:
        """Take note of how a call went."""
        if answered:
            self._failures[model] = 0
            return
        self._failures[model] += 1
        if self._failures[model] >= _FAILURES_TO_REST:
            self._rested_until[model] = self._clock() + _REST_S
