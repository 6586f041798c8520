"""The page of a question: the prompt, every model's answer, every judge's word on them.

Without the script all answers and verdicts stand below each other; with it two answers stand side by side, with what
was said of that pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from palaestra.judge.answers import Answer
from palaestra.judge.reading_room import Room
from palaestra.judge.reading_room_games import Compared, Heard, Question, mean_points, winner
from palaestra.judge.reading_room_look import (
    answer_html,
    badges,
    counted_marks,
    outcome_words,
    plain_html,
    room_page,
    verdict_words,
)
from palaestra.pictures.page import scrolling

MOST_ANSWERS = 24
"""With more answers than these, a page holds only those that were judged."""
_OPEN_PAIRS = 6


def file_of(number: int) -> str:
    """The page of a question, from the room's folder."""
    return f"q/{number:04}.html"


def question_page(room: Room, question: Question) -> str:
    """The page of one question, as HTML."""
    shown, left_out = _answered(room, question)
    place = {name: number for number, name in enumerate(room.models)}
    title = f"Question {question.number} of {len(room.questions)}"
    pairs = [each for each in question.compared if each.against is not None]
    parts = [
        _navigation(room, question),
        f"<h1>{title}</h1>{_facts(question)}",
        f'<section aria-labelledby="prompt"><h2 id="prompt">Prompt</h2>{_prompt(question)}</section>',
        '<section aria-labelledby="compare"><h2 id="compare">Answers and verdicts</h2>',
        _overview(room, question, place) if question.compared else "<p>Nobody judged answers to this question.</p>",
        _choice(place, shown) if len(shown) > 1 else "",
        "".join(_verdicts(each, place) for each in pairs),
        '<p id="apart" hidden>These two were not compared on this question.</p>' if pairs else "",
        '<div class="answers">',
        "".join(_answer(room, question, name, place[name]) for name in shown),
        f"</div>{_missing(room, question, left_out)}</section>",
    ]
    return room_page(f"{title}: {first_words(question)}", "".join(parts), up="../", number=question.number)


def _answered(room: Room, question: Question) -> tuple[list[str], list[str]]:
    """Whose answers are shown, and whose are not because nobody judged them here."""
    there = [name for name in room.models if name in question.answers]
    judged = {name for each in question.compared for name in (each.model, each.against)}
    if len(there) <= MOST_ANSWERS:
        return there, []
    return [name for name in there if name in judged], [name for name in there if name not in judged]


def first_words(question: Question) -> str:
    """What a question begins with, in one line."""
    return " ".join(question.prompt.turns[0].split())[:70]


def _navigation(room: Room, question: Question) -> str:
    before, after = question.number - 1, question.number + 1
    links = ['<a href="../index.html" id="back">All questions</a>']
    for there, number, rel, words in (
        (before >= 1, before, "prev", "\N{LEFTWARDS ARROW} Previous"),
        (after <= len(room.questions), after, "next", "Next \N{RIGHTWARDS ARROW}"),
    ):
        target = f' href="{number:04}.html"' if there else ' aria-disabled="true"'
        links.append(f'<a rel="{rel}" role="link"{target}>{words}</a>')
    place = f'<span id="place">{question.number} of {len(room.questions)}</span>'
    return f'<nav class="room" aria-label="Questions">{links[0]}{links[1]}{place}{links[2]}</nav>'


def _facts(question: Question) -> str:
    prompt, spread = question.prompt, question.spread
    facts = [("id", prompt.id), ("category", prompt.category), ("subcategory", prompt.subcategory)]
    facts += [("topic", prompt.topic), ("language", prompt.language)]
    facts += [("spread of the models", None if spread is None else f"{spread:.2f}")]
    said = "".join(f"<div><dt>{name}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts if value)
    return f'<dl class="facts">{said}</dl>'


def _prompt(question: Question) -> str:
    prompt, several = question.prompt, len(question.prompt.turns) > 1
    parts = [f"<h3>System prompt</h3>{plain_html(prompt.system)}"] if prompt.system else []
    for number, turn in enumerate(prompt.turns, start=1):
        parts.append(f"{f'<h3>Turn {number}</h3>' if several else ''}{plain_html(turn)}")
    if prompt.reference:
        shown = "".join(plain_html(each) for each in prompt.reference)
        parts.append(f"<details><summary>Reference answer</summary>{shown}</details>")
    return "".join(parts)


def _overview(room: Room, question: Question, place: dict[str, int]) -> str:
    """A table of all pairs (or graded answers), with a column a judge."""
    graded = room.kind == "grades"
    heads = ["Answer" if graded else "Pair", *room.judges, "Together"]
    head = "".join(f'<th scope="col" class="name">{escape(name)}</th>' for name in heads)
    rows = "".join(_row(room, each, place) for each in question.compared)
    what = "graded answer" if graded else "pair"
    noted = f"{len(question.compared)} {what}{'' if len(question.compared) == 1 else 's'}"
    table = f'<table class="pairs"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    opened = " open" if len(question.compared) <= _OPEN_PAIRS else ""
    counted = [words for _, words in counted_marks([each.marks for each in question.compared])]
    summary = f"{noted}{': ' if counted else ''}{', '.join(counted)}"
    return f'<details class="overview"{opened}><summary>{summary}</summary>{scrolling(table, "Pairs")}</details>'


def _row(room: Room, compared: Compared, place: dict[str, int]) -> str:
    cells = []
    for judge in room.judges:
        games = compared.by_judge.get(judge, [])
        words = ", ".join(verdict_words(each, compared.model) for each in games)
        cells.append(f'<td class="name">{words}</td>')
    if compared.against is None:
        name = f'<a href="#m{place[compared.model]}">{escape(compared.model)}</a>'
    else:
        name = (
            f'<a class="pair" href="#{_key(compared, place)}">{escape(compared.model)} against '
            f"{escape(compared.against)}</a>"
        )
    together = f'<td class="name">{outcome_words(compared)} {badges(compared.marks)}</td>'
    return f'<tr><th scope="row" class="name">{name}</th>{"".join(cells)}{together}</tr>'


def _key(compared: Compared, place: dict[str, int]) -> str:
    return f"p{place[compared.model]}-{place[str(compared.against)]}"


def _choice(place: dict[str, int], names: Sequence[str]) -> str:
    options = "".join(f'<option value="{place[name]}">{escape(name)}</option>' for name in names)
    return (
        '<form id="choice" hidden><label>Left <select id="left">' + options + "</select></label>"
        '<button type="button" id="swap">Swap</button>'
        '<label>Right <select id="right">' + options + "</select></label></form>"
    )


def _verdicts(compared: Compared, place: dict[str, int]) -> str:
    """What all judges said of a pair, in both orders."""
    title = f"{escape(compared.model)} against {escape(str(compared.against))}"
    judges = "".join(_judge(compared, name, games) for name, games in compared.by_judge.items())
    return (
        f'<section class="verdicts" id="{_key(compared, place)}" aria-label="Verdicts: {title}">'
        f"<h3>{title}: {outcome_words(compared)} {badges(compared.marks)}</h3>{judges}</section>"
    )


def _judge(compared: Compared, judge: str, games: Sequence[Heard]) -> str:
    named = {"win": compared.model, "loss": compared.against, "tie": "neither", None: "nobody"}[
        winner(mean_points(games, compared.model))
    ]
    result = f"prefers {named}" if named not in {"neither", "nobody"} else "comes out even"
    if named == "nobody":
        result = "gave no verdict that can be read"
    if compared.flips(judge):
        result = "names another winner in each order"
    shown = "".join(_game(each) for each in games)
    return f'<div class="judge"><p><b>{escape(judge)}</b> {escape(str(result))}</p>{shown}</div>'


def _game(heard: Heard) -> str:
    label = "unread" if heard.label is None else heard.label
    order = f"A is {heard.a}, B is {heard.b}"
    winner_of = {1.0: heard.a, 0.0: heard.b, 0.5: "neither", None: ""}[heard.points(heard.a)]
    head = f"Game {heard.game} ({escape(order)}): <code>{escape(label)}</code>"
    better = f" {escape(str(winner_of))} is better" if winner_of not in {"neither", ""} else ""
    return f"<details><summary>{head}{better}</summary>{_said(heard)}</details>"


def _said(heard: Heard) -> str:
    if heard.text:
        return plain_html(heard.text)
    return f"<p>No reply: {escape(heard.error or 'the text was not kept')}</p>"


def _answer(room: Room, question: Question, name: str, number: int) -> str:
    answer = question.answers[name]
    graded = [each for each in question.compared if each.against is None and each.model == name]
    grades = "".join(_grades(each) for each in graded)
    size = f"{sum(map(len, answer.turns)):,} characters"
    if answer.token_len is not None:
        size += f", {answer.token_len:,} tokens"
    base = " (baseline)" if name == room.baseline else ""
    return (
        f'<article class="answer" id="m{number}" aria-label="Answer of {escape(name)}"><header><h3>{escape(name)}</h3>'
        f"<span>{size}{base}</span></header>{grades}{_turns(answer)}</article>"
    )


def _grades(compared: Compared) -> str:
    shown = "".join(
        f"<details><summary><b>{escape(each.judge)}</b>: {verdict_words(each, compared.model)}</summary>{_said(each)}"
        "</details>"
        for each in compared.heard
    )
    return f'<div class="judge"><p>{outcome_words(compared)} {badges(compared.marks)}</p>{shown}</div>'


def _turns(answer: Answer) -> str:
    parts = []
    for number, turn in enumerate(answer.turns, start=1):
        head = f'<p class="turn">Turn {number}</p>' if len(answer.turns) > 1 else ""
        said = answer_html(turn) if turn.strip() else "<p><i>an answer without a word</i></p>"
        parts.append(f'{head}<div class="text">{said}</div>')
    return "".join(parts)


def _missing(room: Room, question: Question, left_out: Sequence[str]) -> str:
    parts = []
    failed = [(model, why) for (model, asked), why in room.failures.items() if asked == question.prompt.id]
    if failed:
        said = "".join(f"<li>{escape(model)}: {escape(why)}</li>" for model, why in failed)
        parts.append(f"<h3>Answers that did not come</h3><ul>{said}</ul>")
    if left_out:
        parts.append(f"<p>Not shown, since nobody judged them here: {escape(', '.join(left_out))}.</p>")
    return "".join(parts)
