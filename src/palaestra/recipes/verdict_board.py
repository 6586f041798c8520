"""From verdicts to a board: the judge room's votes, ranked by the ranking room's engine, with Arena-Hard's scores.

A model's score is its expected win rate against the baseline in percent, with the interval of the difference of the two
ratings carried over: 100 / (1 + 10^(-d / 400)). Where all meet one baseline and nothing is held equal, each model's
score and interval are made of its own games alone: exactly the weighted share of them that it wins, ties a half (and
one tie more for whoever won or lost all), whoever else is there. Without a baseline the score is the mean win rate
expected against all others, its interval by the delta method from the board's covariance. Models that no verdicts
connect are not compared: no score is against a baseline of another component.

Intervals are clustered by question: two games, several judges and copies of strong verdicts on one question are not
independent. Style is counted in the answers; position is the covariate of that name; a judge's preference for itself is
`own_organization`, where a model without an organisation is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, ndtri

from palaestra.errors import InputError
from palaestra.judge.votes import votes_of
from palaestra.ranking import Board, FitConfig, Ties, fit, plan_for_board
from palaestra.ranking.compare import ELO
from palaestra.ranking.weights import Weighting

CLUSTER = "question_id"
COUNTS = {
    "length": "sum_assistant_{}_tokens",
    "header": "header_count_{}",
    "list": "list_count_{}",
    "bold": "bold_count_{}",
}
"""Counts of an answer, and where the ranking room looks for them."""


@dataclass(frozen=True, slots=True)
class Score:
    """A win rate in percent, with its interval."""

    score: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class VerdictBoard:
    """A board made of verdicts, and what there is to know of it."""

    board: Board
    scores: dict[str, Score]
    baseline: str | None
    strong: float
    games: int
    unread: int
    """Games whose verdict could not be read or did not come; they count for nobody."""
    single: dict[str, float] = field(default_factory=dict)
    """Scores with strong verdicts counted once, where they count more."""
    moves: dict[str, float | None] = field(default_factory=dict)
    """How far, at most, the score of any other model moves when this one is left out; where that was asked for. None
    where the rest is no board of the others."""
    notes: tuple[str, ...] = ()
    """Who has no score, or no such move, and why."""

    def to_dict(self) -> dict[str, Any]:
        """The interface's object: the board, each model with its score."""
        said = self.board.to_dict()
        for line in said["models"]:
            found = self.scores.get(line["model"])
            line |= {"score": None, "score_lower": None, "score_upper": None}
            if found is not None:
                line |= {"score": found.score, "score_lower": found.lower, "score_upper": found.upper}
            if self.single:
                line["score_strong_once"] = self.single.get(line["model"])
            if self.moves:
                line["moves_others"] = self.moves.get(line["model"])
        verdicts = {"games": self.games, "unread": self.unread, "baseline": self.baseline, "strong": self.strong}
        verdicts["notes"] = list(self.notes)
        return said | {"verdicts": verdicts}


def board_of_verdicts(
    verdicts: pl.DataFrame,
    config: FitConfig | None = None,
    *,
    baseline: str | None = None,
    strong: float = 1.0,
    by_preference: bool = False,
    counts: pl.DataFrame | None = None,
    organizations: Mapping[str, str] | None = None,
    stability: bool = False,
) -> VerdictBoard:
    """Rank the models of verdicts.

    Args:
        verdicts: with the columns of `Verdict`.
        config: of the fit; the cluster is the question unless it says otherwise.
        baseline: whom scores are against; the mean of all others if None.
        strong: as how many votes a strong verdict counts.
        by_preference: whether the judges' probabilities make shares of votes.
        counts: of answers, as `judge/answer_style.py` reads them; for style.
        organizations: of models and judges, by name; one that is not there is its own.
        stability: whether every model is left out once, to see how far the others move.

    Raises:
        InputError: no verdict can be read, the baseline is not among the models, an answer has no counts, or a setting
            does not fit.
    """
    config = config or FitConfig()
    config = config if config.cluster else config.model_copy(update={"cluster": CLUSTER})
    votes = votes_of(verdicts, strong=strong, by_preference=by_preference)
    if config.style:
        votes = _with_counts(votes, counts)
    if "own_organization" in config.covariates or "same_organization" in config.covariates:
        votes = _with_organizations(votes, organizations or {})
    names = set(votes["model_a"]) | set(votes["model_b"])
    if baseline is not None and baseline not in names:
        raise InputError(
            f"found the baseline {baseline!r}, expected one of the judged models: {', '.join(sorted(names))}"
        )
    if config.cluster == CLUSTER and votes[CLUSTER].n_unique() == 1:
        raise InputError(
            f"found verdicts on one question, {votes[CLUSTER][0]!r}, expected two or more, since intervals are "
            "clustered by question; judge another question"
        )
    board = fit(votes, config)
    scores = _scores(votes, board, config, baseline)
    single = {}
    if strong != 1:
        once = votes.with_columns(weight=_once(strong))
        single = {name: each.score for name, each in _scores(once, fit(once, config), config, baseline).items()}
    notes = [
        f"{line.model} has no score: no verdicts connect it with {baseline or 'the others'}"
        for line in board.models
        if line.model not in scores
    ]
    moves, why = _moves(votes, scores, config, baseline) if stability else ({}, [])
    return VerdictBoard(
        board=board,
        scores=scores,
        baseline=baseline,
        strong=strong,
        games=len(verdicts),
        unread=int(verdicts["label"].is_null().sum()),
        single=single,
        moves=moves,
        notes=(*notes, *why),
    )


def scores_of(board: Board, baseline: str | None) -> dict[str, Score]:
    """Expected win rates of the models of a board, in percent; only of those that votes connect.

    Args:
        board: with its covariance.
        baseline: against whom; against the mean of all others of one's component if None.
    """
    parts = [part for part in board.components if baseline is None or baseline in part]
    found = {name: score for part in parts for name, score in _part_scores(board, part, baseline).items()}
    return {line.model: found[line.model] for line in board.models if line.model in found}


def _part_scores(board: Board, part: Sequence[str], baseline: str | None) -> dict[str, Score]:
    at_M = np.array([at for at, line in enumerate(board.models) if line.model in part])
    names = [board.models[at].model for at in at_M]
    rating_M = np.array([board.models[at].rating for at in at_M]) / ELO
    size = len(board.models)
    covariance_MM = np.array(board.covariance).reshape(size, size)[np.ix_(at_M, at_M)] / ELO**2
    z = float(ndtri(0.5 + float(str(board.settings["confidence"])) / 2))
    if baseline is not None:
        at = names.index(baseline)
        gap_M = rating_M - rating_M[at]
        variance_M = np.diag(covariance_MM) + covariance_MM[at, at] - 2 * covariance_MM[at]
        reach_M = z * np.sqrt(np.maximum(variance_M, 0.0))
        edges = [100 * expit(gap_M + sign * reach_M) for sign in (0, -1, 1)]
    else:
        edges = _against_all(rating_M, covariance_MM, z)
    return {name: Score(*map(float, row)) for name, row in zip(names, np.transpose(edges), strict=True)}


def _scores(votes: pl.DataFrame, board: Board, config: FitConfig, baseline: str | None) -> dict[str, Score]:
    """The scores of a board; where all meet the baseline and share nothing, each from its own games."""
    if baseline is None or not _is_star(votes, config, baseline):
        return scores_of(board, baseline)
    found = {baseline: Score(50.0, 50.0, 50.0)}
    for line in board.models:
        if (name := line.model) != baseline:
            own = votes.filter((pl.col("model_a") == name) | (pl.col("model_b") == name))
            alone = config.model_copy(update={"anchor": None})
            if config.cluster is not None and own[config.cluster].n_unique() == 1:  # nothing to vary over
                alone = alone.model_copy(update={"cluster": None, "intervals": "model"})
            found[name] = scores_of(fit(own, alone), baseline)[name]
    return {line.model: found[line.model] for line in board.models}


def _is_star(votes: pl.DataFrame, config: FitConfig, baseline: str) -> bool:
    """Whether every vote is with the baseline, and no parameter or weight is shared between models."""
    shared = ("style", "covariates", *Weighting.model_fields)
    apart = config.ties is Ties.HALF and all(
        getattr(config, name) == FitConfig.model_fields[name].default for name in shared
    )
    return apart and votes.select(((pl.col("model_a") == baseline) | (pl.col("model_b") == baseline)).all()).item()


def pairs_that_say_most(votes: pl.DataFrame, models: Sequence[str]) -> dict[tuple[str, str], float]:
    """How the active schedule draws pairs: by what their next verdicts do to tell as many pairs apart as possible.

    Args:
        votes: of the verdicts so far.
        models: all that may meet.

    Returns:
        The probability of each pair, in the order of the models (`ranking/sampling.py`).
    """
    cluster = CLUSTER if votes[CLUSTER].n_unique() > 1 else None  # a first round may be one question
    plan = plan_for_board(fit(votes, cluster=cluster), list(models), goal="separate")
    place = {name: number for number, name in enumerate(plan.names)}
    return {(a, b): float(plan.probability_MM[place[a], place[b]]) for a, b in combinations(models, 2)}


def _against_all(rating_M: np.ndarray, covariance_MM: np.ndarray, z: float) -> list[np.ndarray]:
    """The mean over all others of the chance to win, with its interval on the logit scale."""
    count = len(rating_M)
    p_MM = expit(rating_M[:, None] - rating_M[None, :])
    np.fill_diagonal(p_MM, 0.0)
    mean_M = p_MM.sum(axis=1) / (count - 1)
    slope_MM = -p_MM * (1 - p_MM) / (count - 1)
    np.fill_diagonal(slope_MM, 0.0)
    np.fill_diagonal(slope_MM, -slope_MM.sum(axis=1))
    se_M = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slope_MM, covariance_MM, slope_MM), 0.0))
    logit_M, reach_M = np.log(mean_M / (1 - mean_M)), z * se_M / (mean_M * (1 - mean_M))
    return [100 * expit(logit_M + sign * reach_M) for sign in (0, -1, 1)]


def _once(strong: float) -> pl.Expr:
    """Weights with strong verdicts counted once."""
    return pl.when(pl.col("strength") == "strong").then(pl.col("weight") / strong).otherwise("weight")


def _moves(
    votes: pl.DataFrame, whole: Mapping[str, Score], config: FitConfig, baseline: str | None
) -> tuple[dict[str, float | None], list[str]]:
    """Leave each model out, and see how far the scores of the others move; and why some cannot be left out."""
    moves: dict[str, float | None] = {}
    why = []
    left = [name for name in whole if name != baseline]
    if len(whole) <= 2 or (baseline is not None and _is_star(votes, config, baseline)):  # noqa: PLR2004 - a pair
        return dict.fromkeys(left, 0.0), why  # there is nobody else, or each score is made of the model's own games
    for name in left:
        try:
            others = _without(name, votes, list(whole), config, baseline)
        except InputError as error:
            moves[name] = None
            why.append(f"how far {name} moves the others is not known: without it there is no board of them: {error}")
        else:
            moves[name] = max(abs(found.score - whole[other].score) for other, found in others.items())
    return moves, why


def _without(
    name: str, votes: pl.DataFrame, names: Sequence[str], config: FitConfig, baseline: str | None
) -> dict[str, Score]:
    """The scores of all others without a model.

    Raises:
        InputError: its games are all that somebody has, or all that connects somebody.
    """
    rest = votes.filter((pl.col("model_a") != name) & (pl.col("model_b") != name))
    there = set(rest["model_a"]) | set(rest["model_b"])
    if gone := [other for other in names if other not in {name, *there}]:
        raise InputError(f"{', '.join(gone[:3])} met nobody else")
    found = _scores(rest, fit(rest, config), config, baseline)
    if apart := [other for other in names if other != name and other not in found]:
        raise InputError(f"nothing else connects {', '.join(apart[:3])} with {baseline or 'the others'}")
    return found


def _with_counts(votes: pl.DataFrame, counts: pl.DataFrame | None) -> pl.DataFrame:
    if counts is None:
        raise InputError("style is counted in the answers, and there are none: give --answers PATH")
    counts = counts.unique(["question_id", "model"], keep="first", maintain_order=True)
    for side in "ab":
        there = [name for name in COUNTS if name in counts.columns and counts[name].null_count() < len(counts)]
        named = {name: COUNTS[name].format(side) for name in there}
        own = counts.select(
            "question_id", pl.col("model").alias(f"model_{side}"), *(pl.col(n).alias(c) for n, c in named.items())
        )
        votes = votes.join(own, on=["question_id", f"model_{side}"], how="left", maintain_order="left")
        unknown = votes.filter(pl.col(next(iter(named.values()))).is_null())
        if not unknown.is_empty():
            first = unknown.row(0, named=True)
            whose = first[f"model_{side}"]
            raise InputError(
                f"{len(unknown)} games have an answer whose style is not known, the first by {whose} to question "
                f"{first['question_id']}; give --answers with the answers that were judged"
            )
    return votes


def _with_organizations(votes: pl.DataFrame, organizations: Mapping[str, str]) -> pl.DataFrame:
    of = dict(organizations)
    return votes.with_columns(
        pl.col(name).replace(of).alias(new)
        for name, new in (("model_a", "organization_a"), ("model_b", "organization_b"), ("voter", "judge_organization"))
    )
