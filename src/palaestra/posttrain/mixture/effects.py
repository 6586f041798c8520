"""What leaving a domain out does to each score: which domains help which, and which are in the way.

At equal tokens: what a domain leaves is divided among the others. So the effect of a domain is what its tokens do there
against what they would do as tokens of all others. Intervals hold for the whole matrix at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palaestra.posttrain.mixture.law import Measure, Runs
from palaestra.posttrain.mixture.simplex import Floats, uniform, without
from palaestra.posttrain.mixture.spread import Rounds, band


@dataclass(frozen=True, slots=True)
class Effects:
    """Row: the domain that is left out; column: the scored one. Above nought, the domain helps."""

    value_DS: Floats
    lower_DS: Floats
    upper_DS: Floats
    measured_DS: Floats
    """The same from the run that left it out, against the mean at the centre; no number where there was none."""

    def sure_DS(self) -> Floats:
        """1 where a domain surely helps, -1 where it is surely in the way, 0 where that is open."""
        return np.where(self.lower_DS > 0, 1.0, np.where(self.upper_DS < 0, -1.0, 0.0))


def effects(rounds: Rounds, runs: Runs, measure: Measure, tokens: float, *, confidence: float) -> Effects:
    """The matrix of effects.

    Args:
        rounds: the law and its refits.
        runs: what they were fitted to.
        measure: whether values are losses or scores.
        tokens: of a run.
        confidence: of the whole matrix.
    """
    domains, sign = len(runs.domains), -1.0 if measure == "loss" else 1.0
    point_ND = np.vstack([uniform(domains)[None], *(without(domains, one)[None] for one in range(domains))])
    value_NS, value_BNS = rounds.law.predict(point_ND, tokens), rounds.predict(point_ND, tokens)
    change_DS, change_BDS = sign * (value_NS[:1] - value_NS[1:]), sign * (value_BNS[:, :1] - value_BNS[:, 1:])
    found = band(change_DS, change_BDS, confidence, rounds.freedom)
    return Effects(found.value, found.lower, found.upper, sign * _measured(runs, tokens))


def _measured(runs: Runs, tokens: float) -> Floats:
    domains = len(runs.domains)

    def mean_at(weight_D: Floats) -> Floats:
        same_R = (np.abs(runs.weight_RD - weight_D) < 1e-9).all(axis=1) & (runs.tokens_R == tokens)  # noqa: PLR2004
        return runs.value_RS[same_R].mean(axis=0) if same_R.any() else np.full(len(runs.scored), np.nan)

    centre_S = mean_at(uniform(domains))
    return np.stack([centre_S - mean_at(without(domains, one)) for one in range(domains)])
