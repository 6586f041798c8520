"""The compiled engine: against its plain twin, by its laws, and against other people's solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from palaestra.stats.bootstrap import bootstrap, exponential_draws
from palaestra.stats.covariance import model_covariance, sandwich_covariance
from palaestra.stats.likelihoods import VoteModel, exp_fast, log_probability, softplus_fast, win_probability
from palaestra.stats.newton import Maximum, Problem, maximise
from palaestra.stats.passes import Parameters, forecasts, log_likelihood, score_and_information, slopes
from palaestra.stats.plain import PlainVote, fit_plain, probabilities
from palaestra.stats.rows import Rows, sorted_rows, table_rows

Floats = NDArray[np.float64]
ELO = 400 / np.log(10)
NAMES = {
    VoteModel.BRADLEY_TERRY: "half",
    VoteModel.RAO_KUPPER: "rao-kupper",
    VoteModel.DAVIDSON: "davidson",
    VoteModel.GROUNDED: "grounded",
}
MODELS = pytest.mark.parametrize("model", list(VoteModel), ids=lambda model: model.name.lower())


def simulated(
    seed: int, votes: int = 160, models: int = 4, features: int = 2, clusters: int = 12
) -> tuple[list[PlainVote], dict[str, Any]]:
    """Votes of every outcome in which every model has won, lost and tied against every other."""
    rng = np.random.default_rng(seed)
    strengths = rng.normal(0, 0.5, models)
    rows = [(i, j, o) for i in range(models) for j in range(models) if i != j for o in range(4)]
    while len(rows) < votes:
        i, j = rng.choice(models, 2, replace=False)
        chances = probabilities("grounded", strengths[i] - strengths[j], (strengths[i] + strengths[j]) / 2 + 0.5, -0.5)
        rows.append((i, j, rng.choice(4, p=chances)))
    x = rng.normal(size=(features, len(rows)))
    made = [
        PlainVote(
            int(i), int(j), int(o), tuple(x[:, r]), float(rng.integers(1, 4)), float(rng.uniform(0.3, 2)),
            int(rng.integers(clusters)),
        )
        for r, (i, j, o) in enumerate(rows)
    ]  # fmt: skip
    return made, {"models": models}


def rows_of(votes: list[PlainVote], models: int) -> Rows:
    weight = np.array([vote.count * vote.importance for vote in votes])
    return sorted_rows(
        models,
        np.array([vote.first for vote in votes], dtype=np.int32),
        np.array([vote.second for vote in votes], dtype=np.int32),
        np.array([vote.outcome for vote in votes], dtype=np.int8),
        weight_B=weight,
        square_B=weight * np.array([vote.importance for vote in votes]),
        x_FB=np.array([vote.x for vote in votes]).T.reshape(len(votes[0].x), len(votes)),
    )


def fitted(rows: Rows, model: VoteModel, penalty: float = 0.0) -> Maximum:
    return maximise(Problem(rows, model, np.zeros(rows.models, dtype=np.int64), penalty=penalty))


def flat(at: Parameters, model: VoteModel) -> Floats:
    return np.concatenate([at.theta_M, at.beta_F, np.full(model.shapes, at.shape)])


@MODELS
@pytest.mark.parametrize(("seed", "penalty"), [(0, 0.0), (1, 0.5)])
def test_the_twin_finds_the_same(model: VoteModel, seed: int, penalty: float) -> None:
    votes, shape = simulated(seed)
    plain = fit_plain(
        [replace(vote, cluster=None) for vote in votes], shape["models"], model=NAMES[model], penalty=penalty
    )
    rows = rows_of(votes, shape["models"])
    found = fitted(rows, model, penalty)
    assert found.converged
    np.testing.assert_allclose(flat(found.at, model), plain.parameters, atol=2e-6)
    np.testing.assert_allclose(sandwich_covariance(found), plain.covariance, rtol=2e-4, atol=2e-6)
    clustered = fit_plain(votes, shape["models"], model=NAMES[model], penalty=penalty)
    cluster_B = np.array([vote.cluster for vote in votes], dtype=np.int32)[rows.source_B]
    np.testing.assert_allclose(sandwich_covariance(found, cluster_B), clustered.covariance, rtol=2e-4, atol=2e-6)


@MODELS
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_derivatives_are_those_of_the_likelihood(model: VoteModel, seed: int) -> None:
    """Score and information against differences of a log-likelihood written out in Python."""
    votes, shape = simulated(seed, votes=60, models=3)
    rows = rows_of(votes, shape["models"])
    rng = np.random.default_rng(seed)
    at = Parameters(rng.normal(size=3), rng.normal(size=2) * 0.3, 0.4 if model is not VoteModel.BRADLEY_TERRY else 0.0)

    def total(point: Floats) -> float:
        moved = Parameters(point[:3], point[3:5], float(point[5]) if model.shapes else 0.0)
        theta, value = moved.theta_M, 0.0
        for vote in votes:
            d = theta[vote.first] - theta[vote.second] + float(np.dot(vote.x, moved.beta_F))
            c = (theta[vote.first] + theta[vote.second]) / 2
            win, loss, tie, bad = probabilities(NAMES[model], d, c, moved.shape)
            if model is VoteModel.BRADLEY_TERRY:
                value += (
                    vote.count
                    * vote.importance
                    * np.log([win, loss, np.sqrt(win * loss), np.sqrt(win * loss)][vote.outcome])
                )
                continue
            tie_or_bad = bad if model is VoteModel.GROUNDED else tie
            value += vote.count * vote.importance * np.log([win, loss, tie, tie_or_bad][vote.outcome])
        return float(value)

    point = flat(at, model)
    score_Q, information_QQ = score_and_information(rows, model, at)
    steps = np.eye(len(point)) * 1e-5
    by_difference = [(total(point + step) - total(point - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(score_Q, by_difference, rtol=1e-5, atol=1e-5)
    for q, step in enumerate(steps):
        moved = [Parameters(p[:3], p[3:5], float(p[5]) if model.shapes else 0.0) for p in (point + step, point - step)]
        upper_Q, lower_Q = (score_and_information(rows, model, one)[0] for one in moved)
        np.testing.assert_allclose(information_QQ[q], (lower_Q - upper_Q) / 2e-5, rtol=1e-4, atol=1e-4)
    assert forecasts(rows, model, at).log_likelihood == pytest.approx(total(point), rel=1e-10)
    assert log_likelihood(rows, model, at) == pytest.approx(total(point), rel=1e-10)
    direction_Q = rng.normal(size=len(point))
    assert slopes(rows, model, at, direction_Q).sum() == pytest.approx(score_Q @ direction_Q, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(st.floats(-600, 600))
def test_the_fast_exponential(x: float) -> None:
    assert exp_fast(x) == pytest.approx(np.exp(x), rel=1e-12)
    assert softplus_fast(x) == pytest.approx(np.logaddexp(0, x), rel=1e-11, abs=1e-12)


@MODELS
@settings(deadline=None)
@given(d=st.floats(-8, 8), c=st.floats(-4, 4), s=st.floats(0.05, 2))
def test_probabilities_sum_to_one(model: VoteModel, d: float, c: float, s: float) -> None:
    plain = probabilities(NAMES[model], d, c, s)
    if model is VoteModel.BRADLEY_TERRY:
        assert win_probability(int(model), d, c, s) == pytest.approx(plain[0])
        return
    outcomes = range(4) if model is VoteModel.GROUNDED else range(3)
    found = [np.exp(log_probability(int(model), outcome, d, c, s)) for outcome in outcomes]
    assert sum(found) == pytest.approx(1)
    np.testing.assert_allclose(found, plain[: len(found)], rtol=1e-6, atol=1e-12)
    swapped = np.exp(log_probability(int(model), 0, -d, c, s))
    assert swapped == pytest.approx(found[1]), "the sides are alike"
    assert win_probability(int(model), d, c, s) == pytest.approx(found[0] + (1 - found[0] - found[1]) / 2)


@MODELS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_laws(model: VoteModel, seed: int) -> None:
    votes, shape = simulated(seed, votes=120)
    count = shape["models"]
    base = fitted(rows_of(votes, count), model)
    covariance = sandwich_covariance(base)

    def same(others: list[PlainVote], factor: float = 1.0) -> None:
        other = fitted(rows_of(others, count), model)
        np.testing.assert_allclose(flat(other.at, model), flat(base.at, model), atol=1e-8)
        np.testing.assert_allclose(factor * sandwich_covariance(other), covariance, rtol=1e-6, atol=1e-10)

    same([votes[r] for r in np.random.default_rng(seed).permutation(len(votes))])
    turn = {0: 1, 1: 0, 2: 2, 3: 3}
    same([
        replace(v, first=v.second, second=v.first, outcome=turn[v.outcome], x=tuple(-x for x in v.x)) for v in votes
    ])  # fmt: skip
    same([replace(v, count=v.count / 2) for v in votes for _ in range(2)])
    same([replace(v, count=2 * v.count) for v in votes], factor=2.0)
    same([replace(v, importance=3 * v.importance) for v in votes])
    new = [2, 0, 3, 1]
    renamed = fitted(rows_of([replace(v, first=new[v.first], second=new[v.second]) for v in votes], count), model)
    np.testing.assert_allclose(renamed.at.theta_M[new], base.at.theta_M, atol=1e-8)
    np.testing.assert_allclose(renamed.at.beta_F, base.at.beta_F, atol=1e-8)


@MODELS
def test_sums_of_votes_are_votes(model: VoteModel) -> None:
    votes, shape = simulated(3, votes=400, features=0)
    votes = [replace(vote, count=1.0, importance=1.0) for vote in votes]
    table = np.zeros((4, shape["models"], shape["models"]))
    for vote in votes:
        i, j, o = vote.first, vote.second, vote.outcome
        table[o if i < j or o > 1 else 1 - o, min(i, j), max(i, j)] += 1
    single, summed = fitted(rows_of(votes, shape["models"]), model), fitted(table_rows(table), model)
    np.testing.assert_allclose(flat(summed.at, model), flat(single.at, model), atol=1e-9)
    np.testing.assert_allclose(sandwich_covariance(summed), sandwich_covariance(single), rtol=1e-8, atol=1e-12)


def test_many_parts_and_one_are_the_same_to_the_last_bit() -> None:
    """Work is cut by the data, not by the cores; and what is cut adds up."""
    rng = np.random.default_rng(0)
    count, votes = 30, 300_000
    first = rng.integers(count, size=votes).astype(np.int32)
    second = ((first + rng.integers(1, count, size=votes)) % count).astype(np.int32)
    outcome, weight = rng.integers(4, size=votes).astype(np.int8), np.ones(votes)
    rows = sorted_rows(
        count, first, second, outcome, weight_B=weight, square_B=weight, x_FB=rng.normal(size=(2, votes))
    )
    at = Parameters(rng.normal(size=count), np.array([0.1, -0.2]))
    once, again = (score_and_information(rows, VoteModel.BRADLEY_TERRY, at) for _ in range(2))
    assert (once[0] == again[0]).all()
    assert (once[1] == again[1]).all()
    gap = at.theta_M[first] - at.theta_M[second]
    x_FB = np.empty_like(rows.x_FB)
    x_FB[:, rows.source_B] = rows.x_FB * np.where((first > second)[rows.source_B], -1, 1)
    d = gap + at.beta_F @ x_FB
    y = np.array([1.0, 0.0, 0.5, 0.5])[outcome]
    np.testing.assert_allclose(once[0][count:], x_FB @ (y - 1 / (1 + np.exp(-d))), rtol=1e-8)


def test_choix_and_statsmodels_agree() -> None:
    """Bradley-Terry by the spectral method, and as a logistic regression with robust and clustered errors."""
    rng = np.random.default_rng(5)
    count, votes = 6, 3000
    first = rng.integers(count, size=votes).astype(np.int32)
    second = ((first + rng.integers(1, count, size=votes)) % count).astype(np.int32)
    theta, x = rng.normal(0, 0.7, count), rng.normal(size=(2, votes))
    chance = 1 / (1 + np.exp(-(theta[first] - theta[second] + 0.4 * x[0])))
    outcome = (rng.random(votes) > chance).astype(np.int8)
    ones, clusters = np.ones(votes), rng.integers(80, size=votes)
    plain = fitted(sorted_rows(count, first, second, outcome, weight_B=ones, square_B=ones), VoteModel.BRADLEY_TERRY)
    wins = np.zeros((count, count))
    np.add.at(wins, (np.where(outcome == 0, first, second), np.where(outcome == 0, second, first)), 1)
    spectral = choix.ilsr_pairwise_dense(wins, alpha=0, tol=1e-12)
    np.testing.assert_allclose(ELO * plain.at.theta_M, ELO * (spectral - spectral.mean()), atol=0.01)

    rows = sorted_rows(count, first, second, outcome, weight_B=ones, square_B=ones, x_FB=x)
    found = fitted(rows, VoteModel.BRADLEY_TERRY)
    design = np.zeros((votes, count + 2))
    design[np.arange(votes), first] += 1
    design[np.arange(votes), second] -= 1
    design[:, count:] = x.T
    others = sm.GLM(1 - outcome, design[:, 1:], family=sm.families.Binomial())
    robust, grouped = (
        others.fit(cov_type="HC0", tol=1e-12),
        others.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}, tol=1e-12),
    )
    free = np.append(0.0, robust.params[: count - 1])
    np.testing.assert_allclose(found.at.theta_M, free - free.mean(), atol=1e-7)
    np.testing.assert_allclose(found.at.beta_F, robust.params[count - 1 :], atol=1e-7)
    against_first = np.zeros((count + 1, count + 2))
    against_first[:, 1:] = np.eye(count + 1)
    against_first[: count - 1, 0] = -1
    cluster_B = clusters.astype(np.int32)[rows.source_B]
    for ours, theirs in (
        (sandwich_covariance(found), robust.cov_params()),
        (sandwich_covariance(found, cluster_B) * 79 / 80, grouped.cov_params()),
    ):
        errors = np.sqrt(np.diag(against_first @ ours @ against_first.T))
        np.testing.assert_allclose(errors, np.sqrt(np.diag(theirs)), rtol=1e-4)


def test_bootstrap_errors_are_those_of_the_sandwich() -> None:
    votes, shape = simulated(8, votes=3000)
    single = [replace(vote, count=1.0, importance=1.0) for vote in votes]
    rows = rows_of(single, shape["models"])
    cluster_B = np.array([vote.cluster for vote in votes], dtype=np.int32)[rows.source_B]
    wide_B = np.random.default_rng(0).integers(300, size=len(votes)).astype(np.int32)
    for model in VoteModel:
        found = fitted(rows, model)
        for clusters in (None, wide_B):
            errors = np.sqrt(np.diag(sandwich_covariance(found, clusters)))
            drawn = bootstrap(found, rounds=600, seed=1, cluster_B=clusters).std(axis=0)
            np.testing.assert_allclose(drawn, errors, rtol=0.12)
    assert len(np.unique(cluster_B)) == 12
    summed = fitted(
        rows_of([replace(vote, count=3.0, importance=1.0) for vote in single], shape["models"]), VoteModel.BRADLEY_TERRY
    )
    errors = np.sqrt(np.diag(sandwich_covariance(summed)))
    np.testing.assert_allclose(bootstrap(summed, rounds=600, seed=2).std(axis=0), errors, rtol=0.12)
    once, again, other = (bootstrap(summed, rounds=20, seed=seed) for seed in (5, 5, 6))
    assert (once == again).all()
    assert not (once == other).all()


def test_every_round_of_the_bootstrap_is_converged() -> None:
    votes, shape = simulated(9, votes=400)
    rows = rows_of([replace(vote, count=1.0, importance=1.0) for vote in votes], shape["models"])
    found = fitted(rows, VoteModel.BRADLEY_TERRY)
    rough = bootstrap(found, rounds=20, seed=3)
    import palaestra.stats.bootstrap as module

    original, module._LAST_STEP = module._LAST_STEP, 1e-10
    try:
        exact = bootstrap(found, rounds=20, seed=3)
    finally:
        module._LAST_STEP = original
    assert ELO * np.abs(rough - exact).max() < 1e-3


def test_weights_of_the_bootstrap() -> None:
    draws = exponential_draws()
    assert draws.mean() == pytest.approx(1, abs=1e-6)
    assert draws.var() == pytest.approx(1, abs=1e-6)
    assert draws.min() > 0
    assert len(draws) & (len(draws) - 1) == 0


def test_the_models_covariance_is_the_inverse_information() -> None:
    votes, shape = simulated(2)
    found = fitted(rows_of(votes, shape["models"]), VoteModel.GROUNDED)
    product = model_covariance(found) @ found.information_QQ
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-8)
    found = fitted(rows_of(votes, shape["models"]), VoteModel.BRADLEY_TERRY)
    covariance = model_covariance(found)
    np.testing.assert_allclose(covariance[:4].sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(covariance @ found.information_QQ @ covariance, covariance, atol=1e-10)


def test_parts_are_each_centred() -> None:
    table = np.zeros((4, 4, 4))
    table[0, 0, 1], table[1, 0, 1], table[0, 2, 3], table[1, 2, 3] = 3, 1, 1, 4
    found = maximise(Problem(table_rows(table), VoteModel.BRADLEY_TERRY, np.array([0, 0, 1, 1])))
    assert found.at.theta_M[0] + found.at.theta_M[1] == pytest.approx(0, abs=1e-12)
    assert found.at.theta_M[0] - found.at.theta_M[1] == pytest.approx(np.log(3))
    assert found.at.theta_M[2] - found.at.theta_M[3] == pytest.approx(-np.log(4))
