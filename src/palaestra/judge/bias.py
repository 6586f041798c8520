"""What a verdict follows beside the models' strength: the place, length, headers, lists and bold text of an answer.

    P(A) : P(tie) : P(B) = e^(d / 2) : v : e^(-d / 2),     d = strength A - strength B + x·beta    Davidson (1970)

x holds 1 for the place A and log((1 + count A) / (1 + count B)) for each feature; strengths and beta are fitted
together by maximum likelihood, beta with a sandwich clustered by question (Liang and Zeger, 1986). Without ties this
is Bradley and Terry. A coefficient says what goes with a verdict among models held equal: longer answers may also be
better ones, which only votes of people on the same answers can tell apart (`verbosity`).

Models that always win or always lose, against all others or a group of them, have no finite strength; their
comparisons foretell themselves at the maximum, say nothing of beta and are left out. A feature that never varies, or
that strengths and the features before it determine (the place, where one model is always A), has no coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from palaestra.judge.answer_style import with_features
from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import PAIR, Seen, clusters, opinions, turned
from palaestra.stats.clustered import Estimate, around, share
from palaestra.stats.covariance import sandwich_covariance
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import Maximum, Problem, maximise, one_thread
from palaestra.stats.rows import sorted_rows

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

PLACE = "place"
_WORDS = {
    PLACE: ("position bias", "A favoured", "B favoured"),
    "length": ("length bias", "longer answers favoured", "shorter answers favoured"),
    "header": ("markdown bias", "headers favoured", "headers disfavoured"),
    "list": ("markdown bias", "lists favoured", "lists disfavoured"),
    "bold": ("markdown bias", "bold text favoured", "bold text disfavoured"),
}
_NONE = {"header": "no effect of headers found", "list": "no effect of lists found", "bold": "no effect of bold found"}
_FIGURE = {PLACE: "A rather than B", "header": "headers", "list": "lists", "bold": "bold text"}
_UNKNOWN = "not known: one question, or both orders of every pair cancel each other"
_DETERMINED = 1e-8


@dataclass(frozen=True, slots=True)
class Effects:
    """Coefficients in log odds, by feature, and the fit; `rows` of the frame it was made of.

    `variance_M` is the sandwich variance of each model's strength; None where one question has no variance.
    """

    coefficients: dict[str, Estimate]
    maximum: Maximum | None
    names: tuple[str, ...]
    rows: int
    variance_M: Floats | None = None


def audit_bias(seen: Seen, answers: pl.DataFrame | None, confidence: float, *, place: bool) -> list[Finding]:
    """A finding for each coefficient.

    Args:
        seen: what the judge said.
        answers: with their counts; without them only the place has a coefficient.
        confidence: of the intervals.
        place: whether the place's coefficient is a finding, which it is where games cannot be paired.
    """
    frame, features = seen.frame, ()
    if answers is not None:
        frame, features = with_features(frame, answers)
    if frame.is_empty():
        return []
    found = fit_effects(frame, (*features, PLACE), confidence).coefficients
    return [
        finding(
            seen.judge, _WORDS[name][0], _FIGURE.get(name, name), estimate, "log odds",
            null=0.0, above=_WORDS[name][1], below=_WORDS[name][2], within=_NONE.get(name, "none found"),
            plain=_UNKNOWN,
        )
        for name, estimate in found.items()
        if name != PLACE or place
    ]  # fmt: skip


def verbosity(seen: Seen, people: pl.DataFrame, answers: pl.DataFrame, confidence: float) -> list[Finding]:
    """Of the pairs that people call even and the judge decides, how often it takes the longer answer."""
    even = opinions(people).filter(pl.col("score") == 0.5).select(PAIR)  # noqa: PLR2004 - a tie
    decided = seen.frame.filter(pl.col("points") != 0.5)  # noqa: PLR2004 - a tie
    frame, features = with_features(turned(decided).join(even, on=PAIR, maintain_order="left"), answers)
    if "length" not in features:
        return []
    frame = frame.filter(pl.col("length") != 0)
    if frame.is_empty():
        return []
    longer_B = ((frame["length"] > 0) == (frame["points"] == 1)).to_numpy()
    return [
        finding(
            seen.judge, "verbosity at equal quality", "longer answer taken",
            share(longer_B, clusters(frame), confidence), "share", null=0.5, above="the longer answer favoured",
            below="the shorter answer favoured", within="none found", plain="share of the longer answer",
        )
    ]  # fmt: skip


def fit_effects(frame: pl.DataFrame, features: tuple[str, ...], confidence: float) -> Effects:
    """Coefficients of features beside the models' strengths.

    Args:
        frame: model_a, model_b, points, question_id and a column for each feature; the place needs none.
        features: their names.
        confidence: of the intervals.
    """
    frame = frame.filter(connected(coded_verdicts(frame))[0])
    coded = coded_verdicts(frame)
    none = Effects({}, None, coded.names, frame.height)
    if frame.is_empty():
        return none
    _, part_M = connected(coded)
    x_FB = np.array([_column(frame, name) for name in features]).reshape(len(features), frame.height)
    free = _undetermined(coded, x_FB)
    names, x_FB = [features[f] for f in free], x_FB[free]
    with one_thread():
        try:
            maximum = _maximum(coded, part_M, x_FB)
            cluster_B = clusters(frame)[maximum.problem.rows.source_B].astype(np.int32)
            several = int(cluster_B.max()) > 0
            covariance_QQ = sandwich_covariance(maximum, cluster_B) if several else None
        except np.linalg.LinAlgError:
            return none
    if not maximum.converged:
        return none
    place, number = len(coded.names), int(cluster_B.max()) + 1
    found = {}
    for f, name in enumerate(names):
        se = 0.0 if covariance_QQ is None else float(np.sqrt(max(covariance_QQ[place + f, place + f], 0.0)))
        se = se if se > _DETERMINED else np.inf  # one question, or games that cancel in each: nothing is known of it
        found[name] = around(float(maximum.at.beta_F[f]), se, frame.height, number, confidence)
    variance_M = None if covariance_QQ is None else np.diag(covariance_QQ)[:place]
    return Effects(found, maximum, coded.names, frame.height, variance_M)


@dataclass(frozen=True, slots=True)
class Coded:
    """Comparisons as numbers: models of each side, and outcomes (0 A, 1 B, 2 tie); shape (B,)."""

    names: tuple[str, ...]
    first_B: NDArray[np.int32]
    second_B: NDArray[np.int32]
    outcome_B: NDArray[np.int8]


def coded_verdicts(frame: pl.DataFrame) -> Coded:
    """Verdicts as numbers."""
    names = sorted({*frame["model_a"].to_list(), *frame["model_b"].to_list()})
    place = {name: number for number, name in enumerate(names)}
    sides = [
        frame[f"model_{side}"].replace_strict(place, return_dtype=pl.Int32).to_numpy().astype(np.int32) for side in "ab"
    ]
    points_B = frame["points"].to_numpy()
    outcome_B = np.where(points_B > 0.5, 0, np.where(points_B < 0.5, 1, 2)).astype(np.int8)  # noqa: PLR2004 - a tie
    return Coded(tuple(names), *sides, outcome_B)


def connected(coded: Coded) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which comparisons are within a strongly connected part of who beat whom (Ford, 1957), and each model's part."""
    size = len(coded.names)
    first_won_B, second_won_B = coded.outcome_B != 1, coded.outcome_B != 0
    winner_E = np.concatenate([coded.first_B[first_won_B], coded.second_B[second_won_B]])
    loser_E = np.concatenate([coded.second_B[first_won_B], coded.first_B[second_won_B]])
    graph = coo_array((np.ones(len(winner_E)), (winner_E, loser_E)), shape=(size, size)).tocsr()
    _, part_M = connected_components(graph, directed=True, connection="strong")
    return part_M[coded.first_B] == part_M[coded.second_B], part_M.astype(np.int64)


def _maximum(coded: Coded, part_M: NDArray[np.int64], x_FB: Floats) -> Maximum:
    weight_B = np.ones(len(coded.outcome_B))
    rows = sorted_rows(
        len(coded.names), coded.first_B, coded.second_B, coded.outcome_B, weight_B=weight_B, square_B=weight_B,
        x_FB=np.ascontiguousarray(x_FB),
    )  # fmt: skip
    model = VoteModel.DAVIDSON if (coded.outcome_B == 2).any() else VoteModel.BRADLEY_TERRY  # noqa: PLR2004 - a tie
    return maximise(Problem(rows, model, part_M))


def _undetermined(coded: Coded, x_FB: Floats) -> list[int]:
    """Features that neither strengths nor the features before them determine: least squares, one after the other."""
    size, rows = len(coded.names), len(coded.outcome_B)
    sides = np.concatenate([coded.first_B, coded.second_B]), np.tile(np.arange(rows), 2)
    design = coo_array((np.repeat([1.0, -1.0], rows), sides), shape=(size, rows)).tocsr()
    laplacian_MM = (design @ design.T).toarray()
    crossed_MF = design @ x_FB.T
    left_FF = x_FB @ x_FB.T - crossed_MF.T @ np.linalg.pinv(laplacian_MM, hermitian=True) @ crossed_MF
    scale_F = np.maximum(np.einsum("fb,fb->f", x_FB, x_FB), 1e-300)
    free = []
    for f in range(len(x_FB)):
        if left_FF[f, f] > _DETERMINED * scale_F[f] and scale_F[f] > 1e-12:  # noqa: PLR2004 - all zero
            free.append(f)
            left_FF -= np.outer(left_FF[:, f], left_FF[f]) / left_FF[f, f]
    return free


def _column(frame: pl.DataFrame, name: str) -> Floats:
    return np.ones(frame.height) if name == PLACE else frame[name].to_numpy().astype(float)
