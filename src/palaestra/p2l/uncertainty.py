"""How sure a head is: an ensemble whose members differ as far as the truth may differ from the estimate.

Each member is a fit with two things drawn at random. Prompts get weights from the exponential law (the Bayesian
bootstrap, Rubin, 1981), so that votes on one prompt stay together: what other prompts would have said. And the prior
is pulled not to zero but to a draw from itself (anchored ensembles, Pearce et al., 2020): where votes say nothing,
members differ as much as the prior does. A bootstrap alone would call a ridge certain exactly where it only shrinks.

The spread of the prior is taken as known. Not here: the fits (`fitting.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from palaestra.p2l.fitting import Vectors, Weights, fit
from palaestra.p2l.model import Kind
from palaestra.store.prompted_votes import PromptedVotes

_LAST_SLOPE = 0.02
"""Slopes that are left in a member, in standard errors."""


def members(
    votes: PromptedVotes,
    z_PK: Vectors,
    kind: Kind,
    spread: float,
    at: Weights,
    *,
    count: int,
    seed: int,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[Weights, ...]:
    """The members of an ensemble around an estimate.

    Args:
        votes: in the order of their prompts.
        z_PK: a vector for each prompt.
        kind: the likelihood.
        spread: the prior's.
        at: the estimate, where each member begins.
        count: how many members.
        seed: of the draws; a member does not depend on how many there are.
        tell: is told how many are done, of how many.
    """
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        weight_P = rng.exponential(size=len(z_PK))
        drawn = replace(votes, weight_B=votes.weight_B * weight_P[votes.prompt_B])
        anchor = _anchor(at, spread, rng)
        slope = _LAST_SLOPE / float(np.sqrt(votes.weight_B.sum()))
        found.append(fit(drawn, z_PK, kind, spread, start=at, anchor=anchor, last_slope=slope).weights)
        tell(number + 1, count)
    return tuple(found)


def _anchor(at: Weights, spread: float, rng: np.random.Generator) -> Weights:
    w_MK = spread * rng.standard_normal(at.w_MK.shape)
    return Weights(np.zeros_like(at.a_M), w_MK, spread * rng.standard_normal(at.tie_C.shape))
