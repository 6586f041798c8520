"""Votes laid out for passes: rows of one pair together, turned so that the model with the lower number comes first.

A row is one vote, or, where votes of a pair and outcome cannot be told apart, all of them. Its `weight_B` enters the
likelihood, its `square_B` the sandwich's middle: n votes with importance w have n·w and n·w².
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from palaestra.stats.parts import on_threads, ranges

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]
Codes = NDArray[np.integer]

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Rows:
    """B rows of P pairs among M models, with F covariates.

    Rows `start_P[p]` to `start_P[p + 1]` belong to the pair `first_P[p] < second_P[p]`. Outcomes are 0 (first wins), 1
    (second wins), 2 (tie), 3 (both bad); `x_FB` is first minus second; `source_B` is the place of each row in the votes
    that were given, empty where rows are sums.
    """

    models: int
    first_P: Integers
    second_P: Integers
    start_P: NDArray[np.int64]
    outcome_B: NDArray[np.int8]
    weight_B: Floats
    square_B: Floats
    x_FB: Floats
    source_B: Integers

    def reweighted(self, factor_B: Floats) -> Rows:
        """The same rows, each with its likelihood times a factor."""
        return replace(self, weight_B=self.weight_B * factor_B, square_B=self.square_B * factor_B**2)

    def only(self, kept_K: Codes) -> Rows:
        """Some of the rows, whose places are given in ascending order; a pair may have none."""
        weight_B = _picked(self.weight_B, kept_K)
        return replace(
            self,
            start_P=np.searchsorted(kept_K, self.start_P),
            outcome_B=self.outcome_B[kept_K],
            weight_B=weight_B,
            square_B=weight_B if self.square_B is self.weight_B else _picked(self.square_B, kept_K),
            x_FB=np.take(self.x_FB, kept_K, axis=1),
            source_B=self.source_B[kept_K] if len(self.source_B) else self.source_B,
        )

    def scaled(self, scale_F: Floats) -> Rows:
        """The same rows with each covariate divided by a number."""
        return replace(self, x_FB=self.x_FB / scale_F[:, None])


def sorted_rows(
    models: int,
    first_B: Codes,
    second_B: Codes,
    outcome_B: Codes,
    *,
    weight_B: Floats,
    square_B: Floats,
    x_FB: Floats | None = None,
    scale_F: Floats | None = None,
) -> Rows:
    """One row a vote.

    Args:
        models: the number of models M.
        first_B: the model on side a of each vote, 0 to M - 1.
        second_B: the model on side b.
        outcome_B: 0 a wins, 1 b wins, 2 tie, 3 both bad.
        weight_B: what each vote counts in the likelihood.
        square_B: what it counts in the sandwich's middle; may be the same array.
        x_FB: covariates, side a minus side b, shape (F, B); read fastest if those of a vote lie together.
        scale_F: what each covariate is divided by.
    """
    votes = len(outcome_B)
    x_BF = np.zeros((votes, 0)) if x_FB is None else np.ascontiguousarray(x_FB.T)
    scale_F = np.ones(x_BF.shape[1]) if scale_F is None else scale_F
    source_B, sorted_B, start_K = _ordered_by_pair(models, first_B, second_B, outcome_B)
    x_sorted_FB = np.empty(x_BF.shape[::-1])
    axes = tuple(range(len(scale_F)))
    on_threads(lambda both: _gather(axes, x_BF, scale_F, *both, source_B, x_sorted_FB), ranges(votes) if axes else [])
    source_B ^= source_B >> 31
    met_P = np.flatnonzero(np.diff(start_K))
    weights_B = _picked(weight_B, source_B)
    return Rows(
        models=models,
        first_P=(met_P // models).astype(np.int32),
        second_P=(met_P % models).astype(np.int32),
        start_P=np.append(start_K[met_P], votes).astype(np.int64),
        outcome_B=sorted_B,
        weight_B=weights_B,
        square_B=weights_B if square_B is weight_B else _picked(square_B, source_B),
        x_FB=x_sorted_FB,
        source_B=source_B,
    )


def compact(values_B: Floats) -> Floats:
    """One value alone where the array repeats it without holding it again; compiled loops read that as all of them."""
    return values_B[:1].copy() if len(values_B) and values_B.strides[0] == 0 else values_B


def _picked(values_B: Floats, source_B: Codes) -> Floats:
    """The values in the new order; where all are the same they are held once."""
    values_B = compact(values_B)
    if len(values_B) and values_B.min() == values_B.max():
        return np.broadcast_to(values_B[:1], len(source_B))
    return values_B[source_B]


def _ordered_by_pair(
    models: int, first_B: Codes, second_B: Codes, outcome_B: Codes
) -> tuple[Integers, NDArray[np.int8], NDArray[np.int64]]:
    """A counting sort by pair: the places of votes, their outcomes turned, and where each pair begins.

    The place of a vote whose sides are exchanged is -1 minus its place. Parts count by themselves, and each knows from
    the counts of those before where its votes of a pair begin.
    """
    votes, pairs = len(outcome_B), models * models
    parts = ranges(votes) if pairs * len(ranges(votes)) <= votes else [(0, votes)]
    met_TK = np.zeros((len(parts), pairs), dtype=np.int64)
    tasks = [(*part, met_K) for part, met_K in zip(parts, met_TK, strict=True)]
    on_threads(lambda task: _count_pairs(first_B, second_B, models, *task), tasks)
    next_KT = np.cumsum(met_TK.T).reshape(pairs, len(parts)) - met_TK.T
    start_K = np.append(next_KT[:, 0], votes)
    source_B, sorted_B = np.empty(votes, dtype=np.int32), np.empty(votes, dtype=np.int8)
    tasks = [(*part, next_K) for part, next_K in zip(parts, np.ascontiguousarray(next_KT.T), strict=True)]
    on_threads(lambda task: _place(first_B, second_B, outcome_B, models, *task, source_B, sorted_B), tasks)
    return source_B, sorted_B, start_K


def table_rows(weight_OMM: Floats, square_OMM: Floats | None = None) -> Rows:
    """One row for each pair and outcome that occurs.

    Args:
        weight_OMM: shape (4, M, M); entry o, i, j with i < j is the weight of outcome o between i and j, 0 for a win of
            i, 1 of j. What lies on and below the diagonal is not read.
        square_OMM: the same for the sandwich's middle; left out where votes have importance one.
    """
    size = weight_OMM.shape[1]
    first, second = _above_diagonal(size)
    weight_KO = weight_OMM.reshape(4, size * size)[:, first * size + second].T
    there_KO = weight_KO > 0
    met_K = there_KO.any(axis=1)
    picked = np.flatnonzero(there_KO.reshape(-1))
    weight_B = weight_KO.reshape(-1)[picked]
    square_B = weight_B
    if square_OMM is not None:
        square_B = square_OMM.reshape(4, size * size)[:, first * size + second].T.reshape(-1)[picked]
    sizes_P = there_KO.sum(axis=1)[met_K]
    return Rows(
        models=size,
        first_P=first[met_K],
        second_P=second[met_K],
        start_P=np.concatenate([[0], np.cumsum(sizes_P)]).astype(np.int64),
        outcome_B=(picked & 3).astype(np.int8),
        weight_B=weight_B,
        square_B=square_B,
        x_FB=np.zeros((0, len(picked))),
        source_B=np.zeros(0, dtype=np.int32),
    )


@lru_cache(maxsize=8)
def _above_diagonal(size: int) -> tuple[Integers, Integers]:
    first, second = np.triu_indices(size, 1)
    return first.astype(np.int32), second.astype(np.int32)


@njit(cache=True, nogil=True)
def _count_pairs(first_B: Any, second_B: Any, models: int, low: int, high: int, met_K: Any) -> None:
    for r in range(low, high):
        i, j = np.int64(first_B[r]), np.int64(second_B[r])
        met_K[min(i, j) * models + max(i, j)] += 1


@njit(cache=True, nogil=True)
def _place(
    first_B: Any, second_B: Any, outcome_B: Any, models: int, low: int, high: int, next_K: Any, source_B: Any,
    sorted_B: Any,
) -> None:  # fmt: skip
    for r in range(low, high):
        i, j, outcome = np.int64(first_B[r]), np.int64(second_B[r]), outcome_B[r]
        k = min(i, j) * models + max(i, j)
        place = next_K[k]
        next_K[k] = place + 1
        source_B[place] = r if i < j else -1 - r
        sorted_B[place] = outcome if i < j or outcome > 1 else 1 - outcome


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(axes: Any, x_BF: Any, scale_F: Any, low: int, high: int, source_B: Any, x_FB: Any) -> None:
    """Covariates in the new order, their sign exchanged with the sides.

    `axes` is a tuple with one entry a covariate: its length is known when this is compiled, so that those of a vote are
    fetched without a loop.
    """
    fetched, sign = np.empty((_BLOCK, len(axes))), np.empty(_BLOCK)
    for at in range(low, high, _BLOCK):
        n = min(_BLOCK, high - at)
        for r in range(n):
            turned = source_B[at + r] >> 31  # -1 or 0: what cannot be foretold should be no branch
            source, sign[r] = source_B[at + r] ^ turned, 1 + 2 * turned
            for f in range(len(axes)):
                fetched[r, f] = x_BF[source, f]
        for f in range(len(axes)):
            out, scale = x_FB[f, at : at + n], scale_F[f]
            for r in range(n):
                out[r] = fetched[r, f] * sign[r] / scale
