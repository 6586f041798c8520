"""The story's board: all its models on the same held-out prompts, as a page and a picture.

Shares of headroom with intervals over prompts and seeds (`kept.py`), accuracies with theirs, tokens. What was not run
is not on it. Not here: how models were made (`story.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palaestra.recipes.experts_to_generalist.grades import Right, one_of_each, read_right
from palaestra.recipes.experts_to_generalist.kept import Kept, kept, mean_interval
from palaestra.recipes.experts_to_generalist.plan import Plan
from palaestra.recipes.experts_to_generalist.story import START_FILE, Story
from palaestra.store.records import write_text


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of model: its accuracy over domains, and the share of the experts' headroom that it keeps."""

    name: str
    seeds: int
    mean: float
    lower: float
    upper: float
    kept: Kept | None
    tokens: float


def rows_of(story: Story) -> list[Row]:
    """What was made and graded, in the order of the story."""
    out, plan = story.out, story.plan
    base, experts = one_of_each(out / "base", story.experts)
    students = [("base", [base]), ("each expert in its own domain", [experts])]
    students += [
        (f"merge: {name}", [read_right(out / "merges" / name)])
        for name in story.merges
        if _graded(out / "merges" / name)
    ]
    for kind, folder, names in (
        ("distilled from the", "distilled", ("base", "merge")),
        ("joint:", "joint", ("gold", "gold-all-compute", "experts-data", "rl")),
    ):
        for name in names:
            found = [out / folder / f"{name}-{seed}" for seed in range(plan.seeds)]
            if done := [read_right(one) for one in found if _graded(one)]:
                students.append((f"{kind} {name}", done))
    return [_row(name, models, base, experts) for name, models in students]


def write_board(story: Story, picture: Path | None = None) -> list[Row]:
    """Write `board.json`, `board.md` and a picture into the story's folder, and say what is in them."""
    rows = rows_of(story)
    write_text(story.out / "board.json", json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    write_text(story.out / "board.md", page(story, rows))
    draw(rows, picture or story.out / "board.png")
    return rows


def page(story: Story, rows: Sequence[Row]) -> str:
    """The board as Markdown."""
    base, experts = one_of_each(story.out / "base", story.experts)
    start = json.loads(file.read_text(encoding="utf-8")) if (file := story.out / START_FILE).is_file() else {}
    chosen = f"distilled from the {'merge' if start.get('passed') else 'base'}"
    best = next((row for row in rows if row.name == chosen), None)
    lines = [
        "| model | seeds | right, mean over domains | headroom kept | worst domain | tokens |",
        "|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
        "",
        *_start(story.out),
        "",
        "| domain | base | expert | student | kept |",
        "|---|---|---|---|---|",
    ]
    for name in story.plan.domains:
        share = best.kept.by_domain.get(name) if best is not None and best.kept is not None else None
        one, two = base.by_domain()[name], experts.by_domain()[name]
        student = "" if share is None else f"{one + share * (two - one):.1%}"
        lines.append(f"| {name} | {one:.1%} | {two:.1%} | {student} | {'' if share is None else f'{share:.0%}'} |")
    return "\n".join([*lines, "", *_short(story)]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Accuracies with intervals."""
    from palaestra.pictures.drawing import altair, save_chart, styled
    from palaestra.pictures.palette import FIRST, SOFT

    alt = altair()
    data = [
        {"model": row.name, "mean": row.mean, "lower": row.lower, "upper": row.upper,
         "ours": row.name.startswith("distilled")}
        for row in rows
    ]  # fmt: skip
    chart = alt.Chart(alt.Data(values=data)).encode(
        y=alt.Y("model:N", sort=None, title=None, axis=alt.Axis(labelLimit=280)),
        color=alt.condition("datum.ours", alt.value(FIRST), alt.value(SOFT)),
    )
    x = alt.X("lower:Q", title="right answers, mean over domains", axis=alt.Axis(format="%"))
    layers = alt.layer(
        chart.mark_rule(strokeWidth=1.6).encode(x=x, x2="upper:Q"),
        chart.mark_point(filled=True, size=60, opacity=1).encode(x="mean:Q"),
    ).properties(width=460, height=alt.Step(20))
    save_chart(styled(layers, "Many experts, one model", "lines are 95% intervals over prompts and seeds"), path)


def _graded(out: Path) -> bool:
    return (out / "test-grades.json").is_file()


def _row(name: str, models: Sequence[Right], base: Right, experts: Right) -> Row:
    mean, low, high = mean_interval(models)
    share = None if name in {"base", "each expert in its own domain"} else kept(base, experts, models)
    tokens = sum(model.mean_tokens for model in models) / len(models)
    return Row(name, len(models), mean, low, high, share, tokens)


def _line(row: Row) -> str:
    share = "" if row.kept is None else f"{row.kept.value:.0%} ({row.kept.lower:.0%} to {row.kept.upper:.0%})"
    worst = "" if row.kept is None else f"{row.kept.worst}: {row.kept.by_domain[row.kept.worst]:.0%}"
    return (
        f"| {row.name} | {row.seeds} | {row.mean:.1%} ({row.lower:.1%} to {row.upper:.1%}) | {share} | {worst} | "
        f"{row.tokens:.1f} |"
    )


def _start(out: Path) -> list[str]:
    if not (out / START_FILE).is_file():
        return []
    said: dict[str, Any] = json.loads((out / START_FILE).read_text(encoding="utf-8"))
    where = "from that merge" if said["passed"] else "from the base"
    figures = f"{said['other']:.1%} against {said['base']:.1%} of the base"
    return [
        f"The best merge on validation was {said['merge']}: {figures} ({said['reason']}). The student begins {where}."
    ]


def _short(story: Story) -> list[str]:
    talker, brief = (story.out / "short" / name for name in ("talker", "brief"))
    if not (_graded(talker) and _graded(brief)):
        return []
    one, two = read_right(talker), read_right(brief)
    before, after = (f"{each.mean:.1%} right in {each.mean_tokens:.1f} tokens" for each in (one, two))
    times = f"{one.mean_tokens / two.mean_tokens:.2f} times fewer"
    return [f"Workings: {before}; after reinforcement with a price on tokens {after}: {times}."]


def story_of(out: Path, plan: Plan) -> Story:
    """The story in a folder, which must be of this plan.

    Raises:
        InputError: another plan was begun there.
    """
    from palaestra.errors import InputError

    file = out / "plan.json"
    said = plan.model_dump_json(indent=2) + "\n"
    if file.is_file() and file.read_text(encoding="utf-8") != said:
        raise InputError(f"found another plan in {file}, expected this one; take another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(file, said)
    return Story(out, plan)
