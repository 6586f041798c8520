"""A language model that was trained with a head, as what makes vectors of prompts.

A prompt is read as a text of its own, in which nothing counts as a token of the template, so that no prompt can end
itself; the token that ends a turn stands behind it. The vector is the mean over the last hidden states, or that of the
last token, which has read all before it. (The paper's backbones read the chat template and a token that was new to
them, and take its state.)

Not here: how it is trained (`backbone.py`), and language models that stay as they are (`featurizers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from palaestra.errors import InputError
from palaestra.learn.backbone import REPLY, fingerprint
from palaestra.learn.features import Features
from palaestra.learn.hidden import HiddenStates
from palaestra.p2l.config import TuneConfig

BACKBONE_FOLDER = "backbone"
"""Where beside the head its language model lies."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Where the language model of a head is, the hash that it had, and what was done with it."""

    folder: Path
    fingerprint: str
    max_tokens: int
    pooling: Literal["mean", "last"]
    about: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, tuning: TuneConfig, about: dict[str, Any]) -> Tuned:
        """The language model of a folder as it is now."""
        return cls(folder, fingerprint(str(folder)), tuning.max_tokens, tuning.pooling, about)

    @classmethod
    def from_dict(cls, folder: Path, said: dict[str, Any]) -> Tuned:
        """What the config of the head in a folder says."""
        names = ("fingerprint", "max_tokens", "pooling", "about")
        return cls(folder / BACKBONE_FOLDER, *(said[name] for name in names))

    def to_dict(self) -> dict[str, Any]:
        """For the config of the head."""
        return {name: getattr(self, name) for name in ("fingerprint", "max_tokens", "pooling", "about")}


class PromptStates:
    """The featurizer of prompts of a language model: its last hidden states, pooled.

    Args:
        tuned: the language model.

    Raises:
        InputError: it is not there, or was cut short or changed.
        MissingPartError: the extra `train` is not installed.
    """

    def __init__(self, tuned: Tuned) -> None:
        if not (tuned.folder / "config.json").is_file():
            raise InputError(
                f"found no language model in {tuned.folder}, expected the one that the head was trained with; copy the "
                "folder of the model as a whole"
            )
        self._states = HiddenStates(str(tuned.folder), layers=(-1,), pooling=tuned.pooling, max_tokens=tuned.max_tokens)
        made = self._states.name.rpartition("@")[2]
        if not made.startswith(f"{tuned.fingerprint}/"):
            raise InputError(
                f"found another language model in {tuned.folder} than the head was trained with, expected the weights "
                "as they were written; they were cut short or changed: copy or train the model anew"
            )
        self.name = f"prompts/{made}"

    def __call__(self, texts: Sequence[str]) -> Features:
        """Vectors of shape (texts, width).

        Raises:
            InputError: a vector is no number.
        """
        return self._states([as_read(text) for text in texts])


def as_read(prompt: str) -> str:
    """The prompt as `learn.backbone.encode` is to take it: a reply to nothing."""
    return f"{REPLY}{prompt.replace(REPLY, ' ')}"
