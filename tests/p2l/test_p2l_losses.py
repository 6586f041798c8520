"""The losses on tensors are those of `stats/likelihoods.py`, and gradients are those of the losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prompt_worlds import world

from palaestra.p2l.fitting import Weights, _loss, by_prompt, tie_parameters
from palaestra.p2l.losses import log_chances, vote_losses
from palaestra.p2l.model import VOTE_MODELS, Kind
from palaestra.stats.likelihoods import log_probability

KINDS: tuple[Kind, ...] = ("bradley-terry", "rao-kupper", "grounded")


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_that_of_the_ranking_room(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    first, second, raw = rng.normal(size=(3, 400)) * 2
    outcome = rng.integers(0, 4, 400)
    found = vote_losses(kind, *map(torch.tensor, (first, second, outcome, raw))).numpy()
    shape = tie_parameters(kind, raw)
    model = int(VOTE_MODELS[kind])
    expected = [
        -log_probability(model, int(o), u - v, (u + v) / 2, s)
        for o, u, v, s in zip(outcome, first, second, shape, strict=True)
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_chances_sum_to_one_even_far_out(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    first, second, raw = (torch.tensor(row) for row in rng.normal(size=(3, 400)) * 15)
    assert log_chances(kind, first, second, raw).exp().sum(dim=1).numpy() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_gradient_is_the_slope_of_the_loss(kind: Kind) -> None:
    made = world(prompts=40, votes=200, kind=kind)
    votes, zero = by_prompt(made.votes), Weights.zero(kind, 5, 6)
    at_Q = np.random.default_rng(2).normal(size=len(zero.flat)) * 0.5
    _, slope_Q = _loss(votes, made.x_PD, kind, zero.unflat(at_Q))
    for q in range(len(at_Q)):
        step = np.zeros(len(at_Q))
        step[q] = 1e-6
        up, down = (_loss(votes, made.x_PD, kind, zero.unflat(at_Q + sign * step))[0] for sign in (1, -1))
        assert slope_Q[q] == pytest.approx((up - down) / 2e-6, abs=1e-4)
