"""The worth of questions: against plain recomputation, in simulated worlds, and on the Korean verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from palaestra.errors import InputError
from palaestra.judge.items import items
from palaestra.judge.value import QuestionValue, discrimination, information, margins, value, wilson
from palaestra.judge.verdict_files import read_verdicts

SHARED = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "ko-arena-hard"
SCALE = (0.0, 0.25, 0.5, 0.75, 1.0)
tables = arrays(float, st.tuples(st.integers(4, 7), st.integers(3, 6)), elements=st.sampled_from([*SCALE, np.nan]))


def verdicts(first_QM: np.ndarray, second_QM: np.ndarray | None = None, baseline: str = "base") -> pl.DataFrame:
    """Verdicts of points of models in both games; NaN gives none."""
    rows = []
    for question, model in np.ndindex(first_QM.shape):
        for game, points_QM in enumerate((first_QM, first_QM if second_QM is None else second_QM), start=1):
            points, name = points_QM[question, model], f"m{model:03d}"
            a, b = (baseline, name) if game == 1 else (name, baseline)
            of_a = None if np.isnan(points) else float(1 - points if game == 1 else points)
            rows.append((f"q{question:03d}", "j", a, b, game, None, of_a))
    schema = {
        "question_id": pl.String,
        "judge": pl.String,
        "model_a": pl.String,
        "model_b": pl.String,
        "game": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema | {"label": pl.String, "preference": pl.Float64}, orient="row")


def world(rng: np.random.Generator, questions: int = 60, models: int = 20, noise: float = 0.1) -> np.ndarray:
    """Points of models of rising strength, question by question; the last third of the questions is pure noise."""
    strength_M = np.linspace(-1.5, 1.5, models)
    slope_Q = np.where(np.arange(questions) < 2 * questions // 3, 2.0, 0.0)
    points_QM = norm.cdf(slope_Q[:, None] * strength_M + noise * rng.standard_normal((questions, models)))
    return (rng.random((questions, models)) < points_QM).astype(float)


@given(tables)
@settings(max_examples=60, deadline=None)
def test_discrimination_is_a_correlation_with_the_other_questions(points_QM: np.ndarray) -> None:
    found_Q = discrimination(points_QM, np.ones((1, points_QM.shape[1])))[0]
    for question, row_M in enumerate(points_QM):
        others = np.delete(points_QM, question, axis=0)
        there_M = ~np.isnan(row_M) & ~np.isnan(others).all(axis=0)
        x, y = row_M[there_M], np.array([np.nanmean(column) for column in others[:, there_M].T])
        if len(x) and np.ptp(x) > 1e-9 and np.ptp(y) > 1e-9:
            assert found_Q[question] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
        else:
            assert np.isnan(found_Q[question])


@given(tables, st.data())
@settings(max_examples=30, deadline=None)
def test_weights_of_models_are_copies(points_QM: np.ndarray, data: st.DataObject) -> None:
    models = points_QM.shape[1]
    weights = data.draw(st.lists(st.integers(0, 3), min_size=models, max_size=models).filter(any))
    copies = np.repeat(np.arange(models), weights)
    found_Q = discrimination(points_QM, np.array([weights], dtype=float))[0]
    known_Q = discrimination(points_QM[:, copies], np.ones((1, len(copies))))[0]
    np.testing.assert_allclose(found_Q, known_Q, atol=1e-7)


def plain_margins(points_QM: np.ndarray) -> np.ndarray:
    mean_M = np.nanmean(points_QM, axis=0)
    half_M = norm.ppf(0.975) * np.nanstd(points_QM, axis=0, ddof=1) / np.sqrt((~np.isnan(points_QM)).sum(axis=0))
    first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
    return (mean_M[first_P] - mean_M[second_P]) / (half_M[first_P] + half_M[second_P])


def test_information_is_what_leaving_the_question_out_takes() -> None:
    rng = np.random.default_rng(0)
    points_QM = world(rng)
    points_QM[rng.random(points_QM.shape) < 0.1] = np.nan
    weight_M = rng.integers(0, 3, points_QM.shape[1]).astype(float)
    whole_P = plain_margins(points_QM)
    np.testing.assert_allclose(margins(points_QM, 0.95), whole_P)
    first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
    apart_P = np.abs(whole_P) > 1
    weight_P = (weight_M[first_P] * weight_M[second_P])[apart_P]
    found_RQ = information(points_QM, np.vstack([np.ones(len(weight_M)), weight_M]), 0.95)
    for question in range(len(points_QM)):
        loss_P = 1 - plain_margins(np.delete(points_QM, question, axis=0))[apart_P] / whole_P[apart_P]
        assert found_RQ[0, question] == pytest.approx(2 * len(points_QM) * loss_P.mean())
        assert found_RQ[1, question] == pytest.approx(2 * len(points_QM) * np.average(loss_P, weights=weight_P))


def test_the_average_question_has_an_information_of_one() -> None:
    points_QM = world(np.random.default_rng(1), questions=300)
    assert information(points_QM, np.ones((1, 20)), 0.95).mean() == pytest.approx(1, abs=0.05)


def test_questions_of_pure_noise_are_found() -> None:
    found = value(verdicts(world(np.random.default_rng(2))), "base")
    noise = [one for one in found.questions if one.question_id >= "q040"]
    good = [one for one in found.questions if one.question_id < "q040"]
    for lines, least, most in ((good, 0.4, 1.0), (noise, -1.0, 0.2)):
        assert least < np.mean([one.discrimination or 0 for one in lines]) < most
    assert np.mean([one.information or 0 for one in good]) > 1 > np.mean([one.information or 0 for one in noise])


def test_coverage_over_models() -> None:
    """Intervals of discrimination and information hold the value of the same questions with very many models."""
    rng = np.random.default_rng(3)
    slope_Q = np.repeat([0.0, 0.6, 1.2, 2.0], 10)

    def seen(models: int) -> np.ndarray:
        chance_QM = norm.cdf(slope_Q[:, None] * rng.standard_normal(models))
        return rng.binomial(2, chance_QM) / 2

    many_QM = seen(1200)
    truth = discrimination(many_QM, np.ones((1, 1200)))[0]
    held, informed, right = [], [], information(many_QM, np.ones((1, 1200)), 0.95)[0]
    for seed in range(30):
        lines = {one.question_id: one for one in value(verdicts(seen(40)), "base", seed=seed, rounds=200).questions}
        for question in range(len(slope_Q)):
            one = lines[f"q{question:03d}"]
            if one.discrimination_lower is not None and one.discrimination_upper is not None:
                held.append(one.discrimination_lower <= truth[question] <= one.discrimination_upper)
            if one.information_lower is not None and one.information_upper is not None:
                informed.append(one.information_lower <= right[question] <= one.information_upper)
    print(f"\ncoverage of 95%: discrimination {np.mean(held):.3f}, information {np.mean(informed):.3f}")
    assert np.mean(held) > 0.9
    assert np.mean(informed) > 0.8


def test_flips_are_contradictions() -> None:
    first_QM = np.array([[1.0, 1.0, 0.5], [0.0, 1.0, 1.0], [1.0, 0.0, 0.5], [1.0, 0.5, 0.0]])
    second_QM = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, np.nan, np.nan], [1.0, 0.0, 0.0]])
    lines = {one.question_id: one for one in value(verdicts(first_QM, second_QM), "base").questions}
    assert [lines[f"q00{number}"].flips for number in range(4)] == [pytest.approx(1 / 3), 1, 0, 0]
    only_first = verdicts(first_QM).filter(pl.col("game") == 1)
    assert all(one.flips is None for one in value(only_first, "base").questions)


def test_near_constant_questions() -> None:
    points_QM = world(np.random.default_rng(4))
    points_QM[0], points_QM[1] = 1.0, 1.0
    points_QM[1, 0] = 0.0
    lines = {one.question_id: one for one in value(verdicts(points_QM), "base", constant_from=0.95).questions}
    assert lines["q000"].near_constant
    assert lines["q000"].discrimination is None
    assert lines["q001"].near_constant
    assert lines["q001"].constant == 0.95
    assert not lines["q005"].near_constant


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.8, 0.95]))
@settings(max_examples=40, deadline=None)
def test_wilson(right: int, more: int, confidence: float) -> None:
    total = right + more
    low, high = proportion_confint(right, total, alpha=1 - confidence, method="wilson")
    assert wilson(right / total, total, confidence) == pytest.approx((max(0, low), min(1, high)))


def test_games_and_judges_are_averaged() -> None:
    frame = verdicts(world(np.random.default_rng(5), 4, 4))
    other = frame.with_columns(judge=pl.lit("k"), preference=pl.lit(0.5))
    table, one = items(pl.concat([frame, other]), "base"), items(frame, "base")
    np.testing.assert_allclose(table.points_QM, (one.points_QM + 0.5) / 2)
    assert table.pairs_Q.tolist() == [8, 8, 8, 8]
    assert items(frame).models == one.models  # the baseline is the one in all verdicts


def test_labels_where_there_are_no_preferences() -> None:
    frame = pl.DataFrame(
        {
            "question_id": ["a", "b", "c"] * 3,
            "judge": "j",
            "model_a": ["x"] * 3 + ["y"] * 3 + ["z"] * 3,
            "model_b": "base",
            "game": 2,
            "label": ["A>>B", "A=B", "B>A", "A>B", "B>>A", None, "A=B", "A=B", "A=B"],
            "preference": pl.Series([None] * 9, dtype=pl.Float64),
        }
    )
    table = items(frame, "base")
    np.testing.assert_array_equal(table.points_QM, [[1, 1, 0.5], [0.5, 0, 0.5], [0, np.nan, 0.5]])
    assert table.without_label == 1
    found = value(frame, "base")
    assert any("1 verdict without a label" in said for said in found.warnings)
    assert any("no verdict on 1 of 9" in said for said in found.warnings)


def test_the_seed_is_all_that_chance_has() -> None:
    frame = verdicts(world(np.random.default_rng(6)))
    assert value(frame, "base", seed=1) == value(frame, "base", seed=1)
    assert value(frame, "base", seed=1) != value(frame, "base", seed=2)
    assert value(frame.sample(fraction=1, shuffle=True, seed=1), "base") == value(frame, "base")


def test_nothing_is_separated() -> None:
    found = value(verdicts(np.full((6, 4), 0.5)), "base")
    assert found.separability == 0
    assert all(one.information is None for one in found.questions)
    assert any("no two models are separated" in said for said in found.warnings)
    assert isinstance(found.table(), pl.DataFrame)


@pytest.mark.parametrize(
    ("shape", "baseline", "words"),
    [
        ((2, 5), "base", "found verdicts on 2 questions and 5 models"),
        ((5, 2), "base", "found verdicts on 5 questions and 2 models"),
        ((5, 5), "m000", "verdicts without 'm000', expected all against one baseline"),
    ],
)
def test_what_is_wrong_is_said(shape: tuple[int, int], baseline: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        value(verdicts(np.ones(shape)), baseline)


def test_the_baseline_must_be_one() -> None:
    frame = pl.concat([verdicts(np.ones((3, 3))), verdicts(np.ones((3, 3)), baseline="other")])
    with pytest.raises(InputError, match="found no single model that is in all verdicts"):
        value(frame)
    with pytest.raises(InputError, match="found no verdicts of one model against another"):
        value(frame.head(0))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
def test_the_korean_questions() -> None:
    found = value(read_verdicts(SHARED / "ensemble_verdicts.csv.gz", "base"), "base")
    lines = {one.question_id: one for one in found.questions}
    costly = [one for one in found.questions if one.information_upper is not None and one.information_upper < 0]
    print(f"\nseparability {found.separability:.4f}, flips {found.flips:.4f}, costly {len(costly)}")
    assert (len(lines), found.models) == (500, 76)
    assert found.flips == pytest.approx(5426 / 37999, abs=1e-4)
    best, worst = found.questions[0], found.questions[-1]
    assert isinstance(best, QuestionValue)
    assert (best.discrimination or 0) > 0.7
    assert (worst.discrimination or 0) < 0
    assert 10 < len(costly) < 50
