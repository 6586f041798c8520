"""What can be counted in a prompt's text, beside its vector: length, form, and a few kinds of words.

A vector of a whole text hardly knows how long it is, or whether there is a digit in it; a judge sees both. Each feature
is a number of one text alone. Words are English ones; in other languages those features are zero, and the rest holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_TASKS = frozenset(
    re.findall(
        r"\w+",
        "add analyze analyse build calculate compare compute convert create debug derive describe design develop "
        "determine explain evaluate find fix generate give implement improve list make optimize outline plan prove "
        "provide rewrite show simulate solve suggest summarize translate write",
    )
)
_WHO = frozenset(("i", "my", "me", "we", "our", "us"))
_MADE_UP = frozenset(
    re.findall(r"\w+", "story poem song character characters fiction novel imagine funny creative joke scene dialogue")
)
_CODE = re.compile(
    r"```|\b(?:def|class|import|return|function|const|SELECT)\b[^.?!\n]*[({:;=]|[{};]\s*$|=>|</\w+>", re.MULTILINE
)
_FORMULA = re.compile(r"\$[^$\n]+\$|\\(?:frac|sum|int|begin)\b|[0-9a-z)]\s*[=^<>]\s*[0-9a-z(]", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:[-*]|\d+[.)])\s", re.MULTILINE)

FEATURES = (
    "log_characters",
    "log_words",
    "log_lines",
    "has_digit",
    "share_of_digits",
    "log_numbers",
    "mean_word",
    "longest_word",
    "has_long_word",
    "questions",
    "has_code",
    "has_formula",
    "log_items",
    "capitals",
    "tasks",
    "begins_with_task",
    "first_person",
    "made_up",
)
"""Names of the features, in the order of the array."""
_LONG = 12


def text_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Features of texts, of shape (texts, features), in the order of `FEATURES`."""
    return np.array([_of(text) for text in texts], dtype=np.float64).reshape(len(texts), len(FEATURES))


def _of(text: str) -> list[float]:
    words = _WORD.findall(text.lower())
    longest = max(map(len, words), default=0)
    tasks = sum(word in _TASKS for word in words)
    letters = max(len(text), 1)
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        np.log1p(text.count("\n")),
        float(any(letter.isdigit() for letter in text)),
        sum(map(str.isdigit, text)) / letters,
        np.log1p(sum(word.isdigit() for word in words)),
        sum(map(len, words)) / max(len(words), 1),
        np.log1p(longest),
        float(longest >= _LONG),
        np.log1p(text.count("?")),
        float(bool(_CODE.search(text))),
        float(bool(_FORMULA.search(text))),
        np.log1p(len(_ITEM.findall(text))),
        sum(map(str.isupper, text)) / letters,
        np.log1p(tasks),
        float(bool(words) and words[0] in _TASKS),
        float(any(word in _WHO for word in words)),
        float(any(word in _MADE_UP for word in words)),
    ]
