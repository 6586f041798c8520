"""`palaestra rank next`: the pairs whose next vote says most."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.ranking import FitConfig
from palaestra.store.formats import read_votes

New = Annotated[
    list[str] | None, Parameter(name="--new", help="A model without votes yet; may be repeated.", negative=())
]


def next_pairs(
    votes: str,
    *,
    config: Annotated[FitConfig, Parameter(name="*")] | None = None,
    top: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 10,
    pairs: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 10,
    explore: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.1,
    new: New = None,
    json: JsonTarget = None,
) -> None:
    """Which pair should meet next, and with which probability.

    Parameters
    ----------
    votes
        As for `rank fit`.
    top
        How many of the best matter.
    pairs
        How many lines the table has.
    explore
        The share of draws that is even over all pairs.
    """
    from palaestra import ranking

    board = ranking.fit(read_votes(votes).frame, config)
    models = [line.model for line in board.models]
    plan = ranking.plan_for_board(board, [*models, *(new or [])], top=top, explore=explore)
    if json is not None:
        rows = [
            {"model_a": a, "model_b": b, "gain": gain, "propensity": propensity}
            for a, b, gain, propensity in plan.best(len(plan.names) ** 2)
        ]
        console.write_json({"schema": "palaestra.pairs/1", "top": top, "explore": explore, "pairs": rows}, json)
        return
    table = Table("model_a", "model_b", "gain", "propensity", "difference", caption="gain as a share of the largest")
    for a, b, gain, propensity in plan.best(pairs):
        difference = ""
        if a in models and b in models and any(a in part and b in part for part in board.components):
            found = board.compare(a, b)
            difference = f"{found.difference:+.0f}  [{found.lower:+.0f}, {found.upper:+.0f}]"
        table.add_row(a, b, f"{gain:.3f}", f"{propensity:.4f}", difference or "not met yet")
    console.show(table)
