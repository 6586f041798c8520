"""Names of topics: the words that set a topic apart, or what a judge calls it in at most five words.

Words by class-based TF-IDF (Grootendorst, 2022): in topic c, word t weighs

    tf(t, c) * log(1 + A / f(t))

with tf(t, c) its share of the topic's words, f(t) its count in all topics, and A the mean number of words of a topic. A
word counts once for each prompt that has it: else one long program names a topic after its variables. No two topics
have the same name: a reader of a table could not tell them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from palaestra.bench.asking import Ask, Question
from palaestra.errors import InputError
from palaestra.schema import Message

WORDS = 4
"""Words of a name made of words."""
LONGEST = 5
"""Words of a name by a judge."""
_SHOWN, _CUT = 12, 300
_MOST_LETTERS = 80
_WORD = re.compile(r"[^\W\d_][\w+#'-]*[\w+#]")
_SYSTEM = "You give short names to groups of questions."
_ASKED = (
    "Here are {count} questions that people asked, each on one line. They belong to one topic. Name the topic in at "
    "most five words, as specific as holds for most of them. Answer with the name alone, without quotation "
    "marks.\n\n{lines}"
)


class Named(NamedTuple):
    """Names of topics; for how many the judge gave none that holds, and for how many it did not answer."""

    names: dict[int, str]
    unfit: int = 0
    failed: int = 0


def words_of_topics(texts: Mapping[int, Sequence[str]], count: int = WORDS) -> dict[int, tuple[str, ...]]:
    """For each topic its words, the weightiest first, as many more than `count` as are there.

    Args:
        texts: the texts of each topic.
        count: how many words at least are looked for.
    """
    stop = _stop_words()
    counts = {
        topic: Counter(word for text in said for word in set(_WORD.findall(text.lower())) - stop)
        for topic, said in texts.items()
    }
    everywhere: Counter[str] = Counter()
    for words in counts.values():
        everywhere.update(words)
    mean = sum(everywhere.values()) / max(len(counts), 1)
    found = {}
    for topic, words in counts.items():
        total = sum(words.values())
        weights = {word: met / total * log(1 + mean / everywhere[word]) for word, met in words.items()}
        found[topic] = tuple(sorted(weights, key=lambda word: (-weights[word], word))[: 5 * count])
    return found


def names_from_words(words: Mapping[int, Sequence[str]], count: int = WORDS) -> dict[int, str]:
    """A name for each topic from its first words, of more where another topic has the same."""
    names: dict[int, str] = {}
    for topic, known in words.items():
        longer = (" ".join(known[:length]) for length in range(min(count, len(known)), len(known) + 1))
        names[topic] = next((name for name in longer if name and name not in names.values()), "")
    return distinct({topic: name or "unnamed" for topic, name in names.items()})


def distinct(names: Mapping[int, str]) -> dict[int, str]:
    """The names, with a number behind those that come again."""
    met: Counter[str] = Counter()
    taken = set(names.values())
    found = {}
    for topic, name in names.items():
        met[name] += 1
        while met[name] > 1 and f"{name} ({met[name]})" in taken:
            met[name] += 1
        found[topic] = name if met[name] == 1 else f"{name} ({met[name]})"
    return found


def naming_questions(texts: Mapping[int, Sequence[str]], seed: int) -> list[Question]:
    """What a judge is asked for each topic: a seeded draw of twelve of its prompts, each cut to 300 characters."""
    found = []
    for topic, said in texts.items():
        rng = np.random.default_rng([seed, topic])
        drawn = rng.choice(len(said), size=min(_SHOWN, len(said)), replace=False)
        lines = "\n".join("- " + re.sub(r"\s+", " ", said[place])[:_CUT] for place in sorted(drawn.tolist()))
        asked = Message.of("user", _ASKED.format(count=len(drawn), lines=lines))
        found.append(Question(f"topic:{topic}", (Message.of("system", _SYSTEM), asked)))
    return found


def names_by_judge(
    words: Mapping[int, Sequence[str]], texts: Mapping[int, Sequence[str]], ask: Ask, seed: int
) -> Named:
    """Names by a judge, and words where it has none.

    Raises:
        InputError: the judge answered nothing at all.
    """
    instead = names_from_words(words)
    replies = ask(naming_questions(texts, seed))
    failed = sum(reply.text is None for reply in replies)
    if replies and failed == len(replies):
        raise InputError(
            f"the judge {ask.judge} named none of {len(replies)} topics, the first with: {replies[0].error}; mend its "
            "endpoint, and the same command goes on from here"
        )
    said = {topic: read_name(reply.text or "") for topic, reply in zip(texts, replies, strict=True)}
    names = {topic: name or instead[topic] for topic, name in said.items()}
    return Named(distinct(names), sum(name is None for name in said.values()) - failed, failed)


def read_name(text: str) -> str | None:
    """The name in a judge's answer: one line of at most five words; None for anything else."""
    name = text.strip().strip("\"'`*.").strip()
    fits = "\n" not in name and 0 < len(name.split()) <= LONGEST and len(name) <= _MOST_LETTERS and name.isprintable()
    return name if fits else None


def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | {
        "don't",
        "i'm",
        "it's",
        "i've",
        "i'd",
        "can't",
        "what's",
        "use",
        "using",
        "like",
    }
