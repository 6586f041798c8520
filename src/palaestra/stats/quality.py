"""How well a benchmark separates models, and how far it agrees with a reference: the measures, for many boards at once.

Over pairs of models i, j with scores s and intervals [l, u] (Li et al., 2024, *From crowdsourced data to high-quality
benchmarks*; names in quotation marks are those of its blog and of its notebook):

    separability        share of pairs whose intervals do not overlap
    agreement           mean over the pairs that the reference separates of +1 (the benchmark separates them in the same
                        order), -1 (in the other), 0 (not at all): the blog's and the paper's scale
    agreement_notebook  the notebook's scale: 1, 0 and 0.5; it is (1 + agreement) / 2 exactly
    brier               mean of (p - y)², p = Φ((m_j - m_i) / √(v_i + v_j)) from mean and variance of the samples, y = 1
                        where the reference has i below j, 1/2 where it has them level
    strict_agreement    share of pairs in the same order by scores alone; level on one board only is not the same order
    spearman, kendall (tau-b), pearson    of the scores

Touching intervals do not overlap. Two rules differ where an interval has no width, as that of an anchor has none:

    notebook   with l_i <= l_j, they overlap iff l_j < u_i: a point inside another interval overlaps with it
    strict     iff the greater l < the smaller u: a point never overlaps with anything

Two points in one place are never separated. Not here: which rounds an interval comes from; that is the rooms'
(`judge/agreement.py`, `rewards/ppe/human.py`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Overlap = Literal["notebook", "strict"]

MEASURES = (
    "separability",
    "reference_separability",
    "agreement",
    "agreement_notebook",
    "brier",
    "strict_agreement",
    "spearman",
    "kendall",
    "pearson",
)
SIGNED = frozenset({"agreement", "spearman", "kendall", "pearson"})
"""Those that go from -1 to 1; the others go from 0 to 1."""
_CELLS = 2_000_000


class Standings(NamedTuple):
    """R boards of the same M models: scores, interval ends, means of the samples, all (R, M); and variances, (M,)."""

    score_RM: Floats
    lower_RM: Floats
    upper_RM: Floats
    mean_RM: Floats
    variance_M: Floats

    def part(self, rows: slice) -> Standings:
        """Some of the boards."""
        return Standings(*(values[rows] for values in self[:4]), self.variance_M)


class Rules(NamedTuple):
    """Which rule of overlap holds for separability, and which for agreement."""

    separability: Overlap
    agreement: Overlap


def measures(board: Standings, reference: Standings, weight_RM: Floats, rules: Rules) -> dict[str, Floats]:
    """All measures of R pairs of boards, each of shape (R,); NaN where one is not defined.

    Args:
        board: the benchmark's.
        reference: the reference's, the models in the same order.
        weight_RM: how often each model is there: ones, or the counts of a resample of models. A pair of a model with
            its own copy is no pair.
        rules: of overlap.
    """
    rounds, models = weight_RM.shape
    step = max(1, _CELLS // models**2)
    parts = [
        _measures(board.part(rows), reference.part(rows), weight_RM[rows], rules)
        for rows in (slice(start, start + step) for start in range(0, rounds, step))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in MEASURES}


def recentred(value: float, drawn_R: Floats, confidence: float, *, signed: bool) -> tuple[float, float]:
    """The interval of a measure from its bootstrap rounds; NaN if it, or each of its rounds, is NaN.

    A measure of what has noise, and gets more in each round, is another on average. So the rounds are moved to the
    measure itself: on the scale arcsin x, with measures from 0 to 1 as 2x - 1, an interval is the measure plus the
    quantiles of (round - mean of the rounds), cut at the ends of the scale.

    Args:
        value: the measure.
        drawn_R: its rounds; those in which it is not defined are left out.
        confidence: of the interval.
        signed: whether it goes from -1 to 1, else from 0 to 1.
    """
    drawn_R = drawn_R[~np.isnan(drawn_R)]
    if np.isnan(value) or not len(drawn_R):
        return np.nan, np.nan
    at, turned_R = (np.arcsin(np.clip(x if signed else 2 * x - 1, -1, 1)) for x in (value, drawn_R))
    ends_2 = np.quantile(turned_R - turned_R.mean(), [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = (float(end) for end in np.sin(np.clip(at + ends_2, -np.pi / 2, np.pi / 2)))
    low, high = (low, high) if signed else ((1 + low) / 2, (1 + high) / 2)
    return min(low, value), max(high, value)  # noise may go one way only; and rounding


def separated(lower_RM: Floats, upper_RM: Floats, rule: Overlap) -> Bools:
    """Which pairs have intervals that do not overlap, shape (R, M, M)."""
    low_i, low_j, up_i, up_j = _pairs(lower_RM, upper_RM)
    if rule == "strict":
        overlap = np.maximum(low_i, low_j) < np.minimum(up_i, up_j)
    else:
        overlap = np.where(low_i < low_j, low_j < up_i, low_i < up_j)
        overlap |= (low_i == low_j) & (low_j < up_i)
    one_place = (low_i == low_j) & (up_i == up_j)
    return ~(overlap | one_place)


def _pairs(lower_RM: Floats, upper_RM: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    return lower_RM[:, :, None], lower_RM[:, None, :], upper_RM[:, :, None], upper_RM[:, None, :]


def _measures(board: Standings, reference: Standings, weight_RM: Floats, rules: Rules) -> dict[str, Floats]:
    pair_RMM = weight_RM[:, :, None] * weight_RM[:, None, :]
    pair_RMM[:, np.arange(weight_RM.shape[1]), np.arange(weight_RM.shape[1])] = 0
    signs_RMM, known_RMM = (np.sign(_differences(one.score_RM)) for one in (board, reference))
    alike_RMM = signs_RMM * known_RMM
    apart_RMM = separated(board.lower_RM, board.upper_RM, rules.agreement)
    sure_RMM = separated(reference.lower_RM, reference.upper_RM, rules.agreement)
    agreement_R = _mean(alike_RMM * apart_RMM, pair_RMM * sure_RMM)
    ranks_RM, known_ranks_RM = (_ranks(signs, weight_RM) for signs in (signs_RMM, known_RMM))
    return {
        "separability": _mean(separated(board.lower_RM, board.upper_RM, rules.separability), pair_RMM),
        "reference_separability": _mean(
            separated(reference.lower_RM, reference.upper_RM, rules.separability), pair_RMM
        ),
        "agreement": agreement_R,
        "agreement_notebook": (1 + agreement_R) / 2,
        "brier": _mean((_chance(board) - (1 + known_RMM) / 2) ** 2, pair_RMM),
        "strict_agreement": _mean(signs_RMM == known_RMM, pair_RMM),
        "spearman": _pearson(ranks_RM, known_ranks_RM, weight_RM),
        "kendall": _tau_b(signs_RMM, known_RMM, pair_RMM),
        "pearson": _pearson(board.score_RM, reference.score_RM, weight_RM),
    }


def _differences(values_RM: Floats) -> Floats:
    """Column minus row: positive where j is above i."""
    return values_RM[:, None, :] - values_RM[:, :, None]


def _chance(board: Standings) -> Floats:
    """The chance that i is below j, shape (R, M, M); without any variance, it is the order of the means."""
    gap_RMM = _differences(board.mean_RM)
    spread_MM = np.sqrt(board.variance_M[:, None] + board.variance_M[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        chance_RMM = ndtr(gap_RMM / spread_MM)
    return np.where(spread_MM > 0, chance_RMM, (1 + np.sign(gap_RMM)) / 2)


def _ranks(signs_RMM: Floats, weight_RM: Floats) -> Floats:
    """Midranks in the resample, from below, shape (R, M): each model counts as often as it is there."""
    below_RM = np.einsum("rij,ri->rj", signs_RMM, weight_RM)
    return (weight_RM.sum(axis=1, keepdims=True) + below_RM + 1) / 2


def _mean(values_RMM: Floats | Bools, weight_RMM: Floats) -> Floats:
    total_R = weight_RMM.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return np.einsum("rij,rij->r", values_RMM.astype(float), weight_RMM) / np.where(total_R > 0, total_R, np.nan)


def _pearson(x_RM: Floats, y_RM: Floats, weight_RM: Floats) -> Floats:
    share_RM = weight_RM / weight_RM.sum(axis=1, keepdims=True)
    varied_R = _varied(x_RM, weight_RM) & _varied(y_RM, weight_RM)
    x_RM = x_RM - (share_RM * x_RM).sum(axis=1, keepdims=True)
    y_RM = y_RM - (share_RM * y_RM).sum(axis=1, keepdims=True)
    spread_R = np.sqrt((share_RM * x_RM**2).sum(axis=1) * (share_RM * y_RM**2).sum(axis=1))
    return _ratio((share_RM * x_RM * y_RM).sum(axis=1), np.where(varied_R, spread_R, 0))


def _varied(values_RM: Floats, weight_RM: Floats) -> Bools:
    """Whether the models that are there have different values."""
    there_RM = weight_RM > 0
    return np.where(there_RM, values_RM, -np.inf).max(axis=1) > np.where(there_RM, values_RM, np.inf).min(axis=1)


def _tau_b(signs_RMM: Floats, known_RMM: Floats, pair_RMM: Floats) -> Floats:
    agreed_R, ours_R, theirs_R = (
        np.einsum("rij,rij->r", values, pair_RMM) for values in (signs_RMM * known_RMM, signs_RMM**2, known_RMM**2)
    )
    return _ratio(agreed_R, np.sqrt(ours_R * theirs_R))


def _ratio(over_R: Floats, under_R: Floats) -> Floats:
    return np.clip(over_R / np.where(under_R > 0, under_R, np.nan), -1, 1)
