"""How long a fine-tuning takes: ours, and TRL's own SFTTrainer with its packing, on the same examples in one run.

Both see each example once, in steps of about as many tokens, with the same model, rate and precision; what is timed is
the training alone, from its first step to its last. Rounds alternate, so that a busy machine is as bad for both.

    python tests/benchmarks/posttrain/sft.py [MODEL] [--examples 2000] [--rounds 3] [--pack-to 256] [--rows 8]

Without MODEL, a Llama of 3.4 million weights with a tokenizer of characters is made.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "posttrain"))

from small_language_model import small_model

from palaestra.learn import trainer as learning
from palaestra.learn.backbone import libraries
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.examples import Example
from palaestra.posttrain.mixing import Mixture, Source
from palaestra.posttrain.sft_trainer import Steps, Watch, sft_trainer
from palaestra.posttrain.tokens import Tokens, tokenized


def made_up(count: int) -> list[Example]:
    """Prompts and completions of all lengths."""
    draw = random.Random(0)  # noqa: S311 - made-up texts
    letters = "abcdefghijklmnopqrstuvwxyz "
    texts = [
        ["".join(draw.choices(letters, k=draw.randint(5, most))).strip() or "a" for most in (60, 40)]
        for _ in range(count)
    ]
    return [Example.of(asked, said, id=str(number)) for number, (asked, said) in enumerate(texts)]


def settings(work: Path, steps: int | None, *, batch: int = 1, **more: Any) -> Any:
    """What both trainers are told."""
    import trl

    return learning.arguments(
        trl.SFTConfig, work, batch=batch, epochs=1, steps=steps, learning_rate=1e-4,
        save_every=1_000_000, seed=0, gradient_checkpointing=False, **more,
    )  # fmt: skip


def timed(trainer: Any) -> float:
    """Seconds from the first step's end to the last one's."""
    _, transformers = libraries()
    ends: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **_more: Any) -> None:
            ends.append(time.perf_counter())

    trainer.add_callback(Clock())
    trainer.remove_callback(transformers.PrinterCallback)
    with learning.quiet():
        trainer.train()
    return (ends[-1] - ends[0]) * len(ends) / (len(ends) - 1)


def ours(model: str, rows: Sequence[Tokens], pack_to: int, size: int, work: Path) -> float:
    """Seconds of ours."""
    loaded, tokenizer = load_trainable(model)
    plan = Mixture([Source(row.id, row.domain, row.count) for row in rows], cap=1).plan()
    steps = Steps(rows, plan.order, size, room=pack_to, padding=tokenizer.pad_token_id)
    args = settings(work, steps.count, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
    return timed(sft_trainer(loaded, tokenizer, args, steps, Watch((), 1, lambda **_: None)))


def theirs(model: str, rows: Sequence[Tokens], pack_to: int, size: int, work: Path) -> float:
    """Seconds of TRL's."""
    import datasets
    import trl

    loaded, tokenizer = load_trainable(model)
    columns = {
        "input_ids": [list(row.tokens) for row in rows],
        "labels": [[t if learnt else -100 for t, learnt in zip(row.tokens, row.learnt, strict=True)] for row in rows],
    }
    args = settings(work, None, batch=size, packing=True, max_length=pack_to, shuffle_dataset=True)
    data = datasets.Dataset.from_dict(columns)
    with learning.quiet():
        return timed(trl.SFTTrainer(model=loaded, args=args, train_dataset=data, processing_class=tokenizer))


def main() -> None:
    """Time both, and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    for name, value in (("examples", 2000), ("rounds", 3), ("pack-to", 256), ("rows", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = asked.model or small_model(root / "model", width=256, layers=5)
        _, tokenizer = load_trainable(model)
        rows = tokenized(tokenizer, made_up(asked.examples), max_tokens=asked.pack_to).rows
        tokens = sum(len(row.tokens) for row in rows)
        size = round(asked.rows * asked.pack_to * len(rows) / tokens)
        print(
            f"{len(rows)} examples, {tokens:,} tokens; a step: {asked.rows} rows of {asked.pack_to}, or {size} examples"
        )
        found: dict[str, list[float]] = {"ours": [], "TRL's": []}
        for number in range(asked.rounds):
            for name, run, step in (("ours", ours, size), ("TRL's", theirs, asked.rows)):
                found[name].append(run(model, rows, asked.pack_to, step, root / f"{name}-{number}"))
                print(f"round {number + 1}  {name:6} {tokens / found[name][-1]:10,.0f} tokens/s", flush=True)
        ratios = [other / own for own, other in zip(found["ours"], found["TRL's"], strict=True)]
        print(f"ours / TRL's: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{one:.2f}' for one in ratios)})")


if __name__ == "__main__":
    main()
