"""Sensitivity: how many verdicts change when the prompts or the answers are said in other words?

Verdicts of two runs are matched by question, judge, both models and who was A. A share of them differs; a judge that is
asked the same thing twice also differs from itself, and only what is beyond that is sensitivity. Strong and weak wins
are one opinion here. Not here: making the paraphrases.
"""

from __future__ import annotations

import polars as pl

from palaestra.errors import InputError
from palaestra.judge.findings import Finding, finding
from palaestra.judge.seen import clusters, judges
from palaestra.stats.clustered import mean, share

AUDIT = "sensitivity to paraphrase"
_SAME = ("question_id", "model_a", "model_b", "turn")


def audit_paraphrase(
    verdicts: pl.DataFrame, paraphrased: pl.DataFrame, rerun: pl.DataFrame | None, confidence: float
) -> list[Finding]:
    """Changed verdicts after a paraphrase, after a plain second run, and the difference, for each judge.

    Args:
        verdicts: the run.
        paraphrased: the run on paraphrases, with the same ids of questions.
        rerun: the run on the same prompts again; without it, noise and sensitivity cannot be told apart.
        confidence: of the intervals.

    Raises:
        InputError: no verdict of the two runs is on the same question, judge and pair.
    """
    once, other = _by_judge(verdicts), _by_judge(paraphrased)
    again = {} if rerun is None else _by_judge(rerun)
    found: list[Finding] = []
    for judge in sorted(once.keys() & other.keys()):
        changed = _changes(once[judge], other[judge])
        if changed.is_empty():
            continue
        noisy = _changes(once[judge], again[judge]) if judge in again else None
        found += _of_judge(judge, changed, noisy, confidence)
    if not found:
        raise InputError(
            "found no verdict in both runs on the same question, judge, models and order; expected the second run to "
            "keep the ids of the questions and the names of judges and models"
        )
    return found


def _of_judge(judge: str, changed: pl.DataFrame, noisy: pl.DataFrame | None, confidence: float) -> list[Finding]:
    said = "verdicts that change with the words"
    first = share(changed["changed"].to_numpy(), clusters(changed), confidence)
    found = [finding(judge, AUDIT, "changed", first, "share", plain=said)]
    if noisy is None or noisy.is_empty():
        return found
    said = "verdicts that change when asked again"
    again = share(noisy["changed"].to_numpy(), clusters(noisy), confidence)
    found.append(finding(judge, AUDIT, "changed when asked again", again, "share", plain=said))
    both = changed.join(noisy, on=_SAME, suffix="_again", maintain_order="left")
    if both.is_empty():
        return found
    beyond_B = both["changed"].cast(pl.Float64) - both["changed_again"].cast(pl.Float64)
    return [
        *found,
        finding(
            judge, AUDIT, "changed beyond noise",
            mean(beyond_B.to_numpy(), clusters(both), confidence), "percentage points", null=0.0,
            above="verdicts follow the words", within="none found beyond noise",
            below="fewer changes than when asked again", plain="changes beyond noise",
        ),
    ]  # fmt: skip


def _by_judge(verdicts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {
        seen.judge: seen.frame.with_columns(turn=pl.int_range(pl.len()).over("question_id", "model_a", "model_b"))
        for seen in judges(verdicts)
    }


def _changes(one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    both = one.join(two, on=_SAME, suffix="_two", maintain_order="left")
    return both.select(*_SAME, changed=pl.col("points") != pl.col("points_two"))
