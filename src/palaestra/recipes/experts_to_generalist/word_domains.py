"""Domains of words: letters and digits that are turned, shifted, counted, sorted, and coded."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from random import Random
from string import ascii_lowercase, digits

from palaestra.recipes.experts_to_generalist.domain import Domain, Task, number, word, words

_VOWELS = "aeiou"
_FEW, _CODED = "abcdef", "abcdefghij"
_SHIFTS, _TURNS = (1, 2), (1, 2)
_RUNS, _RUN = (2, 3), (1, 3)


def _reverse(rng: Random) -> Task:
    asked = word(rng, ascii_lowercase, 3, 5)
    steps = [f"{asked[at]} first:{asked[at::-1]}" for at in range(len(asked))]
    return Task(asked, asked[::-1], steps[1:])


def _reversed(body: str, reply: str) -> bool:
    return len(reply) == len(body) and all(reply[-1 - at] == letter for at, letter in enumerate(body))


def _shift(rng: Random) -> Task:
    asked, by = word(rng, ascii_lowercase, 3, 4), rng.randint(*_SHIFTS)
    moved = "".join(ascii_lowercase[(ascii_lowercase.index(letter) + by) % 26] for letter in asked)
    return Task(f"{asked}+{by}", moved, [f"{old} +{by} is {new}" for old, new in zip(asked, moved, strict=True)])


def _shifted(body: str, reply: str) -> bool:
    asked, _, by = body.partition("+")
    return len(reply) == len(asked) and all(
        new in ascii_lowercase and (ord(new) - ord(old) - int(by)) % 26 == 0
        for old, new in zip(asked, reply, strict=True)
    )


def _count(rng: Random) -> Task:
    length = rng.randint(4, 6)
    places = set(rng.sample(range(length), rng.randint(0, length - 2)))
    others = ascii_lowercase.translate(str.maketrans("", "", _VOWELS))
    asked = "".join(rng.choice(_VOWELS if at in places else others) for at in range(length))
    seen, steps = 0, []
    for at, letter in enumerate(asked):
        seen += at in places
        steps.append(f"{letter}{seen}")
    return Task(asked, f"{len(places)}", steps)


def _counted(body: str, reply: str) -> bool:
    return number(reply) == len(re.findall(f"[{_VOWELS}]", body))


def _distinct(rng: Random) -> Task:
    asked = word(rng, _FEW, 4, 5)
    kept = "".join(dict.fromkeys(asked))
    steps = [f"{letter} {'old' if letter in asked[:at] else 'new'}" for at, letter in enumerate(asked)]
    return Task(asked, kept, steps)


def _is_distinct(body: str, reply: str) -> bool:
    places = [body.find(letter) for letter in reply]
    return set(reply) == set(body) and all(one < other for one, other in pairwise(places))


def _turn(rng: Random) -> Task:
    asked, by = word(rng, ascii_lowercase, 4, 5), rng.randint(*_TURNS)
    steps = [f"turn {at}:{asked[at:]}{asked[:at]}" for at in range(1, by + 1)]
    return Task(f"{asked}<{by}", asked[by:] + asked[:by], steps)


def _turned(body: str, reply: str) -> bool:
    asked, _, by = body.partition("<")
    return reply[len(reply) - int(by) :] + reply[: len(reply) - int(by)] == asked


def _sort(rng: Random, symbols: str, least: int, most: int) -> Task:
    asked = word(rng, symbols, least, most)
    steps, left, done = [], list(asked), ""
    while left:
        first = min(left)
        left.remove(first)
        done += first
        steps.append(f"{done} of {''.join(left)}")
    return Task(asked, done, steps[:-1])


def _sort_digits(rng: Random) -> Task:
    return _sort(rng, digits, 3, 5)


def _sort_letters(rng: Random) -> Task:
    return _sort(rng, ascii_lowercase, 3, 4)


def _sorted(body: str, reply: str) -> bool:
    return Counter(reply) == Counter(body) and all(one <= other for one, other in pairwise(reply))


def _continue(rng: Random) -> Task:
    unit = "".join(rng.sample(ascii_lowercase, rng.randint(2, 4)))
    shown = rng.randint(len(unit) + 2, len(unit) + 5)
    endless = unit * 6
    return Task(
        endless[:shown],
        endless[shown : shown + 3],
        [f"unit {unit}", f"{shown} seen", f"last {endless[shown - 1]}", f"{endless[: shown + 3]}"],
    )


def _continued(body: str, reply: str) -> bool:
    period = body.index(body[0], 1)
    whole = body + reply
    return len(reply) == len("abc") and all(whole[at] == whole[at - period] for at in range(period, len(whole)))


def _code(rng: Random) -> Task:
    runs: list[tuple[str, int]] = []
    for _ in range(rng.randint(*_RUNS)):
        letter = rng.choice([letter for letter in _CODED if not runs or letter != runs[-1][0]])
        runs.append((letter, rng.randint(*_RUN)))
    return Task(
        "".join(letter * count for letter, count in runs),
        "".join(f"{letter}{count}" for letter, count in runs),
        [f"{letter * count} is {letter}{count}" for letter, count in runs],
    )


def _coded(body: str, reply: str) -> bool:
    runs = re.findall(r"([a-z])([1-9])", reply)
    letters = [letter for letter, _ in runs]
    return (
        "".join(f"{letter}{count}" for letter, count in runs) == reply
        and "".join(letter * int(count) for letter, count in runs) == body
        and all(one != other for one, other in pairwise(letters))
    )


def _with_two_consonants() -> int:
    """Words of four to six letters, at least two of them no vowels."""
    return sum(26**n - n * 5 ** (n - 1) * 21 - 5**n for n in range(4, 7))


def _units() -> int:
    """Four numbers of letters shown for each unit of two, three, four distinct letters."""
    return 4 * (26 * 25 + 26 * 25 * 24 + 26 * 25 * 24 * 23)


WORD_DOMAINS = (
    Domain("rev", "a word backwards", words(26, 3, 5), _reverse, _reversed),
    Domain("cae", "letters moved on in the alphabet", 2 * words(26, 3, 4), _shift, _shifted),
    Domain("vow", "how many vowels", _with_two_consonants(), _count, _counted),
    Domain("ded", "each letter once, in order", words(6, 4, 5), _distinct, _is_distinct),
    Domain("rot", "a word turned to the left", 2 * words(26, 4, 5), _turn, _turned),
    Domain("srt", "digits sorted", words(10, 3, 5), _sort_digits, _sorted),
    Domain("alp", "letters sorted", words(26, 3, 4), _sort_letters, _sorted),
    Domain("pat", "the next three of a pattern", _units(), _continue, _continued),
    Domain("rle", "run lengths", sum(10 * 9 ** (n - 1) * 3**n for n in range(2, 4)), _code, _coded),
)
