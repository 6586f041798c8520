"""Real judges against real people; skipped where that data is not at hand. The figures stand in docs/audits.md."""

from __future__ import annotations

import pytest
from real_verdicts import FAMILIES, JUDGMENTS, korean, llmfao, resampled

from palaestra.judge.audit import AuditConfig, audit
from palaestra.judge.findings import Finding

pytestmark = pytest.mark.skipif(not JUDGMENTS.is_dir(), reason="the published data is not beside this checkout")


def test_gpt_3_and_gpt_4_against_the_crowd() -> None:
    verdicts, votes, answers = llmfao()
    found = audit(verdicts, answers, votes, families=FAMILIES, config=AuditConfig(simulations=20))
    by: dict[tuple[str, str, str], Finding] = {(one.judge, one.audit, one.figure): one for one in found.findings}
    assert by["gpt-3.5", "position bias", "A rather than B"].holds == "above"
    assert by["gpt-4", "position bias", "A rather than B"].holds == "below"
    accuracy = [by[judge, "agreement with people", "accuracy"].value for judge in ("gpt-3.5", "gpt-4")]
    assert accuracy == pytest.approx([0.616, 0.661], abs=0.001)
    assert by["gpt-4", "self-preference", "strength"].holds == "above"
    assert by["gpt-3.5", "self-preference", "strength"].holds == "within"


def test_the_korean_judges_favour_the_first_and_the_longer_answer() -> None:
    verdicts, counts = korean()
    found = audit(verdicts, counts, config=AuditConfig(simulations=20))
    by = {one.figure: one for one in found.findings}
    assert sum(
        by[kind].value for kind in ("consistent", "first-favouring", "second-favouring", "tie flips")
    ) == pytest.approx(1)
    assert (by["A rather than B"].holds, by["length"].holds) == ("above", "above")


def test_a_weak_judge_saves_few_votes_and_spoils_no_interval() -> None:
    found = resampled("gpt-4", labelled=500, others=2139, rounds=30, seed=0)
    assert found["coverage_both"] == pytest.approx(0.95, abs=0.03)
    assert found["coverage_judge"] < 0.6
    assert 0.95 < found["width_both"] / found["width_people"] < 1.0
