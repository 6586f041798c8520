"""Which pair next: the one whose next vote takes most off the uncertainty that matters, with exact propensities.

What matters is the order at the top. A pair (i, j) matters as far as one of the two may belong to the best k (r, its
probability under the current estimate) and their order is open: w_ij = max(r_i, r_j) · 2 Φ(-|t_i - t_j| / s_ij). The
uncertainty is the sum of w_ij Var(t_i - t_j) / s_ij², an L-optimal design (Chaloner and Verdinelli, 1995) whose weights
follow what is known. A vote on (a, b) adds information h = p (1 - p) along z = e_a - e_b, which changes the covariance C to
C - C z z' C h / (1 + h z' C z) and takes off

    gain(a, b) = h z' C L C z / (1 + h z' C z),    L = the Laplacian of w_ij / s_ij²

for all pairs at once from one matrix C L C. A model with few votes has a large variance and comes first by itself; one without
a vote enters with the prior N(mean, `PRIOR_SD`²), that of models met for the first time.

Pairs are drawn with probability proportional to the gain's square, mixed with an even draw: `explore` of all draws, so that
no pair in service has a propensity below explore / pairs and inverse-propensity weights stay bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from palaestra.errors import InputError
from palaestra.ranking.compare import ELO
from palaestra.schema import Leaderboard

Floats = NDArray[np.float64]

PRIOR_SD = 1.0
"""Of a new model's strength, natural units: 174 Elo."""
_DRAWS = 1000
_POWER = 2


@dataclass(frozen=True, slots=True)
class PairPlan:
    """How the next pair is drawn.

    `probability_MM` is symmetric with a zero diagonal and sums to 2: each unordered pair has its propensity in both places.
    `gain_MM` is what one vote of a pair takes off the uncertainty.
    """

    names: tuple[str, ...]
    probability_MM: Floats
    gain_MM: Floats

    def best(self, count: int) -> list[tuple[str, str, float, float]]:
        """The pairs with the largest gain: names, gain as a share of the largest one, propensity."""
        first, second = np.triu_indices(len(self.names), 1)
        gain_P = self.gain_MM[first, second]
        most = max(float(gain_P.max(initial=0.0)), 1e-300)
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
    top: int = 10,
    explore: float = 0.1,
    seed: int = 0,
) -> PairPlan:
    """Probabilities of all pairs.

    Args:
        names: the models that may be drawn.
        theta_M: their strengths in natural units.
        covariance_MM: the covariance of these; infinite variance for a model that has no vote yet.
        top: how many of the best matter.
        explore: the share of draws that is even over all pairs.
        seed: of the simulation that says who may be among the best.

    Raises:
        InputError: fewer than two models, or a share outside 0 to 1.
    """
    if len(names) < 2:  # noqa: PLR2004 - a pair is two
        raise InputError(f"found {len(names)} models, expected at least two to make a pair")
    if not 0 <= explore <= 1:
        raise InputError(f"found explore = {explore}, expected a share from 0 to 1")
    theta_M, covariance_MM = _with_prior(np.asarray(theta_M, float), np.asarray(covariance_MM, float))
    spread_MM = _variance_of_differences(covariance_MM)
    gap_MM = theta_M[:, None] - theta_M[None, :]
    best_M = _chance_of_the_best(theta_M, covariance_MM, min(top, len(names)), seed)
    open_MM = 2 * ndtr(-np.abs(gap_MM) / np.sqrt(np.maximum(spread_MM, 1e-300)))
    weight_MM = np.maximum(best_M[:, None], best_M[None, :]) * open_MM / np.maximum(spread_MM, 1e-300)
    np.fill_diagonal(weight_MM, 0)
    laplacian_MM = np.diag(weight_MM.sum(axis=1)) - weight_MM
    reduced_MM = _variance_of_differences(covariance_MM @ laplacian_MM @ covariance_MM)
    p_MM = expit(gap_MM)
    h_MM = p_MM * (1 - p_MM)
    gain_MM = h_MM * reduced_MM / (1 + h_MM * spread_MM)
    gain_MM = (gain_MM + gain_MM.T) / 2
    np.fill_diagonal(gain_MM, 0)
    return PairPlan(tuple(names), _mixed(gain_MM, explore), gain_MM)


def plan_for_board(
    board: Leaderboard, in_service: Sequence[str] | None = None, *, top: int = 10, explore: float = 0.1
) -> PairPlan:
    """The plan that follows a board.

    Args:
        board: with its covariance.
        in_service: the models that may be drawn, also such as have no votes yet; those of the board if None.
        top: how many of the best matter.
        explore: the share of draws that is even over all pairs.

    Raises:
        InputError: fewer than two models are in service.
    """
    places = {line.model: place for place, line in enumerate(board.models)}
    names = list(places) if in_service is None else list(in_service)
    known = np.array([name in places for name in names], dtype=bool)
    at = [places[name] for name in names if name in places]
    theta_M, covariance_MM = np.zeros(len(names)), np.diag(np.full(len(names), np.inf))
    theta_M[known] = [board.models[place].rating / ELO for place in at]
    matrix = np.array(board.covariance).reshape(len(places), len(places))
    covariance_MM[np.ix_(known, known)] = matrix[np.ix_(at, at)] / ELO**2
    return plan_pairs(
        names, theta_M, covariance_MM, top=top, explore=explore, seed=int(board.settings.get("seed", 0) or 0)
    )


def pair_probabilities(board: Leaderboard, in_service: Sequence[str]) -> dict[tuple[str, str], float]:
    """The propensity of each unordered pair of the models in service, as an arena draws them; errors as above."""
    plan = plan_for_board(board, in_service)
    first, second = np.triu_indices(len(plan.names), 1)
    chances = plan.probability_MM[first, second].tolist()
    return {(plan.names[i], plan.names[j]): chance for i, j, chance in zip(first, second, chances, strict=True)}


def _with_prior(theta_M: Floats, covariance_MM: Floats) -> tuple[Floats, Floats]:
    """Models without a vote at the mean of the others, with the prior's variance."""
    new_M = ~np.isfinite(np.diag(covariance_MM))
    theta_M, covariance_MM = theta_M.copy(), covariance_MM.copy()
    theta_M[new_M] = theta_M[~new_M].mean() if (~new_M).any() else 0.0
    covariance_MM[new_M, :] = covariance_MM[:, new_M] = 0.0
    covariance_MM[new_M, new_M] = PRIOR_SD**2
    return theta_M, covariance_MM


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


def _mixed(gain_MM: Floats, explore: float) -> Floats:
    even_MM = 1 - np.eye(len(gain_MM))
    even_MM /= np.triu(even_MM).sum()
    powered_MM = (gain_MM / max(gain_MM.max(), 1e-300)) ** _POWER
    total = np.triu(powered_MM).sum()
    return explore * even_MM + (1 - explore) * (powered_MM / total if total > 0 else even_MM)
