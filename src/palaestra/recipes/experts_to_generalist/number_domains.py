"""Domains of numbers: sums, products, quotients, remainders, comparisons, bits.

Where one table is too small to hold anything back from training, a question has two or three of its entries.
"""

from __future__ import annotations

from random import Random

from palaestra.recipes.experts_to_generalist.domain import Domain, Task, listed, number

_DIVISORS, _DIVIDENDS = (2, 5), (2, 29)
_MODULI = (5, 9)
_BITS = 5
_ITEMS = 3
_GATES = {"&": "0001", "|": "0111", "^": "0110"}


def _add(rng: Random) -> Task:
    a, b = rng.randint(100, 999), rng.randint(1, 9)
    ones = a % 10 + b
    steps = [f"{a % 10}+{b}={ones}", f"put {ones % 10} carry {ones // 10}", f"{a // 10}+{ones // 10}={(a + b) // 10}"]
    return Task(f"{a}+{b}", f"{a + b}", [*steps, f"so {a + b}"])


def _added(body: str, reply: str) -> bool:
    a, b = map(int, body.split("+"))
    found = number(reply)
    return found is not None and found - b == a


def _subtract(rng: Random) -> Task:
    a, b = rng.randint(100, 999), rng.randint(1, 9)
    borrow = int(a % 10 < b)
    ones = a % 10 + 10 * borrow - b
    steps = [f"{a % 10 + 10 * borrow}-{b}={ones}", f"put {ones} borrow {borrow}", f"{a // 10}-{borrow}={(a - b) // 10}"]
    return Task(f"{a}-{b}", f"{a - b}", [*steps, f"so {a - b}"])


def _subtracted(body: str, reply: str) -> bool:
    a, b = map(int, body.split("-"))
    found = number(reply)
    return found is not None and found + b == a


def _multiply(rng: Random) -> Task:
    pairs = [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(2)]
    return Task(
        " ".join(f"{a}x{b}" for a, b in pairs),
        " ".join(f"{a * b}" for a, b in pairs),
        [f"{a}x{b} is {b}x{a} is {a * b}" for a, b in pairs],
    )


def _multiplied(body: str, reply: str) -> bool:
    items = listed(reply, 2)
    return items is not None and all(
        number(item) == sum([int(pair[0])] * int(pair[2])) for pair, item in zip(body.split(" "), items, strict=True)
    )


def _divide(rng: Random) -> Task:
    pairs = [(rng.randint(*_DIVIDENDS), rng.randint(*_DIVISORS)) for _ in range(2)]
    return Task(
        " ".join(f"{a}/{b}" for a, b in pairs),
        " ".join(f"{a // b}r{a % b}" for a, b in pairs),
        [f"{a // b}x{b}={a // b * b},{a}-{a // b * b}={a % b},so {a // b}r{a % b}" for a, b in pairs],
    )


def _divided(body: str, reply: str) -> bool:
    items = listed(reply, 2)
    return items is not None and all(map(_quotient, body.split(" "), items))


def _quotient(asked: str, item: str) -> bool:
    a, b = map(int, asked.split("/"))
    whole, _, rest = item.partition("r")
    q, r = number(whole), number(rest)
    return q is not None and r is not None and q * b + r == a and r < b


def _reduce(rng: Random) -> Task:
    m = rng.randint(*_MODULI)
    pairs = [(rng.randrange(m), rng.randrange(m)) for _ in range(2)]
    return Task(
        f"{m}:" + " ".join(f"{a}+{b}" for a, b in pairs),
        " ".join(f"{(a + b) % m}" for a, b in pairs),
        [f"{a}+{b}={a + b},less {(a + b) // m}x{m} is {(a + b) % m}" for a, b in pairs],
    )


def _reduced(body: str, reply: str) -> bool:
    modulus, _, sums = body.partition(":")
    items = listed(reply, 2)
    return items is not None and all(
        item in map(str, range(int(modulus))) and (int(item) - int(pair[0]) - int(pair[2])) % int(modulus) == 0
        for pair, item in zip(sums.split(" "), items, strict=True)
    )


def _compare(rng: Random) -> Task:
    pairs = [(rng.randint(0, 9), rng.randint(0, 9)) for _ in range(_ITEMS)]
    pairs = [(a, a if rng.random() < 1 / 5 else b) for a, b in pairs]  # else few would be equal
    signs = ["=" if a == b else "<>"[a > b] for a, b in pairs]
    return Task(
        " ".join(f"{a}?{b}" for a, b in pairs),
        "".join(signs),
        [f"{a} to {b} is {sign}" for (a, b), sign in zip(pairs, signs, strict=True)],
    )


def _compared(body: str, reply: str) -> bool:
    pairs = body.split(" ")
    texts = [pair.split("?") for pair in pairs]
    return len(reply) == len(pairs) and all(
        sign in "<=>" and {"<": a < b, "=": a == b, ">": b < a}[sign] for (a, b), sign in zip(texts, reply, strict=True)
    )


def _bitwise(rng: Random) -> Task:
    gate = rng.choice("&|^")
    a, b = (rng.randrange(2**_BITS) for _ in range(2))
    answer = "".join(_GATES[gate][2 * (a >> at & 1) + (b >> at & 1)] for at in reversed(range(_BITS)))
    first, second = f"{a:0{_BITS}b}", f"{b:0{_BITS}b}"
    steps = [f"{x}{gate}{y}={z}" for x, y, z in zip(first, second, answer, strict=True)]
    return Task(f"{first}{gate}{second}", answer, steps)


def _bits(body: str, reply: str) -> bool:
    gate, a, b = body[_BITS], int(body[:_BITS], 2), int(body[_BITS + 1 :], 2)
    return reply == format({"&": a & b, "|": a | b, "^": a ^ b}[gate], f"0{_BITS}b")


def _largest(rng: Random) -> Task:
    numbers = [rng.randint(10, 99) for _ in range(3)]
    steps, best = [], numbers[0]
    for found in numbers[1:]:
        steps.append(f"{best} or {found}:{max(best, found)}")
        best = max(best, found)
    return Task(" ".join(map(str, numbers)), f"{best}", steps)


def _is_largest(body: str, reply: str) -> bool:
    texts = body.split(" ")
    return reply in texts and all(text <= reply for text in texts)


NUMBER_DOMAINS = (
    Domain("add", "addition", 900 * 9, _add, _added),
    Domain("sub", "subtraction", 900 * 9, _subtract, _subtracted),
    Domain("mul", "two products of digits", 9**4, _multiply, _multiplied),
    Domain("div", "two divisions with remainder", (28 * 4) ** 2, _divide, _divided),
    Domain("mod", "two sums in modular arithmetic", sum(m**4 for m in range(5, 10)), _reduce, _reduced),
    Domain("cmp", "three comparisons", 100**_ITEMS, _compare, _compared),
    Domain("bit", "and, or, exclusive or of bits", 3 * 4**_BITS, _bitwise, _bits),
    Domain("max", "the largest of three numbers", 90**3, _largest, _is_largest),
)
