"""Votes laid out for passes: rows of one pair together, turned so that the model with the lower number comes first.

A row is one vote, or, where votes of a pair and outcome cannot be told apart, all of them. Its `weight_B` enters the
likelihood, its `square_B` the sandwich's middle: n votes with importance w have n·w and n·w².
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


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

    def scaled(self, scale_F: Floats) -> Rows:
        """The same rows with each covariate divided by a number."""
        return replace(self, x_FB=self.x_FB / scale_F[:, None])


def sorted_rows(
    models: int,
    first_B: Integers,
    second_B: Integers,
    outcome_B: NDArray[np.int8],
    *,
    weight_B: Floats,
    square_B: Floats,
    x_FB: Floats | None = None,
) -> Rows:
    """One row a vote.

    Args:
        models: the number of models M.
        first_B: the model on side a of each vote, 0 to M - 1.
        second_B: the model on side b.
        outcome_B: 0 a wins, 1 b wins, 2 tie, 3 both bad.
        weight_B: what each vote counts in the likelihood.
        square_B: what it counts in the sandwich's middle; may be the same array.
        x_FB: covariates, side a minus side b, shape (F, B).
    """
    x_FB = np.zeros((0, len(outcome_B))) if x_FB is None else x_FB
    source_B, start_K, turned_B = _order_by_pair(first_B, second_B, outcome_B, models)
    met_P = np.flatnonzero(np.diff(start_K))
    x_sorted_FB = np.empty_like(x_FB)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        gather = partial(_gather_signed, turned_B=turned_B, source_B=source_B)
        list(threads.map(lambda f: gather(x_FB[f], out_B=x_sorted_FB[f]), range(len(x_FB))))
    weights_B = _picked(weight_B, source_B)
    return Rows(
        models=models,
        first_P=(met_P // models).astype(np.int32),
        second_P=(met_P % models).astype(np.int32),
        start_P=np.append(start_K[met_P], len(outcome_B)).astype(np.int64),
        outcome_B=turned_B[source_B] & 3,
        weight_B=weights_B,
        square_B=weights_B if square_B is weight_B else _picked(square_B, source_B),
        x_FB=x_sorted_FB,
        source_B=source_B,
    )


def _picked(values_B: Floats, source_B: Integers) -> Floats:
    """The values in the new order; where all are the same there is nothing to do."""
    return values_B if values_B.min() == values_B.max() else values_B[source_B]


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
def _order_by_pair(
    first_B: Integers, second_B: Integers, outcome_B: NDArray[np.int8], models: int
) -> tuple[Integers, NDArray[np.int64], NDArray[np.int8]]:
    """A counting sort: the places of the votes by pair, where each pair begins, and each vote's outcome, turned.

    Outcomes of votes whose sides are exchanged carry 4 more.
    """
    key_B, turned_B = np.empty(len(first_B), dtype=np.int32), np.empty(len(first_B), dtype=np.int8)
    next_K = np.zeros(models * models + 1, dtype=np.int64)
    for r in range(len(first_B)):
        i, j, outcome = first_B[r], second_B[r], outcome_B[r]
        key_B[r] = min(i, j) * models + max(i, j)
        turned_B[r] = outcome if i < j else (5 - outcome if outcome < 2 else 4 + outcome)  # noqa: PLR2004 - wins
        next_K[key_B[r] + 1] += 1
    for k in range(models * models):
        next_K[k + 1] += next_K[k]
    start_K, source_B = next_K.copy(), np.empty(len(first_B), dtype=np.int32)
    for r in range(len(first_B)):
        k = key_B[r]
        source_B[next_K[k]] = r
        next_K[k] += 1
    return source_B, start_K, turned_B


@njit(cache=True, nogil=True)
def _gather_signed(x_B: Floats, turned_B: NDArray[np.int8], source_B: Integers, out_B: Floats) -> None:
    """One covariate in the new order, its sign exchanged with the sides."""
    for r in range(len(source_B)):
        source = source_B[r]
        out_B[r] = -x_B[source] if turned_B[source] > 3 else x_B[source]  # noqa: PLR2004 - carries 4 more
