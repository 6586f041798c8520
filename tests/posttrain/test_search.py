"""The search over weights: finds what was planted, pays nothing twice, and comes to the same points again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from palaestra.errors import InputError
from palaestra.posttrain.merging.recipe import MergeRecipe, recipe_of
from palaestra.posttrain.merging.search import search, searched

BEST = (0.8, 0.1, 0.4)


def recipe(method: str = "task-arithmetic", count: int = 3, **more: object) -> MergeRecipe:
    return recipe_of({"base": "base", "method": method, "expert": [{"model": f"e{n}"} for n in range(count)], **more})


def score(told: MergeRecipe) -> float:
    return -sum((float(one.weight) - best) ** 2 for one, best in zip(told.experts, BEST, strict=False))  # ty: ignore[invalid-argument-type]


def test_it_finds_planted_weights_and_never_ends_below_the_start() -> None:
    found = search(recipe(), score, 200)
    assert [one.weight for one in found.recipe.experts] == pytest.approx(BEST, abs=0.02)
    assert found.score == max(value for _, value in found.points) > found.start
    assert found.points[0] == ((1 / 3,) * 3, found.start)
    assert search(recipe(), score, 1).recipe.experts[0].weight == pytest.approx(1 / 3)


def test_a_killed_search_goes_on_to_the_same_points_and_pays_none_twice() -> None:
    whole = search(recipe(), score, 40)
    for done in (0, 1, 17, 39, 40):
        paid: list[tuple] = []
        again = search(recipe(), score, 40, known=whole.points[:done], note=lambda *told, paid=paid: paid.append(told))
        assert again == whole
        assert [(point, value) for _, point, value in paid] == list(whole.points[done:])


def test_chance_comes_from_the_seed_alone() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002 - that nobody touches it is the point
    one = search(recipe(seed=1), score, 15)
    np.random.default_rng(0)
    assert search(recipe(seed=1), score, 15) == one
    assert search(recipe(seed=2), score, 15).points[1] != one.points[1]
    assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()  # noqa: NPY002


def test_what_is_known_of_another_search_is_refused() -> None:
    with pytest.raises(InputError, match="another search"):
        search(recipe(), score, 5, known=[((9.0, 9.0, 9.0), 1.0)])


def test_a_single_weight_lambda_and_domains_are_searched_too() -> None:
    arc = search(recipe("slerp", 1), lambda told: -((float(told.experts[0].weight) - 0.2) ** 2), 60)  # ty: ignore[invalid-argument-type]
    assert arc.recipe.experts[0].weight == pytest.approx(0.2, abs=0.02)
    assert searched(recipe("ties")) == ("expert.0.0", "expert.1.0", "expert.2.0", "lambda")
    assert search(recipe("ties"), lambda told: -abs(told.factor - 0.4), 80).recipe.factor == pytest.approx(
        0.4, abs=0.05
    )
    told = {
        "base": "b",
        "method": "linear",
        "domains": {"math": 1.0, "code": 1.0},
        "expert": [{"model": "e", "domain": "math", "weight": 2.0}, {"model": "f", "domain": "code"}],
    }
    found = search(recipe_of(told), lambda one: -abs(one.domains["math"] - 1.7), 60)
    assert found.recipe.domains["math"] == pytest.approx(1.7, abs=0.05)
    assert found.recipe.experts[0].weight == 2.0
    layers = recipe_of({"base": "b", "method": "linear", "expert": [{"model": "e", "weight": [0.0, 1.0]}]})
    assert searched(layers) == ("expert.0.0", "expert.0.1")
    assert isinstance(search(layers, lambda _: 0.0, 5).recipe.experts[0].weight, tuple)


def test_a_score_that_is_no_number_is_the_worst() -> None:
    found = search(recipe(), lambda told: math.nan if float(told.experts[1].weight) > 0.4 else score(told), 120)  # ty: ignore[invalid-argument-type]
    assert math.isfinite(found.score)
    assert float(found.recipe.experts[1].weight) <= 0.4  # ty: ignore[invalid-argument-type]


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(InputError, match="finds its own weights"):
        search(recipe("model-stock"), score, 5)
    with pytest.raises(InputError, match="budget of 0"):
        search(recipe(), score, 0)
    with pytest.raises(InputError, match="no merge with a score"):
        search(recipe(), lambda _: math.nan, 9)
