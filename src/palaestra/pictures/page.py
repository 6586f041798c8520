"""A page that stands alone: its head, its style sheet, its pictures. Nothing is loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.errors import InputError
from palaestra.pictures.drawing import altair, inline_svg, titles, write_whole
from palaestra.pictures.palette import DARK, FIRST, INK, LINE, MANY, SECOND, SHEET, SOFT, dark_rules

STYLE = f"""
:root {{ color-scheme: light dark; --sheet: {SHEET}; --ink: {INK}; --soft: {SOFT}; --line: {LINE};
  --first: {FIRST}; --second: {SECOND}; --third: {MANY[2]};
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", P052, Georgia, serif; }}
body {{ background: var(--sheet); color: var(--ink); font: 15px/1.5 "Helvetica Neue", Arial, sans-serif;
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }}
h1, h2, h3 {{ font-family: var(--serif); line-height: 1.2; text-wrap: balance; }}
h1 {{ font-size: 2rem; margin: 0 0 1rem; }} h3 {{ font-size: 1.15rem; margin: 0; }}
h2 {{ font-size: 1.5rem; margin: 3rem 0 .4rem; padding-top: 1rem; border-top: 1px solid var(--line); }}
p, li {{ color: var(--soft); margin: .2rem 0 .8rem; max-width: 52rem; }}
p.verdict {{ color: var(--ink); font-size: 1.1rem; }}
a {{ color: inherit; text-underline-offset: .2em; }} ul {{ padding-left: 1.2rem; }} li {{ margin: 0 0 .3rem; }}
section > h3 {{ margin-top: 1.8rem; }}
.wide {{ overflow-x: auto; }} .wide:focus-visible, th button:focus-visible {{ outline: 2px solid var(--ink); }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 1.8rem 2rem; margin: 1.8rem 0; align-items: flex-start; }}
figure {{ margin: 1.8rem 0; max-width: 100%; min-width: 0; }} .pictures figure {{ margin: 0; }}
figcaption p {{ max-width: 34rem; }}
svg {{ max-width: 100%; height: auto; display: block; font-family: "Helvetica Neue", Arial, sans-serif; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
summary {{ cursor: pointer; padding: .3rem 0; }}
caption {{ text-align: left; color: var(--soft); padding-bottom: .4rem; }}
th, td {{ padding: .3rem .65rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }}
thead th {{ color: var(--soft); font-weight: normal; vertical-align: bottom; }} tbody th {{ font-weight: normal; }}
th.name, td.name {{ text-align: left; white-space: normal; min-width: 9rem; max-width: 24rem; }}
th button {{ all: unset; cursor: pointer; }} th button:hover {{ text-decoration: underline; }}
th[aria-sort=ascending] button::after {{ content: " \\25b2"; }}
th[aria-sort=descending] button::after {{ content: " \\25bc"; }}
.ranks td {{ padding: .3rem .5rem; }}
.upright thead a {{ display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); }}
.ranks .name {{ position: sticky; left: 0; background: var(--sheet); }}
td[class^=top] {{ font-weight: bold; }}
td.top1 {{ color: var(--first); }} td.top2 {{ color: var(--second); }} td.top3 {{ color: var(--third); }}
@media (max-width: 40rem) {{ th, td {{ padding: .3rem .4rem; }} th.name, td.name {{ max-width: 11rem; }} }}
@media print {{ .wide {{ overflow: visible; }} figure, tr {{ break-inside: avoid; }} }}
@media screen and (prefers-color-scheme: dark) {{
:root {{ --sheet: {DARK[SHEET]}; --ink: {DARK[INK]}; --soft: {DARK[SOFT]}; --line: {DARK[LINE]};
  --first: {DARK[FIRST]}; --second: {DARK[SECOND]}; --third: {DARK[MANY[2]]}; }}
{dark_rules("svg")}
}}
"""
"""The look of every page."""
_LEAST = 0.85
"""So far a drawing shrinks on a narrow screen, before it scrolls: its 12 pixel letters stay above 10."""


def whole_page(title: str, body: str) -> str:
    """The page around its body."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def picture(chart: object, key: str, level: int = 2) -> str:
    """A chart, with its title as a heading and below that what its reader has to know."""
    heading, subtitle = (escape(text) for text in (titles(chart)[0], "; ".join(titles(chart)[1])))
    drawn = inline_svg(chart, key)
    least = _LEAST * float(drawn.split('width="', 1)[1].split('"', 1)[0])
    drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{heading}" style="min-width: {least:.0f}px" ', 1)
    return (
        f"<figure><figcaption><h{level}>{heading}</h{level}><p>{subtitle}</p></figcaption>{scrolling(drawn, heading)}"
        "</figure>"
    )


def scrolling(inside: str, label: str) -> str:
    """What may be wider than the page: it scrolls in itself, also by keyboard. The label is HTML already."""
    return f'<div class="wide" role="group" aria-label="{label}" tabindex="0">{inside}</div>'


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
