"""Vectors of replies to prompts: what a head is linear in.

    reply      the vector of the reply: what it is like, whatever was asked
    product    the vector of the reply times that of the prompt, number by number: whether they go together
    joint      the vector of the talk and the reply as one text, as a language model reads it

A featuriser is named by a string:

    local:minilm              all-MiniLM-L6-v2 (`gateway/embed.py`)
    gguf:smollm2, a folder    hidden states of a language model (`learn/hidden.py`); with
                              ?layers=12,20&pooling=mean&max_tokens=512 for other than the last layer
    another name              a model of models.toml: its /embeddings

Not here: keeping vectors (`learn/features.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from palaestra.gateway.embed import embedder
from palaestra.learn.features import Features, Featurizer, features
from palaestra.learn.hidden import hidden_states, is_language_model
from palaestra.rewards.config import View
from palaestra.schema import Message, ModelSpec

Tell = Callable[[int, int], None]


def featurizer(name: str, specs: Sequence[ModelSpec] = ()) -> Featurizer:
    """What makes the vectors.

    Args:
        name: as above.
        specs: the models of a models.toml.

    Raises:
        InputError: there is no such thing.
        MissingPartError: what it needs is not installed.
    """
    return hidden_states(name) if is_language_model(name) else embedder(name, specs)


def default_views(name: str) -> tuple[View, ...]:
    """The views for a featuriser of this name."""
    return ("joint",) if is_language_model(name) else ("reply", "product")


def vectors(
    maker: Featurizer,
    views: Sequence[View],
    prompts: Sequence[Sequence[Message]],
    replies: Sequence[str],
    *,
    folder: Path | None = None,
    tell: Tell = lambda _done, _all: None,
) -> Features:
    """A vector for each reply, the views one after the other, shape (N, D).

    Args:
        maker: makes vectors of texts.
        views: which.
        prompts: the conversation before each reply.
        replies: as many.
        folder: where vectors are kept.
        tell: is told how many texts are done, of how many.

    Raises:
        InputError: there are no replies.
    """
    texts_by_kind: dict[str, list[str]] = {}
    if {"reply", "product"} & {*views}:
        texts_by_kind["reply"] = list(replies)
    if "product" in views:
        texts_by_kind["prompt"] = [asked(prompt) for prompt in prompts]
    if "joint" in views:
        texts_by_kind["joint"] = [_joint(maker, *pair) for pair in zip(prompts, replies, strict=True)]
    texts = [text for kind in texts_by_kind.values() for text in kind]
    vector_TD = features(maker, texts, folder, tell)
    parts = dict(zip(texts_by_kind, np.split(vector_TD, len(texts_by_kind)), strict=True))
    made = {
        "reply": lambda: parts["reply"],
        "product": lambda: parts["reply"] * parts["prompt"],
        "joint": lambda: parts["joint"],
    }
    return np.concatenate([made[view]() for view in views], axis=1)


def asked(prompt: Sequence[Message]) -> str:
    """What the user has said, turn by turn."""
    return "\n\n".join(message.text for message in prompt if message.role == "user")


def _joint(maker: Featurizer, prompt: Sequence[Message], reply: str) -> str:
    """The talk and the reply as one text; a language model's own template where there is one."""
    write = getattr(maker, "conversation", None)
    return f"{asked(prompt)}\n\n{reply}" if write is None else write(prompt, reply)
