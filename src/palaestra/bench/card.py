"""The card of a set: what the Hub reads in its head, what a person reads below.

Counts at every step, thresholds, seed, what the scorer is worth, what the prompts came from with their hashes,
warnings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from palaestra.bench.account import Account, Step
from palaestra.bench.validation import Figure, Validation
from palaestra.schema import Prompt, PromptSet
from palaestra.store.prompts import PROMPTS_FILE

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_CODE = re.compile(r"[a-z]{2,3}")
_SHOWN = 40


def card(record: PromptSet, account: Account, prompts: Sequence[Prompt]) -> str:
    """The card, as Markdown with a head in YAML."""
    parts = [
        _head(record, prompts),
        f"# {record.name} {record.version}\n\n{record.description}",
        "## Steps\n\n" + _table(["step", "prompts left", "went"], [_step(one) for one in account.steps]),
        _scoring(account),
        _topics(account),
        _inputs(account),
        "## Settings\n\n```json\n" + json.dumps(record.settings, indent=2, sort_keys=True) + "\n```",
    ]
    if account.warnings:
        parts.insert(2, "## Warnings\n\n" + "\n".join(f"- {_plain(warning)}" for warning in account.warnings))
    return "\n\n".join(parts) + "\n"


def figure_text(figure: Figure, digits: int = 2) -> str:
    """A figure with its interval, as `0.91 (0.88 to 0.94)`."""
    if figure.value is None:
        return "not defined"
    if figure.lower is None or figure.upper is None:
        return f"{figure.value:.{digits}f}"
    return f"{figure.value:.{digits}f} ({figure.lower:.{digits}f} to {figure.upper:.{digits}f})"


def validation_rows(validation: Validation) -> list[list[str]]:
    """A row for each criterion: share, AUC, slope, gap."""
    return [
        [
            name.replace("_", " "),
            f"{one.share:.0%}",
            figure_text(one.auc) if one.learnt else "not learnt: constant",
            figure_text(one.slope) if one.learnt else "",
            figure_text(one.gap, 3),
        ]
        for name, one in validation.criteria.items()
    ]


def score_lines(validation: Validation) -> list[str]:
    """What the score is worth, in sentences."""
    correlations = f"Pearson {figure_text(validation.pearson)}, Spearman {figure_text(validation.spearman)}"
    finds = f"the scorer finds {figure_text(validation.found)}"
    right = f"the judge agrees with {figure_text(validation.right)}"
    seen = f"each foretold once by a scorer that has not seen it ({validation.folds} folds)"
    return [
        f"Expected score against the judge's count: {correlations}.",
        f"Of the prompts with six criteria or more by the judge {finds}; of those that it calls so {right}.",
        f"{validation.prompts:,} labelled prompts, {seen}; 95% intervals over resampled prompts.",
    ]


def _head(record: PromptSet, prompts: Sequence[Prompt]) -> str:
    size = next((name for below, name in _SIZES if record.prompts < below), "n>1M")
    languages = sorted({prompt.language for prompt in prompts if prompt.language and _CODE.fullmatch(prompt.language)})
    lines = [f"license: {json.dumps(record.license or 'unknown')}", f"pretty_name: {json.dumps(record.name)}"]
    lines += ["language:", *(f"- {code}" for code in languages)] if languages else []
    lines += ["size_categories:", f"- {size}", "tags:", "- benchmark", "- prompts", "- palaestra"]
    lines += ["configs:", "- config_name: default", f"  data_files: {PROMPTS_FILE}"]
    return "---\n" + "\n".join(lines) + "\n---"


def _step(one: Step) -> list[str]:
    went = "; ".join(f"{count:,} {reason}" for reason, count in one.dropped.items())
    return [one.step, f"{one.prompts:,}", went]


def _scoring(account: Account) -> str:
    said = []
    if (labels := account.labels) is not None:
        cost = "" if labels.cost is None else f", for {labels.cost:.2f}"
        said.append(
            f"Labels by {_plain(labels.judge)}: {labels.asked:,} asked, {labels.read:,} read, "
            f"{labels.unreadable:,} could not be read, {labels.failed:,} failed{cost}."
        )
    if account.scored_by == "judge":
        said.append("Every score is the judge's count of criteria.")
    if (validation := account.validation) is not None:
        said.append(
            "Scores are expectations of a scorer that learnt from a judge's labels; thresholds: " + _scale(account)
        )
        head = ["criterion", "share", "AUC", "slope", "gap"]
        said += [_table(head, validation_rows(validation)), "\n".join(f"- {line}" for line in score_lines(validation))]
    return "## Scores\n\n" + "\n\n".join(said)


def _scale(account: Account) -> str:
    if account.settings["scale"] == "judge":
        return "held against scores brought to the judge's scale, so that as many prompts reach six as by the judge."
    return "held against the expected scores as they are."


def _topics(account: Account) -> str:
    lines = sorted(account.topics, key=lambda line: -line.chosen)
    rows = [
        [
            line.topic,
            line.upper,
            f"{line.found:,}",
            "" if line.score is None else f"{line.score:.2f}",
            f"{line.kept:,}",
            f"{line.chosen}",
        ]
        for line in lines[:_SHOWN]
    ]
    more = f"\n\n{len(lines) - _SHOWN} more topics stand in `build.json`." if len(lines) > _SHOWN else ""
    head = ["topic", "upper topic", "prompts", "mean score", "passed", "in the set"]
    return f"## Topics\n\n{len(lines)} topics, {account.outliers:,} prompts in none.\n\n" + _table(head, rows) + more


def _inputs(account: Account) -> str:
    rows = [[one.path, one.sha256] for one in account.inputs]
    rows += [[f"against {one.path}", one.sha256] for one in account.against]
    return f"## Inputs\n\nVectors by {_plain(account.embedder)}.\n\n" + _table(["prompts of", "SHA-256"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text that cannot end a cell or open a tag."""
    return re.sub(r"\s+", " ", text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
