"""Pictures of audits hold every finding that has an interval, and say which are beyond doubt."""

from __future__ import annotations

import json

import pytest
from judge_worlds import answers_of, judged, votes_of

from palaestra.errors import InputError
from palaestra.gateway.scripted_judge import JudgeScript
from palaestra.judge.audit import AuditConfig, audit
from palaestra.judge.audit_charts import calibration_chart, forest_chart
from palaestra.judge.calibrate import calibrate

QUICK = AuditConfig(simulations=5)


def test_every_interval_is_drawn() -> None:
    answers = answers_of(4, 12, 0)
    found = audit(judged(answers, JudgeScript(position=2.0), judge="<b>"), answers, config=QUICK)
    spec = forest_chart(found.findings).to_dict()
    drawn = [row for panel in spec["vconcat"] for row in panel["layer"][1]["data"]["values"]]
    expected = [one for one in found.findings if one.lower is not None]
    assert sorted(row["words"] for row in drawn) == sorted(one.words for one in expected)
    assert {row["words"] for row in drawn if row["clear"]} == {
        one.words for one in expected if one.holds in {"above", "below"}
    }
    assert json.dumps(spec).count("<b>") > 0


def test_without_an_interval_there_is_nothing_to_draw() -> None:
    found = audit(judged(answers_of(2, 1, 0), JudgeScript()), config=QUICK)
    with pytest.raises(InputError, match="expected verdicts on two questions"):
        forest_chart(found.findings)


def test_a_calibration_has_three_intervals_a_model() -> None:
    answers = answers_of(4, 30, 1)
    votes = votes_of(judged(answers.head(80), JudgeScript(), seed=3))
    (found,) = calibrate(judged(answers, JudgeScript()), votes)
    rows = calibration_chart(found).to_dict()["data"]["values"]
    assert len(rows) == 12
    assert {row["by"] for row in rows} == {"people alone", "judge alone", "both"}
