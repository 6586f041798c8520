"""What a router decides, what it is worth, what it costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from router_worlds import KnownBoards, specs
from scipy.special import expit

from palaestra.errors import InputError
from palaestra.p2l.budget import EmptyPurseError, Purse, ceiling_of
from palaestra.p2l.costs import expect_costs, read_usage
from palaestra.p2l.curve import curve, outcomes_of
from palaestra.p2l.model import VOTE_MODELS, Coefficients, Kind
from palaestra.p2l.router import Router, RouterConfig, met, scores, strength_of_score
from palaestra.stats.likelihoods import outcome_probabilities
from palaestra.store.prompted_votes import read_prompted_votes

PROMPTS = ["poem on sand", "code a sort", "fact about Crete"]


def router(config: RouterConfig | None = None, kind: Kind = "bradley-terry", **more: float) -> Router:
    return Router(KnownBoards(kind=kind), expect_costs(specs()), config, more or None)


def test_without_a_budget_each_prompt_gets_its_best_model() -> None:
    found = router().route(router().outlook(PROMPTS))
    assert [next(iter(found.chances(p))) for p in range(3)] == ["cheap", "dear", "dear"]
    assert all("is the best on this prompt" in reason for reason in found.reason_P)


def test_a_budget_is_spent_on_average_and_told() -> None:
    one = router(RouterConfig(budget=0.03))
    found = one.route(one.outlook(PROMPTS))
    assert (found.mixtures.cost_P <= 0.03).all()
    assert found.chances(0) == {"cheap": 1.0}
    assert len(found.chances(1)) == 2
    assert "mixed with" in found.reason_P[1]
    strict = router(RouterConfig(budget=0.03, rule="strict"))
    assert strict.route(strict.outlook(PROMPTS)).chances(1) == {"cheap": 1.0}


def test_a_total_goes_where_it_does_most() -> None:
    one = router()
    found = one.route(one.outlook(PROMPTS), total=0.3)
    each = router(RouterConfig(budget=0.1))
    assert found.mixtures.value_P.sum() > each.route(each.outlook(PROMPTS)).mixtures.value_P.sum() + 0.01
    assert found.mixtures.cost_P.sum() <= 0.3
    assert found.price is not None
    priced = router(RouterConfig(price=found.price))
    again = priced.route(priced.outlook(PROMPTS))
    assert (again.mixtures.low_P == found.mixtures.low_P).all(), "a price decides as the total did, but for the last"


def test_a_budget_that_buys_nothing_names_the_least() -> None:
    one = router(RouterConfig(budget=0.001))
    with pytest.raises(InputError, match=r"cheapest model costs 0\.01"):
        one.route(one.outlook(PROMPTS))


@pytest.mark.parametrize("kind", ["bradley-terry", "rao-kupper"])
def test_scores_are_those_of_the_likelihoods(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    beta_PM, eta_P = rng.normal(size=(4, 5)), rng.uniform(0.1, 1, 4)
    q_M = rng.dirichlet(np.ones(5))
    found = scores(Coefficients(beta_PM, eta_P), kind, q_M)
    for p, i in np.ndindex(4, 5):
        expected = 0.0
        for j in range(5):
            win, _, tie, bad = outcome_probabilities(
                int(VOTE_MODELS[kind]), beta_PM[p, i] - beta_PM[p, j], 0.0, float(eta_P[p])
            )
            expected += q_M[j] * (
                win + (tie + bad) / 2 if kind == "rao-kupper" else expit(beta_PM[p, i] - beta_PM[p, j])
            )
        assert found[p, i] == pytest.approx(expected, abs=1e-12)


def test_grounded_scores_are_the_chance_to_be_usable() -> None:
    beta_PM = np.array([[0.0, 2.0]])
    assert scores(Coefficients(beta_PM, np.zeros(1)), "grounded", np.array([0.5, 0.5])) == pytest.approx(expit(beta_PM))


@pytest.mark.parametrize("kind", ["bradley-terry", "rao-kupper", "grounded"])
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_a_single_model_has_its_own_strength(kind: Kind, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = Coefficients(rng.normal(0, 2, (3, 4)), rng.uniform(0.1, 1, 3))
    q_M = rng.dirichlet(np.ones(4))
    value_PM = scores(found, kind, q_M)
    for m in range(4):
        assert strength_of_score(value_PM[:, m], found, kind, q_M) == pytest.approx(found.beta_PM[:, m], abs=1e-8)


def test_a_mixture_lies_between_its_models() -> None:
    one = router(RouterConfig(budget=0.03))
    found = one.route(one.outlook(PROMPTS))
    beta_M = found.outlook.coefficients.beta_PM[1]
    assert beta_M[0] < found.strength_P[1] < beta_M[2]


def test_opponents_are_weighed_and_must_be_known() -> None:
    strong = router(None, "bradley-terry", dear=1.0).outlook(PROMPTS).value_PM
    assert strong[1, 2] == pytest.approx(0.5), "only met by itself"
    with pytest.raises(InputError, match="found the model 'nobody'"):
        router(None, "bradley-terry", nobody=1.0)
    with pytest.raises(InputError, match="opponents' weights"):
        router(None, "bradley-terry", dear=0.0)


def test_who_is_met_how_often_stands_in_the_votes(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("model_a,model_b,winner\ncheap,dear,model_a\ncheap,other,tie\n")
    assert met(path) == {"cheap": 2.0, "dear": 1.0, "other": 1.0}


@pytest.mark.parametrize(("budget", "price", "rule"), [(1.0, 1.0, "mix"), (None, None, "strict"), (-1.0, None, "mix")])
def test_settings_that_contradict_each_other(budget: float | None, price: float | None, rule: str) -> None:
    with pytest.raises(ValidationError):
        RouterConfig.model_validate({"budget": budget, "price": price, "rule": rule})


def test_costs_follow_prices_lengths_and_usage(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("model,output_tokens\ncheap,10\ncheap,30\ndear,50\n")
    usage = read_usage(path)
    assert usage == {"cheap": 20.0, "dear": 50.0}
    costs = expect_costs(specs(), usage)
    assert len(costs.notes) == 1
    assert "'middle'" in costs.notes[0]
    assert costs.of([400])[0] == pytest.approx([(100 * 10 + 20 * 100) / 1e6, 0.055, (100 * 200 + 50 * 2000) / 1e6])
    dear = [specs()[2].model_copy(update={"max_tokens": None})]
    with pytest.raises(InputError, match="found no length of answers of 'dear'"):
        expect_costs(dear)


@pytest.mark.parametrize("row", ["cheap,-1", "cheap,many", "cheap,", ",3", "cheap,inf"])
def test_usage_that_is_none_names_the_row(tmp_path: Path, row: str) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(f"model,output_tokens\ndear,1\n{row}\n")
    with pytest.raises(InputError, match="row 2: found"):
        read_usage(path)


@given(st.lists(st.tuples(st.floats(0, 0.4), st.one_of(st.none(), st.floats(0, 1))), max_size=30))
@settings(deadline=None, max_examples=50)
def test_a_purse_is_never_overdrawn(calls: list[tuple[float, float | None]]) -> None:
    """Calls that overlap: each is set aside, and paid three calls later with a share of its ceiling."""
    purse, spent, open_calls = Purse(":memory:", 1.0), 0.0, []
    for ceiling, share in calls:
        try:
            open_calls.append((purse.set_aside("m", ceiling), ceiling, share))
        except EmptyPurseError:
            assert ceiling > purse.left
        if len(open_calls) > 3:
            call, most, part = open_calls.pop(0)
            cost = None if part is None else most * part
            purse.pay(call, cost)
            spent += most if cost is None else cost
        assert spent + sum(most for _, most, _ in open_calls) <= 1.0 + 1e-6
        assert purse.left >= 0
    purse.close()


def test_a_purse_outlives_its_server_and_what_was_under_way_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "purse.db"
    first = Purse(path, 1.0)
    first.pay(first.set_aside("m", 0.5), 0.25)
    first.set_aside("m", 0.25)  # never paid: the server was killed
    second = Purse(path, 1.0)
    assert second.left == pytest.approx(0.5)
    with pytest.raises(EmptyPurseError, match=r"may cost 0\.6, and of the 1 in the purse 0\.5 are left"):
        second.set_aside("m", 0.6)
    with pytest.raises(InputError, match="found a purse of 1 in"):
        Purse(path, 2.0)
    (tmp_path / "no.db").write_text("this is no database, whatever its name says, and it is long enough")
    with pytest.raises(InputError, match="cannot open the purse"):
        Purse(tmp_path / "no.db", 1.0)


def test_a_call_without_a_limit_has_no_ceiling() -> None:
    assert ceiling_of(1000, 100, 1.0, 2.0, "m") == pytest.approx(0.0012)
    assert ceiling_of(1000, None, 1.0, 0.0, "m") == pytest.approx(0.001)
    with pytest.raises(InputError, match="has no max_tokens"):
        ceiling_of(1000, None, 1.0, 2.0, "m")


def test_the_curve_begins_cheap_and_ends_best_and_blind_mixtures_gain_nothing() -> None:
    rng = np.random.default_rng(0)
    one = router()
    outlook = one.outlook([rng.choice(PROMPTS) for _ in range(600)])
    truth_PM = (rng.random(outlook.value_PM.shape) < outlook.value_PM).astype(float)
    found = curve(outlook, one.models, truth_PM)
    assert found.realised
    assert found.gain.lower > 0, "who reads the prompt wins"
    blind = curve(outlook, one.models, np.tile(truth_PM.mean(axis=0), (600, 1)))
    assert abs(blind.gain.value) < 0.2
    costs = [point.cost for point in found.points]
    assert costs == sorted(costs)
    assert found.points[-1].quality.value >= found.points[0].quality.value


def test_outcomes_come_back_from_their_votes(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "prompt,a_correct,b_correct,c_correct\np,True,False,True\nq,False,False,False\np,False,False,True\n"
    )
    votes = read_prompted_votes(path)
    assert outcomes_of(votes, ("c", "a", "b")).tolist() == [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    with pytest.raises(InputError, match="found no outcomes of 'd'"):
        outcomes_of(votes, ("a", "d"))
