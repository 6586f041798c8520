"""Data that a teacher wrote: several completions of each prompt, of which those that hold are kept.

    rejection sampling, a verifier   all right completions, without duplicates (Yuan et al., RFT, 2023; Zelikman et al.,
                                     STaR, 2022)
    best of n, a reward              the best of each prompt (Touvron et al., Llama 2, 2023)

At most so many of a prompt are kept. What was cut off, failed, or says nothing is never kept, and is counted. Two
completions of one prompt are duplicates if they are the same without case and blanks, or share most of their
five-letter pieces (Broder, 1997, counted exactly); the better one stays.

Not here: who answers (`teacher_answers.py`), what is right (a callable, which `cli/` passes in).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example
from palaestra.posttrain.teacher_answers import Answer
from palaestra.schema import Message
from palaestra.stats.clustered import Estimate, mean, share

_PIECE = 5
"""Letters of a piece."""
_CONFIDENCE = 0.95
_HEADS = (
    "domain", "prompts", "completions", "accepted", "prompts covered", "rejected", "duplicates", "spare", "cut off",
    "failed", "kept",
)  # fmt: skip


Score = Callable[[Sequence[Example], Sequence[str]], Sequence[float]]
"""How good replies to examples are, a number each."""


class DataConfig(BaseModel):
    """How completions are made and chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=4, ge=1)
    """Completions of a prompt."""
    keep: Literal["verifier", "reward"] = "verifier"
    """All that are right, or the best."""
    most: int | None = Field(default=None, ge=1)
    """Kept of a prompt; all right ones, or the one best, if left out."""
    least: float | None = Field(default=None, allow_inf_nan=False)
    """The score from which one is accepted: 1 of a verifier, none of a reward, if left out."""
    near: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity from which two completions of a prompt are duplicates."""
    temperature: float = Field(default=1.0, ge=0)
    """0 takes the likeliest token, and then one completion is enough."""
    max_tokens: int = Field(default=512, ge=1)
    """Of a completion."""
    seed: int = 0
    """Of sampling."""

    @property
    def limit(self) -> int:
        """How many of a prompt are kept, at most."""
        return self.most or (self.n if self.keep == "verifier" else 1)

    @property
    def accepted(self) -> float:
        """The score from which a completion is accepted."""
        return (1.0 if self.keep == "verifier" else -np.inf) if self.least is None else self.least


@dataclass(frozen=True, slots=True)
class DomainYield:
    """What became of the completions of a domain."""

    domain: str
    prompts: int
    completions: int
    failed: int
    """No reply came."""
    cut_off: int
    """Reached the most tokens without an end, or are empty."""
    rejected: int
    duplicates: int
    spare: int
    """Accepted, but more than are kept of a prompt."""
    kept: int
    acceptance: Estimate
    """Share of completions that were accepted, duplicates counted, with an interval over prompts."""
    covered: Estimate
    """Share of prompts of which something was kept."""
    score: Estimate | None
    """Mean score of whole completions; None where there were none."""


@dataclass(frozen=True, slots=True)
class TeacherData:
    """Examples that a teacher wrote, and each domain's yield."""

    examples: tuple[Example, ...]
    domains: tuple[DomainYield, ...]


def choose(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    score: Score,
    config: DataConfig,
    *,
    teacher: str,
) -> TeacherData:
    """Choose among completions.

    Args:
        examples: the prompts.
        answers: of each prompt, draw by draw.
        score: how good a completion is; 1 is right.
        config: how.
        teacher: its name, for the label.

    Raises:
        InputError: a score is no number, or nothing was kept.
    """
    scores = _scores(examples, answers, score)
    fates = _fates(examples, answers, scores, config)
    kept = [
        _written(example, draw, answer, scores[place, draw], teacher)
        for place, (example, own) in enumerate(zip(examples, answers, strict=True))
        for draw, answer in enumerate(own)
        if fates[place, draw] == "kept"
    ]
    domains = tuple(
        _yield(name, [place for place, one in enumerate(examples) if one.domain == name], answers, scores, fates)
        for name in sorted({example.domain for example in examples})
    )
    if not kept:
        counts = ", ".join(
            f"{sum(getattr(d, what) for d in domains)} {what}" for what in ("failed", "cut_off", "rejected")
        )
        raise InputError(
            f"found no completion to keep among {sum(d.completions for d in domains)}: {counts}; expected some: take a "
            "better teacher, more tokens, or a lower least score"
        )
    return TeacherData(tuple(kept), domains)


def data_card(name: str, found: TeacherData, config: DataConfig, *, teacher: str, score: str) -> str:
    """The card of a data set that a teacher wrote."""
    of = "all right ones" if config.keep == "verifier" and config.most is None else f"at most {config.limit}"
    lines = [
        f"# {name}",
        "",
        f"Completions by {teacher}: {config.n} of each prompt, at most {config.max_tokens} tokens each.",
        f"Temperature {config.temperature:g}, seed {config.seed}.",
        f"Kept of a prompt: {of}, by {score}; duplicates (Jaccard {config.near:g}) once.",
        "",
        f"| {' | '.join(_HEADS)} |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {one.domain} | {one.prompts:,} | {one.completions:,} | {interval(one.acceptance)} | "
            f"{interval(one.covered)} | {one.rejected:,} | {one.duplicates:,} | {one.spare:,} | {one.cut_off:,} | "
            f"{one.failed:,} | {one.kept:,} |"
            for one in found.domains
        ),
        "",
        "Intervals (95 %) are over prompts. What a verifier accepts may have come to its answer by a wrong way.",
    ]
    return "\n".join(lines) + "\n"


def interval(one: Estimate) -> str:
    """A share in percent with its interval."""
    return f"{one.value:.1%}" + ("" if one.lower is None else f" ({one.lower:.1%} to {one.upper:.1%})")


def normalised(text: str) -> str:
    """A text in lower case, with single blanks, and one spelling for each letter."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def likeness(one: str, other: str) -> float:
    """Jaccard similarity of two normalised texts' five-letter pieces; of a shorter text, itself."""
    first, second = _pieces(one), _pieces(other)
    return len(first & second) / len(first | second)


def _pieces(text: str) -> set[str]:
    return {text[start : start + _PIECE] for start in range(max(len(text) - _PIECE + 1, 1))}


def _scores(
    examples: Sequence[Example], answers: Sequence[Sequence[Answer]], score: Score
) -> dict[tuple[int, int], float]:
    """The score of each whole completion, by prompt and draw."""
    whole = [(place, draw) for place, own in enumerate(answers) for draw, one in enumerate(own) if one.whole]
    if not whole:
        return {}
    found = score([examples[place] for place, _ in whole], [answers[place][draw].text or "" for place, draw in whole])
    for (place, _), value in zip(whole, found, strict=True):
        if not np.isfinite(value):
            raise InputError(f"found the score {value} of a completion of {examples[place].id}, expected a number")
    return dict(zip(whole, map(float, found), strict=True))


def _fates(
    examples: Sequence[Example],
    answers: Sequence[Sequence[Answer]],
    scores: dict[tuple[int, int], float],
    config: DataConfig,
) -> dict[tuple[int, int], str]:
    """What becomes of each completion. Those of equal prompts are held against each other, in their order."""
    fates: dict[tuple[int, int], str] = {}
    said: dict[tuple[str, str], list[str]] = {}
    for place, own in enumerate(answers):
        texts = said.setdefault((examples[place].domain, repr(examples[place].prompt)), [])
        kept = 0
        for draw in sorted(range(len(own)), key=lambda draw: (-scores.get((place, draw), 0.0), draw)):
            answer = own[draw]
            if not answer.whole:
                fates[place, draw] = "failed" if answer.error is not None else "cut_off"
                continue
            text = normalised(answer.text or "")
            if scores[place, draw] < config.accepted:
                fates[place, draw] = "rejected"
            elif any(likeness(text, other) >= config.near for other in texts):
                fates[place, draw] = "duplicates"
            elif kept == config.limit:
                fates[place, draw] = "spare"
            else:
                fates[place, draw] = "kept"
                texts.append(text)
                kept += 1
    return fates


def _written(example: Example, draw: int, answer: Answer, score: float, teacher: str) -> Example:
    labels = {**example.labels, "teacher": teacher, "draw": str(draw), "score": f"{score:g}"}
    said = (Message.of("assistant", answer.text or ""),)
    return example.model_copy(update={"id": f"{example.id}#{draw}", "completion": said, "labels": labels})


def _yield(
    name: str,
    places: Sequence[int],
    answers: Sequence[Sequence[Answer]],
    scores: dict[tuple[int, int], float],
    fates: dict[tuple[int, int], str],
) -> DomainYield:
    every = [(place, draw) for place in places for draw in range(len(answers[place]))]
    count = {fate: sum(fates[key] == fate for key in every) for fate in ("failed", "cut_off", "rejected", "duplicates", "spare", "kept")}  # fmt: skip  # noqa: E501
    cluster_B = np.array([place for place, _ in every])
    good_B = np.array([fates[key] in {"kept", "spare", "duplicates"} for key in every])
    some_P = np.array([any(fates[place, draw] == "kept" for draw in range(len(answers[place]))) for place in places])
    scored = [key for key in every if key in scores]
    score = None
    if scored:
        value_B = np.array([scores[key] for key in scored])
        score = mean(value_B, np.array([place for place, _ in scored]), _CONFIDENCE)
    return DomainYield(
        name, len(places), len(every), **count, acceptance=share(good_B, cluster_B, _CONFIDENCE),
        covered=share(some_P, np.arange(len(places)), _CONFIDENCE), score=score,
    )  # fmt: skip
