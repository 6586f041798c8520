"""A page that stands alone: the leaderboard of prompts, and where it leaves the board of an average prompt.

Not here: the router's page (`page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from palaestra.p2l.head import HeadBoards
from palaestra.p2l.leaderboard import Strengths, strengths
from palaestra.p2l.model import PromptBoards
from palaestra.pictures.drawing import altair, best, names_axis, of_all, spelled, styled
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.pictures.palette import FIRST, INK, SECOND, SOFT
from palaestra.schema import Leaderboard

if TYPE_CHECKING:
    from altair import TopLevelMixin

_TOP = 30
_WIDTH, _ROW = 520, 20
_LONGEST = 300


def write_board_page(path: str | Path, boards: PromptBoards, prompts: Sequence[str], found: Leaderboard) -> None:
    """Write the page of a board.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    told = strengths(boards, prompts) if isinstance(boards, HeadBoards) and boards.head.members else None
    quoted = "".join(f"<blockquote><p>{escape(_short(text))}</p></blockquote>" for text in prompts[:3])
    more = f"<p>and {len(prompts) - 3} more prompts</p>" if len(prompts) > 3 else ""  # noqa: PLR2004 - as above
    pictures = picture(rating_chart(found), "ratings")
    if told is not None:
        pictures += picture(strength_chart(told), "strengths")
    title = "The leaderboard of this prompt" if len(prompts) == 1 else f"The leaderboard of {len(prompts)} prompts"
    write_page(path, whole_page(title, f"{quoted}{more}<div class='pictures'>{pictures}</div>{_table(found)}"))


def rating_chart(found: Leaderboard) -> TopLevelMixin:
    """Ratings with their intervals, best first.

    Raises:
        InputError: the board has no models.
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    lines = best(found, _TOP)
    rows = [{"model": line.model, "x": line.rating, "low": line.lower, "high": line.upper} for line in lines]
    x = alt.X("low:Q", title="rating on these prompts", scale=alt.Scale(zero=False))
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, spelled(lines)))
    bars = base.mark_rule(strokeWidth=2, color=SOFT).encode(x=x, x2="high:Q")
    dots = base.mark_circle(size=70, opacity=1, color=FIRST).encode(x="x:Q")
    drawn = [bars, dots]
    if found.usable is not None:
        level = alt.Chart(alt.Data(values=[{"x": found.usable.rating}]))
        drawn.append(level.mark_rule(color=INK, strokeDash=[3, 3]).encode(x="x:Q"))
    said = f"{100 * float(str(found.settings['confidence'])):g}% intervals from an ensemble{of_all(found, lines)}"
    usable = "; dashed: where a usable answer begins" if found.usable is not None else ""
    return styled(
        alt.layer(*drawn).properties(width=_WIDTH, height=_ROW * len(rows)), "Who is best here?", said + usable
    )


def strength_chart(told: Strengths) -> TopLevelMixin:
    """Each model's rating on these prompts less that on an average prompt.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    alt = altair()
    lines = [*told.lines[: _TOP // 2], *told.lines[-(_TOP // 2) :]] if len(told.lines) > _TOP else [*told.lines]
    sure = 1 - told.confidence
    rows = [
        {
            "model": line.model, "x": line.difference, "low": line.lower, "high": line.upper,
            "sure": "yes" if line.p_all < sure else "no",
        }
        for line in lines
    ]  # fmt: skip
    names = tuple(line.model for line in lines)
    color = alt.Color("sure:N", scale=alt.Scale(domain=["yes", "no"], range=[SECOND, SOFT]), legend=None)
    base = alt.Chart(alt.Data(values=rows)).encode(y=names_axis(alt, names), color=color)
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="Elo above its average prompt"), x2="high:Q")
    dots = base.mark_circle(size=70, opacity=1).encode(x="x:Q")
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color=INK).encode(x="x:Q")
    return styled(
        alt.layer(zero, bars, dots).properties(width=_WIDTH, height=_ROW * len(rows)),
        "Strengths and weaknesses",
        f"against the other models; {100 * told.confidence:g}% intervals, each alone; coloured: sure for all at once",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _table(found: Leaderboard) -> str:
    heads = ("model", "rating", "interval", "ranks", "votes on all prompts")
    rows = "".join(
        f'<tr><td class="name">{escape(line.model)}</td><td>{line.rating:.0f}</td>'
        f"<td>{line.lower:.0f} to {line.upper:.0f}</td><td>{line.rank_lower}-{line.rank_upper}</td>"
        f"<td>{line.votes:,.0f}</td></tr>"
        for line in found.models
    )
    head = "".join(f'<th class="{"name" if name == "model" else ""}">{name}</th>' for name in heads)
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>", "table")
