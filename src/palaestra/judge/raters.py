"""Agreement of raters: judges with each other and with people.

A rater's opinion on a question and two models is who has more points over all games or votes, or a tie. Accuracy is the
share of pairs decided by both on which they agree, chance being one half. Cohen's kappa (1960) and Krippendorff's
alpha (nominal; 2004) take off what raters would agree on by their habits alone; both come with ties as a third opinion
and without. Each pair counts half from the side of either model, so that names change nothing; without ties kappa is
then twice the accuracy less one. Intervals leave out one question at a time.

Against people, accuracy is also given against single votes, with the agreement of two voters on the same pair beside
it, which is what a judge can be asked to reach. Not here: rank correlations of boards.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import PAIR, Seen, clusters, opinions, turned
from palaestra.stats.clustered import Estimate, jackknife, numbered, share

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

PEOPLE = "people"
ALL = "all raters"
_SIDES = 3
_NEAR_CHANCE = 0.55


def audit_agreement(judges: list[Seen], people: pl.DataFrame | None, confidence: float) -> list[Finding]:
    """Every judge with people, and every two judges; then all together where there are more than two raters.

    Args:
        judges: what they said.
        people: votes, with question_id, model_a, model_b, points.
        confidence: of the intervals.
    """
    raters = {seen.judge: opinions(seen.frame) for seen in judges}
    found: list[Finding] = []
    if people is not None:
        crowd = opinions(people)
        for seen in judges:
            found += _agreement(seen.judge, PEOPLE, raters[seen.judge], crowd, confidence)
            found += _single_votes(seen.judge, raters[seen.judge], people, confidence)
        found += _voters(people, confidence)
        raters[PEOPLE] = crowd
    for one, two in combinations([seen.judge for seen in judges], 2):
        found += _agreement(one, two, raters[one], raters[two], confidence)
    if len(raters) > 2:  # noqa: PLR2004 - two have been compared already
        found += _alpha_of_all(raters, confidence)
    return found


def _agreement(name: str, other: str, one: pl.DataFrame, two: pl.DataFrame, confidence: float) -> list[Finding]:
    both = one.join(two, on=PAIR, suffix="_two", maintain_order="left")
    if both.is_empty():
        return []
    a_B, b_B, cluster_B = both["score"].to_numpy(), both["score_two"].to_numpy(), clusters(both)
    audit = f"agreement with {other}"
    decided_B = (a_B != 0.5) & (b_B != 0.5)  # noqa: PLR2004 - a tie
    found = []
    if decided_B.any():
        estimate = share((a_B > 0.5)[decided_B] == (b_B > 0.5)[decided_B], cluster_B[decided_B], confidence)  # noqa: PLR2004 - a tie
        found.append(_accuracy(name, audit, "accuracy", estimate))
    whole_GK = _from_both_sides(a_B, b_B, cluster_B)
    counts = {"with ties": (whole_GK, len(a_B))}
    if decided_B.any() and not decided_B.all():
        counts["without ties"] = (
            _from_both_sides(a_B[decided_B], b_B[decided_B], cluster_B[decided_B]),
            int(decided_B.sum()),
        )
    for ties, (counts_GK, rows) in counts.items():
        for unit, function in (("kappa", kappa), ("alpha", alpha)):
            estimate = function(counts_GK, rows, confidence)
            above, within = f"{ties}, beyond chance", f"{ties}, not beyond chance"
            found.append(
                finding(
                    name,
                    audit,
                    f"{unit} {ties}",
                    estimate,
                    unit,
                    null=0.0,
                    above=above,
                    within=within,
                    below=f"{ties}, below chance",
                    plain=ties,
                )
            )
    return found


def _accuracy(name: str, audit: str, figure: str, estimate: Estimate) -> Finding:
    where = "where both decide" if figure == "accuracy" else "against single votes"
    near = estimate.upper is not None and estimate.upper < _NEAR_CHANCE
    within = "no better than chance" if near else "cannot be told from chance"
    return finding(
        name, audit, figure, estimate, "share", null=0.5, above=f"better than chance {where}",
        below=f"worse than chance {where}", within=f"{within} {where}", plain=figure,
    )  # fmt: skip


def _single_votes(name: str, opinion: pl.DataFrame, people: pl.DataFrame, confidence: float) -> list[Finding]:
    """The judge against each single vote."""
    both = turned(people).join(opinion, on=PAIR, suffix="_judge", maintain_order="left")
    both = both.filter((pl.col("score") != 0.5) & (pl.col("score_judge") != 0.5))  # noqa: PLR2004 - a tie
    if both.is_empty():
        return []
    hit_B = ((both["score"] > 0.5) == (both["score_judge"] > 0.5)).to_numpy()  # noqa: PLR2004 - a tie
    estimate = share(hit_B, clusters(both), confidence)
    return [_accuracy(name, "agreement with people", "accuracy against single votes", estimate)]


def _voters(people: pl.DataFrame, confidence: float) -> list[Finding]:
    """How often two decided votes on one pair agree: of wins w and losses l, (w(w-1) + l(l-1)) of (w+l)(w+l-1)."""
    counted = (
        turned(people)
        .group_by(*PAIR, maintain_order=True)
        .agg(won=(pl.col("score") > 0.5).sum(), lost=(pl.col("score") < 0.5).sum())  # noqa: PLR2004 - a tie
        .with_columns(pl.col("won", "lost").cast(pl.Float64))
        .filter(pl.col("won") + pl.col("lost") > 1)
    )
    if counted.is_empty():
        return []
    won_B, lost_B = counted["won"].to_numpy(), counted["lost"].to_numpy()
    pairs_B = (won_B + lost_B) * (won_B + lost_B - 1)
    sums_GK = _summed(np.stack([won_B * (won_B - 1) + lost_B * (lost_B - 1), pairs_B], axis=1), clusters(counted))
    estimate = jackknife(sums_GK, lambda sums_NK: sums_NK[:, 0] / sums_NK[:, 1], len(won_B), confidence)
    said = "two votes on one pair agree where both decide"
    return [finding(PEOPLE, "agreement with people", "two voters", estimate, "share", plain=said)]


def _alpha_of_all(raters: Mapping[str, pl.DataFrame], confidence: float) -> list[Finding]:
    """Krippendorff's alpha of all raters; a pair that one has not seen counts for the others."""
    rows = pl.concat([frame.select(*PAIR, side=_side(pl.col("score"))) for frame in raters.values()])
    sides = [(pl.col("side") == side).sum().alias(f"side{side}") for side in range(_SIDES)]
    units = rows.group_by(*PAIR, maintain_order=True).agg(*sides).filter(pl.sum_horizontal("^side.$") > 1)
    if units.is_empty():
        return []
    counts_BS = units.select("^side.$").to_numpy().astype(float)
    total_B = counts_BS.sum(axis=1)
    coincidence_BSS = counts_BS[:, :, None] * counts_BS[:, None, :]
    coincidence_BSS -= counts_BS[:, :, None] * np.eye(_SIDES)
    coincidence_BSS /= (total_B - 1)[:, None, None]
    coincidence_BSS = (coincidence_BSS + coincidence_BSS[:, ::-1, ::-1]) / 2
    sums_GK = _summed(coincidence_BSS.reshape(len(units), -1), clusters(units))
    estimate = jackknife(sums_GK, _alpha, len(units), confidence)
    said = f"{len(raters)} raters, with ties"
    return [
        finding(
            ALL, "agreement of all", "alpha with ties", estimate, "alpha", null=0.0,
            above=f"{said}, beyond chance", within=f"{said}, not beyond chance", below=f"{said}, below chance",
        )
    ]  # fmt: skip


def table_by_question(a_B: Floats, b_B: Floats, cluster_B: Integers) -> Floats:
    """Opinions of two raters crossed, in each question, shape (G, 9); points below, at and above one half."""
    cell_B = _SIDES * (1 + np.sign(a_B - 0.5)) + 1 + np.sign(b_B - 0.5)
    place_B, number = numbered(cluster_B)
    flat_K = np.bincount(place_B * _SIDES**2 + cell_B.astype(np.int64), minlength=number * _SIDES**2)
    return flat_K.reshape(number, _SIDES**2).astype(float)


def _from_both_sides(a_B: Floats, b_B: Floats, cluster_B: Integers) -> Floats:
    """Opinions of two raters crossed, half seen from one model of each pair, half from the other."""
    return (table_by_question(a_B, b_B, cluster_B) + table_by_question(1 - a_B, 1 - b_B, cluster_B)) / 2


def kappa(counts_GK: Floats, rows: int, confidence: float) -> Estimate:
    """Cohen's kappa of crossed opinions; one where chance alone would bring full agreement."""
    return jackknife(counts_GK, _kappa, rows, confidence)


def alpha(counts_GK: Floats, rows: int, confidence: float) -> Estimate:
    """Krippendorff's alpha of two raters, from their crossed opinions."""
    return jackknife(counts_GK, lambda sums_NK: _alpha(_both_ways(sums_NK)), rows, confidence)


def _kappa(sums_NK: Floats) -> Floats:
    share_NSS = sums_NK.reshape(-1, _SIDES, _SIDES) / sums_NK.sum(axis=1)[:, None, None]
    seen_N = np.trace(share_NSS, axis1=1, axis2=2)
    chance_N = (share_NSS.sum(axis=1) * share_NSS.sum(axis=2)).sum(axis=1)
    return _beyond(seen_N, chance_N)


def _alpha(coincidence_NK: Floats) -> Floats:
    """1 - observed over expected disagreement, from a matrix of coincidences (Krippendorff, 2004, chapter 11)."""
    count_NSS = coincidence_NK.reshape(-1, _SIDES, _SIDES)
    marginal_NS = count_NSS.sum(axis=2)
    total_N = marginal_NS.sum(axis=1)
    seen_N = np.trace(count_NSS, axis1=1, axis2=2) / total_N
    chance_N = (marginal_NS * (marginal_NS - 1)).sum(axis=1) / (total_N * (total_N - 1))
    return _beyond(seen_N, chance_N)


def _beyond(seen_N: Floats, chance_N: Floats) -> Floats:
    room_N = 1 - chance_N
    return np.where(room_N > 1e-12, (seen_N - chance_N) / np.where(room_N > 1e-12, room_N, 1.0), 1.0)  # noqa: PLR2004 - rounding


def _both_ways(sums_NK: Floats) -> Floats:
    count_NSS = sums_NK.reshape(-1, _SIDES, _SIDES)
    return (count_NSS + count_NSS.transpose(0, 2, 1)).reshape(len(sums_NK), -1)


def _side(score: pl.Expr) -> pl.Expr:
    return (score - 0.5).sign().cast(pl.Int64) + 1


def _summed(value_BK: Floats, cluster_B: Integers) -> Floats:
    place_B, number = numbered(cluster_B)
    sums_GK = np.zeros((number, value_BK.shape[1]))
    np.add.at(sums_GK, place_B, value_BK)
    return sums_GK
