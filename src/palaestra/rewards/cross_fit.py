"""Which ridge, and what the reward is worth on prompts that it has not seen.

Prompts are divided into folds. A ridge is chosen by the log loss on held-out folds; what a fold is scored with was
trained, its ridge chosen too, without it (nested cross-validation: Stone, 1974; Varma and Simon, 2006). Folds i and j
are left out together once, for both. Only preferences are held out: scaling and directions of the features know
all replies, and no ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from palaestra.errors import InputError
from palaestra.rewards.comparisons import Floats, Integers
from palaestra.rewards.config import RIDGES
from palaestra.rewards.head import Design, Fit, fit_path
from palaestra.rewards.likelihood import Likelihood

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CrossFit:
    """The chosen ridge, and rewards of all replies by models that have not seen their prompt.

    `reward_N` is the score as it will be given, `whole_N` with all of style, `bare_N` with none, `style_N` that of
    style alone; `shape_Q` is the shape of the likelihood by which each preference's `reward_N` is read.
    """

    ridge: float
    loss_R: Floats
    """Held-out log loss of each ridge that was tried."""
    ridge_R: Floats
    fold_Q: Integers
    reward_N: Floats
    whole_N: Floats
    bare_N: Floats
    style_N: Floats
    shape_Q: Floats
    fit: Fit
    """On everything."""


def folds_of(cluster_Q: Integers, folds: int, seed: int, weight_Q: Floats | None = None) -> Integers:
    """The fold of each preference: prompts in an order of chance, dealt like cards; those without weight last.

    Args:
        cluster_Q: the prompt of each preference.
        folds: how many.
        seed: of the order.
        weight_Q: what each preference counts; one if left out.

    Raises:
        InputError: there are fewer prompts with a weight than folds.
    """
    clusters = int(cluster_Q.max()) + 1
    counts_G = np.bincount(cluster_Q, weight_Q, clusters) > 0
    if (known := int(counts_G.sum())) < folds:
        said = "" if known == clusters else " with a weight above zero"
        raise InputError(f"found {known} distinct prompts{said}, expected at least {folds}, one for each fold")
    place_G = np.random.default_rng(seed).permutation(clusters)
    if known < clusters:
        place_G = np.lexsort((place_G, ~counts_G)).argsort()
    return (place_G % folds)[cluster_Q]


def cross_fit(
    likelihood: Likelihood,
    design: Design,
    *,
    ridge: float | None,
    folds: int,
    seed: int,
    tell: Tell = lambda _done, _all: None,
) -> CrossFit:
    """Choose the ridge, measure, and fit everything.

    Args:
        likelihood: of the preferences.
        design: the columns.
        ridge: the one to take; chosen if None.
        folds: three or more.
        seed: of the folds.
        tell: is told how many paths of fits are done, of how many.

    Raises:
        InputError: there are too few prompts, or a fit has no number for a loss.
    """
    these = likelihood.comparisons
    fold_Q = folds_of(these.cluster_Q, folds, seed, these.weight_Q)
    ridges = (np.inf, *RIDGES) if ridge is None else (np.inf, ridge)
    jobs: list[tuple[int, ...]] = [(fold,) for fold in range(folds)]
    jobs += [pair for pair in combinations(range(folds), 2) if ridge is None]
    paths: dict[tuple[int, ...], list[Fit]] = {}
    for done, left in enumerate(jobs, start=1):
        weight_Q = np.where(np.isin(fold_Q, left), 0.0, these.weight_Q)
        paths[left] = fit_path(likelihood, design, ridges, weight_Q, exact=False)
        tell(done, len(jobs) + 1)
    loss_FR = np.stack([_held_out(likelihood, design, paths[fold,], fold_Q == fold) for fold in range(folds)])
    best = int(loss_FR.sum(axis=0).argmin()) if ridge is None else 1
    chosen_F = [best if ridge is not None else _inner(likelihood, design, paths, fold_Q, fold) for fold in range(folds)]
    fit = fit_path(likelihood, design, ridges[: best + 1], these.weight_Q)[-1]
    tell(len(jobs) + 1, len(jobs) + 1)
    rewards = _out_of_fold(design, [paths[fold,] for fold in range(folds)], chosen_F, fold_Q, these.of_N)
    total = these.weight_Q.sum()
    return CrossFit(ridges[best], loss_FR.sum(axis=0) / total, np.array(ridges), fold_Q, **rewards, fit=fit)


def _held_out(likelihood: Likelihood, design: Design, fits: Sequence[Fit], these_Q: np.ndarray) -> Floats:
    """The summed log loss of these preferences under each fit."""
    weight_Q = np.where(these_Q, likelihood.comparisons.weight_Q, 0.0)
    return np.array([
        float(weight_Q @ likelihood(fit.reward(design, with_style=True), fit.shape).loss_Q) for fit in fits
    ])  # fmt: skip


def _inner(
    likelihood: Likelihood, design: Design, paths: dict[tuple[int, ...], list[Fit]], fold_Q: Integers, fold: int
) -> int:
    """The ridge that is best on the other folds, by models that have seen neither them nor this one."""
    others = (other for other in range(int(fold_Q.max()) + 1) if other != fold)
    losses = [
        _held_out(likelihood, design, paths[min(fold, other), max(fold, other)], fold_Q == other) for other in others
    ]
    return int(np.sum(losses, axis=0).argmin())


def _out_of_fold(
    design: Design, paths: Sequence[Sequence[Fit]], chosen_F: Sequence[int], fold_Q: Integers, of_N: Integers
) -> dict[str, Floats]:
    fold_N = fold_Q[of_N]
    ways: dict[str, bool | None] = {"reward_N": None, "whole_N": True, "bare_N": False}
    found = {name: np.zeros(len(of_N)) for name in (*ways, "style_N")}
    shape_Q = np.zeros(len(fold_Q))
    for fold, (fits, chosen) in enumerate(zip(paths, chosen_F, strict=True)):
        here = fold_N == fold
        for name, way in ways.items():
            found[name][here] = fits[chosen].reward(design, with_style=way)[here]
        found["style_N"][here] = fits[0].reward(design, with_style=True)[here]
        shape_Q[fold_Q == fold] = fits[chosen].shape
    return {**found, "shape_Q": shape_Q}
