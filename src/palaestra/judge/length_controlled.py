"""Length-controlled win rates (Dubois, Galambosi, Liang and Hashimoto, 2024): what a judge would say at equal length.

The model, for model m against the baseline on instruction x, with y the judge's preference from 0 to 1:

    logit P(y) = a_m + l_m tanh((len_m,x - len_b,x) / sd_m) + d_m g_x

a_m is the model's strength, l_m what length earns it, sd_m the standard deviation of its differences of length, g_x the
difficulty of the instruction and d_m what difficulty does to the model. The length-controlled win rate leaves the
middle term out: the mean over instructions of sigma(a_m + d_m g_x).

What is estimated from what. The authors take g_x from a file of theirs, fit a, l, d model by model with an L1 penalty
chosen by cross-validation, and hold l and d with the answers of a verbose and a concise version of the baseline, at
0.2 of the weight. Neither the file nor those answers are public with the judgments, so here:

    1. g, a and l of all models together, with d_m = 1 and g_x ~ N(0, s²); s² is the one under which the judgments are
       likeliest (EM, with the normal approximation around the maximum of each g_x).
    2. a, l and d of each model, given g. l_m and d_m are drawn towards their means over the models, as strongly as
       `pull` times as many judgments as the model has would tell, at even odds: pull * sum of t_x² / 4 and of g_x² / 4.

The published sign of l is the other way round (baseline minus model). Not here: files and win rates (`alpaca.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from palaestra.stats.newton import one_thread

Floats = NDArray[np.float64]

FEWEST = 5
"""Models, below which difficulty cannot be told from luck and is left out: g = 0."""
_FLAT = 1e-3
"""The precision of a_m, and the least of l_m and d_m: keeps a model that never wins from running away."""
_CLOSE = 1e-7
_LEAST = 1e-12
_MOST = 500
_ROUND_STEPS = 3


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a judge said of M models on P instructions. Shapes (M, P)."""

    y_MP: Floats
    """Preference for the model, from 0 to 1; NaN where there is none."""
    t_MP: Floats
    """tanh of the standardised difference of length, model minus baseline; any number where there is no preference."""


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """The fitted model. `weights_M3` holds a, l and d; `win_rate_M` is from 0 to 1."""

    weights_M3: Floats
    difficulty_P: Floats
    variance: float
    """s², of difficulty over instructions; 0 where it is left out."""
    win_rate_M: Floats


def tanh_of_lengths(length_P: Floats, baseline_P: Floats) -> Floats:
    """Tanh of the difference of length in its standard deviations; zero where all differences are the same."""
    difference_P = np.asarray(length_P, dtype=float) - baseline_P
    spread = float(difference_P.std(ddof=1)) if len(difference_P) > 1 else 0.0
    return np.tanh(difference_P / spread) if spread > 0 else np.zeros_like(difference_P)


def fit_length_controlled(given: Preferences, *, pull: float = 0.2) -> LengthControlled:
    """The two steps above.

    Args:
        given: preferences of at least one model, each with at least one.
        pull: how strongly l and d are drawn to their means.
    """
    with one_thread():
        state = _start(given)
        even_P = np.ones(given.y_MP.shape[1])
        for _ in range(_MOST):
            before = state.packed()
            state = _joint_step(given, state, even_P)
            if np.max(np.abs(state.packed() - before)) < _CLOSE:
                break
        return _finish(given, state, even_P, pull)


def difficulty_given_weights(given: Preferences, weights_M3: Floats) -> LengthControlled:
    """Difficulty and win rates under weights that somebody else has fitted; s² by EM as above.

    Args:
        given: preferences.
        weights_M3: a, l and d, with our sign of l.
    """
    seen_MP = ~np.isnan(given.y_MP)
    a_M1, l_M1, d_M1 = weights_M3.T[:, :, None]
    g_P, variance = np.zeros(given.y_MP.shape[1]), 1.0
    for _ in range(_MOST):
        p_MP = expit(a_M1 + l_M1 * given.t_MP + d_M1 * g_P)
        score_P = np.where(seen_MP, d_M1 * (given.y_MP - p_MP), 0.0).sum(axis=0) - g_P / variance
        information_P = np.where(seen_MP, d_M1**2 * p_MP * (1 - p_MP), 0.0).sum(axis=0) + 1 / variance
        step_P = np.clip(score_P / information_P, -1, 1)
        g_P += step_P
        new = float((g_P**2 + 1 / information_P).mean())
        moved, variance = max(float(np.abs(step_P).max()), abs(new - variance)), new
        if moved < _CLOSE:
            break
    return LengthControlled(weights_M3, g_P, variance, expit(a_M1 + d_M1 * g_P).mean(axis=1))


def bootstrap_length_controlled(
    given: Preferences, fitted: LengthControlled, *, pull: float, rounds: int, seed: int
) -> Floats:
    """Win rates over resampled instructions, everything estimated anew in each round. Shape (R, M).

    Instructions are weighted with exponential weights (Rubin, 1981) instead of drawn; each round starts at the fit and
    takes Newton steps from there.
    """
    rng = np.random.default_rng(seed)
    start = _State.of(fitted)
    win_rate_RM = np.empty((rounds, len(given.y_MP)))
    with one_thread():
        for number in range(rounds):
            weight_P = rng.exponential(size=given.y_MP.shape[1])
            state = start
            for _ in range(_ROUND_STEPS):
                state = _joint_step(given, state, weight_P)
            win_rate_RM[number] = _finish(given, state, weight_P, pull, fitted.weights_M3).win_rate_M
    return win_rate_RM


def interval_of_rounds(win_rate_M: Floats, drawn_RM: Floats, confidence: float) -> Floats:
    """Ends of the intervals, shape (M, 2): normal on the scale of the logit, with the spread of the rounds there.

    In simulated worlds it covers the truth more often than the percentiles of the rounds do (docs/formats.md).
    """
    centre_M, drawn_RM = (logit(np.clip(rate, _LEAST, 1 - _LEAST)) for rate in (win_rate_M, drawn_RM))
    reach_M = ndtri((1 + confidence) / 2) * drawn_RM.std(axis=0)
    return expit(np.column_stack([centre_M - reach_M, centre_M + reach_M]))


@dataclass(frozen=True, slots=True)
class _State:
    """Of the first step: a and l, g, and s² (None: difficulty is left out)."""

    al_M2: Floats
    g_P: Floats
    variance: float | None

    @classmethod
    def of(cls, fitted: LengthControlled) -> _State:
        return cls(fitted.weights_M3[:, :2], fitted.difficulty_P, fitted.variance or None)

    def packed(self) -> Floats:
        return np.concatenate([self.al_M2.ravel(), self.g_P, [self.variance or 0.0]])


def _start(given: Preferences) -> _State:
    share_M = np.clip(np.nanmean(given.y_MP, axis=1), 0.01, 0.99)
    al_M2 = np.column_stack([np.log(share_M / (1 - share_M)), np.zeros(len(share_M))])
    return _State(al_M2, np.zeros(given.y_MP.shape[1]), 1.0 if len(share_M) >= FEWEST else None)


def _joint_step(given: Preferences, state: _State, weight_P: Floats) -> _State:
    """A Newton step in a, l and g together, halved until it does not fall, and one of EM in s²."""
    seen_MP = ~np.isnan(given.y_MP)
    x_M2P = np.stack([np.ones_like(given.t_MP), given.t_MP], axis=1)
    inverse = 1 / state.variance if state.variance else np.inf

    def objective(al_M2: Floats, g_P: Floats) -> float:
        eta_MP = al_M2[:, :1] + al_M2[:, 1:] * given.t_MP + g_P
        log_MP = np.where(seen_MP, given.y_MP * eta_MP - np.logaddexp(0, eta_MP), 0.0)
        apart = g_P**2 * inverse if state.variance else 0.0
        return float((weight_P * (log_MP.sum(axis=0) - apart / 2)).sum() - _FLAT * (al_M2**2).sum() / 2)

    p_MP = expit(state.al_M2[:, :1] + state.al_M2[:, 1:] * given.t_MP + state.g_P)
    rest_MP = np.where(seen_MP, given.y_MP - p_MP, 0.0)
    v_MP = np.where(seen_MP, p_MP * (1 - p_MP), 0.0)
    score_M2 = np.einsum("mfp,mp->mf", x_M2P, rest_MP * weight_P) - _FLAT * state.al_M2
    score_P = rest_MP.sum(axis=0) - (state.g_P * inverse if state.variance else 0.0)
    information_P = v_MP.sum(axis=0) + inverse
    step_M2, step_P = _solved(x_M2P, v_MP, weight_P, score_M2, score_P, information_P)
    was, size = objective(state.al_M2, state.g_P), 1.0
    while size > _CLOSE and objective(state.al_M2 + size * step_M2, state.g_P + size * step_P) < was:
        size /= 2
    g_P = state.g_P + size * step_P
    variance = float(np.average(g_P**2 + 1 / information_P, weights=weight_P)) if state.variance else None
    return _State(state.al_M2 + size * step_M2, g_P, variance)


def _solved(  # noqa: PLR0917 - the pieces of one linear system
    x_M2P: Floats,
    v_MP: Floats,
    weight_P: Floats,
    score_M2: Floats,
    score_P: Floats,
    information_P: Floats,
) -> tuple[Floats, Floats]:
    """The Newton step: g is eliminated, its information being diagonal (the Schur complement)."""
    models = len(v_MP)
    own_M22 = np.einsum("mfp,mp,mep->mfe", x_M2P, v_MP * weight_P, x_M2P) + _FLAT * np.eye(2)
    if np.isinf(information_P).all():
        return np.linalg.solve(own_M22, score_M2[:, :, None])[:, :, 0], np.zeros_like(score_P)
    cross_QP = (x_M2P * v_MP[:, None, :]).reshape(2 * models, -1)
    left_QQ = -(cross_QP * (weight_P / information_P)) @ cross_QP.T
    for m in range(models):
        left_QQ[2 * m : 2 * m + 2, 2 * m : 2 * m + 2] += own_M22[m]
    right_Q = score_M2.ravel() - cross_QP @ (weight_P * score_P / information_P)
    step_Q = np.linalg.solve(left_QQ, right_Q).astype(np.float64)
    return step_Q.reshape(models, 2), (score_P - step_Q @ cross_QP) / information_P


def _finish(
    given: Preferences, state: _State, weight_P: Floats, pull: float, start_M3: Floats | None = None
) -> LengthControlled:
    """The second step: a, l and d of each model, given g."""
    seen_MP = ~np.isnan(given.y_MP)
    models = len(seen_MP)
    x_M3P = np.stack([np.ones_like(given.t_MP), given.t_MP, np.broadcast_to(state.g_P, given.t_MP.shape)], axis=1)
    shared = (_quarter(given.t_MP, seen_MP), _quarter(x_M3P[:, 2], seen_MP))
    precision_3 = _FLAT + np.array([0.0, pull * shared[0], pull * shared[1]])
    b_M3 = np.column_stack([state.al_M2, np.ones(models)]) if start_M3 is None else start_M3
    for _ in range(_MOST if start_M3 is None else _ROUND_STEPS):
        mean_3 = np.array([0.0, b_M3[:, 1].mean(), b_M3[:, 2].mean() if state.variance else 0.0])
        new_M3 = _model_step(given, x_M3P, weight_P, precision_3, mean_3, b_M3)
        moved, b_M3 = float(np.abs(new_M3 - b_M3).max()), new_M3
        if moved < _CLOSE:
            break
    chance_MP = expit(b_M3[:, :1] + b_M3[:, 2:] * state.g_P)
    return LengthControlled(b_M3, state.g_P, state.variance or 0.0, np.average(chance_MP, axis=1, weights=weight_P))


def _model_step(  # noqa: PLR0917 - likewise
    given: Preferences, x_M3P: Floats, weight_P: Floats, precision_3: Floats, mean_3: Floats, b_M3: Floats
) -> Floats:
    """A Newton step of every model at once, each halved until it does not fall."""
    seen_MP = ~np.isnan(given.y_MP)

    def objective_M(b_M3: Floats) -> Floats:
        eta_MP = np.einsum("mf,mfp->mp", b_M3, x_M3P)
        log_MP = np.where(seen_MP, given.y_MP * eta_MP - np.logaddexp(0, eta_MP), 0.0)
        return log_MP @ weight_P - (precision_3 * (b_M3 - mean_3) ** 2).sum(axis=1) / 2

    p_MP = expit(np.einsum("mf,mfp->mp", b_M3, x_M3P))
    rest_MP = np.where(seen_MP, given.y_MP - p_MP, 0.0) * weight_P
    v_MP = np.where(seen_MP, p_MP * (1 - p_MP), 0.0) * weight_P
    score_M3 = np.einsum("mfp,mp->mf", x_M3P, rest_MP) - precision_3 * (b_M3 - mean_3)
    information_M33 = np.einsum("mfp,mp,mep->mfe", x_M3P, v_MP, x_M3P) + np.diag(precision_3)
    step_M3 = np.linalg.solve(information_M33, score_M3[:, :, None])[:, :, 0]
    was_M, size_M = objective_M(b_M3), np.ones(len(b_M3))
    while np.any(worse_M := (objective_M(b_M3 + size_M[:, None] * step_M3) < was_M) & (size_M > _CLOSE)):
        size_M[worse_M] /= 2
    return b_M3 + size_M[:, None] * step_M3


def _quarter(x_MP: Floats, seen_MP: NDArray[np.bool_]) -> float:
    """What a model's judgments would tell of the weight of x at even odds: a mean over the models."""
    return float(np.where(seen_MP, x_MP**2, 0.0).sum(axis=1).mean()) / 4
