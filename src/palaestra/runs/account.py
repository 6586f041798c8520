"""A run in words: what the list, the card and both pages say of it.

Not here: curves (`curves.py`, `page.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from palaestra.pictures.page import scrolling
from palaestra.store.run_reading import RunView, Series

_MAIN = 3
_LARGE = 1e15
_MINUTE, _HOUR = 60, 3600
_SHOWN = 600
"""Characters of one field of a sample that are shown at once."""


def main_metrics(run: RunView, most: int = _MAIN) -> dict[str, float]:
    """A few numbers: what came out, or of a run under way the newest of its curves."""
    found = run.card.metrics or run.last
    return dict(list(found.items())[:most])


def record_of(run: RunView) -> dict[str, Any]:
    """A run as JSON, without its points and samples."""
    card = run.card.to_dict()
    return {"path": str(run.path), "state": run.state, "seconds": round(run.seconds, 3), "last": run.last} | {
        name: card[name]
        for name in ("id", "command", "config", "seed", "inputs", "versions", "started", "finished", "metrics")
    }


def series_record(one: Series) -> dict[str, Any]:
    """A curve in numbers."""
    return {
        "name": one.full_name,
        "over": one.over,
        "points": len(one.values),
        "not_finite": one.not_finite,
        "first": one.values[0] if one.values else None,
        "last": one.values[-1] if one.values else None,
        "least": min(one.values, default=None),
        "largest": max(one.values, default=None),
    }


def took(seconds: float) -> str:
    """Seconds for people."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return (
        f"{whole // _MINUTE} min {whole % _MINUTE} s"
        if whole < _HOUR
        else f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    )


def numbers(metrics: Mapping[str, float]) -> str:
    """Metrics in a line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in metrics.items())


def shown(value: float) -> str:
    """A number as people read it: whole ones in full, others to four digits."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < _LARGE else f"{value:.4g}"


def figures(series: Sequence[Series]) -> dict[str, list[Series]]:
    """Curves by figure: those of one name, over the same clock, stand together."""
    found: dict[str, list[Series]] = {}
    clocks = {name: {one.over for one in series if one.name == name} for name in (one.name for one in series)}
    for one in series:
        name = one.name if len(clocks[one.name]) == 1 else f"{one.name} over {one.over}"
        found.setdefault(name, []).append(one)
    return found


def runs_table(runs: Sequence[RunView]) -> str:
    """What there is to say of runs at a glance, as HTML."""
    columns = {"run": True, "command": True, "state": False, "time": False, "numbers": True}
    head = "".join(
        f'<th scope="col"{" class=name" if is_text else ""}>{name}</th>' for name, is_text in columns.items()
    )
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(run.path.name)}</th><td class="name">{escape(run.card.command)}</td>'
        f'<td class="state {run.state}">{run.state}</td><td>{took(run.seconds)}</td>'
        f'<td class="name">{escape(numbers(main_metrics(run)))}</td></tr>'
        for run in runs
    )
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>", "the runs")


def config_html(run: RunView) -> str:
    """The run's config, seed, inputs and versions, folded."""
    card = run.card
    lines = {**card.config, "seed": card.seed, **{file.path: file.sha256[:12] for file in card.inputs}, **card.versions}
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(str(name))}</th><td class="name">{escape(_spelled(value))}</td></tr>'
        for name, value in lines.items()
    )
    table = scrolling(f"<table><tbody>{rows}</tbody></table>", f"config of {escape(run.path.name)}")
    return f'<details id="config-{escape(run.path.name)}"><summary>Config, inputs, versions</summary>{table}</details>'


def samples_html(run: RunView, most: int) -> str:
    """The newest samples first, as HTML. What they hold is shown as it is, and is never markup."""
    newest = list(reversed(run.samples))[:most]
    if not newest:
        return "<p>No samples yet.</p>"
    return f'<ol class="samples">{"".join(map(_sample, newest))}</ol>'


def _sample(sample: Mapping[str, Any]) -> str:
    short = {name: value for name, value in sample.items() if not isinstance(value, str | list | dict)}
    long = {name: value for name, value in sample.items() if name not in short}
    said = ", ".join(f"{name} {_spelled(value)}" for name, value in short.items())
    fields = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(_cut(_spelled(value)))}</dd>" for name, value in long.items()
    )
    return f'<li><p class="at">{escape(said)}</p><dl>{fields}</dl></li>'


def _spelled(value: Any) -> str:  # noqa: ANN401 - anything that JSON can hold
    if isinstance(value, str):
        return value
    return shown(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... ({len(text)} characters)"
