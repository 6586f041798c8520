"""The picture of docs/next_pair.md, made anew in a minute or two, from the worlds of tests/benchmarks/sampling.py."""

from __future__ import annotations

import sys
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tests" / "benchmarks"))

from sampling import RULES, WORLDS, measured  # noqa: E402 - the benchmark's worlds

from palaestra.pictures.drawing import altair, save_chart, styled  # noqa: E402 - beside it
from palaestra.pictures.palette import MANY  # noqa: E402 - beside it
from palaestra.ranking.compare import ELO  # noqa: E402 - beside it

_SEEDS = 40
_ERROR = 1
"""Place of the real error among the measures."""
_DASHES = ([6, 3], [2, 2], [1, 0])
_PANELS = {
    "60 models": "the ten best of 60 models",
    "a strong newcomer among 60": "a newcomer against the ten best",
}


def curves() -> pl.DataFrame:
    """The real error after each batch: root mean square over differences and worlds, Elo."""
    parts = []
    with Pool() as pool:
        for name, panel in _PANELS.items():
            world = WORLDS[name]
            for rule in RULES:
                runs_SB = np.array(pool.map(partial(measured, world, rule), range(_SEEDS)))[:, :, _ERROR]
                error_B = ELO * np.sqrt((runs_SB**2).mean(axis=0))
                kept = slice(3, None, max(1, len(error_B) // 80))
                votes_B = world.batch * np.arange(1, len(error_B) + 1)
                columns = {"votes": votes_B[kept], "error": error_B[kept]}
                parts.append(pl.DataFrame(columns).with_columns(rule=pl.lit(rule), panel=pl.lit(panel)))
    return pl.concat(parts)


def main() -> None:
    """Draw."""
    table, alt = curves(), altair()
    panels = []
    for panel in _PANELS.values():
        shown = table.filter(pl.col("panel") == panel)
        print(panel, shown.group_by("rule").agg(pl.col("error").last()).sort("rule").rows())
        errors = shown["error"].to_numpy()
        scale = alt.Scale(type="log", nice=False, domain=[0.9 * errors.min(), 1.1 * errors.max()])
        lines = (
            alt.Chart(shown)
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X("votes:Q", title="votes", axis=alt.Axis(tickCount=4)),
                y=alt.Y("error:Q", title="error of differences, Elo (logarithmic)", scale=scale),
                color=alt.Color("rule:N", title=None, scale=alt.Scale(domain=RULES, range=MANY[:3])),
                strokeDash=alt.StrokeDash("rule:N", title=None, scale=alt.Scale(domain=RULES, range=_DASHES)),
            )
        )
        panels.append(lines.properties(width=300, height=240, title=alt.Title(panel, fontSize=13, fontWeight="normal")))
    chart = alt.hconcat(*panels)
    save_chart(
        styled(chart, "Votes drawn by what they teach", f"{_SEEDS} simulated arenas a line"), HERE / "next_pair.png"
    )


if __name__ == "__main__":
    main()
