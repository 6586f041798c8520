"""Goodness and fastness: closed forms, scipy's distributions, exact and simulated coverage, laws of adding up."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy import integrate, stats

from palaestra.errors import InputError
from palaestra.ranking.mpg import MpgBoard, mpg
from palaestra.ranking.mpg_posterior import (
    chance_of_beating,
    goodness_draws,
    goodness_moments,
    pareto,
    pareto_chance,
    rank_ranges,
)
from palaestra.ranking.mpg_tally import tally
from palaestra.schema import Result

SHARED = Path(__file__).parents[3] / "shared" / "data" / "routing" / "routellm"
DOMAIN = {"trivia": "facts", "science": "facts", "logic": "reason"}
GUESS = {"trivia": None, "science": 0.25, "logic": 0.2}


def result(model: str, benchmark: str, correct: int, total: int, **more: object) -> Result:
    fields = {"domain": DOMAIN[benchmark], "guess_rate": GUESS[benchmark]} | more
    return Result(model=model, benchmark=benchmark, correct=correct, total=total, **fields)  # ty: ignore[invalid-argument-type]


def timed(model: str, queries: int, seconds: float, **more: object) -> Result:
    more = {"concurrency": 4} | more
    return result(model, "logic", queries // 2, max(queries, 1), queries=queries, seconds=seconds, **more)


counts = st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(any)
tables = st.lists(st.tuples(*[st.none() | counts] * 3).filter(any), min_size=1, max_size=4)


def results_of(table: list) -> list[Result]:
    """One row a model: right and wrong answers on each benchmark, or none. At least one model has each benchmark."""
    filled = [*table, ((1, 1), (2, 0), (0, 3))]
    return [
        result(f"m{number}", name, cell[0], sum(cell))
        for number, row in enumerate(filled)
        for name, cell in zip(DOMAIN, row, strict=True)
        if cell is not None
    ]


@given(tables, st.booleans())
@settings(max_examples=40, deadline=None)
def test_goodness_is_the_mean_of_means_of_betas(table: list, correct_guessing: bool) -> None:  # noqa: FBT001 - drawn
    """Against scipy's Betas, added up one by one."""
    board = mpg(results_of(table), correct_guessing=correct_guessing, draws=1000)
    for line in board.models:
        row = [*table, ((1, 1), (2, 0), (0, 3))][int(line.model[1:])]
        mean, variance = 0.0, 0.0
        for name, cell in zip(DOMAIN, row, strict=True):
            right, wrong = cell or (0, 0)
            guess = (GUESS[name] or 0.0) * correct_guessing
            weight = 0.5 / sum(domain == DOMAIN[name] for domain in DOMAIN.values()) / (1 - guess)
            mean += weight * (stats.beta.mean(1 + right, 1 + wrong) - guess)
            variance += weight**2 * stats.beta.var(1 + right, 1 + wrong)
        assert line.goodness == pytest.approx(mean)
        assert line.se == pytest.approx(np.sqrt(variance))
        assert line.missing == tuple(
            name for name in sorted(DOMAIN, key=lambda n: (DOMAIN[n], n)) if row[list(DOMAIN).index(name)] is None
        )


def test_the_draws_have_the_closed_form_mean_and_variance() -> None:
    rng = np.random.default_rng(0)
    rows = [result(f"m{m}", name, int(rng.integers(0, 30)), 30) for m in range(6) for name in DOMAIN]
    added = tally(rows)
    mean_MD, variance_M = goodness_moments(added, added.guess_K)
    draws = 40_000
    drawn_MR, _ = goodness_draws(added, added.guess_K, (0.025, 0.975), draws, np.random.default_rng(1))
    z_M = (drawn_MR.mean(axis=1) - mean_MD.mean(axis=1)) / np.sqrt(variance_M / draws)
    assert np.abs(z_M).max() < 4
    assert drawn_MR.var(axis=1) == pytest.approx(variance_M, rel=4 * np.sqrt(2 / draws))


@given(tables, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_and_their_shards_do_not_matter(table: list, random) -> None:  # noqa: ANN001 - Hypothesis' own
    rows = results_of(table)
    sharded = []
    for row in rows:
        part = random.randint(0, row.correct)
        of = random.randint(part, part + row.total - row.correct)
        parts = [(part, of), (row.correct - part, row.total - of)]
        sharded += [row.model_copy(update={"correct": k, "total": n}) for k, n in parts if n]
    random.shuffle(sharded)
    assert mpg(sharded, draws=1000).to_json() == mpg(rows, draws=1000).to_json()


@given(tables)
@settings(max_examples=15, deadline=None)
def test_other_names_change_nothing_but_the_names(table: list) -> None:
    rows = results_of(table)
    renamed = {f"m{number}": f"n{9 - number}" for number in range(6)}
    before = {renamed[line.model]: line for line in mpg(rows, draws=4000).models}
    for line in mpg([row.model_copy(update={"model": renamed[row.model]}) for row in rows], draws=4000).models:
        was = before[line.model]
        assert (line.rank, line.missing) == (was.rank, was.missing)
        assert [line.goodness, line.se, line.borda, line.mean_win_rate] == pytest.approx(
            [was.goodness, was.se, was.borda, was.mean_win_rate]
        )
        assert line.lower == pytest.approx(was.lower, abs=0.35 * was.se)  # drawn from another part of the stream


def test_a_long_benchmark_weighs_no_more_than_a_short_one() -> None:
    def goodness(questions: int) -> float:
        rows = [result("A", "trivia", questions // 10, questions), result("A", "science", 900, 1000)]
        return mpg([*rows, result("A", "logic", 500, 1000)], draws=1000).models[0].goodness

    assert goodness(1000) == pytest.approx(0.5, abs=1e-3)
    assert goodness(100_000) == pytest.approx(goodness(1000), abs=1e-3)


def test_a_missing_benchmark_is_the_prior_and_not_zero() -> None:
    rows = [result(model, name, 90, 100) for model in "AB" for name in DOMAIN]
    board = mpg([row for row in rows if (row.model, row.benchmark) != ("B", "logic")])
    a, b = board.models
    assert (a.missing, b.missing) == ((), ("logic",))
    assert b.domains["reason"].goodness == 0.5
    assert (b.domains["reason"].lower, b.domains["reason"].upper) == pytest.approx((0.025, 0.975), abs=0.01)
    assert b.upper - b.lower > 5 * (a.upper - a.lower)
    assert board.warnings[0].startswith("no result for B on logic: only the prior stands there")


def test_the_coverage_of_one_benchmark_is_what_it_should_be_exactly() -> None:
    """All outcomes of 150 questions at once, as 151 models; coverage is a sum over the binomial."""
    questions = 150
    rows = [result(f"{k:03d}", "trivia", k, questions) for k in range(questions + 1)]
    lines = sorted(mpg(rows).models, key=lambda line: line.model)
    lower_k, upper_k = (np.array([getattr(line, end) for line in lines]) for end in ("lower", "upper"))
    exact = stats.beta(1 + np.arange(questions + 1), 1 + questions - np.arange(questions + 1))
    assert lower_k == pytest.approx(exact.ppf(0.025), abs=0.004)
    assert upper_k == pytest.approx(exact.ppf(0.975), abs=0.004)
    truths = np.linspace(0.02, 0.98, 193)
    chance = stats.binom.pmf(np.arange(questions + 1), questions, truths[:, None])
    coverage = (chance * ((lower_k <= truths[:, None]) & (truths[:, None] <= upper_k))).sum(axis=1)
    print(f"exact coverage: {coverage.min():.3f} to {coverage.max():.3f}, mean {coverage.mean():.4f}")
    assert 0.945 < coverage.mean() < 0.955
    assert coverage.min() > 0.90


def test_everything_is_calibrated_where_truth_comes_from_the_prior() -> None:
    """Intervals, ranks, chances of beating and of the Pareto set, over 300 worlds of 4 models."""
    rng = np.random.default_rng(7)
    questions, worlds, models = {"trivia": 200, "science": 40, "logic": 12}, 300, 4
    inside, ranks_alone, ranks_all, beats, members = [], [], [], [], []
    for _ in range(worlds):
        p_MK, rate_M = rng.random((models, 3)), rng.uniform(1, 3, models)
        rows = []
        for m in range(models):
            for k, (name, n) in enumerate(questions.items()):
                took = float(rng.gamma(n) / rate_M[m])
                right = int(rng.binomial(n, p_MK[m, k]))
                rows.append(result(f"m{m}", name, right, n, queries=n, concurrency=1, seconds=took))
        board = mpg(rows, draws=1000)
        order = [int(line.model[1:]) for line in board.models]
        truth = (p_MK[:, :2].mean(axis=1) / 2 + p_MK[:, 2] / 2)[order]
        rank = 1 + (truth[:, None] < truth).sum(axis=1)
        inside += [line.lower <= value <= line.upper for line, value in zip(board.models, truth, strict=True)]
        ranks_alone += [line.rank_lower <= r <= line.rank_upper for line, r in zip(board.models, rank, strict=True)]
        ranks_all.append(
            all(
                line.rank_simultaneous_lower <= r <= line.rank_simultaneous_upper
                for line, r in zip(board.models, rank, strict=True)
            )
        )
        beats += [(board.beats[i][j], truth[i] > truth[j]) for i in range(models) for j in range(i)]
        in_set = pareto(truth, rate_M[order])
        members += [(line.pareto_probability, bool(is_in)) for line, is_in in zip(board.models, in_set, strict=True)]
    figures = {"intervals": np.mean(inside), "ranks": np.mean(ranks_alone), "all ranks": np.mean(ranks_all)}
    print({name: round(float(value), 3) for name, value in figures.items()})
    error = np.sqrt(0.95 * 0.05 / (worlds * models))
    assert abs(figures["intervals"] - 0.95) < 4 * error
    assert figures["ranks"] > 0.95 - 4 * error
    assert figures["all ranks"] > 0.95 - 4 * np.sqrt(0.95 * 0.05 / worlds)
    for name, pairs in (("beats", beats), ("in the Pareto set", members)):
        foretold, happened = np.array(pairs, dtype=float).T
        spread = np.sqrt((foretold * (1 - foretold)).sum())
        print(f"{name}: foretold {foretold.mean():.4f}, happened {happened.mean():.4f}")
        assert abs((happened - foretold).sum()) < 4 * max(spread, 1)


def test_the_chance_of_beating_is_the_integral() -> None:
    board = mpg([result("A", "trivia", 13, 20), result("B", "trivia", 10, 20)], draws=40_000)
    a, b = stats.beta(14, 8), stats.beta(11, 11)
    exact = integrate.quad(lambda p: a.pdf(p) * b.cdf(p), 0, 1)[0]
    assert board.models[0].model == "A"
    assert board.beats[0][1] == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 40_000))
    assert board.beats[1][0] == pytest.approx(1 - board.beats[0][1])
    assert board.beats[0][0] == 0.5


small = st.integers(1, 5).flatmap(
    lambda models: arrays(float, (2, models, 40), elements=st.integers(0, 10).map(float), fill=st.nothing())
)


@given(small)
@settings(max_examples=60, deadline=None)
def test_the_pareto_set_is_what_nobody_beats(points: np.ndarray) -> None:
    """Against the definition, pair by pair; with ties for the means, without in goodness for the draws."""

    def definition(good: np.ndarray, fast: np.ndarray) -> list[bool]:
        pairs = list(zip(good, fast, strict=True))
        return [not any(o[0] >= p[0] and o[1] >= p[1] and o != p for o in pairs) for p in pairs]

    assert pareto(points[0, :, 0], points[1, :, 0]).tolist() == definition(points[0, :, 0], points[1, :, 0])
    good_MR = points[0] + np.random.default_rng(0).random(points[0].shape) / 2
    members = [definition(good_MR[:, r], points[1, :, r]) for r in range(40)]
    assert pareto_chance(good_MR, points[1]) == pytest.approx(np.mean(members, axis=0))


def widest_needed(rank_MR: np.ndarray, confidence: float) -> tuple[list, list]:
    """Simultaneous ranges by their definition: levels from the greatest on, until enough draws are inside."""
    ranks = np.arange(1, len(rank_MR) + 1)
    as_good_MM = (rank_MR[:, None, :] <= ranks[:, None]).sum(axis=-1)
    as_bad_MM = (rank_MR[:, None, :] >= ranks[:, None]).sum(axis=-1)
    alone = (1 - confidence) / 2 * rank_MR.shape[1]
    for level in sorted({alone, *as_good_MM.ravel(), *as_bad_MM.ravel()}, reverse=True):
        inside_MM = (as_good_MM >= level) & (as_bad_MM >= level)
        hits_R = np.take_along_axis(inside_MM, rank_MR - 1, axis=1).all(axis=0)
        if level <= alone and hits_R.mean() >= confidence:
            return [int(ranks[row].min()) for row in inside_MM], [int(ranks[row].max()) for row in inside_MM]
    raise AssertionError


@given(st.integers(1, 8), st.integers(0, 2**32), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_ranges_of_ranks_hold_as_often_as_they_say(models: int, seed: int, confidence: float) -> None:
    rng = np.random.default_rng(seed)
    drawn_MR = rng.normal(rng.normal(0, 1, models)[:, None], rng.gamma(1, 1, models)[:, None], (models, 500))
    rank_MR = 1 + (drawn_MR[:, None] < drawn_MR[None]).sum(axis=1)
    ranges = rank_ranges(drawn_MR, confidence)
    alone_MR = (rank_MR >= ranges.lower_M[:, None]) & (rank_MR <= ranges.upper_M[:, None])
    all_MR = (rank_MR >= ranges.all_lower_M[:, None]) & (rank_MR <= ranges.all_upper_M[:, None])
    assert alone_MR.mean(axis=1).min() >= confidence - 1e-12
    assert all_MR.all(axis=0).mean() >= confidence - 1e-12
    assert (ranges.all_lower_M <= ranges.lower_M).all()
    assert (ranges.all_upper_M >= ranges.upper_M).all()
    assert (ranges.all_lower_M.tolist(), ranges.all_upper_M.tolist()) == widest_needed(rank_MR, confidence)
    tail = (1 - confidence) / 2 - 1e-12
    assert (rank_MR <= ranges.lower_M[:, None]).mean(axis=1).min() >= tail, "no range is wider than it must be"
    assert (rank_MR >= ranges.upper_M[:, None]).mean(axis=1).min() >= tail
    apart = rank_ranges(drawn_MR - 1000 * np.arange(models)[:, None], confidence)
    assert all(ends.tolist() == list(range(1, models + 1)) for ends in (apart.lower_M, apart.all_lower_M))
    assert all(ends.tolist() == list(range(1, models + 1)) for ends in (apart.upper_M, apart.all_upper_M))
    beats_MM = chance_of_beating(drawn_MR)
    assert 1 + (1 - beats_MM).sum(axis=1) - 0.5 == pytest.approx(rank_MR.mean(axis=1))


def test_fastness_is_all_queries_over_all_seconds() -> None:
    rows = [timed("A", 100, 10.0), timed("A", 100, 100.0), timed("B", 50, 25.0), result("B", "trivia", 1, 2)]
    lines = {line.model: line for line in mpg(rows).models}
    a = lines["A"]
    exact = stats.gamma(201, scale=1 / 110)
    assert [a.fastness, a.fastness_lower, a.fastness_upper] == pytest.approx(
        [exact.mean(), exact.ppf(0.025), exact.ppf(0.975)]
    )
    assert lines["B"].fastness == pytest.approx(51 / 25)
    assert a.cost_per_query is None


def test_goodness_does_not_know_fastness_nor_the_other_way_round() -> None:
    def numbers(seconds: float, right: int) -> tuple:
        lines = mpg([timed("A", 40, seconds), timed("B", 40, 9.0), result("A", "trivia", right, 40)]).models
        a = next(line for line in lines if line.model == "A")
        return (a.goodness, a.lower, a.upper), (a.fastness, a.fastness_lower, a.fastness_upper)

    assert numbers(1.0, 20)[0] == numbers(9.0, 20)[0]
    assert numbers(1.0, 20)[1] == numbers(1.0, 30)[1]


def test_cost_stands_in_the_place_of_time_and_less_of_it_is_better() -> None:
    rows = [
        result("dear", "trivia", 90, 100, queries=100, cost=5.0),
        result("cheap", "trivia", 60, 100, queries=50, cost=0.5),
        result("waste", "trivia", 30, 100, queries=100, cost=5.0),
        result("unknown", "trivia", 10, 100),
    ]
    lines = {line.model: line for line in mpg(rows, by="cost").models}
    assert {name: line.pareto for name, line in lines.items()} == {
        "dear": True,
        "cheap": True,
        "waste": False,
        "unknown": None,
    }
    assert lines["cheap"].cost_per_query == pytest.approx(0.01)
    assert lines["waste"].pareto_probability == pytest.approx(0, abs=1e-3), "as dear as the best, and never better"
    with pytest.raises(InputError, match="waste: found a cost for 0 queries"):
        mpg([*rows[:2], rows[2].model_copy(update={"queries": 0})], by="cost")


def test_times_are_taken_at_one_concurrency() -> None:
    rows = [
        timed("A", 100, 10.0, concurrency=1),
        result("A", "trivia", 5, 10, queries=10, seconds=1.0, concurrency=8),
        timed("B", 9, 1.0),
    ]
    with pytest.raises(InputError, match="found times at concurrencies 1, 4, 8, which cannot be compared"):
        mpg(rows)
    board = mpg(rows, concurrency=8)
    lines = {line.model: line for line in board.models}
    assert board.settings.concurrency == 8
    assert lines["A"].fastness == pytest.approx(11)
    assert (lines["B"].fastness, lines["B"].pareto) == (None, None)
    assert "no times for B: left out of the Pareto set" in board.warnings
    with pytest.raises(InputError, match="found no times at concurrency 2, expected one of 1, 4, 8"):
        mpg(rows, concurrency=2)
    different = mpg([timed("A", 9, 1.0), result("B", "trivia", 5, 10, queries=10, seconds=1.0, concurrency=4)])
    assert any("measured on different benchmarks" in warning for warning in different.warnings)


ONE = result("A", "logic", 1, 2)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "found no results"),
        ([ONE, ONE.model_copy(update={"model": "B", "domain": "x"})], "logic: found domain reason and x"),
        ([ONE, ONE.model_copy(update={"model": "B", "guess_rate": None})], "logic: found guess_rate 0.2 and None"),
        ([ONE.model_copy(update={"concurrency": c}) for c in (1, 2)], "A on logic: found concurrency 1 and 2"),
        (
            [ONE.model_copy(update={"date": datetime(2024, m, 1, tzinfo=UTC)}) for m in (5, 6)],
            "found date .*keep one run",
        ),
    ],
)
def test_results_that_contradict_each_other_are_refused(rows: list[Result], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mpg(rows)


def test_settings() -> None:
    rows = [result("A", "science", 25, 100)]
    assert mpg(rows, correct_guessing=True).models[0].goodness == pytest.approx((26 / 102 - 0.25) / 0.75)
    assert "guess rates" in mpg(rows).warnings[0]
    with pytest.raises(InputError, match="found no guess rate"):
        mpg([result("A", "trivia", 1, 2)], correct_guessing=True)
    with pytest.raises(ValidationError, match="colour"):
        mpg(rows, colour="red")
    wide, narrow = (mpg(rows, confidence=confidence).models[0] for confidence in (0.99, 0.5))
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    assert mpg(rows, seed=1).to_json() == mpg(rows, seed=1).to_json()
    assert mpg(rows, seed=1).models[0].lower != mpg(rows, seed=2).models[0].lower


def test_a_board_is_a_record_and_a_table(tmp_path: Path) -> None:
    board = mpg([timed("A", 20, 1.0), timed("B", 20, 2.0)], draws=1000)
    assert MpgBoard.from_dict(board.to_dict()) == board
    assert board.to_json(tmp_path / "board.json") == (tmp_path / "board.json").read_text()
    assert board.table()["model"].to_list() == ["A", "B"]


def test_tutorial_104_is_this_method(capsys: pytest.CaptureFixture[str]) -> None:
    told = runpy.run_path(str(next((Path(__file__).parents[2] / "tutorials").glob("104*.py"))))
    capsys.readouterr()
    rows = [
        Result(
            model=name,
            benchmark=f"b{k}",
            domain=domain,
            correct=int(told["right"][m, k]),
            total=int(told["asked"][k]),
            **(
                {"queries": int(told["answered"][m]), "seconds": told["seconds"][m], "concurrency": 8} if k == 0 else {}
            ),
        )
        for m, name in enumerate(told["names"])
        for domain, benchmarks in told["domains"].items()
        for k in benchmarks
    ]
    for line in mpg(rows).models:
        m = told["names"].index(line.model)
        assert told["goodness"][:, m].mean() == pytest.approx(line.goodness, abs=5 * line.se / 100)
        assert told["goodness"][:, m].std() == pytest.approx(line.se, rel=0.05)
        assert told["fastness"][:, m].mean() == pytest.approx(line.fastness, rel=0.005)
        assert told["pareto"][m] == pytest.approx(line.pareto_probability, abs=0.03)


def test_on_real_answers_of_two_models() -> None:
    """MMLU by subject and GSM8K: the counts are counted here once more, the difference is beyond doubt."""
    if not SHARED.is_dir():
        pytest.skip("the shared data is not here")
    models = {"gpt-4": "gpt4_1106_correct", "mixtral": "mixtral_8x7b_correct"}
    mmlu, gsm8k = (pl.read_csv(SHARED / f"{name}.csv.gz") for name in ("mmlu", "gsm8k"))
    rows = []
    for model, column in models.items():
        subjects = mmlu.group_by("subject").agg(right=pl.col(column).sum(), asked=pl.len())
        rows += [
            Result(model=model, benchmark=s, domain="knowledge", correct=k, total=n) for s, k, n in subjects.rows()
        ]
        rows.append(
            Result(model=model, benchmark="gsm8k", domain="reason", correct=int(gsm8k[column].sum()), total=1319)
        )
    board = mpg(rows)
    shares = [
        np.mean([mmlu.group_by("subject").agg(pl.col(c).mean())[c].mean(), gsm8k[c].mean()]) for c in models.values()
    ]
    print([f"{line.model} {line.goodness:.4f} [{line.lower:.4f}, {line.upper:.4f}]" for line in board.models], shares)
    assert [line.model for line in board.models] == list(models)
    assert [line.goodness for line in board.models] == pytest.approx(shares, abs=0.003)
    assert board.beats[0][1] == 1
    assert len(board.domains["knowledge"]) == 57
