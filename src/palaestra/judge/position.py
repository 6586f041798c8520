"""Position: does the verdict change when the answers change places, and which place gains?

Of pairs judged in both orders a share is consistent (the same model wins, or both games are ties), favours the place
shown first (A wins both), favours the second (B wins both), or flips between a win and a tie.

Position bias c is the log odds that A gains by its place. If the chance of A follows P(A) : P(tie) : P(B) =
e^((d + c) / 2) : v : e^(-(d + c) / 2), whatever the difference d of the two answers (Davidson, 1970), then of two games
with A's points y1, y2 the outcomes (y1, y2) and (1 - y2, 1 - y1) have odds e^(2c (y1 + y2 - 1)), in which d is no more:
the conditional likelihood of Rasch and Andersen (1970), of which c is the maximum. Half a pair of each kind is added,
so that it is finite. Consistent pairs say nothing of c.

Consistency beyond chance is Cohen's kappa (1960) between the two games: zero where the verdict depends on the place
alone, or on a coin. Not here: files in which each pair has one order; there position is a covariate (`bias.py`).
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.judge.findings import Finding, finding
from palaestra.judge.raters import kappa, table_by_question
from palaestra.judge.seen import Seen, both_games, clusters
from palaestra.stats.clustered import Estimate, around, numbered, share

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

AUDIT = "position bias"
KINDS = ("consistent", "first-favouring", "second-favouring", "tie flips")
_FEW = 20
_MOST_STEPS = 50


def audit_position(seen: Seen, confidence: float) -> list[Finding]:
    """Flips by kind, consistency beyond chance, and position bias; nothing where no pair has both orders."""
    pairs = both_games(seen.frame)
    if pairs.is_empty():
        return []
    kind_B, cluster_B = kinds(pairs), clusters(pairs)
    found = []
    for number, name in enumerate(KINDS):
        estimate = share(kind_B == number, cluster_B, confidence)
        found.append(finding(seen.judge, "position flips", name, estimate, "share", plain=_SAID[name]))
    found.append(_beyond_chance(seen.judge, pairs, confidence))
    estimate = position_log_odds(pairs["one"].to_numpy(), pairs["two"].to_numpy(), cluster_B, confidence)
    return [
        *found,
        finding(
            seen.judge, AUDIT, "A rather than B", estimate, "log odds", null=0.0,
            above="A favoured", below="B favoured", within="none found", plain="log odds of A",
        ),
    ]  # fmt: skip


_SAID = {
    "consistent": "both games say the same",
    "first-favouring": "A wins in both orders",
    "second-favouring": "B wins in both orders",
    "tie flips": "one game is a tie, the other is not",
}


def kinds(pairs: pl.DataFrame) -> Integers:
    """The place in `KINDS` of each pair of games."""
    one_B, two_B = pairs["one"].to_numpy(), pairs["two"].to_numpy()
    total_B = one_B + two_B
    kind_B = np.full(len(total_B), 3)
    kind_B[total_B == 1] = 0
    kind_B[total_B == 2] = 1  # noqa: PLR2004 - A won both
    kind_B[total_B == 0] = 2
    return kind_B


def position_log_odds(one_B: Floats, two_B: Floats, cluster_B: Integers, confidence: float) -> Estimate:
    """Position bias from A's points in both orders, shape (B,); see the module.

    Where fewer than twenty pairs differ, its variance is at least that of the likelihood.
    """
    lean_B = one_B + two_B - 1
    size_B, won_B = 2 * np.abs(lean_B), lean_B > 0
    c = 0.0
    for _ in range(_MOST_STEPS):
        chance_B, added = _logistic(size_B * c), _logistic(2 * c)
        score = float((size_B * (won_B - chance_B))[lean_B != 0].sum()) + 2 * (0.5 - added)
        information = float((size_B**2 * chance_B * (1 - chance_B)).sum()) + 4 * added * (1 - added)
        step = score / information
        c += math.copysign(min(abs(step), 1.0), step)
        if abs(step) < 1e-10:  # noqa: PLR2004 - Newton's error squares itself
            break
    place_B, number = numbered(cluster_B)
    score_G = np.bincount(place_B, weights=np.where(lean_B != 0, size_B * (won_B - _logistic(size_B * c)), 0.0))
    robust = number / max(number - 1, 1) * float(score_G @ score_G) / information**2
    few = int((lean_B != 0).sum()) < _FEW
    variance = max(robust, 1 / information) if few else robust
    return around(c, math.sqrt(variance), len(lean_B), number, confidence)


def _beyond_chance(judge: str, pairs: pl.DataFrame, confidence: float) -> Finding:
    """A model's points as A against those as B, once from the side of either model."""
    one_B, two_B, cluster_B = pairs["one"].to_numpy(), pairs["two"].to_numpy(), clusters(pairs)
    counts_GK = table_by_question(one_B, 1 - two_B, cluster_B) + table_by_question(two_B, 1 - one_B, cluster_B)
    return finding(
        judge, "self-agreement", "of the two orders", kappa(counts_GK, pairs.height, confidence), "kappa",
        null=0.0, above="beyond chance", within="no better than a coin: what it says in one order does not follow "
        "from the other", below="it contradicts itself more than a coin would", plain="kappa between the two orders",
    )  # fmt: skip


def _logistic(x: Floats | float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))
