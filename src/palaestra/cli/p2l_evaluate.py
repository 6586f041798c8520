"""`palaestra p2l evaluate`: does a board for every prompt foretell votes better than one board?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.p2l.evaluate import Evaluation, Figure


def evaluate(
    model: Path,
    votes: str,
    *,
    prompts: Path | None = None,
    models: Path | None = None,
    training: str | None = None,
    baseline: str | None = None,
    skip_bad: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    json: JsonTarget = None,
) -> None:
    """Compare a trained model with simpler ways to foretell votes on prompts that it has not seen.

    Parameters
    ----------
    model
        What `palaestra p2l train` wrote.
    votes
        Votes with their prompts; those on prompts of training are left out, and counted.
    prompts
        A file of prompts, where the votes name them by an id.
    models
        A models.toml with the endpoint that makes vectors, if that is not local.
    training
        The votes of the training: with them, boards of the nearest prompts and of categories are rivals too.
    baseline
        For verdicts that do not name the model against which they were given.
    skip_bad
        How many malformed rows may be left out.
    """
    from palaestra.gateway import load_models
    from palaestra.learn.features import features
    from palaestra.p2l.evaluate import evaluate as compare
    from palaestra.p2l.head import load_head
    from palaestra.store.prompted_votes import read_prompted_votes

    boards = load_head(model, load_models(models) if models is not None else ())
    held = read_prompted_votes(votes, prompts=prompts, skip_bad=skip_bad, baseline=baseline)
    seen = (
        None
        if training is None
        else read_prompted_votes(training, prompts=prompts, skip_bad=skip_bad, baseline=baseline)
    )
    x_PD = features(boards.featurizer, held.prompts)
    known = None if seen is None else (seen, features(boards.featurizer, seen.prompts))
    found = compare(boards.head, held, x_PD, training=known, seed=seed)
    console.give(found.to_dict(), json, _table(found))
    if found.seen:
        console.warn(f"{found.seen} votes are on prompts of training; they are left out")


def _table(found: Evaluation) -> Table:
    caption = (
        f"{found.votes:,} votes on {found.prompts:,} new prompts, {found.kind}; "
        f"{100 * found.confidence:g}% intervals clustered by prompt"
    )
    table = Table(
        "method", "log loss", "gain on the plain board", "accuracy", "calibration error (by chance)", caption=caption
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for one in found.methods:
        table.add_row(
            one.name,
            _said(one.log_loss, ".4f"),
            "" if one.name == "plain" else _said(one.gain, "+.4f"),
            "" if one.accuracy is None else _said(one.accuracy, ".3f"),
            f"{one.calibration_error:.3f} ({one.calibration_chance:.3f})",
        )
    return table


def _said(one: Figure, form: str) -> str:
    if one.lower is None or one.upper is None:
        return f"{one.value:{form}}"
    return f"{one.value:{form}} [{one.lower:{form}}, {one.upper:{form}}]"
