"""`palaestra p2l train`: votes with their prompts become a leaderboard for every prompt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import Flag, JsonTarget, again
from palaestra.cli.stage_bars import StageBars
from palaestra.p2l.config import TrainConfig

if TYPE_CHECKING:
    from palaestra.p2l.head import Head
    from palaestra.store.runs import RunFolder

Config = Annotated[TrainConfig | None, Parameter(name="*")]


def train(
    votes: str,
    *,
    out: Path,
    config: Config = None,
    prompts: Path | None = None,
    models: Path | None = None,
    baseline: str | None = None,
    skip_bad: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    resume: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    json: JsonTarget = None,
) -> None:
    """Learn how good each model is on any prompt. Vectors of prompts stay in OUT: --resume goes on from there.

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
    resume
        Go on with the run in the folder.
    overwrite
        Begin anew in the folder.
    """
    from palaestra.gateway import load_models
    from palaestra.p2l.card import card_of, warnings_of
    from palaestra.p2l.featurizers import featurizer_named
    from palaestra.p2l.model import MODEL
    from palaestra.p2l.train import kind_for
    from palaestra.p2l.train import train as learn
    from palaestra.store.prompted_votes import read_prompted_votes

    config = config or TrainConfig()
    found = read_prompted_votes(votes, prompts=prompts, skip_bad=skip_bad, baseline=baseline)
    kind_for(found, config.kind)
    featurizer = featurizer_named(config.features, load_models(models) if models is not None else ())
    folder = _folder(out, votes, prompts, config, resume=resume, overwrite=overwrite)
    with folder.running():
        with StageBars() as bars:
            head = learn(found, config, featurizer, kept=out / "vectors", tell=bars)
        card = card_of(head, out.name)
        shutil.rmtree(out / MODEL, ignore_errors=True)
        head.write(out / MODEL, card)
    for tried in head.report["tried"]:
        folder.measure(**tried)
    folder.finish(_metrics(head), [{"prompt": text} for text in found.prompts[:5]], card)
    console.give({"schema": "palaestra.p2l-train/1", "folder": str(out), **_told(head)}, json, _table(head))
    for warning in warnings_of(head):
        console.warn(warning)


def _folder(
    out: Path, votes: str, prompts: Path | None, config: TrainConfig, *, resume: bool, overwrite: bool
) -> RunFolder:
    from palaestra.store.runs import RunFolder
    from palaestra.store.sources import is_database

    whether = again(resume=resume, overwrite=overwrite)
    inputs = [*([] if is_database(votes) else [votes]), *([prompts] if prompts else [])]
    return RunFolder(out, "p2l train", config.model_dump(mode="json"), inputs=inputs, seed=config.seed, again=whether)


def _metrics(head: Head) -> dict[str, float]:
    names = ("votes", "prompts", "log_likelihood", "held_out_log_loss", "plain_log_loss", "gain", "gain_se")
    return {"spread": head.spread} | {name: head.report[name] for name in names if head.report[name] is not None}


def _told(head: Head) -> dict[str, Any]:
    return {"models": list(head.models), "kind": head.kind, "features": head.features, "spread": head.spread} | {
        name: value for name, value in head.report.items() if name != "iterations"
    }


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
