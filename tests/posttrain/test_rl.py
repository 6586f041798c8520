"""Reinforcement on TRL: what is rewarded grows, a kill changes nothing, a bad number stops it, alarms are given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rl_jobs
from rl_jobs import EXAMPLES, config, job, letters
from tiny_llama import make_tiny_llama

from palaestra.errors import InputError
from palaestra.posttrain.hacking import Watch, repetition
from palaestra.posttrain.rl import train_rl
from palaestra.posttrain.rl_trainer import order
from palaestra.posttrain.rollout_scores import Paid

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama"))


@pytest.fixture(scope="session")
def loud(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with chances that are not all alike: low-rank changes leave the last layer alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("loud") / "llama"
    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.lm_head.weight.data *= 10
    model.save_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "more",
    [
        {"method": "grpo", "loss": "dr_grpo"},
        {"method": "grpo", "passes": 2, "rollout_steps": 2, "micro_batches": 2},
        {"method": "rloo"},
        {"method": "ppo", "passes": 2},
        {"method": "grpo", "tuning": "lora", "learning_rate": 2e-2},
    ],
    ids=["dr-grpo", "stale", "rloo", "ppo", "lora"],
)
def test_what_is_rewarded_grows(tiny: str, loud: str, tmp_path: Path, more: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    measured: list[dict[str, Any]] = []
    given = {"steps": 24, "prompts": 4, "group": 8, "learning_rate": 1e-2, "save_every": 50} | more
    settings = config(loud if "tuning" in more else tiny, **given)
    found = job(tmp_path, settings, measure=lambda **line: measured.append(line), judge=letters)
    assert found.steps == 24
    rollouts = 24 // (settings.passes * settings.rollout_steps)
    assert found.rollouts == rollouts
    whole = [line for line in measured if line.get("domain") == "all"]
    assert len(whole) == rollouts
    early, late = (np.mean([line["reward"] for line in part]) for part in (whole[:2], whole[-2:]))
    assert late > early + (0.15 if rollouts == 24 else 0.08)
    assert whole[0].keys() >= {"reward", "reward_letters", "correct", "tokens", "repetition", "cut", "judge"}
    assert whole[-1]["judge"] == whole[-1]["reward_letters"]
    assert {line["domain"] for line in measured if "domain" in line} == {"all", "odd", "even"}
    assert [line["step"] for line in measured if "loss" in line] == list(range(1, 25))
    assert any("entropy" in line for line in measured)
    assert any("kl" in line for line in measured)
    if settings.method == "ppo":
        assert any("value_loss" in line for line in measured)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    read, said = loaded
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    assert sum(weight.numel() for weight in read.parameters()) == sum(
        weight.numel() for weight in AutoModelForCausalLM.from_pretrained(tiny).parameters()
    )
    assert found.samples[0].keys() >= {"prompt", "reply", "reward", "domain", "tokens"}


@pytest.mark.parametrize("method", ["grpo", "ppo"])
def test_a_killed_run_goes_on_to_the_same_bytes(tiny: str, tmp_path: Path, method: str) -> None:
    lengths = {"form": "constrained", "budget": 3, "rate": 0.5}
    settings = config(tiny, method=method, passes=2, rollout_steps=1, steps=12, lengths=lengths)
    whole = job(tmp_path / "whole", settings)
    again = tmp_path / "killed"
    started = subprocess.Popen(
        [sys.executable, rl_jobs.__file__, str(again), settings.model_dump_json()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    end = time.monotonic() + 300
    while not (again / "work" / "checkpoint-4" / "whole").exists() and time.monotonic() < end:
        assert started.poll() is None
        time.sleep(0.002)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not (again / "model").exists()
    resumed = job(again, settings)
    assert (tmp_path / "whole" / "model" / "model.safetensors").read_bytes() == (
        again / "model" / "model.safetensors"
    ).read_bytes()
    assert (resumed.first, resumed.last, resumed.alarms) == (whole.first, whole.last, whole.alarms)
    other = job(tmp_path / "other", settings.model_copy(update={"seed": 1}))
    assert other.last != whole.last


def test_a_number_that_is_none_stops_it_and_the_last_good_checkpoint_stays(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def broken(prompts: Any, replies: Any, references: Any, domains: Any) -> list[float]:
        nonlocal asked
        asked += 1
        good = letters(prompts, replies, references, domains)
        return good if asked < 4 else [float("nan"), *good[1:]]

    with pytest.raises(InputError, match="broken: found the reward nan for"):
        train_rl(
            EXAMPLES,
            config(tiny),
            tmp_path / "a" / "model",
            rewards=[Paid("broken", broken)],
            work=tmp_path / "a" / "work",
        )
    assert (tmp_path / "a" / "work" / "checkpoint-2" / "whole").exists()
    with pytest.raises(InputError, match=r"that is no number after step \d+"):
        job(tmp_path / "b", config(tiny, learning_rate=1e30, save_every=1))
    assert not (tmp_path / "b" / "model").exists()
    theirs, calls = trl.GRPOTrainer._compute_loss, iter(range(100))
    monkeypatch.setattr(
        trl.GRPOTrainer, "_compute_loss", lambda *given: theirs(*given) * (float("nan") if next(calls) == 2 else 1.0)
    )
    with pytest.raises(InputError, match=r"found a loss .* after step 2, .*checkpoint-2; train with a lower"):
        job(tmp_path / "c", config(tiny, save_every=1))
    kept = sorted(path.parent.name for path in (tmp_path / "c" / "work").glob("*/whole"))
    assert kept == ["checkpoint-1", "checkpoint-2"]


def test_bad_input_is_said_before_anything_is_trained(tiny: str, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"micro_batches": 3}, "parts of one size"),
        ({"method": "ppo", "tuning": "lora"}, "found ppo with lora"),
        ({"lengths": {"form": "budget"}}, "without a budget"),
        ({"trl": {"no_such_setting": 1}}, "TRL refuses these settings"),
        ({"model": str(tmp_path / "nowhere")}, "expected gguf:smollm2 or a folder"),
    ]
    for more, words in cases:
        with pytest.raises(InputError, match=words):
            job(tmp_path, config(tiny, **more))
    with pytest.raises(InputError, match="names that differ"):
        train_rl(
            EXAMPLES, config(tiny), tmp_path / "m", rewards=[Paid("a", letters), Paid("a", letters)], work=tmp_path
        )
    with pytest.raises(InputError, match="expected one for each of 8"):
        train_rl(EXAMPLES, config(tiny), tmp_path / "m", rewards=[Paid("a", lambda *_: [1.0])], work=tmp_path / "w")
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="there already"):
        job(tmp_path, config(tiny))
    with pytest.raises(InputError, match="with a weight above 0"):
        order([0.0, 0.0], 3, 0)


def test_the_order_shows_each_once_before_any_twice_or_follows_the_weights() -> None:
    for seed in range(3):
        found = order([1.0] * 5, 12, seed)
        assert sorted(found[:5]) == sorted(found[5:10]) == list(range(5))
    assert order([1.0] * 5, 12, 0) != order([1.0] * 5, 12, 1)
    drawn = np.bincount(order([3.0, 1.0, 0.0], 4000, 0), minlength=3) / 4000
    assert drawn == pytest.approx([0.75, 0.25, 0.0], abs=0.03)


def _history(reward: float, judge: float, repeated: float = 0.0) -> list[list[str]]:
    rng, watch = np.random.default_rng(0), Watch(window=10)
    return [
        watch.look(
            {
                "reward": reward * place + rng.normal(0, 0.02),
                "judge": judge * place + rng.normal(0, 0.02),
                "tokens": 10.0,
                "repetition": repeated * place,
            }
        )
        for place in range(40)
    ]


def test_a_fooled_reward_is_told_once_in_words_and_an_honest_one_never() -> None:
    said = [words for step in _history(0.01, -0.01) for words in step]
    assert len(said) == 1
    assert "while the held-out judge fell" in said[0]
    assert not [words for step in _history(0.01, 0.01) for words in step]
    assert not [words for step in _history(0.0, 0.0) for words in step]
    repeating = [words for step in _history(0.0, 0.0, 0.01) for words in step]
    assert len(repeating) == 1
    assert "repeat themselves" in repeating[0]
    without = Watch(window=2)
    assert [without.look({"reward": float(n), "tokens": 1.0, "repetition": 0.0}) for n in range(6)] == [[]] * 6
    again = Watch(window=2)
    again.restore(without.state())
    assert again.history == without.history


def test_a_fooled_reward_is_told_while_it_is_optimised(tiny: str, tmp_path: Path) -> None:
    """The judge likes what the reward takes away."""
    said: list[str] = []
    settings = config(tiny, steps=24, prompts=4, group=8, learning_rate=1e-2, watch=4)
    found = job(tmp_path, settings, judge=lambda *given: [1 - each for each in letters(*given)], warn=said.append)
    assert len(said) == 1
    assert found.alarms == tuple(said)
    assert "Alarm" in (tmp_path / "model" / "card.md").read_text()


def test_repetition_is_a_share_of_pieces() -> None:
    assert repetition("one two three four five") == 0.0
    assert repetition("a b c a b c a b c") == pytest.approx(4 / 7)
    assert repetition("aaaaaa") == pytest.approx(3 / 4)
    assert repetition("") == repetition("a") == 0.0
