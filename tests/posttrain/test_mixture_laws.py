"""Mixtures: points of the simplex, laws that recover what was planted, intervals that cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixture_worlds import noisy, plan_of, planted

from palaestra.errors import InputError
from palaestra.posttrain.mixture.best import Target, best_mixture, target_of
from palaestra.posttrain.mixture.design import Corner, best_runs, design
from palaestra.posttrain.mixture.effects import effects
from palaestra.posttrain.mixture.law import RIDGES, Features, Ridge, Runs, fit_law, fit_laws
from palaestra.posttrain.mixture.simplex import Bounds, filling, nearest, uniform, without
from palaestra.posttrain.mixture.spread import noise_floor, refits

NOISE = 0.02


@given(st.integers(2, 24), st.integers(0, 70), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_points_that_fill_are_on_the_simplex(domains: int, points: int, seed: int) -> None:
    point_ND = filling(domains, points, seed)
    assert point_ND.shape == (points, domains)
    assert (point_ND >= 0).all()
    np.testing.assert_allclose(point_ND.sum(axis=1), 1, rtol=1e-12)


def test_points_fill_more_evenly_than_chance() -> None:
    """Each domain's mean weight is 1 / D: the sequence is nearer to that than draws are."""
    off = [np.abs(filling(5, 64, seed).mean(axis=0) - 0.2).max() for seed in range(20)]
    drawn = [
        np.abs(np.random.default_rng(seed).dirichlet(np.ones(5), 64).mean(axis=0) - 0.2).max() for seed in range(20)
    ]
    assert np.mean(off) < np.mean(drawn) / 3


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_nearest_point_within_bounds(data: st.DataObject) -> None:
    """It is within them, sums to one, stays where it is if it was, and no other point is nearer."""
    domains, seed = data.draw(st.integers(2, 8)), data.draw(st.integers(0, 10_000))
    chance = np.random.default_rng(seed)
    inside_D = chance.dirichlet(np.ones(domains))
    bounds = Bounds(inside_D * chance.random(domains), inside_D + (1 - inside_D) * chance.random(domains))
    point_D = chance.normal(size=domains)
    near_D = nearest(point_D[None], bounds)[0]
    assert (near_D >= bounds.least_D).all()
    assert (near_D <= bounds.most_D).all()
    assert near_D.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(nearest(near_D[None], bounds)[0], near_D, atol=1e-9)
    np.testing.assert_allclose(nearest(inside_D[None], bounds)[0], inside_D, atol=1e-9)
    assert ((point_D - near_D) @ (inside_D - near_D)) <= 1e-7  # what a projection on a convex set has


@given(st.integers(2, 12), st.integers(5, 60), st.sampled_from(["alone", "doubled"]), st.integers(10**4, 10**7))
@settings(max_examples=40, deadline=None)
def test_a_design_keeps_its_budget(domains: int, runs: int, corner: Corner, budget: int) -> None:
    names = [f"d{number}" for number in range(domains)]
    plan = design(names, runs=runs, budget_tokens=budget, corner=corner, levels=(1.0, 0.5))
    spent = sum(run.tokens for run in plan.runs) + sum(run.tokens for run in best_runs(plan, uniform(domains), 3, 0))
    assert budget - (runs + 3) <= spent + runs + 3
    assert spent <= budget
    assert len(plan.runs) == runs
    assert len({run.id for run in plan.runs}) == len({run.seed for run in plan.runs}) == runs
    assert all(sum(run.weights.values()) == pytest.approx(1) and min(run.weights.values()) >= 0 for run in plan.runs)
    kinds = [run.kind for run in plan.runs]
    assert kinds.count("without") == (domains if runs >= 3 + domains else 0)
    assert kinds.count(corner) == (domains if runs >= 3 + 3 * domains else 0)
    assert len(plan.left_out) == (runs < 3 + domains) + (runs < 3 + 3 * domains)


def test_the_order_in_which_domains_are_named_does_not_matter() -> None:
    assert design(["b", "a", "c"], runs=20, budget_tokens=10**6) == design(
        ["c", "b", "a"], runs=20, budget_tokens=10**6
    )


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (["a"], {}, "at least two"),
        (["a", "a"], {}, "each named once"),
        (["a", "b"], {"runs": 4}, "2 more elsewhere"),
        (["a", "b"], {"budget_tokens": 10}, "at least one token a run"),
        (["a", "b"], {"levels": (0.5,)}, "the largest is 1"),
    ],
)
def test_designs_that_cannot_be(names: list[str], more: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"runs": 12, "budget_tokens": 10**6, **more}
    with pytest.raises(InputError, match=said):
        design(names, **asked)


def test_what_is_left_out_has_a_closed_form() -> None:
    """Against refits without each mixture, for every kind of law."""
    runs = noisy(plan_of(3, 14), planted(3, 0), NOISE, 0)
    group_R = runs.group_R()
    assert len(np.unique(group_R)) == 12  # three seeds at the centre are one mixture
    features = Features.of(runs, "quadratic").matrix(runs.weight_RD, runs.tokens_R)
    fit = Ridge(features, group_R).fit(runs.value_RS, logarithms=False)
    for place, ridge in enumerate(fit.ridge_N):
        assert ridge in RIDGES
        for group in np.unique(group_R):
            kept = group_R != group
            mean_F, target_R = features[kept].mean(axis=0), runs.value_RS[kept, place]
            centred = features - features[kept].mean(axis=0)
            # the penalty counts all rows, and the constant is free
            gram = centred[kept].T @ centred[kept] + ridge * len(features) * np.eye(features.shape[1])
            slope_F = np.linalg.solve(gram, centred[kept].T @ (target_R - target_R.mean()))
            foretold = target_R.mean() + (features[~kept] - mean_F) @ slope_F
            np.testing.assert_allclose(fit.held_out_RN[~kept, place], foretold, rtol=1e-6)


def test_a_planted_law_is_recovered() -> None:
    """The best mixture's true loss is within a hundredth of the least one's distance from uniform; the law is named."""
    share, names = [], []
    for seed in range(6):
        truth, plan = planted(4, seed), plan_of(4, 30, seed)
        runs = noisy(plan, truth, 0.005, seed)
        law = fit_laws(runs, "loss")[0]
        rounds = refits(law, runs, rounds=60, seed=0)
        best = best_mixture(rounds, Target("loss"), Bounds.none(4), plan.tokens, confidence=0.95, seed=0)
        fine_ND = np.vstack([np.random.default_rng(1).dirichlet(np.ones(4), 30_000), filling(4, 4096, 1), np.eye(4)])
        least = truth(fine_ND).mean(axis=1).min()
        alike = truth(uniform(4)[None]).mean()
        share.append((truth(best.weight_D[None]).mean() - least) / (alike - least))
        names.append(law.name)
        assert best.surely_better
    assert names == ["exponential"] * 6
    assert np.mean(share) < 0.05
    assert max(share) < 0.2


def test_the_error_on_mixtures_left_out_is_near_the_noise_floor() -> None:
    ratios = []
    for seed in range(8):
        runs = noisy(plan_of(4, 40, seed), planted(4, seed), NOISE, seed)
        law = fit_law(runs, "exponential")
        ratios.append(np.mean(law.error_S / (NOISE * runs.value_RS.mean(axis=0))))
    assert 0.9 < np.mean(ratios) < 1.3


def test_the_noise_floor_is_the_spread_over_seeds() -> None:
    found = [
        noise_floor(runs, np.log(runs.value_RS))
        for runs in (noisy(plan_of(3, 12, seed), planted(3, seed), NOISE, seed) for seed in range(300))
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(NOISE, rel=0.08)


def test_intervals_cover_in_200_worlds() -> None:
    """Those of the effects hold for the whole matrix at once, with a floor or without."""
    held = []
    for seed in range(200):
        truth = planted(3, seed, floor=0.5 if seed % 2 else 0.0)
        plan = plan_of(3, 18, seed)
        runs = noisy(plan, truth, NOISE, seed)
        rounds = refits(fit_law(runs, "exponential"), runs, rounds=80, seed=seed)
        found = effects(rounds, runs, "loss", plan.tokens, confidence=0.95)
        right_DS = np.stack([truth(without(3, one)[None])[0] - truth(uniform(3)[None])[0] for one in range(3)])
        held.append(((found.lower_DS <= right_DS) & (right_DS <= found.upper_DS)).all())
    assert np.mean(held) >= 0.92


def test_the_best_is_chosen_after_looking_and_its_intervals_hold() -> None:
    """In worlds where the mixture does not matter, hardly ever is one called surely better."""
    held, sure = [], []
    for seed in range(40):
        truth, plan = planted(3, seed, strength=0.0 if seed % 2 else 1.0), plan_of(3, 18, seed)
        runs = noisy(plan, truth, NOISE, seed)
        rounds = refits(fit_laws(runs, "loss")[0], runs, rounds=80, seed=seed)
        best = best_mixture(rounds, Target("loss"), Bounds.none(3), plan.tokens, confidence=0.95, seed=0)
        right = truth(best.weight_D[None]).mean()
        gain = truth(uniform(3)[None]).mean() - right
        held += [best.target.lower <= right <= best.target.upper, best.gain.lower <= gain <= best.gain.upper]
        sure += [best.surely_better] if seed % 2 else []
    assert np.mean(held) >= 0.92
    assert np.mean(sure) <= 0.1


def test_a_permutation_of_domains_changes_nothing() -> None:
    order = [2, 0, 3, 1]
    runs = noisy(plan_of(4, 24), planted(4, 1, floor=0.5), NOISE, 1)
    other = Runs(
        tuple(runs.domains[place] for place in order), tuple(runs.scored[place] for place in order),
        runs.weight_RD[:, order], runs.tokens_R, runs.value_RS[:, order],
    )  # fmt: skip
    for one, two in zip(fit_laws(runs, "loss"), fit_laws(other, "loss"), strict=True):
        assert one.name == two.name
        np.testing.assert_allclose(one.error_S[order], two.error_S, rtol=1e-6)
        point_ND = filling(4, 8, 3)
        np.testing.assert_allclose(
            one.predict(point_ND, 1.0)[:, order], two.predict(point_ND[:, order], 1.0), rtol=1e-6
        )
    first, second = (
        effects(refits(fit_law(each, "exponential"), each, rounds=60, seed=0), each, "loss", 1.0, confidence=0.9)
        for each in (runs, other)
    )
    np.testing.assert_allclose(first.lower_DS[np.ix_(order, order)], second.lower_DS, rtol=1e-6)


def test_scores_are_losses_upside_down() -> None:
    """The linear law on a score that is one less the loss: the same mixture, the same effects."""
    runs = noisy(plan_of(3, 24), planted(3, 2), NOISE, 2)
    upside = Runs(runs.domains, runs.scored, runs.weight_RD, runs.tokens_R, 1 - runs.value_RS)
    told = [
        (effects(rounds, each, measure, 1.0, confidence=0.95), best_mixture(
            rounds, Target(measure, goal), Bounds.none(3), 1.0, confidence=0.95, seed=0
        ))
        for each, measure in ((runs, "loss"), (upside, "score"))
        for rounds in [refits(fit_law(each, "linear"), each, rounds=60, seed=0)]
        for goal in ("mean", "worst")
    ]  # fmt: skip
    for (one, best), (two, other) in zip(told[:2], told[2:], strict=True):
        np.testing.assert_allclose(one.lower_DS, two.lower_DS, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(best.weight_D, other.weight_D, atol=1e-4)
        assert best.gain.value == pytest.approx(other.gain.value, abs=1e-6)


def test_targets_and_bounds_are_kept() -> None:
    """No mixture has a better worst domain; what counts alone gets most; bounds hold."""
    truth, plan = planted(3, 4), plan_of(3, 24)
    runs = noisy(plan, truth, 0.001, 4)
    law = fit_law(runs, "exponential")
    rounds = refits(law, runs, rounds=60, seed=0)
    fine_ND = filling(3, 4096, 9)

    def best(target: Target, bounds: Bounds) -> np.ndarray:
        return best_mixture(rounds, target, bounds, plan.tokens, confidence=0.95, seed=0).weight_D

    worst_D = best(Target("loss", "worst"), Bounds.none(3))
    assert law.predict(worst_D[None], 1.0).max() <= law.predict(fine_ND, 1.0).max(axis=1).min() + 1e-6
    assert best(target_of("loss", "mean", {"d1": 1.0}, runs.scored), Bounds.none(3)).argmax() == 1
    tight = Bounds(np.array([0.5, 0.0, 0.1]), np.array([0.6, 0.3, 1.0]))
    found_D = best(Target("loss"), tight)
    assert (found_D >= tight.least_D - 1e-9).all()
    assert (found_D <= tight.most_D + 1e-9).all()


def test_a_power_of_the_tokens_is_recovered() -> None:
    """Runs of three sizes: what a whole run does is foretold from them."""
    names = ["a", "b", "c"]
    plan = design(names, runs=36, budget_tokens=10**7, levels=(1.0, 0.25, 0.5))
    truth = planted(3, 5)
    at_R = np.array([float(run.tokens) for run in plan.runs])
    weight_RD = np.stack([run.weight_D(names) for run in plan.runs])
    value_RS = truth(weight_RD) * (at_R[:, None] / 1e5) ** -0.2
    law = fit_law(Runs(plan.domains, plan.domains, weight_RD, at_R, value_RS), "exponential")
    assert law.features.tokens is not None
    point_ND = filling(3, 16, 2)
    np.testing.assert_allclose(law.predict(point_ND, 4e5), truth(point_ND) * 4.0**-0.2, rtol=0.01)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Bounds(np.array([0.6, 0.6]), np.ones(2)), "at most 1 and at least 1"),
        (lambda: Bounds(np.zeros(2), np.array([0.3, 0.3])), "at most 1 and at least 1"),
        (lambda: Bounds(np.array([0.4, 0.0]), np.array([0.3, 1.0])), "0 <= least <= most <= 1"),
        (lambda: target_of("loss", "mean", {"x": 1.0}, ["a"]), "domains among a"),
        (lambda: target_of("loss", "mean", {"a": 0.0}, ["a"]), "one above"),
        (lambda: target_of("loss", "worst", {"a": 1.0}, ["a"]), "expected them with mean"),
        (lambda: fit_laws(Runs(("a", "b"), ("a",), np.eye(2), np.ones(2), np.ones((2, 1))), "loss"), "at least 4"),
    ],
)
def test_what_cannot_be_is_said(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()
