"""The first page of the reading room: the board, the pairs, and the list of questions with its filters.

The list is there without the script; the filters work on `questions.js`, a script with the same facts, since a page
that is opened from disk may load no data but scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from palaestra.judge.reading_room import Room, counts
from palaestra.judge.reading_room_games import APART, MARKS, Compared, Mark, Question, winner
from palaestra.judge.reading_room_look import WORDS, counted_marks, room_page
from palaestra.judge.reading_room_question import file_of
from palaestra.pictures.page import scrolling
from palaestra.stats import clustered

CONFIDENCE = 0.95
_TITLE, _SEARCHED = 160, 4_000
_WIDTH = 220


class Standing(NamedTuple):
    """A line of the board."""

    model: str
    score: float
    lower: float | None
    upper: float | None
    games: float


@dataclass(frozen=True, slots=True)
class Standings:
    """The board as the page shows it."""

    title: str
    """What the score is."""
    low: float
    high: float
    """The ends of the scale."""
    lines: tuple[Standing, ...]
    notes: tuple[str, ...] = ()
    """What the reader of the board should know."""


def grade_standings(room: Room, only: frozenset[str] | None = None) -> Standings:
    """Mean grades of all models, best first, with intervals clustered by question.

    Args:
        room: of a run that graded answers.
        only: the ids of the questions that count; all if None.
    """
    rows: dict[str, list[tuple[int, float]]] = {}
    for question in room.questions:
        if only is None or question.prompt.id in only:
            for each in question.compared:
                given = [heard.rating for heard in each.heard if heard.rating is not None]
                rows.setdefault(each.model, []).extend((question.number, rating) for rating in given)
    lines = []
    for model, found in rows.items():
        if found:
            number_B, rating_B = np.array([n for n, _ in found]), np.array([rating for _, rating in found])
            mean = clustered.mean(rating_B, number_B, CONFIDENCE)
            lines.append(Standing(model, mean.value, mean.lower, mean.upper, len(found)))
    best = sorted(lines, key=lambda line: -line.score)
    notes = (f"{CONFIDENCE:.0%} intervals clustered by question.",) if best else ("No grade could be read.",)
    return Standings("mean grade from 1 to 10", 1.0, 10.0, tuple(best), notes)


def index_page(room: Room, standings: Standings, *, changed: bool) -> str:
    """The first page, as HTML.

    Args:
        room: what is shown.
        standings: its board.
        changed: whether there is a page of changes.
    """
    title = f"Reading room: {room.name}"
    link = '<p><a href="changes.html">What changed against the other run</a></p>' if changed else ""
    pairs = _pairs(room) if room.kind == "verdicts" else ""
    return room_page(title, f"<h1>{escape(title)}</h1>{_lead(room)}{link}{_board(standings)}{pairs}{_questions(room)}")


def data_script(room: Room) -> str:
    """What the filters look at, as a script: models, and of each question its texts and its pairs.

    A pair is [model, against, marks as bits in the order of `MARKS`, value]; of a graded answer `against` is -1; an
    unreadable value is null.
    """
    place = {name: number for number, name in enumerate(room.models)}

    def pair(each: Compared) -> list[Any]:
        bits = sum(1 << MARKS.index(mark) for mark in each.marks)
        value = None if each.value is None else round(each.value, 4)
        return [place[each.model], -1 if each.against is None else place[each.against], bits, value]

    questions = [
        {
            "id": question.prompt.id,
            "category": question.prompt.category or "",
            "topic": question.prompt.topic or "",
            "text": question.prompt.text[:_SEARCHED],
            "spread": question.spread,
            "pairs": [pair(each) for each in question.compared],
        }
        for question in room.questions
    ]
    said = {"models": room.models, "marks": MARKS, "graded": room.kind == "grades", "questions": questions}
    return f"window.ROOM = {json.dumps(said, separators=(',', ':'))};\n"


def _lead(room: Room) -> str:
    counted = counts(room)
    what = "pairs" if room.kind == "verdicts" else "answers graded alone"
    number = counted.get("pairs", counted.get("graded_answers", 0))
    state = "" if room.card.state == "done" else f" The run is {room.card.state}."
    return (
        f'<p class="lead">{counted["questions"]:,} questions, {counted["models"]} models, {number:,} {what}, '
        f"{counted['games']:,} verdicts by {escape(', '.join(room.judges)) or 'nobody'}; protocol "
        f"{escape(room.protocol) or 'none'}; {room.card.started:%Y-%m-%d}.{state}</p>"
    )


def _board(standings: Standings) -> str:
    notes = "".join(f"<p>{escape(note)}</p>" for note in (f"Score: {standings.title}.", *standings.notes))
    rows = "".join(_standing(standings, line) for line in standings.lines)
    heads = '<th scope="col" class="name">Model</th><th scope="col">Score</th>'
    heads += '<th scope="col">Interval</th><th scope="col">Verdicts</th><td></td>'
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    shown = scrolling(table, "Board") if standings.lines else ""
    return f'<section aria-labelledby="board"><h2 id="board">Board</h2>{notes}{shown}</section>'


def _standing(standings: Standings, line: Standing) -> str:
    between = "none" if line.lower is None else f"{line.lower:.1f} to {line.upper:.1f}"
    digits = 1 if standings.high > 10 else 2  # noqa: PLR2004 - grades go to ten
    return (
        f'<tr><th scope="row" class="name">{escape(line.model)}</th><td>{line.score:.{digits}f}</td>'
        f"<td>{between}</td><td>{line.games:g}</td><td>{_bar(standings, line)}</td></tr>"
    )


def _bar(standings: Standings, line: Standing) -> str:
    """The interval and the score on the scale of the board, drawn."""

    def at(value: float) -> float:
        share = (value - standings.low) / (standings.high - standings.low)
        return 6 + (_WIDTH - 12) * min(max(share, 0.0), 1.0)

    span = ""
    if line.lower is not None and line.upper is not None:
        span = f'<line class="span" x1="{at(line.lower):.1f}" x2="{at(line.upper):.1f}" y1="9" y2="9"/>'
    middle = _WIDTH / 2
    return (
        f'<svg class="bar" aria-hidden="true" width="{_WIDTH}" height="18"><line class="scale" x1="6" '
        f'x2="{_WIDTH - 6}" y1="9" y2="9"/><line class="scale" x1="{middle}" x2="{middle}" y1="3" y2="15"/>{span}'
        f'<circle cx="{at(line.score):.1f}" cy="9" r="4"/></svg>'
    )


def _pairs(room: Room) -> str:
    found: dict[tuple[str, str], list[Compared]] = {}
    for each in room.compared:
        found.setdefault((each.model, str(each.against)), []).append(each)
    rows = "".join(_pair(name, each) for name, each in found.items())
    heads = ("Model", "Against", "Questions", "Wins", "Even", "Losses", "Points, %", "Flips, %", "Read them")
    head = "".join(
        f'<th scope="col"{" class=name" if name in {"Model", "Against"} else ""}>{name}</th>' for name in heads
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        '<section aria-labelledby="pairs"><h2 id="pairs">Pairs</h2><p>Who wins a question is what all judges say in '
        "both orders together; points are of single games, ties a half; a flip is a pair on a question of which a "
        "judge names one model in one order and the other one in the other, out of those that a judge saw in "
        f"both.</p>{scrolling(table, 'Pairs')}</section>"
    )


def _pair(name: tuple[str, str], compared: Sequence[Compared]) -> str:
    outcomes = [winner(each.points) for each in compared]
    points = [points for each in compared for heard in each.heard if (points := heard.points(name[0])) is not None]
    both = [each for each in compared if each.both_orders()]
    flips = f"{100 * sum('flip' in each.marks for each in both) / len(both):.0f}" if both else "not measured"
    numbers = [f"{len(compared):,}", *(f"{outcomes.count(each):,}" for each in ("win", "tie", "loss"))]
    numbers += [f"{100 * sum(points) / len(points):.1f}" if points else "", flips]
    cells = "".join(f"<td>{number}</td>" for number in numbers)
    models = f'data-model="{escape(name[0])}" data-against="{escape(name[1])}"'
    link = (
        f'<a class="filter" href="#questions" {models} aria-label="Questions on which {escape(name[0])} met '
        f'{escape(name[1])}">questions</a>'
    )
    return (
        f'<tr><th scope="row" class="name">{escape(name[0])}</th><td class="name">{escape(name[1])}</td>{cells}'
        f"<td>{link}</td></tr>"
    )


def _questions(room: Room) -> str:
    told = [name for name in ("category", "topic") if len(_values(room, name)) > 1]
    items = "".join(_item(question, told) for question in room.questions)
    return (
        f'<section aria-labelledby="questions"><h2 id="questions">Questions</h2>{_form(room)}'
        f'<p id="shown" role="status">{len(room.questions):,} questions</p><ol class="questions">{items}</ol></section>'
    )


def _item(question: Question, told: Sequence[str]) -> str:
    """A question in the list.

    Args:
        question: which.
        told: what is said of it besides its text: fields of its prompt.
    """
    words = " ".join(question.prompt.text.split())
    text = words if len(words) <= _TITLE else f"{words[:_TITLE]}\N{HORIZONTAL ELLIPSIS}"
    counted = counted_marks([each.marks for each in question.compared])
    shown = "".join(f'<span class="badge {mark}">{said}</span> ' for mark, said in counted)
    facts = [getattr(question.prompt, name) for name in told if getattr(question.prompt, name)]
    facts += [f"spread {question.spread:.2f}"] if question.spread is not None else ["no verdict"]
    said = escape(" \N{MIDDLE DOT} ".join(facts))
    return (
        f'<li data-number="{question.number}"><a href="{file_of(question.number)}"><span class="number">'
        f'{question.number}</span> {escape(text)}</a><p><span class="about">{said}</span> {shown}</p></li>'
    )


def _form(room: Room) -> str:
    graded = room.kind == "grades"
    marks: list[Mark] = ["disagree", "unread"] if graded else list(MARKS)
    if len(room.judges) < 2:  # noqa: PLR2004 - one cannot disagree
        marks.remove("disagree")
    words = {mark: WORDS[mark][1] for mark in MARKS}
    if graded:
        words |= {
            "disagree": f"Judges lie {APART:g} points or more apart",
            "unread": "A grade that could not be read",
        }
    boxes = "".join(
        f'<label><input type="checkbox" name="marks" value="{mark}"> {words[mark]}</label>' for mark in marks
    )
    selects = [_select("model", "Model", room.models, "any")]
    if not graded:
        selects.append(_select("against", "Against", room.models, "any"))
        outcomes = {"wins": "wins", "even": "comes out even", "loses": "loses"}
        selects.append(_select("outcome", "The model", outcomes, "wins or not", outcomes.values()))
    for name, values in (("category", _values(room, "category")), ("topic", _values(room, "topic"))):
        if len(values) > 1:
            selects.append(_select(name, name.capitalize(), values, "all"))
    orders = {"spread": "spread of the models", "flip": "number of flips", "unread": "number of unread"}
    if graded:
        del orders["flip"]
    selects.append(_select("sort", "Sort by", orders, "number", orders.values()))
    search = '<label class="search">Words in the question, or its id <input type="search" name="text"></label>'
    return (
        f'<form id="filters" hidden><fieldset><legend>Only questions with</legend>{boxes}</fieldset>'
        f'<div class="selects">{"".join(selects)}{search}<button type="reset">Show all</button></div></form>'
    )


def _values(room: Room, name: str) -> list[str]:
    return sorted({value for question in room.questions if (value := getattr(question.prompt, name))})


def _select(name: str, label: str, values: Iterable[str], nothing: str, words: Iterable[str] | None = None) -> str:
    values = list(values)
    options = "".join(
        f'<option value="{escape(value)}">{escape(word)}</option>'
        for value, word in zip(values, words or values, strict=True)
    )
    return f'<label>{label} <select name="{name}"><option value="">{nothing}</option>{options}</select></label>'
