"""Self-preference: does a judge give its own models more than the others do on the same answers?

    points     on pairs of an own and another model: the judge's mean points for the own one minus those of the other
               raters (judges, or people) on the same question and pair, with an interval clustered by question
    log odds   strengths of all models by the judge and by the other raters, each fitted alone (Davidson, `bias.py`);
               the judge's follow the others' in a straight line through the models that are not its own, and
               self-preference is how far its own are above it. The interval is the line's prediction interval: the
               scatter of the other models around it holds both what the judge sees differently and chance.
               The others' strengths are measured with error, which flattens a line and lifts whoever stands at the top;
               its slope is divided by the share of their scatter that is not error (Fuller, 1987)

The second is a difference in differences and also takes off that one rater is more decisive than another: the slope of
the line. It needs four models that are not the judge's. The first does not know a decisive judge from a selfish one,
and is a finding only where the second is missing. A judge's own models are those of its family, by a table, else the
model of its name. Not here: whether the judge can recognise its own text.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.special import stdtrit

from palaestra.judge.bias import fit_effects
from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import PAIR, Seen, clusters, opinions
from palaestra.stats.clustered import Estimate, mean

AUDIT = "self-preference"
_FEWEST_OTHERS = 4
_LEAST_TRUE = 0.3
"""The least share of the scatter of the others' strengths that must be more than their sampling error."""


def own_models(judge: str, models: list[str], families: Mapping[str, str]) -> list[str]:
    """The models that are a judge's own.

    Args:
        judge: its name; what stands in brackets behind it (its protocol) does not count, unless a model is called so.
        models: all of them.
        families: of judges and models, by name.
    """
    name = judge if judge in families or judge in models else judge.partition(" (")[0]
    family = families.get(name, name)
    return [model for model in models if families.get(model, model) == family]


def audit_self_preference(
    seen: Seen, others: list[pl.DataFrame], families: Mapping[str, str], confidence: float
) -> list[Finding]:
    """Both figures; nothing where the judge has no model of its own, or nobody else judged it.

    Args:
        seen: what the judge said.
        others: what the other raters said: question_id, model_a, model_b, points.
        families: of judges and models, by name.
        confidence: of the intervals.
    """
    models = sorted({*seen.frame["model_a"].to_list(), *seen.frame["model_b"].to_list()})
    own = own_models(seen.judge, models, families)
    if not own or not others:
        return []
    mine, theirs = opinions(seen.frame), _mean_opinion(others)
    both = mine.join(theirs, on=PAIR, suffix="_others", maintain_order="left")
    line = _log_odds(seen, others, both, own, confidence)
    return _points(seen.judge, both, own, confidence, leads=not line) + line


def _mean_opinion(others: list[pl.DataFrame]) -> pl.DataFrame:
    """Each rater's opinion counts the same."""
    each = pl.concat([opinions(frame).select(*PAIR, "score") for frame in others])
    return each.group_by(*PAIR, maintain_order=True).agg(pl.col("score").mean())


def _points(judge: str, both: pl.DataFrame, own: list[str], confidence: float, *, leads: bool) -> list[Finding]:
    first, second = pl.col("first").is_in(own), pl.col("second").is_in(own)
    rows = both.filter(first != second).with_columns(sign=pl.when(first).then(1.0).otherwise(-1.0))
    if rows.is_empty():
        return []
    gain_B = (rows["sign"] * (rows["score"] - rows["score_others"])).to_numpy()
    return [
        finding(
            judge, AUDIT, "points",
            mean(gain_B, clusters(rows), confidence), "points", null=0.0 if leads else None,
            above="more points for its own models than others give them",
            below="fewer points for its own models than others give them", within="as many points as others give",
            plain="points for its own models beyond what others give",
        )
    ]  # fmt: skip


def _log_odds(
    seen: Seen, others: list[pl.DataFrame], both: pl.DataFrame, own: list[str], confidence: float
) -> list[Finding]:
    """How far the own models are above the line through the others."""
    met = both.select(PAIR)
    mine = _strengths(seen.frame, met, confidence)
    theirs = _strengths(pl.concat([frame.select(seen.frame.columns) for frame in others]), met, confidence)
    shared = [name for name in mine if name in theirs]
    rest, selfish = [name for name in shared if name not in own], [name for name in shared if name in own]
    if len(rest) < _FEWEST_OTHERS or not selfish:
        return []
    x_M, y_M = (np.array([strength[name][0] for name in rest]) for strength in (theirs, mine))
    spread = x_M - x_M.mean()
    true = float(spread @ spread) - (len(rest) - 1) * float(np.mean([theirs[name][1] for name in rest]))
    if true < _LEAST_TRUE * float(spread @ spread) or true <= 0:
        return []
    slope = float(spread @ y_M) / true
    freedom = len(rest) - 2
    residual_M = y_M - y_M.mean() - slope * spread
    variance = float(residual_M @ residual_M) / freedom
    away = np.mean([theirs[name][0] for name in selfish]) - x_M.mean()
    value = float(np.mean([mine[name][0] for name in selfish]) - y_M.mean() - slope * away)
    se = np.sqrt(variance * (1 / len(selfish) + 1 / len(rest) + away**2 / true))
    half = float(stdtrit(freedom, 0.5 + confidence / 2) * se)
    rows, questions = both.height, both["question_id"].n_unique()
    estimate = Estimate(value, value - half, value + half, float(se), rows, questions)
    return [
        finding(
            seen.judge, AUDIT, "strength", estimate, "log odds",
            null=0.0, above="its own models favoured", below="its own models disfavoured", within="none found",
        )
    ]  # fmt: skip


def _strengths(frame: pl.DataFrame, met: pl.DataFrame, confidence: float) -> dict[str, tuple[float, float]]:
    """Strengths in log odds and their variances, in the largest connected part, on pairs that all have seen."""
    pair = [
        pl.min_horizontal("model_a", "model_b").alias("first"),
        pl.max_horizontal("model_a", "model_b").alias("second"),
    ]
    effects = fit_effects(frame.with_columns(pair).join(met, on=PAIR, how="semi"), ("place",), confidence)
    if effects.maximum is None or effects.variance_M is None:
        return {}
    part_M = effects.maximum.problem.part_M
    largest = np.bincount(part_M).argmax()
    return {
        name: (float(theta), float(variance))
        for name, theta, variance, part in zip(
            effects.names, effects.maximum.at.theta_M, effects.variance_M, part_M, strict=True
        )
        if part == largest
    }
