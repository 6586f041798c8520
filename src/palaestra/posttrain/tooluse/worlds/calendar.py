"""A calendar of several people: one event an hour each, from 9 to 17."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import DAYS, PEOPLE, TOPICS

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
Hour = Annotated[int, Field(ge=9, le=17, description="full hour, 9 to 17")]
Event = Annotated[str, Field(description="number of an event, as E3")]


def _start(rng: Random) -> State:
    people = rng.sample(PEOPLE, 3)
    titles = rng.sample(TOPICS, 5)
    slots = rng.sample([(person, day, hour) for person in people for day in DAYS for hour in range(9, 18)], 5)
    events = {
        f"E{number}": {"title": title, "person": person, "day": day, "hour": hour}
        for number, (title, (person, day, hour)) in enumerate(zip(titles, slots, strict=True), start=1)
    }
    return {"people": people, "events": events, "next": 6}


def _busy(state: State, person: str, day: str) -> set[int]:
    if person not in state["people"]:
        raise ToolError(f"nobody is named {person!r}; there are {', '.join(state['people'])}")
    return {each["hour"] for each in state["events"].values() if (each["person"], each["day"]) == (person, day)}


def _event(state: State, event: str) -> dict[str, Any]:
    if event not in state["events"]:
        raise ToolError(f"there is no event {event!r}")
    return state["events"][event]


@tool
def find_event(state: State, *, title: str) -> Result:
    """Find an event by its title: its number, whose it is, its day and hour."""
    for event, each in state["events"].items():
        if each["title"] == title:
            return {"event": event, "person": each["person"], "day": each["day"], "hour": each["hour"]}
    raise ToolError(f"there is no event with the title {title!r}")


@tool
def list_events(state: State, *, person: str, day: Day) -> Result:
    """List the events of a person on a day, with number, title and hour."""
    _busy(state, person, day)
    found = [
        {"event": event, "title": each["title"], "hour": each["hour"]}
        for event, each in state["events"].items()
        if (each["person"], each["day"]) == (person, day)
    ]
    return {"events": sorted(found, key=lambda each: each["hour"])}


@tool
def next_free_hour(state: State, *, person: str, day: Day) -> Result:
    """Tell the first free hour of a person on a day."""
    free = sorted(set(range(9, 18)) - _busy(state, person, day))
    if not free:
        raise ToolError(f"{person} has no free hour on {day}")
    return {"hour": free[0]}


@tool
def add_event(state: State, *, title: str, person: str, day: Day, hour: Hour) -> Result:
    """Put a new event into the calendar of a person."""
    if hour in _busy(state, person, day):
        raise ToolError(f"{person} is busy on {day} at {hour}")
    event = f"E{state['next']}"
    state["next"] += 1
    state["events"][event] = {"title": title, "person": person, "day": day, "hour": hour}
    return {"event": event}


@tool
def move_event(state: State, *, event: Event, day: Day, hour: Hour) -> Result:
    """Move an event to another day and hour."""
    each = _event(state, event)
    if hour in _busy(state, each["person"], day) and (each["day"], each["hour"]) != (day, hour):
        raise ToolError(f"{each['person']} is busy on {day} at {hour}")
    each |= {"day": day, "hour": hour}
    return {"moved": event}


@tool
def cancel_event(state: State, *, event: Event) -> Result:
    """Cancel an event."""
    _event(state, event)
    del state["events"][event]
    return {"cancelled": event}


def _free(rng: Random, state: State, person: str) -> tuple[str, int]:
    return rng.choice([(day, hour) for day in DAYS for hour in range(9, 18) if hour not in _busy(state, person, day)])


def _new_title(rng: Random, state: State) -> str:
    return rng.choice([title for title in TOPICS if title not in {each["title"] for each in state["events"].values()}])


def _add(rng: Random, state: State, call: Call) -> Drawn:
    person, title = rng.choice(state["people"]), _new_title(rng, state)
    day, hour = _free(rng, state, person)
    call(add_event, title=title, person=person, day=day, hour=hour)
    return Drawn({"title": title, "person": person, "day": day, "hour": hour})


def _cancel(rng: Random, state: State, call: Call) -> Drawn:
    title = rng.choice([each["title"] for each in state["events"].values()])
    call(cancel_event, event=call(find_event, title=title)["event"])
    return Drawn({"title": title})


def _move(rng: Random, state: State, call: Call) -> Drawn:
    each = rng.choice(list(state["events"].values()))
    day, hour = _free(rng, state, each["person"])
    call(move_event, event=call(find_event, title=each["title"])["event"], day=day, hour=hour)
    return Drawn({"title": each["title"], "day": day, "hour": hour})


def _when(rng: Random, state: State, call: Call) -> Drawn:
    title = rng.choice([each["title"] for each in state["events"].values()])
    call(find_event, title=title)
    return Drawn({"title": title}, "hour")


def _first(rng: Random, state: State, call: Call) -> Drawn:
    person, day, title = rng.choice(state["people"]), rng.choice(DAYS), _new_title(rng, state)
    hour = call(next_free_hour, person=person, day=day)["hour"]
    call(add_event, title=title, person=person, day=day, hour=hour)
    return Drawn({"person": person, "day": day, "title": title})


def _clear(rng: Random, state: State, call: Call) -> Drawn:
    each = rng.choice(list(state["events"].values()))
    for event in call(list_events, person=each["person"], day=each["day"])["events"]:
        call(cancel_event, event=event["event"])
    return Drawn({"person": each["person"], "day": each["day"]})


def _free_question(rng: Random, state: State, call: Call) -> Drawn:
    person, day = rng.choice(state["people"]), rng.choice(DAYS)
    call(next_free_hour, person=person, day=day)
    return Drawn({"person": person, "day": day}, "hour")


CALENDAR = World(
    "calendar",
    "the calendar of a small team",
    (find_event, list_events, next_free_hour, add_event, move_event, cancel_event),
    _start,
    (
        Template("add", (
            'Put "{title}" into the calendar of {person} on {day} at {hour}.',
            '{person} needs an event "{title}" on {day}, {hour} o\'clock. Please add it.',
            'Please book {day} at {hour} for {person}: "{title}".',
        ), _add),
        Template("cancel", (
            'Cancel "{title}".',
            'The event "{title}" will not take place. Take it out of the calendar.',
            'Please remove "{title}" from the calendar.',
        ), _cancel),
        Template("move", (
            'Move "{title}" to {day} at {hour}.',
            '"{title}" has to take place on {day}, {hour} o\'clock instead. Please move it.',
            'Please reschedule the event "{title}": {day} at {hour}.',
        ), _move),
        Template("when", (
            'At which hour does "{title}" begin?',
            'When is "{title}"? The hour is enough.',
            'Tell me the hour of the event "{title}".',
        ), _when),
        Template("first", (
            'Put "{title}" into the first free hour of {person} on {day}.',
            'Book "{title}" for {person} on {day}, as early as there is room.',
            'Find the earliest free hour of {person} on {day} and add the event "{title}" there.',
        ), _first),
        Template("clear", (
            "Cancel everything that {person} has on {day}.",
            "{person} is ill on {day}. Please cancel all events of that day.",
            "Clear the {day} of {person}.",
        ), _clear),
        Template("free", (
            "What is the first free hour of {person} on {day}?",
            "From which hour on does {person} have time on {day}?",
            "Tell me the earliest hour at which {person} is free on {day}.",
        ), _free_question),
    ),
)  # fmt: skip
