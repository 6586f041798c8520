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

from palaestra.stats.newton import Maximum, solver, without_level
from palaestra.stats.passes import clustered_middle, sandwich_middle

Floats = NDArray[np.float64]


def model_covariance(maximum: Maximum) -> Floats:
    """The inverse of the information.

    Raises:
        numpy.linalg.LinAlgError: the information is not positive definite.
    """
    contrasts_QQ = without_level(maximum.problem, np.eye(len(maximum.information_QQ)))
    return _symmetric(solver(maximum.problem, maximum.information_QQ)(contrasts_QQ))


def sandwich_covariance(maximum: Maximum, cluster_B: NDArray[np.int32] | None = None) -> Floats:
    """The robust covariance, each vote by itself or clusters of votes together.

    Args:
        maximum: the fit.
        cluster_B: the cluster of each row of the fit, numbered from zero; one row must be one vote then.

    Raises:
        numpy.linalg.LinAlgError: the information is not positive definite.
    """
    inverse_QQ = model_covariance(maximum)
    return _symmetric(inverse_QQ @ middle(maximum, cluster_B) @ inverse_QQ)


def middle(maximum: Maximum, cluster_B: NDArray[np.int32] | None = None) -> Floats:
    """The middle of the sandwich at a maximum, shape (Q, Q)."""
    problem = maximum.problem
    if cluster_B is None:
        return sandwich_middle(problem.rows, problem.model, maximum.at)
    clusters = int(cluster_B.max()) + 1
    return clustered_middle(problem.rows, problem.model, maximum.at, cluster_B) * clusters / (clusters - 1)


def _symmetric(matrix_QQ: Floats) -> Floats:
    return (matrix_QQ + matrix_QQ.T) / 2
