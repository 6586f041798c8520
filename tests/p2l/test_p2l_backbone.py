"""Language models trained with a head on votes: what they learn, that losses and states are the product's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_worlds import ordered
from tiny_llama import make_tiny_llama

from palaestra.errors import InputError
from palaestra.learn.backbone import load_backbone, load_tokenizer
from palaestra.p2l.backbone import Own, check_parts, only, set_aside, train_backbone
from palaestra.p2l.backbone_steps import _states, batch_loss, collated, passes, rows_of
from palaestra.p2l.config import TrainConfig, TuneConfig
from palaestra.p2l.evaluate import evaluate
from palaestra.p2l.fitting import Weights, _loss, by_prompt
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.model import Kind
from palaestra.p2l.train import train_on
from palaestra.p2l.tuned import PromptStates, Tuned

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

KINDS: tuple[Kind, ...] = ("bradley-terry", "rao-kupper", "grounded")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama"))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "rate", "kind"), [("lora", 1e-2, "bradley-terry"), ("full", 3e-3, "grounded")])
def test_training_foretells_new_prompts_better_than_the_same_model_frozen(
    tiny: str, tmp_path: Path, mode: Literal["lora", "full"], rate: float, kind: Kind
) -> None:
    seen, new = ordered(300, 1500, kind), ordered(120, 800, kind, seed=1)
    tuning = TuneConfig(mode=mode, backbone=tiny, learning_rate=rate, epochs=10, batch=16, max_tokens=32)
    measured: list[float] = []
    head = train_backbone(
        seen, TrainConfig(members=2), tuning, work=tmp_path, measure=lambda **values: measured.append(values["loss"])
    )
    assert head.tuned is not None
    assert head.tuned.about["own_log_loss"] < head.tuned.about["frozen_log_loss"] - 0.02
    assert np.mean(measured[-10:]) < np.mean(measured[:10]) - 0.05
    untrained = PromptStates(Tuned.of(Path(tiny), tuning, {}))
    frozen = train_on(seen, untrained(seen.prompts), TrainConfig(members=0))
    boards = HeadBoards(head)
    found = evaluate(head, new, boards.featurizer(new.prompts))
    still = evaluate(frozen, new, untrained(new.prompts))
    print(mode, kind, found.methods[0].log_loss, still.methods[0].log_loss, found.head_against["plain"])
    assert found.methods[0].log_loss.value < still.methods[0].log_loss.value - 0.02
    gain = found.head_against["plain"].lower
    assert gain is not None
    assert gain > 0
    assert (head.kind, len(head.members), head.counts_OMM.sum()) == (kind, 2, 1500)
    assert head.report["votes"] == 1500


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_batch_and_its_slope_are_those_of_the_compiled_likelihood(tiny: str, kind: Kind) -> None:
    votes = by_prompt(ordered(40, 300, kind))
    votes = replace(votes, weight_B=np.random.default_rng(0).uniform(0.5, 2, 300))
    rows = [row for row in rows_of(votes, load_tokenizer(tiny), 64) if row["weight"]]
    there_P = np.unique(votes.prompt_B)
    rng = np.random.default_rng(1)
    h_PD = rng.normal(size=(40, 6)).astype(np.float32)
    own = Own(rng.normal(size=4 - (kind == "bradley-terry")), rng.normal(size=(4 - (kind == "bradley-terry"), 6)))
    numbers_PL = torch.tensor(own.offset_L + h_PD[there_P] @ own.w_LD.T, requires_grad=True)
    loss = batch_loss(kind, numbers_PL, collated(rows, 0))
    ties_C = np.append(own.offset_L[3:], own.w_LD[3:]) if kind != "bradley-terry" else np.zeros(7)
    expected, slope_Q = _loss(votes, h_PD, kind, Weights(own.offset_L[:3], own.w_LD[:3], ties_C))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert own.loss(votes, h_PD, kind) == pytest.approx(expected / votes.weight_B.sum(), rel=1e-9)
    slope_PL = torch.autograd.grad(loss, numbers_PL)[0].numpy()
    assert slope_PL[:, :3].sum(axis=0) == pytest.approx(slope_Q[:3], abs=1e-4)
    assert (slope_PL[:, :3].T @ h_PD[there_P]).ravel() == pytest.approx(slope_Q[3:21], abs=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_states_in_training_are_those_that_are_served(tiny: str, pooling: Literal["mean", "last"]) -> None:
    prompts = ["short", "one that is rather long, and then some more", "a <end> in a prompt", "x"]
    tuned = Tuned.of(Path(tiny), TuneConfig(mode="full", pooling=pooling, max_tokens=24), {})
    tokenizer, model = load_tokenizer(tiny), load_backbone(tiny).model
    votes = replace(ordered(4, 10), prompts=tuple(prompts))
    rows = rows_of(votes, tokenizer, 24)
    assert all(row["tokens"].count(tokenizer.eos_token_id) == 1 for row in rows)
    batch = collated(rows, 0)
    with torch.no_grad():
        found_PD = _states(model, batch["input_ids"], batch["attention_mask"], pooling)
    assert found_PD.numpy() == pytest.approx(PromptStates(tuned)(prompts), abs=1e-5)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_passes_hold_each_row_once_and_pad_little(lengths: list[int]) -> None:
    found = passes(lengths)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    for rows in found:
        longest = max(lengths[row] for row in rows)
        assert all(longest - lengths[row] <= 16 for row in rows)


def test_each_model_has_votes_set_aside_and_no_other_prompt_matters() -> None:
    votes = ordered(60, 200)
    aside_P = set_aside(votes, 0.3, 0)
    assert 5 < aside_P.sum() < 30
    fewer = only(votes, np.arange(60) < 30)
    assert set_aside(fewer, 0.3, 0).tolist() == aside_P[:30][np.isin(votes.prompts[:30], fewer.prompts)].tolist()
    rare = replace(votes, first_B=np.where(votes.prompt_B == np.flatnonzero(~aside_P)[0], 2, votes.first_B % 2))
    rare = replace(rare, second_B=np.where(rare.first_B == 0, 1, 0).astype(np.int32))
    seen, aside = check_parts(rare, TrainConfig(), TuneConfig(mode="lora"))
    assert (aside.first_B == 2).any()
    assert len(seen) + len(aside) == 200
    assert not set(seen.prompts) & set(aside.prompts)


def test_votes_that_the_language_model_saw_count_for_the_plain_board_alone() -> None:
    votes = ordered(100, 400, "grounded")
    rng = np.random.default_rng(0)
    half_P = np.arange(100) < 50
    own, others = only(votes, half_P), only(votes, ~half_P)
    x_PD = rng.normal(size=(len(own.prompts), 5)).astype(np.float32)
    whole = train_on(votes, rng.normal(size=(100, 5)).astype(np.float32), TrainConfig(spread=0, members=3))
    parted = train_on(own, x_PD, TrainConfig(spread=0, members=3), others=others)
    assert parted.weights.a_M == pytest.approx(whole.weights.a_M, abs=1e-5)
    assert parted.plain.a_M == pytest.approx(whole.plain.a_M, abs=1e-5)
    assert np.array_equal(parted.counts_OMM, whole.counts_OMM)
    assert np.array_equal(parted.asked, whole.asked)
    moved = train_on(own, x_PD, TrainConfig(spread=0.5, members=0), others=others)
    alone = train_on(own, x_PD, TrainConfig(spread=0.5, members=0))
    assert moved.weights.flat == pytest.approx(alone.weights.flat, abs=1e-4)


def test_what_cannot_be_learnt_from_is_refused_before_any_training(tmp_path: Path) -> None:
    few = ordered(25, 100)
    with pytest.raises(
        InputError, match=r"on the prompts that are set aside \(--aside 0.3\): found votes on \d prompts"
    ):
        train_backbone(few, TrainConfig(), TuneConfig(mode="full", backbone="nowhere"), work=tmp_path)
    with pytest.raises(InputError, match="found the backbone 'nowhere'"):
        train_backbone(
            ordered(100, 300), TrainConfig(), TuneConfig(mode="full", backbone="nowhere"), work=tmp_path / "work"
        )
    assert not [*tmp_path.iterdir()]


@pytest.mark.real_models
@pytest.mark.slow
def test_smollm2_takes_a_step(tmp_path: Path) -> None:
    votes = ordered(24, 80)
    tuning = TuneConfig(mode="lora", steps=2, batch=4, max_tokens=16)
    head = train_backbone(votes, TrainConfig(spread=0.5, members=0), tuning, work=tmp_path / "work")
    assert head.tuned is not None
    assert (head.tuned.about["steps"], head.projection.mean_D.shape) == (2, (576,))
    head.write(tmp_path / "model", "card")
    assert np.isfinite(HeadBoards.load(tmp_path / "model").coefficients(["What is a plus?"]).beta_PM).all()
