"""A joint normal law of a few columns with holes, fitted to few rows: shrunk, with measurement noise, and left-one-out.

Row i holds x_i ~ N(mu, Sigma), of which some cells are seen, each with a known noise variance d:

    y_ik = x_ik + e_ik,   e_ik ~ N(0, d_ik)
    Sigma ~ inverse Wishart, worth `strength` rows of the target T;   mu flat

mu and Sigma are at the mode of their posterior, found by expectation and maximisation (Dempster, Laird and Rubin,
1977; holes as in Little and Rubin, *Statistical analysis with missing data*): a hole is integrated out, never filled
in. T has unit variances and one common correlation, with the signs that the data show (after Ledoit and Wolf, 2004,
*Honey, I shrunk the sample covariance matrix*; weight and correlation are fixed beforehand, see docs/log.md).

Not here: what the columns are, and in which units; they come with mean 0 and variance 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS, _CLOSE = 200, 1e-4
_LEAST_VARIANCE = 1e-8
_LEAST_FREEDOM = 3.0
_CALIBRATION = 10.0
"""So many rows speak for a spread as the model says it, before the left-out rows do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Standardised cells, NaN where there is none, and the variance of their noise. Column 0 is what is foretold."""

    value_MK: Floats
    noise_MK: Floats

    @property
    def seen_MK(self) -> NDArray[np.bool_]:
        """Which cells there are."""
        return np.isfinite(self.value_MK)


@dataclass(frozen=True, slots=True)
class StudentT:
    """Predictive laws, one for each row: Student's t with location, scale and degrees of freedom."""

    location_N: Floats
    scale_N: Floats
    freedom_N: Floats


@dataclass(frozen=True, slots=True)
class JointNormal:
    """A fitted law. `inflation` is by how much left-out rows lay further off than the model says, as a factor."""

    mean_K: Floats
    covariance_KK: Floats
    strength: float
    """The prior's worth in rows."""
    rows_K: Floats
    """In how many rows a column is seen together with column 0."""
    inflation: float
    left_out: StudentT
    """Of each fitted row, column 0 as foretold without the row."""

    def predict(self, new: Table) -> tuple[StudentT, Floats]:
        """Column 0 of new rows, of which it is not looked at; and the coefficients of the cells that were.

        The scale grows with the distance from what was seen: scale² = v (1 + 1/n + d' S^-1 d / (n + strength)), v the
        conditional variance, d the distance from the mean, n the rows behind the cells, by their coefficients.
        """
        mean_NK = np.broadcast_to(self.mean_K, new.value_MK.shape)
        covariance_NKK = np.broadcast_to(self.covariance_KK, (*new.value_MK.shape, len(self.mean_K)))
        law, coefficient_NK = _conditional(new, mean_NK, covariance_NKK, self.rows_K, self.strength)
        return StudentT(law.location_N, law.scale_N * self.inflation, law.freedom_N), coefficient_NK


def fit_joint_normal(
    table: Table, strength: float = 1.0, correlation: float = 0.6, apart_K: NDArray[np.bool_] | None = None
) -> JointNormal:
    """Fit the law.

    Args:
        table: rows by columns; column 0 is seen in each row.
        strength: what the prior is worth, in rows for each column.
        correlation: of any two columns in the prior's target.
        apart_K: columns of which the prior expects no correlation with any other; none if left out.
    """
    prior_rows = strength * table.value_MK.shape[1]
    target_KK = _target(table, correlation, apart_K)
    mean_K, covariance_KK = np.zeros(len(target_KK)), target_KK
    for _ in range(_STEPS):
        moment_MK, spread_MKK = _expected(table, mean_K, covariance_KK)
        next_K = moment_MK.mean(axis=0)
        off_MK = moment_MK - next_K
        scatter_KK = spread_MKK.sum(axis=0) + off_MK.T @ off_MK
        next_KK = (prior_rows * target_KK + scatter_KK) / (prior_rows + len(moment_MK))
        moved = max(np.abs(next_KK - covariance_KK).max(), np.abs(next_K - mean_K).max())
        mean_K, covariance_KK = next_K, next_KK
        if moved < _CLOSE:
            break
    left_out = _left_out(table, mean_K, covariance_KK, prior_rows * target_KK, prior_rows)
    rows_K = table.seen_MK.sum(axis=0).astype(float)
    return JointNormal(mean_K, covariance_KK, prior_rows, rows_K, _inflation(table, left_out), left_out)


def _target(table: Table, correlation: float, apart_K: NDArray[np.bool_] | None) -> Floats:
    """Unit variances and one correlation, with the sign that each column has with column 0; none for those apart."""
    value_MK, first_M = np.where(table.seen_MK, table.value_MK, 0.0), table.value_MK[:, :1]
    sign_K = np.where((value_MK * (first_M - first_M.mean())).sum(axis=0) < 0, -1.0, 1.0)
    sign_K = sign_K if apart_K is None else np.where(apart_K, 0.0, sign_K)
    return np.where(np.eye(len(sign_K)) > 0, 1.0, correlation * np.outer(sign_K, sign_K))


def _gains(table: Table, covariance_MKK: Floats) -> tuple[Floats, Floats]:
    """Covariances of what is seen with everything, and what solves for them."""
    seen_MK = table.seen_MK
    pair_MKK = seen_MK[:, :, None] & seen_MK[:, None, :]
    own_MK = np.where(seen_MK, table.noise_MK, 1.0)
    system_MKK = np.where(pair_MKK, covariance_MKK, 0.0) + own_MK[:, :, None] * np.eye(seen_MK.shape[1])
    cross_MKK = np.where(seen_MK[:, :, None], covariance_MKK, 0.0)
    return cross_MKK, np.linalg.solve(system_MKK, cross_MKK)


def _expected(table: Table, mean_K: Floats, covariance_KK: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of each row without noise and holes, given what is seen of it."""
    shape = (*table.value_MK.shape, len(mean_K))
    cross_MKK, gain_MKK = _gains(table, np.broadcast_to(covariance_KK, shape))
    off_MK = np.where(table.seen_MK, table.value_MK - mean_K, 0.0)
    moment_MK = mean_K + np.einsum("mjk,mj->mk", gain_MKK, off_MK)
    spread_MKK = covariance_KK - np.matmul(cross_MKK.transpose(0, 2, 1), gain_MKK)
    return moment_MK, (spread_MKK + spread_MKK.transpose(0, 2, 1)) / 2  # else rounding errors grow from step to step


def _conditional(
    table: Table, mean_NK: Floats, covariance_NKK: Floats, rows_K: Floats, strength: float
) -> tuple[StudentT, Floats]:
    """Column 0 given the other seen cells of each row, under that row's own mean and covariance."""
    hidden = Table(table.value_MK.copy(), table.noise_MK)
    hidden.value_MK[:, 0] = np.nan
    cross_NKK, gain_NKK = _gains(hidden, covariance_NKK)
    off_NK = np.where(hidden.seen_MK, hidden.value_MK - mean_NK, 0.0)
    coefficient_NK = gain_NKK[:, :, 0]
    location_N = mean_NK[:, 0] + (coefficient_NK * off_NK).sum(axis=1)
    variance_N = covariance_NKK[:, 0, 0] - (cross_NKK[:, :, 0] * coefficient_NK).sum(axis=1)
    rows_N = _rows_behind(coefficient_NK, rows_K)
    leverage_N = _distance(hidden, off_NK, covariance_NKK) / (rows_N + strength) + 1 / rows_N
    scale_N = np.sqrt(np.maximum(variance_N, _LEAST_VARIANCE) * (1 + leverage_N))
    return StudentT(location_N, scale_N, np.maximum(rows_N + strength - 1, _LEAST_FREEDOM)), coefficient_NK


def _rows_behind(coefficient_NK: Floats, rows_K: Floats) -> Floats:
    """How many rows stand behind a prediction: those of its cells, by the size of their coefficients."""
    size_NK = np.abs(coefficient_NK)
    total_N = size_NK.sum(axis=1)
    mean_N = (size_NK * rows_K).sum(axis=1) / np.where(total_N > 0, total_N, 1.0)
    return np.maximum(np.where(total_N > 0, mean_N, rows_K[0]), 1.0)


def _distance(table: Table, off_NK: Floats, covariance_NKK: Floats) -> Floats:
    """Squared Mahalanobis distance of what is seen from the mean."""
    seen_NK = table.seen_MK
    own_NK = np.where(seen_NK, table.noise_MK, 1.0)
    pair_NKK = seen_NK[:, :, None] & seen_NK[:, None, :]
    system_NKK = np.where(pair_NKK, covariance_NKK, 0.0) + own_NK[:, :, None] * np.eye(seen_NK.shape[1])
    return (off_NK * np.linalg.solve(system_NKK, off_NK[:, :, None])[:, :, 0]).sum(axis=1)


def _left_out(table: Table, mean_K: Floats, covariance_KK: Floats, prior_KK: Floats, strength: float) -> StudentT:
    """Each row as foretold by the sums of the others: the row's own share is taken out of mean and covariance."""
    moment_MK, spread_MKK = _expected(table, mean_K, covariance_KK)
    rows, middle_K = len(moment_MK), moment_MK.mean(axis=0)
    off_MK = moment_MK - middle_K
    outer_MKK = off_MK[:, :, None] * off_MK[:, None, :]
    whole_KK = prior_KK + (spread_MKK + outer_MKK).sum(axis=0)
    covariance_MKK = (whole_KK - spread_MKK - rows / (rows - 1) * outer_MKK) / (strength + rows - 1)
    rows_K = np.maximum(table.seen_MK.sum(axis=0) - 1.0, 1.0)
    return _conditional(table, middle_K - off_MK / (rows - 1), covariance_MKK, rows_K, strength)[0]


def _inflation(table: Table, left_out: StudentT) -> float:
    """The factor by which the left-out rows ask for a wider, or narrower, scale."""
    expected_M = left_out.freedom_N / (left_out.freedom_N - 2)
    noise_M = table.noise_MK[:, 0]
    squared_M = (table.value_MK[:, 0] - left_out.location_N) ** 2
    share_M = squared_M / (left_out.scale_N**2 * expected_M + noise_M)
    return float(np.sqrt((_CALIBRATION + share_M.sum()) / (_CALIBRATION + len(share_M))))
