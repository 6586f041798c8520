"""The leaderboard of a set of votes: against other solvers on real votes, by its laws, and where no maximum exists."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import choix
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import palaestra
from palaestra.errors import InputError, VoteFileError
from palaestra.ranking import FitConfig, bradley_terry, fit
from palaestra.ranking.bradley_terry import ELO
from palaestra.ranking.counts import count_votes
from palaestra.schema import Leaderboard

DATA = Path(__file__).parent.parent / "data"
OUTCOMES = ["model_a", "model_b", "tie", "both_bad"]
Row = tuple[str, str, str]


def frame(rows: list[Row], **columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["model_a", "model_b", "winner"], orient="row").with_columns(
        *(pl.Series(name, values) for name, values in columns.items())
    )


def ratings(board: Leaderboard) -> dict[str, float]:
    return {line.model: line.rating for line in board.models}


rows_of_votes = st.lists(
    st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"), st.sampled_from(OUTCOMES)).filter(
        lambda row: row[0] != row[1]
    ),
    min_size=1,
    max_size=60,
)


def test_real_votes_against_two_other_solvers() -> None:
    board = palaestra.rank.fit(DATA / "llmfao.csv")
    found = ratings(board)
    counts = count_votes(pl.read_csv(DATA / "llmfao.csv"))
    choix_M = choix.ilsr_pairwise_dense(counts.halved_MM, alpha=0, max_iter=100_000, tol=1e-12)
    with (DATA / "llmfao_bradley_terry_evalica.csv").open() as lines:
        golden = {row["item"]: np.log(float(row["score"])) for row in csv.DictReader(lines)}
    evalica_M = np.array([golden[name] for name in counts.names])
    worst = {}
    for solver, theta_M in (("choix", choix_M), ("evalica", evalica_M)):
        rating_M = 1000 + ELO * (theta_M - theta_M.mean())
        worst[solver] = max(abs(found[name] - rating_M[m]) for m, name in enumerate(counts.names))
    print(f"\nllmfao, 59 models: greatest difference in Elo from {worst}")
    assert max(worst.values()) < 0.01
    assert board.data.votes == 8931
    assert board.data.voters == 124
    assert board.fit.converged
    assert board.warnings == ()


@settings(max_examples=60, deadline=None)
@given(rows_of_votes, st.integers(0, 1000))
def test_laws_of_a_board(rows: list[Row], seed: int) -> None:
    board = fit(frame(rows))
    assert np.mean(list(ratings(board).values())) == pytest.approx(1000)
    assert sum(line.votes for line in board.models) == 2 * len(rows)
    for line in board.models:
        assert line.votes == line.wins + line.losses + line.ties + line.both_bad
        assert line.lower < line.rating < line.upper
        assert np.isfinite([line.lower, line.upper]).all()
        assert line.rank == line.rank_lower <= line.rank_upper
    shuffled = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]
    assert fit(frame(shuffled)) == board, "the order of votes changes nothing, to the last bit"
    mirror = {"model_a": "model_b", "model_b": "model_a"}
    turned = fit(frame([(b, a, mirror.get(winner, winner)) for a, b, winner in rows]))
    assert turned == board, "nor do the sides"
    tables = frame(rows).group_by("model_a", "model_b", "winner").len("weight")
    weighted = fit(tables)
    assert weighted.models == board.models, "a count table is votes with weights"
    assert weighted.data.sha256 == board.data.sha256


@settings(max_examples=30, deadline=None)
@given(rows_of_votes)
def test_new_names_change_nothing_but_names(rows: list[Row]) -> None:
    names = dict(zip("ABCDE", ["eta", "delta", "gamma", "beta", "alpha"], strict=True))
    board, renamed = fit(frame(rows)), fit(frame([(names[a], names[b], winner) for a, b, winner in rows]))
    for line in board.models:
        other = next(other for other in renamed.models if other.model == names[line.model])
        assert other.rating == pytest.approx(line.rating, abs=1e-6)
        assert other.se == pytest.approx(line.se, rel=1e-6)


def test_the_anchor_shifts_its_own_set_only() -> None:
    rows = [("A", "B", "model_a"), ("B", "A", "model_a"), ("C", "D", "tie")]
    board = fit(frame(rows), anchor="A=1200")
    assert ratings(board) == pytest.approx({"A": 1200, "B": 1200, "C": 1000, "D": 1000})
    for wrong in ("A", "A=", "=1200", "A=nan", "A=much"):
        with pytest.raises(InputError, match="expected MODEL=SCORE"):
            fit(frame(rows), anchor=wrong)
    with pytest.raises(InputError, match="'Z' is not among the 4 models"):
        fit(frame(rows), anchor="Z=1000")


def test_a_model_that_only_won() -> None:
    """A and B divide a hundred votes, C beat both five times: no finite rating, so one virtual tie, and words."""
    rows: list[Row] = [("A", "B", "model_a")] * 50 + [("A", "B", "model_b")] * 50 + [("C", "A", "model_a")] * 3
    rows += [("B", "C", "model_b")] * 2
    board = fit(frame(rows))
    first = board.models[0]
    assert (first.model, first.preliminary, first.wins, first.votes) == ("C", True, 5, 5)
    assert 1200 < first.rating < 2000
    assert first.upper - first.rating > 200
    assert "C (5 won, 0 lost, 0 drawn) has no finite rating" in board.warnings[0]
    assert board.fit.converged
    settled = {line.model: line for line in board.models}
    assert settled["A"].rating - settled["B"].rating == pytest.approx(0, abs=5)
    assert not settled["A"].preliminary


def test_sets_that_never_met_are_not_compared() -> None:
    rows: list[Row] = [("A", "B", "model_a"), ("A", "B", "model_b")] * 40 + [
        ("C", "D", "model_a"),
        ("D", "C", "tie"),
    ] * 40
    board = fit(frame(rows))
    assert board.components == (("A", "B"), ("C", "D"))
    assert "2 sets of models that never met" in board.warnings[0]
    assert {line.rank_upper for line in board.models} <= {1, 2}
    assert board.fit.held_out_log_loss is None


@pytest.mark.parametrize("winner", OUTCOMES)
def test_one_single_vote(winner: str) -> None:
    board = fit(frame([("A", "B", winner)]))
    assert all(line.preliminary for line in board.models)
    assert all(line.upper - line.rating > 200 for line in board.models)
    assert {line.rank for line in board.models} == {1}


def test_nothing_but_ties() -> None:
    board = fit(frame([("A", "B", "tie"), ("B", "C", "tie"), ("C", "A", "both_bad")] * 5))
    assert [line.rating for line in board.models] == pytest.approx([1000] * 3)
    assert all(line.upper - line.lower > 100 for line in board.models), "fifteen ties are no certainty"


@pytest.mark.parametrize("empty", [pl.DataFrame(), pl.DataFrame({"model_a": ["A"]}).clear()])
def test_an_empty_frame_without_the_columns(empty: pl.DataFrame) -> None:
    with pytest.raises(VoteFileError, match="the frame: no column model_"):
        fit(empty)


@pytest.mark.parametrize(("variance", "refused"), [(-1e-18, False), (-1e-6, True), (np.nan, True)])
def test_a_variance_below_zero_is_rounding_or_refused(
    monkeypatch: pytest.MonkeyPatch, variance: float, *, refused: bool
) -> None:
    monkeypatch.setattr(bradley_terry, "sandwich_covariance", lambda *_: np.diag([variance, 1e-3]))
    votes = frame([("A", "B", "model_a"), ("B", "A", "model_a")] * 20)
    if refused:
        with pytest.raises(InputError, match="lie too far apart"):
            fit(votes)
    else:
        assert fit(votes).models[0].se == 0


def test_no_votes_make_an_empty_board() -> None:
    board = fit(frame([]).cast(pl.String))
    assert board.models == ()
    assert board.data.votes == 0


def test_weights_count() -> None:
    rows: list[Row] = [("A", "B", "model_a"), ("A", "B", "model_b"), ("B", "C", "tie"), ("A", "C", "model_b")]
    heavy = fit(frame(rows, weight=[3.0, 1.0, 2.0, 0.0]))
    assert {line.model: line.votes for line in heavy.models} == {"A": 4, "B": 6, "C": 2}
    light = fit(frame(rows[:3], weight=[3.0, 1.0, 2.0]))
    assert light.models == heavy.models


def test_same_seed_same_bytes() -> None:
    votes = pl.read_csv(DATA / "llmfao.csv")
    first, second, other = fit(votes, seed=1), fit(votes, seed=1), fit(votes, seed=2)
    assert first.to_dict() == second.to_dict()
    assert first.fit.held_out_log_loss != other.fit.held_out_log_loss
    assert first.models == other.models


def test_the_held_out_loss_tells_signal_from_noise() -> None:
    rng = np.random.default_rng(0)
    names = [f"m{m}" for m in range(6)]
    pairs = [rng.choice(6, 2, replace=False) for _ in range(3000)]
    strong = [
        (names[i], names[j], "model_a" if rng.random() < 1 / (1 + np.exp(i - j)) else "model_b") for i, j in pairs
    ]
    noise = [(names[i], names[j], str(rng.choice(["model_a", "model_b"]))) for i, j in pairs]
    signal, coin = (fit(frame(rows)).fit.held_out_log_loss for rows in (strong, noise))
    assert signal is not None
    assert coin is not None
    assert signal < 0.5
    assert coin == pytest.approx(np.log(2), abs=0.01)


def test_folds_add_up() -> None:
    counts = count_votes(pl.read_csv(DATA / "llmfao.csv"))
    parts = counts.folds(5, seed=0)
    for table in ("wins_MM", "ties_MM", "both_bad_MM"):
        np.testing.assert_allclose(sum(getattr(part, table) for part in parts), getattr(counts, table), atol=1e-9)
    assert all(abs(part.votes - counts.votes / 5) < 150 for part in parts)


@pytest.mark.parametrize("setting", [{"confidence": 1.0}, {"min_votes": -1}, {"seed": -1}, {"anker": "A=1"}])
def test_settings_that_cannot_be(setting: dict[str, Any]) -> None:
    for config in (None, FitConfig(seed=3)):
        with pytest.raises(ValidationError):
            fit(frame([("A", "B", "tie")]), config, **setting)


@pytest.mark.parametrize(
    ("row", "said"),
    [(("A", "B", "won"), "row 1, column winner: found 'won'"), (("A", "A", "tie"), "row 1, column model_b")],
)
def test_a_frame_is_checked_as_a_file_is(row: Row, said: str) -> None:
    with pytest.raises(VoteFileError, match=f"the frame: {said}"):
        fit(frame([row]))


def test_weights_that_no_arithmetic_can_hold_are_refused_in_words() -> None:
    rows = [("A", "B", "model_a"), ("B", "A", "model_a"), ("B", "C", "model_a"), ("C", "B", "model_a")]
    with pytest.raises(InputError, match="lie too far apart"):
        fit(frame(rows, weight=[1e9, 1e9, 1e-12, 1e-12]))
    assert fit(frame(rows, weight=[1e4, 1e4, 1e-4, 1e-4])).fit.converged


def test_wider_confidence_wider_intervals() -> None:
    votes = pl.read_csv(DATA / "llmfao.csv")
    narrow, wide = fit(votes, confidence=0.8).models[0], fit(votes, confidence=0.99).models[0]
    assert narrow.rating == wide.rating
    assert wide.upper - wide.lower == pytest.approx((narrow.upper - narrow.lower) * 2.5758 / 1.2816, rel=1e-3)
