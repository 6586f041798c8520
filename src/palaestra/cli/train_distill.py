"""`palaestra train distill`: what many teachers know goes into one student, on the student's own answers."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.enrolment import Enrolment, check_enrolment, enrol_checkpoint
from palaestra.cli.flags import JsonTarget, Overwrite, Resume, SkipBad, again
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError
from palaestra.posttrain.distill import DistillConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from palaestra.posttrain.answering import Answered
    from palaestra.posttrain.distill import Distilled
    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.teacher_file import TeacherSpec

How = Annotated[DistillConfig, Parameter(name="*")]
Joining = Annotated[Enrolment, Parameter(name="*")]

_ALL_OF_IT = 4096
"""A vocabulary up to this is told whole; of larger ones the likeliest tokens."""
_TOP = 128
_TOP_OF_ENDPOINTS = 20
"""What vLLM tells unless it is started with --max-logprobs."""
_SHOWN = 12
"""Replies that are kept of each look at held-out prompts."""


def distill(
    student: str,
    data: str,
    *,
    out: Path,
    teacher: Annotated[list[str] | None, Parameter(negative=())] = None,
    teachers: Path | None = None,
    validate: str | None = None,
    route: str = "label",
    ray: int = 0,
    skip_bad: SkipBad = 0,
    config: How | None = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    enrolment: Joining | None = None,
    json: JsonTarget = None,
) -> int:
    """Distil teachers into a student on-policy. The run's folder holds it in `model`.

    Parameters
    ----------
    student
        The model that the student begins as: a folder, or gguf:smollm2.
    data
        Prompts with their domains.
    out
        The run's folder.
    teacher
        NAME=FOLDER: the teacher of the domain NAME; FOLDER alone teaches all that no other does. May be repeated.
    teachers
        A TOML file of [[teacher]] tables: name, model, domains, endpoint, api_key_env.
    validate
        Held-out prompts with right answers (`reference`), by which progress is judged.
    route
        label; classifier:LABELLED, which gives prompts without a domain that of the labelled ones they are like; or
        p2l:FOLDER, the teacher that this leaderboard for every prompt puts first.
    ray
        Hold the teachers in so many actors of Ray.
    """
    from palaestra.learn.trainer import wait_for_all
    from palaestra.posttrain.distill import distill as distilled
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.teacher_file import teacher_specs
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    check_enrolment(enrolment or Enrolment(), out.name)
    specs = teacher_specs(teacher or [], teachers)
    config = config or DistillConfig()
    if config.top is None:
        config = config.model_copy(update={"top": _top(student, specs)})
    found = read_examples(data, skip_bad=skip_bad)
    for line in found.skipped:
        console.warn(f"left out: {line}")
    held = _held(validate)
    with ExitStack() as stack:
        them = _teachers(specs, student, config, ray, stack)
        asked, routed = _routed(found.examples, specs, route)
        shares = routed(asked)  # who has no teacher is named before a folder is made
        judge = _Judge(held, config.max_tokens) if held else None
        experts = _experts(held, specs, student, config.max_tokens) if held else None
        given: dict[str, Any] = {
            "examples": asked,
            "student": student,
            "teachers": them,
            "route": lambda _examples: shares,
            "experts": experts,
        }
        if int(os.environ.get("RANK", "0")):  # another process of the same training; the first one has the folder
            wait_for_all()
            distilled(config=config, folder=out / "new" / "model", work=out / "work", evaluate=judge, **given)
            return 0
        recorded = config.model_dump(mode="json") | {
            "student": student, "examples": data, "validate": validate, "route": route, "ray": ray,
            "teachers": [spec.model_dump(mode="json", exclude={"api_key_env"}) for spec in specs],
        }  # fmt: skip
        inputs = [path for path in (data, validate) if path is not None and Path(path).exists()]
        folder = RunFolder(out, "train distill", recorded, inputs=inputs, seed=config.seed, again=whether)
        with folder.running(), StageBars() as bars:
            done = _run(folder, config, judge, **given, tell=lambda step, of: bars("steps", step, of))
    said = {"schema": "palaestra.distilled/1", "folder": str(out), **asdict(done), "experts": experts or {}}
    console.give(said, json, _table(done, experts))
    console.note(f"The student is in {folder.path / 'model'}")
    return enrol_checkpoint(enrolment or Enrolment(), folder.path / "model", out.name)


def _run(
    folder: Any,  # noqa: ANN401 - a RunFolder
    config: DistillConfig,
    judge: _Judge | None,
    **given: Any,  # noqa: ANN401 - what `distill` takes
) -> Distilled:
    """Distil beside the model that is there, and put the new one in its place."""
    from palaestra.learn.trainer import wait_for_all
    from palaestra.posttrain.distill import distill as distilled

    new = folder.path / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        wait_for_all()

    def measure(**values: float) -> None:
        folder.measure(**values)
        for row in judge.samples(_SHOWN) if judge is not None and "held_out" in values else ():
            folder.sample(step=values["step"], **row)

    done = distilled(
        config=config, folder=new / "model", work=folder.path / "work", evaluate=judge, measure=measure,
        card=lambda found: _card(folder.path.name, config, found), **given,
    )  # fmt: skip
    shutil.rmtree(folder.path / "model", ignore_errors=True)
    (new / "model").replace(folder.path / "model")
    new.rmdir()
    numbers = {name: float(value) for name, value in asdict(done).items() if isinstance(value, int | float)}
    numbers |= {f"held_out/{name}": score for name, score in done.held_out.items()}
    folder.finish(numbers, judge.samples() if judge is not None else [], _card(folder.path.name, config, done))
    return done


class _Judge:
    """Scores a model on held-out prompts by whether its final answers are right."""

    def __init__(self, held: Sequence[Example], max_tokens: int) -> None:
        self._held, self._max_tokens = held, max_tokens
        self._last: tuple[Answered, ...] = ()

    def __call__(self, model: Any, tokenizer: Any) -> dict[str, float]:  # noqa: ANN401 - of transformers
        from palaestra.learn.generation import Sampling
        from palaestra.posttrain.answering import answers, by_domain
        from palaestra.rewards.rules import same_answer

        def right(
            _prompts: object, replies: Sequence[str], references: Sequence[str | None], _domains: object
        ) -> list[float]:
            return [float(same_answer(said, known or "")) for said, known in zip(replies, references, strict=True)]

        self._last = answers(model, tokenizer, self._held, right, Sampling(self._max_tokens, temperature=0.0))
        return by_domain(self._last)

    def samples(self, most: int = 50) -> list[dict[str, Any]]:
        """Some of the last replies, for eyes."""
        rows = list(zip(self._held, self._last, strict=False))
        return [
            {"domain": one.domain, "prompt": one.asked, "reply": said.reply, "reference": one.reference,
             "right": said.right}
            for one, said in rows[:: max(1, len(self._held) // most)]
        ]  # fmt: skip


def _held(source: str | None) -> tuple[Example, ...]:
    from palaestra.posttrain.examples import read_examples

    held = read_examples(source).examples if source is not None else ()
    if missing := next((example.id for example in held if example.reference is None), None):
        raise InputError(f"{source}: found no reference for {missing}, expected the right answer of each prompt")
    return held


def _experts(
    held: Sequence[Example], specs: Sequence[TeacherSpec], student: str, max_tokens: int
) -> dict[str, float] | None:
    """What each domain's own teacher scores; None where a teacher is behind an endpoint."""
    from palaestra.learn.backbone import load_tokenizer
    from palaestra.posttrain.routes import ALL
    from palaestra.posttrain.teachers import Folders

    if any(spec.endpoint is not None for spec in specs):
        return None
    folders = Folders({spec.name: spec.model for spec in specs}, student, dtype="float32")
    tokenizer, found = load_tokenizer(student), {}
    for spec in sorted(specs, key=lambda spec: ALL not in spec.domains):  # who teaches one domain has the last word
        own = [one for one in held if one.domain in spec.domains or ALL in spec.domains]
        if own:
            found |= _Judge(own, max_tokens)(folders.model(spec.name), tokenizer)
    return found


def _teachers(specs: Sequence[TeacherSpec], student: str, config: DistillConfig, ray: int, stack: ExitStack) -> Any:  # noqa: ANN401 - teachers by name
    from palaestra.posttrain.teacher_endpoint import Endpoint, Mixed
    from palaestra.posttrain.teachers import Folders

    kinds: dict[str, Any] = {}
    for spec in specs:
        if spec.endpoint is not None:
            key = os.environ.get(spec.api_key_env) if spec.api_key_env else None
            kinds[spec.name] = Endpoint(spec.endpoint, spec.model, key=key, top=config.top or _TOP_OF_ENDPOINTS)
    local = {spec.name: spec.model for spec in specs if spec.endpoint is None}
    if not local:
        return Mixed(kinds)
    if ray:
        from palaestra.posttrain.teacher_actors import teachers_on_ray

        them: Any = stack.enter_context(teachers_on_ray(local, student, actors=ray, top=config.top, dtype=config.dtype))
    else:
        them = Folders(local, student, top=config.top, dtype=config.dtype)
    return Mixed(kinds | dict.fromkeys(local, them))


def _routed(
    examples: Sequence[Example], specs: Sequence[TeacherSpec], route: str
) -> tuple[Sequence[Example], Callable[[Sequence[Example]], Any]]:
    """The prompts, with domains where a classifier gives them, and whose each is."""
    from palaestra.posttrain.routes import by_label, by_strength, labelled

    kind, _, source = route.partition(":")
    labels = by_label({spec.name: spec.domains for spec in specs})
    if kind == "label" and not source:
        return examples, labels
    if kind == "classifier" and source:
        from palaestra.gateway.embed import embedder
        from palaestra.posttrain.examples import read_examples

        asked, count = labelled(examples, read_examples(source).examples, embedder("local:minilm"))
        console.note(f"The classifier looked at {count} prompts without a domain")
        return asked, labels
    if kind == "p2l" and source:
        from palaestra.p2l.model import load_prompt_boards

        boards = load_prompt_boards(source)
        return examples, by_strength(
            [spec.name for spec in specs], lambda texts: (boards.models, boards.coefficients(texts).beta_PM)
        )
    raise InputError(f"found the route {route!r}, expected label, classifier:LABELLED or p2l:FOLDER")


def _top(student: str, specs: Sequence[TeacherSpec]) -> int | None:
    from palaestra.learn.backbone import load_tokenizer

    if any(spec.endpoint is not None for spec in specs):
        return _TOP_OF_ENDPOINTS
    return None if len(load_tokenizer(student)) <= _ALL_OF_IT else _TOP


def _table(done: Distilled, experts: dict[str, float] | None) -> Table:
    table = Table("domain", "student", "expert", caption=f"{done.steps} steps, {done.tokens:,} tokens of the student")
    for name, score in done.held_out.items():
        table.add_row(name, f"{score:.1%}", f"{experts[name]:.1%}" if experts and name in experts else "")
    if not done.held_out:
        table.add_row("mean loss", f"{done.loss:.4f}", "")
    return table


def _card(name: str, config: DistillConfig, found: Distilled) -> str:
    how = (
        f"Distilled on-policy ({config.divergence} divergence, {config.balance} balance, {config.steps} steps of "
        f"{config.batch} prompts, seed {config.seed})."
    )
    lines = [
        f"# {name}",
        "",
        how,
        "",
        f"- the student wrote {found.tokens:,} tokens in {found.rows:,} answers; mean loss {found.loss:.4f}",
        f"- prompts left out as too long: {found.too_long}",
        *(f"- held out, {domain}: {score:.1%}" for domain, score in found.held_out.items()),
        *([f"- converged: {', '.join(found.converged)}"] if found.converged else []),
    ]
    return "\n".join(lines) + "\n"
