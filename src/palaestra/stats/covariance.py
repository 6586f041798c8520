"""Covariances of the parameters at a maximum.

    model      I⁻¹                  right if every vote follows the model (Fisher, 1925)
    sandwich   I⁻¹ V I⁻¹            right whatever the votes follow (Huber, 1967; White, 1982); V sums over votes
    clustered  the same             V sums over clusters of votes that may depend on each other (Liang and Zeger, 1986),
                                    times G / (G - 1) for G clusters

All are covariances of contrasts: strengths are held at mean zero in each connected part (the grounded model's are
absolute). Shape (Q, Q), parameters as in `passes.py`, natural units squared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from palaestra.stats.newton import Maximum, solve, without_level
from palaestra.stats.passes import clustered_middle, sandwich_middle

Floats = NDArray[np.float64]


def model_covariance(maximum: Maximum) -> Floats:
    """The inverse of the information.

    Raises:
        numpy.linalg.LinAlgError: the information is not positive definite.
    """
    return _symmetric(solve(maximum.problem, maximum.information_QQ, _contrasts(maximum)))


def sandwich_covariance(maximum: Maximum, cluster_B: NDArray[np.int32] | None = None) -> Floats:
    """The robust covariance, each vote by itself or clusters of votes together.

    Args:
        maximum: the fit.
        cluster_B: the cluster of each row of the fit, numbered from zero; one row must be one vote then.

    Raises:
        numpy.linalg.LinAlgError: the information is not positive definite.
    """
    problem = maximum.problem
    if cluster_B is None:
        middle_QQ = sandwich_middle(problem.rows, problem.model, maximum.at)
    else:
        clusters = int(cluster_B.max()) + 1
        middle_QQ = clustered_middle(problem.rows, problem.model, maximum.at, cluster_B) * clusters / (clusters - 1)
    half_QQ = solve(problem, maximum.information_QQ, middle_QQ)
    return _symmetric(solve(problem, maximum.information_QQ, half_QQ.T))


def _contrasts(maximum: Maximum) -> Floats:
    """The identity, less the directions that are not determined."""
    return without_level(maximum.problem, np.eye(len(maximum.information_QQ)))


def _symmetric(matrix_QQ: Floats) -> Floats:
    return (matrix_QQ + matrix_QQ.T) / 2
