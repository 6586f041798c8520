"""A head recovers the truth of a world, falls back on the plain board, and refuses what nobody can learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prompt_worlds import SHAPES, Vectors, world
from pydantic import ValidationError
from scipy.special import expit

from palaestra.errors import InputError
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.evaluate import evaluate
from palaestra.p2l.head import Head, HeadBoards
from palaestra.p2l.model import Kind, load_prompt_boards
from palaestra.p2l.train import train, train_on
from palaestra.ranking import fit as fit_board
from palaestra.ranking.compare import ELO

KINDS: tuple[Kind, ...] = ("bradley-terry", "rao-kupper", "grounded")


@pytest.mark.parametrize("kind", KINDS)
def test_it_recovers_win_rates_of_prompts(kind: Kind) -> None:
    made = world(prompts=1500, votes=12000, kind=kind)
    seen_P = np.arange(1500) < 1200
    head = train_on(made.votes.of_prompts(seen_P), made.x_PD, TrainConfig(kind=kind, members=0))
    found_PM = head.coefficients_of(head.projection(made.x_PD[~seen_P])).beta_PM
    true_PMM = expit(made.beta_PM[~seen_P][:, :, None] - made.beta_PM[~seen_P][:, None])
    off = expit(found_PM[:, :, None] - found_PM[:, None]) - true_PMM
    plain_M = head.plain.a_M
    assert np.abs(off).mean() < 0.06
    assert np.abs(off).mean() < np.abs(expit(plain_M[:, None] - plain_M) - true_PMM).mean() / 2


def test_without_spread_it_is_the_board_of_the_ranking_room() -> None:
    made = world(votes=1500)
    head = train_on(made.votes, made.x_PD, TrainConfig(kind="bradley-terry", spread=0, members=0))
    votes = made.votes
    names = np.array(votes.models)
    board = fit_board(
        pl.DataFrame(
            {
                "model_a": names[votes.first_B],
                "model_b": names[votes.second_B],
                "winner": np.array(["model_a", "model_b"])[votes.outcome_B],
            }
        )
    )
    expected = {line.model: (line.rating - 1000) / ELO for line in board.models}
    beta_PM = head.coefficients_of(head.projection(made.x_PD)).beta_PM
    assert np.ptp(beta_PM, axis=0).max() == 0
    assert beta_PM[0] - beta_PM[0].mean() == pytest.approx([expected[name] for name in votes.models], abs=1e-4)


def test_where_prompts_do_not_matter_it_falls_back_on_little_or_nothing() -> None:
    made = world(prompts=1000, votes=3000, spread=0.0)
    seen_P = np.arange(1000) < 700
    head = train_on(made.votes.of_prompts(seen_P), made.x_PD, TrainConfig(members=0))
    assert head.spread <= 0.25
    found = evaluate(head, made.votes.of_prompts(~seen_P), made.x_PD)
    assert abs(found.head_against["plain"].value) < 0.005


def test_the_ensemble_covers_the_truth() -> None:
    inside = []
    for seed in range(6):
        made = world(prompts=600, votes=3000, seed=seed)
        head = train_on(made.votes, made.x_PD, TrainConfig(kind="bradley-terry", spread=1.0, members=24, seed=seed))
        fresh = np.random.default_rng(seed).choice(600, 50, replace=False)
        found = head.coefficients_of(head.projection(made.x_PD[fresh]))
        assert found.draws_RPM is not None
        gap = found.beta_PM[:, 0] - found.beta_PM[:, 1]
        se = (found.draws_RPM[..., 0] - found.draws_RPM[..., 1]).std(axis=0, ddof=1)
        truth = made.beta_PM[fresh, 0] - made.beta_PM[fresh, 1]
        inside += (np.abs(gap - truth) < 1.96 * se).tolist()
    print(f"coverage of 95% intervals of differences on prompts: {np.mean(inside):.3f}")
    assert 0.85 < np.mean(inside) <= 1.0


def test_a_folder_brings_back_the_same_boards_and_notices_damage(tmp_path: Path) -> None:
    made = world(kind="grounded")
    head = train(made.votes, TrainConfig(members=2), made.featurizer, kept=tmp_path / "kept")
    assert head.kind == "grounded"
    head.write(tmp_path / "model", "card")
    again = HeadBoards(Head.read(tmp_path / "model"), lambda: made.featurizer)
    before, after = HeadBoards(head, lambda: made.featurizer).coefficients(["1", "2"]), again.coefficients(["1", "2"])
    assert np.array_equal(before.beta_PM, after.beta_PM)
    assert before.draws_RPM is not None
    assert after.draws_RPM is not None
    assert np.array_equal(before.draws_RPM, after.draws_RPM)
    assert load_prompt_boards(tmp_path).models == head.models
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InputError, match="cut short"):
        load_prompt_boards(tmp_path)


def test_the_same_seed_gives_the_same_bytes() -> None:
    made = world(votes=800)
    one, two = (train_on(made.votes, made.x_PD, TrainConfig(members=2)) for _ in range(2))
    assert np.array_equal(one.weights.flat, two.weights.flat)
    assert np.array_equal(one.members[1].flat, two.members[1].flat)


def test_what_cannot_be_learnt_from_is_refused() -> None:
    made = world(votes=300)
    one_class = replace(made.votes, outcome_B=np.zeros(300, dtype=np.int8))
    with pytest.raises(InputError, match="two different outcomes"):
        train_on(one_class, made.x_PD, TrainConfig())
    with pytest.raises(InputError, match="take rao-kupper"):
        train_on(made.votes, made.x_PD, TrainConfig(kind="grounded"))
    with pytest.raises(InputError, match="take bradley-terry"):
        train_on(made.votes, made.x_PD, TrainConfig(kind="rao-kupper"))
    x_PD = made.x_PD.copy()
    x_PD[3, 2] = np.nan
    with pytest.raises(InputError, match="no number"):
        train_on(made.votes, x_PD, TrainConfig())
    few = replace(made.votes, prompt_B=made.votes.prompt_B % 5)
    with pytest.raises(InputError, match="expected at least 10 to choose"):
        train_on(few, made.x_PD, TrainConfig())


def test_prompts_have_to_say_something() -> None:
    made = world(votes=300)
    boards = HeadBoards(train_on(made.votes, made.x_PD, TrainConfig(members=0)), lambda: Vectors(made.x_PD))
    with pytest.raises(InputError, match="empty prompt"):
        boards.coefficients(["1", "  "])
    with pytest.raises(InputError, match="no prompt"):
        boards.coefficients([])


def test_evaluation_leaves_out_prompts_of_training_and_refuses_strangers() -> None:
    made = world(prompts=300, votes=2000)
    seen_P = np.arange(300) < 200
    head = train_on(made.votes.of_prompts(seen_P), made.x_PD, TrainConfig(members=0))
    found = evaluate(head, made.votes, made.x_PD, training=(made.votes.of_prompts(seen_P), made.x_PD))
    assert (found.votes, found.seen) == (
        int((~seen_P)[made.votes.prompt_B].sum()),
        int(seen_P[made.votes.prompt_B].sum()),
    )
    assert {one.name for one in found.methods} == {"head", "plain", "neighbours", "category"}
    assert found.head_against["plain"].lower is not None
    assert found.head_against["plain"].lower > 0
    with pytest.raises(InputError, match=r"all .* are on prompts of training"):
        evaluate(head, made.votes.of_prompts(seen_P), made.x_PD)
    with pytest.raises(InputError, match="'stranger'"):
        evaluate(head, replace(made.votes, models=("stranger", *made.votes.models[1:])), made.x_PD)


def test_the_shape_of_ties_is_found() -> None:
    made = world(prompts=1000, votes=10000, kind="rao-kupper")
    head = train_on(made.votes, made.x_PD, TrainConfig(kind="rao-kupper", members=0))
    eta_P = head.coefficients_of(head.projection(made.x_PD)).eta_P
    assert eta_P is not None
    assert eta_P.mean() == pytest.approx(SHAPES["rao-kupper"], abs=0.06)


@pytest.mark.parametrize("spread", [-1.0, float("nan"), float("inf")])
def test_a_spread_is_a_number_from_nought_up(spread: float) -> None:
    with pytest.raises(ValidationError, match="spread"):
        TrainConfig(spread=spread)


def test_rivals_may_not_see_what_the_head_has_not() -> None:
    made = world(prompts=60, votes=900)
    head = train_on(made.votes.of_prompts(np.arange(60) < 40), made.x_PD, TrainConfig(spread=0, members=0))
    with pytest.raises(InputError, match="20 of 60 prompts of the training votes"):
        evaluate(head, made.votes, made.x_PD, training=(made.votes, made.x_PD))


def test_an_ensemble_of_one_tells_no_spread_and_is_refused() -> None:
    with pytest.raises(ValidationError, match="one tells no spread"):
        TrainConfig(members=1)


def test_rivals_need_prompts_to_be_set_on() -> None:
    made = world(prompts=60, votes=900)
    seen = made.votes.of_prompts(np.arange(60) < 2)
    head = train_on(seen, made.x_PD, TrainConfig(spread=0, members=0))
    with pytest.raises(InputError, match="found 2 training prompts, expected at least 3"):
        evaluate(head, made.votes, made.x_PD, training=(seen, made.x_PD))
