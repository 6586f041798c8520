"""What a trained reward is worth, in words: its card, and the lines of its table.

Not here: the figures (`evaluation.py`), the page with pictures (`page.py`).
"""

from __future__ import annotations

from palaestra.rewards.config import RewardConfig
from palaestra.rewards.evaluation import Evaluation

_HEAD = "| column, log(1 + n) | log-odds | for a standard deviation | |"
_RULE = "|---|---|---|---|"


def lines(found: Evaluation) -> list[tuple[str, str]]:
    """What was measured, and how much it is."""
    calibration, style = found.calibration, found.style
    rows = [
        ("accuracy", found.accuracy.words()),
        ("accuracy of style alone", found.accuracy_style_alone.words()),
        ("accuracy of the longer reply", found.accuracy_longer.words()),
        ("gain on style alone", found.gain_on_style_alone.words()),
        ("log loss (a coin's is 0.693)", calibration.log_loss.words(digits=4)),
        ("Brier score (a coin's is 0.25)", calibration.brier.words(digits=4)),
        (
            "slope of calibration (1 holds)",
            "none: without a fault" if calibration.slope is None else calibration.slope.words(),
        ),
        ("mean gap of chance and share", f"{calibration.expected_error:.3f}"),
    ]
    if style.length_correlation is not None:
        rows.append(("correlation with length", style.length_correlation.words()))
    if any(effect.left_out for effect in style.effects) and style.length_correlation_whole is not None:
        rows += [
            ("correlation with length, style in the score", style.length_correlation_whole.words()),
            ("accuracy, style in the score", style.accuracy_whole.words()),
            ("cost of leaving style out", style.cost.words()),
        ]
    return rows


def headline(found: Evaluation) -> str:
    """What was learnt from, in a sentence."""
    ridge = "an infinite ridge: style alone" if found.ridge is None else f"ridge {found.ridge:g}"
    unused = f", of which {found.unused_pairs:,} level ones are left out by this loss" if found.unused_pairs else ""
    return (
        f"{found.preferences:,} preferences on {found.prompts:,} prompts; {found.pairs:,} decided pairs and "
        f"{found.level_pairs:,} level ones{unused}; {found.law}, {ridge}."
    )


def model_card(name: str, config: RewardConfig, found: Evaluation, made_by: str) -> str:
    """The card of a reward, as Markdown."""
    confidence = f"{100 * config.confidence:g}%"
    effects = [
        f"| {one.name} | {one.value:+.3f} ({one.lower:+.3f} to {one.upper:+.3f}) | {one.per_deviation:+.3f} "
        f"| {'left out' if one.left_out else 'in the score'} |"
        for one in found.style.effects
    ]
    parts = [f"| {one.kind} | {one.name} | {one.accuracy.words()} | {one.accuracy.rows:,} |" for one in found.parts]
    text = [
        f"# {name}",
        "",
        "A reward: how good a reply to a prompt is. Differences between replies to one prompt are log-odds of being",
        "preferred; a score by itself, and scores of different prompts, do not compare.",
        "",
        headline(found),
        f"Vectors: {made_by}. All figures are on prompts that the model has not seen, with {confidence} intervals",
        f"by prompt ({config.folds} folds, nested).",
        "",
        "| measured | |",
        "|---|---|",
        *(f"| {label} | {words} |" for label, words in lines(found)),
    ]
    if effects:
        text += [
            "",
            "## Style",
            "",
            _HEAD,
            "|---|---|---|---|",
            *effects,
        ]
    if found.style.absent:
        text += ["", f"Replies hardly ever differ in, or other columns foretell: {', '.join(found.style.absent)}."]
    if parts:
        text += ["", "## Parts", "", "| | | accuracy | pairs |", "|---|---|---|---|", *parts]
    text += [
        "",
        "It is worth as much on other preferences as they are like these. It is no judge of facts.",
    ]
    return "\n".join(text) + "\n"
