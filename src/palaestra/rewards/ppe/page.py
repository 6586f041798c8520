"""The page of an evaluation, which stands alone: curves, colours by domain, what foretold the outcome, every figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.rewards.ppe.charts import curves_chart, figures_chart, foretold_chart
from palaestra.rewards.ppe.downstream import Foretold
from palaestra.rewards.ppe.evaluation import ProxyEvaluation
from palaestra.rewards.ppe.resampling import Figure, Side

_DRAWN: tuple[tuple[Side, str], ...] = (
    ("human", "accuracy"),
    ("human", "spearman"),
    ("correctness", "accuracy"),
    ("correctness", "auc"),
    ("pairs", "accuracy"),
)
_TITLES = {"human": "People's votes", "correctness": "Right and wrong replies", "pairs": "Pairs of benchmarks"}


def write_ppe_page(path: str | Path, found: ProxyEvaluation) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    body = "".join(f"<p>{escape(line)}</p>" for line in (_about(found), *found.warnings))
    if found.curves:
        body += picture(curves_chart(found), "curves")
    there = {(one.side, one.metric) for one in found.figures if one.value is not None}
    body += "".join(
        picture(figures_chart(found, side, metric), f"{side}-{metric}")
        for side, metric in _DRAWN
        if (side, metric) in there
    )
    for place, result in enumerate(dict.fromkeys(one.result for one in found.downstream)):
        body += picture(foretold_chart(found, result), f"foretold-{place}")
    for side, title in _TITLES.items():
        rows = [one for one in found.figures if one.side == side]
        body += _table(title, found, rows) if rows else ""
    body += _foretold_table(found)
    write_page(path, whole_page("Preference proxy evaluation", body))


def figure_rows(found: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Cells of a table: domain, metric, proxy, value, interval, gap, its interval, and how many it is from."""
    return [
        (one.domain, one.metric.replace("_", " "), one.proxy, said(one.value), span(one.lower, one.upper),
         said(one.gap, "+.3f"), span(one.gap_lower, one.gap_upper, "+.3f"), f"{one.count}")
        for one in found
    ]  # fmt: skip


HEADS = ("domain", "metric", "proxy", "value", "interval", "gap", "interval", "from")


def foretold_rows(found: Sequence[Foretold]) -> list[tuple[str, ...]]:
    """Cells of a table of what foretold the outcome, the highest of Spearman's correlations first."""
    return [
        (one.result, one.side, one.domain, one.metric.replace("_", " "), said(one.spearman, "+.2f"),
         span(one.spearman_lower, one.spearman_upper, "+.2f"), said(one.pearson, "+.2f"),
         span(one.pearson_lower, one.pearson_upper, "+.2f"), f"{one.rewards}")
        for one in sorted(found, key=lambda one: (one.result, -(one.spearman or 0)))
    ]  # fmt: skip


FORETOLD_HEADS = ("result", "side", "domain", "metric", "Spearman", "interval", "Pearson", "interval", "rewards")


def said(value: float | None, form: str = ".3f") -> str:
    """A number, or nothing."""
    return "" if value is None else f"{value:{form}}"


def span(lower: float | None, upper: float | None, form: str = ".3f") -> str:
    """An interval, or nothing."""
    return "" if lower is None or upper is None else f"{lower:{form}} to {upper:{form}}"


def _about(found: ProxyEvaluation) -> str:
    settings = found.settings
    return (
        f"{len(found.proxies)} proxies; {100 * settings.confidence:g}% intervals over prompts, {settings.rounds} "
        f"rounds ({settings.board_rounds} of boards), seed {settings.seed}. A gap is the proxy's figure minus that of "
        f"{found.proxies[0]}, over the same prompts."
    )


def _table(title: str, found: ProxyEvaluation, rows: Sequence[Figure]) -> str:
    more = len(found.proxies) > 1
    kept = [0, 1, 2, 3, 4, *((5, 6) if more else ()), 7]
    cells = [[row[place] for place in kept] for row in figure_rows(rows)]
    table = _html(title, [HEADS[place] for place in kept], cells, names=3)
    return f"<details><summary>{escape(title)}: every figure</summary>{table}</details>"


def _foretold_table(found: ProxyEvaluation) -> str:
    if not found.downstream:
        return ""
    table = _html("downstream", FORETOLD_HEADS, foretold_rows(found.downstream), names=4)
    return f"<details><summary>What foretold the outcome: every correlation</summary>{table}</details>"


def _html(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, names: int) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{"name" * (place < names)}">{escape(cell)}</{tag}>' for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    table = f"<table><thead><tr>{row(heads, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    return scrolling(table, escape(label))
