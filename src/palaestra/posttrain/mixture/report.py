"""What an experiment found, as data and as a card."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from palaestra.posttrain.mixture.best import Interval
from palaestra.posttrain.mixture.experiment import Mixture
from palaestra.posttrain.mixture.law import relative_error

SCHEMA = "palaestra.mixture/1"


def told(found: Mixture) -> dict[str, Any]:
    """All of it as JSON; numbers that are none are null."""
    runs, best, law, seen = found.runs, found.best, found.laws[0], found.checks
    parts = {"value": found.effects.value_DS, "lower": found.effects.lower_DS, "upper": found.effects.upper_DS,
             "measured": found.effects.measured_DS, "sure": found.effects.sure_DS()}  # fmt: skip
    return _plain({
        "schema": SCHEMA,
        "domains": runs.domains,
        "scored": runs.scored,
        "measure": found.config.measure,
        "goal": found.config.target,
        "tokens": {"budget": found.config.budget_tokens, "run": found.plan.tokens},
        "runs": {"planned": len(found.plan.runs), "scored": len(runs.tokens_R), "left_out": found.plan.left_out,
                 "failed": [{"id": one.run.id, "error": one.outcome.error} for one in found.failed]},
        "law": law.name,
        "laws": [
            {"name": one.name, "relative_error": relative_error(one, runs),
             "error": dict(zip(one.scored, one.error_S, strict=True))}
            for one in found.laws
        ],
        "noise": dict(zip(runs.scored, found.noise_S, strict=True)),
        "best": {
            "weights": {name: asdict(one) for name, one in zip(runs.domains, best.weights, strict=True)},
            "target": asdict(best.target), "uniform": best.uniform, "gain": asdict(best.gain),
            "surely_better": best.surely_better,
        },
        "effects": [
            {"left_out": domain, "scored": scored, **{name: part[row, column] for name, part in parts.items()}}
            for row, domain in enumerate(runs.domains) for column, scored in enumerate(runs.scored)
        ],
        "checks": {
            "spearman": asdict(seen.spearman), "error": seen.error, "noise": seen.noise,
            "best_measured": seen.best_measured and asdict(seen.best_measured), "best_error": seen.best_error,
            "gain_measured": seen.gain_measured and asdict(seen.gain_measured),
            "foretold": seen.foretold_R, "measured": seen.measured_R,
        },
        "settings": found.config.model_dump(mode="json"),
    })  # fmt: skip


def headline(found: Mixture) -> str:
    """What came out, in a sentence or two."""
    best = found.best
    words = {True: "surely better than all domains alike", False: "not surely better than all domains alike"}
    said = f"The predicted best mixture is {words[best.surely_better]} ({spelled(best.gain, signed=True)} foretold)."
    if found.checks.gain_measured is not None:
        gain = spelled(found.checks.gain_measured, signed=True)
        said += f" Run with {found.config.confirm} seeds it was better by {gain}."
    return said


def lines(found: Mixture) -> list[tuple[str, str]]:
    """Rows of a table."""
    runs, best, seen, law = found.runs, found.best, found.checks, found.laws[0]
    errors = ", ".join(f"{one.name} {relative_error(one, runs):.3f}" for one in found.laws)
    target = f"{'weighted ' if found.config.target_weights else ''}{found.config.target} {found.config.measure}"
    rows = [
        ("runs", f"{len(runs.tokens_R)} with scores, {len(found.failed)} failed, {found.plan.tokens:,} tokens each"),
        ("law", f"{law.name}; squared error on left-out mixtures over variance: {errors}"),
        *((f"weight of {name}", _share(one)) for name, one in zip(runs.domains, best.weights, strict=True)),
        (f"{target}, foretold", spelled(best.target)),
        ("of all domains alike, foretold", f"{best.uniform:.4g}"),
        ("better by, foretold", spelled(best.gain, signed=True)),
        ("foretold against measured, left out", f"Spearman {spelled(seen.spearman)}"),
        ("error, and change by chance alone", f"{seen.error:.3g} and {seen.noise:.3g}"),
    ]
    if seen.best_measured is not None:
        rows += [
            (f"{target}, measured", spelled(seen.best_measured)),
            ("measured less foretold", f"{seen.best_error:+.3g}"),
        ]
    if seen.gain_measured is not None:
        rows += [("better by, measured", spelled(seen.gain_measured, signed=True))]
    return rows


def card(found: Mixture, name: str) -> str:
    """The run's card."""
    rows = [f"| {label} | {words} |" for label, words in lines(found)]
    notes = [f"- left out of the design: {one}" for one in found.plan.left_out]
    notes += [f"- {one.run.id} failed: {one.outcome.error}" for one in found.failed]
    parts = [f"# {name}", "", headline(found), "", "| | |", "|---|---|", *rows]
    return "\n".join([*parts, *(["", *notes] if notes else [])]) + "\n"


def metrics(found: Mixture) -> dict[str, float]:
    """Numbers of the run's record."""
    seen = found.checks
    numbers = {"target": found.best.target.value, "gain": found.best.gain.value, "spearman": seen.spearman.value,
               "error": seen.error, "noise": seen.noise, "failed": float(len(found.failed))}  # fmt: skip
    return numbers | ({"gain_measured": seen.gain_measured.value} if seen.gain_measured else {})


def spelled(one: Interval, *, signed: bool = False) -> str:
    """A number with its interval."""
    sign = "+" if signed else ""
    if not math.isfinite(one.lower):
        return f"{one.value:{sign}.4g}"
    return f"{one.value:{sign}.4g} ({one.lower:{sign}.4g} to {one.upper:{sign}.4g})"


def _share(one: Interval) -> str:
    return f"{100 * one.value:.0f} % ({100 * one.lower:.0f} to {100 * one.upper:.0f})"


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
