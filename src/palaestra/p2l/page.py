"""A page that takes a prompt and draws its own leaderboard, with what a router would do; served by `serve.py`.

Not here: the board itself (`leaderboard.py`), pages of trained models (`report.py`), and of routed
files (`routing_page.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from palaestra.pictures.page import scrolling, whole_page

_MEAN = 1000.0
_WIDE, _HIGH = 240, 22

_STYLE = """<style>
form { margin: 1rem 0 2rem; }
textarea, input { width: 100%; box-sizing: border-box; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--soft); border-radius: 9px; padding: .6rem .8rem; margin: .3rem 0 .8rem; }
form button { font: inherit; font-weight: 600; color: var(--sheet); background: var(--ink); border: 0;
  border-radius: 9px; padding: .55rem 1.1rem; cursor: pointer; }
:focus-visible { outline: 3px solid var(--second); outline-offset: 2px; }
p.wrong { color: var(--first); font-weight: 600; } tr.taken th, tr.taken td { font-weight: bold; color: var(--ink); }
svg.span { min-width: 180px; } svg.span line { stroke: var(--second); stroke-width: 3; stroke-linecap: round; }
svg.span line.mean { stroke: var(--line); stroke-width: 1; } svg.span circle { fill: var(--first); }
td.span { padding-block: 0; }
</style>"""


def prompt_page(
    name: str,
    *,
    needs_key: bool = False,
    prompt: str = "",
    found: Mapping[str, Any] | None = None,
    wrong: str | None = None,
) -> str:
    """A page that takes a prompt, and shows its leaderboard; it needs no script.

    Args:
        name: of the router.
        needs_key: whether the form asks for the server's key.
        prompt: what was asked.
        found: what `serve.answer_of` says of it.
        wrong: why there is nothing to show.
    """
    said = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    lead = (
        "<p>Who would answer best depends on the question. Write one: this is the leaderboard of just that prompt.</p>"
    )
    shown = "" if found is None else _found(found)
    return whole_page(f"{name}: a leaderboard for a prompt", f"{_STYLE}{lead}{_form(prompt, needs_key)}{said}{shown}")


def _form(prompt: str, needs_key: bool) -> str:  # noqa: FBT001 - it is one, or it is none
    key = '<label for="key">Key of this server</label><input id="key" name="key" type="password">' if needs_key else ""
    return (
        '<form method="post" action="/"><label for="prompt">Prompt</label>'
        f'<textarea id="prompt" name="prompt" rows="4" required>\n{escape(prompt)}</textarea>{key}'
        '<button type="submit">Show its leaderboard</button></form>'
    )


def _found(found: Mapping[str, Any]) -> str:
    decision, lines = found["decision"], found["board"]["models"]
    if "error" in decision:
        verdict = f'<p class="wrong">{escape(decision["error"])}</p>'
    else:
        drawn = " or ".join(f"{escape(name)} ({chance:.0%})" for name, chance in decision["chances"].items())
        verdict = (
            f'<p class="verdict">Sent to {drawn}, for {decision["expected_cost"]:.3g} a call on average.</p>'
            f"<p>{escape(decision['reason'])}. Expected score {decision['expected_score']:.3f}.</p>"
        )
    low, high = min(line["lower"] for line in lines), max(line["upper"] for line in lines)
    rows = "".join(_row(line, found, (low, high)) for line in lines)
    head = "".join(
        f'<th scope="col" class="{"name" if text == "Model" else ""}">{text}</th>' if text else "<td></td>"
        for text in ("Rank", "Model", "Rating", "", "95% interval", "Expected score", "Cost a call", "Taken")
    )
    warnings = "".join(f"<p>{escape(text)}</p>" for text in found["board"]["warnings"])
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>Its leaderboard</h2>{verdict}{scrolling(table, 'Leaderboard')}{warnings}"


def _row(line: Mapping[str, Any], found: Mapping[str, Any], ends: tuple[float, float]) -> str:
    routed = found["routed"].get(line["model"])
    chance = found["decision"].get("chances", {}).get(line["model"])
    ranks = f"{line['rank_lower']}" + (f"-{line['rank_upper']}" if line["rank_upper"] != line["rank_lower"] else "")
    cells = (
        f"<td>{ranks}</td>",
        f'<th scope="row" class="name">{escape(line["model"])}</th>',
        f"<td>{line['rating']:.0f}</td>",
        f'<td class="span">{_interval(line, ends)}</td>',
        f"<td>{line['lower']:.0f} to {line['upper']:.0f}</td>",
        "<td>no endpoint</td><td></td>"
        if routed is None
        else f"<td>{routed['expected_score']:.3f}</td><td>{routed['expected_cost']:.3g}</td>",
        f"<td>{'' if chance is None else f'{chance:.0%}'}</td>",
    )
    return f"<tr{' class=taken' if chance else ''}>{''.join(cells)}</tr>"


def _interval(line: Mapping[str, Any], ends: tuple[float, float]) -> str:
    low, span = ends[0], max(ends[1] - ends[0], 1.0)

    def at(rating: float) -> str:
        return f"{8 + (_WIDE - 16) * (rating - low) / span:.1f}"

    middle = _HIGH / 2
    mean = (
        f'<line class="mean" x1="{at(_MEAN)}" x2="{at(_MEAN)}" y1="0" y2="{_HIGH}"/>' if low <= _MEAN <= ends[1] else ""
    )
    return (
        f'<svg class="span" aria-hidden="true" width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}">{mean}'
        f'<line x1="{at(line["lower"])}" x2="{at(line["upper"])}" y1="{middle}" y2="{middle}"/>'
        f'<circle cx="{at(line["rating"])}" cy="{middle}" r="4.5"/></svg>'
    )
