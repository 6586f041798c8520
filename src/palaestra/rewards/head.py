"""The head: a reward that is linear in vectors of prompt and reply and in columns of style.

    reward(x, y) = w . phi(x, y) + b . style(y)

w and b maximise the likelihood of the preferences less ridge / 2 times |w|^2 for each preference. On style falls only a
ridge that takes off about half a per cent, and without which a column that separates the pairs would have no maximum.
Columns of phi are scaled to differ by one, in the mean, among replies to the same prompt, and made orthogonal to style
(`style.py`). With an infinite ridge the reward is style alone, so that the choice can fall back on that.

The maximum is the same in any basis of the features. L-BFGS (Liu and Nocedal, 1989) looks for it in that of their
covariance, with each direction scaled by its share of the curvature: a dozen steps instead of hundreds, and directions
in which no two replies differ are never looked at.

Not here: which ridge (`cross_fit.py`), intervals (`ensemble.py`), and what makes the vectors (`vectors.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize

from palaestra.errors import InputError
from palaestra.rewards.comparisons import Comparisons, Floats
from palaestra.rewards.likelihood import Likelihood, has_shape
from palaestra.rewards.style import StyleColumns, foretold

_CURVATURE = 0.2
"""About the second derivative of a loss by the difference of two rewards."""
_ON_STYLE = 1e-3
"""Ridge on a column of style, for a standard deviation of it."""
_NOTHING = 1e-9
"""Directions with a smaller share of the largest variance hold rounding errors."""
_MOST_STEPS = 500
_EXACT, _NEAR = {"ftol": 1e-14, "gtol": 1e-7}, {"ftol": 1e-7, "gtol": 1e-5}


@dataclass(frozen=True, slots=True)
class Design:
    """Columns in which rewards are linear: S of style, then K directions of features, all without a mean.

    `to_raw` of a coefficient gives weights on the features and the style columns as they come.
    """

    column_NC: Floats
    style: StyleColumns
    basis_DK: Floats
    variance_K: Floats
    """Mean square, over preferences, of what replies differ by in each direction."""
    style_variance_S: Floats
    on_style_SD: Floats
    """What style foretells of the features, and the style that is left out of the style that stays."""
    among_style_SS: Floats

    @property
    def styles(self) -> int:
        """The number of columns of style."""
        return len(self.style.names)

    def to_raw(self, coefficient_C: Floats, *, with_style: bool | None = None) -> tuple[Floats, Floats]:
        """Weights on the raw features, shape (D,), and on the raw style columns, shape (S,).

        Args:
            coefficient_C: of the columns.
            with_style: whether the columns of style count: all, none, or those that are not left out.
        """
        style_S = coefficient_C[: self.styles].copy()
        style_S[: {True: 0, False: self.styles, None: self.style.left_out}[with_style]] = 0.0
        weight_D = self.basis_DK @ coefficient_C[self.styles :]
        return weight_D, self.among_style_SS @ style_S - self.on_style_SD @ weight_D


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of a design's columns, the shape of the likelihood, and the ridge that they were found with."""

    coefficient_C: Floats
    shape: float
    ridge: float

    def reward(self, design: Design, *, with_style: bool | None = None) -> Floats:
        """Rewards of the design's replies; style as in `Design.to_raw`."""
        coefficient_C = self.coefficient_C.copy()
        out = {True: 0, False: design.styles, None: design.style.left_out}[with_style]
        coefficient_C[:out] = 0.0
        return design.column_NC @ coefficient_C


def designed(feature_ND: Floats, style: StyleColumns, comparisons: Comparisons, name: str) -> Design:
    """The columns of features and style.

    Args:
        feature_ND: a vector for each reply.
        style: the columns of style.
        comparisons: who replied to the same prompt.
        name: what made the vectors, for messages.

    Raises:
        InputError: a vector has something else than numbers, or no two replies to one prompt differ in any.
    """
    if bad := int((~np.isfinite(feature_ND).all(axis=1)).sum()):
        raise InputError(
            f"found {bad} of {len(feature_ND)} vectors of {name} with NaN or infinity, expected numbers; "
            "take other --features"
        )
    raw_ND = feature_ND - feature_ND.mean(axis=0)
    style_NS = style.value_NS - style.value_NS.mean(axis=0)
    among_SS = _sequential(style_NS, style.left_out, comparisons)
    on_SD = foretold(style_NS, raw_ND, comparisons)
    rest_ND = raw_ND - style_NS @ on_SD
    basis_DK, variance_K = _directions(comparisons.centred(rest_ND), len(comparisons.weight_Q), name)
    style_NS = style_NS @ among_SS
    return Design(
        column_NC=np.concatenate([style_NS, rest_ND @ basis_DK], axis=1),
        style=style,
        basis_DK=basis_DK,
        variance_K=variance_K,
        style_variance_S=(comparisons.centred(style_NS) ** 2).sum(axis=0) / len(comparisons.weight_Q),
        on_style_SD=on_SD,
        among_style_SS=among_SS,
    )


def _sequential(style_NS: Floats, left_out: int, comparisons: Comparisons) -> Floats:
    """What turns style columns into those of the design: those that stay lose what the left out ones foretell."""
    matrix_SS = np.eye(style_NS.shape[1])
    if 0 < left_out < style_NS.shape[1]:
        matrix_SS[:left_out, left_out:] = -foretold(style_NS[:, :left_out], style_NS[:, left_out:], comparisons)
    return matrix_SS


def _directions(centred_ND: Floats, preferences: int, name: str) -> tuple[Floats, Floats]:
    """A basis in which the scaled features are uncorrelated among replies to one prompt, and the variances in it."""
    scale_D = np.sqrt((centred_ND**2).sum(axis=0) / preferences)
    told_D = scale_D > _NOTHING * max(float(scale_D.max(initial=0.0)), 1e-300)
    if not told_D.any():
        raise InputError(
            f"found the same vector of {name} for all replies to each prompt, expected features that tell them apart"
        )
    factor_D = np.where(told_D, 1 / np.where(told_D, scale_D, 1.0), 0.0)
    scaled_ND = centred_ND * factor_D
    variance_D, vector_DD = eigh(scaled_ND.T @ scaled_ND / preferences)
    kept = variance_D > _NOTHING * variance_D[-1]
    return factor_D[:, None] * vector_DD[:, kept], variance_D[kept]


def fit_path(
    likelihood: Likelihood,
    design: Design,
    ridges: Iterable[float],
    weight_Q: Floats,
    *,
    start: Fit | None = None,
    exact: bool = True,
) -> list[Fit]:
    """Fits under several ridges, each from the one before: the largest first is the fastest.

    Args:
        likelihood: of the preferences.
        design: the columns.
        ridges: above zero; infinity is style alone.
        weight_Q: what each preference counts; zero leaves it out.
        start: where to begin.
        exact: to rounding errors; else until the loss moves by less than its ten-millionth, to choose among ridges.

    Raises:
        InputError: a loss is no number.
    """
    found: list[Fit] = []
    at = start or Fit(np.zeros(design.column_NC.shape[1]), likelihood.start, np.inf)
    for ridge in ridges:
        at = _fit(likelihood, design, ridge, weight_Q, start=at, ends=_EXACT if exact else _NEAR)
        found.append(at)
    return found


def _fit(
    likelihood: Likelihood, design: Design, ridge: float, weight_Q: Floats, *, start: Fit, ends: dict[str, float]
) -> Fit:
    """The maximum under one ridge."""
    free = design.styles if np.isinf(ridge) else design.column_NC.shape[1]
    shaped = has_shape(likelihood.law)
    column_NC = design.column_NC[:, :free]
    penalty_C = np.r_[
        _ON_STYLE * design.style_variance_S, np.full(free - design.styles, 0.0 if np.isinf(ridge) else ridge)
    ]
    variance_C = np.r_[design.style_variance_S, design.variance_K][:free]
    scale_C = 1 / np.sqrt(_CURVATURE * variance_C + penalty_C)
    part_Q = weight_Q / weight_Q.sum()
    part_N = part_Q[likelihood.comparisons.of_N]

    def lost(at: Floats) -> tuple[float, Floats]:
        coefficient_C = at[:free] * scale_C
        losses = likelihood(column_NC @ coefficient_C, float(at[-1]) if shaped else 0.0)
        value = float(part_Q @ losses.loss_Q + penalty_C @ coefficient_C**2 / 2)
        by_C = (column_NC.T @ (part_N * losses.by_reward_N) + penalty_C * coefficient_C) * scale_C
        return value, np.r_[by_C, part_Q @ losses.by_shape_Q] if shaped else by_C

    begin = start.coefficient_C[:free] / scale_C
    begin = np.r_[begin, start.shape] if shaped else begin
    if not len(begin):
        return Fit(np.zeros_like(start.coefficient_C), start.shape, ridge)
    found = minimize(lost, begin, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS, **ends})
    if not np.isfinite(found.fun):
        raise InputError(
            f"found a loss of {found.fun} with the ridge {ridge:g}, expected a number; give a larger --ridge"
        )
    whole_C = np.zeros_like(start.coefficient_C)
    whole_C[:free] = found.x[:free] * scale_C
    return Fit(whole_C, float(found.x[-1]) if shaped else start.shape, ridge)
