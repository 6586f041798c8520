"""Subsets of questions: orders against plain recomputation, no circular claims, and the Korean verdicts."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, spearmanr

from palaestra.errors import InputError
from palaestra.judge.selection import by_information, greedily, in_shares
from palaestra.judge.subset import measured_along, subset
from palaestra.judge.verdict_files import read_verdicts

SHARED = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "ko-arena-hard"
Z = norm.ppf(0.975)
tables = arrays(
    float, st.tuples(st.integers(8, 14), st.integers(4, 6)), elements=st.sampled_from([0.0, 0.5, 1.0, np.nan])
)


def world(rng: np.random.Generator, questions: int = 60, models: int = 24, *, useful: float = 0.3) -> np.ndarray:
    """Points of models of random strength; only a share of the questions sees it."""
    slope_Q = np.where(np.arange(questions) < useful * questions, 2.5, 0.2)
    chance_QM = norm.cdf(slope_Q[:, None] * rng.standard_normal(models))
    return rng.binomial(2, chance_QM) / 2


def verdicts(points_QM: np.ndarray, category: str | None = None) -> pl.DataFrame:
    question_B, model_B = (places.ravel() for places in np.indices(points_QM.shape))
    return pl.DataFrame(
        {
            "question_id": [f"q{question:03d}" for question in question_B],
            "judge": "j",
            "model_a": [f"m{model:03d}" for model in model_B],
            "model_b": "base",
            "label": pl.Series([None] * points_QM.size, dtype=pl.String),
            "preference": pl.Series(points_QM.ravel(), nan_to_null=True),
            "category": pl.Series([category] * points_QM.size, dtype=pl.String),
        }
    )


@given(tables, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_curve_is_what_each_subset_measures(points_QM: np.ndarray, random: object) -> None:
    points_QM[:2] = [[0.0] * points_QM.shape[1], [1.0] * points_QM.shape[1]]  # each model has two questions
    order_Q = np.random.default_rng(random.randrange(1000)).permutation(len(points_QM))  # ty: ignore[missing-attribute]
    sizes = [5, 7, len(points_QM)]
    for size, (apart, paired, order) in zip(sizes, measured_along(points_QM, order_Q, sizes, 0.95), strict=True):
        some_QM = points_QM[order_Q[:size]]
        separated, by_pair = [], []
        for a, b in combinations(some_QM.T, 2):
            means, halves = zip(*map(interval, (a, b)), strict=True)
            separated.append(abs(means[0] - means[1]) > sum(halves) + 1e-9)
            gap, half = interval(a - b)
            by_pair.append(abs(gap) > half + 1e-9)
        assert apart == pytest.approx(np.mean(separated))
        assert paired == pytest.approx(np.mean(by_pair))
        here_M, whole_M = (np.array([interval(row)[0] for row in some.T]) for some in (some_QM, points_QM))
        there_M = ~np.isnan(here_M)
        if there_M.sum() > 2 and min(np.ptp(one[there_M]) for one in (here_M, whole_M)) > 1e-9:
            assert order == pytest.approx(spearmanr(here_M[there_M].round(12), whole_M[there_M].round(12))[0])


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half width, by numpy; infinitely wide from one value."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.inf
    return known.mean(), Z * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.inf


@given(tables)
@settings(max_examples=30, deadline=None)
def test_an_order_holds_each_question_once(points_QM: np.ndarray) -> None:
    points_QM[:2] = [[0.0] * points_QM.shape[1], [1.0] * points_QM.shape[1]]
    for order_Q in (greedily(points_QM, 0.95), by_information(points_QM, 0.95)):
        assert sorted(order_Q) == list(range(len(points_QM)))


def test_each_greedy_step_is_the_best_one() -> None:
    """Against a plain loop over candidates and pairs."""
    points_QM = world(np.random.default_rng(0), 14, 6)
    usual, mean_M, chosen = points_QM.var(), points_QM.mean(axis=0), []
    while len(chosen) < len(points_QM):
        worth = {}
        for candidate in sorted(set(range(len(points_QM))) - set(chosen)):
            some_QM = points_QM[[*chosen, candidate]]
            count = len(some_QM) + 2
            squares_M = ((some_QM - some_QM.mean(axis=0)) ** 2).sum(axis=0) + 2 * usual
            half_M = Z * np.sqrt(squares_M / (count - 1) / count)
            first_P, second_P = np.triu_indices(points_QM.shape[1], 1)
            gap_P = (some_QM[:, first_P] - some_QM[:, second_P]).mean(axis=0)
            margin_P = np.sign(mean_M[first_P] - mean_M[second_P]) * gap_P / (half_M[first_P] + half_M[second_P])
            worth[candidate] = sum(min(1.2, margin) for margin in margin_P)
        chosen.append(max(worth, key=lambda candidate: round(worth[candidate], 9)))
    assert greedily(points_QM, 0.95).tolist() == chosen


@given(st.lists(st.integers(0, 3), min_size=6, max_size=30), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_each_topic_has_its_share_from_the_beginning(topics: list, seed: int) -> None:
    topic_Q = np.array(topics)
    order_Q = in_shares(topic_Q, np.random.default_rng(seed))
    assert sorted(order_Q) == list(range(len(topics)))
    for size in range(1, len(topics) + 1):
        for topic in set(topics):
            share = (topic_Q == topic).mean() * size
            assert abs((topic_Q[order_Q[:size]] == topic).sum() - share) <= len(set(topics))


@pytest.mark.parametrize("by", ["greedy", "information"])
def test_what_is_useful_is_chosen_and_its_use_is_seen_by_others(by: str) -> None:
    found = subset(verdicts(world(np.random.default_rng(1))), "base", by=by, size=18, splits=6)
    useful = [question for question in found.questions if int(question[1:]) < 18]
    assert len(useful) >= 14
    gain = found.at(18).gain_lower
    assert gain is not None
    assert gain > 0


@pytest.mark.parametrize("by", ["greedy", "information"])
def test_where_all_is_noise_nothing_is_gained(by: str) -> None:
    """The trap of a circular claim: here the models that choose see separation, and those that test must not."""
    rng = np.random.default_rng(2)
    noise_QM = rng.binomial(2, 0.5, size=(80, 24)) / 2
    found = subset(verdicts(noise_QM), "base", by=by, size=20, splits=20, confidence=0.5)
    point = found.at(20)
    order_Q = (greedily if by == "greedy" else by_information)(noise_QM, 0.5)
    own = measured_along(noise_QM, order_Q, [20], 0.5)[0, 0]
    print(f"\n{by}: own models {own:.3f}, held-out {point.mean:.3f}, gain {point.gain:+.3f}")
    assert (point.gain or 0) < 0.03
    assert own > point.mean + 0.1


def test_as_few_as_the_share_to_keep_allows() -> None:
    frame = verdicts(world(np.random.default_rng(3), useful=1.0))
    found = subset(frame, "base", keep=0.9, splits=5)
    chosen = [one for one in found.curve if (one.way, one.measure) == ("chosen", "separability")]
    least = 0.9 * chosen[-1].mean
    assert all(one.mean >= least for one in chosen if one.size >= len(found.questions))
    assert any(one.mean < least for one in chosen if one.size < len(found.questions))
    more = subset(frame, "base", keep=0.99, splits=5)
    assert len(more.questions) >= len(found.questions)
    assert more.questions[: len(found.questions)] == found.questions


def test_all_questions_are_all_questions() -> None:
    found = subset(verdicts(world(np.random.default_rng(4))), "base", splits=3)
    for way in ("chosen", "random"):
        assert found.at(found.of, "spearman", way).mean == pytest.approx(1)
    assert found.at(found.of).mean == pytest.approx(found.at(found.of, way="random").mean)
    assert found.of == 60
    assert found.table().height == len(found.curve)


def test_the_seed_is_all_that_chance_has() -> None:
    frame = verdicts(world(np.random.default_rng(5), 30))
    assert subset(frame, "base", splits=3, seed=1) == subset(frame, "base", splits=3, seed=1)
    assert subset(frame, "base", splits=3, seed=1).curve != subset(frame, "base", splits=3, seed=2).curve


def test_topics_come_from_categories_or_from_elsewhere() -> None:
    points_QM = world(np.random.default_rng(6), 30)
    plain = subset(verdicts(points_QM, "one"), "base", splits=2)
    assert {one.way for one in plain.curve} == {"chosen", "random"}
    assert any("not stratified" in said for said in plain.warnings)
    topics = {f"q{question:03d}": "abc"[question % 3] for question in range(30)}
    found = subset(verdicts(points_QM), "base", topics=topics, splits=2)
    assert {one.way for one in found.curve} == {"chosen", "random", "stratified"}
    with pytest.raises(InputError, match="found no topic of these questions"):
        subset(verdicts(points_QM), "base", topics={"other": "a"}, splits=2)


@pytest.mark.parametrize(
    ("shape", "size", "words"),
    [((30, 5), None, "found 5 models"), ((8, 10), None, "found 8 questions"), ((30, 10), 31, "found 30 questions")],
)
def test_what_is_wrong_is_said(shape: tuple[int, int], size: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        subset(verdicts(world(np.random.default_rng(7), *shape)), "base", size=size)


def test_where_nothing_is_separated_there_is_nothing_to_keep() -> None:
    frame = verdicts(np.full((12, 8), 0.5))
    with pytest.raises(InputError, match="nothing to keep; give a size"):
        subset(frame, "base", splits=2)
    assert len(subset(frame, "base", splits=2, size=6).questions) == 6


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
def test_the_korean_questions() -> None:
    """Chosen by 38 models, tested on 38 others: more separation than random subsets give, and about the same order."""
    frame = read_verdicts(SHARED / "ensemble_verdicts.csv.gz", "base")
    lines = (SHARED / "question.jsonl").read_text().splitlines()
    topics = {row["question_id"]: row["cluster"] for row in map(json.loads, lines)}
    found = subset(frame, "base", topics=topics, splits=5, draws=2)
    print(f"\n{len(found.questions)} of {found.of} keep 95%")
    for size in (50, 100, 150, 250, 500):
        for measure in ("separability", "paired", "spearman"):
            ways = [f"{way} {found.at(size, measure, way).mean:.3f}" for way in ("chosen", "random", "stratified")]
            print(f"  {size} {measure}: {', '.join(ways)}")
    assert (found.of, found.models) == (500, 76)
    assert 100 <= len(found.questions) <= 250
    for measure, least in (("separability", 0.04), ("paired", 0.01), ("spearman", -0.02)):
        assert (found.at(100, measure).gain or 0) > least
    assert all((found.at(100, measure, "stratified").gain or 0) < 0.02 for measure in ("separability", "paired"))
