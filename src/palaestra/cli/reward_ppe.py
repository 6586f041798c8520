"""`palaestra reward ppe`: is a reward, a judge or a function a good stand-in for people and for the truth?"""

from __future__ import annotations

from importlib.util import find_spec
from json import dumps, loads
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.progress import Progress
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.rewards.ppe.evaluation import PpeConfig, ProxyEvaluation
from palaestra.rewards.ppe.proxies import Proxy

Evaluating = Annotated[PpeConfig, Parameter(name="*")]

_TOTALS = {"overall", "mean"}
_KINDS = {"rule", "perplexity", "scores", "function", "verdicts", "by-id"}
"""What a REWARD begins with that has no name before it: the = of rule:regex:a=b names nothing."""


def ppe(
    rewards: Annotated[list[str], Parameter(name="REWARD", negative=())],
    /,
    *,
    human: Path | str | None = None,
    correctness: Annotated[list[str] | None, Parameter(negative=())] = None,
    pairs: Annotated[list[str] | None, Parameter(negative=())] = None,
    downstream: Path | None = None,
    keep: Path | None = None,
    all_figures: bool = False,
    config: Evaluating | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """How well rewards, judges and functions stand in for people and for the truth (preference proxy evaluations).

    Parameters
    ----------
    rewards
        What to evaluate, each also as NAME=...: whatever `reward score` takes (a trained folder, rule:length,
        perplexity:..., scores:FILE), function:MODULE:FUNCTION, verdicts:RUN of a judge, or by-id:FILE with scores by
        the ids of votes and samples. Gaps are from the first.
    human
        People's votes on two replies: votes with conversations, an arena's database, or PPE's human file.
    correctness
        Files of replies that are right or wrong, each one domain, also as DOMAIN=FILE: PPE's best-of-K files, or rows
        of question_id, prompt, response, correct.
    pairs
        Files of RewardBench, RM-Bench, JudgeBench, LLMBar, or any pairs of which one is better, also as NAME=FILE.
    downstream
        What became of models optimised against these rewards: rows of reward, score, and result; runs of one thing
        differ in their seed, and are averaged.
    keep
        A folder in which answers are kept as they come: what was killed goes on from there.
    all_figures
        Print every domain and metric, and not only the totals.
    """
    from palaestra.recipes.proxy_board import bradley_terry_board
    from palaestra.rewards.ppe.benches import bench_of
    from palaestra.rewards.ppe.downstream import read_results
    from palaestra.rewards.ppe.evaluation import evaluate
    from palaestra.rewards.ppe.samples import read_samples
    from palaestra.store.preferences import read_preferences

    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)
    votes = read_preferences(human).preferences if human is not None else ()
    named = [_named(one) for one in correctness or ()]
    samples = [sample for name, path in named for sample in read_samples(path, name)]
    read = [
        (name or Path(path).name.partition(".")[0], read_preferences(path)) for name, path in map(_named, pairs or ())
    ]
    benches = [bench_of(name, file.format, file.preferences) for name, file in read]
    results = read_results(downstream) if downstream is not None else None
    if keep is not None:
        _refuse_others(keep, rewards)
    proxies = [_proxy(one, keep) for one in rewards]
    with Progress(console=console.err, transient=True, disable=not console.err.is_terminal) as progress:
        task = progress.add_task("asking", total=None)
        found = evaluate(
            proxies, config, maker=bradley_terry_board, human=votes, samples=samples, benches=benches,
            results=results, keep=keep, tell=lambda done: progress.advance(task, done),
        )  # fmt: skip
    if html is not None:
        from palaestra.rewards.ppe.page import write_ppe_page

        write_ppe_page(html, found)
        console.note(f"The page is in {html}")
    later = [_foretold(found, all_figures=all_figures)] if found.downstream else []
    console.give(found.to_dict(), json, _table(found, all_figures=all_figures), *later)
    for warning in found.warnings:
        console.warn(warning)


def _named(given: str) -> tuple[str | None, str]:
    """NAME=REST, unless this is a path as it stands."""
    name, mark, rest = given.partition("=")
    if not mark or Path(given).exists() or "/" in name or name.partition(":")[0] in _KINDS:
        return None, given
    if not name or not rest:
        raise InputError(f"found {given!r}, expected NAME=...")
    return name, rest


def _refuse_others(keep: Path, rewards: list[str]) -> None:
    """Note what each name stands for, so that another reward is not answered from what one of its name has said.

    Raises:
        InputError: a name stood for something else, or the folder cannot be written.
    """
    from palaestra.store.records import write_text
    from palaestra.store.runs import file_sha256

    named = {}
    for name, spec in map(_named, rewards):
        path = _source(spec)
        named[name or spec] = [spec, file_sha256(path) if path.exists() else None]
    file = keep / "proxies.json"
    try:
        known = loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}; expected what was kept; give another --keep") from error
    if other := [name for name, now in named.items() if known.get(name, now) != now]:
        raise InputError(f"found answers of another {other[0]!r} in {keep}, expected the same; give another --keep")
    write_text(file, dumps(known | named, indent=2))


def _source(spec: str) -> Path:
    """The file or folder that a reward comes from: of a function, its module's."""
    kind, _, rest = spec.partition(":")
    if kind != "function":
        return Path(spec.rpartition(":")[2])
    try:
        found = find_spec(rest.partition(":")[0])
    except (ImportError, ValueError):
        found = None
    return Path(found.origin if found is not None and found.origin else rest)


def _proxy(given: str, keep: Path | None) -> Proxy:
    from palaestra.rewards.ppe.proxies import RewardProxy, ScoreFile, function_proxy

    name, spec = _named(given)
    kind, _, rest = spec.partition(":")
    if kind == "function":
        return function_proxy(name or rest, rest)
    if kind == "verdicts":
        from palaestra.recipes.proxy_board import VerdictProxy

        return VerdictProxy(name or Path(rest).name, rest)
    if kind == "by-id":
        return ScoreFile(name or Path(rest).name, rest)
    from palaestra.rewards.model import load_reward

    return RewardProxy(name or spec, load_reward(spec, kept=None if keep is None else keep / "vectors"))


def _table(found: ProxyEvaluation, *, all_figures: bool) -> Table:
    from palaestra.rewards.ppe.page import HEADS, figure_rows

    domains = {side: list(dict.fromkeys(one.domain for one in found.figures if one.side == side)) for side in _SIDES}
    shown = [
        one
        for one in found.figures
        if all_figures or one.domain in _TOTALS or one.side == "pairs" or len(domains[one.side]) == 1
    ]
    settings = found.settings
    caption = (
        f"{100 * settings.confidence:g}% intervals over prompts, {settings.rounds} rounds; a gap is from "
        f"{found.proxies[0]}, over the same prompts"
    )
    table = Table(*HEADS, caption=caption)
    for row in figure_rows(shown):
        table.add_row(*row)
    return table


def _foretold(found: ProxyEvaluation, *, all_figures: bool) -> Table:
    from palaestra.rewards.ppe.downstream import LOW_QUARTILE
    from palaestra.rewards.ppe.page import FORETOLD_HEADS, foretold_rows

    totals = _TOTALS | {LOW_QUARTILE}
    shown = [one for one in found.downstream if all_figures or one.domain in totals]
    settings = found.settings
    caption = (
        f"what foretold the outcome, more being better; {100 * settings.confidence:g}% intervals over other rewards; "
        "the best of many metrics is best by luck too"
    )
    table = Table(*FORETOLD_HEADS, caption=caption)
    for row in foretold_rows(shown or found.downstream):
        table.add_row(*row)
    return table


_SIDES = ("human", "correctness", "pairs")
