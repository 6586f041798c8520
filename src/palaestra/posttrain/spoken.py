"""From tokens to the pieces of text that a client is sent: whole characters only, and nothing of a stop string.

Not here: which tokens there are (`decoding.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_HALF = "\ufffd"
"""What a tokenizer writes for bytes that are no whole character yet."""


class Spoken:
    """The text of an answer while it grows.

    Args:
        tokenizer: the model's.
        stop: strings before which the text ends.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:  # noqa: ANN401 - of transformers
        self._tokenizer = tokenizer
        self._stop = tuple(filter(None, stop))
        self._tokens: list[int] = []
        self._before = self._read = 0
        self._held = ""
        self.stopped = False
        """Whether a stop string was reached: there is no more text."""

    def push(self, token: int) -> str:
        """What can be sent after one more token.

        Only the newest tokens are decoded, together with those sent just before them: tokenizers write a token in
        another way at the beginning of a text.
        """
        self._tokens.append(token)
        text = self._fresh()
        if text.endswith(_HALF):
            return ""
        self._before, self._read = self._read, len(self._tokens)
        return self._until_stop(text)

    def rest(self) -> str:
        """What is still held back, once there are no more tokens."""
        if self.stopped:
            return ""
        text = self._until_stop(self._fresh())
        self._read = len(self._tokens)
        last, self._held = ("" if self.stopped else self._held), ""
        return text + last

    def _fresh(self) -> str:
        shown = self._decoded(self._tokens[self._before : self._read])
        return self._decoded(self._tokens[self._before :])[len(shown) :]

    def _decoded(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def _until_stop(self, text: str) -> str:
        """The text up to a stop string; what may be the beginning of one is held back."""
        text, self._held = self._held + text, ""
        found = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop string."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
