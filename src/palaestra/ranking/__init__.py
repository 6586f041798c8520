"""Votes become leaderboards.

    import palaestra
    board = palaestra.rank.fit("votes.csv")

The room reads vote frames and writes `Leaderboard` records. It knows nothing of the arena that shows them.
"""

from palaestra.ranking.board import Board
from palaestra.ranking.compare import Comparison, compare
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.fit import fit, fit_categories, fit_counts

__all__ = ["Board", "Comparison", "FitConfig", "Ties", "compare", "fit", "fit_categories", "fit_counts"]
