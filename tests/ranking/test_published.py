"""Published boards, made again from their votes; skipped where that data is not at hand."""

from __future__ import annotations

from pathlib import Path

import choix
import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from palaestra.ranking import fit
from palaestra.ranking.compare import ELO
from palaestra.ranking.counts import count_votes

SHARED = Path(__file__).parents[3] / "shared" / "data" / "votes"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")


def test_the_arena_of_march_2024() -> None:
    """154,279 decisive votes of 25 models against the board of that day, which counts ties too: order, not scale."""
    board = fit(SHARED / "chatbot_arena_20240329.csv")
    published = dict(pl.read_csv(SHARED / "chatbot_arena_20240329_published.csv").select("model", "rating").iter_rows())
    both = [(line.rating, published[line.model]) for line in board.models if line.model in published]
    ours, theirs = np.array(both).T
    print(f"\n{len(both)} models: Pearson {pearsonr(ours, theirs)[0]:.4f}, Spearman {spearmanr(ours, theirs)[0]:.4f}")
    assert len(both) == 25
    assert pearsonr(ours, theirs)[0] > 0.993
    assert spearmanr(ours, theirs)[0] > 0.994


def test_its_ratings_are_those_of_an_independent_solver() -> None:
    votes = pl.read_csv(SHARED / "chatbot_arena_20240329.csv")
    counts = count_votes(votes)
    theta_M = choix.ilsr_pairwise_dense(counts.halved_MM, alpha=0, max_iter=100_000, tol=1e-12)
    found = {line.model: line.rating for line in fit(votes).models}
    for name, theta in zip(counts.names, theta_M - theta_M.mean(), strict=True):
        assert found[name] == pytest.approx(1000 + ELO * theta, abs=0.01)
