"""The human side: does a proxy choose as people do, and does the board that its choices make look like theirs?

Over votes on two replies, of which the proxy prefers one (level scores are half a choice each way):

    accuracy            share of decided votes in which the proxy has the same winner; ties are left out
    accuracy_with_ties  the same over all votes, a person's tie counting half whatever the proxy says
    row_pearson         of each model, the correlation between its win rates against the others by people and by the
                        proxy; the mean over models with at least three opponents
    separability, agreement (the blog's scale, -1 to 1), agreement_notebook, kendall, spearman, brier
                        of the board made from the proxy's choices against the board of people's votes, both
                        Bradley-Terry with a tie as half a win (`stats/quality.py`, the notebook's rule of overlap)

Intervals are over other prompts, votes on one prompt together. Boards are made by whoever is passed in, and their
rounds are the same prompts for people and for all proxies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from palaestra.errors import InputError
from palaestra.rewards.ppe.proxies import Pair, Reply
from palaestra.rewards.ppe.resampling import mean_by_rounds, prompt_weights
from palaestra.schema import Preference
from palaestra.stats.quality import Rules, Standings, measures

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Bools = NDArray[np.bool_]

BOARD_METRICS = ("separability", "agreement", "agreement_notebook", "kendall", "spearman", "brier")
PLAIN_METRICS = ("accuracy", "accuracy_with_ties", "row_pearson")
_LEAST_MODELS = 3
_RULES = Rules("notebook", "notebook")
_HALF = 0.5


class Ballots(NamedTuple):
    """Votes as numbers: who met whom, what the first one scored (1, 1/2, 0), and which prompt it was."""

    models: tuple[str, ...]
    first_B: Codes
    second_B: Codes
    score_B: Floats
    prompt_B: Codes


class DrawnBoard(NamedTuple):
    """Scores of the models of some ballots, and rounds of them over other prompts, shapes (M,) and (R, M)."""

    score_M: Floats
    draws_RM: Floats


class BoardMaker(Protocol):
    """Makes a board; the same seed and prompts are the same rounds, whatever the scores."""

    def __call__(self, ballots: Ballots, *, rounds: int, seed: int) -> DrawnBoard:
        """The board of these ballots."""
        ...


@dataclass(frozen=True, slots=True)
class HumanVotes:
    """People's votes on pairs, laid out."""

    preferences: tuple[Preference, ...]
    score_B: Floats
    """What the first reply scored with people."""
    prompt_B: Codes
    models: tuple[str, ...] = ()
    """Empty where models are not known; then there is no board."""
    first_B: Codes | None = None
    second_B: Codes | None = None

    @property
    def pairs(self) -> list[Pair]:
        """The pairs, in their order."""
        return [
            Pair(*(Reply(one.id, at + 1, one.prompt, one.replies[at], _model(one, at)) for at in (0, 1)))
            for one in self.preferences
        ]

    def ballots(self, score_B: Floats, mask_B: Bools) -> Ballots | None:
        """The votes of some rows with these scores; None where there are fewer than three models."""
        if self.first_B is None or self.second_B is None:
            return None
        first_B, second_B = self.first_B[mask_B], self.second_B[mask_B]
        there, coded = np.unique(np.concatenate([first_B, second_B]), return_inverse=True)
        if len(there) < _LEAST_MODELS:
            return None
        models = tuple(self.models[place] for place in there)
        return Ballots(models, *np.split(coded, 2), score_B[mask_B], self.prompt_B[mask_B])


def human_votes(preferences: Sequence[Preference]) -> HumanVotes:
    """Lay out votes.

    Raises:
        InputError: one has another number of replies than two, or both replies are of one model.
    """
    for one in preferences:
        if len(one.replies) != 2:  # noqa: PLR2004 - a vote is on two
            raise InputError(f"{one.id}: found {len(one.replies)} replies, expected two for the human side")
    ranks = np.array([one.ranks for one in preferences])
    score_B = (1 + np.sign(ranks[:, 1] - ranks[:, 0])) / 2
    _, prompt_B = np.unique([one.text for one in preferences], return_inverse=True)
    known = [one.models for one in preferences if len(one.models) == 2 and None not in one.models]  # noqa: PLR2004 - both
    if len(known) < len(preferences):
        return HumanVotes(tuple(preferences), score_B, prompt_B)
    itself = next((one for one in preferences if one.models[0] == one.models[1]), None)
    if itself is not None:
        raise InputError(f"{itself.id}: found {itself.models[0]!r} against itself, expected two models")
    names, coded = np.unique(np.array(known, dtype=str), return_inverse=True)
    coded = coded.reshape(-1, 2)
    return HumanVotes(tuple(preferences), score_B, prompt_B, tuple(map(str, names)), coded[:, 0], coded[:, 1])


def choices_of(first_B: Floats, second_B: Floats) -> Floats:
    """What the first reply scores with a proxy: 1, 1/2 where level, 0."""
    return (1 + np.sign(first_B - second_B)) / 2


def human_rounds(
    votes: HumanVotes,
    choices: Mapping[str, Floats],
    mask_B: Bools,
    maker: BoardMaker,
    *,
    rounds: int,
    board_rounds: int,
    seed: int,
) -> tuple[dict[str, dict[str, Floats]], dict[str, int]]:
    """All metrics of all proxies over some votes, each with its rounds; and what each metric comes from.

    Args:
        votes: people's.
        choices: by proxy, what the first reply of each pair scores with it, shape (B,).
        mask_B: which votes.
        maker: of boards.
        rounds: of all metrics but those of boards.
        board_rounds: of those.
        seed: of the rounds.
    """
    prompts, of_B = np.unique(votes.prompt_B[mask_B], return_inverse=True)
    weight_RB = prompt_weights(len(prompts), rounds, seed)[:, of_B]
    people_B = votes.score_B[mask_B]
    decided = int((people_B != _HALF).sum())
    found = {name: _plain(people_B, choice_B[mask_B], weight_RB) for name, choice_B in choices.items()}
    counts = {"accuracy": decided, "accuracy_with_ties": len(people_B)}
    people = votes.ballots(votes.score_B, mask_B)
    if people is None:
        return found, counts
    reference = maker(people, rounds=board_rounds, seed=seed)
    games, cells = _cells(people)
    for name, choice_B in choices.items():
        own = people._replace(score_B=choice_B[mask_B])
        found[name]["row_pearson"] = _row_pearson(people, own, weight_RB, games, cells)
        found[name] |= _board_rounds(maker(own, rounds=board_rounds, seed=seed), reference)
    return found, counts | dict.fromkeys(("row_pearson", *BOARD_METRICS), len(people_B))


def _plain(people_B: Floats, choice_B: Floats, weight_RB: Floats) -> dict[str, Floats]:
    agreed_B = np.where(people_B == _HALF, _HALF, np.where(people_B > _HALF, choice_B, 1 - choice_B))
    decided_B = np.where(people_B == _HALF, np.nan, agreed_B)
    return {
        "accuracy": mean_by_rounds(decided_B, weight_RB),
        "accuracy_with_ties": mean_by_rounds(agreed_B, weight_RB),
    }


def _cells(ballots: Ballots) -> tuple[csr_array, int]:
    """Which cell of a table of models by models each vote adds to, from both sides, shape (2B, M²)."""
    size = len(ballots.models)
    cell_B = np.concatenate([ballots.first_B * size + ballots.second_B, ballots.second_B * size + ballots.first_B])
    ones = np.ones(len(cell_B))
    return csr_array((ones, (np.arange(len(cell_B)), cell_B)), shape=(len(cell_B), size**2)), size


def _row_pearson(people: Ballots, proxy: Ballots, weight_RB: Floats, cell: csr_array, size: int) -> Floats:
    step = max(1, 8_000_000 // max(1, weight_RB.shape[1]))
    parts = []
    for start in range(0, len(weight_RB), step):
        weight = weight_RB[start : start + step]
        tables = [
            np.asarray(np.hstack([weight * score_B, weight * (1 - score_B)]) @ cell).reshape(-1, size, size)
            for score_B in (people.score_B, proxy.score_B)
        ]
        games_RMM = np.asarray(np.hstack([weight, weight]) @ cell).reshape(-1, size, size)
        parts.append(_mean_row_correlation(*tables, games_RMM))
    return np.concatenate(parts)


def _mean_row_correlation(people_RMM: Floats, proxy_RMM: Floats, games_RMM: Floats) -> Floats:
    met_RMM = games_RMM > 0
    count_RM = met_RMM.sum(axis=2)
    x_RMM, y_RMM = (
        np.divide(wins, games_RMM, out=np.zeros_like(wins), where=met_RMM) for wins in (people_RMM, proxy_RMM)
    )
    x_RMM, y_RMM = (
        np.where(met_RMM, rate - (rate.sum(axis=2) / np.maximum(count_RM, 1))[:, :, None], 0) for rate in (x_RMM, y_RMM)
    )
    spread_RM = np.sqrt((x_RMM**2).sum(axis=2) * (y_RMM**2).sum(axis=2))
    known_RM = (count_RM >= _LEAST_MODELS) & (spread_RM > 1e-12)  # noqa: PLR2004 - rounding
    each_RM = np.divide((x_RMM * y_RMM).sum(axis=2), spread_RM, out=np.zeros_like(spread_RM), where=known_RM)
    rows_R = known_RM.sum(axis=1)
    return np.clip(each_RM.sum(axis=1) / np.where(rows_R > 0, rows_R, np.nan), -1, 1)


def _board_rounds(board: DrawnBoard, reference: DrawnBoard) -> dict[str, Floats]:
    """Measures of a board against another, and of both with the noise of each of their common rounds."""
    noises = [
        np.vstack([np.zeros(len(one.score_M)), one.draws_RM - one.draws_RM.mean(axis=0)]) for one in (board, reference)
    ]
    ours, theirs = (_standings(one, noise_RM) for one, noise_RM in zip((board, reference), noises, strict=True))
    found = measures(ours, theirs, np.ones_like(noises[0]), _RULES)
    return {name: found[name] for name in BOARD_METRICS}


def _standings(board: DrawnBoard, noise_RM: Floats) -> Standings:
    low_M, high_M = np.quantile(board.draws_RM, [0.025, 0.975], axis=0)
    middle = (board.score_M, low_M, high_M, board.draws_RM.mean(axis=0))
    return Standings(*(values_M + noise_RM for values_M in middle), board.draws_RM.var(axis=0))


def _model(one: Preference, place: int) -> str | None:
    return one.models[place] if one.models else None
