"""Many conversations, one language model: continuous batching with a key-value cache, token by token.

Requests join the batch between two tokens and leave it when they are done (the iteration-level scheduling of Yu et al.,
2022, *Orca*): a short answer does not wait for a long one. Rows are padded on the left; a row that joins gets its own
prefill, and the two caches are laid side by side. Each request draws from a generator of its own, so that what it says
depends on its seed and not on who else is asking (but for rounding: a batch adds numbers in another order).

Not here: texts and their pieces (`spoken.py`), the endpoint (`serve.py`), sampling during training
(`learn/generation.py`), models too large for one machine (serve those by vLLM, and enrol its address).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from palaestra.learn.backbone import libraries, padded

ROWS = 32
"""Requests that are answered at once; others wait."""
_COLD = 1e-5
"""Below this temperature the likeliest token is taken."""

End = Literal["stop", "length"]


@dataclass(eq=False)
class Request:
    """One conversation that is being answered.

    `tell` is called with each token and with None after the last; it returns whether it has heard enough.
    """

    prompt: Sequence[int]
    """At least one token."""
    max_tokens: int
    tell: Callable[[int | None], bool]
    temperature: float = 1.0
    """0 takes the likeliest token."""
    seed: int | None = None
    left: bool = False
    """Set by whoever asked: nobody listens any more."""
    end: End | None = None
    """Why it ended: an end token or enough heard, or as many tokens as were allowed."""
    tokens: int = 0
    """Drawn so far, the end token counted."""
    generator: Any = field(default=None, repr=False)


class Batch:
    """The requests under way.

    Args:
        model: a causal language model in `eval`.
        ends: tokens that end an answer.
    """

    def __init__(self, model: Any, ends: Collection[int]) -> None:  # noqa: ANN401 - of transformers
        self._model, self._ends = model, frozenset(ends)
        self.rows: list[Request] = []
        self._cache: Any = None
        self._mask_NT: Any = None
        self._place_N: Any = None
        self._new_N: Any = None

    @property
    def joins(self) -> bool:
        """Whether another request can join now: a cache that slides, or holds a state, takes none until it is empty."""
        if not self.rows:
            return True
        _, transformers = libraries()
        return len(self.rows) < ROWS and all(
            type(layer) is transformers.cache_utils.DynamicLayer for layer in self._cache.layers
        )

    def join(self, requests: Sequence[Request]) -> None:
        """Read the prompts of new requests, and draw their first tokens."""
        torch, transformers = libraries()
        device = self._model.device
        tokens_NT, mask_NT = (
            torch.from_numpy(part[:, ::-1].copy()).to(device)
            for part in padded([list(reversed(request.prompt)) for request in requests], min(self._ends))
        )
        place_NT = (mask_NT.cumsum(1) - 1).clamp(min=0)
        cache = transformers.DynamicCache(config=self._model.config)
        logits_NV = self._logits(tokens_NT, mask_NT, place_NT, cache)
        for request in requests:
            request.generator = torch.Generator()
            request.generator.seed() if request.seed is None else request.generator.manual_seed(request.seed % 2**63)
        if not self.rows:
            self._cache, self._mask_NT, self._place_N = cache, mask_NT, place_NT[:, -1]
            kept = None
        else:
            self._mask_NT = _beside(self._cache, self._mask_NT, cache, mask_NT)
            self._place_N = torch.cat([self._place_N, place_NT[:, -1]])
            kept = self._new_N
        self.rows += requests
        new_N = self._draw(requests, logits_NV)
        self._new_N = new_N if kept is None else torch.cat([kept, new_N])
        self._leave()

    def step(self) -> None:
        """One more token of each."""
        torch, _ = libraries()
        if any(request.left for request in self.rows):
            self._leave()
        if not self.rows:
            return
        self._place_N += 1
        self._mask_NT = torch.nn.functional.pad(self._mask_NT, (0, 1), value=1)
        logits_NV = self._logits(self._new_N[:, None], self._mask_NT, self._place_N[:, None], self._cache)
        self._new_N = self._draw(self.rows, logits_NV)
        self._leave()

    def _logits(self, tokens_NT: Any, mask_NT: Any, place_NT: Any, cache: Any) -> Any:  # noqa: ANN401 - tensors
        torch, _ = libraries()
        with torch.inference_mode():
            found = self._model(
                input_ids=tokens_NT, attention_mask=mask_NT, position_ids=place_NT, past_key_values=cache,
                use_cache=True, logits_to_keep=1,
            )  # fmt: skip
        return found.logits[:, -1].float().cpu()

    def _draw(self, requests: Sequence[Request], logits_NV: Any) -> Any:  # noqa: ANN401 - tensors
        """A token of each, told to whoever asked."""
        torch, _ = libraries()
        drawn = [drawn_token(request, logits_V) for request, logits_V in zip(requests, logits_NV, strict=True)]
        for request, token in zip(requests, drawn, strict=True):
            request.tokens += 1
            ended = token in self._ends
            enough = False if ended else request.tell(token)
            request.end = "stop" if ended or enough else "length" if request.tokens >= request.max_tokens else None
            if request.end is not None:
                request.tell(None)
        return torch.tensor(drawn, device=self._model.device)

    def _leave(self) -> None:
        """Take out the rows that are done, and columns that only pad."""
        torch, _ = libraries()
        keep = [number for number, request in enumerate(self.rows) if request.end is None and not request.left]
        if len(keep) == len(self.rows):
            return
        self.rows = [self.rows[number] for number in keep]
        if not keep:
            self._cache = self._mask_NT = self._place_N = self._new_N = None
            return
        index = torch.tensor(keep, device=self._model.device)
        self._cache.batch_select_indices(index)
        self._mask_NT, self._place_N, self._new_N = self._mask_NT[index], self._place_N[index], self._new_N[index]
        empty = int(self._mask_NT.any(0).int().argmax())
        if empty and self.joins:
            self._mask_NT = self._mask_NT[:, empty:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, empty:], layer.values[:, :, empty:]


def drawn_token(request: Request, logits_V: Any) -> int:  # noqa: ANN401 - a tensor
    """A token by softmax(logits / temperature), from the request's own generator."""
    torch, _ = libraries()
    if request.temperature < _COLD or math.isinf(request.temperature):
        return int(logits_V.argmax())
    chance_V = torch.softmax((logits_V - logits_V.max()).double() / request.temperature, dim=-1)
    return int(torch.multinomial(chance_V, 1, generator=request.generator))


def _beside(cache: Any, mask_NT: Any, new: Any, new_mask_NT: Any) -> Any:  # noqa: ANN401 - of transformers, tensors
    """Put the rows of `new` below those of `cache`, padded on the left to one length; the mask of all."""
    torch, _ = libraries()
    longest = max(mask_NT.shape[1], new_mask_NT.shape[1])

    def wide(part: Any, length: int) -> Any:  # noqa: ANN401 - tensors of heads, whose axis of time is the last but one
        return torch.nn.functional.pad(part, (0, 0, longest - length, 0))

    with torch.inference_mode():
        for old, more in zip(cache.layers, new.layers, strict=True):
            had, came = mask_NT.shape[1], new_mask_NT.shape[1]
            old.keys = torch.cat([wide(old.keys, had), wide(more.keys, came)])
            old.values = torch.cat([wide(old.values, had), wide(more.values, came)])
    return torch.cat([torch.nn.functional.pad(each, (longest - each.shape[1], 0)) for each in (mask_NT, new_mask_NT)])
