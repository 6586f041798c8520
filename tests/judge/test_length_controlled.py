"""Length control: laws, an independent maximiser, simulated truth with coverage, and the published numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from palaestra.errors import InputError
from palaestra.judge.alpaca import Annotation, read_annotations
from palaestra.judge.alpaca_board import AlpacaBoard, alpaca_boards, read_weights
from palaestra.judge.length_controlled import (
    FEWEST,
    Preferences,
    bootstrap_length_controlled,
    difficulty_given_weights,
    fit_length_controlled,
    interval_of_rounds,
    tanh_of_lengths,
)

SHARED = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "alpaca_eval"
published = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
GPT4 = "weighted_alpaca_eval_gpt4_turbo"


def simulated(seed: int, models: int = 8, instructions: int = 300) -> tuple[Preferences, np.ndarray, np.ndarray]:
    """Preferences, true weights, and true length-controlled win rates over all instructions that could be drawn."""
    rng = np.random.default_rng(seed)
    weights_M3 = np.column_stack([
        rng.normal(-0.5, 1.0, models), rng.normal(1.5, 0.3, models), rng.normal(1.0, 0.15, models)
    ])  # fmt: skip
    g_P = rng.normal(0, 1.2, instructions)
    t_MP = np.tanh(rng.normal(rng.normal(0, 0.8, models)[:, None], 1, (models, instructions)))
    a_M1, l_M1, d_M1 = weights_M3.T[:, :, None]
    y_MP = (rng.random(t_MP.shape) < expit(a_M1 + l_M1 * t_MP + d_M1 * g_P)).astype(float)
    many_P = np.random.default_rng(1).normal(0, 1.2, 20_000)
    return Preferences(y_MP, t_MP), weights_M3, expit(a_M1 + d_M1 * many_P).mean(axis=1)


def test_the_first_step_is_at_a_maximum_of_its_objective() -> None:
    """Against scipy's general minimiser, at the variance that was found; few models keep d at 1."""
    given, _, _ = simulated(0, models=FEWEST, instructions=40)
    fitted = fit_length_controlled(given, pull=0.2)
    models, instructions = given.y_MP.shape

    def loss(flat: np.ndarray) -> float:
        al_M2, g_P = flat[: 2 * models].reshape(models, 2), flat[2 * models :]
        eta_MP = al_M2[:, :1] + al_M2[:, 1:] * given.t_MP + g_P
        log = given.y_MP * eta_MP - np.logaddexp(0, eta_MP)
        return float(-log.sum() + (g_P**2).sum() / 2 / fitted.variance + 1e-3 * (al_M2**2).sum() / 2)

    best = minimize(loss, np.zeros(2 * models + instructions), method="BFGS", options={"gtol": 1e-6, "maxiter": 2000})
    assert fitted.difficulty_P == pytest.approx(best.x[2 * models :], abs=1e-3)


def test_the_second_step_is_a_logistic_regression_of_each_model() -> None:
    """Without pull it is the plain maximum, given difficulty."""
    given, _, _ = simulated(1)
    fitted = fit_length_controlled(given, pull=0.0)
    for m, row_P in enumerate(given.y_MP):
        x_P3 = np.column_stack([np.ones_like(row_P), given.t_MP[m], fitted.difficulty_P])

        def loss(b: np.ndarray, x_P3: np.ndarray = x_P3, row_P: np.ndarray = row_P) -> float:
            return float((np.logaddexp(0, x_P3 @ b) - row_P * (x_P3 @ b)).sum())

        assert fitted.weights_M3[m] == pytest.approx(minimize(loss, np.zeros(3), method="BFGS").x, abs=0.02)


def test_a_great_pull_gives_all_models_the_same_weights_of_length_and_difficulty() -> None:
    given, _, _ = simulated(2)
    spread = [fit_length_controlled(given, pull=pull).weights_M3[:, 1:].std(axis=0) for pull in (0.0, 0.2, 1e4)]
    assert np.all(spread[0] > spread[1])
    assert np.all(spread[2] < 1e-2)


def test_turned_preferences_and_lengths_turn_the_win_rates() -> None:
    given, _, _ = simulated(3, instructions=80)
    fitted = fit_length_controlled(given)
    turned = fit_length_controlled(Preferences(1 - given.y_MP, -given.t_MP))
    assert turned.win_rate_M == pytest.approx(1 - fitted.win_rate_M, abs=1e-5)
    assert turned.difficulty_P == pytest.approx(-fitted.difficulty_P, abs=1e-4)


def test_the_order_of_models_and_instructions_does_not_matter_and_gaps_are_allowed() -> None:
    given, _, _ = simulated(4, instructions=60)
    y_MP = given.y_MP.copy()
    y_MP[2, :20] = np.nan
    gappy = Preferences(y_MP, given.t_MP)
    fitted = fit_length_controlled(gappy)
    turned = fit_length_controlled(Preferences(y_MP[::-1, ::-1], given.t_MP[::-1, ::-1]))
    assert turned.win_rate_M[::-1] == pytest.approx(fitted.win_rate_M, abs=1e-5)
    moved = given.t_MP.copy()
    moved[2, :20] = 0.9
    assert fit_length_controlled(Preferences(y_MP, moved)).win_rate_M == pytest.approx(fitted.win_rate_M, abs=0.01)


def test_models_that_always_win_or_lose_and_few_models_have_finite_numbers() -> None:
    given, _, _ = simulated(5, models=3, instructions=30)
    y_MP = given.y_MP.copy()
    y_MP[0], y_MP[1] = 1.0, 0.0
    fitted = fit_length_controlled(Preferences(y_MP, np.zeros_like(y_MP)))
    assert fitted.variance == 0.0
    assert not fitted.difficulty_P.any()
    assert np.isfinite(fitted.weights_M3).all()
    assert fitted.win_rate_M[0] > 0.99
    assert fitted.win_rate_M[1] < 0.01
    drawn_RM = bootstrap_length_controlled(Preferences(y_MP, given.t_MP), fitted, pull=0.2, rounds=5, seed=0)
    assert np.isfinite(drawn_RM).all()


def test_difficulty_under_the_true_weights_finds_the_variance_and_the_win_rates() -> None:
    given, weights_M3, true_M = simulated(6, models=30, instructions=600)
    found = difficulty_given_weights(given, weights_M3)
    assert found.variance == pytest.approx(1.2**2, rel=0.2)
    assert found.win_rate_M == pytest.approx(true_M, abs=0.04)


def test_intervals_cover_the_truth_and_length_is_taken_out() -> None:
    """30 worlds of 8 models and 300 instructions; the truth is over all instructions that could be drawn."""
    hits, controlled, plain = [], [], []
    for seed in range(30):
        given, _, true_M = simulated(100 + seed)
        fitted = fit_length_controlled(given)
        drawn_RM = bootstrap_length_controlled(given, fitted, pull=0.2, rounds=80, seed=seed)
        lower_M, upper_M = interval_of_rounds(fitted.win_rate_M, drawn_RM, 0.95).T
        hits.append((lower_M <= true_M) & (true_M <= upper_M))
        controlled.append(np.abs(fitted.win_rate_M - true_M).mean())
        plain.append(np.abs(given.y_MP.mean(axis=1) - true_M).mean())
    print(
        f"\n95% intervals cover {np.mean(hits):.1%} of {np.size(hits)} truths; "
        f"mean error {100 * np.mean(controlled):.1f} points, of the plain win rate {100 * np.mean(plain):.1f}"
    )
    assert 0.91 <= np.mean(hits) <= 0.98
    assert np.mean(controlled) < np.mean(plain) / 3


def test_the_same_seed_gives_the_same_bytes() -> None:
    given, _, _ = simulated(7, instructions=40)
    fitted = fit_length_controlled(given)
    one, two, three = (bootstrap_length_controlled(given, fitted, pull=0.2, rounds=4, seed=s) for s in (0, 0, 1))
    assert one.tobytes() == two.tobytes() != three.tobytes()


def test_lengths_are_standardised_and_a_constant_difference_tells_nothing() -> None:
    difference = np.array([-10.0, 0.0, 30.0])
    assert tanh_of_lengths(difference + 5, np.full(3, 5.0)) == pytest.approx(
        np.tanh(difference / difference.std(ddof=1))
    )
    assert not tanh_of_lengths(np.full(3, 7.0), np.full(3, 5.0)).any()
    assert not tanh_of_lengths(np.array([7.0]), np.array([5.0])).any()


def test_weights_are_read_in_both_spellings_and_a_gap_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(",np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)\nm,-1.5,0.9,-2\n")
    assert read_weights(path)["m"].tolist() == [-2.0, 1.5, 0.9]
    ours = tmp_path / "ours.jsonl"
    ours.write_text('{"model": "m", "strength": -2, "length": 1.5, "difficulty": 0.9}\n')
    assert read_weights(ours)["m"].tolist() == [-2.0, 1.5, 0.9]
    row = Annotation(instruction_id="0", generator_1="base", generator_2="n", preference=2.0, len_1=1, len_2=2)
    with pytest.raises(InputError, match="found no weights of n"):
        alpaca_boards([row], weights=ours)
    for bad, said in (
        ("m,nan,1,2", "row 1, column strength: found 'nan'"),
        ("m,1,1,1\nm,1,1,1", "row 2: found weights"),
    ):
        path.write_text(f"model,strength,length,difficulty\n{bad}\n")
        with pytest.raises(InputError, match=said):
            read_weights(path)
    path.write_text("model,strength,length\nm,1,2\n")
    with pytest.raises(InputError, match=r"row 1, column instruction_difficulty: found None, expected a number"):
        read_weights(path)


def apart(board: AlpacaBoard) -> np.ndarray:
    """From the published length-controlled win rates, in points, without the baseline's own line."""
    rows = pl.read_csv(SHARED / f"{GPT4}_leaderboard.csv").iter_rows(named=True)
    shown = {row[""]: row["length_controlled_winrate"] for row in rows}
    return np.array([
        abs(line.lc_win_rate - shown[line.model])
        for line in board.models
        if line.model in shown and line.model != board.baseline and line.lc_win_rate is not None
    ])  # fmt: skip


@published
def test_published_length_controlled_win_rates() -> None:
    rows = [row for row in read_annotations(SHARED / "annotations_compact.csv.gz") if row.annotator == GPT4]
    (own,) = alpaca_boards(rows, rounds=0)
    (given,) = alpaca_boards(rows, weights=SHARED / "lc_glm_weights_v1.csv")
    for name, board in (("own weights", own), ("published weights", given)):
        error = apart(board)
        print(
            f"\n{name}: {len(error)} models, mean {error.mean():.2f} points, median {np.median(error):.2f}, "
            f"max {error.max():.2f}"
        )
    assert len(apart(own)) == len(apart(given)) == 56
    assert apart(own).mean() < 0.6
    assert apart(own).max() < 3.5
    assert apart(given).mean() < 0.2
    assert apart(given).max() < 0.3
