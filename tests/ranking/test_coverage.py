"""Intervals hold the truth as often as they say, over hundreds of simulated worlds, a new model included."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from worlds import davidson_votes, names_of

from palaestra.ranking import fit, fit_counts
from palaestra.ranking.counts import Counts

ELO = 400 / np.log(10)


def within_binomial_error(hits: int, trials: int, level: float = 0.95) -> bool:
    """Whether a share of hits is what a coverage of 95 % gives, up to three standard errors."""
    return abs(hits / trials - level) <= 3 * np.sqrt(level * (1 - level) / trials)


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_intervals_of_ratings_and_differences(ties: str) -> None:
    """300 worlds; votes follow Davidson, so that Rao and Kupper's model is the wrong one and its target another."""
    rng = np.random.default_rng(1)
    theta_M = np.array([-0.9, -0.3, 0.0, 0.4, 0.8])
    truth_M = ELO * theta_M
    if ties != "davidson":
        large = fit(davidson_votes(theta_M, 400_000, rng), ties=ties)
        ratings = {line.model: line.rating for line in large.models}
        truth_M = np.array([ratings[name] for name in names_of(5)])
    truth_M = truth_M - truth_M.mean()
    hits = np.zeros(2)
    for _ in range(300):
        board = fit(davidson_votes(theta_M, 800, rng), ties=ties)
        lines = {line.model: line for line in board.models}
        hits[0] += lines["m004"].lower <= 1000 + truth_M[4] <= lines["m004"].upper
        compared = board.compare("m004", "m002")
        hits[1] += compared.lower <= truth_M[4] - truth_M[2] <= compared.upper
    print(
        f"\n{ties}: rating {hits[0] / 300:.3f}, difference {hits[1] / 300:.3f} of 300 intervals of 95 % hold the truth"
    )
    assert all(within_binomial_error(int(hit), 300) for hit in hits)


def test_effects_and_ratings_under_style_control() -> None:
    rng = np.random.default_rng(2)
    theta_M, hits = np.array([-0.5, 0.0, 0.2, 0.6]), np.zeros(2)
    truth = 1000 + ELO * (0.6 - theta_M.mean())
    for _ in range(200):
        votes = davidson_votes(theta_M, 900, rng, style=0.3)
        board = fit(votes, covariates=["x"], ties="davidson")
        effect = board.effects[0]
        hits[0] += effect.lower <= 0.3 * effect.sd <= effect.upper
        line = next(line for line in board.models if line.model == "m003")
        hits[1] += line.lower <= truth <= line.upper
    print(f"\nstyle: effect {hits[0] / 200:.3f}, rating {hits[1] / 200:.3f} of 200 intervals hold the truth")
    assert all(within_binomial_error(int(hit), 200) for hit in hits)


def test_clusters_are_needed_where_voters_differ() -> None:
    """Each voter has a taste of their own: intervals that take votes for independent miss the truth far too often."""
    rng = np.random.default_rng(3)
    names, hits = np.array(names_of(3)), np.zeros(2)
    for _ in range(200):
        tastes = rng.normal(0, 1.0, (60, 3))
        voter = np.repeat(np.arange(60), 15)
        first = rng.integers(3, size=len(voter))
        second = (first + rng.integers(1, 3, size=len(voter))) % 3
        won = rng.random(len(voter)) < expit(tastes[voter, first] - tastes[voter, second])
        votes = pl.DataFrame(
            {
                "model_a": names[first],
                "model_b": names[second],
                "winner": np.where(won, "model_a", "model_b"),
                "voter": voter.astype(str),
            }
        )
        for k, cluster in enumerate((None, "voter")):
            line = next(line for line in fit(votes, cluster=cluster).models if line.model == "m000")
            hits[k] += line.lower <= 1000 <= line.upper
    print(f"\nvoters with tastes: {hits[0] / 200:.3f} taken as independent, {hits[1] / 200:.3f} clustered")
    assert hits[0] / 200 < 0.85
    assert hits[1] / 200 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize("new_votes", [30, 120])
def test_a_new_model_among_two_million_votes(new_votes: int) -> None:
    """By counts: 30 models with two million votes, and one with a handful; where a ridge would halve its interval."""
    rng = np.random.default_rng(4)
    theta_M = np.append(rng.normal(0, 0.5, 30), 0.3)
    chance_MM = expit(theta_M[:, None] - theta_M[None, :])
    met_MM = np.triu(np.full((31, 31), 2_000_000 // 435), 1)
    met_MM[:, 30] = 0
    truth, hits, trials = 1000 + ELO * (theta_M[30] - theta_M.mean()), 0, 300
    for _ in range(trials):
        sides = np.bincount(rng.integers(30, size=new_votes), minlength=31)
        met_MM[:30, 30] = sides[:30]
        first_wins = rng.binomial(met_MM, chance_MM)
        wins = np.triu(first_wins, 1) + np.triu(met_MM - first_wins, 1).T
        board = fit_counts(Counts(tuple(names_of(31)), wins.astype(float), np.zeros((31, 31)), np.zeros((31, 31))))
        line = next(line for line in board.models if line.model == "m030")
        hits += line.lower <= truth <= line.upper
    print(f"\na model with {new_votes} votes among 2 million: {hits / trials:.3f} of {trials} intervals hold the truth")
    assert within_binomial_error(hits, trials)


def test_simultaneous_ranks_hold_for_all_models_at_once() -> None:
    rng = np.random.default_rng(5)
    theta_M = np.linspace(-0.4, 0.4, 8)
    names, whole, each = names_of(8), 0, 0
    true_rank = {name: 8 - m for m, name in enumerate(names)}
    for _ in range(200):
        board = fit(davidson_votes(theta_M, 1500, rng), ties="davidson")
        lines = board.models
        whole += all(
            (line.rank_simultaneous_lower or 0) <= true_rank[line.model] <= (line.rank_simultaneous_upper or 0)
            for line in lines
        )
        each += all(line.rank_lower <= true_rank[line.model] <= line.rank_upper for line in lines)
    print(f"\nranks of all 8 models right at once: simultaneous {whole / 200:.3f}, model by model {each / 200:.3f}")
    assert whole / 200 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_the_bootstrap_covers_too() -> None:
    rng = np.random.default_rng(6)
    theta_M, hits = np.array([-0.5, 0.1, 0.4]), 0
    truth = 1000 + ELO * (0.4 - theta_M.mean())
    for _ in range(120):
        board = fit(davidson_votes(theta_M, 500, rng), ties="davidson", intervals="bootstrap", rounds=150)
        line = next(line for line in board.models if line.model == "m002")
        hits += line.lower <= truth <= line.upper
    print(f"\nbootstrap: {hits / 120:.3f} of 120 intervals hold the truth")
    assert within_binomial_error(hits, 120)


def test_worlds_are_what_they_say() -> None:
    """A fit of many votes finds the truth that was simulated, in every model of ties that contains it."""
    theta_M = np.array([-0.6, 0.0, 0.2, 0.4])
    board = fit(
        davidson_votes(theta_M, 200_000, np.random.default_rng(7), style=0.25), ties="davidson", covariates=["x"]
    )
    found = {line.model: line.rating for line in board.models}
    for m, name in enumerate(names_of(4)):
        assert found[name] == pytest.approx(1000 + ELO * (theta_M[m] - theta_M.mean()), abs=6)
    assert board.effects[0].coefficient == pytest.approx(0.25, abs=0.02)
    assert board.fit.tie_parameter == pytest.approx(-0.7, abs=0.03)
