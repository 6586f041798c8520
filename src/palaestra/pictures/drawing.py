"""From a chart to a file or a piece of a page: altair's look, vl-convert's conversions, files whole or not there.

Altair (VanderPlas et al., 2018) describes a chart in Vega-Lite (Satyanarayan et al., 2017); vl-convert draws it
without a browser and without the network. Both are the extra `plots`, and loaded only when something is drawn.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palaestra.errors import InputError, MissingPartError
from palaestra.pictures.palette import INK, LINE, SOFT
from palaestra.schema import Leaderboard, ModelRating
from palaestra.whole_file import whole_file

_FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
_AXIS = {
    "labelColor": INK,
    "titleColor": SOFT,
    "titleFontWeight": "normal",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "gridColor": LINE,
    "domain": False,
    "ticks": False,
    "labelPadding": 6,
}
_LOOK = {
    "font": _FONT,
    "aria": False,
    "background": "white",
    "view": {"stroke": None},
    "axis": _AXIS,
    "legend": {
        "labelColor": INK,
        "titleColor": SOFT,
        "labelFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 260,
    },
    "title": {
        "color": INK,
        "subtitleColor": SOFT,
        "anchor": "start",
        "fontSize": 16,
        "subtitleFontSize": 12,
        "offset": 12,
    },
}
_NOISE = re.compile(r' (?:aria-[a-z]+|role|class|font-family|pointer-events|xmlns:xlink|version|opacity)="(?!0)[^"]*"')

_PART = re.compile(r'( id="|="url\(#)([a-z]+\d+)')
"""A part of a drawing, where it is named and where it is used."""


def altair() -> Any:  # noqa: ANN401 - a module
    """Altair.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    try:
        import altair as alt
        import vl_convert  # noqa: F401 - a chart that cannot be written is half of it
    except ImportError as error:
        raise MissingPartError(f"pictures need {error.name}: pip install 'palaestra[plots]'") from error
    return alt


NAME = 170
"""Pixels for a model's name; longer ones end in an ellipsis."""


def best(board: Leaderboard, top: int) -> tuple[ModelRating, ...]:
    """The models that a picture has place for.

    Raises:
        InputError: the board has no models.
    """
    if not board.models:
        raise InputError("found a board without models, expected votes to draw")
    return board.models[:top]


def spelled(lines: tuple[ModelRating, ...]) -> tuple[str, ...]:
    """The names of these models."""
    return tuple(line.model for line in lines)


def names_axis(alt: Any, names: tuple[str, ...], field: str = "model", *, grid: bool = True) -> Any:  # noqa: ANN401 - altair is loaded late
    """Names from top to bottom, in this order."""
    axis = alt.Axis(labelLimit=NAME, grid=grid, labelOverlap=False)
    return alt.Y(f"{field}:N", sort=list(names), scale=alt.Scale(domain=list(names)), title=None, axis=axis)


def of_all(board: Leaderboard, lines: tuple[ModelRating, ...]) -> str:
    """How many of how many are shown, where they are not all."""
    return f"; the best {len(lines)} of {len(board.models)} models" if len(lines) < len(board.models) else ""


def intervals(board: Leaderboard) -> str:
    """What the board's intervals are, as `95% intervals`."""
    return (
        f"{100 * float(str(board.settings['confidence'])):g}% intervals"
        if "confidence" in board.settings
        else "intervals"
    )


def styled(chart: Any, title: str, *subtitle: str) -> Any:  # noqa: ANN401 - altair is loaded late
    """A chart with its title, below it what the reader has to know, and the house's look."""
    return chart.properties(title={"text": title, "subtitle": list(subtitle)}, config=_LOOK)


def titles(chart: Any) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401 - altair is loaded late
    """Title and subtitle of a chart."""
    return chart.title["text"], tuple(chart.title["subtitle"])


def inline_svg(chart: Any, key: str) -> str:  # noqa: ANN401 - altair is loaded late
    """A chart as SVG for a page that says its title itself: transparent, without what only Vega reads.

    Args:
        chart: the chart.
        key: distinguishes this drawing's names from those of all others on the page.
    """
    spec = chart.to_dict()
    del spec["title"]
    spec["config"] |= {"background": "transparent"}
    return _in_tags(_PART, rf"\1{key}-\2", _in_tags(_NOISE, "", _drawn(spec)))


def save_chart(chart: Any, path: str | Path) -> None:  # noqa: ANN401 - altair is loaded late
    """Write a chart: .svg, .png (twice the size in pixels), .html (alone, with its scripts) or .json (Vega-Lite).

    Raises:
        InputError: another suffix, or the path cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    altair()
    path = Path(path)
    kinds: dict[str, Callable[[dict[str, Any]], bytes]] = {
        ".svg": _svg, ".png": _png, ".html": _page, ".json": lambda spec: json.dumps(spec, indent=2).encode(),
    }  # fmt: skip
    if path.suffix.lower() not in kinds:
        raise InputError(f"found the picture {str(path)!r}, expected a name that ends in {', '.join(kinds)}")
    write_whole(path, kinds[path.suffix.lower()](chart.to_dict()))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there.

    Raises:
        InputError: the path cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


def _drawn(spec: dict[str, Any]) -> str:
    """SVG, the same for the same chart: Vega numbers the names in it on from one drawing to the next."""
    import vl_convert

    numbers: dict[str, int] = {}

    def numbered(part: re.Match[str]) -> str:
        return f"{part[1]}part{numbers.setdefault(part[2], len(numbers))}"

    return _in_tags(_PART, numbered, vl_convert.vegalite_to_svg(spec))


def _in_tags(pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str], text: str) -> str:
    """Replace in tags, and leave the names of models between them alone; Vega escapes what they have of a tag."""
    return re.sub(r"<[^>]+>", lambda tag: pattern.sub(new, tag[0]), text)


def _svg(spec: dict[str, Any]) -> bytes:
    return _drawn(spec).encode()


def _png(spec: dict[str, Any]) -> bytes:
    import vl_convert

    return vl_convert.vegalite_to_png(spec, scale=2)


def _page(spec: dict[str, Any]) -> bytes:
    """One page with Vega's scripts in it. Names cannot end the element that holds the data."""
    import vl_convert

    data = json.dumps(spec).replace("<", "\\u003c")
    show = 'vegaEmbed("#chart", JSON.parse(document.getElementById("spec").textContent), {actions: false});'
    title = html.escape(spec["title"]["text"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        '<body><main id="chart">'
        f'</main><script type="application/json" id="spec">{data}</script>'
        f"<script>{vl_convert.javascript_bundle(show)}</script></body></html>\n"
    ).encode()
