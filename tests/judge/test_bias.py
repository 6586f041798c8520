"""What verdicts follow beside strength: against statsmodels, by laws, and what cannot be told is not told."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from palaestra.judge.answer_style import counted_answers
from palaestra.judge.bias import PLACE, audit_bias, fit_effects, verbosity
from palaestra.judge.seen import Seen

STRENGTH = np.array([0.8, 0.2, -0.3, -0.7])
NAMES = np.array(["a", "b", "c", "d"])


def world(rows: int, seed: int = 0, *, ties: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    first, step = rng.integers(4, size=rows), rng.integers(1, 4, size=rows)
    second, x, question = (first + step) % 4, rng.normal(0, 0.7, rows), rng.integers(60, size=rows)
    taste = rng.normal(0, 0.6, 60)[question]
    d = STRENGTH[first] - STRENGTH[second] + 0.4 + (0.5 + taste) * x
    weight = np.stack([np.exp(d / 2), np.exp(-d / 2), np.full(rows, ties)], axis=1)
    edge = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    points = np.array([1.0, 0.0, 0.5])[(rng.random(rows)[:, None] > edge[:, :2]).sum(axis=1)]
    return pl.DataFrame(
        {
            "question_id": [f"q{n}" for n in question], "model_a": NAMES[first], "model_b": NAMES[second],
            "points": points, "length": x,
        }
    )  # fmt: skip


def test_coefficients_are_those_of_a_logit_with_clustered_errors() -> None:
    frame = world(1500)
    design = np.stack(
        [
            *((frame["model_a"].to_numpy() == n).astype(float) - (frame["model_b"].to_numpy() == n) for n in NAMES[1:]),
            frame["length"].to_numpy(),
            np.ones(1500),
        ],
        axis=1,
    )
    groups = frame["question_id"].rank("dense").to_numpy()
    peer = sm.Logit(frame["points"].to_numpy(), design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    found = fit_effects(frame, ("length", PLACE), 0.95).coefficients
    for name, place in (("length", 3), (PLACE, 4)):
        assert found[name].value == pytest.approx(peer.params[place], abs=1e-6)
        assert found[name].se == pytest.approx(peer.bse[place] * np.sqrt(60 / 59), rel=1e-4)


@pytest.mark.parametrize("ties", [0.0, 0.7])
def test_the_truth_is_found(ties: float) -> None:
    found = fit_effects(world(20_000, 3, ties=ties), ("length", PLACE), 0.95).coefficients
    assert found[PLACE].value == pytest.approx(0.4, abs=0.12)
    assert found["length"].value == pytest.approx(0.5, abs=4 * (found["length"].se or 0))


def test_turning_every_comparison_turns_nothing_but_the_place() -> None:
    frame = world(800, 4, ties=0.5)
    turned = frame.with_columns(
        model_a="model_b", model_b="model_a", points=1 - pl.col("points"), length=-pl.col("length")
    )
    one, two = (fit_effects(part, ("length", PLACE), 0.95).coefficients for part in (frame, turned))
    assert two["length"].value == pytest.approx(one["length"].value, abs=1e-8)
    assert two[PLACE].value == pytest.approx(-one[PLACE].value, abs=1e-8)


def test_where_one_model_is_always_a_the_place_is_not_told_from_its_strength() -> None:
    frame = world(900, 5).filter(pl.col("model_a") == "a")
    assert set(fit_effects(frame, ("length", PLACE), 0.95).coefficients) == {"length"}


def test_a_feature_that_never_differs_or_repeats_another_has_no_coefficient() -> None:
    frame = world(600, 6).with_columns(header=pl.lit(0.0), bold=2 * pl.col("length"))
    assert set(fit_effects(frame, ("length", "header", "bold"), 0.95).coefficients) == {"length"}


def test_models_that_never_lose_are_left_out() -> None:
    frame = world(600, 7)
    best = frame.head(50).with_columns(model_a=pl.lit("best"), points=pl.lit(1.0))
    whole, without = (fit_effects(part, ("length", PLACE), 0.95) for part in (pl.concat([frame, best]), frame))
    assert whole.rows == without.rows == 600
    assert whole.coefficients == without.coefficients


def test_where_nothing_is_left_there_is_no_coefficient() -> None:
    frame = world(5, 8).with_columns(points=pl.lit(1.0), model_a=pl.lit("x"), model_b=pl.lit("y"))
    assert fit_effects(frame, (PLACE,), 0.95).coefficients == {}


def test_verdicts_whose_answers_are_not_known_are_left_out() -> None:
    frame = world(300, 9).drop("length")
    answers = counted_answers(
        pl.DataFrame({"question_id": ["q1", "q1"], "model": ["a", "b"], "text": ["one", "one two three"]})
    )
    found = audit_bias(Seen("j", frame, 0), answers, 0.95, place=True)
    assert all(one.rows <= frame.filter(pl.col("question_id") == "q1").height for one in found)


def test_the_longer_answer_where_people_call_it_even() -> None:
    questions = [f"q{n}" for n in range(40)]
    answers = counted_answers(
        pl.DataFrame(
            {
                "question_id": questions * 2, "model": ["a"] * 40 + ["b"] * 40,
                "text": ["short"] * 40 + ["a much longer text"] * 40,
            }
        )
    )  # fmt: skip
    frame = pl.DataFrame({"question_id": questions, "model_a": "a", "model_b": "b", "points": [0.0] * 36 + [1.0] * 4})
    people = frame.with_columns(points=pl.lit(0.5))
    found = verbosity(Seen("j", frame, 0), people, answers, 0.95)[0]
    assert (found.value, found.holds) == (0.9, "above")
    assert verbosity(Seen("j", frame, 0), frame, answers, 0.95) == []


def test_where_both_orders_of_every_pair_cancel_nothing_is_said_of_length() -> None:
    """A judge that looks at the place alone says as much for a long answer as against it: no interval of zero."""
    rows = [
        {"question_id": f"q{n}", "model_a": a, "model_b": b, "points": float(n % 10 > 0), "length": x}
        for n in range(40)
        for a, b, x in (("a", "b", 0.1 * n), ("b", "a", -0.1 * n))
    ]
    found = fit_effects(pl.DataFrame(rows), ("length", PLACE), 0.95).coefficients
    assert found["length"].value == pytest.approx(0, abs=1e-9)
    assert found["length"].lower is None
    lower = found[PLACE].lower
    assert lower is not None
    assert lower > 0
