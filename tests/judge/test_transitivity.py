"""Circles: counted by enumeration; a judge that goes round is found, noise and a strict order are not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from palaestra.judge.findings import Finding
from palaestra.judge.seen import Seen
from palaestra.judge.transitivity import _Layout, audit_transitivity


def rows_of(beats: np.ndarray, question: str, rng: np.random.Generator, sure: float) -> list[tuple]:
    """All pairs of models once, the winner by a matrix with some chance."""
    rows = []
    for i, j in combinations(range(len(beats)), 2):
        won = rng.random() < (sure if beats[i, j] else 1 - sure)
        a, b, points = (i, j, float(won)) if rng.random() < 0.5 else (j, i, float(not won))
        rows.append((question, f"m{a}", f"m{b}", points))
    return rows


def seen_of(rows: list[tuple]) -> Seen:
    return Seen("j", pl.DataFrame(rows, schema=["question_id", "model_a", "model_b", "points"], orient="row"), 0)


def found(seen: Seen) -> dict[str, Finding]:
    return {one.figure: one for one in audit_transitivity(seen, 0.95, simulations=200, seed=0)}


ORDER = np.triu(np.ones((6, 6)), 1)
CIRCLE = np.array([[(j - i) % 5 in {1, 2} for j in range(5)] for i in range(5)])


def test_circles_are_counted_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    first_B, second_B = rng.integers(6, size=60), rng.integers(6, size=60)
    kept = first_B != second_B
    first_B, second_B = first_B[kept], second_B[kept]
    cluster_B, points_B = rng.integers(3, size=len(first_B)), rng.choice([0.0, 0.5, 1.0], len(first_B))
    cluster_B[0] = 2
    found_GK = _Layout(6, first_B, second_B, cluster_B).circles(points_B)
    for g in range(3):
        lead = np.zeros((6, 6))
        for a, b, points in zip(*(x[cluster_B == g] for x in (first_B, second_B, points_B)), strict=True):
            lead[a, b] += points - 0.5
            lead[b, a] -= points - 0.5
        triples = [t for t in combinations(range(6), 3) if all(lead[a, b] for a, b in combinations(t, 2))]
        circles = [(a, b, c) for a, b, c in triples if (lead[a, b] > 0) == (lead[b, c] > 0) == (lead[c, a] > 0)]
        assert tuple(found_GK[g]) == (len(circles), len(triples))


def test_a_judge_that_goes_round_is_found() -> None:
    rng = np.random.default_rng(1)
    seen = seen_of([row for q in range(40) for row in rows_of(CIRCLE, f"q{q}", rng, 0.9)])
    both = found(seen)
    assert both["circles within questions beyond noise"].holds == "above"
    assert both["circles over all questions"].value == pytest.approx(0.5)  # 5 of the 10 triples of this tournament


@pytest.mark.parametrize("sure", [0.6, 0.8, 1.0])
def test_noise_and_a_strict_order_are_not_called_circles(sure: float) -> None:
    rng = np.random.default_rng(2)
    both = found(seen_of([row for q in range(40) for row in rows_of(ORDER, f"q{q}", rng, sure)]))
    assert both["circles within questions beyond noise"].holds != "above"
    assert both["circles over all questions beyond noise"].holds != "above"
    if sure == 1.0:
        assert both["circles within questions"].value == 0.0


def test_a_coin_goes_round_in_a_quarter() -> None:
    rng = np.random.default_rng(3)
    both = found(seen_of([row for q in range(150) for row in rows_of(ORDER, f"q{q}", rng, 0.5)]))
    assert both["circles within questions"].value == pytest.approx(0.25, abs=0.03)


def test_the_same_seed_brings_the_same_findings() -> None:
    seen = seen_of([row for q in range(9) for row in rows_of(ORDER, f"q{q}", np.random.default_rng(q), 0.7)])
    assert found(seen) == found(seen)


def test_a_star_has_no_three_that_met() -> None:
    assert found(seen_of([("q", "hub", f"m{n}", 1.0) for n in range(5)])) == {}
