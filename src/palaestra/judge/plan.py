"""A run before anything is asked: what it reads, who answers, who judges, who meets whom; all of it checked.

Not here: the asking (`run.py`), and what it would cost (`costs.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from palaestra.errors import InputError
from palaestra.judge.answers import Answer, check_answers, read_answers
from palaestra.judge.config import RunConfig
from palaestra.judge.protocols import EVERY, Protocol, protocol
from palaestra.judge.schedule import Meeting, against_baselines, everybody
from palaestra.schema import ModelSpec, Prompt, PromptSet
from palaestra.store.prompts import SET_FILE, read_prompt_set, read_prompts


@dataclass(slots=True)
class Plan:
    """A run before anything is asked: what it reads, and who answers and judges."""

    config: RunConfig
    prompts: list[Prompt]
    models: tuple[str, ...]
    specs: tuple[ModelSpec, ...]
    given: list[Answer]
    how: Protocol
    baselines: list[dict[str, str]]
    rubric: str | None

    @property
    def contestants(self) -> tuple[str, ...]:
        """Whose answers are needed: the models and those that they are compared with."""
        compared = [name for by_category in self.met for name in by_category.values()]
        return tuple(dict.fromkeys((*self.models, *(compared if self.config.judges else ()))))

    @property
    def met(self) -> list[dict[str, str]]:
        """The baselines that are met, each by the categories that there are (`*` for questions without one)."""
        if self.config.schedule != "baseline" or not self.how.compares:
            return []
        there = dict.fromkeys(prompt.category or EVERY for prompt in self.prompts)
        found = [{one: each.get(one) or each.get(EVERY, "") for one in there} for each in self.baselines]
        return [{one: name for one, name in by_category.items() if name} for by_category in found]

    def meetings(self) -> list[Meeting] | None:
        """Who meets whom; None where that follows from the verdicts."""
        if self.config.schedule == "baseline":
            return against_baselines(self.prompts, self.models, self.baselines)
        return everybody(self.prompts, self.models) if self.config.schedule == "all" else None

    def budget(self) -> int:
        """Meetings of the active schedule, in one order each; half of one baseline's games if none is given."""
        half = len(self.prompts) * (len(self.models) - 1)
        pairs = len(self.models) * (len(self.models) - 1) // 2
        half = min(half, pairs * len(self.prompts))
        return self.config.budget or max(half, len(self.models))


def plan_run(config: RunConfig, specs: Sequence[ModelSpec]) -> Plan:
    """Read and check everything, before anything is asked or written.

    Args:
        config: the run.
        specs: the models that can be asked.

    Raises:
        InputError: questions or answers that cannot be used, a name that is neither in models.toml nor among the
            answers, no baseline, or too few models.
    """
    how = protocol(config.protocol)
    record = read_prompt_set(config.questions)[0] if (config.questions / SET_FILE).is_file() else None
    prompts = read_prompts(config.questions, identified=config.questions.is_file())
    given = _given(config.answers)
    check_answers(given, prompts, complete=False)
    models = config.models or tuple(dict.fromkeys(answer.model for answer in given))
    if not models:
        raise InputError("found no models, expected --model NAME (in models.toml), or --answers with their answers")
    known = {spec.name for spec in specs} | {answer.model for answer in given}
    baselines = _baselines(config, how, record, known, {prompt.category or EVERY for prompt in prompts})
    plan = Plan(config, prompts, models, tuple(specs), given, how, baselines, _rubric(config))
    _check(plan)
    return plan


def _given(paths: Sequence[Path]) -> list[Answer]:
    """The answers of all files; a second one of a model to a question is refused, whichever file it is in."""
    found: dict[tuple[str, str], Answer] = {}
    first: dict[tuple[str, str], Path] = {}
    for path in paths:
        for answer in read_answers(path):
            key = answer.model, answer.question_id
            if key in found:
                raise InputError(
                    f"{path}: found a second answer of {answer.model} to question {answer.question_id!r}, the first is "
                    f"in {first[key]}; expected one: remove one of them"
                )
            found[key], first[key] = answer, path
    return list(found.values())


def _baselines(
    config: RunConfig, how: Protocol, record: PromptSet | None, known: Container[str], there: Collection[str]
) -> list[dict[str, str]]:
    """Each baseline by category; what the config says goes before the set's own, and that before the protocol's."""
    named: dict[str, list[str]] = {}
    for given in config.baselines:
        whole = given in known or "=" not in given  # a model's own name may hold the sign
        category, _, name = (EVERY, "", given) if whole else given.partition("=")
        if category not in {EVERY, *there}:
            raise InputError(
                f"found the baseline {given!r}, which is no model, and no question has the category {category!r}; "
                f"expected one of {', '.join(sorted(there))}, or NAME alone"
            )
        named.setdefault(category, []).append(name)
    own = {} if EVERY in named else {**how.baselines, **(record.baselines if record else {})}
    most = max(map(len, named.values()), default=1)
    return [own | {one: names[min(number, len(names) - 1)] for one, names in named.items()} for number in range(most)]


def _rubric(config: RunConfig) -> str | None:
    if config.rubric is None:
        return None
    try:
        return config.rubric.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the rubric {config.rubric}: {error}; expected a text in UTF-8") from error


def _check(plan: Plan) -> None:
    for flag, names in (("--model", plan.config.models), ("--judge", plan.config.judges)):
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise InputError(f"found {flag} {twice[0]} more than once, expected each name once; leave the others out")
    known = {spec.name for spec in plan.specs}
    if strangers := [name for name in plan.config.judges if name not in known]:
        raise InputError(
            f"found the judge {strangers[0]!r}, expected one of models.toml: {', '.join(sorted(known)) or 'none'}"
        )
    answered = {answer.model for answer in plan.given}
    for name in plan.contestants:
        if name not in known | answered:
            raise InputError(
                f"found the model {name!r}, which is neither in models.toml nor among the given answers; add it to one "
                "of them, or name another baseline: --baseline NAME"
            )
    if plan.config.judges and plan.how.compares:
        if len(plan.contestants) < 2:  # noqa: PLR2004 - a pair is two
            raise InputError(
                f"found one model, {plan.models[0]!r}, expected two or more to compare, or --baseline NAME"
            )
        if plan.config.schedule == "baseline" and not plan.meetings():
            raise InputError("every model is its own baseline: nobody meets anybody; give another --baseline")
    if plan.how.reference == "needed" and (bare := [each.id for each in plan.prompts if not each.reference]):
        raise InputError(
            f"{len(bare)} of {len(plan.prompts)} questions have no reference answer ({bare[0]}, ...), which the "
            f"protocol {plan.how.name} needs; add a column reference, or take another protocol"
        )


def needed_specs(plan: Plan) -> list[ModelSpec]:
    """Who is asked: the judges, and contestants of models.toml without all their answers."""
    specs = {spec.name: spec for spec in plan.specs}
    answered: dict[str, int] = {}
    for answer in plan.given:
        answered[answer.model] = answered.get(answer.model, 0) + 1
    short = [name for name in plan.contestants if name in specs and answered.get(name, 0) < len(plan.prompts)]
    return [specs[name] for name in dict.fromkeys((*short, *plan.config.judges))]
