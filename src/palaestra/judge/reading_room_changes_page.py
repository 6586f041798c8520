"""The page of what changed between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from palaestra.judge.reading_room import Room
from palaestra.judge.reading_room_changes import Change, Changes, ScoreChange
from palaestra.judge.reading_room_games import winner
from palaestra.judge.reading_room_look import room_page
from palaestra.judge.reading_room_question import file_of, first_words
from palaestra.pictures.page import scrolling

_LONG = 80
_OUTCOMES = {"win": "wins", "tie": "even", "loss": "loses"}


def changes_page(changes: Changes, room: Room) -> str:
    """The page, as HTML.

    Args:
        changes: between two runs.
        room: of the later run, to whose questions it leads.
    """
    title = f"From {changes.before} to {changes.after}"
    body = (
        '<nav class="room" aria-label="Room"><a href="index.html">All questions</a></nav>'
        f"<h1>{escape(title)}</h1>{_lead(changes)}{_settings(changes)}{_scores(changes)}{_pairs(changes, room)}"
    )
    return room_page(title, body)


def counted(changes: Changes) -> str:
    """What changed, in a sentence."""
    flipped = changes.count("better", flipped=True), changes.count("worse", flipped=True)
    parts = [
        f"{changes.count('better'):,} better ({flipped[0]:,} of them flipped)",
        f"{changes.count('worse'):,} worse ({flipped[1]:,} of them flipped)",
    ]
    if any(each.against is None for each in changes.pairs):
        parts = [f"{changes.count('better'):,} better", f"{changes.count('worse'):,} worse"]
    for how, words in (("read", "readable now"), ("unread", "no longer readable")):
        if number := changes.count("read" if how == "read" else "unread"):
            parts.append(f"{number:,} {words}")
    return f"{changes.compared:,} compared: {', '.join(parts)}."


def how_said(change: Change) -> str:
    """A change in a word or two."""
    words = {"read": "readable now", "unread": "no longer readable"}.get(change.how, change.how)
    return f"{words}, flipped" if change.flipped else words


def value_said(change: Change, value: float | None) -> str:
    """An outcome, or a grade."""
    if value is None:
        return "unread"
    return f"{value:.2g}" if change.against is None else _OUTCOMES[winner(value) or "tie"]


def _lead(changes: Changes) -> str:
    only = [
        (f"models only in {changes.before}", changes.models[0]),
        (f"models only in {changes.after}", changes.models[1]),
        (f"questions only in {changes.before}", changes.questions[0]),
        (f"questions only in {changes.after}", changes.questions[1]),
        ("questions with the same id and another text, which are not compared", changes.reworded),
    ]
    said = "".join(
        f"<li><details><summary>{len(names):,} {escape(words)}</summary>{escape(', '.join(names))}</details></li>"
        for words, names in only
        if names
    )
    listed = f"<ul>{said}</ul>" if said else "<p>Both have the same models and questions.</p>"
    return f'<p class="lead">{counted(changes)}</p>{listed}'


def _settings(changes: Changes) -> str:
    if not changes.settings:
        return "<p>Judges, protocol, schedule and baseline are the same.</p>"
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(name)}</th>'
        + "".join(f'<td class="name">{_short(value)}</td>' for value in both)
        + "</tr>"
        for name, both in changes.settings.items()
    )
    return _section("Settings", _table(["Setting", changes.before, changes.after], rows, "Settings"))


def _short(value: str) -> str:
    return escape(value) if len(value) <= _LONG else f"<details><summary>a text</summary>{escape(value)}</details>"


def _scores(changes: Changes) -> str:
    if not changes.scores:
        return _section("Scores", "<p>No model has a score in both runs.</p>")
    rows = "".join(map(_score, changes.scores))
    score = escape(changes.score[:1].upper() + changes.score[1:])
    note = (
        f"<p>{score}, on the models and questions that both runs have. The interval is that of the difference, as if "
        "the runs were independent; a difference beyond it is marked.</p>"
    )
    heads = ["Model", "Before", "After", "Difference", "Interval", "Beyond it"]
    return _section("Scores", note + _table(heads, rows, "Scores", names=1))


def _score(change: ScoreChange) -> str:
    interval = "none" if change.lower is None else f"{change.lower:+.1f} to {change.upper:+.1f}"
    cells = [f"{change.before:.1f}", f"{change.after:.1f}", f"{change.difference:+.1f}", interval]
    cells.append("<b>moved</b>" if change.moved else "")
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" class="name">{escape(change.model)}</th>{row}</tr>'


def _pairs(changes: Changes, room: Room) -> str:
    if not changes.pairs:
        return _section("Questions", "<p>No verdict changed.</p>")
    places = {name: place for place, name in enumerate(room.models)}
    rows = "".join(_row(change, places, first_words(room.questions[change.number - 1])) for change in changes.pairs)
    heads = ["Question", "Model", "Against", "Before", "After", "Change", "New answers by"]
    return _section("Questions", _table(heads, rows, "Changes"))


def _row(change: Change, places: dict[str, int], words: str) -> str:
    anchor = f"m{places[change.model]}"
    if change.against is not None:
        anchor = f"p{places[change.model]}-{places[change.against]}"
    link = f'<a href="{file_of(change.number)}#{anchor}">{change.number}: {escape(words)}</a>'
    whose = ", ".join(change.answers_changed) or "nobody"
    cells = [change.model, change.against or "", value_said(change, change.before), value_said(change, change.after)]
    cells += [how_said(change), whose]
    row = "".join(f'<td class="name">{escape(cell)}</td>' for cell in cells)
    return f'<tr><th scope="row" class="name">{link}</th>{row}</tr>'


def _section(title: str, inside: str) -> str:
    key = title.lower()
    return f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(title)}</h2>{inside}</section>'


def _table(heads: Sequence[str], rows: str, label: str, names: int | None = None) -> str:
    """A table of which so many columns, all if None, hold words and not numbers."""
    words = len(heads) if names is None else names
    named = "".join(
        f'<th scope="col"{" class=name" if place < words else ""}>{escape(name)}</th>'
        for place, name in enumerate(heads)
    )
    return scrolling(f'<table class="changes"><thead><tr>{named}</tr></thead><tbody>{rows}</tbody></table>', label)
