"""A local scorer: what a judge said of some hundred prompts, learnt, and foretold for all.

One logistic regression with a ridge for each criterion (Hoerl and Kennard, 1970; Le Cessie and Van Houwelingen, 1992)
on vectors and text features, both standardised. The strength of the ridge is chosen for each criterion by the log loss
in cross-validation within the training prompts. A criterion that nearly all or nearly none meet is not learnt: it has
its share, (met + 1) / (prompts + 2), for every prompt.

The sum of the seven probabilities is the expected score. It is no count: it is drawn to the middle, and hardly reaches
six where one prompt in five meets six criteria. `cuts` bring it to the judge's scale: the expected score of equal rank
(equipercentile equating, Kolen and Brennan, 2014), so that as many prompts reach k as the judge gave k.

A scorer is a JSON file: numbers, and the name of the embedder that its vectors must come from. Nothing in it is
executed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from palaestra.bench.criteria import NAMES
from palaestra.bench.features import FEATURES
from palaestra.bench.validation import Validation
from palaestra.errors import InputError, MissingPartError
from palaestra.schema.record import Record, Struct
from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 8
"""So many prompts at least must meet a criterion, and as many not, for it to be learnt."""
_RIDGES = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 1.0)
"""Values of scikit-learn's C: features have variance one, and there are hundreds."""
_INNER = 4
_SHIFT = 100.0
"""A cut beyond every expected score."""


class Weights(Struct):
    """One criterion: the chance is sigma(intercept + weights . standardised features)."""

    intercept: float
    weights: tuple[float, ...] = ()
    """Empty where the criterion was not learnt."""
    ridge: float | None = None


class Scorer(Record):
    """A trained scorer."""

    record_name = "scorer"

    embedder: str
    """What its vectors must be made by."""
    judge: str
    """Whose labels it learnt."""
    labels: int = Field(ge=1)
    criteria: dict[str, Weights]
    features: tuple[str, ...]
    """The features of the text, which stand behind the vector's."""
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    cuts: tuple[float, ...] = ()
    """Expected scores from which the score on the judge's scale is 1, 2, ... 7."""
    validation: Validation | None = None

    @model_validator(mode="after")
    def _hangs_together(self) -> Scorer:
        lengths = {
            len(self.mean),
            len(self.scale),
            *(len(one.weights) for one in self.criteria.values() if one.weights),
        }
        if tuple(self.criteria) != NAMES or self.features != FEATURES or len(lengths) != 1:
            raise ValueError("found other criteria, features or lengths than this version's, expected a scorer of it")
        if not all(scale > 0 for scale in self.scale):
            raise ValueError("found a scale that is not above zero")
        return self

    def chances(self, vectors_PD: NDArray[np.floating], features_PF: Floats) -> Floats:
        """The chance that each prompt meets each criterion, of shape (prompts, 7).

        Raises:
            InputError: the vectors have another length than those that it was trained on.
        """
        if vectors_PD.shape[1] + features_PF.shape[1] != len(self.mean):
            raise InputError(
                f"found vectors of {vectors_PD.shape[1]} numbers, the scorer has learnt from "
                f"{len(self.mean) - len(FEATURES)} ({self.embedder}); give the embedder that it was trained with"
            )
        x_PF = (np.hstack([vectors_PD, features_PF]) - np.array(self.mean)) / np.array(self.scale)
        with one_thread():
            return np.column_stack([_chance(x_PF, one) for one in self.criteria.values()])

    def equated(self, expected_P: Floats) -> Floats:
        """Expected scores on the judge's scale: whole numbers from 0 to 7."""
        return np.searchsorted(np.array(self.cuts), expected_P, side="right").astype(np.float64)


@dataclass(frozen=True, slots=True)
class Standard:
    """Features with mean zero and variance one."""

    mean_F: Floats
    scale_F: Floats

    @classmethod
    def of(cls, x_PF: Floats) -> Standard:
        """From features; one that never varies stays zero."""
        scale_F = x_PF.std(axis=0)
        return cls(x_PF.mean(axis=0), np.where(scale_F > 1e-9, scale_F, 1.0))  # noqa: PLR2004 - rounding

    def __call__(self, x_PF: Floats) -> Floats:
        """The features, standardised."""
        return (x_PF - self.mean_F) / self.scale_F


def learn(x_PF: Floats, met_PC: Bools, seed: int) -> tuple[Standard, tuple[Weights, ...]]:
    """Standardise the features, and learn each criterion.

    Args:
        x_PF: vectors and text features of the labelled prompts.
        met_PC: which criteria they meet.
        seed: of the folds within.

    Raises:
        MissingPartError: the extra `bench` is not installed.
    """
    standard = Standard.of(x_PF)
    z_PF = standard(x_PF)
    with one_thread():
        return standard, tuple(_learnt(z_PF, met_P, seed) for met_P in met_PC.T)


def predicted(standard: Standard, criteria: Sequence[Weights], x_PF: Floats) -> Floats:
    """Chances of shape (prompts, criteria)."""
    z_PF = standard(x_PF)
    with one_thread():
        return np.column_stack([_chance(z_PF, one) for one in criteria])


def cuts_of(expected_P: Floats, counts_L: NDArray[np.integer], weight_L: Floats) -> tuple[float, ...]:
    """The expected scores that as many prompts reach as the judge gave 1, 2, ... 7 criteria.

    Args:
        expected_P: expected scores of all prompts.
        counts_L: counts by the judge of the labelled prompts.
        weight_L: how many prompts each of them stands for.
    """
    sorted_P = np.sort(expected_P)[::-1]
    cuts = []
    for count in range(1, len(NAMES) + 1):
        share = weight_L[counts_L >= count].sum() / weight_L.sum()
        reached = round(float(share) * len(sorted_P))
        cuts.append(float(sorted_P[reached - 1]) if reached else float(sorted_P[0]) + _SHIFT)
    return tuple(np.maximum.accumulate(cuts).tolist())


def scorer_bytes(scorer: Scorer) -> bytes:
    """A scorer as JSON."""
    return (json.dumps(scorer.to_dict(), ensure_ascii=False) + "\n").encode()


def read_scorer(path: str | Path) -> Scorer:
    """A scorer from a file.

    Raises:
        InputError: there is no such file, or it holds no scorer of this version.
    """
    try:
        return Scorer.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        said = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ")
        raise InputError(f"{path}: {said}; expected a scorer that this version of palaestra wrote") from error
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"cannot read the scorer {path}: {error}; expected the JSON file of a trained scorer"
        ) from error


def _chance(z_PF: Floats, criterion: Weights) -> Floats:
    if not criterion.weights:
        return np.full(len(z_PF), 1 / (1 + np.exp(-criterion.intercept)))
    return 1 / (1 + np.exp(-(criterion.intercept + z_PF @ np.array(criterion.weights))))


def _learnt(z_PF: Floats, met_P: Bools, seed: int) -> Weights:
    met = int(met_P.sum())
    if min(met, len(met_P) - met) < FEWEST:
        return Weights(intercept=float(np.log((met + 1) / (len(met_P) - met + 1))))
    ridge = _best_ridge(z_PF, met_P, seed)
    fitted = _fitted(z_PF, met_P, ridge)
    return Weights(intercept=float(fitted.intercept_[0]), weights=tuple(fitted.coef_[0].tolist()), ridge=ridge)


def _best_ridge(z_PF: Floats, met_P: Bools, seed: int) -> float:
    fold_P = folds(met_P, _INNER, seed)
    losses = np.zeros(len(_RIDGES))
    for fold in range(_INNER):
        out_P = fold_P == fold
        for place, ridge in enumerate(_RIDGES):
            chance_P = _fitted(z_PF[~out_P], met_P[~out_P], ridge).predict_proba(z_PF[out_P])[:, 1]
            losses[place] -= np.log(np.where(met_P[out_P], chance_P, 1 - chance_P).clip(1e-12)).sum()
    return _RIDGES[int(losses.argmin())]


def folds(met_P: Bools, count: int, seed: int) -> NDArray[np.int64]:
    """A fold for each prompt: drawn, with as many that meet the criterion in each as there can be."""
    rng = np.random.default_rng(seed)
    fold_P = np.empty(len(met_P), dtype=np.int64)
    place = 0
    for value in (True, False):
        members = rng.permutation(np.flatnonzero(met_P == value))
        fold_P[members] = (place + np.arange(len(members))) % count
        place += len(members)
    return fold_P


def _fitted(z_PF: Floats, met_P: Bools, ridge: float):  # noqa: ANN202 - scikit-learn's own
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingPartError(f"learning a scorer needs {error.name}: pip install 'palaestra[bench]'") from error
    return LogisticRegression(C=ridge, max_iter=1000).fit(z_PF, met_P)
