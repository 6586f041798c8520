"""The likelihood of one vote under four models, with its first and second derivatives, compiled.

Model a has strength t_a, model b t_b; a vote sees the difference d = t_a - t_b + x·beta, the level c = (t_a + t_b) / 2
and at most one shape parameter s:

    BRADLEY_TERRY  P(a) = sigma(d); a tie, or both bad, is half a win for each          Bradley and Terry (1952)
    RAO_KUPPER     P(a) = sigma(d - s), P(b) = sigma(-d - s), the rest is a tie          Rao and Kupper (1967), s > 0
    DAVIDSON       P(a) : P(b) : P(tie) = e^(d/2) : e^(-d/2) : e^s                       Davidson (1970)
    GROUNDED       P(a) = A / (A + k B + 1), P(b) = B / (B + k A + 1), P(both bad) = 1 / (1 + A + B), the rest is a tie;
                   A = e^(c + d/2), B = e^(c - d/2), k = 1 + e^s                         Frick et al. (2025), grounded
                   RK

In the second and third, both bad counts as a tie. In the last one strength zero is where a usable answer begins.

The three first are concave in all their parameters; the last is not. Not here: sums over votes (`passes.py`).
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numba import njit

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


class VoteModel(IntEnum):
    """Which of the four models; the number is what the compiled code branches on."""

    BRADLEY_TERRY = 0
    RAO_KUPPER = 1
    DAVIDSON = 2
    GROUNDED = 3

    @property
    def shapes(self) -> int:
        """The number of shape parameters."""
        return 0 if self is VoteModel.BRADLEY_TERRY else 1

    @property
    def start(self) -> float:
        """Where the shape parameter begins."""
        return {VoteModel.RAO_KUPPER: 0.3, VoteModel.DAVIDSON: -0.5, VoteModel.GROUNDED: -0.5}.get(self, 0.0)


_BT, _RK, _DAVIDSON, _GROUNDED = (int(model) for model in VoteModel)


@njit(inline="always")
def exp_fast(x: float) -> float:
    """e^x to 14 digits, in arithmetic that a compiler turns into vectors (a call of libm is not)."""
    x = min(max(x, -700.0), 700.0)
    k = math.floor(x * LOG2_E + 0.5)
    r = x - k * LN2_HIGH - k * LN2_LOW
    p = 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@njit(inline="always")
def softplus_fast(x: float) -> float:
    """log(1 + e^x) to 12 digits, likewise: log(1 + u) = 2 atanh(u / (2 + u)) for u = e^-|x|, as a series."""
    u = exp_fast(-abs(x))
    z = u / (2.0 + u)
    y = z * z
    p = 1 / 25
    p = p * y + 1 / 23
    p = p * y + 1 / 21
    p = p * y + 1 / 19
    p = p * y + 1 / 17
    p = p * y + 1 / 15
    p = p * y + 1 / 13
    p = p * y + 1 / 11
    p = p * y + 1 / 9
    p = p * y + 1 / 7
    p = p * y + 1 / 5
    p = p * y + 1 / 3
    return max(x, 0.0) + 2.0 * z * (1.0 + y * p)


@njit(inline="always")
def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@njit(inline="always")
def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0  # noqa: PLR2004 - where e^-x leaves the doubles


@njit(cache=True)
def log_probability(model: int, outcome: int, d: float, c: float, s: float) -> float:
    """The natural logarithm of the probability of one outcome (of its half wins, for a tie under Bradley-Terry)."""
    if model == _BT:
        y = 1.0 if outcome == 0 else (0.0 if outcome == 1 else 0.5)
        return y * min(d, 0.0) + (1.0 - y) * min(-d, 0.0) - math.log1p(math.exp(-abs(d)))
    if model == _RK:
        if outcome == 0:
            return _log_sigmoid(d - s)
        if outcome == 1:
            return _log_sigmoid(-d - s)
        return math.log(math.expm1(2.0 * s)) + _log_sigmoid(d - s) + _log_sigmoid(-d - s)
    if model == _DAVIDSON:
        most = max(abs(d) / 2, s)
        total = most + math.log(math.exp(d / 2 - most) + math.exp(-d / 2 - most) + math.exp(s - most))
        return (d / 2 if outcome == 0 else (-d / 2 if outcome == 1 else s)) - total
    return math.log(max(_grounded_probability(outcome, d, c, s), 1e-300))


@njit(cache=True)
def _grounded_probability(outcome: int, d: float, c: float, s: float) -> float:
    a, b, k = math.exp(c + d / 2), math.exp(c - d / 2), 1.0 + math.exp(s)
    win_a, win_b, bad = a / (a + k * b + 1.0), b / (b + k * a + 1.0), 1.0 / (1.0 + a + b)
    if outcome == 0:
        return win_a
    if outcome == 1:
        return win_b
    return bad if outcome == 3 else 1.0 - win_a - win_b - bad  # noqa: PLR2004 - the codes of the outcomes


@njit(cache=True)
def outcome_probabilities(model: int, d: float, c: float, s: float) -> tuple[float, float, float, float]:
    """Of a win of a, of b, of a tie, of both bad; zero for outcomes that the model does not know.

    To Rao and Kupper and to Davidson both bad is a tie.
    """
    if model == _BT:
        win = _sigmoid(d)
        return win, 1.0 - win, 0.0, 0.0
    win, loss = math.exp(log_probability(model, 0, d, c, s)), math.exp(log_probability(model, 1, d, c, s))
    tie = math.exp(log_probability(model, 2, d, c, s))
    return win, loss, tie, math.exp(log_probability(model, 3, d, c, s)) if model == _GROUNDED else 0.0


@njit(cache=True)
def win_probability(model: int, d: float, c: float, s: float) -> float:
    """The expected score of model a: its chance to win, and half of the rest."""
    if model == _BT:
        return _sigmoid(d)
    win, loss = log_probability(model, 0, d, c, s), log_probability(model, 1, d, c, s)
    return 0.5 + 0.5 * (math.exp(win) - math.exp(loss))


@njit(inline="always")
def bradley_terry(outcome: int, d: float) -> tuple[float, float]:
    """Score and information of one vote in d."""
    p = 1.0 / (1.0 + exp_fast(-d))
    y = 1.0 if outcome == 0 else (0.0 if outcome == 1 else 0.5)
    return y - p, p * (1.0 - p)


@njit(inline="always")
def rao_kupper(outcome: int, d: float, s: float) -> tuple[float, float, float, float, float]:
    """Scores in d and s, information in dd, ds, ss."""
    p, q = 1.0 / (1.0 + exp_fast(s - d)), 1.0 / (1.0 + exp_fast(s + d))
    vp, vq = p * (1.0 - p), q * (1.0 - q)
    if outcome == 0:
        return 1.0 - p, p - 1.0, vp, -vp, vp
    if outcome == 1:
        return q - 1.0, q - 1.0, vq, vq, vq
    e = -math.expm1(-2.0 * s)
    return q - p, 2.0 / e - 2.0 + p + q, vp + vq, vq - vp, vp + vq + 4.0 * math.exp(-2.0 * s) / (e * e)


@njit(inline="always")
def davidson(outcome: int, d: float, s: float) -> tuple[float, float, float, float, float]:
    """Scores in d and s, information in dd, ds, ss."""
    most = max(abs(d) / 2, s)
    win, loss, tie = exp_fast(d / 2 - most), exp_fast(-d / 2 - most), exp_fast(s - most)
    total = win + loss + tie
    win, loss, tie = win / total, loss / total, tie / total
    lead = win - loss
    seen = 1.0 if outcome == 0 else (-1.0 if outcome == 1 else 0.0)
    tied = 1.0 if outcome > 1 else 0.0
    return (seen - lead) / 2, tied - tie, (win + loss - lead * lead) / 4, -lead * tie / 2, tie * (1.0 - tie)


@njit(cache=True)
def grounded(outcome: int, d: float, c: float, s: float) -> tuple[float, ...]:
    """Scores in d, c, s, information in dd, dc, ds, cc, cs, ss.

    Worked out in u = c + d/2 and v = c - d/2. Each of the three outcomes with a closed form is a ratio whose
    denominator
    is a sum of exponentials, so that the second derivatives of its logarithm are a covariance; the tie is what they
    leave.
    """
    k = 1.0 + math.exp(s)
    kappa = 1.0 - 1.0 / k
    a, b = math.exp(c + d / 2), math.exp(c - d / 2)
    win, loss, bad = 1.0 / (a + k * b + 1.0), 1.0 / (b + k * a + 1.0), 1.0 / (1.0 + a + b)
    log_win = _own_derivatives(a * win, k * b * win, kappa)
    log_loss = _swapped(_own_derivatives(b * loss, k * a * loss, kappa))
    s1, s2 = a * bad, b * bad
    log_bad = (-s1, -s2, 0.0, -s1 * (1.0 - s1), s1 * s2, 0.0, -s2 * (1.0 - s2), 0.0, 0.0)
    if outcome == 0:
        return _in_d_and_c(log_win)
    if outcome == 1:
        return _in_d_and_c(log_loss)
    if outcome == 3:  # noqa: PLR2004 - both bad
        return _in_d_and_c(log_bad)
    tie = max(1.0 - a * win - b * loss - bad, 1e-300)
    return _in_d_and_c(_of_the_rest(a * win / tie, log_win, b * loss / tie, log_loss, bad / tie, log_bad))


@njit(inline="always")
def _own_derivatives(q1: float, q2: float, kappa: float) -> tuple[float, ...]:
    """Of log(A / (A + k B + 1)): in u, v, s, then uu, uv, us, vv, vs, ss; q1, q2 are the shares of A and of k B."""
    v1, v2 = q1 * (1.0 - q1), q2 * (1.0 - q2)
    return (
        1.0 - q1, -q2, -kappa * q2, -v1, q1 * q2, kappa * q1 * q2, -v2, -kappa * v2,
        -kappa * kappa * v2 - kappa * (1.0 - kappa) * q2,
    )  # fmt: skip


@njit(inline="always")
def _swapped(g: tuple[float, ...]) -> tuple[float, ...]:
    """The same with u and v exchanged."""
    return (g[1], g[0], g[2], g[6], g[4], g[7], g[3], g[5], g[8])


@njit(inline="always")
def _of_the_rest(  # noqa: PLR0917 - compiled
    r1: float, f: tuple[float, ...], r2: float, g: tuple[float, ...], r3: float, h: tuple[float, ...]
) -> tuple[float, ...]:
    """Derivatives of log(1 - p1 - p2 - p3) from those of each log p; r is p over the rest."""
    u = -(r1 * f[0] + r2 * g[0] + r3 * h[0])
    v = -(r1 * f[1] + r2 * g[1] + r3 * h[1])
    s = -(r1 * f[2] + r2 * g[2] + r3 * h[2])
    uu = -(r1 * (f[3] + f[0] * f[0]) + r2 * (g[3] + g[0] * g[0]) + r3 * (h[3] + h[0] * h[0])) - u * u
    uv = -(r1 * (f[4] + f[0] * f[1]) + r2 * (g[4] + g[0] * g[1]) + r3 * (h[4] + h[0] * h[1])) - u * v
    us = -(r1 * (f[5] + f[0] * f[2]) + r2 * (g[5] + g[0] * g[2]) + r3 * (h[5] + h[0] * h[2])) - u * s
    vv = -(r1 * (f[6] + f[1] * f[1]) + r2 * (g[6] + g[1] * g[1]) + r3 * (h[6] + h[1] * h[1])) - v * v
    vs = -(r1 * (f[7] + f[1] * f[2]) + r2 * (g[7] + g[1] * g[2]) + r3 * (h[7] + h[1] * h[2])) - v * s
    ss = -(r1 * (f[8] + f[2] * f[2]) + r2 * (g[8] + g[2] * g[2]) + r3 * (h[8] + h[2] * h[2])) - s * s
    return (u, v, s, uu, uv, us, vv, vs, ss)


@njit(inline="always")
def _in_d_and_c(g: tuple[float, ...]) -> tuple[float, ...]:
    """From u, v, s to d, c, s, with the sign of the second derivatives turned: information."""
    return (
        (g[0] - g[1]) / 2, g[0] + g[1], g[2], -(g[3] - 2 * g[4] + g[6]) / 4, -(g[3] - g[6]) / 2, -(g[5] - g[7]) / 2,
        -(g[3] + 2 * g[4] + g[6]), -(g[5] + g[7]), -g[8],
    )  # fmt: skip
