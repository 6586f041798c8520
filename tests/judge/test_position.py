"""Position: kinds by enumeration, log odds against a conditional logit, laws, and simulated truth."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.discrete.conditional_models import ConditionalLogit

from palaestra.judge.position import KINDS, audit_position, kinds, position_log_odds
from palaestra.judge.seen import Seen

points = st.sampled_from([0.0, 0.5, 1.0])


def seen_of(rows: list[tuple[str, str, str, float]]) -> Seen:
    return Seen("j", pl.DataFrame(rows, schema=["question_id", "model_a", "model_b", "points"], orient="row"), 0)


def value(seen: Seen, figure: str) -> float:
    return next(one.value for one in audit_position(seen, 0.95) if one.figure == figure)


def test_kinds_are_what_they_say() -> None:
    winner = {1.0: "A", 0.0: "B", 0.5: "tie"}
    swapped = {"A": "B", "B": "A", "tie": "tie"}
    for one, two in product(winner, repeat=2):
        said = KINDS[kinds(pl.DataFrame({"one": [one], "two": [two]}))[0]]
        first, second = winner[one], winner[two]
        if first == swapped[second]:
            expected = "consistent"
        elif "tie" in {first, second}:
            expected = "tie flips"
        else:
            expected = "first-favouring" if first == "A" else "second-favouring"
        assert said == expected


def test_log_odds_are_those_of_a_conditional_logit() -> None:
    """Without ties: each pair of games is a group, the models' difference falls out (statsmodels)."""
    rng = np.random.default_rng(0)
    d_B = rng.normal(0, 1.5, 3000)
    one_B, two_B = ((rng.random(3000) < 1 / (1 + np.exp(-(sign * d_B + 0.6)))).astype(float) for sign in (1, -1))
    # the first model's wins: as A in one game, as B in the other
    y = np.concatenate([one_B, 1 - two_B])
    peer = ConditionalLogit(y, np.repeat([1.0, -1.0], 3000)[:, None], groups=np.tile(np.arange(3000), 2)).fit(disp=0)
    ours = position_log_odds(one_B, two_B, np.arange(3000), 0.95)
    assert ours.value == pytest.approx(peer.params[0], abs=2e-3)  # half a pair of each kind is added
    assert ours.se == pytest.approx(peer.bse[0], rel=0.02)
    assert ours.value == pytest.approx(0.6, abs=3 * peer.bse[0])


def test_ties_follow_the_formula_whatever_the_difference() -> None:
    rng = np.random.default_rng(1)
    d_B, c = rng.normal(0, 1, 20000), 0.5

    def drawn(z_B: np.ndarray) -> np.ndarray:
        weight = np.stack([np.exp(z_B / 2), np.full(len(z_B), 0.7), np.exp(-z_B / 2)], axis=1)
        edge = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
        return np.array([1.0, 0.5, 0.0])[(rng.random(len(z_B))[:, None] > edge[:, :2]).sum(axis=1)]

    found = position_log_odds(drawn(d_B + c), drawn(-d_B + c), np.arange(20000), 0.95)
    assert found.se is not None
    assert found.value == pytest.approx(c, abs=3.5 * found.se)


@given(st.lists(st.tuples(points, points, st.integers(0, 4)), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_laws(rows: list[tuple[float, float, int]]) -> None:
    """Favouring B as often as A turns the sign; which game came first, and which model is which, change nothing."""
    one_B, two_B, cluster_B = (np.array(column) for column in zip(*rows, strict=True))
    found = position_log_odds(one_B, two_B, cluster_B, 0.95)
    mirrored = position_log_odds(1 - one_B, 1 - two_B, cluster_B, 0.95)
    other = position_log_odds(two_B, one_B, cluster_B, 0.95)
    assert mirrored.value == pytest.approx(-found.value, abs=1e-9)
    assert (other.value, other.lower, other.upper) == pytest.approx((found.value, found.lower, found.upper), abs=1e-9)
    assert np.isfinite(found.value)


@given(st.lists(st.tuples(points, points), min_size=4, max_size=12))
@settings(max_examples=40, deadline=None)
def test_names_change_nothing(rows: list[tuple[float, float]]) -> None:
    def named(x: str, y: str) -> dict[str, tuple[float, float | None, float | None]]:
        seen = seen_of(
            [
                (f"q{number}", a, b, score)
                for number, (one, two) in enumerate(rows)
                for a, b, score in ((x, y, one), (y, x, two))
            ]
        )
        return {one.figure: (one.value, one.lower, one.upper) for one in audit_position(seen, 0.95)}

    first, second = named("x", "y"), named("y", "x")
    for figure, values in first.items():
        assert values == pytest.approx(second[figure], abs=1e-9)


def test_a_judge_that_looks_at_the_place_alone_is_no_better_than_a_coin() -> None:
    seen = seen_of([(f"q{n}", a, b, 1.0) for n in range(30) for a, b in (("x", "y"), ("y", "x"))])
    found = {one.figure: one for one in audit_position(seen, 0.95)}
    assert found["first-favouring"].value == 1.0
    assert found["A rather than B"].holds == "above"
    assert "A favoured" in found["A rather than B"].words
    assert found["of the two orders"].value == 0.0
    assert "no better than a coin" in found["of the two orders"].words


def test_consistent_pairs_say_nothing_of_the_place() -> None:
    seen = seen_of([row for n in range(9) for row in ((f"q{n}", "x", "y", 1.0), (f"q{n}", "y", "x", 0.0))])
    assert value(seen, "consistent") == 1.0
    found = next(one for one in audit_position(seen, 0.95) if one.audit == "position bias")
    assert (found.value, found.holds) == (0.0, "within")
    assert found.upper is not None
    assert found.upper > 1


def test_repeated_games_are_paired_in_their_order() -> None:
    rows = [
        ("q", "x", "y", 1.0),
        ("q", "x", "y", 0.0),
        ("q", "y", "x", 0.0),
        ("q", "y", "x", 1.0),
        ("q", "x", "y", 1.0),
    ]
    assert value(seen_of(rows), "consistent") == 1.0
    assert audit_position(seen_of(rows), 0.95)[0].rows == 2


def test_one_order_alone_is_no_pair() -> None:
    assert audit_position(seen_of([("q", "x", "y", 1.0)]), 0.95) == []
