"""`palaestra train experts`: the story of many experts and one model, in a small world, stage by stage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.cli.stage_bars import StageBars

if TYPE_CHECKING:
    from palaestra.recipes.experts_to_generalist.board import Row

Stage = Literal["base", "experts", "merges", "distil", "joint", "short", "board", "all"]


def experts(
    out: Path,
    *,
    stage: Stage = "all",
    size: Literal["minute", "ten-minutes", "whole"] = "minute",
    json: JsonTarget = None,
) -> None:
    """Make a base, an expert for each domain of a small world, and one model of them; and what stands beside it.

    What is there already is not made again: a story that was killed goes on when it is called again.

    Parameters
    ----------
    out
        The story's folder.
    stage
        One of its stages, or all, in turn.
    size
        A minute, ten minutes, or the whole: hours.
    """
    from palaestra.recipes.experts_to_generalist.board import story_of, write_board
    from palaestra.recipes.experts_to_generalist.plan import PLANS

    with StageBars() as bars:
        story = story_of(out, PLANS[size])
        story.tell = bars
        stages = {
            "base": story.base, "experts": story.make_experts, "merges": story.make_merges, "distil": story.distil,
            "joint": story.joint, "short": story.short,
        }  # fmt: skip
        for name, run in stages.items():
            if stage in {name, "all"}:
                run()
    if stage not in {"board", "all"}:
        console.note(f"{stage} is done in {out}")
        return
    rows = write_board(story)
    console.give(
        {"schema": "palaestra.experts/1", "folder": str(out), "rows": [asdict(row) for row in rows]}, json, _table(rows)
    )
    console.note(f"The board is in {out / 'board.md'}, its picture in {out / 'board.png'}")


def _table(rows: list[Row]) -> Table:
    table = Table("model", "seeds", "right", "headroom kept", "worst domain")
    for row in rows:
        share = "" if row.kept is None else f"{row.kept.value:.0%} ({row.kept.lower:.0%} to {row.kept.upper:.0%})"
        worst = "" if row.kept is None else f"{row.kept.worst} {row.kept.by_domain[row.kept.worst]:.0%}"
        table.add_row(row.name, str(row.seeds), f"{row.mean:.1%} ({row.lower:.1%} to {row.upper:.1%})", share, worst)
    return table
