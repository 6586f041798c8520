"""Where models of the story are made: each in a run folder of its own, once, also if the story is killed and goes on.

A job is a plain function with plain arguments, so that several run side by side in processes of one thread each: on a
processor two threads of one small model are worth less than two models. Not here: which models (`story.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.posttrain.distill import DistillConfig, distill
from palaestra.posttrain.examples import Example
from palaestra.posttrain.merging.merge import merge
from palaestra.posttrain.merging.recipe import MergeExpert, MergeRecipe
from palaestra.posttrain.rl import RlConfig, train_rl
from palaestra.posttrain.rollout_scores import Paid
from palaestra.posttrain.routes import by_label
from palaestra.posttrain.schedule import Headroom
from palaestra.posttrain.sft import SftConfig, train_sft
from palaestra.posttrain.teachers import Folders
from palaestra.recipes.experts_to_generalist.grading import grade
from palaestra.recipes.experts_to_generalist.world import mixture, score
from palaestra.store.runs import RunFolder, read_run

Job = tuple[Callable[..., Any], tuple[Any, ...]]
Measure = Callable[..., None]


def side_by_side(jobs: Iterable[Job], workers: int, tell: Callable[[int, int], None]) -> None:
    """Do jobs, so many at a time.

    Raises:
        PalaestraError: the first that failed; those that had begun are finished first.
    """
    todo = list(jobs)
    if workers == 1 or len(todo) <= 1:
        for number, (job, given) in enumerate(todo, start=1):
            job(*given)
            tell(number, len(todo))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job, *given) for job, given in todo]
        for number, future in enumerate(as_completed(futures), start=1):
            if future.exception() is not None:
                pool.shutdown(cancel_futures=True)
            future.result()
            tell(number, len(todo))


def is_made(out: Path) -> bool:
    """Whether a model was made here, to its end."""
    return (out / "model").is_dir() and read_run(out).state == "done"


def taught(out: Path, model: str, examples: list[Example], settings: Mapping[str, Any]) -> None:
    """A model learns to write the completions of examples."""
    config = SftConfig.model_validate({"model": model, "held_out": 0.0, "epoch_cap": None} | dict(settings))

    def make(folder: Path, work: Path, measure: Measure) -> Mapping[str, float]:
        found = train_sft(examples, config, folder, work=work, held=(), measure=measure)
        return {"steps": found.steps, "loss": found.loss, "tokens": found.tokens, "learnt": found.learnt}

    _made(out, "story sft", config.model_dump(mode="json"), make)


def distilled(  # noqa: PLR0917 - a job's plain arguments
    out: Path,
    student: str,
    teachers: Mapping[str, str],
    settings: Mapping[str, Any],
    prompts: int,
    validation: int,
    experts: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> None:
    """A student learns from many teachers on its own answers."""
    config = DistillConfig.model_validate(dict(settings))
    held = mixture("validation", validation, 0, says="nothing", domains=tuple(teachers))

    def evaluate(model: Any, tokenizer: Any) -> dict[str, float]:  # noqa: ANN401 - of transformers
        return {name: found.value for name, found in grade(model, held, tokenizer=tokenizer).accuracy.items()}

    def make(folder: Path, work: Path, measure: Measure) -> Mapping[str, float]:
        found = distill(
            mixture("train", prompts, config.seed, says="nothing", domains=tuple(teachers)), student, config, folder,
            work=work, teachers=Folders(teachers, student, dtype=config.dtype), evaluate=evaluate, experts=experts,
            route=by_label({name: [name] for name in teachers}), measure=measure,
        )  # fmt: skip
        kept = Headroom(experts, start).kept(found.held_out) if experts and start else {}
        said = {f"kept/{name}": share for name, share in kept.items()}
        return {"steps": found.steps, "loss": found.loss, "tokens": found.tokens} | said

    _made(out, "story distill", config.model_dump(mode="json") | {"student": student, "teachers": dict(teachers)}, make)


def merged(out: Path, base: str, experts: Mapping[str, str], method: str, scale: float | None) -> None:
    """A merge of experts."""
    recipe = MergeRecipe.model_validate(
        {"base": base, "method": method, "expert": [MergeExpert(model=one) for one in experts.values()]}
        | ({} if scale is None else {"lambda": scale})
    )

    def make(folder: Path, _work: Path, _measure: Measure) -> Mapping[str, float]:
        merge(recipe, folder)
        return {}

    _made(out, "story merge", recipe.model_dump(mode="json"), make)


def reinforced(out: Path, model: str, examples: list[Example], settings: Mapping[str, Any]) -> None:
    """A model is rewarded for right answers."""
    config = RlConfig.model_validate({"model": model} | dict(settings))

    def right(prompts: Any, replies: Any, _references: Any, domains: Any) -> list[float]:  # noqa: ANN401 - a reward's
        rows = zip(prompts, replies, domains, strict=True)
        return [float(score(domain, prompt[-1].text, reply)) for prompt, reply, domain in rows]

    def make(folder: Path, work: Path, measure: Measure) -> Mapping[str, float]:
        found = train_rl(examples, config, folder, rewards=[Paid("right", right)], work=work, measure=measure)
        return {"steps": found.steps, "loss": found.loss, **found.last}

    _made(out, "story rl", config.model_dump(mode="json"), make)


def _made(
    out: Path, command: str, config: Mapping[str, Any], make: Callable[[Path, Path, Measure], Mapping[str, float]]
) -> None:
    """Make a model in a run's folder, unless it is there."""
    if out.is_dir() and (out / "run.json").is_file() and is_made(out):
        return
    folder = RunFolder(out, command, config, seed=int(config.get("seed") or 0), again="resume")
    with folder.running():
        shutil.rmtree(out / "new", ignore_errors=True)
        shutil.rmtree(out / "model", ignore_errors=True)
        (out / "new").mkdir()
        metrics = make(out / "new" / "model", out / "work", folder.measure)
        (out / "new" / "model").replace(out / "model")
        (out / "new").rmdir()
        shutil.rmtree(out / "work", ignore_errors=True)
        folder.finish(metrics, [], f"# {out.name}\n\nMade by `{command}`; {config.get('steps') or ''} steps.\n")


def model_of(out: Path) -> str:
    """The folder of a model that was made.

    Raises:
        InputError: it was not.
    """
    if not (out / "model").is_dir():
        raise InputError(f"found no model in {out}, expected one; run the stage of the story that makes it")
    return str(out / "model")
