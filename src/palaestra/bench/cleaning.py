"""Which prompts can be asked at all: of a fit length, without control characters, in a language that was asked for.

Lengths are in characters of all turns together. The paper's program drops what has 32 characters or fewer; it cuts what
is longer than 10,000, which changes the question, so that here it is dropped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from palaestra.errors import InputError
from palaestra.schema import Prompt

_PLAIN = "\t\n\r\f"
_CONTROLS = ("Cc", "Cs")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A prompt that went, where and why; `like` is the prompt that it is too much like, `likeness` how much."""

    id: str
    step: str
    reason: str
    like: str | None = None
    likeness: float | None = None


def clean(
    prompts: Sequence[Prompt], *, shortest: int, longest: int, languages: Sequence[str]
) -> tuple[list[Prompt], list[Dropped]]:
    """The prompts that can be asked, and the others, each in the order given.

    Raises:
        InputError: languages are asked for, and no prompt says its own.
    """
    if languages and not any(prompt.language for prompt in prompts):
        raise InputError(
            f"found no language with any of {len(prompts)} prompts, expected a column language to keep "
            f"{', '.join(languages)} by; fill it, or leave --languages out"
        )
    wanted = {language.casefold() for language in languages}
    kept, dropped = [], []
    for prompt in prompts:
        reason = _length(prompt.text, shortest, longest) or _letters(prompt.text) or _language(prompt, wanted)
        if reason is None:
            kept.append(prompt)
        else:
            dropped.append(Dropped(prompt.id, "cleaning", reason))
    return kept, dropped


def _length(text: str, shortest: int, longest: int) -> str | None:
    if not text.strip():
        return "empty"
    if len(text) < shortest:
        return f"shorter than {shortest} characters"
    return f"longer than {longest} characters" if len(text) > longest else None


def _letters(text: str) -> str | None:
    odd = any(letter not in _PLAIN and unicodedata.category(letter) in _CONTROLS for letter in set(text))
    return "control characters" if odd else None


def _language(prompt: Prompt, wanted: set[str]) -> str | None:
    if not wanted or (prompt.language or "").casefold() in wanted:
        return None
    return "another language" if prompt.language else "no language"
