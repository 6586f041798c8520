"""A page that stands alone: its head, its style sheet, its pictures. Nothing is loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.errors import InputError
from palaestra.ranking.drawing import altair, inline_svg, titles, write_whole
from palaestra.ranking.palette import DARK, INK, LINE, SHEET, SOFT, dark_rules

_STYLE = f"""
:root {{ color-scheme: light dark; --sheet: {SHEET}; --ink: {INK}; --soft: {SOFT}; --line: {LINE}; }}
body {{ background: var(--sheet); color: var(--ink); font: 15px/1.5 "Helvetica Neue", Arial, sans-serif;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.25rem; margin: 3rem 0 0; }}
h3 {{ font-size: 1.05rem; margin: 2rem 0 0; }}
p, li {{ color: var(--soft); margin: .3rem 0 1rem; }} p.verdict {{ color: var(--ink); font-size: 1.1rem; }}
a {{ color: inherit; }} ul {{ padding-left: 1.2rem; }} li {{ margin: 0; overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }} .wide:focus-visible {{ outline: 2px solid var(--ink); }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: var(--soft); padding-bottom: .4rem; }}
th, td {{ padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }}
thead th {{ color: var(--soft); font-weight: normal; }} tbody th {{ font-weight: normal; }}
.name {{ text-align: left; }}
th button {{ all: unset; cursor: pointer; }} th button:focus-visible {{ outline: 2px solid var(--ink); }}
th[aria-sort=ascending] button::after {{ content: " \\25b2"; }}
th[aria-sort=descending] button::after {{ content: " \\25bc"; }}
td.top {{ font-weight: bold; color: var(--ink); }}
svg {{ max-width: 100%; height: auto; }}
@media (prefers-color-scheme: dark) {{
:root {{ --sheet: {DARK[SHEET]}; --ink: {DARK[INK]}; --soft: {DARK[SOFT]}; --line: {DARK[LINE]}; }}
{dark_rules("svg")}
}}
"""


def whole_page(title: str, body: str) -> str:
    """The page around its body."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def picture(chart: object, key: str, level: int = 2) -> str:
    """A chart with its title as a heading."""
    heading, subtitle = titles(chart)
    drawn = inline_svg(chart, key).replace("<svg ", f'<svg role="img" aria-label="{escape(heading)}" ', 1)
    said = escape("; ".join(subtitle))
    return f'<h{level}>{escape(heading)}</h{level}><p>{said}</p><div class="wide" tabindex="0">{drawn}</div>'


def write_page(path: str | Path, text: str) -> None:
    """Write a page; it is there whole or not at all.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
    """
    write_whole(checked_path(path), text.encode())


def checked_path(path: str | Path) -> Path:
    """The path of a page, before anything is computed for it.

    Raises:
        InputError: the path does not end in .html.
        MissingPartError: the extra `plots` is not installed.
    """
    path = Path(path)
    if path.suffix not in {".html", ".htm"}:
        raise InputError(f"found {str(path)!r}, expected a path that ends in .html")
    altair()
    return path
