"""Measures between two boards: against enumeration, scipy and replicated samples; their laws."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from palaestra.stats.quality import MEASURES, Overlap, Rules, Standings, measures, separated

RULES = Rules("notebook", "strict")
scores = st.integers(0, 6).map(float)
widths = st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0])
models = st.tuples(scores, widths, widths)
boards = st.lists(st.tuples(models, models), min_size=3, max_size=7)


def standing(rows: list[tuple[float, float, float]], order: list[int] | None = None) -> Standings:
    score_M, below_M, above_M = np.array(rows)[order or slice(None)].T
    score_RM = score_M[None, :]
    variance_M = ((below_M + above_M) / 4) ** 2
    return Standings(score_RM, score_RM - below_M, score_RM + above_M, score_RM + above_M / 8, variance_M)


def measured(pairs: list, weights: list[int] | None = None, rules: Rules = RULES) -> dict[str, float]:
    board, reference = (standing([pair[side] for pair in pairs]) for side in (0, 1))
    weight_RM = np.ones((1, len(pairs))) if weights is None else np.array([weights], dtype=float)
    return {name: float(values[0]) for name, values in measures(board, reference, weight_RM, rules).items()}


def apart(a: tuple, b: tuple, rule: Overlap) -> bool:
    """By the words of the definition, for one pair."""
    (low, up), (other_low, other_up) = sorted((s - below, s + above) for s, below, above in (a, b))
    if (low, up) == (other_low, other_up):
        return False
    if rule == "strict":
        return max(low, other_low) >= min(up, other_up)
    if low == other_low:
        return not low < max(up, other_up)
    return not other_low < up


@given(boards)
@settings(max_examples=150, deadline=None)
def test_measures_are_what_their_definitions_count(pairs: list) -> None:
    found = measured(pairs)
    board, reference = (standing([pair[side] for pair in pairs]) for side in (0, 1))
    all_pairs = list(combinations(range(len(pairs)), 2))
    blog, notebook, brier, strict = [], [], [], []
    for i, j in all_pairs:
        (a, known_a), (b, known_b) = pairs[i], pairs[j]
        order, known = np.sign(a[0] - b[0]), np.sign(known_a[0] - known_b[0])
        strict.append(order == known)
        spread = np.sqrt(board.variance_M[i] + board.variance_M[j])
        gap = board.mean_RM[0, j] - board.mean_RM[0, i]
        chance = stats.norm.cdf(gap / spread) if spread else (1 + np.sign(gap)) / 2
        brier.append((chance - (1 - known) / 2) ** 2)
        if apart(known_a, known_b, "strict"):
            verdict = order * known if apart(a, b, "strict") else 0
            blog.append(verdict)
            notebook.append({1: 1.0, -1: 0.0, 0: 0.5}[int(verdict)])
    assert found["separability"] == pytest.approx(
        np.mean([apart(pairs[i][0], pairs[j][0], "notebook") for i, j in all_pairs])
    )
    assert found["agreement"] == pytest.approx(np.mean(blog) if blog else np.nan, nan_ok=True)
    assert found["agreement_notebook"] == pytest.approx(np.mean(notebook) if notebook else np.nan, nan_ok=True)
    assert found["agreement_notebook"] == pytest.approx((1 + found["agreement"]) / 2, abs=0, nan_ok=True)
    assert found["brier"] == pytest.approx(np.mean(brier))
    assert found["strict_agreement"] == pytest.approx(np.mean(strict))
    x_M, y_M = board.score_RM[0], reference.score_RM[0]
    varied = np.ptp(x_M) > 0 and np.ptp(y_M) > 0
    for name, peer in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau), ("pearson", stats.pearsonr)):
        assert found[name] == pytest.approx(peer(x_M, y_M)[0] if varied else np.nan, nan_ok=True)


@given(boards, st.data())
@settings(max_examples=60, deadline=None)
def test_weights_are_copies(pairs: list, data: st.DataObject) -> None:
    """Correlations with weights are those of the board with copies; a model and its copy are no pair."""
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    assume(sum(map(bool, weights)) > 1)
    found = measured(pairs, weights)
    copies = [number for number, weight in enumerate(weights) for _ in range(weight)]
    again = measured([pairs[number] for number in copies])
    for name in ("spearman", "kendall", "pearson"):
        assert found[name] == pytest.approx(again[name], nan_ok=True)
    total = sum(weights[i] * weights[j] for i, j in combinations(range(len(pairs)), 2))
    alike = sum(
        weights[i] * weights[j] * (np.sign(pairs[i][0][0] - pairs[j][0][0]) == np.sign(pairs[i][1][0] - pairs[j][1][0]))
        for i, j in combinations(range(len(pairs)), 2)
    )
    assert found["strict_agreement"] == pytest.approx(alike / total)


@given(boards, st.randoms(use_true_random=False), st.sampled_from(["notebook", "strict"]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_models_does_not_matter(pairs: list, random: Any, rule: Overlap) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    found, again = (measured(some, rules=Rules(rule, rule)) for some in (pairs, shuffled))
    for name in MEASURES:
        assert found[name] == pytest.approx(again[name], nan_ok=True)


@given(st.lists(models, min_size=3, max_size=7))
@settings(max_examples=60, deadline=None)
def test_a_board_agrees_with_itself(rows: list) -> None:
    found = measured([(row, row) for row in rows])
    assert found["strict_agreement"] == 1
    if len({row[0] for row in rows}) > 1:
        assert found["spearman"] == pytest.approx(1)
        assert found["kendall"] == pytest.approx(1)
    turned = measured([(row, (-row[0], row[2], row[1])) for row in rows])
    if len({row[0] for row in rows}) == len(rows):
        assert np.isnan(found["agreement"]) or found["agreement"] == 1
        assert np.isnan(turned["agreement"]) or turned["agreement"] == -1
        assert turned["kendall"] == pytest.approx(-1)


@given(st.lists(st.tuples(scores, st.floats(0.1, 3), st.floats(0.1, 3)), min_size=3, max_size=7))
@settings(max_examples=60, deadline=None)
def test_rules_of_overlap_differ_for_points_only(rows: list) -> None:
    board = standing(rows)
    assert (
        separated(board.lower_RM, board.upper_RM, "notebook") == separated(board.lower_RM, board.upper_RM, "strict")
    ).all()


@pytest.mark.parametrize(
    ("intervals", "notebook", "strict"),
    [
        ([(0.0, 1.0), (1.0, 2.0)], True, True),  # they touch
        ([(0.0, 1.0), (0.5, 2.0)], False, False),
        ([(0.0, 2.0), (1.0, 1.0)], False, True),  # a point inside
        ([(0.0, 2.0), (0.0, 0.0)], False, True),  # at the lower end
        ([(0.0, 2.0), (2.0, 2.0)], True, True),  # at the upper end: touching
        ([(1.0, 1.0), (1.0, 1.0)], False, False),
    ],
)
def test_touching(intervals: list, notebook: bool, strict: bool) -> None:  # noqa: FBT001 - a table
    for ends in (intervals, intervals[::-1]):
        lower_RM, upper_RM = np.array(ends).T[:, None, :]
        assert separated(lower_RM, upper_RM, "notebook")[0, 0, 1] == notebook
        assert separated(lower_RM, upper_RM, "strict")[0, 0, 1] == strict


def test_a_board_of_equal_models_has_no_correlation() -> None:
    found = measured([((1.0, 0.0, 0.0), (float(n), 0.0, 0.0)) for n in range(4)])
    assert np.isnan([found["spearman"], found["kendall"], found["pearson"]]).all()
    assert found["brier"] == 0.25
    assert found["separability"] == 0
    assert found["agreement"] == 0


def test_rounds_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    score_RM = rng.standard_normal((7, 5))
    board = Standings(score_RM, score_RM - 1, score_RM + 1, score_RM, np.ones(5))
    reference = Standings(score_RM[::-1], score_RM[::-1] - 1, score_RM[::-1] + 1, score_RM, np.ones(5))
    whole = measures(board, reference, np.ones((7, 5)), RULES)
    monkeypatch.setattr("palaestra.stats.quality._CELLS", 50)
    for name, values_R in measures(board, reference, np.ones((7, 5)), RULES).items():
        np.testing.assert_array_equal(values_R, whole[name])
