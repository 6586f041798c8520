"""Forecasts of the past: nothing of the future is looked at, a change of scale costs nothing, and the real boards."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from arena_past import HERE, Past, arena_2023, arena_2025
from forecast_worlds import world
from scipy.stats import binom, t

from palaestra.errors import InputError
from palaestra.judge.backtest import Backtest, backtest
from palaestra.judge.backtest_scores import Measured
from palaestra.judge.forecast_methods import METHODS
from palaestra.judge.forecast_tables import Ratings, Scores

needs_data = pytest.mark.skipif(not HERE, reason="the published data is not beside this checkout")


def history(truth: dict[str, float], first: int = 20, each: int = 4) -> list[tuple[float, Ratings]]:
    """Boards that grow by a few models, each board with its own errors."""
    rng = np.random.default_rng(0)
    names = tuple(truth)
    boards = []
    for step, size in enumerate(range(first, len(names) + 1, each)):
        value = np.array([truth[name] for name in names[:size]]) + 5 * rng.normal(size=size)
        boards.append((19_000.0 + 30 * step, Ratings(names[:size], value, np.full(size, 5.0))))
    return boards


@pytest.fixture(scope="module")
def past() -> tuple[Scores, list[tuple[float, Ratings]], Backtest]:
    scores, _, truth = world(1, models=40, new=0, benchmarks=5)
    boards = history(truth)
    return scores, boards, backtest(scores, boards, resamples=200)


def test_each_model_is_foretold_once_by_every_method(past: tuple[Scores, list, Backtest]) -> None:
    scores, boards, found = past
    for method in METHODS:
        own = [one for one in found.forecasts if one.method == method]
        assert [one.model for one in own] == list(scores.models[20:])
        assert {one.rated for one in own} == {20, 24, 28, 32, 36}
    assert found.forecasts[0].date == date(1970, 1, 1).fromordinal(719_163 + int(boards[1][0]))


def test_what_comes_later_changes_nothing(past: tuple[Scores, list, Backtest]) -> None:
    """Other ratings of later boards, and other results of models that are not there yet: the same first forecasts."""
    scores, boards, found = past
    later = [(day, Ratings(board.models, board.rating_M * 3, board.se_M)) for day, board in boards[2:]]
    value = scores.value_MK.copy()
    value[24:] = -value[24:]
    other = Scores(scores.models, scores.benchmarks, value, scores.noise_MK, scores.day_M, scores.links)
    again = backtest(other, [*boards[:2], *later], resamples=200)
    count = 4 * len(METHODS)
    assert again.forecasts[:count] == found.forecasts[:count]
    assert again.forecasts[count:] != found.forecasts[count:]


def test_a_new_scale_of_a_board_is_undone(past: tuple[Scores, list, Backtest]) -> None:
    scores, boards, found = past
    day, board = boards[1]
    moved = (day, Ratings(board.models, 200 + 0.7 * board.rating_M, 0.7 * board.se_M))
    again = backtest(scores, [boards[0], moved], resamples=200)
    for one, other in zip(again.forecasts, found.forecasts, strict=False):
        assert one.actual == pytest.approx(other.actual)
        assert one.rating == other.rating


def test_scores_are_what_a_reader_would_compute(past: tuple[Scores, list, Backtest]) -> None:
    found = past[2]
    own = [one for one in found.forecasts if one.method == "mean_z"]
    error = np.array([one.actual - one.rating for one in own])
    scores = found.scores["mean_z"]
    assert scores.mae.value == pytest.approx(np.abs(error).mean())
    assert scores.rmse.value == pytest.approx(np.sqrt((error**2).mean()))
    assert scores.rmse.lower < scores.rmse.value < scores.rmse.upper
    density = [t.logpdf(one.actual, one.freedom, one.rating, one.scale) for one in own]
    assert scores.log_score.value == pytest.approx(np.mean(density))
    inside = [abs(one.actual - one.rating) <= one.scale * t.ppf(0.9, one.freedom) for one in own]
    assert scores.coverage["0.8"].value == pytest.approx(np.mean(inside))
    brier = [np.mean([(p - hit) ** 2 for p, hit in zip(one.chances, one.beaten, strict=True)]) for one in own]
    assert scores.brier.value == pytest.approx(np.mean(brier))
    assert sum(one.count for one in scores.calibration) == sum(len(one.chances) for one in own)
    assert found.gains["mean_z"].mae.value == pytest.approx(scores.mae.value - found.scores["joint"].mae.value)


def test_the_same_seed_gives_the_same_bytes(past: tuple[Scores, list, Backtest]) -> None:
    scores, boards, found = past
    again = backtest(scores, boards, resamples=200)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert Backtest.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_choosing_is_done_within_the_past(past: tuple[Scores, list, Backtest]) -> None:
    scores, boards, found = past
    chosen = backtest(scores, boards[:3], choosing=True, resamples=200)
    auto = [one for one in chosen.forecasts if one.method == "auto"]
    assert len(auto) == 8
    for one in auto:
        twins = [other for other in found.forecasts if other.model == one.model and other.rating == one.rating]
        assert twins


def test_a_history_without_a_future_is_refused(past: tuple[Scores, list, Backtest]) -> None:
    scores, boards, _ = past
    with pytest.raises(InputError, match="found no model with results that came after a board with 15 rated models"):
        backtest(scores, boards[:1])
    with pytest.raises(InputError, match="with 100 rated models"):
        backtest(scores, boards, least_models=100)


def test_boards_without_dates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text("date,model,rating\n2024-01-01,a,1\n,b,2\n")
    (tmp_path / "results.csv").write_text("model,x\na,1\n")
    with pytest.raises(InputError, match="found rows without a date"):
        backtest(tmp_path / "results.csv", tmp_path / "boards.csv")


Found = tuple[Backtest, Past]


def told(found: Backtest) -> None:
    for method, own in found.scores.items():
        gain = found.gains.get(method)
        print(f"{method:20} MAE {said(own.mae)} CRPS {said(own.crps)} log {own.log_score.value:.2f}", end=" ")
        print(*(f"{one.value:.2f} in {level}" for level, one in own.coverage.items()), end=" ")
        print(f"Brier {own.brier.value:.4f}", f"paired {said(gain.mae)} {said(gain.crps)}" if gain else "")


def said(one: Measured) -> str:
    return f"{one.value:.1f} [{one.lower:.1f}, {one.upper:.1f}]"


@needs_data
@pytest.mark.slow
def test_the_arena_from_2023_to_2025(tmp_path: Path) -> None:
    """What docs/forecast.md claims: intervals hold; errors not above any naive way's, below those of all but one."""
    results, boards, names = arena_2023(tmp_path)
    found = backtest(results, boards)
    print(f"\n{len(names.scores)} models with results; {len(names.matched)} names matched, {len(names.unmatched)} not")
    told(found)
    _intervals_hold(found, 107)
    for method in METHODS:
        if method != "joint":
            assert found.gains[method].mae.upper > 0
            assert found.gains[method].mae.value > 0
            assert found.gains[method].crps.value > 0
    for method in ("least_squares", "mean_z", "board_mean"):
        assert found.gains[method].mae.lower > 0
        assert found.gains[method].crps.lower > 0
    assert found.gains["best_benchmark"].mae.lower < 0  # not told apart from this one
    assert abs(found.scores["joint"].bias.value) < 5


@needs_data
def test_the_arena_of_2025(tmp_path: Path) -> None:
    """Fewer models: no naive regression is told apart, but for the mean of z-scores and the board's mean."""
    results, boards, names = arena_2025(tmp_path)
    found = backtest(results, boards)
    print(f"\n{len(names.scores)} models with results; {len(names.matched)} names matched, {len(names.unmatched)} not")
    told(found)
    _intervals_hold(found, 21)
    for method in ("mean_z", "board_mean"):
        assert found.gains[method].mae.lower > 0
    for method in ("best_benchmark", "least_squares"):
        assert found.gains[method].mae.lower < 0 < found.gains[method].mae.upper


def _intervals_hold(found: Backtest, models: int) -> None:
    own = found.scores["joint"]
    assert own.models == models
    for level, one in own.coverage.items():
        assert one.value * models >= binom.ppf(0.025, models, float(level))
    assert not math.isnan(own.log_score.value)


@needs_data
def test_names_are_matched_with_care(tmp_path: Path) -> None:
    *_, past = arena_2023(tmp_path)
    assert past.scores["gpt-4-1106-preview"]["AlpacaEval 2 LC"] == pytest.approx(50.0)
    assert past.scores["vicuna-13b"]["MT-bench"] == 6.57
    assert not past.matched & {"gpt4_1106_preview_verbose", "Meta-Llama-3.1-70B-Instruct-Turbo", "claude-instant-1.2"}
    assert "NullModel" in past.unmatched
    rows = pl.read_csv(tmp_path / "boards.csv")
    assert rows.select("date", "model").is_duplicated().sum() == 0
