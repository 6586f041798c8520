"""A language model of a few hundred thousand weights, small enough for one processor: trained, sampled, optimised.

A transformer as in Radford et al. (2019) with the norms before the blocks and learned positions. The same body with one
number for a head is a reward. Not here: what it learns (`small_tasks.py`), and against what (`small_rewards.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from small_tasks import END, PAD, PROMPT, REPLY, VOCABULARY, Floats, Tokens, encoded
from torch import Tensor, nn
from torch.nn import functional

Cache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Attention and a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BTD: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The new states, and the keys and values of all positions so far."""
        size, steps, width = x_BTD.shape
        parts = self.attend(self.norms[0](x_BTD)).view(size, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x_BTD = x_BTD + self.project(mixed.transpose(1, 2).reshape(size, steps, width))
        return x_BTD + self.feed(self.norms[1](x_BTD)), (key, value)


class SmallGpt(nn.Module):
    """The model.

    Args:
        width: of the states.
        layers: how many.
        outputs: the vocabulary's size for a language model, 1 for a reward.
    """

    def __init__(self, width: int, layers: int, outputs: int = len(VOCABULARY)) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(len(VOCABULARY), width), nn.Embedding(PROMPT + REPLY, width)
        self.blocks = nn.ModuleList([Block(width, 4) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, token_BT: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Outputs at every position, shape (B, T, V), and the cache with these positions.

        Args:
            token_BT: tokens that follow those of the cache; with a cache, one.
            cache: of the positions before.
        """
        start = cache[0][0].shape[2] if cache else 0
        x_BTD = self.tokens(token_BT) + self.places(torch.arange(start, start + token_BT.shape[1]))
        kept: Cache = []
        for place, block in enumerate(self.blocks):
            x_BTD, now = block(x_BTD, cache[place] if cache else None)
            kept.append(now)
        return self.head(self.norm(x_BTD)), kept

    def as_reward(self) -> SmallGpt:
        """A reward that starts from this model's body, with a new head at zero."""
        found = copy.deepcopy(self)
        found.head = nn.Linear(self.head.in_features, 1)
        nn.init.zeros_(found.head.weight)
        nn.init.zeros_(found.head.bias)
        return found


def prompt_tokens(prompts: Sequence[str]) -> Tokens:
    """Tokens of prompts, shape (N, PROMPT)."""
    return np.array([encoded(prompt, PROMPT) for prompt in prompts])


def log_chances(model: SmallGpt, prompts: Sequence[str], reply_NT: Tokens) -> tuple[Tensor, Tensor]:
    """The log chance of each token of each reply, and which tokens there are, both shape (N, T)."""
    reply = torch.from_numpy(reply_NT)
    whole = torch.cat([torch.from_numpy(prompt_tokens(prompts)), reply], dim=1)
    logits_NTV = model(whole[:, :-1])[0][:, PROMPT - 1 :]
    log_NT = functional.log_softmax(logits_NTV, dim=-1).gather(2, reply[:, :, None])[:, :, 0]
    there_NT = (reply != PAD).float()
    return log_NT * there_NT, there_NT


@torch.no_grad()
def sampled(model: SmallGpt, prompts: Sequence[str], seed: int, temperature: float = 1.0) -> Tokens:
    """A reply to each prompt, shape (N, REPLY); what follows the full stop is padding."""
    draw = torch.Generator().manual_seed(seed)
    token_NT = torch.from_numpy(prompt_tokens(prompts))
    open_N = torch.ones(len(prompts), dtype=torch.bool)
    cache: Cache | None = None
    said: list[Tensor] = []
    for _ in range(REPLY):
        logits_NTV, cache = model(token_NT, cache)
        logits_NV = logits_NTV[:, -1] / temperature
        logits_NV[:, PAD] = -torch.inf
        token_N = torch.multinomial(logits_NV.softmax(dim=-1), 1, generator=draw)[:, 0]
        token_N = torch.where(open_N, token_N, PAD)
        said.append(token_N)
        open_N &= token_N != END
        token_NT = token_N[:, None]
    return torch.stack(said, dim=1).numpy()


def imitate(
    model: SmallGpt, prompts: Sequence[str], reply_NT: Tokens, *, steps: int, batch: int, seed: int, keep_at: set[int]
) -> list[SmallGpt]:
    """Train on replies (supervised fine-tuning, from nothing); copies of the model after the steps in `keep_at`."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    kept = []
    for step in range(1, steps + 1):
        rows = rng.integers(len(prompts), size=batch)
        log_NT, there_NT = log_chances(model, [prompts[row] for row in rows], reply_NT[rows])
        descend(optimizer, -log_NT.sum() / there_NT.sum(), model)
        plan.step()
        if step in keep_at:
            kept.append(copy.deepcopy(model))
    return kept


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, model: nn.Module) -> None:
    """One step down a loss, its gradient at most 1 long."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def scored(reward: SmallGpt, prompts: Sequence[str], reply_NT: Tokens) -> Tensor:
    """The reward at the last token of each reply, shape (N,), with its gradient."""
    whole = torch.cat([torch.from_numpy(prompt_tokens(prompts)), torch.from_numpy(reply_NT)], dim=1)
    last_N = (whole != PAD).sum(dim=1) - 1
    return reward(whole)[0][torch.arange(len(whole)), last_N, 0]


@torch.no_grad()
def scores(reward: SmallGpt, prompts: Sequence[str], reply_NT: Tokens) -> Floats:
    """The same as numbers."""
    parts = [
        scored(reward, prompts[start : start + 2048], reply_NT[start : start + 2048]).numpy()
        for start in range(0, len(prompts), 2048)
    ]
    return np.concatenate(parts).astype(float)
