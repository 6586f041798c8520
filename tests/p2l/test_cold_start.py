"""A newcomer's few votes go further with what is known of other models; what is known stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prompt_worlds import World, world
from scipy.special import expit

from palaestra.errors import InputError
from palaestra.p2l.cold_start import with_newcomer
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.head import Head
from palaestra.p2l.model import Kind
from palaestra.p2l.train import train_on

OLD, NEW = 16, 8


@pytest.fixture(scope="module")
def made() -> World:
    return world(prompts=1500, models=OLD + NEW, votes=24_000, spread=1.0, seed=3)


@pytest.fixture(scope="module")
def head(made: World) -> Head:
    votes = made.votes
    old_B = (votes.first_B < OLD) & (votes.second_B < OLD)
    seen = replace(votes.take(old_B), models=votes.models[:OLD]).of_prompts(np.arange(1500) < 1200)
    return train_on(seen, made.x_PD, TrainConfig(kind="bradley-terry", members=8))


def votes_of(made: World, number: int, count: int | None) -> np.ndarray:
    votes = made.votes
    mine_B = np.minimum(votes.first_B, votes.second_B) < OLD
    mine_B &= np.maximum(votes.first_B, votes.second_B) == number
    mine_B &= votes.prompt_B < 1200
    kept = np.flatnonzero(mine_B)[:count]
    return np.isin(np.arange(len(votes)), kept)


def test_thirty_votes_foretell_better_than_a_board_of_them(made: World, head: Head) -> None:
    z_PK = head.projection(made.x_PD)
    gaps, inside = [], []
    for number in range(OLD, OLD + NEW):
        joined = with_newcomer(head, made.votes.take(votes_of(made, number, 30)), made.x_PD)
        found = joined.coefficients_of(z_PK[1200:])
        true_PM = expit(made.beta_PM[1200:, [number]] - made.beta_PM[1200:, :OLD])
        by_head = np.abs(expit(found.beta_PM[:, [OLD]] - found.beta_PM[:, :OLD]) - true_PM).mean()
        plain_M = joined.plain.a_M
        gaps.append(np.abs(expit(plain_M[OLD] - plain_M[:OLD]) - true_PM).mean() - by_head)
        assert found.draws_RPM is not None
        gap_RP = found.draws_RPM[:, :, OLD] - found.draws_RPM[:, :, :OLD].mean(axis=2)
        true_P = made.beta_PM[1200:, number] - made.beta_PM[1200:, :OLD].mean(axis=1)
        inside.append(np.abs(true_P - gap_RP.mean(axis=0)) < 1.96 * gap_RP.std(axis=0, ddof=1))
    assert np.mean(gaps) > 3 * np.std(gaps, ddof=1) / np.sqrt(NEW)
    assert 0.8 < np.mean(inside) < 0.995


def test_many_votes_come_to_the_truth_and_none_to_the_mean(made: World, head: Head) -> None:
    number = OLD
    joined = with_newcomer(head, made.votes.take(votes_of(made, number, None)), made.x_PD)
    found_PM = joined.coefficients_of(joined.projection(made.x_PD)).beta_PM
    gap_P = found_PM[:, OLD] - found_PM[:, :OLD].mean(axis=1)
    true_P = made.beta_PM[:, number] - made.beta_PM[:, :OLD].mean(axis=1)
    assert np.corrcoef(gap_P, true_P)[0, 1] > 0.95
    one = made.votes.take(votes_of(made, number, 1))
    light = with_newcomer(head, replace(one, weight_B=np.full(1, 1e-9)), made.x_PD)
    assert light.weights.a_M[OLD] == pytest.approx(head.weights.a_M.mean(), abs=1e-6)
    assert light.weights.w_MK[OLD] == pytest.approx(head.weights.w_MK.mean(axis=0), abs=1e-6)


def test_the_others_stay_as_they_are(made: World, head: Head) -> None:
    joined = with_newcomer(head, made.votes.take(votes_of(made, OLD, 30)), made.x_PD)
    assert joined.models == (*head.models, f"m{OLD}")
    assert (joined.weights.w_MK[:-1] == head.weights.w_MK).all()
    assert (joined.members[3].a_M[:-1] == head.members[3].a_M).all()
    assert joined.counts_OMM.sum() == head.counts_OMM.sum() + 30


@pytest.mark.parametrize("kind", ["rao-kupper", "grounded"])
def test_ties_are_heard_too(kind: Kind) -> None:
    made = world(prompts=400, models=6, votes=6000, kind=kind, seed=1)
    votes = made.votes
    old_B = np.maximum(votes.first_B, votes.second_B) < 5
    head = train_on(
        replace(votes.take(old_B), models=votes.models[:5]), made.x_PD, TrainConfig(kind=kind, spread=1.0, members=4)
    )
    joined = with_newcomer(head, votes.take(~old_B), made.x_PD)
    whole = train_on(votes, made.x_PD, TrainConfig(kind=kind, spread=1.0, members=0))
    one, other = (h.coefficients_of(h.projection(made.x_PD)).beta_PM for h in (joined, whole))
    gap_P, full_P = (b[:, 5] - b[:, :5].mean(axis=1) for b in (one, other))
    assert np.corrcoef(gap_P, full_P)[0, 1] > 0.95
    assert gap_P.mean() == pytest.approx(full_P.mean(), abs=0.15)


def test_what_is_no_newcomer_is_refused(made: World, head: Head) -> None:
    old_B = np.maximum(made.votes.first_B, made.votes.second_B) < OLD
    with pytest.raises(InputError, match="0 new models"):
        with_newcomer(head, made.votes.take(old_B), made.x_PD)
    with pytest.raises(InputError, match=f"{NEW} new models"):
        with_newcomer(head, made.votes, made.x_PD)
    with pytest.raises(InputError, match="without an ensemble"):
        with_newcomer(replace(head, members=()), made.votes.take(votes_of(made, OLD, 30)), made.x_PD)


def test_copies_of_votes_make_nobody_surer(made: World, head: Head) -> None:
    """Eight votes alike on each of twelve prompts know no more of other prompts than one on each."""
    mine = np.flatnonzero(votes_of(made, OLD, 60))
    mine = mine[np.unique(made.votes.prompt_B[mine], return_index=True)[1]][:12]
    sure = []
    for copies in (1, 8):
        places = np.repeat(mine, copies)
        names = ("prompt_B", "first_B", "second_B", "outcome_B", "weight_B", "voter_B")
        votes = replace(made.votes, **{name: getattr(made.votes, name)[places] for name in names})
        found = with_newcomer(head, votes, made.x_PD).coefficients_of(head.projection(made.x_PD[1200:]))
        assert found.draws_RPM is not None
        gap_RP = found.draws_RPM[:, :, OLD] - found.draws_RPM[:, :, :OLD].mean(axis=2)
        sure.append(gap_RP.std(axis=0, ddof=1).mean())
    assert sure[1] > 0.9 * sure[0]


def test_a_newcomer_whose_votes_weigh_nothing_is_refused(made: World, head: Head) -> None:
    one = made.votes.take(votes_of(made, OLD, 1))
    with pytest.raises(InputError, match="that counts"):
        with_newcomer(head, replace(one, weight_B=np.zeros(1)), made.x_PD)
