"""Vectors of texts from a language model that stays as it is: hidden states of some layers, at the end or on average.

The last token of a text has read all before it; the mean over tokens is steadier. Which layers say most differs from
task to task, and is seldom the last one, which has turned to the next token. A text in which a reply is marked
(`conversation_text` with one) is averaged over the reply alone.

Their name is `gguf:smollm2` or a folder of Hugging Face, with `?layers=12,20&pooling=mean&max_tokens=512` for other
settings than the caller's own.

Not here: keeping vectors on disk (`learn/features.py`), and sentence embeddings (`gateway/embed.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.learn.backbone import (
    Backbone,
    Dtype,
    backbone_folder,
    batches_by_length,
    conversation_text,
    encode,
    fingerprint,
    libraries,
    load_backbone,
    load_tokenizer,
    padded,
    resolved_dtype,
)
from palaestra.learn.features import Features
from palaestra.schema import Message

Pooling = Literal["last", "mean", "last+mean"]

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "layers": lambda text: tuple(int(part) for part in text.split(",")),
    "pooling": str,
    "max_tokens": int,
}


def is_language_model(name: str) -> bool:
    """Whether a featurizer of this name gives hidden states."""
    place = name.partition("?")[0]
    return place.startswith("gguf:") or (Path(place) / "config.json").is_file()


def hidden_states(name: str, **settings: Any) -> HiddenStates:  # noqa: ANN401 - those of `HiddenStates`
    """The featurizer of this name, with these settings where the name has none.

    Raises:
        InputError: a setting that there is not, or that it cannot have; or there is no such model.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    place, _, said = name.partition("?")
    try:
        named = {option: _OPTIONS[option](value) for option, value in parse_qsl(said, keep_blank_values=True)}
    except (KeyError, ValueError) as error:
        raise InputError(
            f"found the features {name!r}, expected NAME?layers=12,20&pooling=mean&max_tokens=512: {error}"
        ) from error
    return HiddenStates(place, **settings | named)


class HiddenStates:
    """A featurizer of texts; the model is loaded when the first text comes whose vector is not known yet.

    Args:
        backbone: `gguf:smollm2`, or a folder of Hugging Face.
        layers: which hidden states, from 0, the embeddings, to the number of layers; -1 is the last.
        pooling: the state at the last token, the mean over tokens (of the reply, where one is marked), or both.
        max_tokens: of a text; longer ones are cut as `learn.backbone.encode` says.
        dtype: what the layers compute in; `auto` is 16 bits where the machine multiplies them.
        cache: where converted models are kept; the user's cache if left out.

    Raises:
        InputError: there is no such model, or no such layer.
        MissingPartError: the extra `train` or the model's package is not installed.
    """

    def __init__(
        self,
        backbone: str,
        *,
        layers: Sequence[int] = (-1,),
        pooling: Pooling = "last+mean",
        max_tokens: int = 512,
        dtype: Dtype = "auto",
        cache: Path | None = None,
    ) -> None:
        self._backbone, self._cache, self._max_tokens = backbone, cache, max_tokens
        self._dtype = resolved_dtype(dtype)
        self._tokenizer = load_tokenizer(backbone, cache)
        self._loaded: Backbone | None = None
        self.layers = tuple(_layer(layer, _depth(backbone, cache)) for layer in layers)
        self.pooling: Pooling = pooling
        numbers = ",".join(map(str, self.layers))
        self.name = (
            f"{backbone}@{fingerprint(backbone, cache)}/layers {numbers}/{pooling}/{max_tokens} tokens/{self._dtype}"
        )

    def __call__(self, texts: Sequence[str]) -> Features:
        """Vectors of shape (texts, layers x poolings x width): layer by layer, the last token's before the mean.

        Raises:
            InputError: a text is empty, or the model gives something that is no number.
        """
        encoded = [encode(self._tokenizer, text, self._max_tokens) for text in texts]
        if not encoded:
            return np.zeros((0, 0), dtype=np.float32)
        batches = batches_by_length([len(tokens) for tokens, _ in encoded])
        found_ND = np.concatenate([self._batch([encoded[number] for number in batch]) for batch in batches])
        if not np.isfinite(found_ND).all():
            raise InputError(f"{self._backbone} gave hidden states that are no numbers; try dtype float32")
        return np.ascontiguousarray(found_ND[np.argsort(np.concatenate(batches))])

    def conversation(self, messages: Sequence[Message], reply: str | None = None) -> str:
        """The text of a conversation, as this model reads one, for vectors of it."""
        return conversation_text(self._tokenizer, messages, reply)

    def _batch(self, rows: Sequence[tuple[list[int], int]]) -> NDArray[np.float32]:
        torch, _ = libraries()
        self._loaded = self._loaded or load_backbone(self._backbone, dtype=self._dtype, cache=self._cache)
        tokens_NT, mask_NT = padded([tokens for tokens, _ in rows], self._tokenizer.eos_token_id)
        starts_N = torch.tensor([start for _, start in rows])
        with torch.inference_mode():
            model = self._loaded.model
            tokens, mask = (torch.from_numpy(array).to(model.device) for array in (tokens_NT, mask_NT))
            states = model.base_model(
                input_ids=tokens, attention_mask=mask, output_hidden_states=True, use_cache=False
            ).hidden_states
            pooled = [
                part
                for layer in self.layers
                for part in _pooled(states[layer].float().cpu(), mask.cpu(), starts_N, self)
            ]
            return torch.cat(pooled, dim=-1).numpy()


def _pooled(states_NTD: Any, mask_NT: Any, starts_N: Any, of: HiddenStates) -> Iterator[Any]:  # noqa: ANN401 - tensors
    torch, _ = libraries()
    if of.pooling != "mean":
        yield states_NTD[torch.arange(len(states_NTD)), mask_NT.sum(dim=1) - 1]
    if of.pooling != "last":
        counts_NT = mask_NT * (torch.arange(mask_NT.shape[1]) >= starts_N[:, None])
        yield (states_NTD * counts_NT[..., None]).sum(dim=1) / counts_NT.sum(dim=1, keepdim=True)


def _depth(backbone: str, cache: Path | None) -> int:
    """How many layers a model has, without loading it."""
    _, transformers = libraries()
    return int(transformers.AutoConfig.from_pretrained(backbone_folder(backbone, cache)).num_hidden_layers)


def _layer(layer: int, depth: int) -> int:
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"found the layer {layer}, expected one from 0, the embeddings, to {depth}")
    return layer % (depth + 1)
