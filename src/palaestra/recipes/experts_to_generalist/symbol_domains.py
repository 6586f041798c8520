"""Domains of symbols: logic, membership, look-up, brackets, calls of a toy API, programs of a small interpreter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from string import ascii_lowercase
from typing import NamedTuple

from palaestra.recipes.experts_to_generalist.domain import Domain, Task, number

_FORMULAS = 3
_TRUE = {"T&T", "T|T", "T|F", "F|T", "T^F", "F^T"}
_MEMBERS, _QUERIES = 4, 3
_ELEMENTS = "abcdefghij"
_PAIRS = 3
_OPEN, _CLOSED = "([{", ")]}"
_BRACKETS = (3, 6)
_PEOPLE = ("ann", "bob", "eve", "joe", "kim", "max", "sue", "tom")
_ROOMS = ("attic", "bath", "hall", "lab")
_NAMES = "abcde"
_OPERATIONS = "+-*"


def _logic(rng: Random) -> Task:
    asked, values, steps = [], "", []
    for _ in range(_FORMULAS):
        (x, no_x), (y, no_y) = ((rng.random() < 1 / 2, rng.random() < 1 / 2) for _ in range(2))
        gate = rng.choice("&|^")
        a, b = x != no_x, y != no_y
        value = {"&": a and b, "|": a or b, "^": a != b}[gate]
        asked.append(f"{'!' * no_x}{_letter(truth=x)}{gate}{'!' * no_y}{_letter(truth=y)}")
        values += _letter(truth=value)
        steps.append(f"{asked[-1]}:{_letter(truth=a)}{gate}{_letter(truth=b)}={values[-1]}")
    return Task(" ".join(asked), values, steps)


def _letter(*, truth: bool) -> str:
    return "FT"[truth]


def _logical(body: str, reply: str) -> bool:
    plain = body.replace("!T", "f").replace("!F", "t").upper().split(" ")
    return reply == "".join("T" if formula in _TRUE else "F" for formula in plain)


def _membership(rng: Random) -> Task:
    members = rng.sample(_ELEMENTS, _MEMBERS)
    others = [letter for letter in _ELEMENTS if letter not in members]
    queries, answer = "", ""
    for _ in range(_QUERIES):
        inside = rng.random() < 1 / 2
        queries += rng.choice(members if inside else others)
        answer += "ny"[inside]
    steps = [
        f"{query} {'in' if said == 'y' else 'not in'} {''.join(members)}"
        for query, said in zip(queries, answer, strict=True)
    ]
    return Task(f"{''.join(members)}?{queries}", answer, steps)


def _is_membership(body: str, reply: str) -> bool:
    members, _, queries = body.partition("?")
    return reply == "".join("n" if members.find(query) < 0 else "y" for query in queries)


def _look_up(rng: Random) -> Task:
    keys = rng.sample(ascii_lowercase, _PAIRS)
    values = rng.choices("0123456789", k=_PAIRS)
    wanted = rng.sample(range(_PAIRS), 2)
    steps = [f"{keys[at]} is number {at + 1},{keys[at]}={values[at]}" for at in wanted]
    table = " ".join(f"{key}{value}" for key, value in zip(keys, values, strict=True))
    return Task(f"{table}?{''.join(keys[at] for at in wanted)}", "".join(values[at] for at in wanted), steps)


def _looked_up(body: str, reply: str) -> bool:
    table, _, wanted = body.partition("?")
    found = {pair[0]: pair[1] for pair in table.split(" ")}
    return reply == "".join(found[key] for key in wanted)


def _brackets(rng: Random) -> Task:
    length = rng.randint(*_BRACKETS)
    asked, open_, steps = "", "", []
    while len(asked) < length or not open_:
        if open_ and rng.random() < 2 / 5 and len(asked) < length - 1:
            asked += _CLOSED[_OPEN.index(open_[-1])]
            open_ = open_[:-1]
        else:
            asked += rng.choice(_OPEN)
            open_ += asked[-1]
        steps.append(f"{asked[-1]} {open_ or '-'}")
    return Task(asked, "".join(_CLOSED[_OPEN.index(bracket)] for bracket in reversed(open_)), steps)


def _closes(body: str, reply: str) -> bool:
    left = body + reply
    while (shorter := left.replace("()", "").replace("[]", "").replace("{}", "")) != left:
        left = shorter
    return not left and set(reply) <= set(_CLOSED)


def _bracket_prompts() -> int:
    """Beginnings of so many brackets that end with an open one, by how many are open after each."""
    found = 0
    for length in range(_BRACKETS[0], _BRACKETS[1] + 1):
        ways = {0: 1}
        for at in range(length):
            following: dict[int, int] = {}
            for depth, count in ways.items():
                following[depth + 1] = following.get(depth + 1, 0) + 3 * count
                if depth and at < length - 1:
                    following[depth - 1] = following.get(depth - 1, 0) + count
            ways = following
        found += sum(ways.values())
    return found


class _Call(NamedTuple):
    name: str
    arguments: tuple[str, ...]


def _api(rng: Random) -> Task:
    kind = rng.randrange(4)
    person, amount = rng.choice(_PEOPLE), rng.randint(1, 99)
    room, level = rng.choice(_ROOMS), rng.randint(1, 99)
    hour, minute = rng.randint(1, 23), rng.randint(0, 59)
    body, call = (
        (f"pay {person} {amount}", _Call("pay", (person, f"{amount}"))),
        (f"give {amount} to {person}", _Call("pay", (person, f"{amount}"))),
        (f"dim {room} {level}", _Call("lamp", (room, f"{level}"))),
        (f"wake me at {hour}:{minute:02}", _Call("alarm", (f"{hour}", f"{minute}"))),
    )[kind]
    return Task(
        body, f"{call.name}({','.join(call.arguments)})", [f"{body.split(' ')[0]} is {call.name}", *_named(call)]
    )


def _named(call: _Call) -> Sequence[str]:
    names = {"pay": ("who", "how much"), "lamp": ("room", "level"), "alarm": ("hour", "minute")}[call.name]
    return [f"{name}={value}" for name, value in zip(names, call.arguments, strict=True)]


def _does(body: str, reply: str) -> bool:
    """Calls the toy API, and looks whether the world is then as it was asked to be."""
    call = re.fullmatch(r"(pay|lamp|alarm)\(([a-z0-9]+),([0-9]+)\)", reply)
    if call is None or number(call[3]) is None:
        return False
    state = {"pay": {"owed": (call[2], int(call[3]))}, "lamp": {"lit": (call[2], int(call[3]))}}
    if call[1] == "alarm":
        return number(call[2]) is not None and _wanted(body) == {"rings": 60 * int(call[2]) + int(call[3])}
    return _wanted(body) == state[call[1]]


def _wanted(body: str) -> dict[str, object]:
    if clock := re.fullmatch(r"wake me at (\d+):(\d\d)", body):
        return {"rings": 60 * int(clock[1]) + int(clock[2])}
    if given := re.fullmatch(r"give (\d+) to (\w+)", body):
        return {"owed": (given[2], int(given[1]))}
    verb, what, amount = body.split(" ")
    return {"owed" if verb == "pay" else "lit": (what, int(amount))}


def _program(rng: Random) -> Task:
    first, second = rng.sample(_NAMES, 2)
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    operation = rng.choice(_OPERATIONS)
    (x, left), (y, right) = rng.choice((((first, a), (second, b)), ((second, b), (first, a))))
    if operation == "-" and left < right:
        (x, left), (y, right) = (y, right), (x, left)
    value = {"+": left + right, "-": left - right, "*": left * right}[operation]
    steps = [f"{first} is {a}", f"{second} is {b}", f"{x}{operation}{y} is {left}{operation}{right}", f"so {value}"]
    return Task(f"{first}={a};{second}={b};{x}{operation}{y}", f"{value}", steps)


def _printed(body: str, reply: str) -> bool:
    """Runs the program, one statement after the other."""
    *statements, last = body.split(";")
    memory = {name: int(value) for name, value in (statement.split("=") for statement in statements)}
    x, operation, y = last
    found = number(reply)
    if operation == "*":
        return found == sum([memory[x]] * memory[y])
    return found is not None and found - memory[x] == (memory[y] if operation == "+" else -memory[y])


def _programs() -> int:
    """Two names; both orders of a sum and a product, and of a difference those that are not below zero."""
    return 5 * 4 * (2 * 2 * 100 + 110)


SYMBOL_DOMAINS = (
    Domain("log", "three formulas of logic", 48**_FORMULAS, _logic, _logical),
    Domain("set", "membership in a set", 10 * 9 * 8 * 7 * 10**_QUERIES, _membership, _is_membership),
    Domain("kvp", "look-up of two keys", 26 * 25 * 24 * 10**_PAIRS * 6, _look_up, _looked_up),
    Domain("brk", "what closes the brackets", _bracket_prompts(), _brackets, _closes),
    Domain("api", "a request as a call of a toy API", 2 * 8 * 99 + 4 * 99 + 23 * 60, _api, _does),
    Domain("run", "what a small program prints", _programs(), _program, _printed),
)
