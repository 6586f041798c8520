"""Which pair next: the one whose next vote takes most off the uncertainty that matters, with exact propensities.

What is known: strengths t with covariance C from the votes, and the prior that models of one arena are alike, t ~
N(0, `PRIOR_SD`²) around their mean. It speaks only where votes do not: of models without a vote, of those with a few,
and of how sets of models that never met compare.

What matters are the differences at the top: the uncertainty is the sum of r_i r_j Var(t_i - t_j) over all pairs, where
r is the probability that a model is among the best k. This is an L-optimal design (Chaloner and Verdinelli, 1995) whose
weights follow what is known. A vote on (a, b) adds information h = p (1 - p) along z = e_a - e_b, changes C to
C - C z z' C h / (1 + h z' C z), and takes off

    gain(a, b) = h z' C L C z / (1 + h z' C z),    L = the Laplacian of r_i r_j

and that for all pairs at once from one matrix C L C. To tell as many pairs apart as possible (`goal = "separate"`), r_i
r_j gives way to what a smaller variance v of a difference d adds to the chance that |d| exceeds 2 sqrt(v): in
proportion, E[phi(|u| - 2) |u|] / v over u ~ N(d / sqrt(v), 1), so that pairs near that edge matter most.

Pairs are drawn with probability proportional to the square of the gain, mixed with an even draw: `explore` of all
draws, so that no pair has a propensity below explore / pairs and inverse-propensity weights stay bounded. For the top,
how large an observed difference is does not enter the weights: rules that leave a pair alone as soon as it looks
decided stop where luck was good, and make intervals too narrow.
`tests/benchmarks/sampling.py` measures the rule against others.

Not here: the drawing itself, and the weights of a fit (`weights.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from palaestra.errors import InputError
from palaestra.ranking.compare import ELO
from palaestra.schema import Leaderboard

Floats = NDArray[np.float64]

PRIOR_SD = 1.0
"""Of the models' strengths around their mean, natural units: 174 Elo."""
_UNKNOWN = 1e4 * PRIOR_SD**2
"""Variance of a level that no vote has fixed: as good as infinite beside the prior's."""
_DRAWS = 1000
_SEED = 0
_POWER = 2
_LEAST = 1e-300
_LEAST_VARIANCE = 1e-9
_TOLD_APART = 2.0
"""Standard errors that a difference must exceed."""
_NODES = 41
Goal = Literal["top", "separate"]


@dataclass(frozen=True, slots=True)
class PairPlan:
    """How the next pair is drawn.

    `probability_MM` is symmetric with a zero diagonal and sums to 2: each unordered pair has its propensity in both
    places. `gain_MM` is what one vote of a pair takes off the uncertainty.
    """

    names: tuple[str, ...]
    probability_MM: Floats
    gain_MM: Floats

    def best(self, count: int) -> list[tuple[str, str, float, float]]:
        """The pairs with the largest gain: names, gain as a share of the largest one, propensity."""
        first, second = np.triu_indices(len(self.names), 1)
        gain_P = self.gain_MM[first, second]
        most = max(float(gain_P.max(initial=0.0)), _LEAST)
        return [
            (
                self.names[first[p]],
                self.names[second[p]],
                float(gain_P[p]) / most,
                float(self.probability_MM[first[p], second[p]]),
            )
            for p in np.argsort(-gain_P, kind="stable")[:count]
        ]


def plan_pairs(
    names: Sequence[str],
    theta_M: Floats,
    covariance_MM: Floats,
    *,
    part_M: NDArray[np.int64] | None = None,
    in_service_M: NDArray[np.bool_] | None = None,
    top: int = 10,
    goal: Goal = "top",
    explore: float = 0.1,
    seed: int = 0,
) -> PairPlan:
    """Probabilities of all pairs.

    Args:
        names: all models.
        theta_M: their strengths in natural units, whatever their level.
        covariance_MM: the covariance of these, in any gauge.
        part_M: equal numbers for models that votes connect, all of them if None. A model without a vote is a part of
            its own, and its strength and covariance are not looked at.
        in_service_M: the models that may be drawn; all if None.
        top: how many of the best of these matter.
        goal: `top`, or `separate`: to tell as many pairs apart as possible, wherever they stand.
        explore: the share of draws that is even over all pairs.
        seed: of the simulation that says who may be among the best.

    Returns:
        The plan of the models in service, in the order of `names`.

    Raises:
        InputError: fewer than two models are in service, none matter, or a share is outside 0 to 1.
    """
    service_M = np.ones(len(names), dtype=bool) if in_service_M is None else np.asarray(in_service_M, dtype=bool)
    drawable = tuple(name for name, may in zip(names, service_M, strict=True) if may)
    if len(drawable) < 2:  # noqa: PLR2004 - a pair is two
        raise InputError(f"found {len(drawable)} models, expected at least two to make a pair")
    if top < 1:
        raise InputError(f"found top = {top}, expected at least 1 model that matters")
    if not 0 <= explore <= 1:
        raise InputError(f"found explore = {explore}, expected a share from 0 to 1")
    part_M = np.zeros(len(names), dtype=np.int64) if part_M is None else part_M
    theta_M, covariance_MM = _with_prior(np.asarray(theta_M, float), np.asarray(covariance_MM, float), part_M)
    theta_M, covariance_MM = theta_M[service_M], covariance_MM[np.ix_(service_M, service_M)]
    if goal == "top":
        best_M = _chance_of_the_best(theta_M, covariance_MM, min(top, len(drawable)), seed)
        matters_MM = np.outer(best_M, best_M)
    else:
        matters_MM = _at_the_edge(theta_M, covariance_MM)
    gain_MM = _gains(theta_M, covariance_MM, matters_MM)
    return PairPlan(drawable, _mixed(gain_MM, explore), gain_MM)


def plan_for_board(
    board: Leaderboard,
    in_service: Sequence[str] | None = None,
    *,
    top: int = 10,
    goal: Goal = "top",
    explore: float = 0.1,
) -> PairPlan:
    """The plan that follows a board.

    Args:
        board: with its covariance.
        in_service: the models that may be drawn, also such as have no votes yet; those of the board if None.
        top: how many of the best matter.
        goal: `top`, or `separate`: to tell as many pairs apart as possible, wherever they stand.
        explore: the share of draws that is even over all pairs.

    Raises:
        InputError: as `plan_pairs`, the board has no covariance, or a model stands twice among those in service.
    """
    known = [line.model for line in board.models]
    wanted = known if in_service is None else list(in_service)
    if len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise InputError(f"found {twice!r} twice among the models in service, expected each once")
    count = len(known)
    if len(board.covariance) != count:
        raise InputError(f"found a board of {count} models without their covariance, expected one that `fit` has made")
    new = [name for name in wanted if name not in set(known)]
    names = [*wanted, *(name for name in known if name not in set(wanted))]
    places = {name: place for place, name in enumerate([*known, *new])}
    at = [places[name] for name in names]
    theta_M, covariance_MM = np.zeros(len(names)), np.zeros((len(names), len(names)))
    theta_M[:count] = [line.rating / ELO for line in board.models]
    covariance_MM[:count, :count] = np.array(board.covariance).reshape(count, count) / ELO**2
    sets = [*(board.components or [known]), *([name] for name in new)]
    parts = {name: number for number, part in enumerate(sets) for name in part}
    return plan_pairs(
        names,
        theta_M[at],
        covariance_MM[np.ix_(at, at)],
        part_M=np.array([parts[name] for name in names], dtype=np.int64),
        in_service_M=np.arange(len(names)) < len(wanted),
        top=top,
        goal=goal,
        explore=explore,
        seed=_SEED,
    )


def pair_probabilities(board: Leaderboard, in_service: Sequence[str]) -> dict[tuple[str, str], float]:
    """The propensity of each unordered pair of the models in service, as an arena draws them; errors as above."""
    plan = plan_for_board(board, in_service)
    first, second = np.triu_indices(len(plan.names), 1)
    chances = plan.probability_MM[first, second].tolist()
    return {(plan.names[i], plan.names[j]): chance for i, j, chance in zip(first, second, chances, strict=True)}


def _with_prior(theta_M: Floats, covariance_MM: Floats, part_M: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and covariance with the prior added: (C⁻¹ + I/v)⁻¹ = v C (C + v I)⁻¹, where C has unknown levels."""
    same_MM = (part_M[:, None] == part_M[None, :]).astype(float)
    centring_MM = np.eye(len(part_M)) - same_MM / same_MM.sum(axis=1)
    votes_MM = centring_MM @ covariance_MM @ centring_MM + _UNKNOWN * same_MM
    kept_MM = np.linalg.inv(votes_MM / PRIOR_SD**2 + np.eye(len(part_M)))
    posterior_MM = votes_MM @ kept_MM
    return kept_MM @ centring_MM @ theta_M, (posterior_MM + posterior_MM.T) / 2


def _gains(theta_M: Floats, covariance_MM: Floats, matters_MM: Floats) -> Floats:
    gap_MM = theta_M[:, None] - theta_M[None, :]
    laplacian_MM = np.diag(matters_MM.sum(axis=1)) - matters_MM
    reduced_MM = _variance_of_differences(covariance_MM @ laplacian_MM @ covariance_MM)
    information_MM = expit(gap_MM) * expit(-gap_MM)
    gain_MM = information_MM * reduced_MM / (1 + information_MM * _variance_of_differences(covariance_MM))
    gain_MM = (gain_MM + gain_MM.T) / 2
    np.fill_diagonal(gain_MM, 0)
    return gain_MM


def _variance_of_differences(matrix_MM: Floats) -> Floats:
    diagonal_M = np.diag(matrix_MM)
    return np.maximum(diagonal_M[:, None] + diagonal_M[None, :] - 2 * matrix_MM, 0)


def _chance_of_the_best(theta_M: Floats, covariance_MM: Floats, top: int, seed: int) -> Floats:
    """The probability of each model to be among the best, never quite zero: nobody is given up."""
    values, vectors = np.linalg.eigh(covariance_MM)
    noise_RM = np.random.default_rng(seed).standard_normal((_DRAWS, len(theta_M)))
    drawn_RM = theta_M + noise_RM @ (vectors * np.sqrt(np.maximum(values, 0))).T
    edge_R = np.partition(drawn_RM, -top, axis=1)[:, -top]
    return ((drawn_RM >= edge_R[:, None]).sum(axis=0) + 0.5) / (_DRAWS + 1)


def _at_the_edge(theta_M: Floats, covariance_MM: Floats) -> Floats:
    """What a smaller variance of each difference adds to the chance that the pair is told apart."""
    variance_MM = np.maximum(_variance_of_differences(covariance_MM), _LEAST_VARIANCE)
    gap_MM = (theta_M[:, None] - theta_M[None, :]) / np.sqrt(variance_MM)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    drawn = np.abs(gap_MM[..., None] + nodes)
    density = np.exp(-0.5 * (drawn - _TOLD_APART) ** 2) * drawn
    matters_MM = (density @ (weights / weights.sum())) / variance_MM
    np.fill_diagonal(matters_MM, 0)
    return matters_MM


def _mixed(gain_MM: Floats, explore: float) -> Floats:
    even_MM = 1 - np.eye(len(gain_MM))
    even_MM /= np.triu(even_MM).sum()
    powered_MM = (gain_MM / max(gain_MM.max(), _LEAST)) ** _POWER
    total = np.triu(powered_MM).sum()
    return explore * even_MM + (1 - explore) * (powered_MM / total if total > 0 else even_MM)
