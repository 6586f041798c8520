"""A tracker of tickets: who works on them, their status and priority."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import PEOPLE, TOPICS, WORDS

Ticket = Annotated[str, Field(description="number of a ticket, as T-31")]
Status = Literal["open", "waiting", "closed"]
Priority = Literal["low", "normal", "high"]


def _start(rng: Random) -> State:
    people, topics = rng.sample(PEOPLE, 4), rng.sample(TOPICS, 6)
    numbers = rng.sample(range(10, 99), 6)
    tickets = {
        f"T-{number}": {
            "topic": topic, "person": rng.choice(people[:3]), "status": "open",
            "priority": "normal", "comments": [],
        }
        for number, topic in zip(numbers, topics, strict=True)
    }  # fmt: skip
    return {"people": people, "tickets": tickets}


def _ticket(state: State, ticket: str) -> dict[str, Any]:
    if ticket not in state["tickets"]:
        raise ToolError(f"there is no ticket {ticket!r}")
    return state["tickets"][ticket]


@tool
def search_tickets(state: State, *, topic: str) -> Result:
    """Find the numbers of tickets on a topic."""
    return {"tickets": [{"ticket": ticket} for ticket, each in state["tickets"].items() if each["topic"] == topic]}


@tool
def tickets_of(state: State, *, person: str) -> Result:
    """List the numbers of the open tickets of a person."""
    found = [
        {"ticket": ticket}
        for ticket, each in state["tickets"].items()
        if (each["person"], each["status"]) == (person, "open")
    ]
    return {"tickets": found}


@tool
def ticket_owner(state: State, *, ticket: Ticket) -> Result:
    """Tell who works on a ticket."""
    return {"person": _ticket(state, ticket)["person"]}


@tool
def least_busy(state: State) -> Result:
    """Tell who has the fewest open tickets."""
    count = dict.fromkeys(state["people"], 0)
    for each in state["tickets"].values():
        count[each["person"]] += each["status"] == "open"
    return {"person": min(state["people"], key=lambda person: count[person])}


@tool
def assign_ticket(state: State, *, ticket: Ticket, person: str) -> Result:
    """Give a ticket to a person."""
    if person not in state["people"]:
        raise ToolError(f"nobody is named {person!r}; there are {', '.join(state['people'])}")
    _ticket(state, ticket)["person"] = person
    return {"assigned": ticket}


@tool
def set_status(state: State, *, ticket: Ticket, status: Status) -> Result:
    """Set the status of a ticket."""
    _ticket(state, ticket)["status"] = status
    return {"set": ticket}


@tool
def set_priority(state: State, *, ticket: Ticket, priority: Priority) -> Result:
    """Set the priority of a ticket."""
    _ticket(state, ticket)["priority"] = priority
    return {"set": ticket}


@tool
def comment_ticket(state: State, *, ticket: Ticket, comment: Annotated[str, Field(max_length=500)]) -> Result:
    """Write a comment below a ticket."""
    _ticket(state, ticket)["comments"].append(comment)
    return {"commented": ticket}


def _topic(rng: Random, state: State) -> str:
    return rng.choice([each["topic"] for each in state["tickets"].values()])


def _number(call: Call, topic: str) -> str:
    return call(search_tickets, topic=topic)["tickets"][0]["ticket"]


def _who(rng: Random, state: State, call: Call) -> Drawn:
    topic = _topic(rng, state)
    call(ticket_owner, ticket=_number(call, topic))
    return Drawn({"topic": topic}, "person")


def _assign(rng: Random, state: State, call: Call) -> Drawn:
    topic = _topic(rng, state)
    ticket = _number(call, topic)
    person = rng.choice([each for each in state["people"] if each != state["tickets"][ticket]["person"]])
    call(assign_ticket, ticket=ticket, person=person)
    return Drawn({"topic": topic, "person": person})


def _assign_least(rng: Random, state: State, call: Call) -> Drawn:
    topic = _topic(rng, state)
    ticket = _number(call, topic)
    call(assign_ticket, ticket=ticket, person=call(least_busy)["person"])
    return Drawn({"topic": topic})


def _status(rng: Random, state: State, call: Call) -> Drawn:
    topic, status = _topic(rng, state), rng.choice(("waiting", "closed"))
    call(set_status, ticket=_number(call, topic), status=status)
    return Drawn({"topic": topic, "status": status})


def _urgent(rng: Random, state: State, call: Call) -> Drawn:
    topic, priority = _topic(rng, state), rng.choice(("low", "high"))
    call(set_priority, ticket=_number(call, topic), priority=priority)
    return Drawn({"topic": topic, "priority": priority})


def _close(rng: Random, state: State, call: Call) -> Drawn:
    topic, comment = _topic(rng, state), " ".join(rng.sample(WORDS, 2))
    ticket = _number(call, topic)
    call(comment_ticket, ticket=ticket, comment=comment)
    call(set_status, ticket=ticket, status="closed")
    return Drawn({"topic": topic, "comment": comment})


def _hand_over(rng: Random, state: State, call: Call) -> Drawn:
    person = rng.choice([each["person"] for each in state["tickets"].values()])
    person_2 = rng.choice([each for each in state["people"] if each != person])
    for each in call(tickets_of, person=person)["tickets"]:
        call(assign_ticket, ticket=each["ticket"], person=person_2)
    return Drawn({"person": person, "person_2": person_2})


TICKETS = World(
    "tickets",
    "a tracker of tickets",
    (
        search_tickets, tickets_of, ticket_owner, least_busy, assign_ticket, set_status, set_priority, comment_ticket,
    ),
    _start,
    (
        Template("who", (
            'Who works on the ticket about "{topic}"?', 'To whom is the "{topic}" ticket assigned?',
            'Tell me the person who has the ticket on "{topic}".',
        ), _who),
        Template("assign", (
            'Assign the ticket about "{topic}" to {person}.', 'Give the "{topic}" ticket to {person}.',
            '{person} takes over the ticket on "{topic}". Please assign it.',
        ), _assign),
        Template("assign_least", (
            'Assign the ticket about "{topic}" to whoever has the fewest open tickets.',
            'Give the "{topic}" ticket to the person who is least busy.',
            'Whoever has the fewest open tickets gets the one on "{topic}". Please assign it.',
        ), _assign_least),
        Template("status", (
            'Set the ticket about "{topic}" to {status}.', 'The "{topic}" ticket is {status} now. Set its status.',
            'Change the status of the ticket on "{topic}": {status}.',
        ), _status),
        Template("priority", (
            'The ticket about "{topic}" has {priority} priority. Set it.',
            'Set the priority of the "{topic}" ticket to {priority}.',
            'Please give {priority} priority to the ticket on "{topic}".',
        ), _urgent),
        Template("close", (
            'Comment "{comment}" on the ticket about "{topic}" and close it.',
            'Close the "{topic}" ticket with the comment "{comment}".',
            'Write "{comment}" below the ticket on "{topic}", then set it to closed.',
        ), _close),
        Template("hand_over", (
            "Give all open tickets of {person} to {person_2}.",
            "{person} is away. {person_2} takes over every open ticket of {person}.",
            "Assign to {person_2} all the open tickets that {person} has.",
        ), _hand_over),
    ),
    aliases={"person": ("person", "person_2")},
)  # fmt: skip
