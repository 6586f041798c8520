"""Length counts, and never so that wrong and short pays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from palaestra.errors import InputError
from palaestra.posttrain.lengths import LengthConfig, check_lengths, dual_step, overlong, relative, shaped

LONGEST = 100
FORMS = ("none", "group", "overlong", "pass-rate", "budget", "exact-budget", "constrained")
GROUPS = some.lists(some.tuples(some.booleans(), some.integers(1, LONGEST)), min_size=1, max_size=8)


def _config(form: str, alpha: float = 0.3, budget: float = 40) -> LengthConfig:
    return LengthConfig.model_validate({"form": form, "alpha": alpha, "budget": budget})


@pytest.mark.parametrize("form", FORMS)
@given(group=GROUPS, alpha=some.floats(0, 0.99), budget=some.integers(1, 200), price=some.floats(0, 0.99))
def test_a_wrong_reply_never_beats_a_right_one_nor_is_paid_for_being_short(
    form: str, group: list[tuple[bool, int]], alpha: float, budget: int, price: float
) -> None:
    correct_G, length_G = (np.array(column) for column in zip(*group, strict=True))
    reward_G = correct_G.astype(float)
    found_G = shaped(reward_G, correct_G, length_G.astype(float), _config(form, alpha, budget), LONGEST, price)
    assert np.isfinite(found_G).all()
    if correct_G.any() and (~correct_G).any():
        worst, best = found_G[correct_G].min(), found_G[~correct_G].max()
        assert worst >= best if form == "overlong" else worst > best
    assert (found_G[~correct_G] <= reward_G[~correct_G]).all()
    if form != "overlong":
        assert (found_G[~correct_G] == 0).all()
    if form != "exact-budget":
        right_G = found_G[correct_G][np.argsort(length_G[correct_G], kind="stable")]
        assert (np.diff(right_G) <= 1e-12).all()


@given(group=GROUPS, form=some.sampled_from(FORMS))
def test_the_order_of_replies_does_not_matter(group: list[tuple[bool, int]], form: str) -> None:
    correct_G, length_G = (np.array(column) for column in zip(*group, strict=True))
    found_G = shaped(correct_G.astype(float), correct_G, length_G, _config(form), LONGEST, 0.4)
    back_G = shaped(correct_G[::-1].astype(float), correct_G[::-1], length_G[::-1], _config(form), LONGEST, 0.4)
    assert back_G[::-1] == pytest.approx(found_G)


def test_each_form_by_hand() -> None:
    correct_G, length_G = np.array([True, True, False]), np.array([20.0, 60.0, 5.0])
    reward_G = correct_G.astype(float)

    def found(form: str) -> list[float]:
        return shaped(reward_G, correct_G, length_G, _config(form), LONGEST, 0.5).tolist()

    sigmoid = 1 / (1 + np.exp(1.0))  # one standard deviation below the mean of the right ones
    assert found("none") == [1, 1, 0]
    assert found("group") == pytest.approx([1 - 0.3 * sigmoid, 1 - 0.3 * (1 - sigmoid), 0])
    assert found("pass-rate") == pytest.approx([1 - 0.3 * 2 / 3 * 0.2, 1 - 0.3 * 2 / 3 * 0.6, 0])
    assert found("budget") == pytest.approx([1, 1 - 0.3 * 0.2, 0])
    assert found("exact-budget") == pytest.approx([1 - 0.3 * 0.2, 1 - 0.3 * 0.2, 0])
    assert found("constrained") == pytest.approx([0.9, 0.7, 0])
    assert overlong(np.array([50.0, 80.0, 90.0, 100.0, 120.0]), 100, 20).tolist() == [0, 0, -0.5, -1, -1]
    assert relative(np.array([9.0, 9.0]), np.array([True, True])).tolist() == [0.5, 0.5]
    assert relative(np.array([9.0]), np.array([False])).tolist() == [0.0]


def test_hard_prompts_are_squeezed_less() -> None:
    """One right reply of four is worth more than the same reply where all four are right."""
    length_G = np.array([50.0, 50.0, 50.0, 50.0])
    hard = shaped(np.array([1.0, 0, 0, 0]), np.array([True, False, False, False]), length_G, _config("pass-rate"), 100)
    easy = shaped(np.ones(4), np.ones(4, dtype=bool), length_G, _config("pass-rate"), 100)
    assert hard[0] > easy[0]


def test_the_dual_step_finds_the_price_of_a_budget() -> None:
    """Replies that answer a price by getting shorter settle at the budget; one that needs no price gets none."""
    config, price = _config("constrained", budget=40), 0.0
    for _ in range(3000):
        price = dual_step(price, 80 - 100 * price, config, LONGEST)
    assert price == pytest.approx(0.4, abs=1e-3)
    assert dual_step(0.2, 80, config, LONGEST) > 0.2 > dual_step(0.2, 20, config, LONGEST)
    assert dual_step(0.0, 20, config, LONGEST) == 0.0
    assert dual_step(0.98, 10_000, config, LONGEST) < 1.0


def test_a_budget_that_is_missing_is_asked_for() -> None:
    for form in ("budget", "exact-budget", "constrained"):
        with pytest.raises(InputError, match="without a budget"):
            check_lengths(LengthConfig.model_validate({"form": form}))
    check_lengths(LengthConfig())
