"""Recipes tried on examples: each is merged into a folder, loaded, scored, and thrown away.

Through the disk, as a user would: what is scored is what would be written, in the dtype in which it is written. Also
here: the points of a killed search, read back from the run's metrics.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palaestra.learn.backbone import load_backbone
from palaestra.posttrain.examples import Example
from palaestra.posttrain.held_out import Metric, Scores, scored
from palaestra.posttrain.merging.merge import Models, merge
from palaestra.posttrain.merging.recipe import MergeRecipe
from palaestra.posttrain.merging.search import Point


@dataclass(frozen=True, slots=True)
class Trial:
    """Scores of merges of the same models on the same examples."""

    models: Models
    examples: Sequence[Example]
    metric: Metric
    work: Path
    """A folder for what is thrown away."""

    def __call__(self, recipe: MergeRecipe) -> float:
        """The mean over domains of a recipe's merge; higher is better."""
        folder = self.work / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            merge(recipe, folder, models=self.models)
            return self.of(folder).mean
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def of(self, folder: Path) -> Scores:
        """The scores of a model that is there."""
        found = load_backbone(str(folder))
        return scored(found.model, found.tokenizer, self.examples, self.metric)


def whole_lines(path: Path) -> None:
    """Take away what a killed process left of its last line."""
    if path.is_file():
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            path.write_bytes(data[: data.rfind(b"\n") + 1])


def points_in(path: Path, names: Sequence[str]) -> list[tuple[Point, float]]:
    """The points that a search noted in a run's metrics, in their order.

    Args:
        path: of metrics.jsonl; it may not be there.
        names: of the numbers that are searched.
    """
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(tuple(row[name] for name in names), row["score"]) for row in rows if "evaluation" in row]
