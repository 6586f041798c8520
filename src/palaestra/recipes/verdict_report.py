"""The page of a board made of verdicts: scores with intervals, what strong verdicts and each model's presence change.

The rest of the page is the ranking room's report of the same board.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from palaestra.pictures.drawing import altair, intervals, names_axis, styled
from palaestra.pictures.page import picture, scrolling
from palaestra.pictures.palette import FIRST, INK, SECOND, SHEET
from palaestra.ranking.report import write_report
from palaestra.recipes.verdict_board import VerdictBoard

if TYPE_CHECKING:
    from altair import TopLevelMixin

_SHOWN = 60
_WIDTH, _ROW = 380, 21


def scores_chart(found: VerdictBoard, top: int = _SHOWN) -> TopLevelMixin:
    """Scores with their intervals, best first; hollow is the score with strong verdicts counted once.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    names = list(found.scores)[:top]
    rows = [
        {"model": name, "score": one.score, "lower": one.lower, "upper": one.upper, "once": found.single.get(name)}
        for name in names
        for one in (found.scores[name],)
    ]
    title = f"win rate against {found.baseline}, %" if found.baseline else "mean win rate against all others, %"
    low, high = min(found.scores[name].lower for name in names), max(found.scores[name].upper for name in names)
    scale = alt.Scale(domain=[max(0.0, low - 2), min(100.0, high + 2)], nice=False, zero=False)
    chart = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, tuple(names)))
    layers = [
        chart.mark_rule(strokeWidth=3, color=SECOND).encode(x=alt.X("lower:Q", title=title, scale=scale), x2="upper:Q"),
        chart.mark_point(size=65, opacity=1, filled=True, color=FIRST).encode(
            x=alt.X("score:Q", title=title, scale=scale)
        ),
    ]
    said = [f"{intervals(found.board)}, clustered by {found.board.settings['cluster']}"]
    if len(found.scores) > top:
        said.append(f"the best {top} of {len(found.scores)} models")
    if found.single:
        once = chart.mark_point(size=45, opacity=1, stroke=INK, fill=SHEET, strokeWidth=1.5)
        layers.append(once.encode(x=alt.X("once:Q", title=title, scale=scale)))
        said.append(f"strong verdicts count {found.strong:g} times; hollow: once")
    if found.baseline:
        half = alt.Chart(alt.Data(values=[{"at": 50}])).mark_rule(color=INK, strokeDash=[5, 4], strokeWidth=1)
        layers.insert(0, half.encode(x=alt.X("at:Q", scale=scale)))
    return styled(alt.layer(*layers).properties(width=_WIDTH, height=alt.Step(_ROW)), "Scores", *said)


def write_verdict_report(path: str | Path, found: VerdictBoard, title: str) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    sentences = [
        f"{found.games:,} games; {found.unread:,} of them without a verdict that can be read, which count for nobody."
    ]
    if found.single:
        most = max(found.scores, key=lambda name: abs(found.single[name] - found.scores[name].score))
        gap = found.scores[most].score - found.single[most]
        sentences.append(
            f"Strong verdicts count as {found.strong:g} votes each. Counted once, the score that changes most is that "
            f"of {most}: {found.single[most]:.1f} instead of {found.scores[most].score:.1f} ({-gap:+.1f})."
        )
    moves = {name: moved for name, moved in found.moves.items() if moved is not None}
    if moves:
        most = max(moves, key=lambda name: moves[name])
        sentences.append(
            f"Each model was left out once. No score of another moved by more than {moves[most]:.2f} points "
            f"(when {most} was left out): so far, at most, does adding a model move the others."
        )
    sentences += [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    parts = "".join(f"<p>{escape(said)}</p>" for said in sentences)
    drawn = picture(scores_chart(found), "scores", 3)
    before = (
        f'<section aria-labelledby="scores-of"><h2 id="scores-of">Scores</h2>{parts}{drawn}{_table(found)}</section>'
    )
    write_report(path, {"overall": found.board}, title=title, before=before)


def _table(found: VerdictBoard) -> str:
    heads = ["Model", "Score", "Interval"]
    heads += ["Strong counted once"] * bool(found.single) + ["Moves others by at most"] * bool(found.moves)
    rows = []
    for name, one in found.scores.items():
        cells = [f"{one.score:.1f}", f"{one.upper - one.score:+.1f} / {one.lower - one.score:+.1f}"]
        if found.single:
            cells.append(f"{found.single[name]:.1f}")
        if found.moves:
            moved = found.moves.get(name)
            cells.append("" if moved is None else f"{moved:.2f}")
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row" class="name">{escape(name)}</th>{row}</tr>')
    head = "".join(f'<th scope="col"{_name_class(name)}>{name}</th>' for name in heads)
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return scrolling(table, "Scores of all models")


def _name_class(head: str) -> str:
    return ' class="name"' if head == "Model" else ""
