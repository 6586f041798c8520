"""What a language model says of a prompt and a reply in one reading: hidden states, and how likely it is.

For `pairs.py`, which would else pay for two readings. The columns: for each layer the state at the last token and the
mean over the reply's tokens, and at the end the mean and the total log-likelihood of the reply.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palaestra.learn.backbone import Backbone, encode, fingerprint, libraries, load_backbone, padded
from palaestra.learn.features import Features

LAYERS = (6, 12, 18, 24, 30)
MAX_TOKENS = 192
_AT_ONCE = 2048


class Reading:
    """A featurizer of the texts of `conversation_text`, in 32-bit numbers."""

    def __init__(self, backbone: str) -> None:
        self.loaded: Backbone = load_backbone(backbone)
        self.name = f"reading {fingerprint(backbone)} {LAYERS} {MAX_TOKENS}"

    def __call__(self, texts: Sequence[str]) -> Features:
        rows = [encode(self.loaded.tokenizer, text, MAX_TOKENS) for text in texts]
        order = sorted(range(len(rows)), key=lambda number: len(rows[number][0]))
        found: dict[int, np.ndarray] = {}
        while order:
            size = max(1, _AT_ONCE // len(rows[order[-1]][0]))
            batch, order = order[-size:], order[:-size]
            found.update(zip(batch, self._read([rows[number] for number in batch]), strict=True))
        return np.stack([found[number] for number in range(len(rows))]).astype(np.float32)

    def _read(self, rows: Sequence[tuple[list[int], int]]) -> np.ndarray:
        torch, _ = libraries()
        model, count = self.loaded.model, len(rows)
        tokens_NT, mask_NT = (
            torch.from_numpy(array)
            for array in padded([tokens for tokens, _ in rows], self.loaded.tokenizer.eos_token_id)
        )
        starts = torch.tensor([start for _, start in rows])
        reply_NT = mask_NT * (torch.arange(mask_NT.shape[1]) >= starts[:, None])
        with torch.inference_mode():
            states = model.base_model(
                input_ids=tokens_NT, attention_mask=mask_NT, output_hidden_states=True, use_cache=False
            ).hidden_states
            pooled = []
            for layer in LAYERS:
                state_NTD = states[layer].float()
                pooled.append(state_NTD[torch.arange(count), mask_NT.sum(1) - 1])
                pooled.append((state_NTD * reply_NT[..., None]).sum(1) / reply_NT.sum(1, keepdim=True))
            counted = reply_NT[:, 1:].bool()
            logits = model.lm_head(states[-1][:, :-1][counted]).float()
            said = torch.nn.functional.log_softmax(logits, -1).gather(-1, tokens_NT[:, 1:][counted][:, None])[:, 0]
            total = torch.zeros(count).index_add(0, counted.nonzero()[:, 0], said)
            return torch.cat([*pooled, (total / counted.sum(1))[:, None], total[:, None]], dim=-1).numpy()
