"""Accuracy against tokens: what several models, or one under several penalties, reach with how many tokens.

    accuracy             share of right replies                         Wilson's interval, by prompt
    tokens               mean of a reply                                by prompt
    tokens per right one sum of tokens / right replies                  jackknife over prompts
    on the frontier      nobody is at least as accurate with as few tokens, and better in one of both
    area                 of the steps "best accuracy with at most t tokens", from 0 to the largest mean, divided by it

Intervals of the area, and of each model against the first, come from resampled prompts, the same for all models: all
have answered the same ones. A single point says little about efficiency; a model that is shorter and worse has moved
along the frontier, and not beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from palaestra.errors import InputError
from palaestra.posttrain.answering import Answered
from palaestra.stats import clustered
from palaestra.stats.clustered import Estimate

Floats = NDArray[np.float64]

_ROUNDS = 1000


class Figure(BaseModel):
    """A number and its interval; none (None) where nothing can be said."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    lower: float | None = None
    upper: float | None = None

    def words(self, digits: int = 1, scale: float = 1.0, unit: str = "") -> str:
        """As `62.1 % (60.0 to 64.2)`."""
        if self.value is None:
            return "none"
        text = f"{scale * self.value:.{digits}f}{unit}"
        if self.lower is None or self.upper is None:
            return text
        return f"{text} ({scale * self.lower:.{digits}f} to {scale * self.upper:.{digits}f})"


class Point(BaseModel):
    """A model on the plane."""

    model_config = ConfigDict(frozen=True)

    name: str
    replies: int
    accuracy: Figure
    tokens: Figure
    tokens_per_right: Figure
    fewer: Figure
    """How many times fewer tokens than the first."""
    accuracy_gain: Figure
    """Against the first."""
    on_frontier: bool


class Frontier(BaseModel):
    """All models, and what they make together."""

    model_config = ConfigDict(frozen=True)

    points: tuple[Point, ...]
    area: Figure
    prompts: int
    confidence: float
    domains: dict[str, tuple[Point, ...]] = {}


def frontier(
    answered: Mapping[str, Sequence[Answered]], *, confidence: float = 0.95, seed: int = 0, domains: bool = True
) -> Frontier:
    """The figures.

    Args:
        answered: what each model replied, by its name; the first is what others are held against.
        confidence: of intervals.
        seed: of resampling.
        domains: whether each domain gets its points too.

    Raises:
        InputError: there is no model, or they have not answered the same prompts.
    """
    sums = {name: _sums(rows) for name, rows in answered.items()}
    _check(sums)
    prompts = sorted(next(iter(sums.values())))
    counts_MPK = np.array([[each[prompt] for prompt in prompts] for each in sums.values()], dtype=float)
    rng = np.random.default_rng(seed)
    draws_RP = rng.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), size=_ROUNDS)
    total_RMK = np.einsum("rp,mpk->rmk", draws_RP, counts_MPK)
    ends = (0.5 - confidence / 2, 0.5 + confidence / 2)
    whole_MK = counts_MPK.sum(axis=1)
    accuracy_M, tokens_M = whole_MK[:, 1] / whole_MK[:, 0], whole_MK[:, 2] / whole_MK[:, 0]
    accuracy_RM, tokens_RM = total_RMK[..., 1] / total_RMK[..., 0], total_RMK[..., 2] / total_RMK[..., 0]
    on_M = best_of(accuracy_M, tokens_M)
    points = tuple(
        Point(
            name=name,
            replies=int(whole_MK[place, 0]),
            accuracy=_figure(_share(counts_MPK[place], confidence)),
            tokens=_figure(_ratio(counts_MPK[place], 2, 0, confidence)),
            tokens_per_right=_per_right(counts_MPK[place], confidence),
            fewer=_drawn(tokens_M[0] / tokens_M[place], tokens_RM[:, 0] / tokens_RM[:, place], ends),
            accuracy_gain=_drawn(accuracy_M[place] - accuracy_M[0], accuracy_RM[:, place] - accuracy_RM[:, 0], ends),
            on_frontier=bool(on_M[place]),
        )
        for place, name in enumerate(sums)
    )
    longest = float(tokens_M.max())
    areas_R = np.array([area(a, t, longest) for a, t in zip(accuracy_RM, tokens_RM, strict=True)])
    whole = _drawn(area(accuracy_M, tokens_M, longest), areas_R, ends)
    parts = _by_domain(answered, confidence, seed) if domains else {}
    return Frontier(points=points, area=whole, prompts=len(prompts), confidence=confidence, domains=parts)


def best_of(accuracy_M: Floats, tokens_M: Floats) -> NDArray[np.bool_]:
    """Which models no other one beats: as accurate with as few tokens, and better in one of both. Shape (M,)."""
    as_good_MM = (accuracy_M[None] >= accuracy_M[:, None]) & (tokens_M[None] <= tokens_M[:, None])
    better_MM = (accuracy_M[None] > accuracy_M[:, None]) | (tokens_M[None] < tokens_M[:, None])
    return np.logical_not((as_good_MM & better_MM).any(axis=1))


def area(accuracy_M: Floats, tokens_M: Floats, longest: float) -> float:
    """The mean over budgets from 0 to `longest` tokens of the best accuracy that a model reaches within the budget."""
    order = np.argsort(tokens_M, kind="stable")
    steps = np.append(np.minimum(tokens_M[order], longest), longest)
    return float((np.maximum.accumulate(accuracy_M[order]) * np.diff(steps)).sum() / longest)


def _sums(rows: Sequence[Answered]) -> dict[str, tuple[float, float, float]]:
    """Replies, right ones and tokens of each prompt."""
    found: dict[str, tuple[float, float, float]] = {}
    for row in rows:
        count, right, tokens = found.get(row.id, (0.0, 0.0, 0.0))
        found[row.id] = (count + 1, right + row.right, tokens + row.tokens)
    return found


def _check(sums: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> None:
    if not sums or not all(sums.values()):
        raise InputError("found a model without answers, expected answers of at least one")
    first = next(iter(sums))
    for name, found in sums.items():
        if found.keys() != sums[first].keys():
            other = min(found.keys() ^ sums[first].keys())
            raise InputError(
                f"found answers of {first} and {name} to other prompts ({other!r} is in one only), expected the "
                "same ones"
            )


def _share(counts_PK: Floats, confidence: float) -> Estimate:
    """Of right replies; where there is one reply to each prompt, Wilson's interval."""
    if (counts_PK[:, 0] == 1).all():
        return clustered.share(counts_PK[:, 1], np.arange(len(counts_PK)), confidence)
    return _ratio(counts_PK, 1, 0, confidence)


def _ratio(counts_PK: Floats, over: int, under: int, confidence: float) -> Estimate:
    rows = int(counts_PK[:, 0].sum())
    return clustered.jackknife(counts_PK, lambda sums: sums[:, over] / sums[:, under], rows, confidence)


def _per_right(counts_PK: Floats, confidence: float) -> Figure:
    """None where no reply is right; without an interval where all right ones belong to one prompt."""
    behind = int((counts_PK[:, 1] > 0).sum())
    if not behind:
        return Figure(value=None)
    if behind == 1:
        return Figure(value=float(counts_PK[:, 2].sum() / counts_PK[:, 1].sum()))
    return _figure(_ratio(counts_PK, 2, 1, confidence))


def _figure(found: Estimate) -> Figure:
    return Figure(value=found.value, lower=found.lower, upper=found.upper)


def _drawn(value: float, values_R: Floats, ends: tuple[float, float]) -> Figure:
    lower, upper = np.quantile(values_R, ends)
    return Figure(value=float(value), lower=float(lower), upper=float(upper))


def _by_domain(
    answered: Mapping[str, Sequence[Answered]], confidence: float, seed: int
) -> dict[str, tuple[Point, ...]]:
    names = sorted({row.domain for rows in answered.values() for row in rows})
    if len(names) < 2:  # noqa: PLR2004 - the whole again
        return {}
    return {
        name: frontier(
            {model: [row for row in rows if row.domain == name] for model, rows in answered.items()},
            confidence=confidence, seed=seed, domains=False,
        ).points
        for name in names
    }  # fmt: skip
