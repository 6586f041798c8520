"""Search in texts by words: Okapi BM25 (Robertson and Zaragoza, 2009), k1 = 1.5 and b = 0.75.

    score(q, d) = sum over t in q of idf(t) f(t, d) (k1 + 1) / (f(t, d) + k1 (1 - b + b |d| / mean |d|))
    idf(t) = log(1 + (N - n(t) + 1/2) / (n(t) + 1/2))

A word is a run of letters and digits in small letters; there is no stemming, and no stop word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_K1, _B = 1.5, 0.75


def words(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return _WORD.findall(text.casefold())


class Index:
    """An index of texts in memory."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [Counter(words(text)) for text in texts]
        self._lengths = [count.total() for count in counted]
        self._mean = sum(self._lengths) / max(len(texts), 1) or 1.0
        self._found: dict[str, list[tuple[int, int]]] = {}
        for place, count in enumerate(counted):
            for word, times in count.items():
                self._found.setdefault(word, []).append((place, times))

    def best(self, query: str, most: int) -> list[tuple[int, float]]:
        """Places and scores of the texts that fit best, the best first; those without any word of it are left out."""
        scores: dict[int, float] = {}
        for word in words(query):
            having = self._found.get(word, [])
            idf = math.log(1 + (len(self._lengths) - len(having) + 0.5) / (len(having) + 0.5))
            for place, times in having:
                length = 1 - _B + _B * self._lengths[place] / self._mean
                scores[place] = scores.get(place, 0.0) + idf * times * (_K1 + 1) / (times + _K1 * length)
        return sorted(scores.items(), key=lambda each: (-each[1], each[0]))[:most]
