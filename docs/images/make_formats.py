"""The picture of docs/formats.md, made anew, with the numbers in its text: length-controlled win rates of AlpacaEval 2.

It needs the published judgments, which are not part of the project: annotations_compact.csv.gz and the board and the
weights beside it, in the folder that is given (by default the one where the tests look for it).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from palaestra.judge.alpaca import read_annotations
from palaestra.judge.alpaca_board import AlpacaBoard, alpaca_boards
from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, SOFT

DATA = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "alpaca_eval"
JUDGE = "weighted_alpaca_eval_gpt4_turbo"
NAMED = {"NullModel", "FuseChat-Llama-3.2-3B-Instruct", "claude-2", "text_davinci_001"}


def rows_of(board: AlpacaBoard, published: dict[str, dict[str, float]]) -> list[dict[str, float | str | None]]:
    """Ours and theirs, without the baseline's own line."""
    return [
        {
            "model": line.model,
            "theirs": published[line.model]["length_controlled_winrate"],
            "their_se": published[line.model]["lc_standard_error"],
            "ours": line.lc_win_rate,
            "low": line.lc_lower,
            "high": line.lc_upper,
            "se": line.lc_se,
            "named": line.model if line.model in NAMED else "",
        }
        for line in board.models
        if line.model in published and line.model != board.baseline and line.lc_win_rate is not None
    ]


def told(name: str, rows: list[dict]) -> None:
    """Print how far apart they are."""
    apart = np.array([abs(row["ours"] - row["theirs"]) for row in rows])
    print(f"{name}: {len(rows)} models, mean {apart.mean():.2f}, median {np.median(apart):.2f}, max {apart.max():.2f}")


if __name__ == "__main__":
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not data.is_dir():
        sys.exit(f"found no folder {data}; the picture stays as it is. Expected the judgments of tatsu-lab/alpaca_eval")
    table = pl.read_csv(data / f"{JUDGE}_leaderboard.csv")
    published = {row[""]: row for row in table.iter_rows(named=True)}
    annotations = [row for row in read_annotations(data / "annotations_compact.csv.gz") if row.annotator == JUDGE]
    (given,) = alpaca_boards(annotations, weights=data / "lc_glm_weights_v1.csv")
    told("published weights, own difficulty", rows_of(given, published))
    (own,) = alpaca_boards(annotations)
    rows = rows_of(own, published)
    told("all estimated here", rows)
    ratio = [row["se"] / row["their_se"] for row in rows if row["their_se"]]
    print(f"standard error by bootstrap over the published one: {np.mean(ratio):.1f} on {len(ratio)} models")
    alt = altair()
    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("theirs:Q", title="published, per cent", scale=scale),
        y=alt.Y("ours:Q", title="ours, per cent", scale=scale),
    )
    equal = alt.Chart(alt.Data(values=[{"x": 0, "y": 0}, {"x": 100, "y": 100}]))
    chart = alt.layer(
        equal.mark_line(color=SOFT, strokeDash=[4, 4]).encode(x="x:Q", y="y:Q"),
        base.mark_rule(color=FIRST, strokeWidth=2, opacity=0.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_circle(color=FIRST, size=40, opacity=1),
        base.mark_text(align="left", dx=9, dy=9, color=INK, fontSize=12).encode(text="named:N"),
    ).properties(width=560, height=400)
    title = f"Length-controlled win rates of {len(rows)} models"
    chart = styled(chart, title, "AlpacaEval 2 judgments; everything estimated from them alone; 95% intervals")
    save_chart(chart, Path(__file__).parent / "formats.png")
