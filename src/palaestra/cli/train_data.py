"""`palaestra train data`: a teacher writes completions, and those that hold are kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget, Overwrite, Resume, SkipBad, again, checked_config
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.teacher_answers import EndpointTeacher, LocalTeacher
    from palaestra.posttrain.teacher_data import DataConfig, Score, TeacherData
    from palaestra.schema import ModelSpec

_SHOWN = 5


def data(
    teacher: str,
    data: str,
    *,
    out: Path,
    n: int = 4,
    keep: Literal["verifier", "reward"] = "verifier",
    score: str | None = None,
    most: int | None = None,
    least: float | None = None,
    near: float = 0.8,
    temperature: float = 1.0,
    max_tokens: int = 512,
    models: Path = Path("models.toml"),
    skip_bad: SkipBad = 0,
    seed: int = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
) -> None:
    """Have a teacher write examples. The run's folder holds them in `examples`, ready for `train sft`.

    Parameters
    ----------
    teacher
        A folder of Hugging Face, gguf:smollm2, or a model of models.toml.
    data
        Prompts with their domains, and references where a verifier needs them.
    out
        The run's folder.
    n
        Completions of a prompt.
    keep
        verifier: all that are right. reward: the best.
    score
        Who says how good they are: rule:exact, rule:choice, rule:regex:PATTERN, or the folder of a reward.
    most
        Kept of a prompt.
    least
        The score from which one is accepted; 1 of a verifier.
    near
        Jaccard similarity from which two completions of a prompt are duplicates.
    temperature
        With which the teacher samples.
    max_tokens
        Of a completion.
    models
        The models.toml.
    seed
        Of sampling.
    """
    from palaestra.posttrain.examples import read_examples, write_examples
    from palaestra.posttrain.teacher_data import DataConfig, choose, data_card
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    config: DataConfig = checked_config(
        DataConfig,
        n=n, keep=keep, most=most, least=least, near=near, temperature=temperature, max_tokens=max_tokens, seed=seed,
    )  # fmt: skip
    if score is None and keep == "reward":
        raise InputError("found --keep reward without --score, expected the folder of a reward")
    by = score or "rule:exact"
    specs = _specs(models)
    found = read_examples(data, skip_bad=skip_bad)
    for line in found.skipped:
        console.warn(f"left out: {line}")
    judge = _score(by, found.examples, specs)
    spec = _spec(teacher, specs)
    recorded = {"teacher": teacher, "examples": data, "score": by, **config.model_dump(mode="json")}
    inputs = [path for path in (data, *([] if spec else [teacher])) if Path(path).exists()]
    folder = RunFolder(out, "train data", recorded, inputs=inputs, seed=seed, again=whether)
    who = _teacher(teacher, spec, config, out)
    with folder.running():
        with StageBars() as bars:
            answers = who(found.examples, lambda done, of: bars("completions", done, of))
        made = choose(found.examples, answers, judge, config, teacher=teacher)
        card = data_card(out.name, made, config, teacher=teacher, score=by)
        shutil.rmtree(out / "examples", ignore_errors=True)
        write_examples(out / "examples", made.examples, card)
        folder.finish(_metrics(made, who), [_sample(one) for one in made.examples[:_SHOWN]], card)
    console.give({"schema": "palaestra.teacher-data/1", "folder": str(out), **_said(made, who)}, json, _table(made))
    console.note(f"{len(made.examples):,} examples are in {out / 'examples'}")


def _specs(models: Path) -> tuple[ModelSpec, ...]:
    if not models.is_file():
        return ()
    from palaestra.gateway import load_models

    return load_models(models)


def _spec(teacher: str, specs: Sequence[ModelSpec]) -> ModelSpec | None:
    """The endpoint of this name; None for a model on this machine."""
    from palaestra.learn.backbone import GGUF

    if teacher == GGUF or (Path(teacher) / "config.json").is_file():
        return None
    found = next((spec for spec in specs if spec.name == teacher), None)
    if found is None:
        known = ", ".join((*(spec.name for spec in specs), GGUF))
        raise InputError(f"found the teacher {teacher!r}, expected a folder with a config.json, or one of {known}")
    return found


def _teacher(name: str, spec: ModelSpec | None, config: DataConfig, out: Path) -> LocalTeacher | EndpointTeacher:
    from palaestra.learn.generation import Sampling
    from palaestra.posttrain.teacher_answers import EndpointTeacher, LocalTeacher

    how = Sampling(config.max_tokens, config.temperature)
    if spec is not None:
        return EndpointTeacher(spec, n=config.n, how=how, seed=config.seed, book=out / "calls.db", say=console.note)
    return LocalTeacher(name, n=config.n, how=how, seed=config.seed, kept=out / "answers.jsonl")


def _score(name: str, examples: Sequence[Example], specs: Sequence[ModelSpec]) -> Score:
    """A reward or verifier of the rewards room, for examples."""
    from palaestra.rewards.model import load_reward
    from palaestra.rewards.vectors import asked

    references: dict[str, str] = {}
    for example in examples:
        if example.reference is None:
            continue
        known = references.setdefault(asked(example.prompt), example.reference)
        if known != example.reference:
            raise InputError(
                f"found the references {known!r:.40} and {example.reference!r:.40} for one prompt, that of "
                f"{example.id}, expected one"
            )
    reward = load_reward(name, specs=specs, references=references)
    return lambda these, replies: reward.score([one.prompt for one in these], replies).tolist()


def _sample(example: Example) -> dict[str, Any]:
    return {"id": example.id, "domain": example.domain, "prompt": example.asked, "completion": example.reply}


def _paid(who: LocalTeacher | EndpointTeacher) -> dict[str, float]:
    tally = getattr(who, "tally", None)
    if tally is None:
        return {}
    return {
        "calls_paid": tally.paid,
        "calls_known": tally.known,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost": tally.cost,
    }


def _metrics(made: TeacherData, who: LocalTeacher | EndpointTeacher) -> dict[str, float]:
    each = {f"accepted/{one.domain}": one.acceptance.value for one in made.domains}
    return {"examples": len(made.examples), **each, **_paid(who)}


def _said(made: TeacherData, who: LocalTeacher | EndpointTeacher) -> dict[str, Any]:
    from dataclasses import asdict

    return {"examples": len(made.examples), "domains": [asdict(one) for one in made.domains], **_paid(who)}


def _table(made: TeacherData) -> Table:
    from palaestra.posttrain.teacher_data import interval

    heads = ("domain", "prompts", "completions", "accepted", "prompts covered", "duplicates", "kept")
    table = Table(*heads, caption="intervals are over prompts")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in made.domains:
        table.add_row(
            one.domain, f"{one.prompts:,}", f"{one.completions:,}", interval(one.acceptance), interval(one.covered),
            f"{one.duplicates:,}", f"{one.kept:,}",
        )  # fmt: skip
    return table
