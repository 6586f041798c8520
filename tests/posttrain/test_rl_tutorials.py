"""The tutorials on one screen say what the room's functions say."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from palaestra.posttrain import losses_rl
from palaestra.posttrain.lengths import LengthConfig, shaped

torch = pytest.importorskip("torch")
TUTORIALS = Path(__file__).parent.parent.parent / "tutorials"


def test_111_has_the_rooms_loss_and_learns(capsys: pytest.CaptureFixture[str]) -> None:
    told = runpy.run_path(str(TUTORIALS / "111_grpo_on_one_screen.py"))
    capsys.readouterr()
    assert told["shares"][0] < 0.2
    assert np.mean(told["shares"][-10:]) > 0.95
    torch.manual_seed(0)
    shape = (16, 16, 8)
    log, old, start = (-torch.rand(shape).double() for _ in range(3))
    log.requires_grad_()
    mask, reward = (torch.rand(shape) < 0.7).double(), torch.rand(16, 16).double()
    advantage = losses_rl.advantages(reward)
    one = told["grpo_loss"](log, old, start, advantage, mask)
    flat = [each.reshape(-1, 8) for each in (log, old, start, mask)]
    ratio_NT = losses_rl.log_ratio(flat[0], flat[1], flat[3])
    loss_NT = (
        losses_rl.clipped(ratio_NT, advantage.reshape(-1, 1))
        + told["BETA"] * losses_rl.kl(flat[0], flat[2]) * ratio_NT.exp()
    )
    other = losses_rl.summed(loss_NT, flat[3], "bnpo")
    assert one.item() == pytest.approx(other.item(), abs=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(loss, log)[0] for loss in (one, other)))


def test_112_has_the_rooms_forms_and_shows_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    told = runpy.run_path(str(TUTORIALS / "112_shorter_answers.py"))
    capsys.readouterr()
    rng = np.random.default_rng(0)
    for form in ("none", "group", "pass-rate"):
        config = LengthConfig.model_validate({"form": form, "alpha": told["ALPHA"]})
        for _ in range(20):
            right, length = rng.random(6) < 0.5, rng.integers(1, 25, 6).astype(float)
            here = shaped(right.astype(float), right, length, config, told["L"])
            if right.any() and (form != "group" or length[right].std() > 0):
                assert told["shaped"](form, right, length) == pytest.approx(here)
    found = told["results"]
    assert found["naive"]["hard"][0] < 0.1  # wrong and short was paid
    assert found["group"]["both"][1] < found["none"]["both"][1] / 2
    assert found["pass-rate"]["hard"][0] > found["group"]["hard"][0] > 0.25
    assert found["pass-rate"]["both"][0] > found["none"]["both"][0] - 0.05
