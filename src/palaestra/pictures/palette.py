"""The colours of the pictures, each with the one that takes its place on a dark page.

Charts are drawn in the light colours. The report's style sheet turns them into the dark ones by looking for the light
ones in the drawing, so that no two roles may have the same colour. Text stands at 4.5 to 1 or better on whatever it is
printed on, in both schemes (WCAG 2.2, 1.4.3); a test computes it.
"""

from __future__ import annotations

SHEET = "#fdfaf3"
INK = "#2a231b"
SOFT = "#665a4b"
LINE = "#ddd1bc"
FIRST = "#9c3f24"
SECOND = "#17616d"

ON_STRONG = "#fffdf8"
"""Text on the two strong classes at each end of a heat map; on the others, text is `INK`."""

DIVERGING = ("#9d4025", "#ad6149", "#cc9c8c", "#e8d1c5", "#f5efe3", "#cad8d6", "#8aaeb0", "#407d85", "#18626e")
"""Nine classes from losing to winning."""

RISING = ("#edefea", "#cad8d6", "#8aaeb0", "#407d85", "#18626e")
"""Five classes from few to many."""

STRONG = {*DIVERGING[:2], *DIVERGING[-2:]}

MANY = ("#9c3f24", "#17616d", "#6b4fa0", "#9a6a00", "#3d7a2d", "#b0307a", "#3f63c4", "#665a4b")
"""Lines that have to be told from each other; they also differ in their dashes and have their names beside them."""

DARK = {
    SHEET: "#221d17",
    INK: "#efe6d8",
    SOFT: "#b6a892",
    LINE: "#41372b",
    FIRST: "#f09a75",
    SECOND: "#7cc6d2",
    ON_STRONG: "#14100c",
    DIVERGING[0]: "#ef9974",
    DIVERGING[1]: "#bc7b5e",
    DIVERGING[2]: "#6a4938",
    DIVERGING[3]: "#433126",
    DIVERGING[4]: "#2b251e",
    DIVERGING[5]: "#303835",
    DIVERGING[6]: "#425858",
    DIVERGING[7]: "#669ca3",
    DIVERGING[8]: "#7bc5d1",
    RISING[0]: "#272521",
    MANY[2]: "#b8a2ea",
    MANY[3]: "#e6b84d",
    MANY[4]: "#93cc7f",
    MANY[5]: "#f08cc4",
    MANY[6]: "#9db6ff",
}
"""Light to dark."""


def dark_rules(scope: str) -> str:
    """CSS that gives the drawings inside `scope` their dark colours."""
    return "\n".join(
        f'{scope} [{way}="{light}"] {{ {way}: {dark}; }}' for light, dark in DARK.items() for way in ("fill", "stroke")
    )
