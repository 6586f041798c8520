r"""How far a student's next token is from a teacher's, position by position: the losses of distillation, on tensors.

    reverse   KL(student || teacher) = sum_v pi (log pi - log p)        seeks a mode (Gu et al., MiniLLM, 2024)
    forward   KL(teacher || student) = sum_v p (log p - log pi)         covers (Hinton et al., 2015)
    jensen-shannon   beta KL(p || m) + (1 - beta) KL(pi || m), m = beta p + (1 - beta) pi   (Agarwal et al., GKD, 2024)
    sampled   reverse KL by the sampled token alone: log p - log pi is its advantage, and no gradient flows through it

Where a teacher tells only its k likeliest tokens, all others are one more outcome, the rest, for both: what is then
measured is never more than the full divergence (data-processing inequality), and it is a divergence, which a sum
over k tokens without the rest is not. The prefix was sampled, and no gradient flows through that.

Several teachers for one prompt become one distribution: the geometric mixture minimises sum_g q_g KL(pi || p_g), the
arithmetic one sum_g q_g KL(p_g || pi).

Axes: N positions, V the vocabulary, K tokens told, G teachers, D domains.
"""

from __future__ import annotations

from typing import Any, Literal

from palaestra.learn.backbone import libraries

Divergence = Literal["reverse", "forward", "jensen-shannon", "sampled"]
Blend = Literal["geometric", "arithmetic"]

_LEAST = 1e-7


def divergence(log_student_NV: Any, log_teacher_NV: Any, kind: Divergence = "reverse", beta: float = 0.5) -> Any:  # noqa: ANN401 - tensors
    """The divergence at each position in nats, shape (N,).

    Args:
        log_student_NV: log-probabilities of the student; the gradient flows through them.
        log_teacher_NV: of the teacher.
        kind: `reverse`, `forward` or `jensen-shannon`.
        beta: the teacher's share in the Jensen-Shannon mixture, in (0, 1).
    """
    torch, _ = libraries()
    if kind == "reverse":
        return _kl(log_student_NV, log_teacher_NV)
    if kind == "forward":
        return _kl(log_teacher_NV, log_student_NV)
    shares = torch.log(torch.tensor([1 - beta, beta], dtype=log_student_NV.dtype, device=log_student_NV.device))
    log_middle_NV = torch.logaddexp(log_student_NV + shares[0], log_teacher_NV + shares[1])
    return beta * _kl(log_teacher_NV, log_middle_NV) + (1 - beta) * _kl(log_student_NV, log_middle_NV)


def with_rest(log_NV: Any, tokens_NK: Any) -> Any:  # noqa: ANN401 - tensors
    """Log-probabilities of K tokens at each position and of all others together, shape (N, K + 1).

    Args:
        log_NV: log-probabilities of all tokens.
        tokens_NK: which K; -1 is none.
    """
    torch, _ = libraries()
    told_NK = log_NV.gather(1, tokens_NK.clamp(min=0)).masked_fill(tokens_NK < 0, -torch.inf)
    return torch.cat([told_NK, log_others(log_NV, tokens_NK)[:, None]], dim=1)


def log_others(log_NV: Any, tokens_NK: Any) -> Any:  # noqa: ANN401 - tensors
    """The log-probability of all tokens but K, shape (N,): exact, also where next to nothing is left.

    Args:
        log_NV: log-probabilities of all tokens.
        tokens_NK: which K; -1 is none.
    """
    torch, _ = libraries()
    none = log_NV.shape[1]
    wide_NV = torch.nn.functional.pad(log_NV, (0, 1), value=-torch.inf)
    return wide_NV.scatter(1, tokens_NK.masked_fill(tokens_NK < 0, none), -torch.inf).logsumexp(dim=1)


def log_rest(told_NK: Any) -> Any:  # noqa: ANN401 - tensors
    """The log-probability of what K tokens leave, for who knows no more than those, shape (N,).

    One less their sum cannot be told from nought below a ten-millionth, in 32 bits; so it is never less than that.
    """
    torch, _ = libraries()
    return torch.log((1 - told_NK.double().exp().sum(dim=1)).clamp(min=_LEAST)).to(told_NK.dtype)


def sampled_loss(
    logprob_N: Any,  # noqa: ANN401 - tensors
    log_teacher_N: Any,  # noqa: ANN401 - tensors
    log_behaviour_N: Any = None,  # noqa: ANN401 - tensors
    most: float | None = None,
    log_own_N: Any = None,  # noqa: ANN401 - tensors
) -> Any:  # noqa: ANN401 - tensors
    """A loss whose gradient is, in expectation over the sampled token, that of the reverse KL, shape (N,).

    Args:
        logprob_N: log-probability of the sampled token by the student; the gradient flows through it.
        log_teacher_N: by the teacher.
        log_behaviour_N: by the student that sampled; the student itself if left out. Weighs each token by
            min(pi / mu, most), truncated importance sampling.
        log_own_N: what the teacher's is held against; the student's log-probability of the token if left out. Where the
            teacher tells of the rest alone, it is the student's of the same rest.
        most: the largest weight; without a limit the gradient is unbiased.
    """
    torch, _ = libraries()
    advantage_N = (log_teacher_N - (logprob_N if log_own_N is None else log_own_N)).detach()
    if log_behaviour_N is None:
        return -advantage_N * logprob_N
    ratio_N = torch.exp(logprob_N.detach() - log_behaviour_N)
    return -(ratio_N if most is None else ratio_N.clamp(max=most)) * advantage_N * logprob_N


def blended(log_GNV: Any, share_G: Any, how: Blend = "geometric") -> Any:  # noqa: ANN401 - tensors
    """Several teachers as one distribution, log-probabilities of shape (N, V).

    Args:
        log_GNV: log-probabilities of each teacher.
        share_G: weights that add up to one.
        how: `geometric` belongs to the reverse KL, `arithmetic` to the forward.
    """
    torch, _ = libraries()
    share_G11 = share_G[:, None, None]
    if how == "geometric":
        return torch.log_softmax((share_G11 * log_GNV).sum(dim=0), dim=-1)
    return torch.logsumexp(torch.log(share_G11) + log_GNV, dim=0)


def balanced(loss_N: Any, domain_N: Any, weight_D: Any, tokens_D: Any) -> Any:  # noqa: ANN401 - tensors
    """Each domain's mean over its own tokens, weighted: sum_d w_d / T_d sum_{n in d} loss_n.

    Args:
        loss_N: at each position.
        domain_N: the number of its domain.
        weight_D: weights of domains; those of domains without a token here count for nothing.
        tokens_D: tokens of each domain in the whole batch, all processes and micro-batches together.
    """
    return (loss_N * (weight_D / tokens_D.clamp(min=1))[domain_N]).sum()


def _kl(log_p_NV: Any, log_q_NV: Any) -> Any:  # noqa: ANN401 - tensors
    """KL(p || q) of each row; what has no probability in p adds nothing."""
    torch, _ = libraries()
    terms_NV = log_p_NV.exp() * (log_p_NV - log_q_NV)
    return torch.where(torch.isneginf(log_p_NV), torch.zeros_like(terms_NV), terms_NV).sum(dim=-1)
