"""Merging methods: one tensor of the merge, given that tensor of each model. Pure functions on tensors of torch.

With experts x_1 ... x_N, their weights w, the base x_0, changes d_i = x_i - x_0, and lambda the `scale`:

    linear            sum w_i x_i / sum w                                        Wortsman et al., Model soups (2022)
    slerp             along the great circle from one tensor to another          Shoemake (1985)
    task_arithmetic   x_0 + lambda sum w_i d_i                                   Ilharco et al. (2023)
    elected           x_0 + lambda times the weighted mean (or sum) of those d_i that have the sign of sum w_i d_i,
                      entry by entry                                             Yadav et al., TIES-Merging (2023)
    model_stock       t mean(x_i) + (1 - t) x_0, t = N c / (1 + (N - 1) c), c the mean cosine of two changes
                                                                                 Jang et al. (2024)
    karcher           the mean on the sphere of directions, times the mean norm  Karcher (1977)

TIES, DARE and DELLA are `task_arithmetic` or `elected` on changes of which `sparse.py` keeps a part. All but slerp and
karcher pass over the experts once and hold a fixed number of tensors, however many experts there are: hand them a
generator that reads. 16-bit tensors are computed in 32 bits; the result has 32, or 64 where the models have.

Not here: which tensors and weights (`recipe.py`), and models of different shapes, which nothing here can merge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.learn.backbone import libraries

Tensor = Any
"""Of torch; all tensors of a call have one shape."""

_PARALLEL = 0.9995
"""Above this cosine, slerp goes along the chord: the sine that it divides by is lost."""
_PIECE = 1 << 16
"""Numbers of each model at a time where products are summed in 64 bits."""


def linear(models: Iterable[Tensor], weights: Sequence[float], *, normalize: bool = True) -> Tensor:
    """The weighted mean; the sum, unless `normalize`. Model soups (Wortsman et al., 2022).

    Args:
        models: one tensor each, at least one.
        weights: one number each; their sum is not nought where it divides.
        normalize: whether the sum of weights divides.
    """
    total = _weighted_sum(models, weights)
    return total / sum(weights) if normalize else total


def slerp(first: Tensor, second: Tensor, t: float) -> Tensor:
    """The point at the share t of the way from one tensor to another, on the great circle (Shoemake, 1985).

    Directions that are nearly the same, or nearly opposite, are joined by the chord.
    """
    gram_NN = products([first, second])
    norms = np.sqrt(np.diag(gram_NN))
    cosine = float(np.clip(gram_NN[0, 1] / (norms.prod() or 1.0), -1.0, 1.0))
    if abs(cosine) > _PARALLEL:
        return linear([first, second], [1 - t, t], normalize=False)
    angle = math.acos(cosine)
    shares = [math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]
    return linear([first, second], shares, normalize=False)


def task_arithmetic(
    start: Tensor, changes: Iterable[Tensor], weights: Sequence[float], *, scale: float = 1.0, normalize: bool = False
) -> Tensor:
    """The base plus `scale` times the weighted sum of changes, divided by the sum of weights if `normalize`.

    Ilharco et al., Editing models with task arithmetic (2023), eq. 1.

    Args:
        start: the base's tensor.
        changes: of each expert: its tensor minus the base's, or what was kept of that.
        weights: one number each.
        scale: lambda.
        normalize: whether the sum of weights divides.
    """
    divisor = sum(weights) if normalize else 1.0
    return wide(start) + _weighted_sum(changes, weights) * (scale / (divisor or 1.0))


def elected(
    start: Tensor, changes: Iterable[Tensor], weights: Sequence[float], *, scale: float = 1.0, normalize: bool = True
) -> Tensor:
    """The base plus `scale` times what the elected changes say: TIES without its trimming (Yadav et al., 2023).

    Entry by entry, the sign of the weighted sum is elected (plus where the sum is nought), and only changes with that
    sign count: their weighted mean, or their sum unless `normalize`. Sums of both signs are kept side by side, so one
    pass is enough.

    Args:
        start: the base's tensor.
        changes: of each expert; noughts vote for nothing.
        weights: one number each.
        scale: lambda.
        normalize: whether the sum of weights divides.
    """
    torch, _ = libraries()
    start = wide(start)
    total, up = torch.zeros_like(start), torch.zeros_like(start)
    weight_up, weight_down = (torch.zeros_like(start) for _ in range(2))
    for change, weight in zip(changes, weights, strict=True):
        vote = wide(change) * weight
        total += vote
        weight_up.add_(vote > 0, alpha=weight)
        weight_down.add_(vote < 0, alpha=weight)
        up += vote.clamp_(min=0)
    plus = total >= 0
    mixed = torch.where(plus, up, total.sub_(up))
    if normalize:
        divisor = torch.where(plus, weight_up, weight_down)
        mixed /= divisor.masked_fill_(divisor == 0, 1)
    return mixed.mul_(scale).add_(start)


def model_stock(start: Tensor, experts: Iterable[Tensor]) -> Tensor:
    """Between base and experts' mean, nearer to the mean the more their changes agree (Jang et al., 2024).

    The mean cosine of two changes is found in one pass: the squared length of the sum of N unit vectors is N plus the
    sum of all cosines. An expert that did not change here is at a right angle to all. Where the ratio has no value
    (changes that oppose each other as much as N can), the base stays.

    Args:
        start: the base's tensor.
        experts: their tensors, at least two.
    """
    torch, _ = libraries()
    start = wide(start)
    total, units, count, moved = torch.zeros_like(start), torch.zeros_like(start), 0, 0
    for expert in experts:
        change = wide(expert) - start
        length = norm(change)
        count += 1
        total += change
        if length > 0:
            moved += 1
            units.add_(change, alpha=1 / length)
    cosine = max(-1.0, min((norm(units) ** 2 - moved) / (count * (count - 1)), 1.0))
    below = 1 + (count - 1) * cosine
    share = count * cosine / below if abs(below) > 1e-6 else 0.0  # noqa: PLR2004 - as good as nought
    return start + total * (share / count)


def karcher(
    models: Sequence[Tensor], weights: Sequence[float], *, iterations: int = 10, tolerance: float = 1e-5
) -> Tensor:
    """The Karcher mean of directions on the unit sphere, times the weighted mean of norms (Karcher, 1977).

    Each step goes along the mean of the logarithms of all directions at the mean so far. Mean and logarithms are
    combinations of the models' directions, so all steps are taken on their coefficients, with the products of each two
    directions in 64 bits; the tensors are touched twice.

    Args:
        models: their tensors.
        weights: one number each, not negative, not all nought.
        iterations: at most.
        tolerance: a step shorter than this, in radians, is the last.
    """
    gram_NN = products(models)
    norms_N = np.sqrt(np.diag(gram_NN))
    share_N = np.asarray(weights, dtype=float) / sum(weights)
    here = norms_N > tolerance
    if not here.any():
        return linear(models, [0.0] * len(norms_N), normalize=False)
    unit_N = np.where(here, 1 / np.where(here, norms_N, 1), 0)
    cosine_NN = gram_NN * unit_N[:, None] * unit_N
    within_N = np.where(here, share_N, 0)
    mean_N = _on_sphere(cosine_NN, within_N / within_N.sum(), iterations, tolerance)
    return linear(models, [float(c) for c in mean_N * unit_N * (share_N @ norms_N)], normalize=False)


def _on_sphere(
    cosine_NN: NDArray[np.float64], share_N: NDArray[np.float64], iterations: int, tolerance: float
) -> NDArray[np.float64]:
    """The coefficients of the Karcher mean of unit vectors, of which each two have these cosines."""

    def length(coefficient_N: NDArray[np.float64]) -> float:
        return math.sqrt(max(float(coefficient_N @ cosine_NN @ coefficient_N), 0.0))

    mean_N = share_N.copy()
    if length(mean_N) < tolerance:  # they cancel: begin at the first
        mean_N = np.eye(len(share_N))[int(np.argmax(share_N > 0))]
    mean_N /= length(mean_N)
    for _ in range(iterations):
        step_N = np.zeros_like(mean_N)
        for place in np.flatnonzero(share_N):
            away_N = -(mean_N @ cosine_NN[place]) * mean_N
            away_N[place] += 1  # the unit vector without its part along the mean
            sine = length(away_N)
            if sine > 0:
                step_N += share_N[place] * math.atan2(sine, float(mean_N @ cosine_NN[place])) / sine * away_N
        size = length(step_N)
        if size < tolerance:
            break
        mean_N = math.cos(size) * mean_N + math.sin(size) / size * step_N
        mean_N /= length(mean_N)
    return mean_N


def _weighted_sum(tensors: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    pairs = zip(tensors, weights, strict=True)
    tensor, weight = next(pairs)
    total = wide(tensor) * weight
    for tensor, weight in pairs:
        total.add_(wide(tensor), alpha=weight)
    return total


def products(tensors: Sequence[Tensor]) -> NDArray[np.float64]:
    """The inner product of each two tensors, shape (N, N), summed in 64 bits, a piece of each at a time."""
    torch, _ = libraries()
    flat = [tensor.reshape(-1) for tensor in tensors]
    total_NN = np.zeros((len(flat), len(flat)))
    for first in range(0, len(flat[0]), _PIECE):
        piece = torch.stack([tensor[first : first + _PIECE].double() for tensor in flat])
        total_NN += (piece @ piece.T).cpu().numpy()
    return total_NN


def norm(tensor: Tensor) -> float:
    """The length of a tensor as a vector."""
    return math.sqrt(float(products([tensor])[0, 0]))


def wide(tensor: Tensor) -> Tensor:
    """The tensor in the precision that is computed in: 64 bits where it has them, else 32."""
    torch, _ = libraries()
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
