"""The board of a set keeps what its prompts say; records and pages tell it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_worlds import SHAPES, Vectors, world
from scipy.optimize import minimize
from scipy.special import expit

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.p2l.aggregate import AT_ONCE, board_of, board_of_prompts, expected_table, wins_of
from palaestra.p2l.card import warnings_of
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.costs import expect_costs
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.leaderboard import leaderboard, strengths
from palaestra.p2l.model import VOTE_MODELS, Coefficients, Kind
from palaestra.p2l.person import prompts_of
from palaestra.p2l.report import write_board_page
from palaestra.p2l.router import Router
from palaestra.p2l.train import train_on
from palaestra.schema import Leaderboard, ModelSpec
from palaestra.schema.record import from_table, to_table
from palaestra.stats.likelihoods import outcome_probabilities
from palaestra.stats.ranks import simultaneous_rank_bounds

KINDS: tuple[Kind, ...] = ("bradley-terry", "rao-kupper", "grounded")


def some(kind: Kind, prompts: int, models: int, seed: int) -> Coefficients:
    rng = np.random.default_rng(seed)
    eta_P = None if kind == "bradley-terry" else rng.uniform(0.1, 0.8, prompts)
    return Coefficients(rng.normal(0, 1.5, (prompts, models)), eta_P)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_a_board_keeps_each_models_expected_wins(seed: int, prompts: int, models: int) -> None:
    found = some("bradley-terry", prompts, models, seed)
    beta_M = board_of("bradley-terry", found).beta_M
    expected_M = expit(found.beta_PM[:, :, None] - found.beta_PM[:, None]).sum(axis=2).mean(axis=0)
    assert expit(beta_M[:, None] - beta_M).sum(axis=1) == pytest.approx(expected_M, abs=1e-8)
    assert wins_of("bradley-terry", found) * (models - 1) == pytest.approx(expected_M - 0.5, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_of_one_prompt_is_its_own(kind: Kind) -> None:
    found = some(kind, 1, 5, 3)
    own = board_of(kind, found)
    off_M = own.beta_M - found.beta_PM[0]
    assert np.ptp(off_M) < 1e-7
    if kind == "grounded":
        assert off_M == pytest.approx(0, abs=1e-7)
    if found.eta_P is not None:
        assert own.eta == pytest.approx(found.eta_P[0], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_board_is_closer(kind: Kind) -> None:
    found, weight_P = some(kind, 7, 4, 5), np.array([1.0, 2, 0, 1, 1, 3, 1])
    own = board_of(kind, found, weight_P)
    target = expected_table(kind, found, weight_P)

    def cross_entropy(at: np.ndarray) -> float:
        total, shape = 0.0, at[4] if kind != "bradley-terry" else 0.0
        for i in range(4):
            for j in range(i + 1, 4):
                p = outcome_probabilities(int(VOTE_MODELS[kind]), at[i] - at[j], (at[i] + at[j]) / 2, shape)
                total -= sum(t * np.log(max(q, 1e-300)) for t, q in zip(target[:, i, j], p, strict=True) if t)
        return total

    at = np.append(own.beta_M, own.eta or 0.0)
    searched = minimize(cross_entropy, at + 0.05, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12})
    assert cross_entropy(at) <= searched.fun + 1e-9


def test_the_mean_of_coefficients_is_another_board() -> None:
    found = Coefficients(np.array([[8.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]))
    assert found.beta_PM.mean(axis=0)[0] > 0
    beta_M = board_of("bradley-terry", found).beta_M
    assert beta_M[0] < beta_M[1]


def test_weights_have_to_be_weights() -> None:
    found = some("bradley-terry", 3, 3, 0)
    for weights in ([1, 1], [0, 0, 0], [1, -1, 1], [1, np.nan, 1]):
        with pytest.raises(InputError, match="weights of prompts"):
            board_of("bradley-terry", found, weights)


@pytest.fixture(scope="module")
def boards() -> HeadBoards:
    made = world(prompts=500, votes=5000, kind="grounded")
    return HeadBoards(train_on(made.votes, made.x_PD, TrainConfig(members=12)), lambda: Vectors(made.x_PD))


def test_the_record_is_a_leaderboard_like_any_other(boards: HeadBoards) -> None:
    found = leaderboard(boards, ["1", "2", "3"])
    again = Leaderboard.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.models == found.models
    ratings = [line.rating for line in found.models]
    assert ratings == sorted(ratings, reverse=True)
    assert np.mean(ratings) == pytest.approx(1000)
    assert all(line.lower < line.rating < line.upper for line in found.models)
    assert sum(line.votes for line in found.models) == 2 * 5000
    assert all(line.votes == line.wins + line.losses + line.ties + line.both_bad for line in found.models)
    assert found.usable is not None


def test_the_records_lines_are_the_formulas_one_by_one(boards: HeadBoards) -> None:
    own = board_of(boards.kind, boards.coefficients(["8"]))
    assert own.draws_RM is not None
    found = leaderboard(boards, ["8"], confidence=0.9, seed=2)
    elo = 400 / np.log(10)
    draws_RM = elo * (own.draws_RM - own.draws_RM.mean(axis=1, keepdims=True))
    covariance_MM = np.cov(draws_RM, rowvar=False)
    place = [boards.models.index(line.model) for line in found.models]
    assert np.array(found.covariance) == pytest.approx(covariance_MM[np.ix_(place, place)], rel=1e-9, abs=1e-9)
    for line, m in zip(found.models, place, strict=True):
        assert line.rating == pytest.approx(1000 + elo * (own.beta_M[m] - own.beta_M.mean()), rel=1e-12)
        assert line.se == pytest.approx(np.sqrt(covariance_MM[m, m]), rel=1e-9)
        assert line.upper - line.lower == pytest.approx(2 * 1.6448536269514722 * line.se, rel=1e-9)
        assert line.rank == 1 + sum(other.lower > line.upper for other in found.models)
        assert line.rank_upper == 5 - sum(other.upper < line.lower for other in found.models)
    root_MR = (draws_RM - draws_RM.mean(axis=0)).T / np.sqrt(len(draws_RM) - 1)
    rating_M = 1000 + elo * (own.beta_M - own.beta_M.mean())
    sure = np.array(
        simultaneous_rank_bounds(rating_M, root_MR @ root_MR.T, confidence=0.9, seed=2, root_MQ=root_MR)
    ).T.tolist()
    said = [[line.rank_simultaneous_lower, line.rank_simultaneous_upper] for line in found.models]
    assert said == [sure[m] for m in place]


class Foreign:
    """Boards of prompts that are not of a head, without an ensemble."""

    models = ("a", "b", "c")
    kind: Kind = "bradley-terry"

    def coefficients(self, prompts: Sequence[str]) -> Coefficients:
        return Coefficients(np.tile([0.5, -0.5, 0.2], (len(prompts), 1)))


def test_a_board_that_is_of_no_head_says_what_it_knows_and_no_more(tmp_path: Path) -> None:
    found = leaderboard(Foreign(), ["a prompt"])
    assert found.fit.log_likelihood is None
    assert [line.model for line in found.models] == ["a", "c", "b"]
    assert all(line.preliminary and line.rank_simultaneous_lower is None for line in found.models)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert Leaderboard.from_dict(json.loads(text)).fit == found.fit
    assert from_table(Leaderboard, to_table(Leaderboard, [found])) == [found]


def test_strengths_sum_to_nothing_and_are_found(boards: HeadBoards) -> None:
    told = strengths(boards, ["7"])
    assert sum(line.difference for line in told.lines) == pytest.approx(0, abs=1e-6)
    assert all(line.p_all >= line.p for line in told.lines)
    none = strengths(boards, ["7"], ["7"])
    assert [line.difference for line in none.lines] == pytest.approx([0] * 5, abs=1e-9)
    assert all(line.p_all == 1 for line in none.lines)


def test_the_page_stands_alone_and_escapes(boards: HeadBoards, tmp_path: Path) -> None:
    found = leaderboard(boards, ["4"])
    write_board_page(tmp_path / "page.html", boards, ["4"], found)
    text = (tmp_path / "page.html").read_text()
    assert "Strengths and weaknesses" in text
    assert "src=" not in text
    with pytest.raises(InputError, match=r"\.html"):
        write_board_page(tmp_path / "page.txt", boards, ["4"], found)


def test_a_person_is_the_prompts_that_were_asked() -> None:
    votes = world(prompts=30, votes=200).votes
    texts, weights = prompts_of(votes, "bob")
    assert {int(text) % 3 for text in texts} == {1}
    assert sum(weights) == (votes.voter_B == 1).sum()
    with pytest.raises(InputError, match="no votes by 'dan'"):
        prompts_of(votes, "dan")


def test_the_commands_work_from_a_vote_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    topics = ("solve the equation for x plus {}", "write a poem about the number {}")
    kind = rng.integers(0, 2, 120)
    frame = pl.DataFrame(
        {
            "model_a": ["poet"] * 120,
            "model_b": ["solver"] * 120,
            "winner": np.where(rng.random(120) < 0.15, "tie", np.where(kind == 1, "model_a", "model_b")),
            "prompt": [topics[k].format(n) for n, k in enumerate(kind)],
            "voter": [f"v{n % 4}" for n in range(120)],
        }
    )
    frame.write_parquet(tmp_path / "votes.parquet")
    train = ["p2l", "train", str(tmp_path / "votes.parquet"), "--out", str(tmp_path / "run"), "--members", "4"]
    assert run(train) == 0
    assert run(train) == 2
    assert run([*train, "--resume"]) == 0
    capsys.readouterr()
    for text, best in (("write a poem about rain", "poet"), ("solve the equation y = 3", "solver")):
        assert run(["p2l", "board", str(tmp_path / "run"), "--prompt", text, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["models"][0]["model"] == best
    person = ["--person", "v1", "--votes", str(tmp_path / "votes.parquet"), "--html", str(tmp_path / "p.html")]
    assert run(["p2l", "board", str(tmp_path / "run"), *person]) == 0
    assert run(["p2l", "board", str(tmp_path / "run")]) == 2
    assert run(["p2l", "board", str(tmp_path / "run"), "--prompt", " "]) == 2
    assert run(["p2l", "evaluate", str(tmp_path / "run"), str(tmp_path / "votes.parquet")]) == 2
    frame.drop("prompt").write_parquet(tmp_path / "bare.parquet")
    assert run(["p2l", "train", str(tmp_path / "bare.parquet"), "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_asked_twice_has_the_board_of_asking_once(kind: Kind) -> None:
    found = some(kind, 1, 5, 3)
    once, twice = board_of(kind, found), board_of(kind, found.of(np.array([0, 0])))
    assert once.beta_M == pytest.approx(twice.beta_M, abs=1e-7)
    assert once.eta == (None if twice.eta is None else pytest.approx(twice.eta, abs=1e-6))


def test_models_that_never_met_are_told_apart() -> None:
    """Two sets of two: nothing says how they compare, and the board does not pretend to know."""
    made = world(prompts=100, models=4, votes=1500)
    votes = made.votes
    within_B = votes.first_B // 2 == votes.second_B // 2
    config = TrainConfig(spread=0, members=4)
    head = train_on(votes.take(within_B), made.x_PD, config)
    found = leaderboard(HeadBoards(head, lambda: Vectors(made.x_PD)), ["1"])
    assert found.components == (("m0", "m1"), ("m2", "m3"))
    assert "2 sets of models that never met" in " ".join(found.warnings)
    assert any("2 sets of models" in said for said in warnings_of(head))
    whole = train_on(votes, made.x_PD, config)
    assert whole.parts == (("m0", "m1", "m2", "m3"),)
    assert (whole.outside, whole.doubts) == ((), ())
    assert warnings_of(whole) == ["The spread given is zero: every prompt gets the same, plain board."]


def test_a_model_that_only_won_is_named() -> None:
    made = world(prompts=100, models=4, votes=1500)
    votes = made.votes
    won_B = np.where(votes.outcome_B == 0, votes.first_B, votes.second_B) == 3
    met_B = (votes.first_B == 3) | (votes.second_B == 3)
    head = train_on(votes.take(won_B | ~met_B), made.x_PD, TrainConfig(spread=0, members=0))
    assert head.outside == ("m3",)
    assert len(head.parts) == 1
    assert "No vote bounds the strength of m3 on one side" in head.doubts[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("far", [20.0, 36.0, 60.0])
def test_models_that_are_out_of_reach_have_a_board_all_the_same(kind: Kind, far: float) -> None:
    """In doubles nothing but the better one's win is possible there: it is a long way ahead, not a traceback."""
    beta_PM = np.array([[far, 0.0, -far], [far + 1, 0.5, -far - 0.5]])
    eta_P = None if kind == "bradley-terry" else np.full(2, SHAPES[kind])
    found = board_of(kind, Coefficients(beta_PM, eta_P))
    assert (np.diff(found.beta_M) < -10).all()


class Watched:
    """Boards that note how many prompts they are asked of at once."""

    def __init__(self, boards: HeadBoards) -> None:
        self.models, self.kind, self.most, self._boards = boards.models, boards.kind, 0, boards

    def coefficients(self, prompts: Sequence[str]) -> Coefficients:
        self.most = max(self.most, len(prompts))
        return self._boards.coefficients(prompts)


def test_a_large_set_is_read_in_parts_and_has_the_same_board(boards: HeadBoards) -> None:
    """So that memory does not grow with prompts times models times members."""
    prompts = [str(number % 500) for number in range(AT_ONCE + 904)]
    weight_P = np.random.default_rng(0).exponential(size=len(prompts))
    watched = Watched(boards)
    found = board_of_prompts(watched, prompts, weight_P)
    assert watched.most == AT_ONCE
    whole = board_of(boards.kind, boards.coefficients(prompts), weight_P)
    assert found.beta_M == pytest.approx(whole.beta_M, abs=1e-7)
    assert found.eta == pytest.approx(whole.eta, abs=1e-7)
    assert found.draws_RM == pytest.approx(whole.draws_RM, abs=1e-7)
    routed = Router(watched, expect_costs([ModelSpec(name="m0", endpoint="scripted:echo")]))
    outlook = routed.outlook(prompts)
    assert watched.most == AT_ONCE
    assert outlook.coefficients.draws_RPM is None
    assert outlook.coefficients.beta_PM == pytest.approx(boards.coefficients(prompts).beta_PM)
    assert outlook.value_PM.shape == (len(prompts), 1)
