"""Domains of days and of measures: weekdays, dates, units, Roman numerals.

Gold answers come from tables of their own; the checkers ask `datetime` and exact fractions.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from fractions import Fraction
from random import Random

from palaestra.recipes.experts_to_generalist.domain import Domain, Task, number

_WEEK = ("mo", "tu", "we", "th", "fr", "sa", "su")
_FURTHEST = 7
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_COMMON = 2023
"""A year without a leap day, for dates that name none."""
_FURTHEST_DAYS = 9
_YEARS = 100
_UNITS = (("km", "m", 3), ("m", "cm", 2), ("cm", "mm", 1), ("kg", "g", 3), ("l", "cl", 2), ("t", "kg", 3))
_ROMAN = (
    ("", "M", "MM", "MMM"),
    ("", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM"),
    ("", "X", "XX", 3 * "X", "XL", "L", "LX", "LXX", "L" + 3 * "X", "XC"),
    ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"),
)
_WORTH = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
_LAST_ROMAN = 3999


def _weekday(rng: Random) -> Task:
    asked = [(rng.randrange(7), rng.randint(1, _FURTHEST)) for _ in range(2)]
    found = [_WEEK[(day + more) % 7] for day, more in asked]
    steps = [
        f"{more} days are {more % 7},{_WEEK[day]} to {name}" for (day, more), name in zip(asked, found, strict=True)
    ]
    return Task(" ".join(f"{_WEEK[day]}+{more}" for day, more in asked), " ".join(found), steps)


def _is_weekday(body: str, reply: str) -> bool:
    days = []
    for part in body.split(" "):
        name, _, more = part.partition("+")
        monday = date(2024, 1, 1)
        days.append((monday + timedelta(_WEEK.index(name) + int(more))).strftime("%a").lower()[:2])
    return reply == " ".join(days)


def _difference(rng: Random) -> Task:
    day, month, more = *_day(rng), rng.randint(1, _FURTHEST_DAYS)
    if rng.random() < 1 / 2:  # else few questions would cross the end of a month
        day = max(1, _MONTHS[month - 1] - rng.randrange(_FURTHEST_DAYS))
    left = _MONTHS[month - 1] - day
    end, later = (day + more, month) if more <= left else (more - left, month % 12 + 1)
    rest = f"{left} left in {month},then {end}" if more > left else f"{end}-{day}"
    return Task(f"{day}.{month} {end}.{later}", f"{more}", [f"{month} has {_MONTHS[month - 1]}", rest, f"so {more}"])


def _day(rng: Random) -> tuple[int, int]:
    month = rng.randint(1, 12)
    return rng.randint(1, _MONTHS[month - 1]), month


def _is_difference(body: str, reply: str) -> bool:
    first, second = (datetime.strptime(f"{part}.{_COMMON}", "%d.%m.%Y").date() for part in body.split(" "))  # noqa: DTZ007 - a date has no zone
    return number(reply) == (second - first).days % 365


def _tomorrow(rng: Random) -> Task:
    day, month = _day(rng)
    year = rng.randrange(_YEARS)
    last = _MONTHS[month - 1] + (month == 2 and year % 4 == 0)  # noqa: PLR2004 - February
    if rng.random() < 1 / 2:
        day = last
    following = (day + 1, month, year) if day < last else (1, month % 12 + 1, (year + (month == 12)) % _YEARS)  # noqa: PLR2004
    steps = [f"month {month:02}", f"year {year:02}", f"last day {last}", "next month" if day == last else "same month"]
    return Task(_dated(day, month, year), _dated(*following), steps)


def _dated(day: int, month: int, year: int) -> str:
    return f"{day:02}.{month:02}.{year:02}"


def _is_tomorrow(body: str, reply: str) -> bool:
    day, month, year = body.split(".")
    return reply == (date(2000 + int(year), int(month), int(day)) + timedelta(1)).strftime("%d.%m.%y")


def _convert(rng: Random) -> Task:
    large, small, power = rng.choice(_UNITS)
    shown = rng.randint(1, 999)
    if rng.random() < 1 / 2:
        tenths = shown * 10 ** (power - 1)
        asked = f"{shown // 10}.{shown % 10}"
        return Task(f"{asked}{large}>{small}", f"{tenths}", _shift_steps(asked, large, small, power, f"{tenths}"))
    padded = f"{shown:0{power + 1}}"
    found = f"{padded[:-power]}.{padded[-power:]}".rstrip("0").rstrip(".")
    return Task(f"{shown}{small}>{large}", found, _shift_steps(f"{shown}", small, large, power, found))


def _shift_steps(asked: str, unit: str, other: str, power: int, found: str) -> list[str]:
    return [f"{unit} to {other}", f"move {power}", f"{asked} is {found}"]


def _converted(body: str, reply: str) -> bool:
    asked = re.fullmatch(r"([0-9.]+)([a-z]+)>([a-z]+)", body)
    if asked is None or not re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", reply):
        return False
    worth = {"km": 1000, "m": 1, "cm": Fraction(1, 100), "mm": Fraction(1, 1000), "t": 1000, "kg": 1}
    worth |= {"g": Fraction(1, 1000), "l": 1, "cl": Fraction(1, 100)}
    return Fraction(reply) * worth[asked[3]] == Fraction(asked[1]) * worth[asked[2]]


def _roman(rng: Random) -> Task:
    asked = rng.randint(1, _LAST_ROMAN)
    parts = [table[int(digit)] for table, digit in zip(_ROMAN, f"{asked:04}", strict=True)]
    steps = [
        f"{part}={int(digit) * 10 ** (3 - at)}"
        for at, (part, digit) in enumerate(zip(parts, f"{asked:04}", strict=True))
    ]
    return Task("".join(parts), f"{asked}", [step for step in steps if not step.startswith("=")])


def _is_roman(body: str, reply: str) -> bool:
    worth = [_WORTH[letter] for letter in body]
    signed = [-one if one < other else one for one, other in zip(worth, [*worth[1:], 0], strict=True)]
    return number(reply) == sum(signed)


CALENDAR_DOMAINS = (
    Domain("wkd", "two weekdays, so many days on", (7 * _FURTHEST) ** 2, _weekday, _is_weekday),
    Domain("dif", "days between two dates", sum(_MONTHS) * _FURTHEST_DAYS, _difference, _is_difference),
    Domain("nxt", "the next day, with leap years", 365 * _YEARS + _YEARS // 4, _tomorrow, _is_tomorrow),
    Domain("uni", "units of the metric system", 2 * 999 * len(_UNITS), _convert, _converted),
    Domain("rom", "a Roman numeral as a number", _LAST_ROMAN, _roman, _is_roman),
)
