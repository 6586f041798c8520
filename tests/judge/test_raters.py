"""Agreement: against scikit-learn, a hand-written coincidence matrix, enumeration, and by laws."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from palaestra.judge.findings import Finding
from palaestra.judge.raters import alpha, audit_agreement, kappa, table_by_question
from palaestra.judge.seen import Seen

points = st.sampled_from([0.0, 0.5, 1.0])
opinions = st.lists(st.tuples(points, points, st.integers(0, 5)), min_size=3, max_size=40)


def frame_of(scores: list[float] | np.ndarray, questions: list[str] | None = None) -> pl.DataFrame:
    names = questions or [f"q{n}" for n in range(len(scores))]
    return pl.DataFrame({"question_id": names, "model_a": "x", "model_b": "y", "points": [float(s) for s in scores]})


def found(judges: dict[str, pl.DataFrame], people: pl.DataFrame | None = None) -> dict[tuple[str, str, str], Finding]:
    seen = [Seen(name, frame, 0) for name, frame in judges.items()]
    return {(one.judge, one.audit, one.figure): one for one in audit_agreement(seen, people, 0.95)}


@given(opinions)
@settings(max_examples=60, deadline=None)
def test_kappa_is_that_of_scikit_learn(rows: list[tuple[float, float, int]]) -> None:
    a_B, b_B, cluster_B = (np.array(column) for column in zip(*rows, strict=True))
    ours = kappa(table_by_question(a_B, b_B, cluster_B), len(rows), 0.95).value
    if len({*a_B, *b_B}) > 1:
        assert ours == pytest.approx(cohen_kappa_score((2 * a_B).astype(int), (2 * b_B).astype(int)), abs=1e-12)
    else:
        assert ours == 1.0


@given(opinions)
@settings(max_examples=40, deadline=None)
def test_alpha_is_one_minus_observed_over_expected_disagreement(rows: list[tuple[float, float, int]]) -> None:
    """By all pairs of values, as the definition has it."""
    a_B, b_B, cluster_B = (np.array(column) for column in zip(*rows, strict=True))
    values = [*a_B, *b_B]
    if len(set(values)) == 1:
        return
    observed = np.mean(a_B != b_B)
    expected = np.mean([x != y for x, y in permutations(values, 2)])
    ours = alpha(table_by_question(a_B, b_B, cluster_B), len(rows), 0.95).value
    assert ours == pytest.approx(1 - observed / expected, abs=1e-9)


def test_names_of_models_change_nothing() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.choice([0.0, 0.5, 1.0, 1.0], size=(2, 60))
    plain = found({"j": frame_of(one), "k": frame_of(two)}, frame_of(rng.choice([0.0, 1.0], 60)))
    rng = np.random.default_rng(0)
    one, two = rng.choice([0.0, 0.5, 1.0, 1.0], size=(2, 60))
    names = {"model_a": pl.lit("z"), "model_b": pl.lit("y")}
    renamed = found(
        {"j": frame_of(one).with_columns(**names), "k": frame_of(two).with_columns(**names)},
        frame_of(rng.choice([0.0, 1.0], 60)).with_columns(**names),
    )
    for key, one_found in plain.items():
        assert renamed[key].value == pytest.approx(one_found.value, abs=1e-12)
        assert renamed[key].lower == pytest.approx(one_found.lower, abs=1e-12)


def test_without_ties_kappa_is_twice_the_accuracy_less_one() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.choice([0.0, 0.5, 1.0], size=(2, 90))
    pair = found({"j": frame_of(one), "k": frame_of(two)})
    accuracy = pair["j", "agreement with k", "accuracy"].value
    decided = (one != 0.5) & (two != 0.5)
    assert accuracy == pytest.approx((one == two)[decided].mean())
    assert pair["j", "agreement with k", "kappa without ties"].value == pytest.approx(2 * accuracy - 1)


def test_agreement_does_not_depend_on_the_order_shown() -> None:
    scores = [1.0, 0.0, 0.5, 1.0]
    mirrored = frame_of([1 - s for s in scores]).with_columns(model_a=pl.lit("y"), model_b=pl.lit("x"))
    pair = found({"j": frame_of(scores), "k": mirrored})
    assert pair["j", "agreement with k", "accuracy"].value == 1.0
    assert pair["j", "agreement with k", "kappa with ties"].value == pytest.approx(1.0)


def test_two_voters_agree_as_often_as_counted_by_hand() -> None:
    """Votes 1 1 0 on one pair: of its three pairs of votes one agrees; 1 1 on the other: all; a tie decides nothing."""
    people = frame_of([1, 1, 0, 1, 1, 0.5], ["q", "q", "q", "r", "r", "r"])
    both = found({"j": frame_of([1.0, 1.0], ["q", "r"])}, people)
    assert both["people", "agreement with people", "two voters"].value == pytest.approx((1 + 1) / (3 + 1))
    assert both["j", "agreement with people", "accuracy against single votes"].value == pytest.approx(4 / 5)
    assert both["j", "agreement with people", "accuracy"].value == 1.0


@pytest.mark.parametrize(
    ("size", "right", "words"),
    [
        (4000, 0.5, "no better than chance"),
        (40, 0.5, "cannot be told from chance"),
        (400, 0.8, "better than chance"),
        (400, 0.1, "worse than chance"),
    ],
)
def test_a_judge_is_held_against_chance_in_words(size: int, right: float, words: str) -> None:
    truth = np.arange(size) % 2
    hit = np.arange(size) % 20 < 20 * right
    pair = found({"j": frame_of(np.where(hit, truth, 1 - truth))}, frame_of(truth))
    assert words in pair["j", "agreement with people", "accuracy"].words


def test_alpha_of_all_takes_off_what_three_coins_agree_on() -> None:
    rng = np.random.default_rng(5)
    coins = {name: frame_of(rng.choice([0.0, 1.0], 300)) for name in "jkl"}
    assert found(coins)["all raters", "agreement of all", "alpha with ties"].holds == "within"
    same = rng.choice([0.0, 1.0], 300)
    alike = found({name: frame_of(same) for name in "jkl"})
    assert alike["all raters", "agreement of all", "alpha with ties"].value == pytest.approx(1.0)


def test_raters_without_a_pair_in_common_have_no_agreement() -> None:
    assert found({"j": frame_of([1.0], ["q"]), "k": frame_of([1.0], ["r"])}) == {}
