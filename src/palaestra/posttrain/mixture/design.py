"""Which small runs are made: mixtures of domains, their tokens, their seeds.

    centre      all domains alike, with several seeds: how much a score changes by chance is the noise floor
    without     each domain left out once
    alone       each domain by itself, or doubled
    filling     the rest, even over the simplex (Sobol)

A block of one run a domain is made whole or not at all: `without` needs `centre + D` runs, `alone` `centre + 3 D`, so
that it never takes more than what fills the simplex. The budget counts tokens, and is that of all runs together, those
of the predicted best at the end included. Not here: how a run is made (`trials.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from palaestra.errors import InputError
from palaestra.posttrain.mixture.simplex import Floats, alone, doubled, filling, uniform, without

Kind = Literal["centre", "without", "alone", "doubled", "filling", "best"]
Corner = Literal["alone", "doubled"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to make."""

    id: str
    kind: Kind
    weights: dict[str, float]
    """By domain; they sum to one."""
    tokens: int
    seed: int

    def weight_D(self, domains: Sequence[str]) -> Floats:
        """The weights in this order."""
        return np.array([self.weights[name] for name in domains])


@dataclass(frozen=True, slots=True)
class Design:
    """The runs, and what of the usual ones is not among them."""

    domains: tuple[str, ...]
    runs: tuple[Planned, ...]
    tokens: int
    """Of a whole run, and of each of the predicted best."""
    left_out: tuple[str, ...]


def design(
    domains: Sequence[str],
    *,
    runs: int,
    budget_tokens: int,
    centre: int = 3,
    confirm: int = 3,
    corner: Corner = "alone",
    levels: Sequence[float] = (1.0,),
    seed: int = 0,
) -> Design:
    """Plan runs over a simplex of domains.

    Args:
        domains: their names, at least two; their order does not matter.
        runs: how many.
        budget_tokens: of all runs, and of those of the predicted best.
        centre: seeds at the centre.
        confirm: seeds of the predicted best, whose tokens are kept back.
        corner: what a run of mostly one domain is.
        levels: sizes of runs as shares of a whole one. The runs that fill the simplex take them in turn.
        seed: of the sequence, and the first of the runs' own.

    Raises:
        InputError: too few domains or runs, or less than one token a run.
    """
    names = tuple(sorted(set(domains)))
    if len(names) != len(domains) or len(names) < 2:  # noqa: PLR2004 - a mixture
        raise InputError(f"found the domains {', '.join(domains) or 'none'}; expected at least two, each named once")
    if centre < 2 or runs < centre + 2:  # noqa: PLR2004 - a spread
        raise InputError(
            f"found {runs} runs with {centre} at the centre; expected 2 at the centre and 2 more elsewhere"
        )
    if not levels or min(levels) <= 0 or max(levels) != 1:
        raise InputError(f"found the levels {tuple(levels)}; expected shares above 0 of which the largest is 1")
    blocks, left_out = _blocks(len(names), runs, centre, corner, seed)
    shares = _shares([kind for kind, _ in blocks], sorted(levels, reverse=True))
    whole = int(budget_tokens / (sum(shares) + confirm))
    tokens = [int(share * whole) for share in shares]
    if min(tokens) < 1:
        raise InputError(
            f"found a budget of {budget_tokens:,} tokens for {runs} runs; expected at least one token a run"
        )
    made = [
        _planned(names, kind, weight_D, count, tokens[number], seed + number)
        for number, ((kind, weight_D), count) in enumerate(zip(blocks, _counts(blocks), strict=True))
    ]
    return Design(names, tuple(made), whole, left_out)


def best_runs(plan: Design, weight_D: Floats, seeds: int, first_seed: int) -> tuple[Planned, ...]:
    """Runs of the predicted best mixture, with seeds of their own."""
    return tuple(
        _planned(plan.domains, "best", weight_D, number, plan.tokens, first_seed + number) for number in range(seeds)
    )


def _blocks(
    domains: int, runs: int, centre: int, corner: Corner, seed: int
) -> tuple[list[tuple[Kind, Floats]], tuple[str, ...]]:
    blocks: list[tuple[Kind, Floats]] = [("centre", uniform(domains))] * centre
    left_out = []
    if runs >= centre + domains:
        blocks += [("without", without(domains, one)) for one in range(domains)]
    else:
        left_out.append(f"leaving each of {domains} domains out needs {centre + domains} runs")
    if runs >= centre + 3 * domains:
        make = alone if corner == "alone" else doubled
        blocks += [(corner, make(domains, one)) for one in range(domains)]
    else:
        left_out.append(f"each of {domains} domains {corner} needs {centre + 3 * domains} runs")
    blocks += [("filling", weight_D) for weight_D in filling(domains, runs - len(blocks), seed)]
    return blocks, tuple(left_out)


def _shares(kinds: Sequence[Kind], levels: Sequence[float]) -> list[float]:
    """The size of each run: whole ones, but for those that fill, which take the levels in turn."""
    taken = 0
    shares = []
    for kind in kinds:
        shares.append(levels[taken % len(levels)] if kind == "filling" else 1.0)
        taken += kind == "filling"
    return shares


def _counts(blocks: Sequence[tuple[Kind, Floats]]) -> list[int]:
    """Each run's number within its block."""
    seen: dict[str, int] = {}
    found = []
    for kind, _ in blocks:
        found.append(seen.get(kind, 0))
        seen[kind] = found[-1] + 1
    return found


def _planned(  # noqa: PLR0917 - of two callers
    names: Sequence[str], kind: Kind, weight_D: Floats, number: int, tokens: int, seed: int
) -> Planned:
    told = names[number] if kind in {"without", "alone", "doubled"} else str(number)
    weights = {name: float(weight) for name, weight in zip(names, weight_D, strict=True)}
    return Planned(f"{kind}-{told}", kind, weights, tokens, seed)
