"""`palaestra train rl`: a model is reinforced, and what that did to accuracy and tokens is told."""

from __future__ import annotations

import json as json_text
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.enrolment import Enrolment, check_enrolment, enrol_checkpoint
from palaestra.cli.flags import HtmlTarget, JsonTarget, Overwrite, Resume, Seed, SkipBad, again, checked_config
from palaestra.cli.paid_rewards import paid, weighed
from palaestra.cli.stage_bars import StageBars
from palaestra.cli.train_frontier import answers_of, frontier_table
from palaestra.errors import InputError
from palaestra.posttrain.lengths import Form
from palaestra.posttrain.losses_rl import Sum
from palaestra.posttrain.rl import Method

if TYPE_CHECKING:
    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.frontier import Frontier
    from palaestra.posttrain.rl import Reinforced, RlConfig
    from palaestra.posttrain.rollout_scores import Paid, RewardFunction
    from palaestra.store.runs import RunFolder


def rl(
    model: str,
    data: str,
    *,
    out: Path,
    reward: list[str],
    judge: str | None = None,
    method: Method = "grpo",
    loss: Sum = "dapo",
    tuning: str = "full",
    length_penalty: Form = "none",
    alpha: float = 0.3,
    budget: float | None = None,
    steps: int = 100,
    prompts: int = 4,
    group: int = 8,
    micro_batches: int = 1,
    rollout_steps: int = 1,
    passes: int = 1,
    max_tokens: int = 128,
    temperature: float = 1.0,
    learning_rate: float = 1e-6,
    beta: float = 0.02,
    save_every: int = 50,
    held_out: float = 0.1,
    trl: list[str] | None = None,
    models: Path = Path("models.toml"),
    skip_bad: SkipBad = 0,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    enrolment: Annotated[Enrolment, Parameter(name="*")] | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> int:
    """Reinforce a model. The run's folder holds it in `model`, its card, figures per domain, and a page with pictures.

    Parameters
    ----------
    model
        The start: gguf:smollm2, or a folder of Hugging Face.
    data
        Prompts, with references for verifiers.
    out
        The run's folder.
    reward
        What is rewarded, as `reward score` takes it, perhaps with a weight: rule:exact, rule:code, FOLDER:0.5. May be
        given several times; a reply is right where the first one is above 0.5.
    judge
        A reward that is looked at and not optimised.
    method
        grpo, rloo or ppo.
    loss
        Of grpo and ppo, how tokens become one number: grpo, bnpo, dapo, dr_grpo.
    tuning
        full or lora.
    length_penalty
        none, group, overlong, pass-rate, budget, exact-budget or constrained.
    alpha
        The most that a right reply loses by its length.
    budget
        Tokens, of the budgets and of constrained.
    steps
        Of the optimiser.
    prompts
        Of one step.
    group
        Replies to each.
    micro_batches
        Parts of a step, for memory.
    rollout_steps
        Steps that one rollout lasts.
    passes
        How often each rollout is learnt from.
    max_tokens
        Of a reply.
    temperature
        Of sampling.
    learning_rate
        At the start.
    beta
        What a nat of KL to the start costs.
    save_every
        Steps between checkpoints.
    held_out
        The share of examples that is answered before and after, and not trained on.
    trl
        Further settings of TRL as name=value: use_vllm=true, vllm_mode=server.
    models
        The models.toml, for features of an endpoint.
    """
    from palaestra.posttrain.examples import parted, read_examples
    from palaestra.posttrain.rl import RlConfig, check_rl
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    check_enrolment(enrolment or Enrolment(), out.name)
    config = checked_config(
        RlConfig,
        model=model, method=method, loss=loss, tuning=tuning, steps=steps, prompts=prompts, group=group,
        micro_batches=micro_batches, rollout_steps=rollout_steps, passes=passes, max_tokens=max_tokens,
        temperature=temperature, learning_rate=learning_rate, beta=beta, save_every=save_every, seed=seed,
        lengths={"form": length_penalty, "alpha": alpha, "budget": budget}, trl=_settings(trl or []),
    )  # fmt: skip
    check_rl(config)
    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)
    found = read_examples(data, skip_bad=skip_bad)
    for line in found.skipped:
        console.warn(f"left out: {line}")
    if not 0 <= held_out < 1:
        raise InputError(f"found --held-out {held_out:g}, expected a share from 0 to under 1")
    taught, held = parted(found.examples, held_out, seed)
    rewards = [paid(text, found.examples, models) for text in reward]
    look = None if judge is None else paid(judge, found.examples, models).score
    recorded = {
        "examples": data, "rewards": reward, "judge": judge, "held_out": held_out, **config.model_dump(mode="json"),
    }  # fmt: skip
    inputs = [data, *(path for path in (Path(model), *_folders(reward)) if path.exists())]
    folder = RunFolder(out, "train rl", recorded, inputs=inputs, seed=seed, again=whether)
    with folder.running():
        _reinforced(folder, taught, held, config, rewards, look, json, html)
    return enrol_checkpoint(enrolment or Enrolment(), folder.path / "model", out.name)


def _reinforced(  # noqa: PLR0917 - a run
    folder: RunFolder,
    taught: Sequence[Example],
    held: Sequence[Example],
    config: RlConfig,
    rewards: Sequence[Paid],
    judge: RewardFunction | None,
    json: str | None,
    html: Path | None,
) -> None:
    from palaestra.learn.generation import Sampling
    from palaestra.posttrain.answering import read_answers, write_answers
    from palaestra.posttrain.frontier import frontier as measured
    from palaestra.posttrain.frontier_page import write_run_page
    from palaestra.posttrain.rl import train_rl

    right, how = rewards[0].score, Sampling(max_tokens=config.max_tokens, temperature=0.0)
    before, after, made = (folder.path / name for name in ("answers-before.jsonl", "answers-after.jsonl", "model"))
    if held and not before.is_file():
        write_answers(before, answers_of(config.model, held, right, how))
    new = folder.path / "new"  # what is there stays until something else can take its place
    shutil.rmtree(new, ignore_errors=True)
    with StageBars() as bars:
        found = train_rl(
            taught, config, new / "model", rewards=rewards, judge=judge, work=folder.path / "work",
            measure=folder.measure, tell=lambda done, of: bars("steps", done, of), warn=console.warn,
        )  # fmt: skip
    shutil.rmtree(made, ignore_errors=True)
    (new / "model").replace(made)
    new.rmdir()
    table = None
    if held:
        write_answers(after, answers_of(str(made), held, right, how))
        answered = {"before": read_answers(before), "after": read_answers(after)}
        table = measured(answered, seed=config.seed)
    lines = (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [json_text.loads(line) for line in lines]
    for page in _pages(folder.path / "page.html", html):
        write_run_page(page, f"Reinforced: {folder.path.name}", table, metrics, found.alarms)
    card = (made / "card.md").read_text(encoding="utf-8")
    if table is not None:
        card += "\n" + _card_lines(table)
        (made / "card.md").write_text(card, encoding="utf-8")
    folder.finish({"steps": found.steps, "loss": found.loss, **found.last}, found.samples, card)
    said: dict[str, Any] = {
        "schema": "palaestra.train-rl/1", "folder": str(folder.path), "steps": found.steps, "rollouts": found.rollouts,
        "loss": found.loss, "first": found.first, "last": found.last, "alarms": list(found.alarms),
        "frontier": None if table is None else table.model_dump(mode="json"),
    }  # fmt: skip
    console.give(said, json, _run_table(found), *([] if table is None else [frontier_table(table)]))
    console.note(f"The model is in {made}")


def _pages(own: Path, asked: Path | None) -> list[Path]:
    """The run's page, where pictures can be drawn, and the one that was asked for."""
    from palaestra.errors import MissingPartError
    from palaestra.pictures.page import checked_path

    if asked is not None:
        return [own, asked]
    try:
        return [checked_path(own)]
    except MissingPartError as error:
        console.note(f"no page: {error}")
        return []


def _folders(rewards: Sequence[str]) -> list[Path]:
    """The folders of trained rewards, as `reward train` leaves them."""
    paths = [Path(weighed(text)[0]) for text in rewards]
    return [path / "model" if (path / "model").is_dir() else path for path in paths]


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise InputError(f"found --trl {text!r}, expected name=value")
        try:
            found[name] = json_text.loads(value)
        except ValueError:
            found[name] = value
    return found


def _run_table(found: Reinforced) -> Table:
    table = Table("on prompts that were trained on", "first rollout", "last rollout")
    for name, value in found.last.items():
        before = found.first.get(name)
        table.add_row(name.replace("_", " "), "" if before is None else f"{before:.4g}", f"{value:.4g}")
    for words in found.alarms:
        table.add_row("alarm", "", words)
    return table


def _card_lines(found: Frontier) -> str:
    from palaestra.posttrain.frontier_page import HEADS, cells, headline

    rows = [HEADS, ("---",) * len(HEADS), *(cells(point) for point in found.points)]
    return "\n".join(["On held-out prompts:", "", *(f"| {' | '.join(row)} |" for row in rows), "", headline(found), ""])
