"""A small knowledge base: things, relations between them, one value each."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import PEOPLE

Relation = Literal["teacher", "home", "river", "mayor"]
_TOWNS = ("Arvo", "Belmar", "Corith", "Dunwick", "Elsin", "Farrow")
_RIVERS = ("Lunne", "Morava", "Neris", "Oska", "Pell", "Quill")


def _start(rng: Random) -> State:
    people, towns = rng.sample(PEOPLE, 6), rng.sample(_TOWNS, 4)
    rivers, mayors = rng.sample(_RIVERS, 4), rng.sample(people, 4)
    facts: dict[str, dict[str, str]] = {}
    home = rng.randrange(4)
    for number, person in enumerate(people):  # nobody is at home where the own teacher is
        home = (home + rng.randint(1, 2)) % 3 if number < len(people) - 1 else 3
        facts[person] = {"teacher": people[(number + 1) % len(people)], "home": towns[home]}
    for town, river, mayor in zip(towns, rivers, mayors, strict=True):
        facts[town] = {"river": river, "mayor": mayor}
    return {"facts": facts}


@tool
def look_up(state: State, *, entity: str, relation: Relation) -> Result:
    """Look up a relation of an entity: the teacher or home of a person, the river or mayor of a town."""
    found = state["facts"].get(entity, {}).get(relation)
    if found is None:
        raise ToolError(f"nothing is known of the {relation} of {entity!r}")
    return {"value": found}


@tool
def find_entity(state: State, *, relation: Relation, value: str) -> Result:
    """Find all entities that have this value in a relation: the people whose home is a town."""
    return {"entities": [{"entity": name} for name, known in state["facts"].items() if known.get(relation) == value]}


@tool
def count_entities(state: State, *, relation: Relation, value: str) -> Result:
    """Count the entities that have this value in a relation."""
    return {"count": sum(known.get(relation) == value for known in state["facts"].values())}


@tool
def set_fact(state: State, *, entity: str, relation: Relation, value: str) -> Result:
    """Correct the value of a relation of an entity."""
    if relation not in state["facts"].get(entity, {}):
        raise ToolError(f"{entity!r} has no {relation}")
    state["facts"][entity][relation] = value
    return {"set": entity}


@tool
def forget_entity(state: State, *, entity: str) -> Result:
    """Remove an entity with all that is known of it."""
    if entity not in state["facts"]:
        raise ToolError(f"there is no {entity!r}")
    del state["facts"][entity]
    return {"forgotten": entity}


def _of(state: State, relation: str) -> list[str]:
    return [name for name, known in state["facts"].items() if relation in known]


def _hops(*relations: str) -> Any:  # noqa: ANN401 - a draw
    def draw(rng: Random, state: State, call: Call) -> Drawn:
        entity = start = rng.choice(_of(state, relations[0]))
        for relation in relations:
            entity = call(look_up, entity=entity, relation=relation)["value"]
        return Drawn({"entity": start}, "value")

    return draw


def _count(rng: Random, state: State, call: Call) -> Drawn:
    town = rng.choice(_of(state, "river"))
    call(count_entities, relation="home", value=town)
    return Drawn({"value": town}, "count")


def _count_at(rng: Random, state: State, call: Call) -> Drawn:
    person = rng.choice(_of(state, "home"))
    call(count_entities, relation="home", value=call(look_up, entity=person, relation="home")["value"])
    return Drawn({"entity": person}, "count")


def _governed(rng: Random, state: State, call: Call) -> Drawn:
    mayor = rng.choice([state["facts"][town]["mayor"] for town in _of(state, "mayor")])
    town = call(find_entity, relation="mayor", value=mayor)["entities"][0]["entity"]
    call(look_up, entity=town, relation="river")
    return Drawn({"value": mayor}, "value")


def _correct(rng: Random, state: State, call: Call) -> Drawn:
    person = rng.choice(_of(state, "home"))
    town = rng.choice([town for town in _of(state, "river") if town != state["facts"][person]["home"]])
    call(set_fact, entity=person, relation="home", value=town)
    return Drawn({"entity": person, "value": town})


def _follow(rng: Random, state: State, call: Call) -> Drawn:
    person = rng.choice(_of(state, "teacher"))
    teacher = call(look_up, entity=person, relation="teacher")["value"]
    home = call(look_up, entity=teacher, relation="home")["value"]
    call(set_fact, entity=person, relation="home", value=home)
    return Drawn({"entity": person})


def _forget(rng: Random, state: State, call: Call) -> Drawn:
    person = rng.choice(_of(state, "teacher"))
    pupil = call(find_entity, relation="teacher", value=person)["entities"][0]["entity"]
    call(forget_entity, entity=pupil)
    return Drawn({"value": person})


KNOWLEDGE = World(
    "knowledge",
    "a small knowledge base of people and towns",
    (look_up, find_entity, count_entities, set_fact, forget_entity),
    _start,
    (
        Template("home", (
            "In which town is the home of {entity}?", "Where is {entity} at home?", "Tell me the home of {entity}.",
        ), _hops("home")),
        Template("teacher_home", (
            "Where is the home of {entity}'s teacher?",
            "{entity} has a teacher. In which town is that teacher at home?",
            "Tell me the home of the teacher of {entity}.",
        ), _hops("teacher", "home")),
        Template("teacher_river", (
            "Which river flows through the home of {entity}'s teacher?",
            "Take the home of the teacher of {entity}: what is its river?",
            "Name the river at which {entity}'s teacher is at home.",
        ), _hops("teacher", "home", "river")),
        Template("count", (
            "How many people have their home in {value}?", "Count the people at home in {value}.",
            "What is the number of people whose home is {value}?",
        ), _count),
        Template("count_at", (
            "How many people, {entity} among them, have the same home as {entity}?",
            "Count the people at home in {entity}'s home town, {entity} included.",
            "How many people live where {entity} lives, {entity} counted?",
        ), _count_at),
        Template("governed", (
            "Which river has the town whose mayor is {value}?",
            "{value} is the mayor of a town. What is its river?",
            "Name the river of the town of which {value} is mayor.",
        ), _governed),
        Template("correct", (
            "The home of {entity} is {value}. Please correct it.",
            "{entity} has moved to {value}; set the home accordingly.",
            "Correct the knowledge base: {entity} is at home in {value}.",
        ), _correct),
        Template("follow", (
            "{entity} has moved to the town of {entity}'s teacher. Correct the home.",
            "Set the home of {entity} to that of the teacher of {entity}.",
            "{entity} now has the same home as the own teacher. Please correct it.",
        ), _follow),
        Template("forget", (
            "Remove the person whose teacher is {value}.",
            "The one who has {value} as a teacher shall be forgotten.",
            "Forget everything about the pupil of {value}.",
        ), _forget),
    ),
    aliases={"entity": ("entity", "value"), "value": ("value", "entity")},
)  # fmt: skip
