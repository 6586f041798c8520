r"""The pieces of policy gradients, on tensors: advantages, ratios with their clips, KL, corrections, values, sums.

    grpo       A_i = (r_i - mean r) / (std r + e)                     Shao et al., DeepSeekMath (2024)
    dr_grpo    A_i = r_i - mean r                                     Liu et al., Understanding R1-Zero (2025)
    rloo       A_i = r_i - mean of the others = G / (G - 1) (r_i - mean r)   Ahmadian et al. (2024)
    clipped    -min(rho A, clip(rho, 1 - e, 1 + e') A)                Schulman et al., PPO (2017)
    importance min(pi / mu, C), or 0 where that lies outside [c, C]   truncated (Yao et al., 2025) or masked
    gae        A_t = d_t + g l A_{t+1}, d_t = r_t + g V_{t+1} - V_t   Schulman et al., GAE (2016)

The first four in the form that TRL's GRPOTrainer and RLOOTrainer have, which the tests hold them against. A loss
becomes one number in one of four ways (`summed`): Yu et al., DAPO (2025), and Liu et al. say what each favours.

Not here: sampling, models, and what the reward is (`rl.py`, `ppo.py`, `lengths.py`).

Axes: P prompts, G replies to each, N = P G replies, T their tokens. A mask is 1 on a reply's own tokens and 0 on
padding and on what tools said.
"""

from __future__ import annotations

from typing import Any, Literal

from palaestra.learn.backbone import libraries

Advantage = Literal["grpo", "dr_grpo", "rloo"]
Ratio = Literal["token", "mean", "sum"]
Sum = Literal["grpo", "bnpo", "dapo", "dr_grpo"]
Estimate = Literal["k1", "k3"]
Correction = Literal["truncate", "mask"]
Level = Literal["token", "sequence"]

_EPSILON = 1e-4
"""Keeps a group of equal rewards from dividing by nought, as in TRL."""


def advantages(reward_PG: Any, kind: Advantage = "grpo") -> Any:  # noqa: ANN401 - tensors
    """How much better each reply is than its group, shape (P, G); a group of equal rewards gets noughts.

    Args:
        reward_PG: rewards; G at least 2.
        kind: as above; the standard deviation of `grpo` is that of a sample (G - 1).
    """
    centred_PG = reward_PG - reward_PG.mean(dim=1, keepdim=True)
    if kind == "dr_grpo":
        return centred_PG
    if kind == "rloo":
        group = reward_PG.shape[1]
        return centred_PG * (group / (group - 1))
    return centred_PG / (reward_PG.std(dim=1, keepdim=True) + _EPSILON)


def log_ratio(log_NT: Any, log_old_NT: Any, mask_NT: Any, level: Ratio = "token") -> Any:  # noqa: ANN401 - tensors
    """The logarithm of pi / pi_old, shape (N, T), or (N, 1) where a reply has one.

    Args:
        log_NT: log-probabilities of the tokens by the policy; the gradient flows through them.
        log_old_NT: by the policy at the time of the last update.
        mask_NT: the reply's own tokens.
        level: `token` each its own; `sum` the reply's (RLOO); `mean` its root by length (GSPO, Zheng et al., 2025).
    """
    ratio_NT = log_NT - log_old_NT
    if level == "token":
        return ratio_NT
    total_N1 = (ratio_NT * mask_NT).sum(dim=1, keepdim=True)
    return total_N1 if level == "sum" else total_N1 / mask_NT.sum(dim=1, keepdim=True).clamp(min=1.0)


def clipped(log_ratio_NT: Any, advantage_NT: Any, low: float = 0.2, high: float = 0.2) -> Any:  # noqa: ANN401 - tensors
    """The loss -min(rho A, clip(rho, 1 - low, 1 + high) A), of the shape of both together.

    Args:
        log_ratio_NT: as `log_ratio` gives it; (N, 1) counts for all tokens of a reply.
        advantage_NT: of shape (N, T) or (N, 1); no gradient flows through it.
        low: how far the ratio may fall before a token stops to count.
        high: how far it may rise.
    """
    torch, _ = libraries()
    ratio_NT = log_ratio_NT.exp()
    return -torch.min(ratio_NT * advantage_NT, ratio_NT.clamp(1 - low, 1 + high) * advantage_NT)


def kl(log_NT: Any, log_start_NT: Any, kind: Estimate = "k3") -> Any:  # noqa: ANN401 - tensors
    """An estimate of KL(pi || pi_0) at each sampled token, shape (N, T).

    Both are unbiased as numbers: k1 = log pi - log pi_0, and k3 = pi_0 / pi - 1 - log(pi_0 / pi), which is never
    negative (Schulman, 2020). As a loss they are not: k1 has no gradient in expectation, and k3 that of KL(pi_0 || pi).
    k1 belongs into the reward; k3 into the loss times pi / pi_old, whose gradient makes it that of KL(pi || pi_0).
    """
    back_NT = log_start_NT - log_NT
    return -back_NT if kind == "k1" else back_NT.exp() - back_NT - 1


def importance(  # noqa: PLR0917 - two policies, and how far they may be apart
    log_old_NT: Any,  # noqa: ANN401 - tensors
    log_behaviour_NT: Any,  # noqa: ANN401 - tensors
    mask_NT: Any,  # noqa: ANN401 - tensors
    how: Correction = "truncate",
    level: Level = "token",
    least: float | None = None,
    most: float | None = 3.0,
) -> Any:  # noqa: ANN401 - tensors
    """What each token counts, since another policy sampled it, shape (N, T), or (N, 1) for whole replies; no gradient.

    Without limits the corrected gradient is unbiased; a limit trades that for variance.

    Args:
        log_old_NT: by the policy that is trained, when the rollout was scored.
        log_behaviour_NT: by the one that sampled: an older one, or another engine.
        mask_NT: the reply's own tokens.
        how: `truncate` sets a ratio beyond a limit to the limit, `mask` to nought.
        level: whether tokens or whole replies are weighed.
        least: the lower limit.
        most: the upper one.
    """
    gap_NT = ((log_old_NT - log_behaviour_NT) * mask_NT).detach()
    ratio_NT = (gap_NT.sum(dim=1, keepdim=True) if level == "sequence" else gap_NT).exp()
    if how == "truncate":
        return ratio_NT if least is None and most is None else ratio_NT.clamp(min=least, max=most)
    outside_NT = ratio_NT.isnan()
    outside_NT |= ratio_NT < (float("-inf") if least is None else least)
    outside_NT |= ratio_NT > (float("inf") if most is None else most)
    return ratio_NT.masked_fill(outside_NT, 0.0)


def summed(
    loss_NT: Any,  # noqa: ANN401 - tensors
    mask_NT: Any,  # noqa: ANN401 - tensors
    how: Sum = "dapo",
    *,
    tokens: float | Any = None,  # noqa: ANN401 - a number, or a tensor of one
    longest: int = 1,
) -> Any:  # noqa: ANN401 - a tensor of one
    """One number of a loss at each token.

    Args:
        loss_NT: of shape (N, T), or (N, 1) for whole replies.
        mask_NT: the reply's own tokens.
        how: `grpo` the mean over replies of their means (short replies weigh more, token for token); `bnpo` the mean
            over the tokens of these rows; `dapo` the sum over `tokens`, those of the whole batch on all processes;
            `dr_grpo` the sum over N times `longest`, so that no length is favoured.
        tokens: for `dapo`; those of these rows if left out.
        longest: for `dr_grpo`: the most tokens that a reply may have.
    """
    if how == "grpo":
        return ((loss_NT * mask_NT).sum(dim=1) / mask_NT.sum(dim=1).clamp(min=1.0)).mean()
    total = (loss_NT * mask_NT).sum()
    if how == "dr_grpo":
        return total / (mask_NT.shape[0] * longest)
    return total / (mask_NT.sum().clamp(min=1.0) if how == "bnpo" or tokens is None else tokens)


def token_rewards(reward_N: Any, log_NT: Any, log_start_NT: Any, mask_NT: Any, beta: float) -> Any:  # noqa: ANN401
    """What each token earns, shape (N, T): -beta (log mu - log pi_0), and the last one the reply's reward on top.

    Args:
        reward_N: of each reply.
        log_NT: log-probabilities by the policy that sampled; no gradient flows through them.
        log_start_NT: by the policy that training began with.
        mask_NT: the reply's own tokens, at least one each.
        beta: what a nat of KL costs.
    """
    torch, _ = libraries()
    place_T = torch.arange(mask_NT.shape[1], device=mask_NT.device)
    last_N = (mask_NT * place_T).argmax(dim=1)
    earned_NT = -beta * kl(log_NT, log_start_NT, "k1").detach() * mask_NT
    return earned_NT.scatter_add(1, last_N[:, None], reward_N[:, None].to(earned_NT.dtype))


def gae(reward_NT: Any, value_NT: Any, mask_NT: Any, discount: float = 1.0, decay: float = 0.95) -> Any:  # noqa: ANN401
    """Generalised advantages, shape (N, T), noughts outside the mask; returns are these plus the values.

    Tokens that are not the reply's own are stepped over: the next own one follows. After the last there is nothing.

    Args:
        reward_NT: what each token earns.
        value_NT: what was expected before each token was drawn.
        mask_NT: the reply's own tokens.
        discount: of what comes a token later.
        decay: lambda; 1 is Monte Carlo, 0 one step of temporal difference.
    """
    torch, _ = libraries()
    found_NT = torch.zeros_like(value_NT)
    ahead_N = value_NT.new_zeros(len(value_NT))
    worth_N = value_NT.new_zeros(len(value_NT))
    for place in range(value_NT.shape[1] - 1, -1, -1):
        own_N = mask_NT[:, place].bool()
        here_N = reward_NT[:, place] + discount * worth_N - value_NT[:, place] + discount * decay * ahead_N
        ahead_N = torch.where(own_N, here_N, ahead_N)
        worth_N = torch.where(own_N, value_NT[:, place], worth_N)
        found_NT[:, place] = here_N * own_N
    return found_NT


def whitened(advantage_NT: Any, mask_NT: Any) -> Any:  # noqa: ANN401 - tensors
    """Advantages with mean 0 and variance 1 over the replies' own tokens, shape (N, T)."""
    count = mask_NT.sum().clamp(min=1.0)
    mean = (advantage_NT * mask_NT).sum() / count
    variance = ((advantage_NT - mean) ** 2 * mask_NT).sum() / count
    return (advantage_NT - mean) * (variance + 1e-8).rsqrt() * mask_NT


def value_loss(value_NT: Any, old_NT: Any, return_NT: Any, clip: float = 0.2) -> Any:  # noqa: ANN401 - tensors
    """PPO's loss of values, max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) / 2, shape (N, T).

    Args:
        value_NT: by the value head; the gradient flows through them.
        old_NT: when the rollout was scored.
        return_NT: what came: advantages plus old values.
        clip: how far a value may go in one round.
    """
    torch, _ = libraries()
    near_NT = torch.min(torch.max(value_NT, old_NT - clip), old_NT + clip)
    return torch.max((value_NT - return_NT) ** 2, (near_NT - return_NT) ** 2) / 2
