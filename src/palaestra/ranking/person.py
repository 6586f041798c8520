"""One voter's own leaderboard, shrunk towards the crowd's, and how far voter and crowd agree.

A voter's strengths are t_v ~ N(t, tau²), independent over models, around the crowd's t (the fit of everybody else's
votes);
the voter's own votes have the likelihood of the model. The posterior's mode and curvature give ratings and intervals:
with few votes they are the crowd's, with many the voter's own. tau says how much people differ; it is estimated from
all
voters together, as the value under which their votes are most likely with their own strengths integrated out (Laplace's
approximation; empirical Bayes, Efron and Morris, 1973). tau = 0 means that nobody was found to differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, ndtr, ndtri

from palaestra.errors import InputError
from palaestra.ranking.compare import ELO
from palaestra.ranking.config import FitConfig
from palaestra.ranking.counts import Counts, count_votes, tables_by_outcome
from palaestra.ranking.estimate import estimate, spread
from palaestra.ranking.fit import coded_votes
from palaestra.ranking.sample import Sample
from palaestra.ranking.votes import Votes
from palaestra.ranking.weights import kept
from palaestra.schema.record import Record, Struct
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import one_thread
from palaestra.stats.passes import Parameters, log_likelihood, score_and_information
from palaestra.stats.rows import Rows, sorted_rows, table_rows

Floats = NDArray[np.float64]

_TAUS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.7, 2.2)
_LEAST_TAU, _MOST_TAU = 0.1, 10_000.0
_UNJUDGED = 1.0
"""Spread of the strength of a model that nobody else has judged, natural units."""
_NOTHING = 1e-9
_USED = {"confidence", "seed", "dedup", "daily_votes_per_voter"}
_MOST_STEPS = 50
_LEAST_VOTES = 5
_MOST_VOTERS = 2000


class PersonalRating(Struct):
    """A model in one voter's eyes: rating and interval, the crowd's rating, and how often the voter judged it."""

    model: str
    rating: float
    lower: float
    upper: float
    crowd: float
    votes: float
    probability_above_crowd: float


class PersonalBoard(Record):
    """A voter's leaderboard, best first.

    `agreement` is the share of the voter's decided votes that went to the model which the others rate higher,
    `expected` what that share is for somebody who votes like the others; None without decided votes. `tau` is in Elo.
    """

    record_name = "personal"

    voter: str
    votes: float
    models: tuple[PersonalRating, ...]
    agreement: float | None
    expected: float | None
    tau: float
    voters: int


def personal_board(
    votes: Any,  # noqa: ANN401 - as for `fit`
    voter: str,
    config: FitConfig | None = None,
    *,
    tau: float | None = None,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> PersonalBoard:
    """The leaderboard of one voter.

    Args:
        votes: as for `fit`, with the column voter.
        voter: whose board.
        config: settings; confidence, seed, and what is left out matter here; ties count half. Others are refused.
        tau: how much people differ, in Elo; estimated from all voters if None.
        **settings: or the settings by name.

    Raises:
        InputError: there are no voters, or not this one.
    """
    if tau is not None and not (tau == 0 or _LEAST_TAU <= tau <= _MOST_TAU):
        raise InputError(f"found tau = {tau:g} Elo, expected 0, or {_LEAST_TAU:g} to {_MOST_TAU:g}")
    config, coded = coded_votes(votes, config, settings)
    refuse_unused(config)
    keep_B, _ = kept(coded, config)
    coded = coded if keep_B is None else coded.of(keep_B)
    if "voter" not in coded.frame.columns:
        raise InputError(f"a voter's board needs the column voter; found {', '.join(coded.frame.columns)}")
    names_B = coded.frame["voter"].cast(pl.String)
    own_B = (names_B == voter).fill_null(value=False).to_numpy()
    if not own_B.any():
        near = ", ".join(names_B.drop_nulls().unique().sort().head(5))
        raise InputError(f"found no votes by {voter!r}; there are voters such as {near}")
    with one_thread():
        counts = count_votes(coded)
        crowd = _others(coded, counts, own_B)
        natural = tau / ELO if tau is not None else estimate_tau(coded, counts, seed=config.seed)
        theta_M, own_MM = posterior(_rows_of(coded, own_B), crowd.theta_M, natural)
    return _board(coded, own_B, _Person(voter, crowd, theta_M, own_MM, natural), config)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What everybody else's votes say: strengths and their covariance, natural units."""

    theta_M: Floats
    covariance_MM: Floats


@dataclass(frozen=True, slots=True)
class _Person:
    """A voter's strengths and their covariance given the crowd's."""

    voter: str
    crowd: _Crowd
    theta_M: Floats
    own_MM: Floats
    tau: float

    def spreads(self) -> tuple[Floats, Floats]:
        """Standard errors of the voter's strengths, and of their differences from the crowd's, around the mean model.

        The crowd is not known exactly either: the voter's strengths follow it by S = own / tau², so that its covariance
        C adds S C S' to the one, and (S - 1) C (S - 1)' to the other.
        """
        size = len(self.theta_M)
        follow_MM = self.own_MM / self.tau**2 if self.tau else np.eye(size)
        centring_MM = np.eye(size) - 1 / size
        errors = []
        for share_MM in (follow_MM, follow_MM - np.eye(size)):
            whole_MM = self.own_MM + share_MM @ self.crowd.covariance_MM @ share_MM.T
            errors.append(np.sqrt(np.maximum(np.diag(centring_MM @ whole_MM @ centring_MM), 0)))
        return errors[0], errors[1]


def posterior(rows: Rows, prior_M: Floats, tau: float) -> tuple[Floats, Floats]:
    """The mode of a voter's strengths and their covariance, natural units; the prior's own where tau is zero."""
    size = len(prior_M)
    if tau == 0:
        return prior_M.copy(), np.zeros((size, size))
    theta_M, precision = prior_M.copy(), 1 / tau**2
    for _ in range(_MOST_STEPS):
        score_M, information_MM = score_and_information(rows, VoteModel.BRADLEY_TERRY, Parameters(theta_M, np.zeros(0)))
        factor = cho_factor(information_MM + precision * np.eye(size), lower=True)
        step_M = cho_solve(factor, score_M - precision * (theta_M - prior_M))
        theta_M = theta_M + step_M
        if np.abs(step_M).max() < 1e-9:  # noqa: PLR2004 - natural units
            break
    return theta_M, cho_solve(factor, np.eye(size))


def estimate_tau(votes: Votes, counts: Counts, *, seed: int = 0) -> float:
    """How much voters differ, in natural units: the most likely of a grid of values.

    Voters with fewer than five votes say nothing of it and are left out; of more than two thousand others, so many are
    drawn.
    """
    crowd_M = estimate(table_rows(counts.by_outcome_OMM), counts, VoteModel.BRADLEY_TERRY).theta_M
    codes_B = votes.frame["voter"].cast(pl.String).cast(pl.Categorical).to_physical().to_numpy()
    numbers, sizes = np.unique(
        codes_B[~np.isnan(codes_B)] if codes_B.dtype.kind == "f" else codes_B, return_counts=True
    )
    chosen = numbers[sizes >= _LEAST_VOTES]
    if len(chosen) > _MOST_VOTERS:
        chosen = np.random.default_rng(seed).choice(chosen, _MOST_VOTERS, replace=False)
    order_B = np.argsort(codes_B, kind="stable")
    sorted_B = codes_B[order_B]
    evidence = np.zeros(len(_TAUS))
    for number in chosen:
        mine = order_B[np.searchsorted(sorted_B, number) : np.searchsorted(sorted_B, number, side="right")]
        rows, prior_K = _small(votes, mine, crowd_M)
        evidence += [_evidence(rows, prior_K, tau) for tau in _TAUS]
    return _TAUS[int(evidence.argmax())]


def _evidence(rows: Rows, prior_M: Floats, tau: float) -> float:
    """The logarithm of a voter's likelihood with strengths integrated out (Laplace)."""
    theta_M, covariance_MM = posterior(rows, prior_M, tau)
    likelihood = log_likelihood(rows, VoteModel.BRADLEY_TERRY, Parameters(theta_M, np.zeros(0)))
    if tau == 0:
        return likelihood
    shift_M = theta_M - prior_M
    return float(likelihood - shift_M @ shift_M / (2 * tau**2) + np.linalg.slogdet(covariance_MM / tau**2)[1] / 2)


def _small(votes: Votes, mine: NDArray[np.int64], crowd_M: Floats) -> tuple[Rows, Floats]:
    """A voter's votes among the models that the voter met, renumbered, and the crowd's strengths of these."""
    sides = np.concatenate([votes.first_B[mine], votes.second_B[mine]])
    met, places = np.unique(sides, return_inverse=True)
    weight_B = np.ascontiguousarray(votes.count_B[mine])
    rows = sorted_rows(
        len(met),
        places[: len(mine)].astype(np.int32),
        places[len(mine) :].astype(np.int32),
        votes.outcome_B[mine].astype(np.int8),
        weight_B=weight_B,
        square_B=weight_B,
    )
    return rows, crowd_M[met]


def _rows_of(votes: Votes, own_B: NDArray[np.bool_]) -> Rows:
    weight_B = np.ascontiguousarray(votes.count_B[own_B])
    return sorted_rows(
        len(votes.names),
        votes.first_B[own_B].astype(np.int32),
        votes.second_B[own_B].astype(np.int32),
        votes.outcome_B[own_B].astype(np.int8),
        weight_B=weight_B,
        square_B=weight_B,
    )


def _others(votes: Votes, counts: Counts, own_B: NDArray[np.bool_]) -> _Crowd:
    """What everybody else's votes say; of models that nobody else judged, the middle, and that little is known."""
    mine_OMM = tables_by_outcome(votes, np.where(own_B, votes.count_B, 0.0))
    rest = Counts.of_outcomes(counts.names, np.maximum(counts.by_outcome_OMM - mine_OMM, 0))
    judged = np.flatnonzero(rest.votes_M > 0)
    theta_M, covariance_MM = np.zeros(len(counts.names)), np.eye(len(counts.names)) * _UNJUDGED**2
    if len(judged):
        among = rest.of(judged)
        sample = Sample(among, table_rows(among.by_outcome_OMM))
        found = estimate(sample.rows, among, VoteModel.BRADLEY_TERRY)
        theta_M[judged] = found.theta_M
        covariance_MM[np.ix_(judged, judged)] = spread(sample, found, FitConfig()).covariance_QQ
    return _Crowd(theta_M, covariance_MM)


def refuse_unused(config: FitConfig) -> None:
    """Refuse settings that have no part in one voter's board.

    Raises:
        InputError: naming them.
    """
    default = FitConfig()
    unused = [
        name for name in FitConfig.model_fields if name not in _USED and getattr(config, name) != getattr(default, name)
    ]
    if unused:
        raise InputError(f"{', '.join(unused)}: these have no part in one voter's board; leave them out")


def _board(votes: Votes, own_B: NDArray[np.bool_], person: _Person, config: FitConfig) -> PersonalBoard:
    z = float(ndtri(0.5 + config.confidence / 2))
    theta_M, crowd_M = person.theta_M - person.theta_M.mean(), person.crowd.theta_M - person.crowd.theta_M.mean()
    se_M, apart_M = person.spreads()
    first, second, outcome = (side[own_B] for side in (votes.first_B, votes.second_B, votes.outcome_B))
    weight = votes.count_B[own_B]
    own_M = np.bincount(np.concatenate([first, second]), np.tile(weight, 2), minlength=len(crowd_M))
    gap = crowd_M[first] - crowd_M[second]
    decided = (outcome < 2) & (gap != 0)  # noqa: PLR2004 - wins
    agreement = expected = None
    if decided.any():
        agreed = (gap[decided] > 0) == (outcome[decided] == 0)
        agreement = float(np.average(agreed, weights=weight[decided]))
        expected = float(np.average(expit(np.abs(gap[decided])), weights=weight[decided]))
    lines = [
        PersonalRating(
            model=votes.names[m],
            rating=1000 + ELO * theta_M[m],
            lower=1000 + ELO * (theta_M[m] - z * se_M[m]),
            upper=1000 + ELO * (theta_M[m] + z * se_M[m]),
            crowd=1000 + ELO * crowd_M[m],
            votes=float(own_M[m]),
            probability_above_crowd=float(ndtr((theta_M[m] - crowd_M[m]) / apart_M[m]))
            if apart_M[m] > _NOTHING
            else 0.5,
        )
        for m in np.argsort(-theta_M, kind="stable").tolist()
    ]
    return PersonalBoard(
        voter=person.voter,
        votes=float(weight.sum()),
        models=tuple(lines),
        agreement=agreement,
        expected=expected,
        tau=ELO * person.tau,
        voters=votes.frame["voter"].drop_nulls().n_unique(),
    )
