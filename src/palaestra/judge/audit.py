"""What a judge is worth: every audit of a file of verdicts in one record.

    position     flips, and bias by pairs in both orders, else by a covariate     position.py, bias.py
    style        what length, headers, lists, bold do, models held equal          bias.py
    self         what a judge gives its own beyond what others give them          self_preference.py
    agreement    with people and with other judges                                raters.py
    order        circles among three models                                       transitivity.py
    faults       how often planted ones are noticed                               planted.py

Each judge is measured by itself, under each of its protocols. Each figure has its own interval, at the given level
each: of twenty figures of a faultless judge, one lies outside by chance. Not here: sensitivity to paraphrase, which
needs a second run (`paraphrase.py`); what a judge's verdicts say of models.
"""

from __future__ import annotations

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.judge.answer_style import counted_answers
from palaestra.judge.bias import audit_bias, verbosity
from palaestra.judge.findings import Finding
from palaestra.judge.planted import audit_planted, without_planted
from palaestra.judge.position import audit_position
from palaestra.judge.raters import ALL, PEOPLE, audit_agreement
from palaestra.judge.seen import Seen, judges
from palaestra.judge.self_preference import audit_self_preference
from palaestra.judge.transitivity import audit_transitivity
from palaestra.schema.record import JsonObject, Record

_RESERVED = (PEOPLE, ALL)


class AuditConfig(BaseModel):
    """How judges are audited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of every interval."""
    simulations: int = Field(default=200, ge=1)
    """Draws from the fitted model, against which circles are held."""
    seed: int = Field(default=0, ge=0)
    """Of those draws."""


class JudgeAudit(Record):
    """All findings, by judge and audit, and what could not be measured."""

    record_name = "judge_audit"

    findings: tuple[Finding, ...]
    verdicts: int
    unread: int
    """Verdicts that could not be read; no figure holds them."""
    settings: JsonObject
    notes: tuple[str, ...] = ()

    def of(self, audit: str, judge: str | None = None) -> list[Finding]:
        """The findings of one audit, of one judge where it is named."""
        return [one for one in self.findings if one.audit == audit and judge in {None, one.judge}]


def audit(
    verdicts: pl.DataFrame,
    answers: pl.DataFrame | None = None,
    people: pl.DataFrame | None = None,
    *,
    families: dict[str, str] | None = None,
    config: AuditConfig | None = None,
) -> JudgeAudit:
    """Measure the judges of a frame of verdicts.

    Args:
        verdicts: the columns of `Verdict`.
        answers: question_id, model, and text or counts (`answer_style.py`); for what style does.
        people: votes on the same questions: question_id, model_a, model_b, points.
        families: of judges and models, by name; those without one are their own.
        config: the settings.

    Raises:
        InputError: a column is missing, nothing can be read, there is no pair of two models, or a judge is called
            `people` or `all raters`.
    """
    config = config or AuditConfig()
    whole = judges(verdicts)
    for seen in whole:
        if seen.judge in _RESERVED:
            raise InputError(f"found a judge called {seen.judge!r}, which stands for others here; give it another name")
    counted = None if answers is None else counted_answers(answers)
    natural = [rest for one in whole if (rest := without_planted(one)) is not None]
    found: list[Finding] = []
    notes: list[str] = []
    for seen in natural:
        found += _of_judge(seen, natural, answers=counted, people=people, families=families or {}, config=config)
        notes += _notes(seen, counted, found)
    found += [one for seen in whole for one in audit_planted(seen, config.confidence)]
    found += audit_agreement(natural, people, config.confidence)
    if people is not None:
        met = {one.judge for one in found if one.audit == f"agreement with {PEOPLE}"}
        lost = [seen.judge for seen in natural if seen.judge not in met]
        notes += [f"{judge}: no question and pair in common with people: no agreement with them" for judge in lost]
    order = {name: place for place, name in enumerate([*(seen.judge for seen in whole), *_RESERVED])}
    found.sort(key=lambda one: order[one.judge])
    read = sum(one.frame.height for one in whole)
    unread = sum(one.unread for one in whole)
    return JudgeAudit(
        findings=tuple(found),
        verdicts=read + unread,
        unread=unread,
        settings=config.model_dump(mode="json"),
        notes=tuple(notes),
    )


def _of_judge(
    seen: Seen,
    natural: list[Seen],
    *,
    answers: pl.DataFrame | None,
    people: pl.DataFrame | None,
    families: dict[str, str],
    config: AuditConfig,
) -> list[Finding]:
    """What is measured of one judge; agreement comes for all together."""
    found = audit_position(seen, config.confidence)
    found += audit_bias(seen, answers, config.confidence, place=not found)
    if answers is not None and people is not None:
        found += verbosity(seen, people, answers, config.confidence)
    others = [other.frame for other in natural if other.judge != seen.judge] + ([] if people is None else [people])
    found += audit_self_preference(seen, others, families, config.confidence)
    return found + audit_transitivity(seen, config.confidence, simulations=config.simulations, seed=config.seed)


def _notes(seen: Seen, answers: pl.DataFrame | None, found: list[Finding]) -> list[str]:
    """What could not be measured of a judge, and why."""
    measured = {one.audit for one in found if one.judge == seen.judge}
    notes = []
    if seen.unread:
        notes.append(f"{seen.judge}: {seen.unread} verdicts could not be read and count nowhere")
    if "position bias" not in measured:
        notes.append(f"{seen.judge}: no position bias: no pair in both orders, and the place is not told from strength")
    if answers is not None and "length bias" not in measured:
        notes.append(f"{seen.judge}: no length bias: answers are not known or all alike, or no fit has an end")
    if "transitivity" not in measured:
        notes.append(f"{seen.judge}: no three models with decided pairs: nothing to say of transitivity")
    return notes
