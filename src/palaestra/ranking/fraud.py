"""Who votes unlike everybody else: a test for each voter, in time linear in the votes.

Null hypothesis for voter v: each of v's votes falls as the model of a vote says, with the parameters of the *other*
voters'
votes. Those are t - dt with I dt = s_v, one Newton step that takes v's own votes out of the fit (s_v is the sum of
their scores); a voter with a large share of any model's votes is taken out by a whole fit. Three questions, each with a
statistic that is a sum over v's votes of a number that depends on the outcome alone:

    against     surprise, -log P(outcome): votes that fall where they should not, such as random ones
    with        the same, too small: votes that follow the board more closely than people do
    push        for each model m that v met: score minus expected score on m's side, up or down

The p-value of each is Chernoff's bound (1952), P(T >= t) <= min over u >= 0 of E e^(uT) / e^(ut). It is valid at any
number of votes and needs no normality; it is conservative, by a factor of a few. Within a voter the least of all is
multiplied by
their number (Bonferroni); over voters, q-values are those of Benjamini and Hochberg (1995), who decide what is flagged.

A flag says "unlike the others", which is not "fraud": honest voters with a taste of their own are found too. Read
before removing, and look at the board without them first (`FraudReport.moved`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.board import Board
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.counts import Counts, count_votes, tables_by_outcome
from palaestra.ranking.estimate import Estimate, estimate
from palaestra.ranking.fit import coded_votes, fit_votes
from palaestra.ranking.votes import TIE, Votes
from palaestra.ranking.weights import kept
from palaestra.schema.record import Record, Struct
from palaestra.stats.chernoff import voter_tails, without_votes
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import one_thread, solver
from palaestra.stats.rows import table_rows

Floats = NDArray[np.float64]

_LARGE_SHARE = 0.02
_KINDS = ("against", "with", "up", "down")


class VoterTest(Struct):
    """One voter.

    `finding` names the question with the smallest p-value, `model` who is pushed; `agreement` is the share of decided
    votes that went to the model which the others rate higher.
    """

    voter: str
    votes: float
    p: float
    q: float
    flagged: bool
    finding: str
    model: str | None
    agreement: float | None


class MovedModel(Struct):
    """A model whose rating changes when the flagged votes are left out."""

    model: str
    rating: float
    rating_without: float
    rank: int
    rank_without: int


class FraudReport(Record):
    """All voters with enough votes, the most suspicious first, and what the board is without those flagged."""

    record_name = "fraud"

    voters: tuple[VoterTest, ...]
    tested: int
    too_few: int
    flagged: int
    flagged_votes: float
    false_discovery_rate: float
    moved: tuple[MovedModel, ...]


def fraud(
    votes: Any,  # noqa: ANN401 - as for `fit`
    config: FitConfig | None = None,
    *,
    rate: float = 0.01,
    least_votes: float = 5,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> FraudReport:
    """Test every voter against all others.

    Args:
        votes: as for `fit`, with the column voter.
        config: settings of the boards with and without the flagged; what they leave out is not tested. With ties=half
            (the default) the test itself uses Davidson's model where there are ties, since half a win has no
            probability. Covariates and importance weights are not looked at by the test.
        rate: the share of honest voters among the flagged that is accepted (false discovery rate).
        least_votes: voters with fewer votes are not tested.
        **settings: or the settings by name.

    Raises:
        InputError: there is no column voter, or nobody has enough votes.
    """
    if not 0 < rate < 1:
        raise InputError(f"found the rate {rate:g}, expected a share between 0 and 1")
    if not least_votes >= 1:
        raise InputError(f"found least_votes = {least_votes:g}, expected at least 1")
    config, coded = coded_votes(votes, config, settings)
    keep_B, _ = kept(coded, config)
    coded = coded if keep_B is None else coded.of(keep_B)
    if "voter" not in coded.frame.columns:
        raise InputError(f"a test of voters needs the column voter; found {', '.join(coded.frame.columns)}")
    with one_thread():
        names, code_B = _voters(coded, least_votes)
        if not names:
            raise InputError(f"found no voter with {least_votes:g} votes; ask for fewer")
        bounds = voter_bounds(coded, code_B, len(names), config)
    return _report(coded, config, names, code_B, bounds, rate, fit_votes(coded, config))


@dataclass(frozen=True, slots=True)
class VoterBounds:
    """Of each voter: the p-value (V,), the question it answers (V,), and the agreement with the others (V,).

    Questions are numbered as in `stats.chernoff.voter_tails`; p-values are multiplied by their number.
    """

    p_V: Floats
    question_V: NDArray[np.int64]
    agreement_V: Floats


def voter_bounds(votes: Votes, code_B: NDArray[np.int32], voters: int, config: FitConfig) -> VoterBounds:
    """Every voter against all others.

    Args:
        votes: coded votes.
        code_B: the voter of each, -1 for nobody who is tested.
        voters: their number V.
        config: which model of ties.
    """
    counts = count_votes(votes)
    ties = config.ties
    if ties in {Ties.HALF, Ties.AUTO}:
        ties = Ties.DAVIDSON if counts.drawn_MM.any() else Ties.HALF
    found = estimate(table_rows(counts.by_outcome_OMM), counts, ties.model)
    order_B = np.argsort(code_B, kind="stable").astype(np.int64)
    start_V = np.searchsorted(code_B[order_B], np.arange(voters + 1)).astype(np.int64)
    solve = solver(found.maximum.problem, found.maximum.information_QQ)
    inverse_QQ = solve(np.eye(len(found.maximum.information_QQ)))
    size = len(votes.names)
    p_V, question_V, agreement_V = np.ones(voters), np.zeros(voters, dtype=np.int64), np.full(voters, np.nan)
    votes_M = counts.votes_M
    for voter in range(voters):
        rows = order_B[start_V[voter] : start_V[voter + 1]]
        sides = (votes.first_B[rows].astype(np.int64), votes.second_B[rows].astype(np.int64))
        outcome, weight = votes.outcome_B[rows].astype(np.int64), np.ascontiguousarray(votes.count_B[rows])
        if ties.model is not VoteModel.GROUNDED:
            outcome = np.minimum(outcome, TIE)  # both bad is a tie to these models
        own_M = np.bincount(np.concatenate(sides), np.tile(weight, 2), minlength=size)
        at = found.maximum.at
        if (own_M > _LARGE_SHARE * votes_M).any():
            at = _without(votes, counts, rows, found).maximum.at
            theta_M, shape = at.theta_M, at.shape
        else:
            theta_M, shape = without_votes(*sides, outcome, weight, int(ties.model), at.theta_M, at.shape, inverse_QQ)
        least, question_V[voter], asked, agreement_V[voter] = voter_tails(
            *sides, outcome, weight, int(ties.model), theta_M, shape
        )
        p_V[voter] = min(least * asked, 1.0)
    return VoterBounds(p_V, question_V, agreement_V)


def _without(votes: Votes, counts: Counts, rows: NDArray[np.int64], found: Estimate) -> Estimate:
    """The fit of everybody else's votes."""
    own_B = np.zeros(len(votes))
    own_B[rows] = votes.count_B[rows]
    rest = Counts.of_outcomes(counts.names, np.maximum(counts.by_outcome_OMM - tables_by_outcome(votes, own_B), 0))
    model = found.maximum.problem.model
    try:
        return estimate(table_rows(rest.by_outcome_OMM), rest, model, start=found.maximum.at)
    except InputError:  # nobody else has voted enough for the model's parameters: nothing to hold this voter against
        return found


def _voters(votes: Votes, least: float) -> tuple[list[str], NDArray[np.int32]]:
    """The names of voters with enough votes, and the number of each row's voter, -1 for the others."""
    named = pl.DataFrame({"voter": votes.frame["voter"].cast(pl.String), "count": votes.count_B})
    enough = named.drop_nulls("voter").group_by("voter").agg(pl.col("count").sum()).filter(pl.col("count") >= least)
    codes = enough.sort("voter").select("voter", code=pl.int_range(pl.len(), dtype=pl.Int32))
    joined = named.join(codes, on="voter", how="left", maintain_order="left")
    return codes["voter"].to_list(), joined["code"].fill_null(-1).to_numpy()


def q_values(p_V: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p-values."""
    order = np.argsort(p_V)
    scaled = p_V[order] * len(p_V) / np.arange(1, len(p_V) + 1)
    q_V = np.empty(len(p_V))
    q_V[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_V


def _report(  # noqa: PLR0917 - what a report is made of
    votes: Votes,
    config: FitConfig,
    names: list[str],
    code_B: NDArray[np.int32],
    bounds: VoterBounds,
    rate: float,
    board: Board,
) -> FraudReport:
    size = len(votes.names)
    p_V, agreement_V = bounds.p_V, bounds.agreement_V
    q_V = q_values(p_V)
    flagged_V = q_V <= rate
    tested_B = code_B >= 0
    votes_V = np.bincount(code_B[tested_B], votes.count_B[tested_B], minlength=len(names))
    tests = []
    for voter in np.argsort(p_V, kind="stable").tolist():
        which = int(bounds.question_V[voter])
        kind = _KINDS[which] if which < 2 else _KINDS[2 + (which - 2) // size]  # noqa: PLR2004 - the first two
        tests.append(
            VoterTest(
                voter=names[voter],
                votes=float(votes_V[voter]),
                p=float(p_V[voter]),
                q=float(q_V[voter]),
                flagged=bool(flagged_V[voter]),
                finding=kind if p_V[voter] < 1 else "nothing",
                model=votes.names[(which - 2) % size] if which >= 2 and p_V[voter] < 1 else None,  # noqa: PLR2004
                agreement=None if np.isnan(agreement_V[voter]) else float(agreement_V[voter]),
            )
        )
    gone_B = np.append(flagged_V, False)[code_B]
    return FraudReport(
        voters=tuple(tests),
        tested=len(names),
        too_few=votes.frame["voter"].drop_nulls().n_unique() - len(names),
        flagged=int(flagged_V.sum()),
        flagged_votes=float(votes.count_B[gone_B].sum()),
        false_discovery_rate=rate,
        moved=_moved(board, fit_votes(votes.of(~gone_B), config)) if gone_B.any() else (),
    )


def _moved(before: Board, after: Board) -> tuple[MovedModel, ...]:
    lines = {line.model: line for line in after.models}
    moved = [
        MovedModel(
            model=line.model,
            rating=line.rating,
            rating_without=lines[line.model].rating,
            rank=line.rank,
            rank_without=lines[line.model].rank,
        )
        for line in before.models
        if line.model in lines
    ]
    return tuple(sorted(moved, key=lambda line: -abs(line.rating - line.rating_without)))
