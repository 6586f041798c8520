"""`palaestra p2l train`: votes with their prompts become a leaderboard for every prompt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget, Overwrite, Resume, again
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError
from palaestra.p2l.config import TrainConfig, TuneConfig

if TYPE_CHECKING:
    from palaestra.p2l.head import Head
    from palaestra.store.prompted_votes import PromptedVotes
    from palaestra.store.runs import Again, RunFolder

    Learns = Callable[[RunFolder, StageBars], Head]

Config = Annotated[TrainConfig | None, Parameter(name="*")]
Tuning = Annotated[TuneConfig | None, Parameter(name="*")]


def train(
    votes: str,
    *,
    out: Path,
    config: Config = None,
    tuning: Tuning = None,
    prompts: Path | None = None,
    models: Path | None = None,
    baseline: str | None = None,
    skip_bad: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
) -> None:
    """Learn how good each model is on any prompt. Vectors and checkpoints stay in OUT: --resume goes on from there.

    Parameters
    ----------
    votes
        Votes with conversations or prompts, a table of right and wrong, or the URL of an arena's database.
    out
        The run's folder; the model is in OUT/model.
    prompts
        A file of prompts, where the votes name them by an id.
    models
        A models.toml with the endpoint that makes vectors, if that is not local.
    baseline
        For verdicts that do not name the model against which they were given.
    skip_bad
        How many malformed rows may be left out.
    """
    from palaestra.p2l.card import card_of, warnings_of
    from palaestra.p2l.model import MODEL
    from palaestra.p2l.train import kind_for
    from palaestra.store.prompted_votes import read_prompted_votes

    config, tuning = config or TrainConfig(), tuning or TuneConfig()
    _agree(config, tuning, models)
    found = read_prompted_votes(votes, prompts=prompts, skip_bad=skip_bad, baseline=baseline)
    kind_for(found, config.kind)
    learn = _on_vectors(found, config, models) if tuning.mode == "head" else _on_backbone(found, config, tuning)
    folder = _folder(out, votes, prompts, config, tuning, found, whether=again(resume=resume, overwrite=overwrite))
    with folder.running():
        with StageBars() as bars:
            head = learn(folder, bars)
        card = card_of(head, out.name)
        shutil.rmtree(out / MODEL, ignore_errors=True)
        head.write(out / MODEL, card)
    for tried in head.report["tried"]:
        folder.measure(**tried)
    folder.finish(_metrics(head), [{"prompt": text} for text in found.prompts[:5]], card)
    console.give({"schema": "palaestra.p2l-train/1", "folder": str(out), **_told(head)}, json, _table(head))
    for warning in warnings_of(head):
        console.warn(warning)


def _agree(config: TrainConfig, tuning: TuneConfig, models: Path | None) -> None:
    """Whether the flags are all of the one mode.

    Raises:
        InputError: they are not.
    """
    if tuning.mode == "head" and (given := sorted(tuning.model_fields_set - {"mode"})):
        flag = given[0].replace("_", "-")
        raise InputError(f"found --{flag} with --mode head: only lora and full have it; --features is of head")
    if tuning.mode != "head" and ("features" in config.model_fields_set or models is not None):
        raise InputError(f"found --features or --models with --mode {tuning.mode}, expected --backbone: it is trained")


def _on_vectors(votes: PromptedVotes, config: TrainConfig, models: Path | None) -> Learns:
    from palaestra.gateway import load_models
    from palaestra.p2l.featurizers import featurizer_named
    from palaestra.p2l.train import train as learn

    featurizer = featurizer_named(config.features, load_models(models) if models is not None else ())
    return lambda folder, bars: learn(votes, config, featurizer, kept=folder.path / "vectors", tell=bars)


def _on_backbone(votes: PromptedVotes, config: TrainConfig, tuning: TuneConfig) -> Learns:
    from palaestra.learn.backbone import backbone_folder
    from palaestra.learn.trainer import check_installed
    from palaestra.p2l.backbone import check_parts, train_backbone

    check_parts(votes, config, tuning)
    check_installed(low_rank=tuning.mode == "lora")
    backbone_folder(tuning.backbone)

    def learn(folder: RunFolder, bars: StageBars) -> Head:
        work = folder.path / "work"
        head = train_backbone(
            votes, config, tuning, work=work, kept=folder.path / "vectors", measure=folder.measure, tell=bars
        )
        for checkpoint in work.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        return head

    return learn


def _folder(  # noqa: PLR0917 - of one caller
    out: Path,
    votes: str,
    prompts: Path | None,
    config: TrainConfig,
    tuning: TuneConfig,
    found: PromptedVotes,
    *,
    whether: Again,
) -> RunFolder:
    from palaestra.store.runs import RunFolder
    from palaestra.store.sources import is_database

    recorded = config.model_dump(mode="json")
    if tuning.mode != "head":
        recorded = recorded | tuning.model_dump(mode="json")
        recorded["votes_sha256"] = found.sha256  # a ledger grows, and flags say which votes are read
        del recorded["features"]
    inputs = [*([] if is_database(votes) else [votes]), *([prompts] if prompts else [])]
    return RunFolder(out, "p2l train", recorded, inputs=inputs, seed=config.seed, again=whether)


def _metrics(head: Head) -> dict[str, float]:
    names = ("votes", "prompts", "log_likelihood", "held_out_log_loss", "plain_log_loss", "gain", "gain_se")
    found = {"spread": head.spread} | {name: head.report[name] for name in names if head.report[name] is not None}
    if head.tuned is not None:
        found |= {name: head.tuned.about[name] for name in ("steps", "loss", "frozen_log_loss", "own_log_loss")}
    return found


def _told(head: Head) -> dict[str, Any]:
    told = {"models": list(head.models), "kind": head.kind, "features": head.features, "spread": head.spread}
    told |= {name: value for name, value in head.report.items() if name != "iterations"}
    return told | ({"tuned": head.tuned.about} if head.tuned else {})


def _table(head: Head) -> Table:
    report = head.report
    caption = f"{len(head.models)} models, {report['votes']:,g} votes on {report['prompts']:,} prompts, {head.kind}"
    table = Table("spread", "held-out log loss", "gain on one board for all", caption=caption)
    for column in table.columns:
        column.justify = "right"
    for tried in report["tried"]:
        chosen = " chosen" if tried["spread"] == head.spread else ""
        gain = f"{tried['gain']:+.4f} ± {tried['gain_se']:.4f}"
        table.add_row(f"{tried['spread']:g}{chosen}", f"{tried['log_loss']:.4f}", gain)
    if not report["tried"]:
        table.add_row(f"{head.spread:g} given", "", "")
    return table
