"""The page of a run that stands alone: every curve of its metrics, what came out, samples; nothing is loaded.

Not here: a page that follows a run (`live.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from palaestra.pictures.drawing import altair, styled
from palaestra.pictures.page import checked_path, picture, whole_page, write_page
from palaestra.pictures.palette import FIRST, MANY
from palaestra.runs.account import config_html, figures, runs_table, samples_html
from palaestra.runs.curves import LINES, thinned
from palaestra.store.run_reading import RunView, Series

SAMPLES_STYLE = """
ol.samples { list-style: none; padding: 0; } ol.samples li { border-top: 1px solid var(--line); padding: .4rem 0; }
ol.samples dl { display: grid; grid-template-columns: minmax(4rem, max-content) 1fr; gap: .1rem .8rem; margin: 0; }
ol.samples dt { color: var(--soft); } ol.samples dd { margin: 0; white-space: pre-wrap; color: var(--ink); }
ol.samples p.at { margin: 0; font-size: .85rem; }
td.state.failed, td.state.killed { color: var(--first); font-weight: 600; }
"""
_SMALL = (150, 80)
_COLUMNS = 4


def write_run_page(path: str | Path, run: RunView, samples: int = 20) -> None:
    """Write the page.

    Args:
        path: ends in .html.
        run: what to show.
        samples: how many.

    Raises:
        InputError: the path does not end in .html or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    drawn = "".join(
        picture(curves_chart(name, [line for line in lines if line.values]), f"run{place}")
        for place, (name, lines) in enumerate(figures(run.series).items())
        if any(line.values for line in lines)
    )
    curves = f'<div class="pictures">{drawn}</div>' if drawn else "<p>No numbers were measured.</p>"
    outcome = "".join(f"<tr><th scope='row' class='name'>{escape(name)}</th><td>{value:.6g}</td></tr>"
                      for name, value in run.card.metrics.items())  # fmt: skip
    result = f"<h2>What came out</h2><table><tbody>{outcome}</tbody></table>" if outcome else ""
    body = (
        f"<style>{SAMPLES_STYLE}</style>{runs_table([run])}{config_html(run)}{result}{curves}"
        f"<h2>Samples</h2>{samples_html(run, samples)}"
    )
    write_page(path, whole_page(f"The run {run.path.name}", body))


def curves_chart(name: str, lines: Sequence[Series]) -> Any:  # noqa: ANN401 - altair is loaded late
    """One figure: its lines together, or, where there are many, each in a small picture on the same scale."""
    alt = altair()
    whole = max(len(line.values) for line in lines)
    lines = [thinned(line) for line in lines]
    rows = [
        {"at": at, "value": value, "line": line.label or line.name}
        for line in lines
        for at, value in zip(line.at, line.values, strict=True)
    ]
    over = lines[0].over
    x = alt.X("at:Q", title="seconds" if over == "seconds" else "step", scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False))
    thin = "" if whole == max(len(line.values) for line in lines) else "points are means of neighbouring steps"
    names = [line.label or line.name for line in lines]
    base = alt.Chart(alt.Data(values=rows))
    if len(lines) > LINES:
        small = base.mark_line(point=len(lines[0].values) == 1, color=FIRST, strokeWidth=1.6).encode(x=x, y=y)
        small = small.properties(width=_SMALL[0], height=_SMALL[1])
        facet = alt.Facet("line:N", title=None, sort=names, header=alt.Header(labelLimit=_SMALL[0]))
        return styled(small.facet(facet=facet, columns=_COLUMNS), name, *filter(None, [thin]))
    legend = None if len(names) == 1 else alt.Legend(orient="bottom", columns=3)
    scale = alt.Scale(domain=names, range=list(MANY[: len(names)]))
    chart = base.mark_line(point=max(len(line.values) for line in lines) == 1, strokeWidth=1.6).encode(
        x=x, y=y, color=alt.Color("line:N", title=None, scale=scale, legend=legend)
    )
    if len(names) > 1:
        chart = chart.encode(strokeDash=alt.StrokeDash("line:N", title=None, legend=legend, sort=names))
    return styled(chart.properties(width=380, height=200), name, *filter(None, [thin]))
