"""Conversion of units, and the sums that come with it. Numbers are rounded to four digits after the point."""

from __future__ import annotations

from random import Random
from typing import Annotated, Literal

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World

Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Length = Literal["mm", "cm", "m", "km", "inch", "mile"]
Mass = Literal["g", "kg", "pound", "ounce"]
Heat = Literal["celsius", "fahrenheit", "kelvin"]
_METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "inch": 0.0254, "mile": 1609.344}
_GRAMS = {"g": 1.0, "kg": 1000.0, "pound": 453.59237, "ounce": 28.349523125}


def _start(rng: Random) -> State:  # noqa: ARG001 - every world has a start
    return {}


def _rounded(value: float) -> float:
    return round(value, 4) + 0.0


@tool
def convert_length(state: State, *, value: Number, unit: Length, target: Length) -> Result:  # noqa: ARG001 - a state
    """Convert a length from a unit to a target unit."""
    return {"value": _rounded(value * _METRES[unit] / _METRES[target])}


@tool
def convert_mass(state: State, *, value: Number, unit: Mass, target: Mass) -> Result:  # noqa: ARG001 - a state
    """Convert a mass from a unit to a target unit."""
    return {"value": _rounded(value * _GRAMS[unit] / _GRAMS[target])}


@tool
def convert_temperature(state: State, *, value: Number, unit: Heat, target: Heat) -> Result:  # noqa: ARG001 - a state
    """Convert a temperature from a unit to a target unit."""
    kelvin = {"celsius": value + 273.15, "fahrenheit": (value + 459.67) / 1.8, "kelvin": value}[unit]
    if kelvin < 0:
        raise ToolError(f"{value} {unit} is below absolute zero")
    found = {"celsius": kelvin - 273.15, "fahrenheit": kelvin * 1.8 - 459.67, "kelvin": kelvin}[target]
    return {"value": _rounded(found)}


@tool
def add_numbers(state: State, *, value: Number, other: Number) -> Result:  # noqa: ARG001 - a state
    """Add two numbers."""
    return {"value": _rounded(value + other)}


@tool
def multiply_numbers(state: State, *, value: Number, other: Number) -> Result:  # noqa: ARG001 - a state
    """Multiply two numbers."""
    return {"value": _rounded(value * other)}


def _length(rng: Random, state: State, call: Call) -> Drawn:  # noqa: ARG001 - every draw has a state
    (unit, target), value = rng.sample(sorted(_METRES), 2), rng.randint(3, 900)
    call(convert_length, value=value, unit=unit, target=target)
    return Drawn({"value": value, "unit": unit, "target": target}, "value")


def _mass(rng: Random, state: State, call: Call) -> Drawn:  # noqa: ARG001 - the same
    (unit, target), value = rng.sample(sorted(_GRAMS), 2), rng.randint(3, 900)
    call(convert_mass, value=value, unit=unit, target=target)
    return Drawn({"value": value, "unit": unit, "target": target}, "value")


def _heat(rng: Random, state: State, call: Call) -> Drawn:  # noqa: ARG001 - the same
    (unit, target), value = rng.sample(("celsius", "fahrenheit", "kelvin"), 2), rng.randint(3, 400)
    call(convert_temperature, value=value, unit=unit, target=target)
    return Drawn({"value": value, "unit": unit, "target": target}, "value")


def _sum(rng: Random, state: State, call: Call) -> Drawn:  # noqa: ARG001 - the same
    (unit, unit_2), value, value_2 = rng.sample(("cm", "km", "inch", "mile"), 2), rng.randint(3, 90), rng.randint(3, 90)
    first = call(convert_length, value=value, unit=unit, target="m")["value"]
    second = call(convert_length, value=value_2, unit=unit_2, target="m")["value"]
    call(add_numbers, value=first, other=second)
    return Drawn({"value": value, "unit": unit, "value_2": value_2, "unit_2": unit_2}, "value")


def _parcels(rng: Random, state: State, call: Call) -> Drawn:  # noqa: ARG001 - the same
    (unit, target), value, count = rng.sample(sorted(_GRAMS), 2), rng.randint(3, 90), rng.randint(3, 20)
    one = call(convert_mass, value=value, unit=unit, target=target)["value"]
    call(multiply_numbers, value=one, other=count)
    return Drawn({"value": value, "unit": unit, "target": target, "count": count}, "value")


UNITS = World(
    "units",
    "a converter of units",
    (convert_length, convert_mass, convert_temperature, add_numbers, multiply_numbers),
    _start,
    (
        Template("length", (
            "Convert the length {value} {unit} to {target}.", "How much is a length of {value} {unit} in {target}?",
            "A length is {value} {unit}. What is that in {target}?",
        ), _length),
        Template("mass", (
            "Convert the mass {value} {unit} to {target}.", "How much is a mass of {value} {unit} in {target}?",
            "Something weighs {value} {unit}. What is its mass in {target}?",
        ), _mass),
        Template("temperature", (
            "Convert the temperature {value} {unit} to {target}.", "What is {value} {unit} in {target}?",
            "It has {value} degrees {unit}. What temperature is that in {target}?",
        ), _heat),
        Template("sum", (
            "How long are {value} {unit} and {value_2} {unit_2} together, in m? Round each length to four digits.",
            "Convert {value} {unit} and {value_2} {unit_2} to m, then add them.",
            "A path has two parts, {value} {unit} and {value_2} {unit_2}. Convert both to m: how long is it in m?",
        ), _sum),
        Template("parcels", (
            "{count} parcels weigh {value} {unit} each. Convert the mass of one to {target}, then multiply.",
            "One box has a mass of {value} {unit}. In {target}, rounded to four digits, what do {count} of them weigh?",
            "Convert {value} {unit} to {target} and multiply the mass by {count}.",
        ), _parcels),
    ),
    aliases={"value": ("value", "value_2", "count"), "other": ("value", "value_2", "count")},
    by_heart=True,
)  # fmt: skip
