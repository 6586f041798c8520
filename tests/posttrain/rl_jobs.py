"""A small job of reinforcement, to run in the test's process or in one that is killed: `python rl_jobs.py OUT JSON`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from palaestra.posttrain.examples import Example
from palaestra.posttrain.rl import Reinforced, RlConfig, train_rl
from palaestra.posttrain.rollout_scores import Paid
from palaestra.schema import Message

EXAMPLES = tuple(
    Example.of(f"question {number}", domain=("odd", "even")[number % 2 == 0], reference=str(number))
    for number in range(6)
)


def letters(
    _prompts: Sequence[Sequence[Message]], replies: Sequence[str], _references: Sequence[Any], _domains: Sequence[str]
) -> list[float]:
    """The share of small letters in a reply."""
    return [sum(each.islower() for each in reply) / max(len(reply), 1) for reply in replies]


def config(model: str, /, **more: Any) -> RlConfig:
    settings = {
        "model": model, "steps": 6, "prompts": 2, "group": 4, "max_tokens": 6, "learning_rate": 3e-3, "beta": 0.01,
        "save_every": 2, "watch": 2,
    }  # fmt: skip
    return RlConfig.model_validate(settings | more)


def job(out: Path, settings: RlConfig, **more: Any) -> Reinforced:
    return train_rl(EXAMPLES, settings, out / "model", rewards=[Paid("letters", letters)], work=out / "work", **more)


if __name__ == "__main__":
    job(Path(sys.argv[1]), RlConfig.model_validate(json.loads(sys.argv[2])))
