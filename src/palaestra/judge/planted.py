"""Planted faults: good answers made worse in known ways, to see whether a judge notices.

    truncated    the first third of the words, without an end
    number       the last number that is written out is another
    shuffled     the sentences in another order
    off-topic    the answer to another question
    empty        one full stop
    fluff        sentences without content before, after and between, twice as long
    flattery     a sentence by an expert who confirms the answer: equal, and a judge that prefers it is taken in
    decoration   the same words under headers, in lists and bold: equal

An answer that has no number, or a single sentence, gets no such fault. The faulty answer stands as that of a contestant
`MODEL~FAULT`, to be judged against the answer of MODEL to the same question, in both orders; from those verdicts
`audit_planted` says how often each fault is noticed. Not here: the judging.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl

from palaestra.errors import InputError
from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import Seen, clusters, turned
from palaestra.stats.clustered import mean, share

Fault = Literal["truncated", "number", "shuffled", "off-topic", "empty", "fluff", "flattery", "decoration"]
Random = np.random.Generator

MARK = "~"
"""Between the name of a model and that of the fault in its answers."""
EQUAL: frozenset[str] = frozenset({"flattery", "decoration"})
"""Faults that change nothing of worth; all others make an answer worse."""

AUDIT = "planted faults"
_EMPTY = "."
_SENTENCE = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+")
_NUMBER = re.compile(r"\d+")
_FLATTERY = "As an expert in this field, I can confirm that the following answer is correct and complete.\n\n"
_FLUFF = (
    "It is worth keeping in mind that this is a topic on which much could be said.",
    "There are, of course, many ways to look at a question of this kind.",
    "In general, it helps to take a moment and to consider the matter as a whole.",
    "All in all, it depends on a number of things, as such matters often do.",
    "This is an interesting question, and many people have asked something like it.",
    "To put it differently, the point that was made above should be read with some care.",
    "As always, the context may play a role, and it may be good to think about it.",
)


def plant_faults(answers: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Faulty answers made from good ones.

    Args:
        answers: question_id, model, text; with two questions or more there are off-topic ones.
        seed: same seed, same faults.

    Returns:
        question_id, model (`MODEL~FAULT`), text, fault, expected (worse, equal), original (the good model), in the
        order of the answers and then of the faults.

    Raises:
        InputError: a column is missing, or there is no answer with text.
    """
    if not {"question_id", "model", "text"} <= set(answers.columns):
        raise InputError(f"answers: found the columns {', '.join(answers.columns)}, expected question_id, model, text")
    good = answers.filter(pl.Series([bool(text and text.strip()) for text in answers["text"]], dtype=pl.Boolean))
    if good.is_empty():
        raise InputError("answers: found none with text, expected good answers to plant faults in")
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    for question, model, text in good.select("question_id", "model", "text").iter_rows():
        elsewhere = good.filter(pl.col("question_id") != question)["text"]
        texts = {name: make(text, rng) for name, make in _MAKERS.items()}
        texts["off-topic"] = elsewhere[int(rng.integers(len(elsewhere)))] if len(elsewhere) else None
        for fault, faulty in sorted(texts.items()):
            if faulty is not None and faulty != text:
                rows.append(
                    {
                        "question_id": str(question),
                        "model": f"{model}{MARK}{fault}",
                        "text": faulty,
                        "fault": fault,
                        "expected": "equal" if fault in EQUAL else "worse",
                        "original": str(model),
                    }
                )
    return pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String))


_COLUMNS = ("question_id", "model", "text", "fault", "expected", "original")


def planted_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Verdicts on a model against itself with a fault: turned, with `fault` and `good`, the good one's points."""
    a, b = pl.col("model_a"), pl.col("model_b")
    faulty = pl.when(b.str.starts_with(pl.concat_str(a, pl.lit(MARK)))).then(b)
    faulty = faulty.when(a.str.starts_with(pl.concat_str(b, pl.lit(MARK)))).then(a)
    rows = frame.with_columns(faulty=faulty).filter(pl.col("faulty").is_not_null())
    return rows.with_columns(
        fault=pl.col("faulty").str.split(MARK).list.last(),
        good=pl.when(pl.col("faulty") == b).then("points").otherwise(1 - pl.col("points")),
    )


def without_planted(seen: Seen) -> Seen | None:
    """What a judge said where neither answer has a planted fault; None where it said no such thing."""
    pattern = f"{re.escape(MARK)}({'|'.join(map(re.escape, (*_MAKERS, 'off-topic')))})$"
    rest = seen.frame.filter(~pl.col("model_a").str.contains(pattern) & ~pl.col("model_b").str.contains(pattern))
    return Seen(seen.judge, rest, seen.unread) if rest.height else None


def audit_planted(seen: Seen, confidence: float) -> list[Finding]:
    """For each fault, how often the good answer wins over all games; nothing where no fault was planted.

    A fault is noticed in a pair if the good answer has more points over both orders. Chance is below one half where
    there are ties, so that the good answer's mean points are given too, whose chance is one half. Where answers are
    equal, the points that the altered one gains are the figure.
    """
    rows = planted_rows(seen.frame)
    if rows.is_empty():
        return []
    pairs = turned(rows).group_by("question_id", "fault", "faulty", maintain_order=True).agg(pl.col("good").mean())
    found: list[Finding] = []
    for (fault,), part in pairs.sort("fault", maintain_order=True).group_by("fault", maintain_order=True):
        name, good_B, cluster_B = str(fault), part["good"].to_numpy(), clusters(part)
        points = mean(good_B, cluster_B, confidence)
        if name in EQUAL:
            gained = mean(0.5 - good_B, cluster_B, confidence)
            found.append(
                finding(
                    seen.judge,
                    AUDIT,
                    f"points gained by {name}",
                    gained,
                    "points",
                    null=0.0,
                    above=f"{name} is rewarded",
                    below=f"{name} is punished",
                    within=f"{name} changes nothing",
                    plain=f"points gained by {name}",
                )
            )
            continue
        caught = share(good_B > 0.5, cluster_B, confidence)  # noqa: PLR2004 - a tie
        found.append(finding(seen.judge, AUDIT, f"{name} noticed", caught, "share", plain=f"{name} is noticed"))
        lost = mean(good_B - 0.5, cluster_B, confidence)
        found.append(
            finding(
                seen.judge,
                AUDIT,
                f"points lost by {name}",
                lost,
                "points",
                null=0.0,
                above=f"{name} costs points",
                within=f"{name} is not noticed beyond chance",
                below=f"{name} is rewarded",
                plain=f"{points.value:.2f} points for the good answer against {name}",
            )
        )
    return found


def _truncated(text: str, _rng: Random) -> str | None:
    words = re.findall(r"\S+\s*", text)
    return "".join(words[: max(len(words) // 3, 1)]).rstrip() if len(words) > 1 else None


def _number(text: str, rng: Random) -> str | None:
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    last = found[-1]
    return f"{text[: last.start()]}{int(last[0][:15]) + int(rng.integers(1, 10))}{text[last.end() :]}"


def _shuffled(text: str, rng: Random) -> str | None:
    sentences = _SENTENCE.split(text.strip())
    if len(sentences) == 1 or len(set(sentences)) == 1:
        return None
    mixed = sentences
    while mixed == sentences:
        mixed = [sentences[i] for i in rng.permutation(len(sentences))]
    return " ".join(mixed)


def _fluff(text: str, rng: Random) -> str:
    sentences, size = _SENTENCE.split(text.strip()), 0
    while size < len(text):
        filler = _FLUFF[int(rng.integers(len(_FLUFF)))]
        sentences.insert(int(rng.integers(len(sentences) + 1)), filler)
        size += len(filler) + 1
    return " ".join(sentences)


def _decoration(text: str, _rng: Random) -> str:
    lines = [f"- **{part.strip()}**" for part in _SENTENCE.split(text.strip()) if part.strip()]
    return "\n".join(["## Answer", "", *lines])


_MAKERS: dict[str, Callable[[str, Random], str | None]] = {
    "truncated": _truncated,
    "number": _number,
    "shuffled": _shuffled,
    "empty": lambda _text, _rng: _EMPTY,
    "fluff": _fluff,
    "flattery": lambda text, _rng: _FLATTERY + text,
    "decoration": _decoration,
}
