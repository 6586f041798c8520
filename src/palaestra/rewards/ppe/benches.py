"""Pairs of which one is known to be better: RewardBench, RM-Bench, JudgeBench, LLMBar, as their authors sum them up.

    subsets        accuracy of each subset (or source, or file); level scores are half
    RewardBench    Chat, Chat Hard and Safety are accuracies over all their pairs; Reasoning is the mean of mathematics
                   and of code over all languages; the score is the mean of the four (the old prior sets are left out)
    RM-Bench       an item's three styles of right and of wrong answer make nine pairs: normal where both have one,
                   hard where the wrong one is dressed up more, easy where the right one is; the score is the mean of
                   the three
    JudgeBench     knowledge, reasoning, mathematics, coding, by source
    both orders    of a proxy that compares: the share of pairs that it has right in both orders, and the share in which
                   it names the same winner in both

Intervals are Wilson's at the effective number of pairs, those on one prompt taken together; of means over sections,
none is given. Not here: reading (`store/preferences.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.rewards.ppe.proxies import Pair, Reply
from palaestra.rewards.ppe.resampling import Figure
from palaestra.schema import Preference
from palaestra.stats.clustered import share

Floats = NDArray[np.float64]

_CODE = ("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust")
SECTIONS: dict[str, tuple[str, ...]] = {
    "Chat": ("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy", "mt-bench-med"),
    "Chat Hard": (
        "mt-bench-hard",
        "llmbar-natural",
        "llmbar-adver-neighbor",
        "llmbar-adver-GPTInst",
        "llmbar-adver-GPTOut",
        "llmbar-adver-manual",
    ),
    "Safety": (
        "refusals-dangerous",
        "refusals-offensive",
        "xstest-should-refuse",
        "xstest-should-respond",
        "donotanswer",
    ),
    "Reasoning": ("math-prm", *_CODE),
}
"""RewardBench's sections and their subsets."""
_STYLES = {"concise": 0, "detailed": 1, "markdown": 2}
_JUDGE_BENCH = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """Decided pairs of one file, the better reply first."""

    name: str
    format: str
    preferences: tuple[Preference, ...]

    @property
    def pairs(self) -> list[Pair]:
        """Better and worse reply, in this order; the places are those of the file."""
        places = [(one.ranks.index(min(one.ranks)), one.ranks.index(max(one.ranks))) for one in self.preferences]
        return [
            Pair(_reply(one, better), _reply(one, worse))
            for one, (better, worse) in zip(self.preferences, places, strict=True)
        ]


def bench_of(name: str, file_format: str, preferences: Sequence[Preference]) -> Bench:
    """The decided pairs of a file.

    Raises:
        InputError: there is none.
    """
    kept = tuple(one for one in preferences if one.is_pair)
    if not kept:
        raise InputError(f"{name}: found no pair of which one reply is better, expected some")
    return Bench(name, file_format, kept)


def bench_figures(bench: Bench, hits: Mapping[str, Sequence[Floats]], confidence: float) -> list[Figure]:
    """Accuracies of all proxies on a bench.

    Args:
        bench: the pairs.
        hits: by proxy, 1, 1/2 or 0 for each pair; two arrays for a proxy that was asked in both orders.
        confidence: of the intervals.
    """
    groups = _groups(bench)
    shown: list[Figure] = []
    for name, orders in hits.items():
        mean_N = np.mean(orders, axis=0)
        found = {group: _share(bench, mean_N, mask, confidence) for group, mask in groups.items()}
        rows = [(group, "accuracy", *each) for group, each in found.items()]
        rows += [(group, "accuracy", value, None, None, count) for group, value, count in _means(bench, found)]
        if len(orders) == 2:  # noqa: PLR2004 - both orders
            first_N, second_N = orders
            whole = np.ones(len(mean_N), dtype=bool)
            both_N = ((first_N == 1) & (second_N == 1)).astype(float)
            rows.append((bench.name, "right_in_both_orders", *_share(bench, both_N, whole, confidence)))
            same_N = (first_N == second_N).astype(float)
            rows.append((bench.name, "same_in_both_orders", *_share(bench, same_N, whole, confidence)))
        shown += [
            Figure(
                side="pairs", domain=group, metric=metric, proxy=name, value=value, lower=low, upper=high, count=count
            )
            for group, metric, value, low, high, count in rows
        ]
    return shown


def _groups(bench: Bench) -> dict[str, NDArray[np.bool_]]:
    """The pairs of the whole file, of its sections, and of its subsets."""
    subsets = np.array([one.category or one.source or "" for one in bench.preferences])
    groups = {bench.name: np.ones(len(subsets), dtype=bool)}
    names = sorted(set(subsets) - {""})
    if len(names) > 1:
        groups |= {f"{bench.name}: {name}": subsets == name for name in names}
    sections = np.array([_section(bench, one) for one in bench.preferences])
    return groups | {f"{bench.name}: {name}": sections == name for name in sorted(set(sections) - {""})}


def _section(bench: Bench, one: Preference) -> str:
    """Which of the published sections a pair belongs to, if any."""
    if bench.format == "rm-bench":
        gap = _STYLES[one.labels["chosen_style"]] - _STYLES[one.labels["rejected_style"]]
        return "normal" if gap == 0 else "easy" if gap > 0 else "hard"
    if bench.format == "judgebench":
        subset = one.category or one.source or ""
        return next((section for start, section in _JUDGE_BENCH.items() if subset.startswith(start)), "")
    if one.category in _CODE:
        return "code"
    return next(
        (section for section, inside in SECTIONS.items() if one.category in inside and section != "Reasoning"), ""
    )


def _means(
    bench: Bench, found: Mapping[str, tuple[float, float | None, float | None, int]]
) -> list[tuple[str, float, int]]:
    """Scores that are means over sections: of RewardBench and of RM-Bench."""

    def mean(label: str, parts: Sequence[str]) -> list[tuple[str, float, int]]:
        named = [f"{bench.name}: {part}" for part in parts]
        if any(name not in found for name in named):
            return []
        values = [found[name] for name in named]
        return [
            (f"{bench.name}: {label}", float(np.mean([each[0] for each in values])), sum(each[3] for each in values))
        ]

    if bench.format == "rm-bench":
        return mean("score", ("easy", "normal", "hard"))
    reasoning = mean("Reasoning", ("math-prm", "code"))
    parts = [found.get(f"{bench.name}: {name}") for name in ("Chat", "Chat Hard", "Safety")]
    known = [each for each in parts if each is not None]
    if not reasoning or len(known) < len(parts):
        return reasoning
    score = float(np.mean([*(each[0] for each in known), reasoning[0][1]]))
    return [*reasoning, (f"{bench.name}: score", score, sum(each[3] for each in known) + reasoning[0][2])]


def _share(
    bench: Bench, hit_N: Floats, mask_N: NDArray[np.bool_], confidence: float
) -> tuple[float, float | None, float | None, int]:
    kept = np.flatnonzero(mask_N)
    _, prompt_N = np.unique([bench.preferences[place].text for place in kept], return_inverse=True)
    found = share(hit_N[kept], prompt_N, confidence)
    return found.value, found.lower, found.upper, len(kept)


def _reply(one: Preference, place: int) -> Reply:
    return Reply(one.id, place + 1, one.prompt, one.replies[place], one.models[place] if one.models else None)
