"""The frame of the reading room's pages, and how texts that strangers wrote are shown on them.

Answers are Markdown, rendered safely (`pictures/markdown.py`); prompts and judges' texts are shown as they were sent,
line by line. Names are escaped wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from types import ModuleType

from palaestra.errors import MissingPartError
from palaestra.judge.reading_room_games import MARKS, Compared, Heard, Mark, winner
from palaestra.pictures.page import STYLE

STYLE_FILE, SCRIPT_FILE, DATA_FILE = "room.css", "room.js", "questions.js"
LONGEST = 60_000
"""Characters of one text that are shown; a longer one is cut, and the page says so."""
WORDS: dict[Mark, tuple[str, str]] = {
    "flip": ("flip", "The two orders contradict each other"),
    "disagree": ("judges disagree", "Judges disagree"),
    "strong": ("strong", "A strong verdict"),
    "tie": ("tie", "A tie"),
    "unread": ("unread", "A verdict that could not be read"),
}
"""Each mark on a badge, and as a filter."""

_COUNTED: dict[Mark, tuple[str, str]] = {
    "flip": ("flip", "flips"),
    "disagree": ("disagreement", "disagreements"),
    "strong": ("strong", "strong"),
    "tie": ("tie", "ties"),
    "unread": ("unread", "unread"),
}

_HEADING = re.compile(r"<(/?)h([1-6])>")
_HIGHEST = 4


@cache
def markdown() -> ModuleType:
    """The renderer of Markdown.

    Raises:
        MissingPartError: the extra `pages` is not installed.
    """
    try:
        from palaestra.pictures import markdown as found
    except ImportError as error:
        raise MissingPartError(f"reading answers needs {error.name}: pip install 'palaestra[pages]'") from error
    return found


def style_sheet() -> str:
    """The style sheet of all pages."""
    return f"{STYLE}\n{markdown().highlight_css()}\n{_static(STYLE_FILE)}"


def script() -> str:
    """The script of all pages."""
    return _static(SCRIPT_FILE)


def room_page(title: str, body: str, *, up: str = "", number: int | None = None) -> str:
    """A page of the room.

    Args:
        title: as text.
        body: HTML inside of main.
        up: from the page to the room's folder.
        number: of the question that it shows.
    """
    which = f' data-number="{number}"' if number is not None else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="{up}{STYLE_FILE}">'
        f'<script defer src="{up}{DATA_FILE}"></script><script defer src="{up}{SCRIPT_FILE}"></script></head>'
        f"<body{which}><main>{body}</main></body></html>\n"
    )


def answer_html(text: str) -> str:
    """An answer's Markdown as safe HTML, its headings below those of the page and without gaps."""
    shown, cut = _cut(text)
    return f"{_headings(markdown().render(shown))}{cut}"


def plain_html(text: str) -> str:
    """A text as it is, line by line."""
    shown, cut = _cut(text)
    return f'<div class="plain">{escape(shown, quote=False)}</div>{cut}'


def badges(marks: frozenset[Mark]) -> str:
    """Marks as badges, in their order."""
    return "".join(f'<span class="badge {mark}">{WORDS[mark][0]}</span> ' for mark in MARKS if mark in marks)


def counted_marks(marks: Sequence[frozenset[Mark]]) -> list[tuple[Mark, str]]:
    """How many pairs bear each mark, in words, for those that some bear."""
    found = []
    for mark in MARKS:
        if number := sum(mark in each for each in marks):
            one, several = _COUNTED[mark]
            found.append((mark, f"{number:,} {one if number == 1 else several}"))
    return found


def verdict_words(heard: Heard, model: str) -> str:
    """A verdict from one model's side, in words."""
    if heard.b is None:
        return "unread" if heard.rating is None else f"{heard.rating:g} of 10"
    if heard.label is None:
        return "unread"
    if heard.label == "A=B":
        return "ties"
    return f"{'wins' if heard.points(model) == 1 else 'loses'}{' clearly' if len(heard.label) > 3 else ''}"  # noqa: PLR2004 - A>B


def outcome_words(compared: Compared) -> str:
    """What all verdicts of a pair, or all grades of an answer, come to."""
    if compared.against is None:
        return "no grade" if compared.rating is None else f"{compared.rating:.2g} of 10"
    return {"win": "wins", "tie": "even", "loss": "loses", None: "no verdict"}[winner(compared.points)]


def _cut(text: str) -> tuple[str, str]:
    if len(text) <= LONGEST:
        return text, ""
    said = f"Cut after {LONGEST:,} of {len(text):,} characters; the whole text is in the run's folder."
    return text[:LONGEST], f'<p class="cut">{said}</p>'


def _headings(html: str) -> str:
    """Headings one level down, and none more than one below the last: whoever listens to the page can follow."""
    last = _HIGHEST - 1

    def moved(found: re.Match[str]) -> str:
        nonlocal last
        if not found[1]:
            last = min(max(int(found[2]) + 1, _HIGHEST), last + 1, 6)
        return f"<{found[1]}h{last}>"

    return _HEADING.sub(moved, html)


def _static(name: str) -> str:
    return (files("palaestra.judge") / "static" / name).read_text(encoding="utf-8")
