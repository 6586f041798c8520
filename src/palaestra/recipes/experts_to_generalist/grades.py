"""Which held-out prompts a model of the story answers right, kept beside it, so that models are compared in pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palaestra.recipes.experts_to_generalist.grading import grade
from palaestra.recipes.experts_to_generalist.world import LONGEST_WORKING, Says, Split, mixture
from palaestra.store.records import write_text

Flags = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Right:
    """By domain, which prompts were answered right (1 or 0), in how many tokens; the same prompts for every model."""

    right: Mapping[str, Flags]
    tokens: Mapping[str, Flags]

    def by_domain(self) -> dict[str, float]:
        """The share that is right, by domain."""
        return {name: float(flags.mean()) for name, flags in self.right.items()}

    @property
    def mean(self) -> float:
        """The mean over domains."""
        return float(np.mean(list(self.by_domain().values())))

    @property
    def mean_tokens(self) -> float:
        """Tokens of a reply, the mean over domains."""
        return float(np.mean([flags.mean() for flags in self.tokens.values()]))


def graded(out: Path, split: Split, count: int, domains: Sequence[str], *, says: Says = "answer") -> None:
    """Let a model answer, and keep what came of it; nothing is done where that is kept already.

    Args:
        out: the model's run folder.
        split: of the world.
        count: prompts of a domain.
        domains: which.
        says: whether the model answers at once or writes workings, which are longer.
    """
    file = _file(out, split)
    if file.is_file():
        return
    longest = {"max_tokens": LONGEST_WORKING} if says == "working" else {}
    found = grade(str(out / "model"), mixture(split, count, 0, says="nothing", domains=tuple(domains)), **longest)
    rows: dict[str, dict[str, list[float]]] = {name: {"right": [], "tokens": []} for name in domains}
    for reply in sorted(found.replies, key=lambda reply: reply.example.id):
        rows[reply.example.domain]["right"].append(float(reply.right))
        rows[reply.example.domain]["tokens"].append(float(reply.tokens))
    write_text(file, json.dumps(rows))


def read_right(out: Path, split: Split = "test") -> Right:
    """What `graded` kept."""
    rows = json.loads(_file(out, split).read_text(encoding="utf-8"))
    return Right(
        {name: np.array(row["right"]) for name, row in rows.items()},
        {name: np.array(row["tokens"]) for name, row in rows.items()},
    )


def one_of_each(base: Path, experts: Mapping[str, Path], split: Split = "test") -> tuple[Right, Right]:
    """The base, and of each domain its own expert."""
    own = {name: read_right(out, split) for name, out in experts.items()}
    best = Right({n: r.right[n] for n, r in own.items()}, {n: r.tokens[n] for n, r in own.items()})
    return read_right(base, split), best


def halves(of: Right) -> tuple[Right, Right]:
    """Every second prompt of each domain, and the others."""
    first, second = (
        Right({n: f[at::2] for n, f in of.right.items()}, {n: f[at::2] for n, f in of.tokens.items()}) for at in (0, 1)
    )
    return first, second


def _file(out: Path, split: Split) -> Path:
    return out / f"{split}-grades.json"
