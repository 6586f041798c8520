"""How long a board takes, as ratios against named peers in the same run. `make bench` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable

import choix
import numpy as np
import polars as pl
from scipy.special import expit

from palaestra.ranking import fit
from palaestra.ranking.counts import count_votes
from palaestra.stats.paired import fit_paired, sandwich_covariance

MODELS, VOTES = 150, 400_000


def fastest(what: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of so many runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        what()
        taken.append(time.perf_counter() - started)
    return min(taken)


def simulated() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    theta_M = rng.normal(size=MODELS)
    first_B = rng.integers(MODELS, size=VOTES)
    second_B = (first_B + rng.integers(1, MODELS, size=VOTES)) % MODELS
    won_B = rng.random(VOTES) < expit(theta_M[first_B] - theta_M[second_B])
    names = np.array([f"model-{m:03d}" for m in range(MODELS)])
    return pl.DataFrame(
        {
            "model_a": names[first_B],
            "model_b": names[second_B],
            "winner": np.where(rng.random(VOTES) < 0.2, "tie", np.where(won_B, "model_a", "model_b")),
        }
    )


def test_the_solver_against_choix() -> None:
    """The same table, the same answer: Newton with intervals against the spectral iterations without."""
    counts = count_votes(simulated())
    wins_MM = counts.halved_MM

    def ours() -> np.ndarray:
        fitted = fit_paired(wins_MM)
        sandwich_covariance(fitted, counts.wins_MM, counts.drawn_MM)
        return fitted.theta_M

    def theirs() -> np.ndarray:
        return choix.ilsr_pairwise_dense(wins_MM, alpha=0, tol=1e-8)

    difference = np.abs(ours() - (theirs() - theirs().mean())).max()
    assert difference < 1e-6
    mine, peer = fastest(ours), fastest(theirs)
    print(
        f"\nsolver, {MODELS} models: ours with sandwich intervals {1e3 * mine:.1f} ms, choix.ilsr_pairwise_dense "
        f"without any {1e3 * peer:.1f} ms: ratio {mine / peer:.1f}"
    )


def test_a_whole_board_against_counting_alone() -> None:
    """From a frame of votes to intervals, ranks and held-out loss, against polars only grouping the same votes."""
    votes = simulated()
    board = fastest(lambda: fit(votes))
    grouped = fastest(lambda: votes.group_by("model_a", "model_b", "winner").len())
    print(
        f"\nboard of {VOTES} votes: {board:.3f} s; polars' group_by of them alone {grouped:.3f} s: "
        f"ratio {board / grouped:.1f}"
    )
    assert fit(votes).fit.converged
