"""A prompt's board, or a set's, as the record that everything reads which reads boards; and strengths and weaknesses.

Ratings are on the Elo scale, mean 1000. Intervals are normal, with the standard deviation over the ensemble's members.
Votes, wins and losses are those of the training votes on all prompts: no vote need have been given on these.

Not here: the coefficients (`aggregate.py`), and pages (`report.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.special import ndtr, ndtri

from palaestra.errors import InputError
from palaestra.p2l.aggregate import SetBoard, board_of, board_of_prompts
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.model import PromptBoards
from palaestra.schema import FitReport, Leaderboard, Level, ModelRating, VoteData
from palaestra.schema.record import Record, Struct
from palaestra.stats.ranks import rank_bounds, simultaneous_rank_bounds

Floats = NDArray[np.float64]

ELO = 400 / np.log(10)
"""Elo points in one natural log odd."""
_MEAN = 1000.0
_LINES = TypeAdapter(tuple[ModelRating, ...])


def leaderboard(
    boards: PromptBoards,
    prompts: Sequence[str],
    *,
    weight_P: Floats | Sequence[float] | None = None,
    category: str = "prompts",
    confidence: float = 0.95,
    seed: int = 0,
) -> Leaderboard:
    """The board of these prompts.

    Args:
        boards: a trained model.
        prompts: at least one.
        weight_P: what each counts.
        category: the board's name.
        confidence: of the intervals.
        seed: of the simultaneous ranks.

    Raises:
        InputError: a prompt is empty, or weights are none.
    """
    found = board_of_prompts(boards, prompts, weight_P)
    return record_of(boards, found, prompts, category=category, confidence=confidence, seed=seed)


def record_of(
    boards: PromptBoards,
    found: SetBoard,
    prompts: Sequence[str],
    *,
    category: str = "prompts",
    confidence: float = 0.95,
    seed: int = 0,
) -> Leaderboard:
    """A set's board as a record."""
    level = float(found.beta_M.mean())
    rating_M = _MEAN + ELO * (found.beta_M - level)
    root_MR = _root(found)
    covariance_MM = root_MR @ root_MR.T
    se_M = np.sqrt(np.diag(covariance_MM))
    half_M = float(ndtri(0.5 + confidence / 2)) * se_M
    lower_M, upper_M = rating_M - half_M, rating_M + half_M
    best_M, worst_M = rank_bounds(lower_M, upper_M)
    votes = _votes(boards)
    columns = {
        "rating": rating_M, "lower": lower_M, "upper": upper_M, "se": se_M,
        "rank": best_M, "rank_lower": best_M, "rank_upper": worst_M, **votes, "preliminary": votes["votes"] == 0,
    }  # fmt: skip
    if root_MR.any():
        columns["rank_simultaneous_lower"], columns["rank_simultaneous_upper"] = simultaneous_rank_bounds(
            rating_M, covariance_MM, confidence=confidence, seed=seed, root_MQ=root_MR
        )
    order = sorted(range(len(rating_M)), key=lambda m: (-rating_M[m], boards.models[m]))
    fields = ("model", *columns)
    rows = zip(
        (boards.models[m] for m in order), *(column_M[order].tolist() for column_M in columns.values()), strict=True
    )
    return Leaderboard(
        category=category,
        models=_LINES.validate_python([dict(zip(fields, row, strict=True)) for row in rows]),
        components=boards.head.parts if isinstance(boards, HeadBoards) else (tuple(boards.models),),
        settings={
            "method": "prompt-to-leaderboard", "kind": boards.kind, "confidence": confidence, "seed": seed,
            "prompts": len(prompts), "tie_parameter": found.eta,
        },
        data=VoteData(votes=float(votes["votes"].sum() / 2), sha256=_hash(prompts)),
        fit=_fit(boards, found),
        warnings=_warnings(boards, found),
        usable=_usable(boards, found, level, confidence),
        covariance=tuple(map(tuple, covariance_MM[np.ix_(order, order)].tolist())),
    )  # fmt: skip


def _warnings(boards: PromptBoards, found: SetBoard) -> tuple[str, ...]:
    doubts = boards.head.doubts if isinstance(boards, HeadBoards) else ()
    return (
        *doubts,
        *(() if found.draws_RM is not None else ("Trained without an ensemble: there are no intervals.",)),
    )


def _root(found: SetBoard) -> Floats:
    """What the ensemble's members are off their mean, M by R, scaled so that it times its transpose is the covariance.

    Of the ratings around their mean, in Elo; one column of zeros without an ensemble.
    """
    if found.draws_RM is None or len(found.draws_RM) <= 1:
        return np.zeros((len(found.beta_M), 1))
    off_RM = _centred(found.draws_RM)
    off_RM -= off_RM.mean(axis=0)
    return ELO / np.sqrt(len(off_RM) - 1) * off_RM.T


class Strength(Struct):
    """How much better a model is on some prompts than on all, against the other models; Elo.

    `p` is the two-sided chance of a difference so large where there is none, `p_all` the same for all models at once
    (Holm).
    """

    model: str
    topic: str
    difference: float
    lower: float
    upper: float
    p: float
    p_all: float


class Strengths(Record):
    """Strengths and weaknesses on some prompts, the greatest strength first."""

    record_name = "strengths"

    lines: tuple[Strength, ...]
    confidence: float


def strengths(
    boards: PromptBoards,
    prompts: Sequence[str],
    overall: Sequence[str] | None = None,
    *,
    topic: str = "prompts",
    confidence: float = 0.95,
) -> Strengths:
    """Each model's rating on these prompts less its rating on all, with intervals from the ensemble.

    Args:
        boards: a trained model.
        prompts: those in question.
        overall: what they are compared with; the board of an average prompt of the training votes if left out.
        topic: what these prompts are called.
        confidence: of the intervals, each by itself.

    Raises:
        InputError: a prompt is empty, or the model has no ensemble.
    """
    here = board_of_prompts(boards, prompts)
    there = board_of_prompts(boards, overall) if overall is not None else _average(boards)
    if here.draws_RM is None or there.draws_RM is None:
        raise InputError("found a model without an ensemble, expected one: train with --members 32")
    off_M, off_RM = _centred(here.beta_M) - _centred(there.beta_M), _centred(here.draws_RM) - _centred(there.draws_RM)
    se_M = off_RM.std(axis=0, ddof=1)
    p_M = 2 * ndtr(-np.abs(off_M) / np.maximum(se_M, 1e-12)) if se_M.any() else np.ones(len(off_M))
    z = float(ndtri(0.5 + confidence / 2))
    all_M = _holm(p_M)
    lines = [
        Strength(
            model=name, topic=topic, difference=float(ELO * off_M[m]), lower=float(ELO * (off_M[m] - z * se_M[m])),
            upper=float(ELO * (off_M[m] + z * se_M[m])), p=float(p_M[m]), p_all=float(all_M[m]),
        )
        for m, name in enumerate(boards.models)
    ]  # fmt: skip
    return Strengths(lines=tuple(sorted(lines, key=lambda line: (-line.difference, line.model))), confidence=confidence)


def _average(boards: PromptBoards) -> SetBoard:
    """The board where the vector of a prompt is that of the mean prompt."""
    if not isinstance(boards, HeadBoards):
        raise InputError("found a model that knows no average prompt, expected prompts to compare with")
    size = boards.head.weights.w_MK.shape[1]
    return board_of(boards.kind, boards.head.coefficients_of(np.zeros((1, size), dtype=np.float32)))


def _holm(p_M: Floats) -> Floats:
    order = np.argsort(p_M)
    stepped = np.maximum.accumulate(p_M[order] * np.arange(len(p_M), 0, -1))
    found_M = np.empty(len(p_M))
    found_M[order] = np.minimum(stepped, 1.0)
    return found_M


def _centred(beta: Floats) -> Floats:
    return beta - beta.mean(axis=-1, keepdims=True)


def _votes(boards: PromptBoards) -> dict[str, Floats]:
    if not isinstance(boards, HeadBoards):
        return dict.fromkeys(("votes", "wins", "losses", "ties", "both_bad"), np.zeros(len(boards.models)))
    first_MM, second_MM, ties_MM, bad_MM = boards.head.counts_OMM
    both = {"ties": ties_MM.sum(axis=0) + ties_MM.sum(axis=1), "both_bad": bad_MM.sum(axis=0) + bad_MM.sum(axis=1)}
    wins_M = first_MM.sum(axis=1) + second_MM.sum(axis=0)
    losses_M = first_MM.sum(axis=0) + second_MM.sum(axis=1)
    votes_M = wins_M + losses_M + both["ties"] + both["both_bad"]
    return {"votes": votes_M, "wins": wins_M, "losses": losses_M, **both}


def _usable(boards: PromptBoards, found: SetBoard, level: float, confidence: float) -> Level | None:
    if boards.kind != "grounded":
        return None
    se = float(ELO * found.draws_RM.mean(axis=1).std(ddof=1)) if found.draws_RM is not None else 0.0
    at, half = float(_MEAN - ELO * level), float(ndtri(0.5 + confidence / 2)) * se
    return Level(rating=at, lower=at - half, upper=at + half, se=se)


def _fit(boards: PromptBoards, found: SetBoard) -> FitReport:
    report = boards.head.report if isinstance(boards, HeadBoards) else {}
    return FitReport(
        iterations=report.get("iterations", 0),
        log_likelihood=report.get("log_likelihood"),
        held_out_log_loss=report.get("held_out_log_loss"),
        tie_parameter=found.eta,
        converged=report.get("converged", True),
    )


def _hash(prompts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(prompts).encode("utf-8", "surrogatepass")).hexdigest()
