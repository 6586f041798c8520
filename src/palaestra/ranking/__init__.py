"""Votes become leaderboards.

    import palaestra
    board = palaestra.rank.fit("votes.csv", style=["length"], cluster="voter")
    board.table(); board.compare("a", "b"); board.plot(); board.to_json()

The room reads vote frames and writes `Leaderboard` records. It knows nothing of the arena that shows them.
"""

from palaestra.ranking.board import Board
from palaestra.ranking.compare import Comparison, compare
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.fit import fit, fit_categories, fit_counts
from palaestra.ranking.fraud import FraudReport, fraud
from palaestra.ranking.history import history
from palaestra.ranking.live import LiveFit
from palaestra.ranking.online_elo import online_elo
from palaestra.ranking.person import PersonalBoard, personal_board
from palaestra.ranking.robustness import Robustness, robustness
from palaestra.ranking.sampling import PairPlan, pair_probabilities, plan_for_board, plan_pairs

__all__ = [
    "Board",
    "Comparison",
    "FitConfig",
    "FraudReport",
    "LiveFit",
    "PairPlan",
    "PersonalBoard",
    "Robustness",
    "Ties",
    "compare",
    "fit",
    "fit_categories",
    "fit_counts",
    "fraud",
    "history",
    "online_elo",
    "pair_probabilities",
    "personal_board",
    "plan_for_board",
    "plan_pairs",
    "robustness",
]
