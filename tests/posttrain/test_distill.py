"""Distillation from many teachers, on models of a few thousand weights that have learnt small things."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from small_language_model import small_model

from palaestra.errors import InputError
from palaestra.learn.backbone import load_tokenizer, prompt_tokens
from palaestra.learn.generation import Sampling, sample
from palaestra.learn.language_model import load_trainable
from palaestra.posttrain.answering import answers, by_domain
from palaestra.posttrain.distill import DistillConfig, distill
from palaestra.posttrain.distill_trainer import Aim
from palaestra.posttrain.examples import Example
from palaestra.posttrain.rollouts import Prompt, Rollouts
from palaestra.posttrain.teachers import Folders, Told, log_probabilities

WORDS = [a + b for a in "abcdefgh" for b in "abcdefgh"]


def taught(folder: str, out: Path, pairs: Sequence[tuple[str, str]], steps: int = 150) -> str:
    """A model that has learnt these pairs by heart, by plain gradient steps."""
    model, tokenizer = load_trainable(folder)
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rows = [tokenizer(f"{asked}>{said}")["input_ids"] + [1] for asked, said in pairs]
    for _ in range(steps):
        picked = torch.tensor([rows[int(number)] for number in torch.randint(len(rows), (32,))])
        labels = picked.clone()
        labels[:, : len(pairs[0][0]) + 1] = -100
        loss = model(input_ids=picked, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return str(out)


class World:
    """Two domains, a student that knows a little of both, an expert of each."""

    def __init__(self, root: Path) -> None:
        self.pairs = {
            "copy": [(f"c{word}", word) for word in WORDS],
            "turn": [(f"t{word}", word[::-1]) for word in WORDS],
        }
        every = [pair for pairs in self.pairs.values() for pair in pairs]
        self.student = taught(small_model(root / "chance", 0), root / "student", every, steps=45)
        self.experts = {name: taught(self.student, root / name, pairs) for name, pairs in self.pairs.items()}
        self.examples = [
            Example.of(asked, domain=name, reference=said, id=f"{name}-{asked}")
            for name, pairs in self.pairs.items()
            for asked, said in pairs
        ]

    def teachers(self, **settings: Any) -> Folders:
        return Folders(self.experts, self.student, dtype="float32", **settings)

    def right(self, model: Any, tokenizer: Any) -> dict[str, float]:
        return by_domain(answers(model, tokenizer, self.examples, is_right, Sampling(4, temperature=0.0)))

    def config(self, **settings: Any) -> DistillConfig:
        return DistillConfig.model_validate(
            {"steps": 150, "batch": 32, "block": 5, "max_tokens": 4, "learning_rate": 5e-3,
             "dtype": "float32", "check_every": 50} | settings
        )  # fmt: skip


def is_right(_prompts: Any, replies: Sequence[str], references: Sequence[str | None], _domains: Any) -> list[float]:
    return [float(reference == reply.strip()) for reference, reply in zip(references, replies, strict=True)]


def by_label(examples: Sequence[Example]) -> list[Mapping[str, float]]:
    return [{example.domain: 1.0} for example in examples]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def test_one_student_learns_what_two_experts_know(world: World, tmp_path: Path) -> None:
    before = world.right(*load_trainable(world.student))
    assert max(before.values()) < 0.8
    for name, expert in world.experts.items():
        scores = world.right(*load_trainable(expert))
        assert scores[name] > 0.95
        assert min(scores.values()) < 0.5  # an expert knows its own domain alone
    noted: list[dict[str, float]] = []
    found = distill(
        world.examples, world.student, world.config(), tmp_path / "out", work=tmp_path / "work",
        teachers=world.teachers(), route=by_label, evaluate=world.right, experts=dict.fromkeys(world.experts, 1.0),
        measure=lambda **values: noted.append(values), card=lambda found: f"# {found.rows} rows\n",
    )  # fmt: skip
    after = world.right(*load_trainable(str(tmp_path / "out")))
    assert min(after.values()) > 0.9
    assert after == pytest.approx(found.held_out)
    assert (found.steps, found.rows) == (150, 150 * 32)
    assert found.tokens == sum(values.get("tokens", 0) for values in noted)
    looks = [values["step"] for values in noted if "held_out" in values]
    assert looks == [0, 50, 100]
    first, last = (next(v for v in order if "divergence/turn" in v) for order in (noted, noted[::-1]))
    assert last["divergence/turn"] < first["divergence/turn"] / 5
    assert (tmp_path / "out" / "README.md").read_text() == "# 4800 rows\n"


@pytest.mark.parametrize(
    "settings",
    [
        {"divergence": "forward"},
        {"divergence": "jensen-shannon"},
        {"divergence": "sampled", "learning_rate": 1e-3},
        {"top": 4},
        {"average": "tokens", "balance": "share", "parts": 2},
        {"lora_rank": 8, "learning_rate": 2e-2},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_every_form_moves_the_student_towards_its_teachers(
    settings: dict[str, Any], world: World, tmp_path: Path
) -> None:
    noted: list[dict[str, float]] = []
    distill(
        world.examples, world.student, world.config(steps=100, **settings), tmp_path / "out", work=tmp_path / "work",
        route=by_label, teachers=world.teachers(top=settings.get("top")),
        measure=lambda **values: noted.append(values),
    )  # fmt: skip
    apart = [v["divergence/copy"] + v["divergence/turn"] for v in noted if "tokens" in v]
    assert sum(apart[-10:]) < (0.9 if settings.get("divergence") == "sampled" else 0.7) * sum(apart[:10])
    if settings.get("divergence") != "sampled":  # whose steps are noisy
        assert min(world.right(*load_trainable(str(tmp_path / "out"))).values()) > 0.5


def test_parts_and_blocks_change_the_work_and_not_the_gradient(world: World) -> None:
    """The gradient of a step is the same in one part, in two and in four."""
    model, tokenizer = load_trainable(world.student)
    prompts = [Prompt(prompt_tokens(tokenizer, e.prompt), e.domain, {e.domain: 1.0}) for e in world.examples]
    numbers = list(range(0, len(prompts), 9))
    found = []
    for parts in (1, 2, 4):
        rollouts = Rollouts(prompts, ("copy", "turn"), world.teachers(), how=Sampling(4), ends=(1,), seed=7)
        block = rollouts.block(model, 0, [numbers], parts)
        assert sum(len(part) for part in block.parts[0]) == len(numbers)
        model.zero_grad()
        from palaestra.posttrain.divergences import balanced

        for rows in block.parts[0]:
            loss_N, _ = Aim("reverse", 0.5, "domain", 2.0).loss(log_probabilities(model, [r.row for r in rows]), rows)
            domain_N = torch.tensor([r.domain for r in rows for _ in range(r.row.length)])
            share_D = block.rows_SD[0] / block.rows_SD[0].sum()
            balanced(loss_N, domain_N, share_D, block.tokens_SD[0]).backward()
        found.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    torch.testing.assert_close(found[1], found[0], atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(found[2], found[0], atol=1e-7, rtol=1e-4)


def test_with_one_teacher_loss_and_gradient_are_those_of_trl(world: World) -> None:
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    model, tokenizer = load_trainable(world.student)
    teacher, _ = load_trainable(world.experts["turn"])
    chosen = [example for example in world.examples if example.domain == "turn"][:12]
    prompts = [Prompt(prompt_tokens(tokenizer, example.prompt), "turn", {"turn": 1.0}) for example in chosen]
    rollouts = Rollouts(prompts, ("turn",), world.teachers(), how=Sampling(4), ends=(1,), seed=1)
    rows = rollouts.block(model, 0, [list(range(12))], 1).parts[0][0]
    loss_N, _ = Aim("reverse", 0.5, "tokens", 2.0).loss(log_probabilities(model, [r.row for r in rows]), rows)
    loss_N.mean().backward()
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    length = max(one.row.length for one in rows)
    ids = torch.tensor([one.row.tokens + [0] * (length - one.row.length) for one in rows])
    mask = torch.tensor([[1] * one.row.length + [0] * (length - one.row.length) for one in rows])
    start = rows[0].row.start
    hidden = [each.model(ids).last_hidden_state[:, start - 1 : -1] for each in (model, teacher)]
    heads: list[Any] = [each.lm_head.weight for each in (model, teacher)]
    theirs, _, _ = _chunked_divergence_loss(hidden[0], hidden[1].detach(), heads[0], heads[1], mask, 1.0)
    theirs.backward()
    assert loss_N.mean().item() == pytest.approx(theirs.item(), abs=1e-6)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, atol=1e-6, rtol=1e-3)


class Counting:
    """Teachers that count how often each was asked."""

    def __init__(self, inner: Folders) -> None:
        self.inner, self.asked = inner, []

    def __getitem__(self, name: str) -> Any:
        def told(rows: Any) -> Told:
            self.asked.append((name, len(rows)))
            return self.inner[name](rows)

        return told


def test_the_sampled_form_with_a_few_tokens_told_has_the_gradient_of_the_divergence_over_those_and_the_rest() -> None:
    """In expectation over the sampled token, by enumeration: what was not told is the rest, on both sides."""
    from palaestra.posttrain.divergences import divergence, log_others, with_rest
    from palaestra.posttrain.rollouts import Judged
    from palaestra.posttrain.teachers import Row

    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 12, dtype=torch.float64, generator=generator, requires_grad=True)
    teacher = torch.log_softmax(3 * torch.randn(1, 12, dtype=torch.float64, generator=generator), -1)
    told = teacher.topk(3)
    aim = Aim("sampled", 0.5, "domain", 100.0)
    log = torch.log_softmax(logits, -1)
    exact = torch.autograd.grad(
        divergence(with_rest(log, told.indices), with_rest(teacher, told.indices)).sum(), logits, retain_graph=True
    )[0]
    found = torch.zeros_like(logits)
    for token in range(12):
        row = Judged(
            Row([0, token], 1), 0, told.values, told.indices, log_others(teacher, told.indices),
            log[:, token].detach(),
        )  # fmt: skip
        loss, _ = aim.loss(torch.log_softmax(logits, -1), [row])
        found += log[0, token].exp().detach() * torch.autograd.grad(loss.sum(), logits)[0]
    torch.testing.assert_close(found, exact, atol=1e-10, rtol=1e-8)


def test_teachers_that_tell_fewer_tokens_stand_beside_those_that_tell_more(world: World) -> None:
    model, tokenizer = load_trainable(world.student)
    shares = {"copy": {"few": 1.0}, "turn": {"more": 1.0}}
    prompts = [Prompt(prompt_tokens(tokenizer, e.prompt), e.domain, shares[e.domain]) for e in world.examples]
    few, more = (
        Folders({n: world.experts["copy"]}, world.student, top=k, dtype="float32") for n, k in (("few", 3), ("more", 5))
    )
    rollouts = Rollouts(
        prompts, ("copy", "turn"), {"few": few["few"], "more": more["more"]}, how=Sampling(4), ends=(1,)
    )
    rows = rollouts.block(model, 0, [[0, 1, 70, 71]], 1).parts[0][0]
    loss_N, _ = Aim("reverse", 0.5, "domain", 2.0).loss(log_probabilities(model, [one.row for one in rows]), rows)
    assert torch.isfinite(loss_N).all()


def test_held_out_prompts_of_a_domain_that_nobody_teaches_do_no_harm(world: World, tmp_path: Path) -> None:
    found = distill(
        world.examples, world.student, world.config(steps=4, check_every=2, block=2), tmp_path / "out",
        work=tmp_path / "work", teachers=world.teachers(), route=by_label, experts={"copy": 1.0, "elsewhere": 1.0},
        evaluate=lambda *_: {"copy": 0.1, "another": 0.2},
    )  # fmt: skip
    assert found.held_out == {"copy": 0.1, "another": 0.2}


def test_a_block_asks_each_teacher_once(world: World) -> None:
    model, tokenizer = load_trainable(world.student)
    prompts = [Prompt(prompt_tokens(tokenizer, e.prompt), e.domain, {e.domain: 1.0}) for e in world.examples]
    counting = Counting(world.teachers())
    rollouts = Rollouts(prompts, ("copy", "turn"), counting, how=Sampling(4), ends=(1,))
    rollouts.block(model, 0, [[0, 70, 3], [80, 5, 90], [64, 63]], 1)
    assert sorted(counting.asked) == [("copy", 4), ("turn", 4)]


def test_two_teachers_that_are_one_say_what_one_does(world: World) -> None:
    model, tokenizer = load_trainable(world.student)
    twins = Folders({"a": world.experts["copy"], "b": world.experts["copy"]}, world.student, dtype="float32")
    found = []
    for shares in ({"a": 1.0}, {"a": 0.4, "b": 0.6}):
        prompts = [Prompt(prompt_tokens(tokenizer, e.prompt), e.domain, shares) for e in world.examples]
        rollouts = Rollouts(prompts, ("copy", "turn"), twins, how=Sampling(4), ends=(1,), seed=3)
        found.append(rollouts.block(model, 0, [[0, 70, 3, 99]], 1).parts[0][0])
    for one, two in zip(*found, strict=True):
        assert one.row == two.row
        torch.testing.assert_close(one.logprob_TK, two.logprob_TK, atol=1e-5, rtol=1e-5)


def test_rows_follow_headroom_and_the_run_stops_when_nothing_is_left(world: World, tmp_path: Path) -> None:
    noted: list[dict[str, float]] = []
    found = distill(
        world.examples, world.student, world.config(balance="headroom", steps=400, check_every=20), tmp_path / "out",
        work=tmp_path / "work", teachers=world.teachers(), route=by_label, evaluate=world.right,
        experts={"copy": 0.95, "turn": 0.95}, measure=lambda **values: noted.append(values),
    )  # fmt: skip
    weights = [values["weight/turn"] for values in noted if "weight/turn" in values]
    assert len(set(weights)) > 1
    assert found.steps < 400
    assert found.converged == ("copy", "turn")


def test_completions_that_are_given_are_learnt_from(world: World) -> None:
    model, tokenizer = load_trainable(world.student)
    prompts = [
        Prompt(prompt_tokens(tokenizer, e.prompt), e.domain, {e.domain: 1.0}, given=[7, 8, 1]) for e in world.examples
    ]
    rollouts = Rollouts(prompts, ("copy", "turn"), world.teachers(), how=Sampling(4), ends=(1,), given=0.5)
    rows = [one for part in rollouts.block(model, 0, [list(range(128))], 1).parts[0] for one in part]
    took = [one for one in rows if one.behaviour_T is None]
    assert all(one.row.tokens[one.row.start :] == [7, 8, 1] for one in took)
    assert 40 < len(took) < 90


@pytest.mark.parametrize(
    ("settings", "route", "said"),
    [
        ({"balance": "headroom"}, by_label, "found balance headroom without held-out prompts"),
        ({}, lambda examples: [{} for _ in examples], "found no teacher for copy-caa of the domain copy"),
        ({"max_prompt": 1}, by_label, "found no prompt of at most 1 tokens"),
        ({"batch": 2, "parts": 4}, by_label, "expected at least a prompt for each part"),
        ({"divergence": "sampled", "given": 0.5}, by_label, "expected sampled ones"),
        (
            {"top": 3},
            lambda examples: [{"copy": 0.5, "turn": 0.5} for _ in examples],
            "expected one teacher a prompt, or all tokens told",
        ),
    ],
)
def test_what_cannot_be_distilled_is_refused(
    settings: dict[str, Any], route: Any, said: str, world: World, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        distill(
            world.examples, world.student, world.config(**settings), tmp_path / "out", work=tmp_path / "work",
            teachers=world.teachers(), route=route,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(world: World, tmp_path: Path) -> None:
    class Poisoned:
        calls = 0

        def __getitem__(self, name: str) -> Any:
            def told(rows: Any) -> Told:
                self.calls += 1
                found = world.teachers()[name](rows)
                return found if self.calls < 6 else Told(found.logprob_NK * torch.nan)

            return told

    with pytest.raises(InputError, match=r"found a loss that is no number after step 10.*checkpoint-10"):
        distill(
            world.examples, world.student, world.config(check_every=5), tmp_path / "out", work=tmp_path / "work",
            teachers=Poisoned(), route=by_label,
        )  # fmt: skip
    assert (tmp_path / "work" / "checkpoint-10" / "model.safetensors").is_file()
    assert not (tmp_path / "out").exists()


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_distill import by_label
from palaestra.posttrain.distill import DistillConfig, distill
from palaestra.posttrain.examples import read_examples
from palaestra.posttrain.teachers import Folders
said = json.loads(Path(sys.argv[2]).read_text())
config = DistillConfig.model_validate(said["config"])
distill(read_examples(said["examples"]).examples, said["student"], config, Path(said["out"]), work=Path(said["work"]),
        teachers=Folders(said["experts"], said["student"], dtype="float32"), route=by_label,
        card=repr)
"""


@pytest.mark.slow
def test_killed_and_gone_on_with_the_bytes_are_the_same(world: World, tmp_path: Path) -> None:
    from palaestra.posttrain.examples import write_examples

    write_examples(tmp_path / "examples.jsonl", world.examples)

    def start(name: str) -> subprocess.Popen[bytes]:
        said = {
            "config": world.config(steps=60, check_every=10).model_dump(mode="json"), "experts": world.experts,
            "student": world.student,
            "examples": str(tmp_path / "examples.jsonl"), "out": str(tmp_path / name / "out"),
            "work": str(tmp_path / name / "work"),
        }  # fmt: skip
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "said.json").write_text(json.dumps(said))
        here = str(Path(__file__).parent)
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, here, str(tmp_path / name / "said.json")],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    assert start("whole").wait() == 0
    killed = start("killed")
    while not (tmp_path / "killed" / "work" / "checkpoint-20" / "whole").is_file():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "out").exists()
    assert start("killed").wait() == 0
    for file in ("model.safetensors", "README.md"):  # the latter has the tokens of all steps
        one, other = ((tmp_path / name / "out" / file).read_bytes() for name in ("whole", "killed"))
        assert one == other


def test_sampling_is_that_of_the_seed(world: World) -> None:
    model, tokenizer = load_trainable(world.student)
    prompts = [prompt_tokens(tokenizer, example.prompt) for example in world.examples[:5]]
    one, two = (
        sample(model, prompts, Sampling(4), ends=(1,), generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert one == two
    assert load_tokenizer(world.student).decode(prompts[0]) == "caa>"
