"""Weights of a merge chosen by a validation score, with CMA-ES (Hansen and Ostermeier, 2001) from the package `cma`.

Searched are all weights of a recipe (a domain's where domains have them, each number of a list), and lambda where the
weights' sum divides and so only their ratio counts. The recipe as it stands is the first point. Then generation after
generation is drawn from a normal law that moves towards what scored well and takes its shape.

What was evaluated is told to the caller point by point, and handed in again it is not paid twice: chance comes from the
seed alone, so the same scores lead to the same points. A score that is no number counts as the worst there was.

Not here: the score. It is any function of a merged folder, higher is better. Choosing flatters: what the chosen merge
is worth must be measured on other examples (`gate.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError, MissingPartError
from palaestra.posttrain.merging.recipe import DIVIDES, SCALES, MergeRecipe, Weight, recipe_of

Point = tuple[float, ...]
Score = Callable[[MergeRecipe], float]
Note = Callable[[int, Point, float], None]

_SPREAD = 0.5
"""The first generation's standard deviation, as a share of the mean weight."""
_ABOVE = 3.0
"""How many times the largest weight at the start a weight may grow to."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ended with."""

    recipe: MergeRecipe
    """The best, the start among them."""
    score: float
    start: float
    """The score of the recipe as it stood."""
    names: tuple[str, ...]
    points: tuple[tuple[Point, float], ...]
    """All that were evaluated, in their order."""


def searched(recipe: MergeRecipe) -> tuple[str, ...]:
    """The names of the numbers that a search of this recipe varies.

    Raises:
        InputError: there are none.
    """
    return _Space.of(recipe).names


def search(
    recipe: MergeRecipe,
    score: Score,
    budget: int,
    *,
    known: Sequence[tuple[Point, float]] = (),
    note: Note = lambda _number, _point, _score: None,
) -> Found:
    """Search.

    Args:
        recipe: where it begins; its seed is that of chance.
        score: of a recipe, higher is better.
        budget: evaluations in all, the start and known ones among them.
        known: points and scores of an earlier, killed search, in their order.
        note: is told each point that was evaluated now, with its number from 0.

    Raises:
        InputError: there is nothing to search, the budget is no number of evaluations, or what is known is of another
            search, or no score is a number.
        MissingPartError: the extra `train` is not installed.
    """
    space = _Space.of(recipe)
    if budget < 1:
        raise InputError(f"found a budget of {budget} evaluations, expected at least 1")
    paid = _Paid(space, score, known, note)
    start = paid(space.start)
    strategy = _strategy(space, recipe.seed)
    while len(paid.points) < budget and not strategy.stop():
        drawn = strategy.ask()
        left = drawn[: budget - len(paid.points)]
        scores = [paid(space.point(one)) for one in left]
        if len(left) < len(drawn):
            break
        strategy.tell(drawn, _losses(scores))
    point, best = max(paid.points, key=lambda pair: pair[1] if math.isfinite(pair[1]) else -math.inf)
    if not math.isfinite(best):
        raise InputError(f"found no merge with a score that is a number among {len(paid.points)}, expected one")
    return Found(space.recipe(point), best, start, space.names, tuple(paid.points))


class _Paid:
    """Scores of points in the order in which they are asked for; those that are known are not evaluated."""

    def __init__(self, space: _Space, score: Score, known: Sequence[tuple[Point, float]], note: Note) -> None:
        self.space, self.score, self.known, self.note = space, score, list(known), note
        self.points: list[tuple[Point, float]] = []

    def __call__(self, point: Point) -> float:
        number = len(self.points)
        if number < len(self.known):
            before, found = self.known[number]
            if before != point:
                raise InputError(
                    f"found the point {before} as number {number} of an earlier search, expected {point}; it was "
                    "another search, or another version of cma: begin anew with --overwrite"
                )
        else:
            found = float(self.score(self.space.recipe(point)))
            self.note(number, point, found)
        self.points.append((point, found))
        return found


@dataclass(frozen=True, slots=True)
class _Space:
    """The numbers of a recipe that are searched."""

    told: Mapping[str, Any]
    names: tuple[str, ...]
    start: Point

    @classmethod
    def of(cls, recipe: MergeRecipe) -> _Space:
        if recipe.method == "model-stock":
            raise InputError("found model-stock, which finds its own weights, expected a method with weights to search")
        names: list[str] = []
        start: list[float] = []
        default = 0.5 if recipe.arc else 1 / len(recipe.experts)
        told = recipe.model_dump(by_alias=True)
        if recipe.domains:
            names, start = [f"domains.{name}" for name in recipe.domains], list(recipe.domains.values())
        else:
            for number, one in enumerate(recipe.experts):
                for place, value in enumerate(_numbers(default if one.weight is None else one.weight)):
                    names.append(f"expert.{number}.{place}")
                    start.append(value)
        if recipe.divides and recipe.method in SCALES & DIVIDES:
            names.append("lambda")
            start.append(recipe.factor)
        return cls(told, tuple(names), tuple(start))

    @property
    def unit(self) -> NDArray[np.float64]:
        """What each number is measured in: the mean size of the weights; lambda in its own."""
        sizes = np.abs(np.array(self.start))
        lambdas = np.array([name == "lambda" for name in self.names])
        weights = sizes[~lambdas].mean() or 1.0
        return np.where(lambdas, np.maximum(sizes, 0.1), weights)

    def point(self, drawn: NDArray[np.float64]) -> Point:
        """What CMA-ES draws, in the recipe's numbers."""
        return tuple(float(value) for value in drawn[: len(self.start)] * self.unit)

    def recipe(self, point: Point) -> MergeRecipe:
        """The recipe with these numbers."""
        value = dict(zip(self.names, point, strict=True))
        told = dict(self.told)
        if "lambda" in value:
            told["lambda"] = value["lambda"]
        if told["domains"]:
            told["domains"] = {name: value[f"domains.{name}"] for name in told["domains"]}
            return recipe_of(told)
        told["expert"] = [
            one | {"weight": _weight(one["weight"], value, number)} for number, one in enumerate(told["expert"])
        ]
        return recipe_of(told)


def _weight(before: Weight | None, value: Mapping[str, float], number: int) -> Weight:
    found = tuple(value[f"expert.{number}.{place}"] for place in range(len(_numbers(before or 0.0))))
    return found if isinstance(before, tuple) else found[0]


def _numbers(weight: Weight) -> tuple[float, ...]:
    return weight if isinstance(weight, tuple) else (float(weight),)


def _strategy(space: _Space, seed: int) -> Any:  # noqa: ANN401 - of cma
    """CMA-ES around the start, in units of the weights; a single number gets a second one that means nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses a library for plots
            import cma
    except ImportError as error:
        raise MissingPartError(f"a search needs {error.name}: pip install 'palaestra[train]'") from error
    start = list(np.array(space.start) / space.unit)
    start += [1.0] * (len(start) == 1)
    chance = np.random.default_rng(seed)
    options = {
        "seed": math.nan,
        "randn": lambda *shape: chance.standard_normal(shape),
        "bounds": [min(0.0, *start), _ABOVE * max(1.0, *start)],
        "verbose": -9,
        "verb_log": 0,
        "verb_disp": 0,
    }
    return cma.CMAEvolutionStrategy(start, _SPREAD, options)


def _losses(scores: Sequence[float]) -> list[float]:
    """What CMA-ES makes small; a score that is no number is as bad as the worst."""
    finite = [score for score in scores if math.isfinite(score)]
    worst = min(finite, default=0.0)
    return [-score if math.isfinite(score) else -worst for score in scores]
