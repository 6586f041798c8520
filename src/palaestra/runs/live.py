"""A page that follows runs: curves and samples, made anew when a run's files have grown, several runs side by side.

    GET /             the page, whole without its script (`?run=NAME` chooses, may be repeated)
    GET /now          what has changed since `seen`, as a piece of the page; 204 if nothing has
    GET /follow.js    the page's script: asks /now every other second

It reads the folders of runs and writes nothing. Pages are told not to load anything from elsewhere, and requests must
name this machine, so that no page of the web can read along.

Not here: a page that is kept (`page.py`), who may start a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from palaestra.errors import InputError
from palaestra.pictures.page import whole_page
from palaestra.pictures.palette import DARK, MANY
from palaestra.runs import curves
from palaestra.runs.account import config_html, figures, runs_table, samples_html
from palaestra.runs.page import SAMPLES_STYLE
from palaestra.store.run_reading import RunView, Series, find_runs, version, view_run

SIDE_BY_SIDE = 4
"""Runs that are shown if nobody chooses: the newest."""
_SAMPLES = 8
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_COLORS = "".join(f"--c{number}: {color}; " for number, color in enumerate(MANY))
_DARK_COLORS = "".join(f"--c{number}: {DARK.get(color, color)}; " for number, color in enumerate(MANY))
_STYLE = f"""<style>
:root {{ {_COLORS} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK_COLORS} }} }}
{curves.STYLE}{SAMPLES_STYLE}
form {{ margin: 0 0 1rem; }} fieldset {{ border: 1px solid var(--line); border-radius: 9px; }}
form label {{ display: inline-block; margin: .1rem 1rem .1rem 0; }}
form button {{ font: inherit; font-weight: 600; color: var(--sheet); background: var(--ink); border: 0;
  border-radius: 9px; padding: .4rem 1rem; cursor: pointer; }}
:focus-visible {{ outline: 3px solid var(--second); outline-offset: 2px; }}
#fresh {{ min-height: 1.5em; }} #fresh.lost {{ color: var(--first); font-weight: 600; }}
.side {{ display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }}
.side > section {{ flex: 1 1 20rem; min-width: 0; }} .side h3 {{ font-size: 1rem; margin: .4rem 0; }}
.many {{ display: flex; flex-wrap: wrap; gap: .4rem .8rem; }} .many figure {{ margin: 0; font-size: .85rem; }}
</style>"""
FOLLOW = """
const now = document.getElementById("now"), fresh = document.getElementById("fresh");
const every = 2000;
let seen = now.dataset.version, said = "";
function say(text, lost) {
  if (text !== said) { fresh.textContent = said = text; fresh.classList.toggle("lost", lost); }
}
function put(html) {
  const open = new Set([...now.querySelectorAll("details[open]")].map((one) => one.id));
  const at = document.activeElement, place = at && at.id;
  now.innerHTML = html;
  for (const one of now.querySelectorAll("details")) one.open = open.has(one.id);
  if (place) document.getElementById(place)?.focus({ preventScroll: true });
}
async function look() {
  try {
    const query = new URLSearchParams(location.search);
    query.set("seen", seen);
    const answer = await fetch("/now?" + query);
    if (answer.status === 200) {
      const found = await answer.json();
      put(found.html);
      seen = found.version;
      now.dataset.version = seen;
      say(found.said, false);
    } else if (answer.status !== 204) {
      say((await answer.json()).detail, true);
    } else if (fresh.classList.contains("lost")) say("The server answers again.", false);
  } catch (error) {
    say("The server does not answer any more; this is what it said last.", true);
  }
  setTimeout(look, document.hidden ? 5 * every : every);
}
setTimeout(look, every);
"""


def watch_app(folder: Path, hosts: Sequence[str] = ()) -> FastAPI:
    """The application.

    Args:
        folder: a run's folder, or one with runs in it, which may come and go.
        hosts: names by which it may be asked, beside this machine's own.

    Raises:
        InputError: there is no run in the folder.
    """
    if not find_runs(folder):
        raise InputError(f"found no run in {folder}, expected the folder of a run or one with runs in it")
    app = FastAPI(title="Palaestra runs", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", *hosts])
    chosen = Query(default_factory=list)

    @app.get("/")
    def page(run: list[str] = chosen) -> Response:
        return HTMLResponse(_page(folder, run), headers=_HEADERS)

    @app.get("/now")
    def now(seen: str = "", run: list[str] = chosen) -> Response:
        runs = _chosen(folder, run)
        newest = _version(runs)
        if newest == seen:
            return Response(status_code=204, headers=_HEADERS)
        views, broken = _views(runs)
        said = {"version": newest, "html": _body(views, broken), "said": _states(views)}
        return JSONResponse(said, headers=_HEADERS)

    @app.get("/follow.js")
    def script() -> Response:
        return Response(FOLLOW, media_type="text/javascript", headers=_HEADERS)

    @app.exception_handler(InputError)
    def wrong(request: Request, error: InputError) -> Response:
        return _refused(request, 404, str(error))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return _refused(request, error.status_code, str(error.detail))

    return app


def _refused(request: Request, status: int, words: str) -> Response:
    if request.url.path == "/now":
        return JSONResponse({"detail": words}, status_code=status, headers=_HEADERS)
    body = f'<p role="alert">{escape(words)}</p><p><a href="/">All runs</a></p>'
    return HTMLResponse(whole_page("Runs", body), status_code=status, headers=_HEADERS)


def _page(folder: Path, asked: Sequence[str]) -> str:
    runs = _chosen(folder, asked)
    newest = _version(runs)
    views, broken = _views(runs)
    body = (
        f'{_STYLE}{_form(folder, runs)}<p id="fresh" role="status">{escape(_states(views))}</p>'
        f'<div id="now" data-version="{newest}">{_body(views, broken)}</div><script src="/follow.js" defer></script>'
    )
    return whole_page(f"Runs in {folder.resolve().name}" if len(runs) != 1 else f"The run {runs[0].name}", body)


def _chosen(folder: Path, asked: Sequence[str]) -> list[Path]:
    """The runs to show, by name: those asked for, else the newest few.

    Raises:
        InputError: there is none, or none of such a name.
    """
    there = {_name(folder, path): path for path in find_runs(folder)}
    for name in asked:
        if name not in there:
            raise InputError(f"found no run {name!r} in {folder}, expected one of {', '.join(there) or 'none'}")
    if not there:
        raise InputError(f"found no run in {folder} any more")
    newest = sorted(there.values(), key=lambda path: -_touched(path))[:SIDE_BY_SIDE]
    return [there[name] for name in asked] if asked else sorted(newest)


def _name(folder: Path, path: Path) -> str:
    return path.name if path == folder else str(path.relative_to(folder))


def _touched(path: Path) -> float:
    """When a run last wrote; 0 if it is gone."""
    times = [file.stat().st_mtime for file in path.glob("*.json*") if file.is_file()]
    return max(times, default=0.0)


def _version(runs: Sequence[Path]) -> str:
    said = "|".join(f"{path} {version(path)}" for path in runs)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _views(runs: Sequence[Path]) -> tuple[list[RunView], list[str]]:
    """The runs, and what is wrong with those that cannot be read."""
    views, broken = [], []
    for path in runs:
        try:
            views.append(view_run(path))
        except InputError as error:
            broken.append(str(error))
    return views, broken


def _states(views: Sequence[RunView]) -> str:
    states = ", ".join(f"{run.path.name} is {run.state}" for run in views)
    return f"{states}; as of {datetime.now().astimezone():%H:%M:%S}"


def _form(folder: Path, runs: Sequence[Path]) -> str:
    """Which runs are shown side by side; nothing to choose where there is but one."""
    there = find_runs(folder)
    if len(there) == 1:
        return ""
    boxes = "".join(
        f'<label><input type="checkbox" name="run" value="{escape(_name(folder, path))}"'
        f"{' checked' if path in runs else ''}> {escape(_name(folder, path))}</label>"
        for path in there
    )
    return (
        f'<form method="get" action="/"><fieldset><legend>Side by side</legend>{boxes} '
        '<button type="submit">Show</button></fieldset></form>'
    )


def _body(views: Sequence[RunView], broken: Sequence[str]) -> str:
    wrong = "".join(f'<p role="alert">{escape(words)}</p>' for words in broken)
    if not views:
        return wrong
    every = {run.path: figures(run.series) for run in views}
    names = list(dict.fromkeys(name for found in every.values() for name in found))
    drawn = "".join(_figure(name, [(run, every[run.path].get(name, [])) for run in views]) for name in names)
    samples = "".join(
        f"<section><h3>{escape(run.path.name)}</h3>{config_html(run)}{samples_html(run, _SAMPLES)}</section>"
        for run in views
    )
    curves_ = drawn or "<p>No numbers yet.</p>"
    return f'{wrong}{runs_table(views)}{curves_}<h2>Samples</h2><div class="side">{samples}</div>'


def _figure(name: str, runs: Sequence[tuple[RunView, Sequence[Series]]]) -> str:
    """One figure of all runs, on the same axes."""
    every = [line for _, lines in runs for line in lines if line.values]
    spans = (curves.span(every, "at"), curves.span(every, "values")) if every else None
    parts = "".join(
        f"<section>{f'<h3>{escape(run.path.name)}</h3>' if len(runs) > 1 else ''}"
        f"{curves.figure_html(lines, f'{name} of {run.path.name}', spans)}</section>"
        for run, lines in runs
        if lines
    )
    return f'<h2>{escape(name)}</h2><div class="side">{parts}</div>'
