"""What a model says while it is trained: written at each mark, and the weights are those of a training unwatched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from palaestra.learn import trainer as training
from palaestra.learn.language_model import load_trainable
from palaestra.learn.showing import Shown, showing
from palaestra.schema import Message
from palaestra.store.runs import SAMPLES_FILE, RunFolder, read_lines

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def trained(folder: Path, base: str, *, watch: bool) -> tuple[Any, RunFolder]:
    model, tokenizer = load_trainable(base)
    run = RunFolder(folder / "run", "train toy", {})
    args = training.arguments(
        transformers.TrainingArguments, folder / "work", batch=2, epochs=1, steps=5, learning_rate=0.01, save_every=9,
        seed=0,
    )  # fmt: skip
    rows = [{"input_ids": torch.tensor([9, 8, k, 1]), "labels": torch.tensor([9, 8, k, 1])} for k in range(10, 30)]
    trainer = transformers.Trainer(model=model, args=args, train_dataset=rows)
    if watch:
        shown = [Shown((Message.of("user", "1+1"),), "add", "2"), Shown((Message.of("user", "hi"),))]
        trainer.add_callback(showing(tokenizer, shown, 2, run.sample, max_tokens=6))
    training.train(trainer, folder / "work", run.measure, lambda _done, _of: None)
    run.finish({}, [], "")
    return model, run


def test_samples_are_written_at_each_mark_and_change_nothing(tmp_path: Path) -> None:
    base = str(make_tiny_llama(tmp_path / "base"))
    plain, _ = trained(tmp_path / "plain", base, watch=False)
    model, run = trained(tmp_path / "watched", base, watch=True)
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)
    lines = read_lines(run.path / SAMPLES_FILE)
    assert [line["step"] for line in lines] == [0, 0, 2, 2, 4, 4, 5, 5]
    assert [(line["prompt"], line.get("domain"), line.get("reference")) for line in lines[:2]] == [
        ("1+1", "add", "2"),
        ("hi", None, None),
    ]
    assert all(1 <= line["tokens"] <= 6 and line["ended"] in {True, False} for line in lines)
    assert lines[0]["reply"] != lines[-2]["reply"], "it has learnt something"
