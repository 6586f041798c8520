"""`palaestra train sft`: examples become a model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.enrolment import Enrolment, check_enrolment, enrol_checkpoint
from palaestra.cli.flags import Flag, JsonTarget, Overwrite, Resume, Seed, SkipBad, again, checked_config, pairs
from palaestra.cli.stage_bars import StageBars

if TYPE_CHECKING:
    from palaestra.posttrain.sft import FineTuned, SftConfig


def sft(
    model: str,
    data: str,
    *,
    out: Path,
    mixture: str | None = None,
    by: Literal["examples", "tokens"] = "examples",
    epoch_cap: str | None = None,
    steps: int | None = None,
    batch: int = 32,
    parts: int = 1,
    pack_to: int = 1024,
    max_tokens: int = 1024,
    too_long: Literal["leave-out", "cut"] = "leave-out",
    learning_rate: float = 1e-4,
    warmup: int = 0,
    lora_rank: int | None = None,
    gradient_checkpointing: Annotated[bool, Flag] = False,
    held_out: float = 0.05,
    check_every: int = 100,
    save_every: int = 100,
    skip_bad: SkipBad = 0,
    seed: Seed = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    enrolment: Annotated[Enrolment, Parameter(name="*")] | None = None,
    json: JsonTarget = None,
) -> int:
    """Fine-tune a model on examples. The run's folder holds it in `model`.

    Parameters
    ----------
    model
        gguf:smollm2, or a folder of Hugging Face.
    data
        With completions: our own, chat messages, prompt and completion, instruction and output.
    out
        The run's folder.
    mixture
        Weights of domains, as add=2,rev=1; others are left out. By the number of examples if left out.
    by
        Whether weights are shares of examples or of tokens learnt.
    epoch_cap
        How often an example may be seen: 4, or add=4,rev=2.
    steps
        Updates; up to where the first domain has reached its cap if left out.
    batch
        Examples of a step, over all processes.
    parts
        Passes into which a process cuts its share of a step, to save memory.
    pack_to
        Tokens of a packed row; 0 gives each example its own.
    max_tokens
        Of an example.
    too_long
        What becomes of longer ones.
    learning_rate
        At the start; it falls to nought in a straight line.
    warmup
        Steps in which it rises.
    lora_rank
        Train low-rank changes in place of all weights.
    gradient_checkpointing
        Save memory for time.
    held_out
        The share of each domain's prompts that nothing is learnt from.
    check_every
        Steps between looks at those.
    save_every
        Steps between checkpoints.
    """
    from palaestra.learn.trainer import wait_for_all
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.sft import SftConfig, sft_card, train_sft
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    check_enrolment(enrolment or Enrolment(), out.name)
    config: SftConfig = checked_config(
        SftConfig,
        model=model, mixture=pairs("mixture", mixture, float), by=by, epoch_cap=_cap(epoch_cap), steps=steps,
        batch=batch, parts=parts, pack_to=pack_to, max_tokens=max_tokens, too_long=too_long,
        learning_rate=learning_rate, warmup=warmup, lora_rank=lora_rank, held_out=held_out, check_every=check_every,
        save_every=save_every, gradient_checkpointing=gradient_checkpointing, seed=seed,
    )  # fmt: skip
    found = read_examples(data, skip_bad=skip_bad, completed=True)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if int(os.environ.get("RANK", "0")):  # another process of the same training; the first one has the folder
        wait_for_all()
        train_sft(found.examples, config, out / "new" / "model", work=out / "work")
        return 0
    for line in found.skipped:
        console.warn(f"left out: {line}")
    recorded = {"examples": data, **config.model_dump(mode="json")}
    inputs = [path for path in (data, model) if Path(path).exists()]
    folder = RunFolder(out, "train sft", recorded, inputs=inputs, seed=seed, again=whether)
    new = out / "new"  # what is there stays until something else can take its place
    with folder.running():
        shutil.rmtree(new, ignore_errors=True)
        if several:
            wait_for_all()
        with StageBars() as bars:
            done = train_sft(
                found.examples, config, new / "model", work=out / "work", measure=folder.measure,
                tell=lambda step, of: bars("steps", step, of), card=sft_card(out.name, config),
            )  # fmt: skip
        shutil.rmtree(out / "model", ignore_errors=True)
        (new / "model").replace(out / "model")
        new.rmdir()
        card = (out / "model" / "README.md").read_text(encoding="utf-8")
        folder.finish(_metrics(done), [], card)
    console.give({"schema": "palaestra.sft/1", "folder": str(out), **_said(done)}, json, _table(done))
    if done.left_out:
        console.warn(f"{done.left_out} examples are longer than {max_tokens} tokens and were left out")
    if done.cut:
        console.warn(f"{done.cut} examples were cut to {max_tokens} tokens")
    for share in done.shares:
        if share.ended and steps is not None:
            console.warn(f"{share.domain} reached its epoch cap; the other domains took its place")
    console.note(f"The model is in {out / 'model'}")
    return enrol_checkpoint(enrolment or Enrolment(), out / "model", out.name)


def _cap(text: str | None) -> int | dict[str, Any] | None:
    if text is None or text.strip().isdigit():
        return None if text is None else int(text)
    return pairs("epoch-cap", text, int)


def _said(done: FineTuned) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(done)


def _metrics(done: FineTuned) -> dict[str, float]:
    numbers = {name: float(value) for name, value in _said(done).items() if isinstance(value, int | float)}
    return numbers | {f"held_out_loss/{name}": one.value for name, one in done.after.items()}


def _table(done: FineTuned) -> Table:
    table = Table(
        "domain", "examples", "asked for", "of draws", "of tokens learnt", "most used", "held-out loss before", "after",
        caption=f"{done.steps:,} steps, {done.examples:,} draws, {done.learnt:,} of {done.tokens:,} tokens learnt; "
        f"mean loss {done.loss:.4f}",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for share in done.shares:
        losses = [done.before.get(share.domain), done.after.get(share.domain)]
        table.add_row(
            share.domain, f"{share.examples:,}", f"{share.weight:.1%}", f"{share.share:.1%}",
            f"{share.token_share:.1%}", str(share.most), *("" if one is None else f"{one.value:.4f}" for one in losses),
        )  # fmt: skip
    return table
