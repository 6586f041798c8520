"""Text tools: functions of a text, and a drawer of notes."""

from __future__ import annotations

from random import Random
from typing import Annotated

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import TOPICS, WORDS

Text = Annotated[str, Field(max_length=500)]
Letter = Annotated[str, Field(min_length=1, max_length=1)]


def _start(rng: Random) -> State:
    return {"notes": {name: " ".join(rng.sample(WORDS, 4)) for name in rng.sample(TOPICS, 3)}}


@tool
def reverse_text(state: State, *, text: Text) -> Result:  # noqa: ARG001 - every tool has a state
    """Reverse a text, letter by letter."""
    return {"text": text[::-1]}


@tool
def sort_words(state: State, *, text: Text) -> Result:  # noqa: ARG001 - the same
    """Sort the words of a text by the alphabet."""
    return {"text": " ".join(sorted(text.split()))}


@tool
def count_letter(state: State, *, text: Text, letter: Letter) -> Result:  # noqa: ARG001 - the same
    """Count how often a letter stands in a text."""
    return {"count": text.count(letter)}


@tool
def upper_case(state: State, *, text: Text) -> Result:  # noqa: ARG001 - the same
    """Write a text in capital letters."""
    return {"text": text.upper()}


@tool
def read_note(state: State, *, note: str) -> Result:
    """Read a note by its name."""
    if note not in state["notes"]:
        raise ToolError(f"there is no note {note!r}; there are {', '.join(state['notes'])}")
    return {"text": state["notes"][note]}


@tool
def save_note(state: State, *, note: str, text: Text) -> Result:
    """Save a text as a note of this name, new or not."""
    state["notes"][note] = text
    return {"saved": note}


def _phrase(rng: Random, state: State) -> str:
    taken = {word for text in state["notes"].values() for word in text.split()}
    words = rng.sample([word for word in WORDS if word not in taken], 4)
    return " ".join(words if words != sorted(words) else words[::-1])


def _reverse(rng: Random, state: State, call: Call) -> Drawn:
    text = _phrase(rng, state)
    call(reverse_text, text=text)
    return Drawn({"text": text}, "text")


def _count(rng: Random, state: State, call: Call) -> Drawn:
    text, letter = _phrase(rng, state), rng.choice("aeiou")
    call(count_letter, text=text, letter=letter)
    return Drawn({"text": text, "letter": letter}, "count")


def _sorted_reversed(rng: Random, state: State, call: Call) -> Drawn:
    text = _phrase(rng, state)
    call(reverse_text, text=call(sort_words, text=text)["text"])
    return Drawn({"text": text}, "text")


def _count_in(rng: Random, state: State, call: Call) -> Drawn:
    note, letter = rng.choice(sorted(state["notes"])), rng.choice("aeiou")
    call(count_letter, text=call(read_note, note=note)["text"], letter=letter)
    return Drawn({"note": note, "letter": letter}, "count")


def _save_capitals(rng: Random, state: State, call: Call) -> Drawn:
    note = rng.choice(sorted(state["notes"]))
    call(save_note, note=note, text=call(upper_case, text=call(read_note, note=note)["text"])["text"])
    return Drawn({"note": note})


def _save_sorted(rng: Random, state: State, call: Call) -> Drawn:
    note, text = rng.choice([name for name in TOPICS if name not in state["notes"]]), _phrase(rng, state)
    call(save_note, note=note, text=call(sort_words, text=text)["text"])
    return Drawn({"note": note, "text": text})


TEXTS = World(
    "texts",
    "tools for texts and a drawer of notes",
    (reverse_text, sort_words, count_letter, upper_case, read_note, save_note),
    _start,
    (
        Template("reverse", (
            'Reverse the text "{text}" letter by letter.', 'Write "{text}" from its last letter to its first.',
            'What is "{text}" spelled backwards, letter by letter?',
        ), _reverse),
        Template("count", (
            'How often does the letter "{letter}" stand in "{text}"?',
            'Count the letter "{letter}" in the text "{text}".',
            'In "{text}", how many times is there a "{letter}"?',
        ), _count),
        Template("sorted_reversed", (
            'Sort the words of "{text}" by the alphabet and reverse the result letter by letter.',
            'First put the words of "{text}" into alphabetical order, then spell all of it backwards.',
            'What do you get if the words of "{text}" are sorted and the sorted text is reversed by letters?',
        ), _sorted_reversed),
        Template("count_in", (
            'How often does the letter "{letter}" stand in the note "{note}"?',
            'Count the letter "{letter}" in my note "{note}".',
            'How many times is there a "{letter}" in the note with the name "{note}"?',
        ), _count_in),
        Template("save_capitals", (
            'Write the note "{note}" in capital letters and save it again under its name.',
            'My note "{note}" should be in capital letters throughout. Please change it.',
            'Turn the note "{note}" into upper case.',
        ), _save_capitals),
        Template("save_sorted", (
            'Sort the words of "{text}" and save them as the note "{note}".',
            'Save a note "{note}" with the words of "{text}" in alphabetical order.',
            'I need a note "{note}": the words of "{text}", sorted.',
        ), _save_sorted),
    ),
    by_heart=True,
)  # fmt: skip
