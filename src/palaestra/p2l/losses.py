"""The losses of votes on tensors: what a language model with a head is trained on (`backbone.py`).

With d = beta_first - beta_second, all of shape (B,), outcomes 0 first wins, 1 second wins, 2 tie, 3 both bad:

    bradley-terry  -log sigmoid(d) or -log sigmoid(-d); a tie, or both bad, is half of each    Bradley and Terry (1952)
    rao-kupper     P(first) = sigmoid(d - eta), P(second) = sigmoid(-d - eta), the rest is a tie   Rao and Kupper (1967)
    grounded       P(first) = A / (A + theta B + 1), P(second) likewise, P(both bad) = 1 / (1 + A + B), the rest is a
                   tie; A = e^beta_first, B = e^beta_second, theta = 1 + e^s                       Frick et al. (2025)

The last is what the reference calls the loss of the "bag". Its tie is not taken as what the others leave, so
that no probability has to be clamped:

    P(tie) = e^s A B / (1 + A + B) * (1 / (A + theta B + 1) + 1 / (B + theta A + 1))

Not here: the same on strengths that are linear in a vector (`kernel.py`, compiled).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaestra.errors import MissingPartError
from palaestra.p2l.model import Kind

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_ETA = 1e-6


def vote_losses(kind: Kind, first_B: Tensor, second_B: Tensor, outcome_B: Tensor, raw_B: Tensor | None) -> Tensor:
    """The negative log-likelihood of each vote.

    Args:
        kind: the likelihood.
        first_B: the strength of the first side on the vote's prompt.
        second_B: that of the second.
        outcome_B: what the vote was.
        raw_B: the head's number for ties: eta = softplus(raw) for `rao-kupper`, s itself for `grounded`.
    """
    logs_BO = log_chances(kind, first_B, second_B, raw_B)
    if kind == "bradley-terry":
        score_B = (outcome_B == 0).to(logs_BO.dtype) + 0.5 * (outcome_B > 1).to(logs_BO.dtype)
        return -(score_B * logs_BO[:, 0] + (1 - score_B) * logs_BO[:, 1])
    known_B = outcome_B.long().clamp(max=logs_BO.shape[1] - 1)
    return -logs_BO.gather(1, known_B[:, None])[:, 0]


def log_chances(kind: Kind, first_B: Tensor, second_B: Tensor, raw_B: Tensor | None) -> Tensor:
    """The logarithms of the chances of all outcomes that the kind knows: two, three or four, shape (B, outcomes)."""
    torch = _torch()
    log_sigmoid = torch.nn.functional.logsigmoid
    d_B = first_B - second_B
    if kind == "bradley-terry":
        return torch.stack([log_sigmoid(d_B), log_sigmoid(-d_B)], dim=1)
    if raw_B is None:
        raise ValueError(f"found no parameter of ties, expected one: {kind} has it")
    if kind == "rao-kupper":
        eta_B = torch.nn.functional.softplus(raw_B) + _LEAST_ETA
        win_B, loss_B = log_sigmoid(d_B - eta_B), log_sigmoid(-d_B - eta_B)
        return torch.stack([win_B, loss_B, torch.log(torch.expm1(2 * eta_B)) + win_B + loss_B], dim=1)
    zero_B = torch.zeros_like(d_B)
    log_theta_B = torch.logaddexp(zero_B, raw_B)
    bad_B = -_log_sum(zero_B, first_B, second_B)
    of_first_B = _log_sum(first_B, log_theta_B + second_B, zero_B)
    of_second_B = _log_sum(second_B, log_theta_B + first_B, zero_B)
    tie_B = raw_B + first_B + second_B + bad_B + torch.logaddexp(-of_first_B, -of_second_B)
    return torch.stack([first_B - of_first_B, second_B - of_second_B, tie_B, bad_B], dim=1)


def _log_sum(*logs: Tensor) -> Tensor:
    torch = _torch()
    return torch.logsumexp(torch.stack(logs), dim=0)


def _torch():  # noqa: ANN202 - a module
    try:
        import torch
    except ImportError as error:
        raise MissingPartError(f"losses on tensors need {error.name}: pip install 'palaestra[learn]'") from error
    return torch
