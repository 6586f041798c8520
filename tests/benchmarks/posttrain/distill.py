"""Distillation against TRL's own trainer on the same job, 24 teachers against one, and the memory of 24 teachers.

    python tests/benchmarks/posttrain/distill.py --out docs/benchmarks/distill.md

The same student, teacher, prompts, batch, length of completions and number type on both sides, alternating rounds in
one run, the median of each; seconds are of whole steps, sampling included, after a first round that is thrown away.
Memory is the greatest resident size of a process of its own: 24 teachers in folders, against three held at once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789+-*=:> "
TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}>{% else %}{{ eos_token }}{% endif %}{% endfor %}"
)
BATCH, TOKENS, PROMPT = 96, 8, 14


def folder_of(path: Path, seed: int, width: int, layers: int) -> str:
    """A model of chance over letters, as a folder of Hugging Face."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate(["<pad>", "<end>", "<unk>", *LETTERS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", chat_template=TEMPLATE
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=width, intermediate_size=round(width * 8 / 3), num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=128,
        tie_word_embeddings=True, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def prompts(domains: int, count: int) -> list[Any]:
    """Prompts of `PROMPT` letters, so many of each domain."""
    from palaestra.posttrain.examples import Example

    made = torch.Generator().manual_seed(0)
    return [
        Example.of(
            "".join(LETTERS[int(n)] for n in torch.randint(26, (PROMPT,), generator=made)),
            id=f"{domain}-{number}", domain=f"d{domain:02}",
        )
        for number in range(count // domains)
        for domain in range(domains)
    ]  # fmt: skip


def ours(student: str, teachers: dict[str, str], work: Path, steps: int, block: int) -> float:
    """Seconds a student token."""
    from palaestra.posttrain.distill import DistillConfig, distill
    from palaestra.posttrain.routes import by_label
    from palaestra.posttrain.teachers import Folders

    began, tokens = [0.0], [0]
    them = Folders(teachers, student, dtype="float32")

    def measure(**values: float) -> None:
        tokens[0] += int(values.get("tokens", 0))

    began[0] = time.perf_counter()
    distill(
        prompts(len(teachers), 4 * BATCH * 4), student,
        DistillConfig(
            steps=steps, batch=BATCH, block=block, max_tokens=TOKENS, learning_rate=1e-4, dtype="float32",
            check_every=10_000,
        ),
        work / "out", work=work / "work", teachers=them, route=by_label({name: [name] for name in teachers}),
        measure=measure,
    )  # fmt: skip
    return (time.perf_counter() - began[0]) / tokens[0]


def trls(student: str, teacher: str, work: Path, steps: int) -> float:
    """Seconds a student token of TRL's trainer on the same."""
    import datasets
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(student, padding_side="left")
    rows = [{"prompt": [{"role": "user", "content": one.asked}]} for one in prompts(1, 4 * BATCH * 4)]
    args = trl.DistillationConfig(
        output_dir=str(work), per_device_train_batch_size=BATCH, max_steps=steps, max_completion_length=TOKENS,
        learning_rate=1e-4, beta=1.0, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
        save_strategy="no", disable_tqdm=True, logging_steps=1, temperature=1.0, lr_scheduler_type="linear",
    )  # fmt: skip
    trainer = trl.DistillationTrainer(
        model=AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32),
        teacher_model=AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32),
        args=args, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer,
    )  # fmt: skip
    counted = [0]
    inner = trainer._generate_single_turn

    def counting(*args: Any, **more: Any) -> Any:
        found = inner(*args, **more)
        counted[0] += sum(map(len, found))
        return found

    trainer._generate_single_turn = counting
    trainer.train()
    return (time.perf_counter() - began) / counted[0]


def peak(kind: str, root: Path) -> float:
    """Megabytes of a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", kind, "--root", str(root)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def memory(kind: str, root: Path) -> None:
    """Distil a few steps with 24 teachers in folders, or with three held at once, and print the peak."""
    from palaestra.posttrain.distill import DistillConfig, distill
    from palaestra.posttrain.routes import by_label
    from palaestra.posttrain.teachers import Folders

    count = 24 if kind == "folders" else 3
    names = [f"d{number:02}" for number in range(count)]
    student = str(root / "student")
    teachers: Any
    if kind == "folders":
        teachers = Folders({name: str(root / name) for name in names}, student, dtype="float32")
    else:
        teachers = {name: Folders({name: str(root / name)}, student, dtype="float32")[name] for name in names}
    with tempfile.TemporaryDirectory() as work:
        distill(
            prompts(count, 480), student,
            DistillConfig(steps=4, batch=48, block=2, max_tokens=4, dtype="float32", check_every=10_000),
            Path(work) / "out", work=Path(work) / "work", teachers=teachers,
            route=by_label({name: [name] for name in names}),
        )  # fmt: skip
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(rounds: int, steps: int, root: Path) -> dict[str, Any]:
    """Seconds a token of each, round by round."""
    student, *others = (folder_of(root / f"m{seed}", seed, 256, 4) for seed in range(25))
    one, many = {"d00": others[0]}, {f"d{number:02}": other for number, other in enumerate(others)}
    found: dict[str, list[float]] = {name: [] for name in ("trl", "one, blocks of 1", "one", "24")}
    for turn in range(rounds + 1):
        with tempfile.TemporaryDirectory(dir=root) as work:
            here = Path(work)
            now = {
                "trl": trls(student, others[0], here / "trl", steps),
                "one, blocks of 1": ours(student, one, here / "single", steps, 1),
                "one": ours(student, one, here / "one", steps, 8),
                "24": ours(student, many, here / "many", steps, 8),
            }
        if turn:
            for name, seconds in now.items():
                found[name].append(seconds)
    big = root / "big"
    for seed, name in enumerate(["student", *(f"d{number:02}" for number in range(24))]):
        folder_of(big / name, seed, 512, 8)
    return {"seconds": found, "megabytes": {kind: peak(kind, big) for kind in ("folders", "three")}}


def page(found: dict[str, Any], about: str) -> str:
    """The page as Markdown."""
    middle = {name: statistics.median(values) for name, values in found["seconds"].items()}
    spread = {name: (min(values), max(values)) for name, values in found["seconds"].items()}
    rows = [
        f"| {name} | {1e6 * middle[name]:.0f} | {1e6 * low:.0f} to {1e6 * high:.0f} |"
        for name, (low, high) in spread.items()
    ]
    folders, three = (found["megabytes"][kind] for kind in ("folders", "three"))
    goals = [
        ("throughput against TRL's trainer, one teacher", middle["trl"] / middle["one"], ">=", 1.0),
        ("the same, blocks of one step as TRL has", middle["trl"] / middle["one, blocks of 1"], ">=", 1.0),
        ("24 teachers, time a student token against one", middle["24"] / middle["one"], "<=", 1.3),
        ("24 teachers, peak memory against student and 3 teachers held", folders / three, "<=", 1.0),
    ]
    told = [
        f"| {name} | {value:.2f} | {sign} {goal} | "
        f"{'met' if (value >= goal if sign == '>=' else value <= goal) else '**not met**'} |"
        for name, value, sign, goal in goals
    ]
    setting = (
        "A student and teachers of 3.2 million weights, 96 prompts a step, completions of at most 8 tokens, 32-bit. "
        "Microseconds a student token, whole runs, loading included."
    )
    sizes = f"24 teachers {folders:.0f} MB, three held at once {three:.0f} MB"
    return "\n".join([
        "# Distillation: speed and memory", "", f"`tests/benchmarks/posttrain/distill.py` ({about}).", "", setting, "",
        "| | median | rounds |", "|---|---|---|", *rows, "",
        "| | ratio | goal | |", "|---|---|---|---|", *told, "",
        f"Memory with models of 25 million weights: {sizes}.", "",
    ])  # fmt: skip


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--memory", choices=["folders", "three"])
    parser.add_argument("--root", type=Path)
    given = parser.parse_args()
    if given.memory:
        memory(given.memory, given.root)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        found = measured(given.rounds, given.steps, Path(root))
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before, Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )
    print(json.dumps(found))
    written = page(found, about)
    print(written)
    if given.out:
        given.out.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
