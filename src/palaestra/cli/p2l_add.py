"""`palaestra p2l add`: a new model joins a trained one with a few votes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.errors import InputError


def add(
    model: Path,
    votes: str,
    *,
    out: Path,
    prompts: Path | None = None,
    models: Path | None = None,
    baseline: str | None = None,
    skip_bad: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    json: JsonTarget = None,
) -> None:
    """Let a new model join, with what is known of the others for a prior. Their strengths stay as they are.

    Parameters
    ----------
    model
        What `palaestra p2l train` wrote.
    votes
        The new model's votes, with their prompts, against models that are there; other votes are left out.
    out
        The folder of the model with one more model in it.
    prompts
        A file of prompts, where the votes name them by an id.
    models
        A models.toml with the endpoint that makes vectors, if that is not local.
    baseline
        For verdicts that do not name the model against which they were given.
    skip_bad
        How many malformed rows may be left out.
    """
    from palaestra.gateway import load_models
    from palaestra.learn.features import features
    from palaestra.p2l.card import card_of
    from palaestra.p2l.cold_start import newcomer_of, with_newcomer
    from palaestra.p2l.head import load_head
    from palaestra.store.prompted_votes import read_prompted_votes

    if out.exists():
        raise InputError(f"found {out}, expected a folder that is not there yet")
    boards = load_head(model, load_models(models) if models is not None else ())
    found = read_prompted_votes(votes, prompts=prompts, skip_bad=skip_bad, baseline=baseline)
    name = newcomer_of(boards.head, found)
    joined = with_newcomer(boards.head, found, features(boards.featurizer, found.prompts), seed=seed)
    joined.write(out, card_of(joined, out.name))
    mine = joined.counts_OMM.sum() - boards.head.counts_OMM.sum()
    told = {"schema": "palaestra.p2l-add/1", "folder": str(out), "model": name, "votes": mine}
    table = Table("new model", "votes", "votes left out")
    table.add_row(name, f"{mine:,g}", f"{found.weight_B.sum() - mine:,g}")
    console.give(told, json, table)
