"""Forecasts: the truth of simulated worlds, laws of invariance, and bad input in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forecast_worlds import world, write
from scipy.stats import binom, t

from palaestra.errors import InputError
from palaestra.judge.equating import equate
from palaestra.judge.forecast import Forecast, forecast
from palaestra.judge.forecast_methods import METHODS, choose
from palaestra.judge.forecast_rows import rated_rows
from palaestra.judge.forecast_tables import Ratings, Scores, read_ratings, read_scores


def only(found: Forecast) -> dict[str, tuple[float, float, float]]:
    return {line.model: (line.rating, line.lower, line.upper) for line in found.models}


@pytest.mark.parametrize(
    ("models", "benchmarks", "holes"), [(8, 3, 0.0), (15, 4, 0.3), (30, 6, 0.3), (60, 10, 0.5), (20, 1, 0.0)]
)
def test_intervals_hold_and_chances_come_true(models: int, benchmarks: int, holes: float) -> None:
    """120 worlds: coverage at 50, 80 and 95%, and P(beats production), within binomial error (1 in 10,000)."""
    below, chances, beaten = [], [], []
    for seed in range(120):
        scores, board, truth = world(seed, models=models, new=3, benchmarks=benchmarks, holes=holes)
        production = board.models[int(np.random.default_rng(seed).integers(models))]
        for line in forecast(scores, board, production=production, draws=1000).models:
            scale = (line.upper - line.lower) / 2 / t.ppf(0.975, line.freedom)
            below.append(t.cdf((truth[line.model] - line.rating) / scale, line.freedom))
            chances.append(line.chance)
            beaten.append(truth[line.model] > truth[production])
    for level in (0.5, 0.8, 0.95):
        share = float(np.mean(np.abs(np.array(below) - 0.5) <= level / 2))
        low, high = binom.ppf([1e-4, 1 - 1e-4], len(below), level) / len(below)
        print(f"{models} models, {benchmarks} benchmarks, {level:.0%}: {share:.3f} [{low:.3f}, {high:.3f}]")
        assert low <= share <= min(high + 0.02, 1)
    gap = np.array(beaten) - np.array(chances)
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5


def test_errors_are_smaller_than_those_of_the_naive_ways() -> None:
    """40 worlds of 20 models, 8 benchmarks and 40% holes: mean absolute error by method."""
    errors: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(40):
        scores, board, truth = world(seed, models=20, benchmarks=8, holes=0.4)
        for method, own in errors.items():
            own += [abs(line.rating - truth[line.model]) for line in forecast(scores, board, method=method).models]
    means = {method: float(np.mean(own)) for method, own in errors.items()}
    print(means)
    assert means["joint"] < 0.95 * min(means[method] for method in METHODS if not method.startswith("joint"))
    assert means["board_mean"] == max(means.values())


@pytest.mark.parametrize("method", METHODS)
def test_order_and_units_do_not_matter(method: str) -> None:
    scores, board, _ = world(5)
    found = only(forecast(scores, board, method=method))
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(scores.models)), rng.permutation(len(scores.benchmarks))
    stretch = rng.uniform(0.1, 50, len(columns)) * rng.choice([-1, 1], len(columns))
    shift = 100 * rng.normal(size=len(columns))
    turned = Scores(
        tuple(scores.models[row] for row in rows),
        tuple(scores.benchmarks[column] for column in columns),
        (scores.value_MK * stretch + shift)[rows][:, columns],
        scores.noise_MK,
        scores.day_M,
        scores.links,
    )
    again = only(forecast(turned, board.of(reversed(board.models)), method=method))
    moved = Ratings(board.models, 3 * board.rating_M - 500, 3 * board.se_M)
    stretched = only(forecast(scores, moved, method=method))
    for name, told in found.items():
        np.testing.assert_allclose(again[name], told, atol=1e-3)
        np.testing.assert_allclose((np.array(stretched[name]) + 500) / 3, told, atol=1e-3)


def test_the_same_seed_gives_the_same_bytes() -> None:
    scores, board, _ = world(6)
    one, other = (json.dumps(forecast(scores, board, production="m001").to_dict()) for _ in range(2))
    assert one == other
    assert Forecast.from_dict(json.loads(one)).to_dict() == json.loads(one)


def test_production_is_beaten_with_what_both_share() -> None:
    """Half of the chance at the forecast itself; and an uncertain rating that the forecast rests on counts for less."""
    scores, board, _ = world(7, models=8, benchmarks=2, holes=0.0, se=30.0)
    new = forecast(scores, board).models[0]
    here = replace(board, rating_M=np.where(np.array(board.models) == "m000", new.rating, board.rating_M))
    found = forecast(scores, here, (new.model,), production="m000").models[0]
    assert found.chance is not None
    assert found.difference is not None
    assert (found.chance > 0.5) == (found.difference > 0)
    whole = found.se**2 + 30.0**2 * found.freedom / (found.freedom - 2)
    assert found.difference_se is not None
    assert found.difference_se**2 != pytest.approx(whole, rel=1e-3)
    alone = Ratings((*board.models, "other"), np.append(board.rating_M, 1100.0), np.append(board.se_M, 30.0))
    apart = forecast(scores, alone, (new.model,), production="other").models[0]
    assert apart.difference_se is not None
    assert apart.difference_se**2 == pytest.approx(apart.se**2 + 900 * apart.freedom / (apart.freedom - 2))


def test_ranks_are_those_among_the_board() -> None:
    scores, board, _ = world(8, se=0.0)
    for line in forecast(scores, board).models:
        assert line.rank == 1 + int((board.rating_M > line.rating).sum())
        assert line.rank_lower <= line.rank <= line.rank_upper
        assert 1 + int((board.rating_M > line.upper).sum()) == pytest.approx(line.rank_lower, abs=1)
        assert 1 + int((board.rating_M > line.lower).sum()) == pytest.approx(line.rank_upper, abs=1)


def test_points_add_up_to_the_forecast() -> None:
    """Moved from the middle of the rated models: for the joint law by the mean that it found for all of them."""
    scores, board, _ = world(9, holes=0.0)
    for line in forecast(scores, board, method="least_squares").models:
        assert sum(line.points.values()) + board.rating_M.mean() == pytest.approx(line.rating)
    for line in forecast(scores, board).models:
        assert sum(line.points.values()) + board.rating_M.mean() == pytest.approx(line.rating, abs=1.0)


def test_a_drift_is_followed_with_dates_and_told_without() -> None:
    """Newer models are rated higher at the same scores, by 60 points a year."""
    scores, board, truth = world(10, models=60, new=6, benchmarks=4, holes=0.2)
    years = np.linspace(0, 5, 66)
    drifting = replace(board, rating_M=board.rating_M + 60 * years[:60])
    dated = replace(scores, day_M=19_000 + 365.25 * years)
    true = {name: value + 60 * year for (name, value), year in zip(truth.items(), years, strict=True)}

    def error(found: Forecast) -> float:
        return float(np.mean([abs(line.rating - true[line.model]) for line in found.models]))

    with_dates = forecast(dated, drifting)
    assert error(with_dates) < 0.6 * error(forecast(dated, drifting, method="joint_without_date"))
    told = forecast(dated, drifting, method="joint_without_date").warnings
    assert any("drift" in warning and "above" in warning for warning in told)
    assert any("no dates" in warning for warning in forecast(scores, drifting).warnings)
    assert next(iter(choose(rated_rows(drifting, dated)))) in {"joint", "least_squares_date"}


def test_a_single_benchmark_is_a_line() -> None:
    scores, board, _ = world(11, benchmarks=1, holes=0.0)
    slope, constant = np.polyfit(scores.value_MK[:30, 0], board.rating_M, 1)
    for line in forecast(scores, board, method="best_benchmark").models:
        value = scores.value_MK[scores.models.index(line.model), 0]
        assert line.rating == pytest.approx(constant + slope * value)


def test_a_constant_benchmark_and_a_rare_one_are_left_aside() -> None:
    scores, board, _ = world(12)
    wide = replace(
        scores,
        benchmarks=(*scores.benchmarks, "flat", "rare"),
        value_MK=np.column_stack(
            [scores.value_MK, np.ones(34), np.where(np.arange(34) < 3, 0.1 * np.arange(34), np.nan)]
        ),
        noise_MK=np.zeros((34, 8)),
    )
    found = forecast(wide, board)
    assert only(found) == only(forecast(scores, board))
    assert any("left aside" in warning and "flat, rare" in warning for warning in found.warnings)
    assert set(found.benchmarks) == set(scores.benchmarks)


def test_what_the_reader_has_to_know() -> None:
    scores, board, _ = world(13, models=10, new=1, benchmarks=3, holes=0.0, se=0.0)
    scores.value_MK[-1, 0] = 1e3
    scores.value_MK[:8, 2] = np.nan
    scores.value_MK[4:8, 2] = [0.1, 0.2, 0.3, 0.5]
    found = forecast(scores, board)
    assert any("only 10 rated models" in text for text in found.warnings)
    assert any("no standard errors" in text for text in found.warnings)
    assert any("extrapolated: above all rated models on b0" in text for text in found.models[0].warnings)
    scores.value_MK[-1, :2] = np.nan
    scores.value_MK[8:10, 2] = np.nan
    rare = forecast(scores, board).models[0]
    assert any("most rated models lack: b2" in text for text in rare.warnings)
    assert rare.missing == ("b0", "b1")


def test_too_few_models_to_choose_by_are_told() -> None:
    scores, board, _ = world(19, models=6, benchmarks=2, holes=0.0)
    dated = replace(scores, day_M=np.linspace(19_000, 19_300, len(scores.models)))
    found = forecast(dated, board, method="auto")
    assert (found.method, found.scores) == ("joint", {})
    assert any("6 rated models are too few to choose a method by: joint was taken" in text for text in found.warnings)


def test_a_change_of_the_boards_scale_is_told() -> None:
    scores, board, _ = world(14)
    same = forecast(scores, board, earlier=board).warnings
    moved = Ratings(board.models, board.rating_M - 60, board.se_M)
    assert not any("scale" in text for text in same)
    assert any("moved by +60 points" in text for text in forecast(scores, board, earlier=moved).warnings)


def test_equating_undoes_a_change_of_scale() -> None:
    board = world(15)[1]
    other = Ratings(board.models, 0.8 * board.rating_M + 100, 0.8 * board.se_M)
    line = equate(other, board)
    np.testing.assert_allclose(line.turn(other).rating_M, board.rating_M)
    np.testing.assert_allclose(line.turn(other).se_M, board.se_M)
    with pytest.raises(InputError, match="found 2 models on both boards, expected at least 5"):
        equate(other.of(board.models[:2]), board)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, b: (s, b.of(b.models[:4])), "found 4 models with both a rating and a result, expected at least 5"),
        (lambda s, b: (s, replace(b, rating_M=np.full(30, 7.0))), "one and the same rating for all 30 models"),
        (lambda s, b: (replace(s, value_MK=np.ones_like(s.value_MK)), b), "found no benchmark that at least 4 rated"),
        (lambda s, b: (replace(s, value_MK=np.full_like(s.value_MK, np.nan)), b), "found 0 models with both"),
        (lambda s, _: (s, Ratings(s.models, np.arange(34.0), np.zeros(34))), "found no model with results and without"),
    ],
)
def test_tables_of_which_nothing_can_be_made(change, words: str) -> None:  # noqa: ANN001 - a function of both tables
    scores, board, _ = world(16)
    with pytest.raises(InputError, match=words):
        forecast(*change(scores, board))


def test_models_that_cannot_be_foretold() -> None:
    scores, board, _ = world(17)
    scores.value_MK[-1] = np.nan
    with pytest.raises(InputError, match="found no result of 'm033' on a benchmark that rated models have"):
        forecast(scores, board)
    with pytest.raises(InputError, match="found 'm003' on the board already"):
        forecast(scores, board, ["m003"])
    with pytest.raises(InputError, match="found no results of 'nobody'"):
        forecast(scores, board, ["nobody"])
    with pytest.raises(InputError, match="found no model 'nobody' on the board"):
        forecast(scores, board, ["m030"], production="nobody")
    assert [line.model for line in forecast(scores, board, ["m030", "m030"]).models] == ["m030"]


def test_files_say_what_the_tables_say(tmp_path: Path) -> None:
    scores, board, _ = world(18)
    results, rated = write(tmp_path, scores, board)
    for name, told in only(forecast(results, rated, link="none")).items():
        np.testing.assert_allclose(told, only(forecast(scores, board))[name])
    long = tmp_path / "long.csv"
    rows = [
        f"{model},{benchmark},{value}"
        for model, values in zip(scores.models, scores.value_MK, strict=True)
        for benchmark, value in zip(scores.benchmarks, values, strict=True)
        if np.isfinite(value)
    ]
    long.write_text("model,benchmark,score\n" + "\n".join(rows))
    for name, told in only(forecast(long, rated, link="none")).items():
        np.testing.assert_allclose(told, only(forecast(scores, board))[name], atol=1e-3)


def test_a_boards_json_is_read_with_its_own_confidence(tmp_path: Path) -> None:
    board = {"settings": {"confidence": 0.8}, "models": [{"model": "a", "rating": 1, "lower": 0, "upper": 2}]}
    path = tmp_path / "board.json"
    path.write_text(json.dumps(board))
    assert read_ratings(path).se_M[0] == pytest.approx(1 / 1.2815515655446004)
    path.write_text(json.dumps({"boards": {"overall": board, "code": board}}))
    with pytest.raises(InputError, match="found the boards overall, code, expected a single one"):
        read_ratings(path)


def test_counts_shares_and_scales_are_turned_each_in_its_way(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("model,share,percent,scale,date\na,0.5,50,7.5,20240101\nb,1,3,9,2024-01-02\nc,,,,\n")
    scores = read_scores(path)
    assert scores.links == {"share": "share", "percent": "percent", "scale": "none"}
    assert scores.value_MK[0].tolist() == [0.0, 0.0, 7.5]
    assert scores.value_MK[1, 0] == pytest.approx(np.log(0.995 / 0.005))
    assert scores.day_M[1] - scores.day_M[0] == 1
    assert np.isnan(scores.value_MK[2]).all()
    path.write_text("model,benchmark,correct,total\na,x,30,60\na,x,20,40\nb,x,0,10\n")
    counts = read_scores(path)
    assert counts.value_MK[:, 0].tolist() == pytest.approx([0.0, np.log(0.5 / 10.5)])
    assert counts.noise_MK[0, 0] == pytest.approx(4 / 101)
    path.write_text("model,benchmark,score,se\na,x,0.5,0.1\nb,x,0.2,\n")
    assert read_scores(path).noise_MK[:, 0].tolist() == pytest.approx([0.16, 0.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,x\na,1\n", "found the columns name, x, expected one called model"),
        ("model,x\na,1\na,2\n", "row 2: found 'a' again, which is row 1 already"),
        ("model,x\na,1\nb,high\n", "row 2, column x: found 'high', expected a number or nothing"),
        ("model,x\na,1\nb,inf\n", "row 2, column x: found 'inf'"),
        ("model,x\na,1\n,1\n", "row 2, column model: found nothing, expected a name"),
        ("model,date\na,2024-01-01\n", "found no benchmark"),
        ("model,x,date\na,1,yesterday\n", "column date: found 'yesterday', expected a date such as"),
        ("model,benchmark,score\na,x,1\na,x,2\n", "row 2: found 'a' on 'x' again"),
        ("model,benchmark,score,colour\na,x,1,red\n", "found the column colour"),
        ("model,benchmark,correct,total\na,x,5,4\n", "found 5 correct of 4"),
        ("model,benchmark,correct,total\na,x,5,\n", "found only one of correct and total"),
        ("model,benchmark,score,correct,total\na,x,,1,2\nb,x,0.3,,\n", "found counts and scores on 'x'"),
        ("model,benchmark,score,se\na,x,1,-1\n", "column se: found -1, expected 0 or more"),
    ],
)
def test_malformed_results_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,rating\na,1\na,2\n", "row 2: found 'a' again, which is row 1 already"),
        ("model,rating\na,nan\n", "row 1, column rating: found nothing, expected the rating of a"),
        ("model,rating\na,best\n", "row 1, column rating: found 'best'"),
        ("model,rating,se\na,1,-2\n", "column se: found -2, expected 0 or more"),
        ("model,rating,lower,upper\na,1,3,2\n", "found lower 3 above upper 2"),
    ],
)
def test_malformed_boards_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "board.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_ratings(path)
