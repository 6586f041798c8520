"""How likely a language model finds a reply: the baseline that a trained reward has to beat.

The mean log-likelihood of the reply's tokens, the one that ends it included, given the prompt; minus the log of what is
called perplexity. It likes what is fluent and usual, whether it answers or not. What is read of a long conversation is
said in `learn/backbone.py`.

Not here: rewards that were trained (`backbone_model.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.learn.backbone import (
    Dtype,
    batches_by_length,
    conversation_text,
    encode,
    libraries,
    load_backbone,
    padded,
)
from palaestra.schema import Message


class PerplexityReward:
    """The mean log-likelihood of a reply under a language model; higher is more likely.

    Args:
        backbone: `gguf:smollm2`, or a folder of Hugging Face.
        max_tokens: of a conversation.
        dtype: what the layers compute in.
        cache: where converted models are kept.

    Raises:
        InputError: there is no such model.
        MissingPartError: the extra `train` or the model's package is not installed.
    """

    def __init__(
        self, backbone: str, *, max_tokens: int = 512, dtype: Dtype = "auto", cache: Path | None = None
    ) -> None:
        self.name = f"perplexity:{backbone}"
        self._loaded = load_backbone(backbone, dtype=dtype, cache=cache)
        self._max_tokens = max_tokens

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> NDArray[np.float64]:
        """Scores (N,) in nats a token.

        Raises:
            InputError: a score is no number.
        """
        tokenizer = self._loaded.tokenizer
        rows = [
            encode(tokenizer, conversation_text(tokenizer, prompt, reply), self._max_tokens)
            for prompt, reply in zip(prompts, replies, strict=True)
        ]
        found_N = np.empty(len(rows))
        for batch in batches_by_length([len(tokens) for tokens, _ in rows]):
            found_N[batch] = self._batch([rows[number] for number in batch])
        if not np.isfinite(found_N).all():
            raise InputError(f"{self.name} gave a score that is no number; try dtype float32")
        return found_N

    def _batch(self, rows: Sequence[tuple[list[int], int]]) -> NDArray[np.float64]:
        if not rows:
            return np.empty(0)
        torch, _ = libraries()
        model = self._loaded.model
        tokens_NT, mask_NT = (
            torch.from_numpy(array).to(model.device)
            for array in padded([tokens for tokens, _ in rows], self._loaded.tokenizer.eos_token_id)
        )
        starts_N1 = torch.tensor([[start] for _, start in rows], device=model.device)
        said_NT = (mask_NT * (torch.arange(mask_NT.shape[1], device=model.device) >= starts_N1))[:, 1:].bool()
        with torch.inference_mode():
            states_NTD = model.base_model(input_ids=tokens_NT, attention_mask=mask_NT, use_cache=False)[0]
            log_chance = model.get_output_embeddings()(states_NTD[:, :-1][said_NT]).double().log_softmax(dim=-1)
            picked = log_chance.gather(-1, tokens_NT[:, 1:][said_NT][:, None])[:, 0]
            total_N = picked.new_zeros(len(rows)).index_add(0, said_NT.nonzero()[:, 0], picked)
            return (total_N / said_NT.sum(dim=1)).cpu().numpy()
