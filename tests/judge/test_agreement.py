"""Agreement of boards: the published figures, laws of the intervals, and their coverage in simulated worlds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.judge.agreement import Agreement, Over, agreement, standings
from palaestra.judge.board_files import ScoredBoard
from palaestra.stats.quality import MEASURES, SIGNED, Rules, measures, recentred

SHARED = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "arena-hard"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
Z = 1.959964
RULES = Rules("notebook", "notebook")
PUBLISHED = {
    "arena_hard": ("arena_to_arena_hard", 84.21, 0.9040, 0.9323, 0.07048),
    "alpaca_LC": ("alpaca_to_arena", None, 0.8729, 0.8782, 0.13473),
    "alpaca": ("alpaca_to_arena", 71.05, 0.7910, 0.7579, 0.16421),
    "mt_bench": ("arena_to_mt_bench", 36.32, 0.6949, 0.8932, 0.10083),
}
"""Names, separability in per cent, agreement on the notebook's scale, Spearman, Brier."""


def number(found: Agreement, name: str) -> float:
    value = found[name].value
    assert value is not None
    return value


def published(benchmark: str, overlap: str = "published") -> Agreement:
    names = SHARED / f"{PUBLISHED[benchmark][0]}.json"
    return agreement(
        SHARED / f"bootstrap_stats_{benchmark}.jsonl.gz",
        SHARED / "elo_20240329_full_leaderboard_table_df.csv",
        names=names,
        only_named=True,
        overlap=overlap,
    )


def board(score_M: np.ndarray, se: float, name: str = "board") -> ScoredBoard:
    models = tuple(f"m{number}" for number in range(len(score_M)))
    variance_M = np.full(len(score_M), se**2)
    return ScoredBoard(name, models, score_M, score_M - Z * se, score_M + Z * se, score_M, variance_M)


@real
@pytest.mark.parametrize("benchmark", PUBLISHED)
def test_the_published_figures(benchmark: str) -> None:
    """20 models against the Arena of 2024-03-29, to all printed digits."""
    _, separability, share, spearman, brier = PUBLISHED[benchmark]
    found = published(benchmark)
    print(f"\n{benchmark}")
    for one in found.measures:
        print(f"  {one.name:24} {one.value:.5f}  [{one.lower:.4f}, {one.upper:.4f}]")
    assert len(found.models) == 20
    assert separability is None or round(100 * number(found, "separability"), 2) == separability
    assert round(number(found, "agreement_notebook"), 4) == share
    assert round(number(found, "spearman"), 4) == spearman
    assert round(number(found, "brier"), 5) == brier
    assert number(found, "agreement_notebook") == (1 + number(found, "agreement")) / 2


@real
def test_the_other_rule_of_overlap_gives_the_other_figures() -> None:
    """The anchors have no width: 84.21 and 84.74, and the three pairs of the Arena's anchor."""
    assert round(100 * number(published("arena_hard", overlap="strict"), "separability"), 2) == 84.74
    assert round(number(published("arena_hard", overlap="notebook"), "agreement_notebook"), 4) == 0.9138
    assert round(number(published("arena_hard"), "agreement"), 4) == 0.8079


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=3, max_size=8),
    st.sampled_from(["votes", "models", "both"]),
    st.floats(0.01, 2),
)
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_measure_and_stays_on_its_scale(pairs: list, over: Over, se: float) -> None:
    ours, theirs = np.array(pairs).T
    found = agreement(board(ours, se), board(theirs, se, "reference"), over=over, rounds=100)
    for one in found.measures:
        if one.value is not None and one.lower is not None and one.upper is not None:
            assert (-1 if one.name in SIGNED else 0) <= one.lower <= one.value <= one.upper <= 1
    assert found == agreement(board(ours, se), board(theirs, se, "reference"), over=over, rounds=100)
    blog, notebook = found["agreement"].lower, found["agreement_notebook"].lower
    if blog is not None:
        assert notebook == pytest.approx((1 + blog) / 2)


def test_the_seed_is_all_that_chance_has() -> None:
    rng = np.random.default_rng(1)
    boards = board(rng.standard_normal(9), 0.3), board(rng.standard_normal(9), 0.3)
    assert agreement(*boards, seed=1) == agreement(*boards, seed=1)
    assert agreement(*boards, seed=1)["spearman"] != agreement(*boards, seed=2)["spearman"]
    assert agreement(*boards, seed=1)["spearman"].value == agreement(*boards, seed=2)["spearman"].value


def test_without_noise_only_models_vary() -> None:
    rng = np.random.default_rng(2)
    boards = board(rng.standard_normal(9), 0.0), board(rng.standard_normal(9), 0.0)
    still = agreement(*boards, over="votes")
    assert all(one.lower == pytest.approx(one.value) == pytest.approx(one.upper) for one in still.measures)
    lower = agreement(*boards, over="models")["kendall"].lower
    assert lower is not None
    assert lower < number(still, "kendall")


def test_what_is_not_defined_is_none() -> None:
    flat, varied = board(np.zeros(5), 1.0), board(np.arange(5.0), 5.0)
    found = agreement(varied, flat)
    for name in ("spearman", "kendall", "pearson", "agreement", "agreement_notebook"):
        assert found[name].value is found[name].lower is found[name].upper is None
    assert found["brier"].value is not None
    assert found.table().height == len(MEASURES)


def test_warnings_and_what_is_on_one_board_only() -> None:
    ours = board(np.arange(4.0), 1.0)
    theirs = replace(ours, name="reference", models=("M0", "m1", "m2", "other"))
    found = agreement(ours, theirs)
    assert found.board.not_compared == ("m3",)
    assert found.reference.not_compared == ("other",)
    assert any("m0 = M0" in said for said in found.warnings)
    assert any("3 common models: an interval over models says little" in said for said in found.warnings)
    with pytest.raises(InputError, match="expected at least 3"):
        agreement(ours, theirs, names={"m3": "other"}, only_named=True)
    with pytest.raises(ValidationError):
        agreement(ours, theirs, overlap="loose")


def test_a_recentred_interval_of_nothing_is_nothing() -> None:
    assert np.isnan(recentred(np.nan, np.ones(3), 0.95, signed=True)).all()
    assert np.isnan(recentred(0.5, np.full(3, np.nan), 0.95, signed=True)).all()
    low, high = recentred(0.5, np.array([np.nan, 0.4, 0.6]), 0.95, signed=False)
    assert low < 0.5 < high


class World:
    """Abilities of models on a benchmark and on its reference, with correlation 0.9, and both measured with noise."""

    models, correlation, noise, rounds = 20, 0.9, (0.2, 0.1), 200

    def __init__(self, rng: np.random.Generator, worlds: int = 1) -> None:
        ours_RM = rng.standard_normal((worlds, self.models))
        rest_RM = rng.standard_normal((worlds, self.models))
        self.true = ours_RM, self.correlation * ours_RM + np.sqrt(1 - self.correlation**2) * rest_RM

    def seen(self, rng: np.random.Generator, times: int = 1) -> list[np.ndarray]:
        """Scores on both boards, each time with new noise, shape (times x worlds, M)."""
        repeated = (np.repeat(true_RM, times, axis=0) for true_RM in self.true)
        return [
            true_RM + se * rng.standard_normal(true_RM.shape) for true_RM, se in zip(repeated, self.noise, strict=True)
        ]

    def measured(self, seen: list[np.ndarray]) -> dict[str, np.ndarray]:
        like = [board(np.zeros(self.models), se) for se in self.noise]
        ours, theirs = (standings(one, score_RM) for one, score_RM in zip(like, seen, strict=True))
        return measures(ours, theirs, np.ones(seen[0].shape), RULES)


@pytest.mark.parametrize(("over", "least"), [("votes", 0.88), ("models", 0.84), ("both", 0.9)])
def test_coverage(over: Over, least: float) -> None:
    """95% intervals, 200 worlds: how often they hold the mean of the measure over worlds (votes: over other noise)."""
    rng = np.random.default_rng(7)
    many = World(rng, 4000)
    expected = {name: values_R.mean() for name, values_R in many.measured(many.seen(rng)).items()}
    held: dict[str, list[bool]] = {name: [] for name in MEASURES}
    for seed in range(200):
        world = World(rng)
        if over == "votes":
            expected = {name: values_R.mean() for name, values_R in world.measured(world.seen(rng, 300)).items()}
        boards = [board(score_RM[0], se) for score_RM, se in zip(world.seen(rng), world.noise, strict=True)]
        found = agreement(boards[0], boards[1], over=over, rounds=World.rounds, seed=seed)
        for one in found.measures:
            if one.lower is not None and one.upper is not None:
                held[one.name].append(one.lower <= expected[one.name] <= one.upper)
    shares = {name: float(np.mean(values)) for name, values in held.items()}
    print(f"\n{over}: " + ", ".join(f"{name} {share:.3f}" for name, share in shares.items()))
    assert min(shares.values()) > least
