"""`palaestra judge audit | calibrate | plant`: what a judge is worth, what it adds to votes, faults to show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.judge.audit import AuditConfig, JudgeAudit
from palaestra.judge.calibrate import CalibrateConfig, Calibration

Audit = Annotated[AuditConfig, Parameter(name="*")]
Calibrate = Annotated[CalibrateConfig, Parameter(name="*")]


def audit(
    verdicts: str,
    *,
    answers: Path | None = None,
    people: str | None = None,
    baseline: str | None = None,
    family: tuple[str, ...] = (),
    paraphrased: Path | None = None,
    rerun: Path | None = None,
    config: Audit | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Measure judges: position, length, Markdown, self-preference, agreement, circles, planted faults.

    Parameters
    ----------
    verdicts
        A run's folder, arena-hard judgments, or a table of verdicts.
    answers
        The answers that were judged (question_id, model, text; or the files of other tools), or their counts (length,
        header, list, bold). A run's own, if it is one.
    people
        Votes of people on the same questions, with a column question_id.
    baseline
        The model against which all verdicts were given, where the file does not name it.
    family
        NAME=FAMILY of a judge or a model, for self-preference; without one, a judge's own model has its name.
    paraphrased
        Verdicts of the same judges on paraphrased prompts or answers, under the same ids.
    rerun
        Verdicts of a second run on the same prompts: the noise that a paraphrase is held against.
    """
    from palaestra.judge.answer_style import read_counted_answers
    from palaestra.judge.audit import audit as measure
    from palaestra.judge.people import read_people
    from palaestra.judge.verdict_files import read_verdicts

    _checked(html)
    if rerun is not None and paraphrased is None:
        raise InputError("found --rerun without --paraphrased, expected the two together")
    frame = read_verdicts(verdicts, baseline)
    if answers is None and (Path(verdicts) / "run.json").is_file():
        answers = Path(verdicts) / "answers"
    found = measure(
        frame,
        None if answers is None else read_counted_answers(answers),
        None if people is None else read_people(people),
        families=_families(family),
        config=config,
    )
    if paraphrased is not None:
        from palaestra.judge.paraphrase import audit_paraphrase

        confidence = (config or AuditConfig()).confidence
        again = None if rerun is None else read_verdicts(rerun, baseline)
        more = audit_paraphrase(frame, read_verdicts(paraphrased, baseline), again, confidence)
        found = found.model_copy(update={"findings": (*found.findings, *more)})
    if html is not None:
        from palaestra.judge.audit_report import write_audit_report

        write_audit_report(html, found, f"What the judges of {Path(verdicts).name} are worth")
        console.note(f"The report is in {html}")
    console.give(found.to_dict(), json, _audit_table(found))
    for note in found.notes:
        console.note(note)


def calibrate(
    verdicts: str,
    *,
    people: str,
    baseline: str | None = None,
    config: Calibrate | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Ratings and win rates by few votes of people and many verdicts, beside either alone (prediction-powered).

    Parameters
    ----------
    verdicts
        A run's folder, arena-hard judgments, or a table of verdicts.
    people
        Votes on some of the same questions and pairs, drawn at random from them; with a column question_id.
    baseline
        The model against which all verdicts were given, where the file does not name it.
    """
    from palaestra.judge.calibrate import calibrate as infer
    from palaestra.judge.people import read_people
    from palaestra.judge.verdict_files import read_verdicts

    _checked(html)
    found = infer(read_verdicts(verdicts, baseline), read_people(people), config=config)
    if html is not None:
        from palaestra.judge.audit_report import write_calibration_report

        write_calibration_report(html, found, f"{Path(verdicts).name}, calibrated by people")
        console.note(f"The report is in {html}")
    if json is not None:
        console.write_json({"calibrations": [one.to_dict() for one in found]}, json)
    else:
        for one in found:
            console.show(_calibration_table(one))
    for one in found:
        for warning in one.warnings:
            console.warn(warning)


def plant(answers: Path, *, out: Path, seed: int = 0) -> None:
    """Make faulty answers from good ones, each the answer of a contestant MODEL~FAULT, to be judged against MODEL's.

    Parameters
    ----------
    answers
        Good answers: question_id, model, text.
    out
        JSON lines with the good and the faulty answers.
    seed
        Same seed, same faults.
    """
    from palaestra.judge.answer_style import read_counted_answers
    from palaestra.judge.planted import plant_faults
    from palaestra.store.records import write_lines

    good = read_counted_answers(answers).select("question_id", "model", "text")
    faulty = plant_faults(good, seed)
    write_lines(out, [*good.iter_rows(named=True), *faulty.iter_rows(named=True)])
    console.note(f"{faulty.height} faulty answers beside {good.height} good ones are in {out}")


def _checked(html: Path | None) -> None:
    """See that the page can be written before anything is measured."""
    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)


def _families(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, family = pair.rpartition("=")
        if not sign or not name or not family:
            raise InputError(f"found --family {pair!r}, expected NAME=FAMILY, as --family gpt-4=openai")
        found[name] = family
    return found


def _audit_table(found: JudgeAudit) -> Table:
    confidence = 100 * float(str(found.settings["confidence"]))
    caption = f"{found.verdicts:,} verdicts, {found.unread:,} unread; {confidence:g}% intervals, by question"
    table = Table("judge", "what was found", "comparisons", "questions", caption=caption)
    for column in table.columns[2:]:
        column.justify = "right"
    judge = None
    for one in found.findings:
        if judge not in {None, one.judge}:
            table.add_section()
        table.add_row(one.judge if one.judge != judge else "", one.words, f"{one.rows:,}", f"{one.questions:,}")
        judge = one.judge
    return table


def _calibration_table(found: Calibration) -> Table:
    from palaestra.judge.audit_report import calibrated_row

    caption = f"{found.judge}: {found.labelled:,} comparisons with votes, {found.others:,} with the judge alone"
    if found.votes_worth is not None:
        caption += (
            f"; weight of the judge {found.weight:.2f}, intervals {found.width_ratio:.2f} times as wide as by people "
            f"alone, worth {found.votes_worth:.0f} comparisons with votes"
        )
    headings = ("model", "with votes", "people alone", "judge alone", "both", "win rate, people", "win rate, both")
    table = Table(*headings, caption=caption)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in found.models:
        table.add_row(*calibrated_row(line))
    return table
