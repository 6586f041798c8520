"""The whole experiment: runs are made, a law is fitted, its best mixture is run and held against what was foretold.

    1. design.py    which mixtures, within a budget of tokens
    2. trials.py    each one a small run
    3. law.py       from mixture to score; spread.py says how sure
    4. best.py, effects.py   what is best, what each domain does
    5. trials.py    the predicted best with several seeds

DoReMi (Xie et al., 2023) moves the weights within one run, by how much worse it is than a reference. Here runs are
apart: they can go side by side, and what is said of a mixture has an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.posttrain.mixture.best import Best, Goal, Target, best_mixture, target_of
from palaestra.posttrain.mixture.checks import Checks, checks
from palaestra.posttrain.mixture.design import Corner, Design, best_runs, design
from palaestra.posttrain.mixture.effects import Effects, effects
from palaestra.posttrain.mixture.law import Law, Measure, Runs, fit_laws
from palaestra.posttrain.mixture.simplex import Bounds
from palaestra.posttrain.mixture.spread import noise_floor, refits
from palaestra.posttrain.mixture.trials import Ended, Journal, Trial, make_runs

Tell = Callable[[str, int, int], None]
"""Is told the stage, how many of its runs have ended, of how many."""


class MixtureConfig(BaseModel):
    """What is tried, and what for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget_tokens: int = Field(ge=1)
    """Of all runs together, those of the predicted best included."""
    runs: int = Field(default=24, ge=4)
    """Before the predicted best."""
    centre: int = Field(default=3, ge=2)
    """Seeds at the centre, which say how much is chance."""
    confirm: int = Field(default=3, ge=0)
    """Seeds of the predicted best."""
    corner: Corner = "alone"
    """Whether each domain is tried by itself, or doubled."""
    levels: tuple[float, ...] = (1.0,)
    """Sizes of runs, as shares of a whole one; the law then has a power of the tokens."""
    measure: Measure = "loss"
    """Whether trials give losses or scores."""
    target: Goal = "mean"
    """What is to be good: the mean over scored domains, or the worst."""
    target_weights: dict[str, float] = Field(default_factory=dict)
    """Of the mean, by scored domain; all alike if empty."""
    least: dict[str, float] = Field(default_factory=dict)
    """The least weight of a domain, by name; `*` is all others."""
    most: dict[str, float] = Field(default_factory=dict)
    """The most weight of a domain, likewise."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    rounds: int = Field(default=400, ge=50)
    """Refits."""
    seed: int = 0

    def design(self, domains: Sequence[str]) -> Design:
        """The runs that are made first."""
        return design(
            domains, runs=self.runs, budget_tokens=self.budget_tokens, centre=self.centre, confirm=self.confirm,
            corner=self.corner, levels=self.levels, seed=self.seed,
        )  # fmt: skip

    def bounds(self, domains: Sequence[str]) -> Bounds:
        """The bounds of the best mixture.

        Raises:
            InputError: a bound is of no domain, or no mixture is within them.
        """
        if unknown := sorted({*self.least, *self.most} - {*domains, "*"}):
            raise InputError(f"found bounds of {', '.join(unknown)}; expected domains among {', '.join(domains)}, or *")
        return Bounds(_named(self.least, domains, 0.0), _named(self.most, domains, 1.0))


@dataclass(frozen=True, slots=True)
class Mixture:
    """What was found."""

    config: MixtureConfig
    plan: Design
    runs: Runs
    """Those of the design that have scores."""
    laws: tuple[Law, ...]
    """The chosen one first."""
    noise_S: np.ndarray
    """How much a score changes with the seed alone."""
    target: Target
    best: Best
    effects: Effects
    checks: Checks
    failed: tuple[Ended, ...]


def run_mixture(
    trial: Trial,
    domains: Sequence[str],
    config: MixtureConfig,
    folder: Path,
    *,
    workers: int = 1,
    ray: bool = False,
    tell: Tell = lambda _stage, _done, _of: None,
) -> Mixture:
    """Make the experiment, or what of it is not made yet.

    Args:
        trial: from a mixture to scores.
        domains: what is mixed.
        config: what is tried, and what for.
        folder: where lines of ended runs are, there already.
        workers: runs at a time.
        ray: in tasks of Ray.
        tell: of progress.

    Raises:
        InputError: the config does not go with the domains, or too few runs came to scores; says why the first did not.
        MissingPartError: Ray is asked for and not installed.
    """
    plan = config.design(domains)
    bounds = config.bounds(plan.domains)
    journal = Journal(folder)
    ended = make_runs(
        plan.runs, trial, journal, workers=workers, ray=ray, tell=lambda done, of: tell("small runs", done, of)
    )
    runs = measured(plan.domains, ended)
    target = target_of(config.measure, config.target, config.target_weights, runs.scored)
    laws = fit_laws(runs, config.measure)
    rounds = refits(laws[0], runs, rounds=config.rounds, seed=config.seed)
    best = best_mixture(rounds, target, bounds, plan.tokens, confidence=config.confidence, seed=config.seed)
    again = best_runs(plan, best.weight_D, config.confirm, config.seed + len(plan.runs))
    confirmed = make_runs(
        again, trial, journal, workers=workers, ray=ray, tell=lambda done, of: tell("the predicted best", done, of)
    )
    return Mixture(
        config, plan, runs, laws, noise_floor(runs, runs.value_RS), target, best,
        effects(rounds, runs, config.measure, plan.tokens, confidence=config.confidence),
        checks(
            laws[0], runs, target, best, _values(confirmed, runs.scored), confidence=config.confidence, seed=config.seed
        ),
        tuple(one for one in [*ended, *confirmed] if one.outcome.scores is None),
    )  # fmt: skip


def measured(domains: Sequence[str], ended: Sequence[Ended]) -> Runs:
    """Runs with scores as arrays.

    Raises:
        InputError: none has.
    """
    good = [one for one in ended if one.outcome.scores is not None]
    if not good:
        why = ended[0].outcome.error if ended else "none was made"
        raise InputError(f"found scores of none of {len(ended)} small runs; the first: {why}")
    scored = tuple(sorted(good[0].outcome.scores or {}))
    return Runs(
        tuple(domains), scored, np.stack([one.run.weight_D(domains) for one in good]),
        np.array([float(one.run.tokens) for one in good]), _values(good, scored),
    )  # fmt: skip


def _values(ended: Sequence[Ended], scored: Sequence[str]) -> np.ndarray:
    rows = [[one.outcome.scores[name] for name in scored] for one in ended if one.outcome.scores is not None]
    return np.array(rows, dtype=np.float64).reshape(-1, len(scored))


def _named(given: Mapping[str, float], domains: Sequence[str], other: float) -> np.ndarray:
    return np.array([given.get(name, given.get("*", other)) for name in domains])
