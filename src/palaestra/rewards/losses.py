"""What a reward is fitted by: how unlikely it makes the ranks that people gave. Torch functions of tensors, no more.

    bradley_terry   one reply is better             -log sigmoid(r_c - r_r - margin) + centring (r_c + r_r)^2
                    Bradley and Terry (1952); the margin of Touvron et al. (2023), the centring of Eisenstein et al.
                    (2023), both as in TRL
    rao_kupper      first, second or level          sigmoid(d - eta), sigmoid(-d - eta), the rest; d = r_1 - r_2
                    Rao and Kupper (1967)
    davidson        first, second or level          as exp r_1, exp r_2, exp(eta + (r_1 + r_2) / 2); Davidson (1970)
    plackett_luce   K replies in order              -sum_k [r_k - log sum_{j >= k} exp r_j]
                    Plackett (1975), Luce (1959); MLE_K of Zhu, Jiao and Jordan (2023), and Starling's
    pairwise_k      K replies in order              the mean of -log sigmoid(r_i - r_j) over the pairs
                    MLE_2 of the same; the loss of InstructGPT (Ouyang et al., 2022)

All are means over the comparisons (weighted ones where weights are given), on a scale of natural log-odds, and do not
change where a constant is added to all rewards of a comparison, `centring` left aside. With two replies of which one is
better, all five are Bradley-Terry (eta at its limit). `rank_BK` is 1 for the best, equal for level replies, and 0
where a comparison has fewer than K replies.

Not here: the arrays of a head's fit, which has its own Newton steps, and the trainer (`backbone_train.py`).
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

from palaestra.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MOST_LEVEL = 12
"""Level replies in one group of `plackett_luce`: the mean over their orders is a sum over their 2^n subsets."""


def bradley_terry(
    chosen_B: Tensor,
    rejected_B: Tensor,
    *,
    margin_B: Tensor | None = None,
    centring: float = 0.0,
    weight_B: Tensor | None = None,
) -> Tensor:
    """The loss of pairs of which one is better.

    Args:
        chosen_B: rewards of the better replies.
        rejected_B: rewards of the worse ones.
        margin_B: by how much each is better; a pair has to be told apart by that much more.
        centring: pulls the two rewards of a pair towards a mean of nought, so that scores of different fits compare.
        weight_B: of each pair.
    """
    from torch.nn.functional import logsigmoid

    difference_B = chosen_B - rejected_B
    loss_B = -logsigmoid(difference_B if margin_B is None else difference_B - margin_B)
    return _mean(loss_B + centring * (chosen_B + rejected_B) ** 2 if centring else loss_B, weight_B)


def rao_kupper(
    first_B: Tensor, second_B: Tensor, outcome_B: Tensor, eta: Tensor | float, *, weight_B: Tensor | None = None
) -> Tensor:
    """The loss of pairs of which one is better or none: two replies are told apart where they differ by eta.

    Args:
        first_B: rewards of the first replies.
        second_B: rewards of the second ones.
        outcome_B: 0 where the first is better, 1 where the second is, 2 where they are level.
        eta: the threshold, above 0; one number or one for each pair. At 0 nothing is level, and this is Bradley-Terry.
        weight_B: of each pair.
    """
    import torch
    from torch.nn.functional import logsigmoid

    eta = torch.as_tensor(eta, dtype=first_B.dtype, device=first_B.device)
    wins_B, losses_B = logsigmoid(first_B - second_B - eta), logsigmoid(second_B - first_B - eta)
    level_B = wins_B + losses_B + 2 * eta + torch.log(-torch.expm1(-2 * eta))
    return _mean(-_of_outcome((wins_B, losses_B, level_B), outcome_B), weight_B)


def davidson(
    first_B: Tensor, second_B: Tensor, outcome_B: Tensor, eta: Tensor | float, *, weight_B: Tensor | None = None
) -> Tensor:
    """The loss of pairs of which one is better or none: being level is a third outcome, as strong as their mean.

    Args:
        first_B: rewards of the first replies.
        second_B: rewards of the second ones.
        outcome_B: 0 where the first is better, 1 where the second is, 2 where they are level.
        eta: the log of Davidson's nu, any number; far below 0 nothing is level, and this is Bradley-Terry.
        weight_B: of each pair.
    """
    import torch

    level_B = torch.as_tensor(eta, dtype=first_B.dtype, device=first_B.device) + (first_B + second_B) / 2
    log_chance_BO = torch.stack((first_B, second_B, level_B), dim=-1).log_softmax(dim=-1)
    return _mean(-_of_outcome(log_chance_BO.unbind(dim=-1), outcome_B), weight_B)


def plackett_luce(
    reward_BK: Tensor, rank_BK: Tensor, *, top: int | None = None, weight_B: Tensor | None = None
) -> Tensor:
    """The loss of K replies in order: the best is chosen of all, the second of those that are left, and so on.

    Level replies count with the mean of the losses over all orders of theirs: least where their rewards are equal. That
    mean is exact. After j of a group of n level replies are placed, each n - j of them are left equally often, so that
    it is a sum over subsets and not over orders.

    Args:
        reward_BK: rewards of the replies.
        rank_BK: their ranks; 0 where there is no reply.
        top: how many choices count, from the best; all if left out.
        weight_B: of each comparison.

    Raises:
        InputError: more than 12 replies of a comparison are level.
    """
    import torch

    absent_BK = rank_BK == 0
    order_BK = torch.where(absent_BK, rank_BK.max() + 1, rank_BK).argsort(dim=-1, stable=True)
    rank_BK = rank_BK.gather(-1, order_BK)
    nothing = torch.finfo(reward_BK.dtype).min / 4  # finite, so that what is not there has a gradient, which is 0
    reward_BK = torch.where(absent_BK, nothing, reward_BK).gather(-1, order_BK)
    loss_B = torch.zeros_like(reward_BK[:, 0])
    for start, size, rows in _groups(rank_BK):
        stages = size if top is None else min(size, top - start)
        if stages > 0:
            loss_B = loss_B.index_add(0, rows, _group_loss(reward_BK[rows], start, size, stages))
    return _mean(loss_B, weight_B)


def pairwise_k(reward_BK: Tensor, rank_BK: Tensor, *, weight_B: Tensor | None = None) -> Tensor:
    """The loss of K replies in order, pair by pair: each pair of a comparison counts alike, and each comparison too.

    Level replies count as half a win of each. K - 1 pairs share each reply, so they say less than as many pairs of
    different prompts; that is why a comparison counts once.

    Args:
        reward_BK: rewards of the replies.
        rank_BK: their ranks; 0 where there is no reply.
        weight_B: of each comparison.
    """
    import torch
    from torch.nn.functional import logsigmoid

    first, second = torch.triu_indices(*[reward_BK.shape[1]] * 2, offset=1, device=reward_BK.device)
    there_BQ = (rank_BK[:, first] > 0) & (rank_BK[:, second] > 0)
    worse_BQ = (rank_BK[:, second] - rank_BK[:, first]).sign()
    won_BQ = (1 + worse_BQ.to(reward_BK.dtype)) / 2
    difference_BQ = torch.where(there_BQ, reward_BK[:, first] - reward_BK[:, second], 0.0)
    loss_BQ = -won_BQ * logsigmoid(difference_BQ) - (1 - won_BQ) * logsigmoid(-difference_BQ)
    return _mean((loss_BQ * there_BQ).sum(dim=-1) / there_BQ.sum(dim=-1).clamp(min=1), weight_B)


def _mean(loss_B: Tensor, weight_B: Tensor | None) -> Tensor:
    return loss_B.mean() if weight_B is None else (weight_B * loss_B).sum() / weight_B.sum()


def _of_outcome(log_chance: tuple[Tensor, ...], outcome_B: Tensor) -> Tensor:
    import torch

    return torch.stack(torch.broadcast_tensors(*log_chance), dim=-1).gather(-1, outcome_B.long()[:, None])[:, 0]


def _groups(rank_BK: Tensor) -> list[tuple[int, int, Tensor]]:
    """Groups of level replies of sorted ranks: where one starts, how many they are, and which rows have it."""
    import torch

    found: dict[tuple[int, int], list[int]] = {}
    for row, ranks in enumerate(rank_BK.tolist()):
        place = 0
        while place < len(ranks) and ranks[place] > 0:
            size = sum(1 for rank in ranks[place:] if rank == ranks[place])
            found.setdefault((place, size), []).append(row)
            place += size
    if (most := max((size for _, size in found), default=0)) > MOST_LEVEL:
        raise InputError(
            f"found {most} level replies of one prompt, expected at most {MOST_LEVEL} for the Plackett-Luce loss; take "
            "the pairwise loss"
        )
    return [(start, size, torch.tensor(rows, device=rank_BK.device)) for (start, size), rows in found.items()]


def _group_loss(reward_NK: Tensor, start: int, size: int, stages: int) -> Tensor:
    """What the choices of one group of level replies cost, in the mean over the orders of the group."""
    import torch

    group_NG = reward_NK[:, start : start + size]
    loss_N = -stages * group_NG.mean(dim=-1)
    for left in range(size, size - stages, -1):
        left_NSG = group_NG[:, torch.tensor(_subsets(size, left), device=reward_NK.device)]
        log_sum_NS = left_NSG.logsumexp(dim=-1)
        if start + size < reward_NK.shape[1]:
            log_sum_NS = torch.logaddexp(log_sum_NS, reward_NK[:, start + size :].logsumexp(dim=-1, keepdim=True))
        loss_N = loss_N + log_sum_NS.mean(dim=-1)
    return loss_N


@cache
def _subsets(size: int, left: int) -> list[tuple[int, ...]]:
    return list(combinations(range(size), left))
