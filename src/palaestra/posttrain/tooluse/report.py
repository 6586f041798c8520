"""What a run of tool-use data came to: success by world and by the fewest calls, cards, a page of samples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from palaestra.posttrain.tooluse.make import Made, ToolsConfig
from palaestra.posttrain.tooluse.rollouts import Trajectory
from palaestra.schema import Message, ToolCallPart, ToolResultPart
from palaestra.stats.clustered import Estimate, share

_CONFIDENCE = 0.95
_KINDS = {
    "sft": "Trajectories that came to the right end with the fewest calls. Calls are typed parts of messages.",
    "sft-text": "The same with calls as plain text, for trainers that read texts alone.",
    "rl": "Prompts with tools; the reference is what `palaestra.posttrain.tooluse.checks.verify` checks against.",
    "heldout": "Tasks that are none of training's: `split` is tool where one needs a tool that training never sees.",
    "negatives": "The known solution with one fault: a wrong argument, a missing call, an extra one.",
}
_PAGE_SAMPLES = 24


@dataclass(frozen=True, slots=True)
class Line:
    """What a group of trajectories came to."""

    group: str
    tasks: int
    trajectories: int
    success: Estimate
    """Share that came to the right end; the interval is over tasks."""
    economical: Estimate
    """Share that did so with the fewest calls."""
    valid_calls: float | None
    """Share of calls that ran without an error; None where there were none."""
    argument_match: float
    """Share whose calls are those of the known solution."""
    failed: int
    """Trajectories that the model did not end."""


@dataclass(frozen=True, slots=True)
class Report:
    """The lines of a run's tables."""

    overall: Line
    worlds: tuple[Line, ...]
    calls: tuple[Line, ...]
    """By the fewest calls; 0 are tasks that no tool can do."""
    faults: dict[str, int]
    """What was wrong first, with trajectories that are not economical."""


def report(made: Made) -> Report:
    """Count what the trajectories came to."""
    every = made.trajectories
    faults = Counter("no reply" if one.failed else one.outcome.fault for one in every)
    return Report(
        _line("all", every),
        _lines(every, lambda one: one.task.world),
        _lines(every, lambda one: one.task.minimal),
        {name: count for name, count in sorted(faults.items()) if name},
    )


def card(name: str, count: int, made: Made, config: ToolsConfig, model: str) -> str:
    """The card of one of the folders."""
    tools = ", ".join(f"{world}.{tool}" for world, tool in sorted(made.plan.tools)) or "none"
    by = {
        "sft": made.sft, "sft-text": made.sft, "rl": made.rl, "heldout": made.held_out, "negatives": made.negatives,
    }[name]  # fmt: skip
    domains = Counter(example.domain for example in by)
    lines = [
        f"# Tool use: {name}",
        "",
        _KINDS[name],
        "",
        f"- examples: {count:,} ({', '.join(f'{domain} {number}' for domain, number in sorted(domains.items()))})",
        f"- trajectories by: {model}, {config.draws} of each task, temperature {config.temperature:g}",
        f"- tools held out: {tools}",
        f"- share of tasks that no tool can do: {config.no_tool:g}; seed: {config.seed}",
        "",
        "The worlds are toys, the texts come from templates. What holds here need not hold for real tools.",
    ]
    return "\n".join(lines) + "\n"


def run_card(name: str, found: Report, made: Made, model: str) -> str:
    """The card of the run."""
    sizes = f"{len(made.sft):,} for SFT, {len(made.rl):,} for RL, {len(made.held_out):,} held out"
    table = [
        "| group | tasks | success | economical | calls that ran | calls as known |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(cells(one))} |" for one in (found.overall, *found.worlds)),
        *(f"| {' | '.join((_calls(one.group), *cells(one)[1:]))} |" for one in found.calls),
    ]
    wrong = ", ".join(f"{name} {count}" for name, count in found.faults.items()) or "nothing"
    lines = [f"# {name}", "", f"Tool-use data by {model}: {sizes}.", "", *table, "", f"What was wrong: {wrong}.", ""]
    return "\n".join([*lines, "Intervals (95 %) are over tasks."]) + "\n"


def cells(one: Line) -> tuple[str, ...]:
    """A line's figures, as a table shows them."""
    ran = "" if one.valid_calls is None else f"{one.valid_calls:.1%}"
    return (
        one.group, f"{one.tasks:,}", interval(one.success), interval(one.economical), ran, f"{one.argument_match:.1%}",
    )  # fmt: skip


def interval(one: Estimate) -> str:
    """A share in percent with its interval."""
    return f"{one.value:.1%}" + ("" if one.lower is None else f" ({one.lower:.1%} to {one.upper:.1%})")


def said(found: Report) -> dict[str, Any]:
    """The tables as JSON has them."""
    return {
        "overall": asdict(found.overall),
        "worlds": [asdict(one) for one in found.worlds],
        "calls": [asdict(one) for one in found.calls],
        "faults": found.faults,
    }


def sample_line(one: Trajectory) -> dict[str, Any]:
    """A trajectory for eyes."""
    return {
        "id": one.task.id, "domain": one.task.world, "prompt": one.task.request,
        "said": list(map(_plain, one.messages)),
        "success": one.outcome.success, "economical": one.outcome.economical, "fault": one.failed or one.outcome.fault,
        "calls": one.outcome.calls, "fewest": one.outcome.minimal,
    }  # fmt: skip


def samples(made: Made, count: int) -> list[Trajectory]:
    """Trajectories to look at: worlds in turn, right and wrong ones in turn where there are both."""
    groups: dict[tuple[str, bool], list[Trajectory]] = {}
    for one in made.trajectories:
        groups.setdefault((one.task.world, one.outcome.economical), []).append(one)
    found: list[Trajectory] = []
    depth = 0
    while len(found) < count and any(len(group) > depth for group in groups.values()):
        found += [group[depth] for _, group in sorted(groups.items()) if len(group) > depth]
        depth += 1
    return found[:count]


def page_body(found: Report, made: Made, model: str) -> str:
    """The body of a page that stands alone: tables, and sample trajectories."""
    heads = ("group", "tasks", "success", "economical", "calls that ran", "calls as known")
    tables = [
        _table("By world", heads, (found.overall, *found.worlds)),
        _table("By the fewest calls", heads, found.calls),
    ]
    shown = "".join(_shown(one) for one in samples(made, _PAGE_SAMPLES))
    lead = f"<p>{len(made.trajectories):,} trajectories by {escape(model)}. Intervals (95 %) are over tasks.</p>"
    return f"{lead}{''.join(tables)}<h2>Trajectories</h2>{shown}"


def _lines(every: Sequence[Trajectory], of: Callable[[Trajectory], Any]) -> tuple[Line, ...]:
    return tuple(
        _line(str(group), [one for one in every if of(one) == group]) for group in sorted({of(one) for one in every})
    )


def _line(group: str, own: Sequence[Trajectory]) -> Line:
    ids = {name: place for place, name in enumerate(dict.fromkeys(one.task.id for one in own))}
    cluster_B = np.array([ids[one.task.id] for one in own])
    calls = sum(one.outcome.calls for one in own)
    return Line(
        group=group, tasks=len(ids), trajectories=len(own),
        success=share(np.array([one.outcome.success for one in own]), cluster_B, _CONFIDENCE),
        economical=share(np.array([one.outcome.economical for one in own]), cluster_B, _CONFIDENCE),
        valid_calls=sum(one.outcome.valid for one in own) / calls if calls else None,
        argument_match=sum(one.outcome.argument_match for one in own) / len(own),
        failed=sum(bool(one.failed) for one in own),
    )  # fmt: skip


def _calls(group: str) -> str:
    return "no tool can" if group == "0" else f"{group} call{'s' if group != '1' else ''}"


def _table(title: str, heads: Sequence[str], lines: Sequence[Line]) -> str:
    head = "".join(f'<th scope="col"{_left(place)}>{each}</th>' for place, each in enumerate(heads))
    rows = "".join(
        "<tr>" + "".join(f"<td{_left(place)}>{escape(each)}</td>" for place, each in enumerate(cells(one))) + "</tr>"
        for one in lines
    )
    return f"<h2>{title}</h2><div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _left(place: int) -> str:
    return ' class="name"' if place == 0 else ""


def _shown(one: Trajectory) -> str:
    verdict = "economical" if one.outcome.economical else one.failed or one.outcome.fault
    steps = "".join(f"<li>{escape(each)}</li>" for each in map(_plain, one.messages))
    head = f"{escape(one.task.request)} <em>({escape(one.task.world)}: {escape(verdict)})</em>"
    return f"<details><summary>{head}</summary><ul>{steps}</ul></details>"


def _plain(message: Message) -> str:
    """A message on one line."""
    return "; ".join(_part(part) for part in message.content)


def _part(part: object) -> str:
    if isinstance(part, ToolCallPart):
        return f"{part.name or json.dumps('')}({part.arguments})"
    if isinstance(part, ToolResultPart):
        return f"-> {part.text[:400]}"
    return getattr(part, "text", None) or ""
