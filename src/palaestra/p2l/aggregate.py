"""The board of a set of prompts: the one whose outcomes come closest to the mean of outcomes over the prompts.

    minimise over (beta, eta)    - mean over prompts, sum over pairs and outcomes of P(o | i, j, prompt) log P(o | i, j)

the cross-entropy, by Newton (Frick et al., 2025, who search by L-BFGS). The mean of coefficients is not that board: a
prompt on which a model always wins would count as much as its coefficient is large. For Bradley-Terry the minimum keeps
each model's expected wins,

    sum_j sigmoid(b_i - b_j) = mean over prompts of sum_j sigmoid(beta_i - beta_j)

and the board of one prompt is that prompt's own. It is the fit of votes that came out as expected, all pairs alike;
so it is `stats/newton.py` that finds it. Not here: a board as a record (`leaderboard.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.p2l.kernel import expected_outcomes
from palaestra.p2l.model import VOTE_MODELS, Coefficients, Kind, PromptBoards, checked_prompts
from palaestra.stats.newton import Problem, maximise, one_thread
from palaestra.stats.parts import on_threads
from palaestra.stats.passes import Parameters
from palaestra.stats.rows import table_rows

Floats = NDArray[np.float64]


AT_ONCE = 4096
"""Prompts whose coefficients, and those of all members of the ensemble, are in memory together."""
_LEAST, _FAR = (1e-9, 1e-6, 1e-5), 8.0
"""The chance that an outcome is left where doubles leave it none, the first that does, and where the search then begins
at most."""


@dataclass(frozen=True, slots=True)
class SetBoard:
    """Strengths of M models on a set of prompts, the parameter of ties (None for `bradley-terry`), and R members' own.

    Where only differences are determined, the mean is zero.
    """

    beta_M: Floats
    eta: float | None
    draws_RM: Floats | None = None


def board_of(kind: Kind, found: Coefficients, weight_P: Floats | Sequence[float] | None = None) -> SetBoard:
    """The board of a set of prompts, with that of each member of the ensemble.

    Args:
        kind: what the coefficients are coefficients of.
        found: those of the prompts.
        weight_P: what each prompt counts; the same if left out.

    Raises:
        InputError: there is no prompt, or a weight is negative or no number, or all are zero.
    """
    weight_P = checked_weights(len(found.beta_PM), weight_P)
    if len(weight_P) == 1:
        return _own(kind, found)
    return _board_of_parts(kind, [(found, weight_P)])


def board_of_prompts(
    boards: PromptBoards, prompts: Sequence[str], weight_P: Floats | Sequence[float] | None = None
) -> SetBoard:
    """The same of prompts by their text: some thousands at a time, so that a large set needs no more memory.

    Raises:
        InputError: as `board_of`, or a prompt is empty.
    """
    prompts = checked_prompts(prompts)
    if len(prompts) <= AT_ONCE:
        return board_of(boards.kind, boards.coefficients(prompts), weight_P)
    weight_P = checked_weights(len(prompts), weight_P)
    parts = (
        (boards.coefficients(prompts[start : start + AT_ONCE]), weight_P[start : start + AT_ONCE])
        for start in range(0, len(prompts), AT_ONCE)
        if weight_P[start : start + AT_ONCE].any()
    )
    return _board_of_parts(boards.kind, parts)


def _board_of_parts(kind: Kind, parts: Iterable[tuple[Coefficients, Floats]]) -> SetBoard:
    """The board of prompts that come in parts, with their weights, none of which are all zero."""
    tables, starts, weight = [], [], 0.0
    for found, weight_P in parts:
        sets, own = [found, *found.members], float(weight_P.sum())
        here = on_threads(lambda one, weight_P=weight_P: expected_table(kind, one, weight_P), sets)
        begun = [_start(one, weight_P) for one in sets]
        weight += own
        if not tables:
            tables, starts = here, begun
            continue
        share = own / weight
        tables = [old + share * (new - old) for old, new in zip(tables, here, strict=True)]
        starts = [
            (beta_M + share * (new_M - beta_M), eta + share * (new - eta))
            for (beta_M, eta), (new_M, new) in zip(starts, begun, strict=True)
        ]
    with one_thread():
        boards = [board_of_table(kind, *one) for one in zip(tables, starts, strict=True)]
    beta_M, eta = boards[0]
    draws_RM = np.stack([beta for beta, _ in boards[1:]]) if len(boards) > 1 else None
    return SetBoard(beta_M, None if kind == "bradley-terry" else eta, draws_RM)


def _own(kind: Kind, found: Coefficients) -> SetBoard:
    """The board of one prompt, which is the minimum without a search."""
    eta = None if found.eta_P is None else float(found.eta_P[0])
    draws_RM = None if found.draws_RPM is None or not len(found.draws_RPM) else found.draws_RPM[:, 0]
    if kind == "grounded":
        return SetBoard(found.beta_PM[0], eta, draws_RM)
    centred_RM = None if draws_RM is None else draws_RM - draws_RM.mean(axis=1, keepdims=True)
    return SetBoard(found.beta_PM[0] - found.beta_PM[0].mean(), eta, centred_RM)


def expected_table(kind: Kind, found: Coefficients, weight_P: Floats) -> Floats:
    """The chances of the outcomes of all pairs, the weighted mean over prompts; (4, M, M), above the diagonal."""
    models = found.beta_PM.shape[1]
    shape_P = np.zeros(len(weight_P)) if found.eta_P is None else found.eta_P
    table_OMM = np.zeros((4, models, models))
    beta_PM = np.ascontiguousarray(found.beta_PM)
    expected_outcomes(int(VOTE_MODELS[kind]), beta_PM, shape_P, weight_P / weight_P.sum(), table_OMM)
    return table_OMM


def board_of_table(kind: Kind, table_OMM: Floats, start: tuple[Floats, float]) -> tuple[Floats, float]:
    """The strengths and the parameter of ties whose outcomes come closest to a table of chances.

    Where a model is so far ahead that in doubles nothing else can happen, each outcome gets a chance of 1e-9, or, if
    that is not enough, of 1e-6 or 1e-5: the board then says "so far ahead, or more", some 11 to 20 log odds.

    Raises:
        InputError: there is no such board.
    """
    for least in (0.0, *_LEAST):
        rows = table_rows(table_OMM if least == 0 else _floored(kind, table_OMM, least))
        problem = Problem(rows, VOTE_MODELS[kind], np.zeros(rows.models, dtype=np.int64))
        at = np.clip(start[0], *((-np.inf, np.inf) if least == 0 else (-_FAR, _FAR)))
        try:
            found = maximise(problem, Parameters(at, np.zeros(0), start[1]))
        except np.linalg.LinAlgError:
            continue
        if found.converged:
            return found.at.theta_M, found.at.shape
    raise InputError("found no board of these prompts after 100 steps, expected finite strengths; train it anew")


def _floored(kind: Kind, table_OMM: Floats, least: float) -> Floats:
    """A table in which no outcome that the kind knows is out of the question; above the diagonal."""
    floored_OMM = table_OMM.copy()
    for outcome in range({"bradley-terry": 2, "rao-kupper": 3, "grounded": 4}[kind]):
        floored_OMM[outcome] += least * np.triu(np.ones_like(table_OMM[0]), 1)
    return floored_OMM


def wins_of(kind: Kind, found: Coefficients, weight_P: Floats | None = None) -> Floats:
    """The mean expected score of each model against all others over the prompts: a win 1, neither one half."""
    weight_P = checked_weights(len(found.beta_PM), weight_P)
    first_MM, second_MM, *rest = expected_table(kind, found, weight_P)
    half_MM = sum(rest) / 2
    upper_MM = first_MM + half_MM
    score_M = upper_MM.sum(axis=1) + (second_MM + half_MM).sum(axis=0)
    return score_M / max(len(score_M) - 1, 1)


def checked_weights(prompts: int, weight_P: Floats | Sequence[float] | None) -> Floats:
    """Weights of prompts, all one if left out.

    Raises:
        InputError: there is no prompt, or a weight is negative or no number, or all are zero.
    """
    if not prompts:
        raise InputError("found no prompt, expected at least one for a board")
    weight = np.ones(prompts) if weight_P is None else np.asarray(weight_P, dtype=np.float64)
    if weight.shape != (prompts,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.sum():
        raise InputError(f"found weights of prompts that are negative, no numbers or all zero, expected {prompts}")
    return weight


def _start(found: Coefficients, weight_P: Floats) -> tuple[Floats, float]:
    beta_M = np.average(found.beta_PM, axis=0, weights=weight_P)
    return beta_M, 0.0 if found.eta_P is None else float(np.average(found.eta_P, weights=weight_P))
