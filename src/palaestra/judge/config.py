"""What a run of judges is: `palaestra judge run`'s flags, the TOML section, and the record that the run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from palaestra.judge.schedule import ScheduleName


class RunConfig(BaseModel):
    """A run of judges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: Path
    """A set of prompts, a file of questions or a folder of texts."""
    models: tuple[str, ...] = ()
    """The contestants, by their names in models.toml or in the files of answers; all of the latter if none is named."""
    judges: tuple[str, ...] = ()
    """Who judges, by name in models.toml; several are a jury, and nobody means answers only."""
    answers: tuple[Path, ...] = ()
    """Answers that are there already: files or folders of Arena-Hard, MT-Bench, AlpacaEval or lm-evaluation-harness."""
    protocol: str = "pairwise"
    """arena-hard-v0.1, arena-hard-v2, pairwise, reference, letter, grade, or a TOML file."""
    baselines: tuple[str, ...] = ()
    """Whom the others are compared with: NAME for all questions, CATEGORY=NAME for one; of several each is met."""
    schedule: ScheduleName = "baseline"
    """baseline, all (every pair), or active (rounds of the pairs that say most)."""
    budget: int | None = Field(default=None, ge=1)
    """Of the active schedule: games, one a meeting; half of those of one baseline in both orders if None."""
    rounds: int = Field(default=8, ge=1)
    """Of the active schedule: in how many rounds."""
    rubric: Path | None = None
    """A text that tells the judges what good answers are like here."""
    seed: int = 0
    """Of the schedule; also sent with every request, for endpoints that know one."""


def planned_baseline(config: Mapping[str, Any], category: str | None = None) -> str | None:
    """The single baseline of a run that was planned with one.

    Args:
        config: as the run's record keeps it.
        category: of the questions that are looked at; all if None.

    Returns:
        Its name; None where there are several, or none.
    """
    met = config.get("met") or []
    if len(met) != 1:
        return None
    (by_category,) = met
    if category is not None:
        return by_category.get(category)
    names = set(by_category.values())
    return names.pop() if len(names) == 1 else None
