"""One page that stands alone: what a benchmark is about, how hard it is, what went on the way, and prompts to read."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from palaestra.bench.account import Account, TopicLine
from palaestra.bench.card import score_lines, validation_rows
from palaestra.bench.charts import funnel_chart, map_chart, scores_chart, sizes_chart
from palaestra.pictures.page import picture, scrolling, whole_page
from palaestra.schema import Prompt, PromptSet

_EACH = 3
_CUT = 700


def bench_page(record: PromptSet, account: Account, prompts: Sequence[Prompt]) -> str:
    """The page as text.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    topics = sum(line.chosen > 0 for line in account.topics)
    verdict = (
        f"{len(prompts):,} prompts from {topics} of {len(account.topics)} topics, out of {account.steps[0].prompts:,}."
    )
    drawn = picture(map_chart(account), "map")
    side = "".join(
        picture(chart, key, 3)
        for key, chart in (
            ("funnel", funnel_chart(account)),
            ("scores", scores_chart(account)),
            ("sizes", sizes_chart(account)),
        )
    )
    body = [
        f'<p class="verdict">{escape(verdict)} {escape(_by(account))}</p>',
        _list(account.warnings),
        drawn,
        f'<div class="pictures">{side}</div>',
        _went(account),
        _scorer(account),
        _topics(account),
        _samples(account, prompts),
        _made(record, account),
    ]
    return whole_page(f"{record.name} {record.version}", "".join(body))


def _by(account: Account) -> str:
    if account.scored_by == "judge" and account.labels is not None:
        return f"Scores are counts of criteria by {account.labels.judge}."
    learnt = f", which learnt from {account.validation.prompts:,} labels" if account.validation else ""
    return f"Scores are expectations of a scorer{learnt}."


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _went(account: Account) -> str:
    rows = [
        [step.step, f"{step.prompts:,}", "; ".join(f"{count:,} {reason}" for reason, count in step.dropped.items())]
        for step in account.steps
    ]
    return "<h2>What went, and why</h2>" + _table(["step", "prompts left", "went"], rows, names=(0, 2))


def _scorer(account: Account) -> str:
    if (validation := account.validation) is None:
        return ""
    head = ["criterion", "share", "AUC", "slope", "gap"]
    said = "AUC: 1 tells all apart, 0.5 is chance. Slope: 1 is calibrated. Gap: foretold minus true share."
    table = _table(head, validation_rows(validation))
    return f"<h2>What the scorer is worth</h2><p>{escape(said)}</p>{table}{_list(score_lines(validation))}"


def _topics(account: Account) -> str:
    lines = sorted(account.topics, key=lambda line: (-line.chosen, -line.found))
    rows = [_topic_row(line) for line in lines]
    head = ["topic", "upper topic", "prompts", "mean score", "passed", "in the set"]
    said = f"<p>{account.outliers:,} prompts are in no topic.</p>"
    return f"<h2>All topics</h2>{said}" + _table(head, rows, names=(0, 1))


def _topic_row(line: TopicLine) -> list[str]:
    score = "" if line.score is None else f"{line.score:.2f}"
    return [line.topic, line.upper, f"{line.found:,}", score, f"{line.kept:,}", f"{line.chosen}"]


def _samples(account: Account, prompts: Sequence[Prompt]) -> str:
    held: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        held.setdefault(prompt.topic or "", []).append(prompt)
    upper = {line.topic: line.upper for line in account.topics}
    parts = [
        f"<details><summary>{escape(topic)} <small>({escape(upper.get(topic, ''))}, {len(found)})</small></summary>"
        + "".join(_sample(prompt) for prompt in found[:_EACH])
        + "</details>"
        for topic, found in held.items()
    ]
    said = f"<p>The first {_EACH} of each topic, cut to {_CUT} characters.</p>"
    return f"<h2>Prompts</h2>{said}" + "".join(parts)


def _sample(prompt: Prompt) -> str:
    text = prompt.text if len(prompt.text) <= _CUT else prompt.text[:_CUT] + "…"
    score = "" if prompt.score is None else f", score {prompt.score:.2f}"
    quoted = f'<blockquote style="white-space: pre-wrap">{escape(text)}</blockquote>'
    return f"<p>{escape(prompt.id)}{score}</p>{quoted}"


def _made(record: PromptSet, account: Account) -> str:
    rows = [[one.path, one.sha256] for one in account.inputs]
    rows += [[f"against {one.path}", one.sha256] for one in account.against]
    settings = [[name, str(value)] for name, value in sorted(record.settings.items())]
    return (
        f"<h2>How it was made</h2><p>Vectors by {escape(account.embedder)}; seed {record.seed}.</p>"
        + _table(["prompts of", "SHA-256"], rows, names=(0, 1))
        + f"<details><summary>Settings</summary>{_table(['setting', 'value'], settings, names=(0, 1))}</details>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[int] = (0,)) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{"name" * (place in names)}">{escape(cell)}</{tag}>' for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return scrolling(
        f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>", escape(head[0])
    )
