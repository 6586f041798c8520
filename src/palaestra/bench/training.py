"""From labels to a scorer: learnt on all of them, held against each in turn, brought to the judge's scale.

Which prompts the judge labels is drawn here too: from each topic as many as its size deserves, so that no topic is left
to extrapolation, and with weights that make up for the rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.criteria import NAMES
from palaestra.bench.features import FEATURES
from palaestra.bench.scorer import FEWEST, Bools, Floats, Scorer, Weights, cuts_of, folds, learn, predicted
from palaestra.bench.validation import Validation, criterion_figures, resampling, score_figures
from palaestra.errors import InputError

FOLDS = 5


def draw_to_label(topic_P: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Places of the prompts to label: a share of each topic and of the outliers, at least one, in rising order.

    Args:
        topic_P: each prompt's topic, -1 for none.
        count: how many; all of them if there are no more.
        seed: of the draw.
    """
    if count >= len(topic_P):
        return np.arange(len(topic_P))
    topics, sizes_T = np.unique(topic_P, return_counts=True)
    rng = np.random.default_rng(seed)
    taken_T = _apportioned(sizes_T, count)
    drawn = [
        rng.choice(np.flatnonzero(topic_P == topic), size=taken, replace=False)
        for topic, taken in zip(topics, taken_T, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def stands_for(topic_P: NDArray[np.int64], labelled_L: NDArray[np.int64]) -> Floats:
    """How many prompts each labelled one stands for: those of its topic over the labelled ones of it."""
    topics, place_P = np.unique(topic_P, return_inverse=True)
    all_T = np.bincount(place_P, minlength=len(topics))
    labelled_T = np.bincount(place_P[labelled_L], minlength=len(topics))
    return (all_T / np.maximum(labelled_T, 1))[place_P[labelled_L]]


def train_scorer(
    x_PF: Floats,
    labelled_L: NDArray[np.int64],
    met_LC: Bools,
    weight_L: Floats,
    *,
    embedder: str,
    judge: str,
    seed: int,
) -> Scorer:
    """A scorer of all prompts from the labels of some.

    Args:
        x_PF: vectors and text features of all prompts.
        labelled_L: places of the labelled ones.
        met_LC: what the judge said of them.
        weight_L: how many prompts each of them stands for.
        embedder: what made the vectors.
        judge: whose labels they are.
        seed: of folds and resamples.

    Raises:
        InputError: too few labels.
        MissingPartError: the extra `bench` is not installed.
    """
    if len(labelled_L) < 2 * FEWEST * FOLDS:
        raise InputError(
            f"found {len(labelled_L)} labels that can be read, expected at least {2 * FEWEST * FOLDS} to learn from; "
            "raise --label, or look at the judge's answers"
        )
    standard, criteria = learn(x_PF[labelled_L], met_LC, seed)
    expected_P = predicted(standard, criteria, x_PF).sum(axis=1)
    counts_L = met_LC.sum(axis=1)
    return Scorer(
        embedder=embedder,
        judge=judge,
        labels=len(labelled_L),
        criteria=dict(zip(NAMES, criteria, strict=True)),
        features=FEATURES,
        mean=tuple(standard.mean_F.tolist()),
        scale=tuple(standard.scale_F.tolist()),
        cuts=cuts_of(expected_P, counts_L, weight_L),
        validation=_validated(x_PF[labelled_L], met_LC, weight_L, criteria, seed),
    )


def _validated(x_LF: Floats, met_LC: Bools, weight_L: Floats, criteria: tuple[Weights, ...], seed: int) -> Validation:
    counts_L = met_LC.sum(axis=1)
    fold_L = folds(counts_L > np.median(counts_L), FOLDS, seed)
    chance_LC = np.empty(met_LC.shape)
    for fold in range(FOLDS):
        out_L = fold_L == fold
        standard, learnt = learn(x_LF[~out_L], met_LC[~out_L], seed)
        chance_LC[out_L] = predicted(standard, learnt, x_LF[out_L])
    expected_L = chance_LC.sum(axis=1)
    equated_L = np.empty(len(x_LF))
    for fold in range(FOLDS):  # a cut made on the labels that it is held against could not be seen to be misplaced
        out_L = fold_L == fold
        cuts = cuts_of(expected_L[~out_L], counts_L[~out_L], weight_L[~out_L])
        equated_L[out_L] = np.searchsorted(np.array(cuts), expected_L[out_L], side="right")
    weight_RL = resampling(len(x_LF), seed)
    return Validation(
        prompts=len(x_LF),
        folds=FOLDS,
        criteria={
            name: criterion_figures(chance_LC[:, place], met_LC[:, place], fold_L, weight_RL, learnt=bool(one.weights))
            for place, (name, one) in enumerate(zip(NAMES, criteria, strict=True))
        },
        **score_figures(expected_L, counts_L.astype(float), equated_L, weight_RL),
    )


def _apportioned(sizes_T: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Seats by largest remainders, one at least where there are enough, and no more than a topic has."""
    least = 1 if count >= len(sizes_T) else 0
    quota_T = np.maximum(sizes_T * count / sizes_T.sum(), least)
    taken_T = np.minimum(np.floor(quota_T).astype(np.int64), sizes_T)
    while (missing := count - taken_T.sum()) != 0:
        if missing > 0:
            gain_T = np.where(taken_T < sizes_T, quota_T - taken_T, -np.inf)
            taken_T[int(gain_T.argmax())] += 1
        else:
            loss_T = np.where(taken_T > least, taken_T - quota_T, -np.inf)
            taken_T[int(loss_T.argmax())] -= 1
    return taken_T
