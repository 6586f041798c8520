"""Prediction-powered inference: the published formula, independent fits, and coverage over simulated worlds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from palaestra.judge.ppi import judge_mean, people_mean, ppi_mean
from palaestra.judge.ppi_ratings import Comparisons, people_strengths, ppi_strengths

Floats = NDArray[np.float64]
WORLDS, LABELLED, OTHERS, MODELS = 200, 150, 1500, 6


@given(st.integers(3, 60), st.integers(1, 200), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_mean_is_the_published_formula(n: int, more: int, seed: int) -> None:
    """Value, variance and weight as PPI++ has them for a mean, but for what few labels cost."""
    rng = np.random.default_rng(seed)
    y, f, g = rng.normal(size=n), rng.normal(size=n), rng.normal(size=more)
    f += y
    found = ppi_mean(y, f, g, 0.95)
    covariance = np.mean((y - y.mean()) * (f - f.mean())) * (n / (n - 1)) ** 2
    spread = np.var(f) / n * (n / (n - 1)) ** 2 + np.var(g) / more
    weight = min(max(covariance / n / spread, 0.0), 1.0)
    assert found.weight == pytest.approx(weight)
    assert found.value == pytest.approx(np.mean(y - weight * f) + weight * g.mean())
    # the sums of the jackknife leave the judge's others as they are
    spared = np.var(y - weight * f) / n * (n / (n - 1)) ** 2 + weight**2 * np.var(g) / more
    variance = spared * (n - 1) / n * (n - 1) / (n - 2)
    assert found.se**2 == pytest.approx(variance)


def test_a_judge_that_is_right_is_worth_all_its_verdicts() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=100_200).astype(float)
    found, alone = ppi_mean(y[:200], y[:200], y[200:], 0.95), people_mean(y[:200], 0.95)
    assert found.weight == pytest.approx(1, abs=0.01)
    assert (found.upper - found.lower) < 0.06 * (alone.upper - alone.lower)


def test_people_alone_are_the_classical_interval() -> None:
    y = np.random.default_rng(1).normal(size=40)
    peer = sm.stats.DescrStatsW(y).tconfint_mean()
    found = people_mean(y, 0.95)
    assert (found.lower, found.upper) == pytest.approx(peer)


def test_two_labels_leave_the_judge_out() -> None:
    y, f, g = np.array([0.0, 1.0]), np.array([0.1, 0.8]), np.ones(9)
    assert ppi_mean(y, f, g, 0.95) == people_mean(y, 0.95)


def test_few_clusters_are_covered() -> None:
    """Ten questions of six comparisons with votes; each question has a taste that people and judge share."""
    inside = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        question = np.repeat(np.arange(110), 6)
        z = rng.normal(0, 1, 110)[question] + rng.normal(0, 1, 660)
        y, f = (rng.random(660) < expit(z)).astype(float), (rng.random(660) < expit(2 * z + 0.5)).astype(float)
        found = ppi_mean(y[:60], f[:60], f[60:], 0.95, clusters=(question[:60], question[60:]))
        inside.append(found.lower <= 0.5 <= found.upper)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_clusters_of_one_are_no_clusters() -> None:
    rng = np.random.default_rng(2)
    y, f, g = rng.normal(size=30), rng.normal(size=30), rng.normal(size=50)
    clusters = np.arange(30), np.arange(30, 80)
    assert ppi_mean(y, f, g, 0.9, clusters=clusters) == pytest.approx(ppi_mean(y, f, g, 0.9))


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_ratings_are_the_minimum_of_the_rectified_loss(weight: float) -> None:
    """Against a general optimiser on the loss as it is written."""
    world = draw(np.random.default_rng(3), knows=1.0, bias=0.3)
    found = ppi_strengths(MODELS, world.people, world.judged, world.others, 0.95, weight=weight)
    assert found is not None

    def lost(sample: Comparisons, points: Floats, theta: Floats) -> float:
        d = theta[sample.first_B] - theta[sample.second_B]
        return float(np.mean(np.logaddexp(0, d) - points * d))

    def total(theta: Floats) -> float:
        people = lost(world.people, world.people.points_B, theta)
        rectified = lost(world.others, world.others.points_B, theta) - lost(world.people, world.judged, theta)
        return people + weight * rectified + theta.mean() ** 2

    peer = minimize(total, np.zeros(MODELS), method="BFGS", options={"gtol": 1e-9}).x
    assert found.theta_M == pytest.approx(peer, abs=1e-5)


def test_ratings_by_people_alone_are_a_logit_with_hc3_errors() -> None:
    world = draw(np.random.default_rng(4), knows=1.0)
    found = people_strengths(MODELS, world.people, 0.95)
    assert found is not None
    design = np.zeros((LABELLED, MODELS))
    design[np.arange(LABELLED), world.people.first_B] = 1
    design[np.arange(LABELLED), world.people.second_B] = -1
    peer = sm.GLM(world.people.points_B, design[:, 1:], family=sm.families.Binomial()).fit()
    assert found.theta_M[1:] - found.theta_M[0] == pytest.approx(peer.params, abs=1e-6)
    p = peer.fittedvalues
    bread = np.linalg.inv(design[:, 1:].T @ ((p * (1 - p))[:, None] * design[:, 1:]))
    pull = p * (1 - p) * np.einsum("bi,ij,bj->b", design[:, 1:], bread, design[:, 1:])
    scores = design[:, 1:] * ((world.people.points_B - p) / (1 - pull))[:, None]
    covariance = bread @ scores.T @ scores @ bread * LABELLED / (LABELLED - 1)
    contrast = np.hstack([-np.ones((MODELS - 1, 1)), np.eye(MODELS - 1)])
    ours = contrast @ found.covariance_MM @ contrast.T
    centred = scores - scores.mean(axis=0)  # scores over 1 - pull do not sum to zero exactly
    assert ours == pytest.approx(bread @ centred.T @ centred @ bread * LABELLED / (LABELLED - 1), rel=1e-6, abs=1e-9)
    assert ours == pytest.approx(covariance, rel=0.02, abs=2e-3)


def test_votes_that_bound_no_strength_have_no_ratings() -> None:
    apart = Comparisons(np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2]), np.array([1.0, 1.0, 1.0, 1.0]))
    assert people_strengths(4, apart, 0.95) is None
    won_all = Comparisons(np.array([0, 0, 0]), np.array([1, 1, 1]), np.ones(3))
    assert people_strengths(2, won_all, 0.95) is None


def test_too_few_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least two"):
        ppi_mean(np.ones(1), np.ones(1), np.ones(3), 0.95)
    with pytest.raises(ValueError, match="expected two at least"):
        ppi_mean(np.ones(2), np.ones(2), np.ones(3), 0.95, clusters=(np.zeros(2, int), np.ones(3, int)))


@dataclass(frozen=True, slots=True)
class World:
    """Comparisons with people's points, the judge's on the same, and others with the judge's alone."""

    people: Comparisons
    judged: Floats
    others: Comparisons
    clusters: tuple[NDArray[np.int64], NDArray[np.int64]] | None


def draw(
    rng: np.random.Generator, *, knows: float, bias: float = 0.0, questions: int = 0, size: int = LABELLED + OTHERS
) -> World:
    """Strengths, a difficulty that people and judge share as far as it knows, a bias for every second model."""
    theta = np.linspace(-1.2, 1.2, MODELS)
    lean = knows * theta + bias * np.resize([1, -1], MODELS)
    first, step = rng.integers(MODELS, size=size), rng.integers(1, MODELS, size=size)
    second, shared = (first + step) % MODELS, rng.normal(0, 2.0, size)
    question = rng.integers(questions, size=size) if questions else None
    if question is not None:
        taste = rng.normal(0, 0.8, (questions, MODELS))
        shared = shared + taste[question, first] - taste[question, second]
    said = rng.random(size) < expit(theta[first] - theta[second] + shared)
    judged = (rng.random(size) < expit(lean[first] - lean[second] + knows * shared)).astype(float)
    own, more = slice(LABELLED), slice(LABELLED, None)
    return World(
        Comparisons(first[own], second[own], said[own].astype(float)),
        judged[own],
        Comparisons(first[more], second[more], judged[more]),
        None if question is None else (question[own], question[more]),
    )


def truth(**world: float) -> Floats:
    """People's strengths with no end of votes."""
    rng = np.random.default_rng(99)
    theta = np.linspace(-1.2, 1.2, MODELS)
    first, step = rng.integers(MODELS, size=400_000), rng.integers(1, MODELS, size=400_000)
    second = (first + step) % MODELS
    sd = np.sqrt(2.0**2 + (2 * 0.8**2 if world.get("questions") else 0.0))
    chance = expit(theta[first] - theta[second] + rng.normal(0, sd, len(first)))
    found = people_strengths(MODELS, Comparisons(first, second, chance), 0.95)
    assert found is not None
    return found.theta_M


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("a good judge", {"knows": 2.0}),
        ("a biased judge", {"knows": 2.0, "bias": 0.8}),
        ("a useless judge", {"knows": 0.0}),
        ("questions as clusters", {"knows": 2.0, "questions": 60}),
    ],
)
def test_coverage(name: str, world: dict) -> None:
    """Ratings of six models in 200 worlds: both covers as people alone do, and is never wider to speak of."""
    right, covered, width, weights = truth(**world), [], [], []
    for seed in range(WORLDS):
        drawn = draw(np.random.default_rng(seed), **world)
        own = None if drawn.clusters is None else drawn.clusters[0]
        everything = None if drawn.clusters is None else np.concatenate(drawn.clusters)
        whole = drawn.people.said(drawn.judged).and_(drawn.others)
        found = (
            people_strengths(MODELS, drawn.people, 0.95, own),
            people_strengths(MODELS, whole, 0.95, everything),
            ppi_strengths(MODELS, drawn.people, drawn.judged, drawn.others, 0.95, clusters=drawn.clusters),
        )
        if any(one is None for one in found):
            continue
        covered.append([np.mean(np.abs(one.theta_M - right) <= one.half_M) for one in found if one is not None])
        width.append([one.half_M.mean() for one in found if one is not None])
        weights.append(found[2].weight if found[2] is not None else np.nan)
    people, judge, both = np.mean(covered, axis=0)
    ratio = float(np.mean(width, axis=0)[2] / np.mean(width, axis=0)[0])
    print(
        f"\n{name}: {len(covered)} worlds; coverage people {people:.3f}, judge {judge:.3f}, both {both:.3f}; "
        f"width {ratio:.3f} of people's; weight {np.mean(weights):.2f}"
    )
    assert len(covered) > 0.95 * WORLDS
    assert both == pytest.approx(0.95, abs=0.025)
    assert people == pytest.approx(0.95, abs=0.025)
    if name == "a useless judge":
        assert ratio < 1.005
    else:
        assert ratio < 0.95
    if name in {"a biased judge", "a useless judge"}:
        assert judge < 0.5


def test_the_mean_is_covered_whatever_the_judge_says() -> None:
    """A win rate of 0.6; the judge is right in 85 of 100 and otherwise calls everything a win."""
    rng, inside, narrow, alone = np.random.default_rng(5), [], [], []
    for _ in range(600):
        y = (rng.random(2100) < 0.6).astype(float)
        f = np.where(rng.random(2100) < 0.85, y, 1.0)
        both, judge = ppi_mean(y[:100], f[:100], f[100:], 0.95), judge_mean(f[100:], 0.95)
        inside.append(both.lower <= 0.6 <= both.upper)
        alone.append(judge.lower <= 0.6 <= judge.upper)
        people = people_mean(y[:100], 0.95)
        narrow.append((both.upper - both.lower) / (people.upper - people.lower))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    assert np.mean(alone) < 0.02
    assert np.mean(narrow) < 0.6
