"""What a reward is, whatever is behind it, and how one is loaded.

    a folder             that `reward train` wrote: a head on vectors, or a language model with a head
    rule:...             a rule or a verifier (`rules.py`)
    perplexity:BACKBONE  how likely a language model finds the reply (`perplexity.py`)
    scores:FILE          rewards that were written down: columns prompt, reply (also response), reward (also score)

Only differences between replies to the same prompt have a meaning; of a head they are log-odds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from palaestra.errors import InputError
from palaestra.learn.checkpoint import CONFIG_FILE
from palaestra.rewards.comparisons import Floats
from palaestra.rewards.rules import NAMES, rule
from palaestra.rewards.vectors import asked
from palaestra.schema import Message, ModelSpec
from palaestra.store.records import read_rows

_NOISE = 0.01
"""What the same reply may score in another batch of the same model."""
HEAD, BACKBONE = "reward-head", "reward-backbone"
BACKBONE_FILE = "palaestra.json"
_PROMPTS, _REPLIES, _REWARDS = ("prompt", "instruction", "question"), ("reply", "response", "text"), ("reward", "score")


class Reward(Protocol):
    """How good replies are; higher is better."""

    @property
    def name(self) -> str:
        """What it is."""
        ...

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> Floats:
        """The reward of each reply to the conversation before it, shape (N,); finite, or an error."""
        ...


@runtime_checkable
class UncertainReward(Reward, Protocol):
    """A reward that knows how sure it is."""

    def score_with_spread(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> tuple[Floats, Floats]:
        """Rewards, and the standard deviation of each, shapes (N,) and (N,)."""
        ...


class WrittenScores:
    """Rewards that somebody else has given, by prompt and reply."""

    def __init__(self, name: str, reward_of: Mapping[tuple[str, str], float]) -> None:
        self.name = name
        self._reward_of = reward_of

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> Floats:
        """The reward of each reply.

        Raises:
            InputError: the file has none for a reply.
        """
        keys = [(asked(prompt), reply) for prompt, reply in zip(prompts, replies, strict=True)]
        if missing := next((key for key in keys if key not in self._reward_of), None):
            raise InputError(f"{self.name}: found no reward for the reply {missing[1][:60]!r} to {missing[0][:60]!r}")
        return np.array([self._reward_of[key] for key in keys], dtype=float)


def load_reward(
    name: str | Path,
    *,
    specs: Sequence[ModelSpec] = (),
    references: Mapping[str, str] | None = None,
    kept: Path | None = None,
) -> Reward:
    """The reward of this name, as above.

    Args:
        name: a folder, or a name.
        specs: the models of a models.toml, where vectors come from one.
        references: right answers by the text of the prompt, for verifiers.
        kept: a folder in which vectors of texts are kept, for a head.

    Raises:
        InputError: there is no such reward, or its folder was cut short or changed.
        MissingPartError: what it needs is not installed.
    """
    text = str(name)
    if text.startswith("rule:"):
        return rule(text, references)
    if text.startswith("perplexity:"):
        from palaestra.rewards.perplexity import PerplexityReward

        return PerplexityReward(text.removeprefix("perplexity:"))
    if text.startswith("scores:"):
        return _written(text)
    folder = _model_folder(Path(name))
    if (folder / BACKBONE_FILE).is_file():
        _check_backbone(folder)
        from palaestra.rewards.backbone_model import BackboneReward

        return BackboneReward(folder)
    from palaestra.rewards.head_model import HeadReward

    return HeadReward.read(folder, specs=specs, kept=kept)


def _model_folder(path: Path) -> Path:
    """The folder of the model: this one, or `model` in the folder of a run."""
    for folder in (path, path / "model"):
        if (folder / BACKBONE_FILE).is_file() or (folder / CONFIG_FILE).is_file():
            return folder
    known = ", ".join((*NAMES, "perplexity:BACKBONE", "scores:FILE"))
    raise InputError(f"found no reward {str(path)!r}, expected a folder that `reward train` wrote, or one of {known}")


def _check_backbone(folder: Path) -> None:
    try:
        said = json.loads((folder / BACKBONE_FILE).read_text(encoding="utf-8"))
        kind = said["palaestra_kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {folder / BACKBONE_FILE}: {error}; expected a trained reward") from error
    if kind != BACKBONE:
        raise InputError(f"found a model of kind {kind!r} in {folder}, expected {BACKBONE}")


def _written(name: str) -> WrittenScores:
    path = Path(name.removeprefix("scores:"))
    found: dict[tuple[str, str], float] = {}
    for number, row in enumerate(read_rows(path, "rewards"), start=1):
        values = [next((row[key] for key in keys if row.get(key) is not None), None) for keys in _COLUMNS]
        try:
            prompt, reply, reward = str(values[0]), str(values[1]), float(str(values[2]))
        except ValueError:
            reward = float("nan")
        if None in values or not np.isfinite(reward):
            raise InputError(
                f"{path}: row {number}: expected a prompt, a reply and a finite reward in the columns "
                f"{', '.join('/'.join(keys) for keys in _COLUMNS)}"
            )
        known = found.setdefault((prompt, reply), reward)
        if not np.isclose(known, reward, rtol=_NOISE, atol=_NOISE):
            raise InputError(
                f"{path}: row {number}: found the reward {reward:g} for a prompt and reply that an earlier row gives "
                f"{known:g}, expected one reward for each"
            )
    return WrittenScores(name, found)


_COLUMNS = (_PROMPTS, _REPLIES, _REWARDS)
