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
from worlds import davidson_votes

import palaestra
from palaestra.errors import InputError, VoteFileError
from palaestra.ranking import FitConfig, fit
from palaestra.ranking import estimate as estimate_module
from palaestra.ranking.compare import ELO
from palaestra.ranking.counts import Counts, count_votes
from palaestra.ranking.estimate import estimate
from palaestra.ranking.held_out import _by_counts, _by_rows, _fit
from palaestra.ranking.sample import sample_of
from palaestra.ranking.votes import code_votes
from palaestra.schema import Leaderboard
from palaestra.stats.newton import one_step_without
from palaestra.stats.passes import outcome_tables
from palaestra.store.formats import check_votes

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
    assert board.fit.held_out_log_loss is not None, "what never met is foretold to be even"


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
    monkeypatch.setattr(estimate_module, "middle", lambda *_: 100 * variance * np.array([[1.0, -1.0], [-1.0, 1.0]]))
    votes = frame([("A", "B", "model_a"), ("B", "A", "model_a")] * 20)
    if refused:
        with pytest.raises(InputError, match="do not determine the fit"):
            fit(votes)
    else:
        assert fit(votes).models[0].se == pytest.approx(0, abs=1e-6)


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
    assert [line.rating for line in first.models] == [line.rating for line in other.models]


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


def test_every_vote_is_held_out_once() -> None:
    """By counts, where the votes of a pair are dealt, and by rows, where each row has its part."""
    votes = code_votes(check_votes(pl.read_csv(DATA / "llmfao.csv")).frame)
    for config, deal in ((FitConfig(), _by_counts), (FitConfig(cluster="voter"), _by_rows)):
        sample = sample_of(votes, config)
        whole = outcome_tables(sample.rows)
        parts = list(deal(sample, 5, 0))
        np.testing.assert_allclose(sum(outcome_tables(held) for _, held in parts), whole, atol=1e-9)
        for seen, held in parts:
            np.testing.assert_allclose(outcome_tables(seen()) + outcome_tables(held), whole, atol=1e-9)
            assert outcome_tables(held).sum() == pytest.approx(whole.sum() / 5, rel=0.7)


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


def test_each_model_of_ties_by_name_and_by_choice() -> None:
    """Votes are Davidson's with a third of the ties both bad; `auto` tries all and says which foretells best."""
    votes = davidson_votes(np.array([0.9, 0.3, 0.0, -0.4, -0.8]), 30_000, np.random.default_rng(3), ties=-0.2)
    chosen = fit(votes, ties="auto")
    losses = chosen.fit.tie_log_losses
    assert set(losses) == {"half", "rao-kupper", "davidson", "grounded"}
    assert min(losses, key=losses.__getitem__) == "davidson" == chosen.settings["ties"]
    assert any("ties=auto: davidson foretells held-out votes best" in warning for warning in chosen.warnings)
    assert ratings(chosen) == ratings(fit(votes, ties="davidson"))
    wins = votes.filter(~pl.col("winner").is_in(["tie", "both_bad"]))
    assert fit(wins, ties="auto").settings["ties"] == "half"
    for ties, said in (("davidson", "no ties"), ("rao-kupper", "no ties"), ("grounded", "both_bad and for tie")):
        with pytest.raises(InputError, match=said):
            fit(wins, ties=ties)


def test_the_grounded_model_has_a_zero() -> None:
    """Simulated from the model itself: strengths, shape, and where usable answers begin."""
    theta_M = np.array([1.6, 0.9, 0.1, -0.7])
    rng = np.random.default_rng(4)
    first, second = rng.integers(4, size=60_000), rng.integers(1, 4, size=60_000)
    second = (first + second) % 4
    a, b, k = np.exp(theta_M[first]), np.exp(theta_M[second]), 1 + np.exp(-0.4)
    chances = np.stack([a / (a + k * b + 1), b / (b + k * a + 1), 0 * a, 1 / (1 + a + b)])
    chances[2] = 1 - chances.sum(axis=0)
    outcome = (rng.random(60_000) > np.cumsum(chances, axis=0)).sum(axis=0)
    names = np.array(["w", "x", "y", "z"])
    board = fit(
        pl.DataFrame({"model_a": names[first], "model_b": names[second], "winner": np.array(OUTCOMES)[outcome]}),
        ties="grounded",
    )
    assert board.usable is not None
    for m, name in enumerate(names):
        line = next(line for line in board.models if line.model == name)
        absolute = (line.rating - board.usable.rating) / ELO
        assert absolute == pytest.approx(theta_M[m], abs=0.08)
    assert board.fit.tie_parameter == pytest.approx(-0.4, abs=0.08)
    level = 1000 - ELO * theta_M.mean()
    assert board.usable.lower <= level <= board.usable.upper


def test_weights_of_importance_do_not_make_votes() -> None:
    """Twice the importance leaves ratings and intervals alone; twice the votes narrows intervals."""
    votes = davidson_votes(np.array([0.4, 0.0, -0.4]), 2000, np.random.default_rng(5)).with_columns(
        propensity=pl.lit(0.25), weight=pl.lit(1.0)
    )
    plain, weighed = fit(votes), fit(votes, inverse_propensity=True)
    for mine, theirs in zip(plain.models, weighed.models, strict=True):
        assert mine.rating == pytest.approx(theirs.rating, abs=1e-6)
        assert mine.se == pytest.approx(theirs.se, rel=1e-6)
    doubled = fit(votes.with_columns(weight=pl.lit(2.0)))
    assert doubled.models[0].se == pytest.approx(plain.models[0].se / np.sqrt(2), rel=1e-6)
    equal = fit(votes, pair_weights="equal")
    assert any("votes (Kish)" in warning for warning in equal.warnings)


def test_style_control_by_file_by_counts_and_by_expression(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    votes = davidson_votes(np.array([0.4, 0.0, -0.4]), 4000, rng)
    counts = {f"sum_assistant_{side}_tokens": rng.integers(1, 500, 4000) for side in "ab"}
    votes = votes.with_columns(**{name: pl.Series(values) for name, values in counts.items()})
    votes.write_parquet(tmp_path / "votes.parquet")
    by_file = fit(tmp_path / "votes.parquet", style=["length"])
    ratio = (pl.col("sum_assistant_a_tokens") - pl.col("sum_assistant_b_tokens")) / (
        pl.col("sum_assistant_a_tokens") + pl.col("sum_assistant_b_tokens")
    )
    by_column = fit(votes.with_columns(lengthy=ratio), covariates=["lengthy"])
    assert by_file.effects[0].coefficient == pytest.approx(by_column.effects[0].coefficient, abs=1e-9)
    assert ratings(by_file) == pytest.approx(ratings(by_column), abs=1e-6)
    penalised = fit(votes, style=["length"], penalty=1.0)
    assert abs(penalised.effects[0].coefficient) < abs(by_file.effects[0].coefficient) / 3


def test_covariates_that_say_nothing_are_refused() -> None:
    votes = davidson_votes(np.array([0.4, 0.0, -0.4]), 500, np.random.default_rng(7))
    own = votes.with_columns(
        x_a=(pl.col("model_a") == "m000").cast(pl.Int8), x_b=(pl.col("model_b") == "m000").cast(pl.Int8)
    )
    with pytest.raises(InputError, match="covariate x cannot be told from the models"):
        fit(own, covariates=["x"])
    twice = votes.with_columns(x=pl.Series(np.random.default_rng(0).normal(size=500))).with_columns(y=2 * pl.col("x"))
    with pytest.raises(InputError, match=r"covariate [xy] cannot be told"):
        fit(twice, covariates=["x", "y"])


def test_categories_are_fits_of_their_votes() -> None:
    votes = davidson_votes(np.array([0.4, 0.0, -0.4]), 3000, np.random.default_rng(8), style=0.3).with_columns(
        language=pl.Series(["English", "German", "French"] * 1000), turn=pl.Series([1, 2] * 1500)
    )
    boards = palaestra.rank.fit_categories(votes, ["overall", "english", "multi_turn", "mine=x > 0 AND turn = 1"])
    assert list(boards) == ["overall", "english", "multi_turn", "mine"]
    assert boards["english"].models == fit(votes.filter(pl.col("language") == "English")).models
    assert boards["mine"].models == fit(votes.filter((pl.col("x") > 0) & (pl.col("turn") == 1))).models
    assert boards["mine"].models == fit(votes, category="mine=x > 0 AND turn = 1").models
    assert boards["mine"].category == "mine"
    with pytest.raises(InputError, match="no category with 5000 votes"):
        palaestra.rank.fit_categories(votes, ["english"], least_votes=5000)


def test_a_table_of_counts_is_enough() -> None:
    votes = pl.read_csv(DATA / "llmfao.csv")
    counts = count_votes(votes)
    assert palaestra.rank.fit_counts(counts).models == fit(votes).models
    half = count_votes(votes[:4000])
    assert half.plus(count_votes(votes[4000:])) == counts
    assert isinstance(half, Counts)
    with pytest.raises(InputError, match="style: a table of counts"):
        palaestra.rank.fit_counts(counts, style=["length"])


def test_pandas_and_arrow_frames_and_what_a_board_gives() -> None:
    votes = pl.read_csv(DATA / "llmfao.csv")
    board = fit(votes)
    assert fit(votes.to_pandas()) == board
    assert fit(votes.to_arrow()) == board
    table = board.table()
    assert table.columns[:2] == ["model", "rating"]
    assert table["rating"].is_sorted(descending=True)
    assert '"schema": "palaestra.leaderboard/1"' in board.to_json()
    assert "GPT 4" in board._repr_html_()


def test_a_category_without_a_feature_loses_its_style_board_alone() -> None:
    votes = davidson_votes(np.array([0.4, 0.0, -0.4]), 600, np.random.default_rng(9)).with_columns(
        bold_count_a=pl.Series([0, 3] * 300), bold_count_b=pl.Series([0, 1] * 300), odd=pl.Series([False, True] * 300)
    )
    boards = palaestra.rank.fit_categories(votes, ["overall", "even=NOT odd"], style=["bold"])
    assert list(boards) == ["overall", "overall_style_control", "even"]
    assert "There is no board even_style_control: covariate bold is zero" in boards["even"].warnings[0]
    for style, said in (("bald", "found the style 'bald'"), ("list", "list_count_a")):
        with pytest.raises(InputError, match=said):
            palaestra.rank.fit_categories(votes, ["overall"], style=[style])


def test_the_hash_of_a_styled_board_is_that_of_its_votes_in_any_order() -> None:
    rng = np.random.default_rng(0)
    votes = frame([(f"m{i}", f"m{i + 1 + j}", "model_a") for i in range(4) for j in range(4 - i)] * 40).with_columns(
        pl.Series(name, rng.integers(1, 900, 400)) for name in ("sum_assistant_a_tokens", "sum_assistant_b_tokens")
    )
    votes = votes.with_columns(winner=pl.Series(rng.choice(["model_a", "model_b", "tie"], 400)))
    shuffled = [votes.sample(fraction=1, shuffle=True, seed=seed) for seed in range(5)]
    assert len({fit(one, style=["length"]).data.sha256 for one in shuffled}) == 1


@pytest.mark.parametrize(
    "rules", [{}, {"ties": "davidson"}, {"cluster": "voter"}, {"cluster": "voter", "penalty": 0.1}]
)
def test_one_step_without_the_votes_held_out_is_their_own_fit(rules: dict[str, Any]) -> None:
    """Of many votes one part is held out, and nobody fits the others again."""
    votes = code_votes(check_votes(pl.read_csv(DATA / "llmfao.csv")))
    config = FitConfig(**rules)
    sample, model = sample_of(votes, config), config.ties.model
    found = estimate(sample.rows, sample.counts, model, penalty=config.penalty).maximum
    deal = _by_rows if config.cluster else _by_counts
    seen, held = next(deal(sample, 1, 0))
    step = one_step_without(found, held, 1.0)
    assert step is not None
    fitted = _fit(sample, seen(), found, config.penalty)
    moved = np.abs(fitted.theta_M - found.at.theta_M).max()
    np.testing.assert_allclose(step.theta_M, fitted.theta_M, atol=0.2 * moved)
    assert one_step_without(found, held, 0.5 * np.abs(step.theta_M - found.at.theta_M).max()) is None
