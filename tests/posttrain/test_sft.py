"""Fine-tuning on models of a few thousand weights: what packing and parts must not change, and what a kill must not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_language_model import chat_model
from small_language_model import small_model

from palaestra.errors import InputError
from palaestra.learn.generation import Sampling
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.answering import answers, by_domain
from palaestra.posttrain.examples import Example, parted, write_examples
from palaestra.posttrain.packing import batch, check_apart, logits, packed
from palaestra.posttrain.sft import SftConfig, train_sft
from palaestra.posttrain.sft_trainer import Steps, Watch, domain_losses, example_losses, sft_trainer
from palaestra.posttrain.tokens import Tokens, tokenized

WORDS = [a + b + c for a in "abcdefgh" for b in "abcd" for c in "abcd"]
EXAMPLES = [Example.of(f"c{word}", word, domain="copy", id=f"c{word}", reference=word) for word in WORDS] + [
    Example.of(f"t{word}", word[::-1], domain="turn", id=f"t{word}", reference=word[::-1]) for word in WORDS[:64]
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_model(tmp_path_factory.mktemp("small"))


def config(model: str, **settings: Any) -> SftConfig:
    return SftConfig.model_validate(
        {"model": model, "batch": 16, "steps": 30, "learning_rate": 5e-3, "dtype": "float32", "pack_to": 64,
         "max_tokens": 32} | settings
    )  # fmt: skip


def rows_of(model: str, count: int = 24) -> tuple[Any, Any, tuple[Tokens, ...]]:
    loaded, tokenizer = load_trainable(model)
    examples = [Example.of("a" * (number % 7 + 1), "b" * (number % 5 + 1), id=str(number)) for number in range(count)]
    return loaded, tokenizer, tokenized(tokenizer, examples, max_tokens=64).rows


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("layout", ["rows", "flat"])
def test_examples_in_one_row_do_not_see_each_other(model: str, attention: str, layout: str) -> None:
    loaded, _, rows = rows_of(model)
    loaded.set_attn_implementation(attention)
    loaded.eval()
    flat = layout == "flat"
    made = batch(rows, 40, 0, flat=flat)
    assert made["input_ids"].shape[0] == (1 if flat else len(packed([len(row.tokens) for row in rows], 40)))
    with torch.no_grad():
        found = loaded(input_ids=made["input_ids"], position_ids=made["position_ids"], use_cache=False).logits
        for row in rows:
            alone = loaded(input_ids=torch.tensor([row.tokens])).logits[0]
            starts = (made["position_ids"] == 0).nonzero().tolist()
            fits = [
                found[r, t : t + len(row.tokens)]
                for r, t in starts
                if made["input_ids"][r, t : t + len(row.tokens)].tolist() == list(row.tokens)
            ]
            assert fits
            for one in fits:
                torch.testing.assert_close(one, alone, atol=1e-5, rtol=0)


def test_a_model_that_sees_across_examples_is_refused(model: str) -> None:
    loaded, _, rows = rows_of(model)
    check_apart(loaded, rows, 0)
    forward = loaded.forward
    loaded.forward = lambda input_ids, **_: forward(  # as an architecture without positions would
        input_ids=input_ids, attention_mask=torch.ones_like(input_ids)
    )
    with pytest.raises(InputError, match="examples in one row see each other"):
        check_apart(loaded, rows, 0)


def gradient(model: str, tmp_path: Path, settings: dict[str, int]) -> torch.Tensor:
    """The gradient of one step as the trainer has it, over all its passes."""
    import transformers
    import trl

    from palaestra.learn import trainer as learning

    loaded, tokenizer, rows = rows_of(model)
    steps = Steps(rows, range(len(rows)), len(rows), parts=settings["parts"], room=settings["room"])
    args = learning.arguments(
        trl.SFTConfig, tmp_path, batch=1, epochs=1, steps=1, learning_rate=1e-3, save_every=5, seed=0, dtype="float32",
        gradient_accumulation_steps=settings["parts"], gradient_checkpointing=False, max_length=None, max_grad_norm=0.0,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    found: list[torch.Tensor] = []

    class Keeping(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, model: Any = None, **_more: Any) -> None:
            found.append(torch.cat([weight.grad.flatten().clone() for weight in model.parameters()]))

    trainer = sft_trainer(loaded, tokenizer, args, steps, Watch((), 1, lambda **_: None))
    trainer.add_callback(Keeping())
    trainer.train()
    return found[0]


def test_neither_packing_nor_parts_change_the_gradient(model: str, tmp_path: Path) -> None:
    loaded, _, rows = rows_of(model)
    total = sum(row.count for row in rows)
    for row in rows:  # by hand: the sum over learnt tokens, over their number in the whole step
        ids = torch.tensor([row.tokens])
        labels = torch.where(torch.tensor([row.learnt]), ids, -100)
        said = loaded(input_ids=ids).logits[0, :-1]
        (torch.nn.functional.cross_entropy(said, labels[0, 1:], reduction="sum") / total).backward()
    expected = torch.cat([weight.grad.flatten() for weight in loaded.parameters()])
    for settings in ({"parts": parts, "room": room} for parts, room in ((1, 0), (1, 64), (2, 64), (4, 24), (40, 64))):
        found = gradient(model, tmp_path / f"{settings}", settings)
        torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-4)


def test_a_step_has_every_example_once_whatever_the_parts(model: str) -> None:
    _, _, rows = rows_of(model)
    for parts, world in ((1, 1), (2, 2), (3, 1)):
        steps = Steps(rows, [0, 3, 5, 1, 7, 2, 4], 5, parts=parts, world=world, room=64)
        assert steps.count == 2
        assert steps.items == 2 * parts * world
        for step, members in enumerate(([0, 3, 5, 1, 7], [2, 4])):
            passes = [steps(step * parts * world + part) for part in range(parts * world)]
            learnt = sum(int((made["labels"] != -100).sum()) for made in passes)
            assert learnt == sum(rows[place].count for place in members)


def right(folder: Path, examples: list[Example]) -> dict[str, float]:
    def is_right(_prompts: object, replies: Any, references: Any, _domains: object) -> list[float]:
        return [float(known == said.strip()) for known, said in zip(references, replies, strict=True)]

    return by_domain(answers(*load_trainable(str(folder)), examples, is_right, Sampling(6, temperature=0.0)))


@pytest.mark.parametrize(
    "settings",
    [
        {"mixture": {"copy": 1, "turn": 2}, "held_out": 0.1, "steps": 300, "batch": 32, "epoch_cap": 120},
        {"lora_rank": 16, "learning_rate": 1e-2, "parts": 2, "gradient_checkpointing": True},
    ],
    ids=["whole", "lora"],
)
def test_a_model_learns_what_the_examples_show(settings: dict[str, Any], model: str, tmp_path: Path) -> None:
    noted: list[dict[str, float]] = []
    how = config(model, **({"steps": 200, "check_every": 100, "epoch_cap": 60} | settings))
    found = train_sft(
        EXAMPLES, how, tmp_path / "out", work=tmp_path / "work", measure=lambda **values: noted.append(values)
    )
    taught, held = parted(EXAMPLES, how.held_out, how.seed)
    assert {example.domain for example in held} == {"copy", "turn"}
    assert found.steps == how.steps
    assert found.examples == how.steps * how.batch
    assert found.learnt == found.examples * 4  # three letters and the end
    written, tokenizer = load_trainable(str(tmp_path / "out"))
    again = domain_losses(written, tokenized(tokenizer, held, max_tokens=32).rows, 0)
    for name in ("copy", "turn"):
        assert found.after[name].value < 0.9 * found.before[name].value
        assert again[name].value == pytest.approx(found.after[name].value, abs=1e-4)
    if how.lora_rank is None:
        assert min(right(tmp_path / "out", taught).values()) > 0.8
    looks = [values["step"] for values in noted if "held_out_loss/turn" in values]
    assert looks == sorted({*range(0, how.steps, 100), how.steps})
    losses = [values["loss"] for values in noted if "loss" in values]
    assert found.loss == pytest.approx(sum(losses) / len(losses))
    assert losses[0] == pytest.approx(3.8, abs=0.5)  # the logarithm of the vocabulary: a mean over tokens
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| turn | " in card
    if how.mixture:
        assert found.shares[1].share == pytest.approx(2 / 3, abs=1e-3)
        assert "66.7%" in card


def test_the_loss_of_held_out_examples_is_a_mean_over_tokens(model: str) -> None:
    loaded, _, rows = rows_of(model)
    found = example_losses(loaded, rows, 0)
    for row, one in zip(rows, found, strict=True):
        with torch.no_grad():
            logs = torch.log_softmax(logits(loaded, [row], 0)[0], dim=-1)
        by_hand = -sum(float(logs[t - 1, row.tokens[t]]) for t in range(len(row.tokens)) if row.learnt[t])
        assert one == pytest.approx(by_hand, abs=1e-4)
    whole = domain_losses(loaded, rows, 0)["all"]
    assert whole.value == pytest.approx(found.sum() / sum(row.count for row in rows))
    assert whole.lower is not None
    assert whole.upper is not None
    assert whole.lower < whole.value < whole.upper


def test_held_out_prompts_are_not_learnt_from() -> None:
    twice = [*EXAMPLES, *(e.model_copy(update={"id": f"{e.id}-again"}) for e in EXAMPLES)]
    taught, held = parted(twice, 0.1, 0)
    assert not {(e.domain, e.asked) for e in taught} & {(e.domain, e.asked) for e in held}
    assert sum(e.domain == "turn" for e in held) == 2 * 6
    assert parted(twice, 0.0, 0)[1] == []
    assert parted(twice[::-1], 0.1, 0)[1] == held[::-1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mixture": {"sums": 1.0}}, "found the domain 'sums' in the mixture"),
        ({"epoch_cap": 1}, "found 480 examples to draw, expected at most"),
        ({"max_tokens": 3}, "no example of at most 3 tokens"),
    ],
)
def test_what_cannot_be_learnt_is_refused(settings: dict[str, Any], said: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        train_sft(EXAMPLES, config(model, **settings), tmp_path / "out", work=tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_without_steps_the_first_domain_s_cap_ends_it(model: str, tmp_path: Path) -> None:
    found = train_sft(
        EXAMPLES, config(model, steps=None, epoch_cap={"turn": 2}, held_out=0.0), tmp_path / "out",
        work=tmp_path / "work",
    )  # fmt: skip
    copy, turn = found.shares
    assert (turn.drawn, turn.most, turn.ended) == (128, 2, True)
    assert copy.drawn == pytest.approx(256, abs=2)
    assert found.before == {}


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_trainable(model)
    monkeypatch.setattr("palaestra.posttrain.sft.load_trainable", lambda *_, **__: loaded)

    def measure(**values: float) -> None:
        if "loss" in values and values["step"] == 12:
            for weights in loaded[0].parameters():
                weights.data.fill_(torch.nan)

    how = config(model, save_every=5, learning_rate=1e-3)
    with pytest.raises(InputError, match=r"found a loss that is no number after step 12.*checkpoint-10"):
        train_sft(EXAMPLES, how, tmp_path / "out", work=tmp_path / "work", measure=measure)
    kept, _ = load_trainable(str(tmp_path / "work" / "checkpoint-10"))
    assert all(weight.isfinite().all() for weight in kept.parameters())
    assert not (tmp_path / "out").exists()


SCRIPT = """
import json, sys
from pathlib import Path
from palaestra.posttrain.examples import read_examples
from palaestra.posttrain.sft import SftConfig, train_sft
said = json.loads(Path(sys.argv[1]).read_text())
train_sft(read_examples(said["examples"]).examples, SftConfig.model_validate(said["config"]), Path(said["out"]),
          work=Path(said["work"]))
"""


def start(folder: Path, how: SftConfig) -> subprocess.Popen[bytes]:
    """A fine-tuning in a process of its own."""
    folder.mkdir(exist_ok=True)
    write_examples(folder / "examples.jsonl", EXAMPLES)
    (folder / "run.py").write_text(SCRIPT)
    said = {
        "config": how.model_dump(mode="json"), "examples": str(folder / "examples.jsonl"), "out": str(folder / "out"),
        "work": str(folder / "work"),
    }  # fmt: skip
    (folder / "said.json").write_text(json.dumps(said))
    return subprocess.Popen(
        [sys.executable, str(folder / "run.py"), str(folder / "said.json")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=(folder / "log").open("ab"),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("rank", [None, 4])
def test_killed_and_gone_on_with_the_bytes_are_the_same(rank: int | None, model: str, tmp_path: Path) -> None:
    how = config(model, steps=60, save_every=10, check_every=7, parts=2, lora_rank=rank)
    assert start(tmp_path / "whole", how).wait() == 0
    killed = start(tmp_path / "killed", how)
    while not (tmp_path / "killed" / "work" / "checkpoint-20" / "whole").is_file():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "out").exists()
    assert start(tmp_path / "killed", how).wait() == 0
    one, other = ((tmp_path / name / "out" / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert one == other


LAUNCH = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no")  # fmt: skip


def command(model: str, folder: Path, *more: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`palaestra train sft`, in one process or several."""
    folder.mkdir(exist_ok=True)
    write_examples(folder / "examples.jsonl", EXAMPLES)
    return subprocess.run(
        [sys.executable, *launcher, "-m", "palaestra", "train", "sft", model, str(folder / "examples.jsonl"), "--out",
         str(folder / "run"), "--batch", "16", "--learning-rate", "1e-3", "--pack-to", "64", "--max-tokens", "32",
         "--held-out", "0.1", *more],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_in_two_processes_learns_what_it_does_in_one(model: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    more = ("--steps", "1", "--mixture", "copy=2,turn=1", "--epoch-cap", "copy=4,turn=9", "--json", "-")
    one = command(model, tmp_path / "one", *more)
    assert (one.returncode, one.stderr) == (0, f"The model is in {tmp_path / 'one' / 'run' / 'model'}\n")
    two = command(model, tmp_path / "two", *more, launcher=LAUNCH)
    assert two.returncode == 0, two.stderr[-3000:]
    said, other = (json.loads(done.stdout) for done in (one, two))
    assert said["schema"] == "palaestra.sft/1"
    assert [share["drawn"] for share in said["shares"]] == [11, 5]
    assert other["loss"] == pytest.approx(said["loss"], abs=1e-5)
    start, before, after = (
        load_file(folder / "model.safetensors")
        for folder in (Path(model), tmp_path / "one" / "run" / "model", tmp_path / "two" / "run" / "model")
    )
    assert any((before[name] - start[name]).abs().max() > 1e-4 for name in before)
    for name, weights in before.items():
        torch.testing.assert_close(after[name], weights, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_the_command_leaves_a_run_and_refuses_a_second_one(model: str, tmp_path: Path) -> None:
    assert command(model, tmp_path, "--steps", "3").returncode == 0
    run = tmp_path / "run"
    assert {"run.json", "metrics.jsonl", "samples.jsonl", "card.md", "model"} <= {path.name for path in run.iterdir()}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "held_out_loss/turn" in line] == [0, 3]
    assert (run / "card.md").read_text().startswith("# run\n")
    assert "| copy | 115 |" in (run / "card.md").read_text()
    weights = (run / "model" / "model.safetensors").read_bytes()
    again = command(model, tmp_path, "--steps", "3")
    assert (again.returncode, "give --resume" in again.stderr) == (2, True)
    assert command(model, tmp_path, "--steps", "3", "--resume").returncode == 0
    assert (run / "model" / "model.safetensors").read_bytes() == weights
    wrong = command(model, tmp_path, "--steps", "3", "--mixture", "copy", "--overwrite")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --mixture: found 'copy', expected name=number, with commas between\n",
    )


@pytest.mark.slow
@pytest.mark.real_models
def test_two_steps_of_a_pretrained_model(tmp_path: Path) -> None:
    examples = [
        Example.of(f"Write {word} backwards.", word[::-1], domain="turn", id=word)
        for word in ("stone", "river", "glass", "candle", "window", "garden", "paper", "silver")
    ]
    how = SftConfig(
        model="gguf:smollm2", steps=2, batch=4, lora_rank=8, learning_rate=1e-3, held_out=0.25, pack_to=256,
    )  # fmt: skip
    found = train_sft(examples, how, tmp_path / "out", work=tmp_path / "work")
    assert found.steps == 2
    assert found.after["turn"].value < found.before["turn"].value
    loaded, tokenizer = load_trainable(str(tmp_path / "out"))
    assert tokenizer.chat_template
    assert loaded.config.num_hidden_layers == 30


def test_a_model_with_turns_learns_replies_alone(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<e>\n{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
    )
    folder = chat_model(tmp_path / "chat", template)
    examples = [
        Example.model_validate(
            {"id": word, "prompt": [{"role": "system", "content": "Be short."}, {"role": "user", "content": word}],
             "completion": [{"role": "assistant", "content": "yes"}, {"role": "tool", "content": word},
                            {"role": "assistant", "content": "no"}]}
        )
        for word in WORDS[:32]
    ]  # fmt: skip
    found = train_sft(
        examples, config(folder, steps=20, max_tokens=200, pack_to=400), tmp_path / "out", work=tmp_path / "work"
    )
    assert found.learnt == 20 * 16 * len("yes.no.")
    assert found.after["all"].value < found.before["all"].value / 2
