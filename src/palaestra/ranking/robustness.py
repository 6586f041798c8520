"""How few votes, or voters, decide who is first, found by influence and verified by removing them.

For a rival r of the leader l, removing a set S of votes moves the lead t_l - t_r by about the sum over S of
-c' I⁻¹ s_v, where s_v is the score of vote v, I the information and c = e_l - e_r (the influence function; Broderick,
Giordano
and Meager, 2020; for arenas, Huang, Shen, Wei and Broderick, 2025). Those that reduce the lead most are taken until it
is gone. The linear forecast is then put to the test: the board is fitted again without them, more are taken at the new
parameters if the leader still leads, and from what was taken as many as possible are given back while the leader has
fallen.

What is reported was verified by a refit. It is an upper bound: a smaller set may exist that this search does not find.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.compare import ELO
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.counts import Counts
from palaestra.ranking.estimate import Estimate, estimate
from palaestra.ranking.fit import coded_votes
from palaestra.ranking.sample import Sample, cluster_codes, sample_of
from palaestra.ranking.votes import Votes, code_votes
from palaestra.schema.record import Record, Struct
from palaestra.stats.newton import one_thread, solver
from palaestra.stats.passes import outcome_tables, slopes

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MOST_ROUNDS = 30
_MOST_VOTES = 20e6
_MOST_LISTED = 100
_TIED = 1e-7
"""Natural units within which two strengths are one."""


class Removal(Struct):
    """A row of votes that takes part: where it stands among the votes, from 1, and what it says."""

    row: int
    model_a: str
    model_b: str
    winner: str
    voter: str | None = None


class Robustness(Record):
    """The fewest votes or voters found whose removal puts `rival` before `leader`; None where none were found.

    `lead_before` and `lead_after` are Elo, the latter from the refit. `removed` lists rows (at most a hundred),
    `voters` the voters, if those were asked for.
    """

    record_name = "robustness"

    leader: str
    rival: str | None
    what: Literal["votes", "voters"]
    fewest: int | None
    votes_removed: float
    share_of_votes: float
    lead_before: float
    lead_after: float | None
    removed: tuple[Removal, ...] = ()
    voters: tuple[str, ...] = ()
    rivals_tried: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The finding in a sentence."""
        if self.fewest is None:
            return f"No {self.what} were found whose removal takes the first place from {self.leader}."
        return (
            f"Without {self.fewest} {self.what} ({self.votes_removed:g} votes, {self.share_of_votes:.4%} of all) "
            f"{self.rival} is before {self.leader} (verified: {self.lead_after:+.2f} Elo, "
            f"not {self.lead_before:+.2f})."
        )


@dataclass(frozen=True, slots=True)
class _Search:
    """What a search works on: one row a vote, and the unit (vote or voter) of each row."""

    sample: Sample
    config: FitConfig
    full: Estimate
    unit_B: NDArray[np.int32]
    units: int


def robustness(
    votes: Any,  # noqa: ANN401 - as for `fit`
    config: FitConfig | None = None,
    *,
    what: Literal["votes", "voters"] = "votes",
    rivals: int = 5,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> Robustness:
    """The fewest votes, or voters, whose removal changes the first place, as far as they can be found.

    Args:
        votes: as for `fit`.
        config: settings of the fit; ties may not be `auto`.
        what: single votes, or all votes of a voter together.
        rivals: how many models behind the leader are tried in its place.
        **settings: or the settings by name.

    Raises:
        InputError: there are fewer than two models, or no voters where they are asked for.
    """
    config, coded = coded_votes(votes, config, settings)
    if rivals < 1:
        raise InputError(f"found rivals = {rivals}, expected at least 1")
    if what == "voters" and ("voter" not in coded.frame.columns or coded.frame["voter"].n_unique() < 2):  # noqa: PLR2004
        raise InputError(
            "to remove whole voters takes votes of at least two; found no column voter, or one voter in it"
        )
    if config.ties is Ties.AUTO:
        raise InputError("ties=auto would choose again for each refit; name the model of ties")
    row_B = np.arange(len(coded))
    if what == "votes" and (coded.count_B != 1).any():
        coded, row_B = _one_row_a_vote(coded)
    with one_thread():
        search = _begin(coded, config, what)
        theta_M, part_M = search.full.theta_M, search.full.connections.part_M
        leader, *others = (
            int(m) for m in np.argsort(-theta_M) if part_M[m] == 0
        )  # others were never compared with these
        others = others[:rivals]
        best: tuple[Mask, int] | None = None
        for rival in others:
            most = search.units if best is None else int(best[0].sum()) - 1
            chosen_U = _fewest(search, leader, rival, most)
            if chosen_U is not None:
                best = chosen_U, rival
        return _reported(coded, row_B, search, leader, others, best, what)


def _one_row_a_vote(coded: Votes) -> tuple[Votes, NDArray[np.int64]]:
    """A count table as single votes, and the row from which each came."""
    if (coded.count_B % 1 != 0).any() or coded.count_B.sum() > _MOST_VOTES:
        raise InputError(
            f"the weights stand for {coded.count_B.sum():g} votes, expected whole numbers up to {_MOST_VOTES:g} in all "
            "to remove single ones"
        )
    row_B = np.repeat(np.arange(len(coded)), coded.count_B.astype(np.int64))
    return code_votes(coded.frame.drop("weight")[row_B]), row_B


def _begin(coded: Votes, config: FitConfig, what: str) -> _Search:
    if len(coded.names) < 2:  # noqa: PLR2004 - a leader and a rival
        raise InputError(f"found {len(coded.names)} models, expected at least two to have a first place")
    sample = sample_of(coded, config, single=True)
    found = estimate(sample.rows, sample.counts, config.ties.model, penalty=config.penalty)
    if what == "voters":
        unit_B = cluster_codes(sample.frame(coded), "voter")[sample.rows.source_B]
    else:
        unit_B = np.arange(len(sample.rows.outcome_B), dtype=np.int32)
    return _Search(sample, config, found, unit_B, int(unit_B.max()) + 1)


def _fewest(search: _Search, leader: int, rival: int, most: int) -> Mask | None:
    """The units whose removal puts the rival first of the two, no more than `most`; None where they are not found."""
    chosen_U = np.zeros(search.units, dtype=bool)
    found = search.full
    for _ in range(_MOST_ROUNDS):
        lead = found.theta_M[leader] - found.theta_M[rival]
        if lead < -_TIED:
            return _given_back(search, leader, rival, chosen_U)
        gain_U = _gains(search, found, leader, rival)
        gain_U[chosen_U] = 0.0
        order_U = np.argsort(-gain_U, kind="stable")
        reached_U = np.cumsum(gain_U[order_U])
        enough = int(np.searchsorted(reached_U, max(lead, _TIED), side="right")) + 1
        take = order_U[:enough][gain_U[order_U[:enough]] > 0]
        if not len(take) or chosen_U.sum() + len(take) > most:
            return None
        chosen_U[take] = True
        refitted = _without(search, chosen_U, found, (leader, rival))
        if refitted is None:
            return None
        found = refitted
    return None


def _gains(search: _Search, found: Estimate, leader: int, rival: int) -> Floats:
    """By how much the lead shrinks without each unit, to first order."""
    maximum = found.maximum
    contrast_Q = np.zeros(len(maximum.information_QQ))
    contrast_Q[leader], contrast_Q[rival] = 1.0, -1.0
    direction_Q = solver(maximum.problem, maximum.information_QQ)(contrast_Q)
    slope_B = slopes(search.sample.rows, maximum.problem.model, maximum.at, direction_Q)
    return np.bincount(search.unit_B, slope_B, minlength=search.units).astype(float)


def _without(search: _Search, chosen_U: Mask, start: Estimate, both: tuple[int, int]) -> Estimate | None:
    """The fit without some units; None where votes no longer connect the two models."""
    rows = search.sample.rows
    kept_B = (~chosen_U[search.unit_B]).astype(float)
    rest = replace(rows, weight_B=rows.weight_B * kept_B, square_B=rows.square_B * kept_B)
    counts = Counts.of_outcomes(search.sample.counts.names, outcome_tables(rest))
    try:
        found = estimate(rest, counts, search.config.ties.model, penalty=search.config.penalty, start=start.maximum.at)
    except InputError:
        return None
    part_M = found.connections.part_M
    connected = part_M[both[0]] == part_M[both[1]] and all(counts.votes_M[m] > 0 for m in both)
    return found if connected else None


def _given_back(search: _Search, leader: int, rival: int, chosen_U: Mask) -> Mask:
    """As few of the chosen units as still do it: the least needed ones are given back by halving."""
    order = np.flatnonzero(chosen_U)
    order = order[np.argsort(-_gains(search, search.full, leader, rival)[order], kind="stable")]
    few, enough = 0, len(order)
    while enough - few > 1:
        middle = (few + enough) // 2
        trial_U = np.zeros(search.units, dtype=bool)
        trial_U[order[:middle]] = True
        found = _without(search, trial_U, search.full, (leader, rival))
        fallen = found is not None and found.theta_M[leader] < found.theta_M[rival] - _TIED
        few, enough = (few, middle) if fallen else (middle, enough)
    least_U = np.zeros(search.units, dtype=bool)
    least_U[order[:enough]] = True
    return least_U


def _reported(  # noqa: PLR0917 - what is reported
    coded: Votes,
    row_B: NDArray[np.int64],
    search: _Search,
    leader: int,
    others: list[int],
    best: tuple[Mask, int] | None,
    what: Literal["votes", "voters"],
) -> Robustness:
    theta_M = search.full.theta_M
    chosen_U, rival = best if best is not None else (np.zeros(search.units, dtype=bool), others[0])
    after = None if best is None else _without(search, chosen_U, search.full, (leader, rival))
    gone_B = np.zeros(len(search.unit_B), dtype=bool)
    gone_B[search.sample.rows.source_B[chosen_U[search.unit_B]]] = True
    frame = search.sample.frame(coded)
    count_B = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(len(gone_B))
    if search.sample.kept_B is not None:
        row_B = row_B[search.sample.kept_B]
    gone = frame.filter(pl.Series(gone_B)).with_columns(row=pl.Series(row_B[gone_B] + 1))
    fields = [name for name in Removal.model_fields if name in gone.columns]
    listed = gone.head(_MOST_LISTED).select(pl.col(fields).exclude("row").cast(pl.String), "row")
    return Robustness(
        leader=coded.names[leader],
        rival=None if best is None else coded.names[rival],
        what=what,
        fewest=None if best is None else int(chosen_U.sum()),
        votes_removed=float(count_B[gone_B].sum()),
        share_of_votes=float(count_B[gone_B].sum() / count_B.sum()),
        lead_before=ELO * float(theta_M[leader] - theta_M[rival]),
        lead_after=None if after is None else ELO * float(after.theta_M[leader] - after.theta_M[rival]),
        removed=tuple(Removal(**line) for line in listed.iter_rows(named=True)),
        voters=tuple(gone["voter"].cast(pl.String).drop_nulls().unique().sort()) if what == "voters" else (),
        rivals_tried=tuple(coded.names[m] for m in others),
    )
