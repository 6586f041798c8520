"""What proxies need of other rooms: boards from the ranking room, verdicts of the judge room.

The rewards room says what a board is to it (`rewards/ppe/human.py`) and knows nobody who makes one; here the ranking
room's Bradley-Terry fit is put in, bootstrapped over prompts. A judge's run becomes a proxy that compares: its verdicts
on two answers to a question, over both orders and all judges.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.judge.verdict import POINTS
from palaestra.judge.verdict_files import read_verdicts
from palaestra.ranking.compare import ELO
from palaestra.ranking.config import FitConfig
from palaestra.ranking.estimate import estimate
from palaestra.ranking.fit import coded_votes
from palaestra.ranking.sample import sample_of
from palaestra.rewards.ppe.human import Ballots, DrawnBoard
from palaestra.rewards.ppe.proxies import Pair, Reply
from palaestra.stats.bootstrap import bootstrap
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]

_WINNERS = {1.0: "model_a", 0.5: "tie", 0.0: "model_b"}


def bradley_terry_board(ballots: Ballots, *, rounds: int, seed: int) -> DrawnBoard:
    """Ratings on the Elo scale with mean 0, a tie as half a win, and rounds of them over other prompts.

    Args:
        ballots: the votes; any scores other than 1, 1/2 and 0 are no votes.
        rounds: how many.
        seed: of the rounds; the same prompts have the same weights in each, whatever the scores.
    """
    names = np.array(ballots.models)
    frame = pl.DataFrame(
        {
            "model_a": names[ballots.first_B],
            "model_b": names[ballots.second_B],
            "winner": [_WINNERS[float(score)] for score in ballots.score_B],
            "question_id": ballots.prompt_B,
        }
    )
    config, votes = coded_votes(frame, FitConfig(cluster="prompt"), {})
    sample = sample_of(votes, config)
    with one_thread():
        found = estimate(sample.rows, sample.counts, VoteModel.BRADLEY_TERRY)
        drawn_RM = bootstrap(found.maximum, rounds=rounds, seed=seed, cluster_B=sample.cluster_B)
    place = [sample.counts.names.index(name) for name in ballots.models]
    score_M, drawn_RM = found.theta_M[place], drawn_RM[:, : len(sample.counts.names)][:, place]
    return DrawnBoard(ELO * (score_M - score_M.mean()), ELO * (drawn_RM - drawn_RM.mean(axis=1, keepdims=True)))


class VerdictProxy:
    """A judge's run as a proxy: how often it prefers the first of two answers.

    Args:
        name: what tables call it.
        path: a run's folder, or a file of verdicts. Questions are those of the votes, by id; models their models, or
            reply-1 and reply-2 where these are not known.

    Raises:
        InputError: there are no verdicts.
    """

    def __init__(self, name: str, path: str | Path) -> None:
        self.name = name
        self._path = path
        verdicts = read_verdicts(path)
        of_label = pl.col("label").replace_strict(POINTS, default=None, return_dtype=pl.Float64)
        seen = verdicts.select("question_id", "model_a", "model_b", chance=pl.coalesce("preference", of_label))
        means = seen.drop_nulls("chance").group_by("question_id", "model_a", "model_b").agg(pl.col("chance").mean())
        self._chances = {(question, a, b): chance for question, a, b, chance in means.iter_rows()}

    def key(self, reply: Reply) -> Hashable:
        """Id and model, or place."""
        return reply.id, _named(reply)

    def in_both_orders(self, pairs: Sequence[Pair]) -> bool:
        """Whether each pair was judged in both orders: where one is missing, consistency is not known."""
        ways = [(pair.first.id, _who(pair, 0), _who(pair, 1)) for pair in pairs]
        return all(way in self._chances and (way[0], way[2], way[1]) in self._chances for way in ways)

    def chances(self, pairs: Sequence[Pair]) -> Floats:
        """The mean preference for the first answer in this order; where only the other order was judged, from that.

        Raises:
            InputError: a pair was not judged.
        """
        found = [self._chance(pair) for pair in pairs]
        missing = [pair for pair, chance in zip(pairs, found, strict=True) if chance is None]
        if missing:
            first, second = (_who(missing[0], side) for side in (0, 1))
            raise InputError(
                f"{self._path}: found no verdict on {first!r} and {second!r} for question {missing[0].first.id!r} (and "
                f"on {len(missing) - 1} more pairs), expected one on each pair"
            )
        return np.array(found, dtype=float)

    def _chance(self, pair: Pair) -> float | None:
        question, first, second = pair.first.id, _who(pair, 0), _who(pair, 1)
        here = self._chances.get((question, first, second))
        swapped = self._chances.get((question, second, first))
        return here if here is not None else None if swapped is None else 1 - swapped


def _who(pair: Pair, side: int) -> str:
    return _named(pair[side])


def _named(reply: Reply) -> str:
    return reply.model or f"reply-{reply.place}"
