"""Joint training on what the experts themselves say: the off-policy way to use them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palaestra.posttrain.examples import Example
from palaestra.recipes.experts_to_generalist.grading import grade
from palaestra.recipes.experts_to_generalist.workshop import is_made, taught
from palaestra.recipes.experts_to_generalist.world import mixture
from palaestra.schema import Message


def taught_by_answers(
    out: Path, model: str, experts: Mapping[str, str], prompts: int, settings: Mapping[str, Any]
) -> None:
    """A model learns to write what each domain's expert answers to training prompts, right or wrong.

    Args:
        out: the run's folder.
        model: that it begins as.
        experts: of each domain.
        prompts: of each domain.
        settings: of the supervised training.
    """
    if (out / "run.json").is_file() and is_made(out):
        return
    said: list[Example] = []
    for name, folder in experts.items():
        replies = grade(folder, mixture("train", prompts, 6, says="nothing", domains=(name,))).replies
        said += [
            reply.example.model_copy(update={"completion": (Message.of("assistant", reply.text),)})
            for reply in replies
            if reply.text
        ]
    taught(out, model, said, settings)
