"""Votes become leaderboards.

    import palaestra
    board = palaestra.rank.fit("votes.csv")

The room reads vote frames and writes `Leaderboard` records. It knows nothing of the arena that shows them.
"""

from palaestra.ranking.fit import FitConfig, fit

__all__ = ["FitConfig", "fit"]
