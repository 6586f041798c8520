"""From a chart to a file or a piece of a page: altair's look, vl-convert's conversions, and files that are whole or not there.

Altair (VanderPlas et al., 2018) describes a chart in Vega-Lite (Satyanarayan et al., 2017); vl-convert draws it without a
browser and without the network. Both are the extra `plots`, and loaded only when something is drawn.
"""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palaestra.errors import InputError, MissingPartError
from palaestra.ranking.palette import INK, LINE, SOFT

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
    "legend": {"labelColor": INK, "titleColor": SOFT, "labelFontSize": 12, "titleFontWeight": "normal", "labelLimit": 260},
    "title": {"color": INK, "subtitleColor": SOFT, "anchor": "start", "fontSize": 16, "subtitleFontSize": 12, "offset": 12},
}
_NOISE = re.compile(r' (?:aria-[a-z]+|role|class|font-family|pointer-events|xmlns:xlink|version|opacity)="(?!0)[^"]*"')


def altair() -> Any:  # noqa: ANN401 - a module
    """Altair.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    try:
        import altair as found
        import vl_convert  # noqa: F401 - a chart that cannot be written is half of it
    except ImportError as error:
        raise MissingPartError(f"pictures need {error.name}: pip install 'palaestra[plots]'") from error
    return found


def styled(chart: Any, title: str, *subtitle: str) -> Any:  # noqa: ANN401 - altair is loaded late
    """A chart with its title, below it what the reader has to know, and the house's look."""
    return chart.properties(title={"text": title, "subtitle": list(subtitle)}, config=_LOOK)


def titles(chart: Any) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401 - altair is loaded late
    """Title and subtitle of a chart."""
    return chart.title["text"], tuple(chart.title["subtitle"])


def inline_svg(chart: Any) -> str:  # noqa: ANN401 - altair is loaded late
    """A chart as SVG for a page that says its title itself: transparent, in the page's font, without what only Vega reads."""
    import vl_convert

    spec = chart.to_dict()
    del spec["title"]
    spec["config"] |= {"background": "transparent"}
    return _NOISE.sub("", vl_convert.vegalite_to_svg(spec))


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
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as beside:
            beside.write(content)
        Path(beside.name).chmod(0o666 & ~_umask())
        Path(beside.name).replace(path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; give a path that can be written") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _svg(spec: dict[str, Any]) -> bytes:
    import vl_convert

    return vl_convert.vegalite_to_svg(spec).encode()


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
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body><main id="chart">'
        f'</main><script type="application/json" id="spec">{data}</script>'
        f"<script>{vl_convert.javascript_bundle(show)}</script></body></html>\n"
    ).encode()
