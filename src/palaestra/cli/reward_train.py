"""`palaestra reward train`: preferences become a reward."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import Flag, HtmlTarget, JsonTarget, Overwrite, Resume, Seed, SkipBad, again, checked_config
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError
from palaestra.rewards.config import Loss, Mode, RewardConfig

if TYPE_CHECKING:
    from palaestra.rewards.backbone_train import BackboneConfig
    from palaestra.rewards.train import Trained
    from palaestra.schema import ModelSpec, Preference
    from palaestra.store.runs import Again, RunFolder


def train(
    preferences: str,
    *,
    out: Path,
    mode: Mode = "head",
    features: str | None = None,
    views: str | None = None,
    loss: Loss = "auto",
    style: str = "length,markdown",
    debias: str = "",
    margins: Annotated[bool, Flag] = False,
    ridge: float | None = None,
    folds: int = 5,
    rounds: int = 50,
    members: int = 8,
    confidence: float = 0.95,
    models: Path = Path("models.toml"),
    epochs: int = 1,
    steps: int | None = None,
    batch: int = 8,
    learning_rate: float = 1e-4,
    skip_bad: SkipBad = 0,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Train a reward. The run's folder holds it in `model`, its card, and a page with pictures.

    Parameters
    ----------
    preferences
        Votes with conversations, chosen and rejected, ranked replies; a file, or an arena's database.
    out
        The run's folder.
    mode
        head: on vectors that stay as they are, in seconds. lora, full: the language model itself is trained.
    features
        What makes the vectors, or the language model: local:minilm, gguf:smollm2, a folder, a model of models.toml.
        local:minilm for a head and gguf:smollm2 for the others, if left out.
    views
        reply, product, joint, with commas: what vectors are made of.
    loss
        auto takes plackett-luce for rankings, rao-kupper where there are ties, bradley-terry else.
    style
        Columns beside the head, with commas: length, markdown.
    debias
        Which of them are left out of the score, also as far as the vectors know them.
    margins
        Ask for the margins that the records give; bradley-terry only.
    ridge
        Its strength; chosen by held-out log loss if left out.
    folds
        Into how many parts the prompts are divided.
    rounds
        Refits on resampled prompts.
    members
        How many of them are kept for the spread of scores.
    confidence
        Of intervals.
    models
        The models.toml, for features of an endpoint.
    epochs
        Of lora and full: how often each preference is seen.
    steps
        Of lora and full: steps in place of epochs.
    batch
        Of lora and full: preferences of one step.
    learning_rate
        Of lora and full.
    """
    from palaestra.store.preferences import read_preferences

    whether = again(resume=resume, overwrite=overwrite)
    if mode == "head":
        config = checked_config(
            RewardConfig,
            features=features or "local:minilm", views=_parts(views), loss=loss, style=_parts(style),
            debias=_parts(debias), margins=margins, ridge=ridge, folds=folds, rounds=rounds, members=members,
            confidence=confidence, seed=seed,
        )  # fmt: skip
        if html is not None:
            from palaestra.pictures.page import checked_path

            checked_path(html)
        found = read_preferences(preferences, skip_bad=skip_bad)
        _said(found.skipped)
        _head(found.preferences, config, _Run(preferences, out, whether, models), json, html)
        return
    from palaestra.rewards.backbone_train import BackboneConfig

    if html is not None or debias or views or ridge is not None:
        raise InputError(f"found --html, --debias, --views or --ridge with --mode {mode}: only a head has them")
    backbone = checked_config(
        BackboneConfig,
        backbone=features or "gguf:smollm2", method=mode, epochs=epochs, steps=steps, batch=batch,
        learning_rate=learning_rate, margins=margins, seed=seed, **({} if loss == "auto" else {"loss": loss}),
    )  # fmt: skip
    found = read_preferences(preferences, skip_bad=skip_bad)
    _said(found.skipped)
    _backbone(found.preferences, backbone, _Run(preferences, out, whether, models), json)


class _Run:
    """Where a run reads and writes."""

    def __init__(self, source: str, out: Path, again: Again, models: Path) -> None:
        self.source, self.out, self.again, self.models = source, out, again, models

    def opened(self, config: BaseModel, seed: int) -> RunFolder:
        from palaestra.store.runs import RunFolder

        inputs = [self.source] if Path(self.source).exists() else []
        recorded = {"preferences": self.source, **config.model_dump(mode="json")}
        return RunFolder(self.out, "reward train", recorded, inputs=inputs, seed=seed, again=self.again)

    def specs(self) -> tuple[ModelSpec, ...]:
        if not self.models.is_file():
            return ()
        from palaestra.gateway import load_models

        return load_models(self.models)


def _head(
    preferences: tuple[Preference, ...], config: RewardConfig, run: _Run, json: str | None, html: Path | None
) -> None:
    from palaestra.rewards.card import model_card
    from palaestra.rewards.comparisons import compared
    from palaestra.rewards.cross_fit import folds_of
    from palaestra.rewards.page import write_reward_page
    from palaestra.rewards.train import train_head
    from palaestra.rewards.vectors import featurizer

    these = compared(preferences)  # what nothing can be learnt from is refused before a folder is made
    folds_of(these.cluster_Q, config.folds, config.seed, these.weight_Q)
    maker = featurizer(config.features, run.specs())
    folder = run.opened(config, config.seed)
    with folder.running():
        with StageBars() as bars:
            kept = folder.path / "features"
            trained = train_head(preferences, config, maker, name=run.out.name, folder=kept, tell=bars)
        evaluation = trained.evaluation
        card = model_card(run.out.name, config, evaluation, maker.name)
        shutil.rmtree(folder.path / "model", ignore_errors=True)
        trained.reward.write(folder.path / "model", config, {"evaluation": evaluation.model_dump(mode="json")}, card)
        for page in (folder.path / "page.html", *([html] if html is not None else [])):
            write_reward_page(page, run.out.name, evaluation)
        folder.finish(_metrics(trained), [], card)
    said = {"schema": "palaestra.reward/1", "folder": str(run.out), **evaluation.model_dump(mode="json")}
    console.give(said, json, _table(trained))
    console.note(f"The reward is in {folder.path / 'model'}, its page in {folder.path / 'page.html'}")


def _backbone(preferences: tuple[Preference, ...], config: BackboneConfig, run: _Run, json: str | None) -> None:
    from dataclasses import asdict

    from palaestra.rewards.backbone_train import train_backbone
    from palaestra.rewards.comparisons import compared

    compared(preferences)
    folder = run.opened(config, config.seed)
    new = folder.path / "new"  # what is there stays until something else can take its place
    with folder.running():
        shutil.rmtree(new, ignore_errors=True)
        with StageBars() as bars:
            found = train_backbone(
                preferences, config, new / "model", work=folder.path / "work", measure=folder.measure,
                tell=lambda done, of: bars("steps", done, of),
            )  # fmt: skip
        shutil.rmtree(folder.path / "model", ignore_errors=True)
        (new / "model").replace(folder.path / "model")
        new.rmdir()
        said = asdict(found)
        numbers = {name: float(value) for name, value in said.items() if isinstance(value, int | float)}
        lines = [f"- {name.replace('_', ' ')}: {value:g}" for name, value in numbers.items()]
        lines += [f"- held out: {said['held']}"] if said.get("held") else []
        folder.finish(numbers, [], "\n".join([f"# {run.out.name}", "", *lines]) + "\n")
    table = Table("measured", "")
    for name, value in said.items():
        table.add_row(name.replace("_", " "), f"{value}")
    console.give({"schema": "palaestra.reward-backbone/1", "folder": str(run.out), **said}, json, table)


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _said(skipped: tuple[str, ...]) -> None:
    for line in skipped:
        console.warn(f"left out: {line}")


def _metrics(trained: Trained) -> dict[str, float]:
    found = trained.evaluation
    return {
        "preferences": found.preferences,
        "prompts": found.prompts,
        "pairs": found.pairs,
        "accuracy": found.accuracy.value,
        "accuracy_style_alone": found.accuracy_style_alone.value,
        "log_loss": found.calibration.log_loss.value,
        "brier": found.calibration.brier.value,
    }


def _table(trained: Trained) -> Table:
    from palaestra.rewards.card import headline, lines

    table = Table("measured on held-out prompts", "", caption=headline(trained.evaluation))
    for label, words in lines(trained.evaluation):
        table.add_row(label, words)
    for effect in trained.evaluation.style.effects:
        out = ", left out" if effect.left_out else ""
        table.add_row(f"style: {effect.name}{out}", f"{effect.value:+.3f} ({effect.lower:+.3f} to {effect.upper:+.3f})")
    return table
