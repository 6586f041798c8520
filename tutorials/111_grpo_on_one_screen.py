"""GRPO on one screen: a policy learns to answer a + b in strokes, from nothing but "right" or "wrong".

The policy is a table: for each question and place the chance of writing another stroke and not stopping. For each
question it writes a group of replies; each is held against its group's mean (Shao et al., DeepSeekMath, 2024), no value
is learnt. A rollout is learnt from three times, so the ratio to the policy that wrote it is clipped (Schulman et al.,
PPO, 2017), and KL to the start is charged, in the form whose gradient is that of KL(pi || start).

    palaestra train rl MODEL EXAMPLES --reward rule:exact --out run        the same for a language model

Run it: `python tutorials/111_grpo_on_one_screen.py`. It takes some seconds.
`palaestra.posttrain.losses_rl` has the same formulas, and a test holds them against these.
"""

import torch

N, LONGEST, GROUP, CLIP, BETA = 4, 8, 16, 0.2, 0.01
SUMS = torch.tensor([[a + b for b in range(N)] for a in range(N)]).flatten()


def written(table: torch.Tensor, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Replies to each question: strokes (1) and the stop (0), shape (P, G, T), and which tokens were written."""
    stroke_PT = torch.sigmoid(table)[:, None].expand(-1, GROUP, -1)
    token_PGT = (torch.rand(stroke_PT.shape, generator=chance) < stroke_PT).long()
    mask_PGT = torch.cat([torch.ones_like(token_PGT[..., :1]), token_PGT.cumprod(-1)[..., :-1]], dim=-1)
    return token_PGT, mask_PGT


def logs(table: torch.Tensor, token_PGT: torch.Tensor) -> torch.Tensor:
    """Log-probability of each token, shape (P, G, T)."""
    signed = torch.where(token_PGT == 1, table[:, None], -table[:, None])
    return torch.nn.functional.logsigmoid(signed)


def grpo_loss(log, old, start, advantage, mask):  # noqa: ANN001, ANN201 - tensors (P, G, T), advantage (P, G)
    """The clipped loss and KL, as a mean over all tokens."""
    ratio = (log - old).exp()
    gain = torch.min(ratio * advantage[..., None], ratio.clamp(1 - CLIP, 1 + CLIP) * advantage[..., None])
    kl = (start - log).exp() - (start - log) - 1
    return ((-gain + BETA * kl * ratio) * mask).sum() / mask.sum()


chance = torch.Generator().manual_seed(0)
table = torch.full((N * N, LONGEST), 1.0, requires_grad=True)
start = table.detach().clone()
optimizer = torch.optim.Adam([table], lr=0.1)
shares = []
for step in range(121):
    token, mask = written(table.detach(), chance)
    right = ((token * mask).sum(-1) == SUMS[:, None]) & ((token * mask).sum(-1) < LONGEST)
    reward = right.float()
    advantage = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
    old, first = logs(table.detach(), token), logs(start, token)
    for _ in range(3):
        loss = grpo_loss(logs(table, token), old, first, advantage, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    shares.append(right.float().mean().item())
    if step % 30 == 0:
        away = ((old - first) * mask).sum(-1).mean().item()
        tokens = mask.sum(-1).float().mean()
        print(f"step {step:3}: {shares[-1]:5.1%} right, {tokens:.2f} tokens, KL {away:.2f} nats a reply")
token, mask = written(table.detach(), chance)
for question in (0, 6, 15):
    reply = "|" * int((token * mask)[question, 0].sum())
    print(f"{question // N} + {question % N} = {reply or 'nothing'}")
