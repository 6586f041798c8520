"""Backbones as rewards: TRL's loss to the last digit, a separable set is learnt, kills and bad data do no harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_llama import make_tiny_llama

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.rewards.backbone_model import BackboneReward
from palaestra.rewards.backbone_rows import rows_of, tie_strength
from palaestra.rewards.backbone_train import BackboneConfig, Loss, train_backbone
from palaestra.rewards.perplexity import PerplexityReward
from palaestra.schema import Message, Preference

torch = pytest.importorskip("torch")
pytest.importorskip("trl")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama"))


def _preferences(count: int, ranks: tuple[int, ...] = (2, 1)) -> list[Preference]:
    """Replies of plus signs are better than those of minus signs; a third is in between."""
    replies = ("no ---", "yes +++", "so +-+")[: len(ranks)]
    return [
        Preference(id=str(number), prompt=(Message.of("user", f"question {number}"),), replies=replies, ranks=ranks)
        for number in range(count)
    ]


def _config(tiny: str, **more: Any) -> BackboneConfig:
    values = {"backbone": tiny, "method": "full", "learning_rate": 3e-3, "steps": 12, "max_tokens": 64}
    return BackboneConfig.model_validate(values | more)


@pytest.mark.parametrize(
    ("loss", "ranks"), [("bradley-terry", (2, 1)), ("plackett-luce", (3, 1, 2)), ("pairwise", (2, 1, 2))]
)
def test_a_separable_set_is_learnt_and_read_again(
    tiny: str, tmp_path: Path, loss: Loss, ranks: tuple[int, ...]
) -> None:
    measured: list[dict[str, float]] = []
    found = train_backbone(
        _preferences(60, ranks),
        _config(tiny, loss=loss),
        tmp_path / "reward",
        work=tmp_path / "work",
        measure=lambda **values: measured.append(values),
    )
    assert found.held is not None
    assert found.held.accuracy == 1.0
    assert found.comparisons + found.held.prompts == 60
    assert [each["step"] for each in measured] == list(range(1, 13))
    assert measured[-1]["loss"] < measured[0]["loss"]
    reward = BackboneReward(tmp_path / "reward")
    prompt = (Message.of("user", "another question"),)
    assert reward.trained_on is not None
    assert len(reward.trained_on) == found.comparisons
    scores = reward.score([prompt] * 3, ["no ---", "yes +++", "yes +++"])
    assert scores[1] > scores[0]
    assert scores[1] == pytest.approx(scores[2], abs=1e-5)
    assert "held-out prompts: 100.0%" in (tmp_path / "reward" / "card.md").read_text()
    assert {file.name for file in tmp_path.iterdir()} == {"reward", "work"}


@pytest.mark.parametrize("loss", ["rao-kupper", "davidson"])
def test_ties_and_lora_are_learnt_too(tiny: str, tmp_path: Path, loss: Loss) -> None:
    ties = [each.model_copy(update={"id": f"t{each.id}", "ranks": (1, 1)}) for each in _preferences(20)]
    config = _config(tiny, loss=loss, method="lora", lora_rank=4, learning_rate=1e-2)
    found = train_backbone([*_preferences(40), *ties], config, tmp_path / "reward", work=tmp_path / "work")
    assert found.held is not None
    assert (found.held.accuracy, found.left_out) == (1.0, 0)
    assert BackboneReward(tmp_path / "reward").about["config"]["loss"] == loss


def test_our_bradley_terry_is_trls_on_the_same_tensors(tiny: str, tmp_path: Path) -> None:
    import trl
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from palaestra.rewards.losses import bradley_terry

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32)
    rows = [{"chosen_ids": [5, 6, 7, 1], "rejected_ids": [8, 9, 1], "margin": 0.5}] * 2
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path), center_rewards_coefficient=0.07, report_to="none", bf16=False, use_cpu=True
    )
    trainer = trl.RewardTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    generator = torch.Generator().manual_seed(2)
    inputs = {
        "input_ids": torch.randint(3, 90, (12, 9), generator=generator),
        "attention_mask": torch.ones(12, 9, dtype=torch.long),
    }
    margin = torch.rand(6, generator=generator)
    model.train()
    theirs = trainer.compute_loss(model, {**inputs, "margin": margin})
    their_gradient = torch.autograd.grad(theirs, model.score.weight)[0]
    chosen, rejected = model(**inputs, use_cache=False).logits.squeeze(-1).chunk(2)
    ours = bradley_terry(chosen, rejected, margin_B=margin, centring=0.07)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert torch.autograd.grad(ours, model.score.weight)[0] == pytest.approx(their_gradient, abs=1e-6)


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(tiny: str, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(**values: float) -> None:
        if values["step"] == 8:
            raise Killed

    config = _config(tiny, save_every=3)
    train_backbone(_preferences(60), config, tmp_path / "whole", work=tmp_path / "a")
    with pytest.raises(Killed):
        train_backbone(_preferences(60), config, tmp_path / "again", work=tmp_path / "b", measure=kill)
    assert not (tmp_path / "again").exists()
    (tmp_path / "b" / "checkpoint-7").mkdir()  # as a kill in the middle of writing leaves it
    steps: list[float] = []
    train_backbone(
        _preferences(60),
        config,
        tmp_path / "again",
        work=tmp_path / "b",
        measure=lambda **values: steps.append(values["step"]),
    )
    assert steps[0] == 7
    prompt = (Message.of("user", "what?"),)
    scores = [BackboneReward(tmp_path / name).score([prompt], ["yes"]) for name in ("whole", "again")]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


@pytest.mark.slow
def test_a_training_that_was_killed_outright_goes_on_to_the_same_folder(tiny: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import test_backbone as t\n"
        "tiny, place = sys.argv[1:]; config = t._config(tiny, save_every=2, steps=20)\n"
        "t.train_backbone(t._preferences(60), config, Path(place) / 'model', work=Path(place) / 'work')"
    )
    (tmp_path / "killed").mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    started = subprocess.Popen(
        [sys.executable, "-c", code, tiny, str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": path},
    )
    work, end = tmp_path / "killed" / "work", time.monotonic() + 300
    while not [*work.glob("checkpoint-*/whole")] and time.monotonic() < end and started.poll() is None:
        time.sleep(0.002)
    os.kill(started.pid, signal.SIGKILL)
    said, _ = started.communicate()
    assert started.returncode == -signal.SIGKILL, said
    assert not (tmp_path / "killed" / "model").exists()
    config = _config(tiny, save_every=2, steps=20)
    for name in ("killed", "whole"):
        place = tmp_path / name
        train_backbone(_preferences(60), config, place / "model", work=place / "work")
    files = sorted(path.name for path in (tmp_path / "whole" / "model").iterdir())
    assert {"card.md", "model.safetensors", "palaestra.json"} <= set(files)
    for file in files:
        one, two = ((tmp_path / name / "model" / file).read_bytes() for name in ("killed", "whole"))
        assert one == two, file


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_the_command_trains_a_language_model(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    pairs = [{"prompt": f"question {number}", "chosen": "yes +++", "rejected": "no ---"} for number in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    words = [
        "reward", "train", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "run"), "--mode", mode,
        "--features", tiny, "--steps", "4", "--learning-rate", "3e-3",
    ]  # fmt: skip
    assert run([*words, "--json", "-"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["schema"], found["steps"]) == ("palaestra.reward-backbone/1", 4)
    assert said.err == ""
    assert f"trained ({mode}) by the bradley-terry loss" in (tmp_path / "run" / "model" / "card.md").read_text()
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 4
    assert BackboneReward(tmp_path / "run" / "model").about["config"]["method"] == mode
    assert run(words) == 2
    assert "give --resume to go on" in capsys.readouterr().err
    assert run([*words, "--html", "page.html", "--overwrite"]) == 2
    assert "only a head has them" in capsys.readouterr().err


def test_margins_are_asked_for_only_where_that_is_said(tiny: str, tmp_path: Path) -> None:
    wide = [each.model_copy(update={"margin": 3.0}) for each in _preferences(40)]
    losses = [
        train_backbone(
            wide, _config(tiny, steps=1, margins=margins), tmp_path / name, work=tmp_path / f"{name}-work"
        ).loss
        for name, margins in (("plain", False), ("margins", True))
    ]
    assert losses[0] < 1.5 < losses[1]
    with pytest.raises(InputError, match="found margins with the loss davidson"):
        train_backbone(wide, _config(tiny, loss="davidson", margins=True), tmp_path / "no", work=tmp_path / "no-work")


def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(tiny: str, tmp_path: Path) -> None:
    broken = [each.model_copy(update={"margin": 1.0}) for each in _preferences(40)]
    config = _config(tiny, learning_rate=1e30, save_every=1, margins=True)
    with pytest.raises(InputError, match=r"no number after step \d+.*(last good checkpoint|no checkpoint)"):
        train_backbone(broken, config, tmp_path / "reward", work=tmp_path / "work")
    assert not (tmp_path / "reward").exists()


def test_data_that_teach_nothing_are_refused() -> None:
    ties = [each.model_copy(update={"ranks": (1, 1)}) for each in _preferences(5)]
    same = [each.model_copy(update={"replies": ("a", "a")}) for each in _preferences(5)]
    with pytest.raises(InputError, match="found 5 preferences, all level"):
        rows_of(ties, "davidson", share=0.1, seed=0)
    with pytest.raises(InputError, match="between equal replies"):
        rows_of(same, "bradley-terry", share=0.1, seed=0)
    with pytest.raises(InputError, match="found 3 replies, expected two for the rao-kupper loss"):
        rows_of(_preferences(5, (1, 2, 3)), "rao-kupper", share=0.1, seed=0)
    with pytest.raises(InputError, match="found no level pair"):
        tie_strength(_preferences(5), "davidson")


def test_level_pairs_are_counted_where_the_loss_cannot_take_them_and_prompts_stay_together() -> None:
    ties = [each.model_copy(update={"id": f"t{each.id}", "ranks": (1, 1)}) for each in _preferences(50)]
    rows = rows_of([*_preferences(50), *ties], "bradley-terry", share=0.3, seed=1)
    assert rows.left_out == 50
    rows = rows_of([*_preferences(50), *ties], "pairwise", share=0.3, seed=1)
    assert not {row.preference.text for row in rows.train} & {row.preference.text for row in rows.held}
    assert 5 < len(rows.held) / 2 < 25


def test_the_tie_strength_makes_equal_replies_level_as_often_as_pairs_are() -> None:
    from palaestra.rewards.losses import davidson, rao_kupper

    preferences = [
        each.model_copy(update={"ranks": (1, 1)}) if int(each.id) % 4 == 0 else each for each in _preferences(40)
    ]
    nought, level = torch.zeros(1).double(), torch.tensor([2])
    for name, loss in (("rao-kupper", rao_kupper), ("davidson", davidson)):
        chance = torch.exp(-loss(nought, nought, level, tie_strength(preferences, name)))
        assert chance.item() == pytest.approx(0.25, rel=1e-9)


def test_cut_weights_and_other_folders_are_refused(tiny: str, tmp_path: Path) -> None:
    train_backbone(_preferences(30), _config(tiny, steps=1), tmp_path / "reward", work=tmp_path / "work")
    with pytest.raises(InputError, match="there already"):
        train_backbone(_preferences(30), _config(tiny, steps=1), tmp_path / "reward", work=tmp_path / "work")
    weights = tmp_path / "reward" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(InputError, match="cut short or changed"):
        BackboneReward(tmp_path / "reward")
    with pytest.raises(InputError, match="cannot read"):
        BackboneReward(tiny)
    (tmp_path / "reward" / "palaestra.json").write_text(json.dumps({"palaestra_kind": "p2l-head"}))
    with pytest.raises(InputError, match="found another model"):
        BackboneReward(tmp_path / "reward")


def test_perplexity_is_the_mean_log_likelihood_of_the_replys_tokens(tiny: str) -> None:
    from palaestra.learn.backbone import conversation_text, encode, load_backbone

    prompts = [(Message.of("user", "hello"),), (Message.of("user", "a longer question?"),)]
    replies = ["yes", "not at all, never"]
    found = PerplexityReward(tiny, dtype="float32").score(prompts, replies)
    loaded = load_backbone(tiny)
    for prompt, reply, score in zip(prompts, replies, found, strict=True):
        tokens, start = encode(loaded.tokenizer, conversation_text(loaded.tokenizer, prompt, reply), 512)
        labels = torch.tensor([[-100] * start + tokens[start:]])
        loss = loaded.model(input_ids=torch.tensor([tokens]), labels=labels).loss.item()
        assert score == pytest.approx(-loss, abs=1e-5)
        assert len(tokens) - start == len(reply) + 1
