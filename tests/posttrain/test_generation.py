from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_language_model import small_model

from palaestra.learn.generation import Sampling, sample
from palaestra.learn.language_model import load_trainable


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_trainable(small_model(tmp_path_factory.mktemp("small") / "model", seed=3))[0]


PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]]


def test_greedy_completions_are_those_of_transformers(model: Any) -> None:
    found = sample(model, PROMPTS, Sampling(9, temperature=0.0), ends=(1,))
    for prompt, one in zip(PROMPTS, found, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=9,
            do_sample=False, eos_token_id=1, pad_token_id=0,
        )[0, len(prompt) :]  # fmt: skip
        assert one.tokens == theirs.tolist()


def test_log_probabilities_are_those_of_a_pass_over_the_whole(model: Any) -> None:
    found = sample(model, PROMPTS, Sampling(9), ends=(1,), generator=torch.Generator().manual_seed(0))
    for prompt, one in zip(PROMPTS, found, strict=True):
        with torch.no_grad():
            log_TV = torch.log_softmax(model(torch.tensor([prompt + one.tokens])).logits[0], -1)
        expected = [log_TV[len(prompt) - 1 + at, token].item() for at, token in enumerate(one.tokens)]
        assert one.logprobs == pytest.approx(expected, abs=1e-5)
        assert one.ended == (one.tokens[-1] == 1)
        assert 1 not in one.tokens[:-1]


def test_batches_and_order_change_nothing(model: Any) -> None:
    greedy = Sampling(6, temperature=0.0)
    together = sample(model, PROMPTS, greedy, ends=(1,))
    assert sample(model, PROMPTS[::-1], greedy, ends=(1,))[::-1] == together or all(
        one.tokens == other.tokens
        for one, other in zip(sample(model, PROMPTS[::-1], greedy, ends=(1,))[::-1], together, strict=True)
    )
    small = sample(model, PROMPTS, Sampling(6, temperature=0.0, rows=2), ends=(1,))
    assert [one.tokens for one in small] == [one.tokens for one in together]


def test_tokens_are_drawn_with_their_probability(model: Any) -> None:
    """Ends are among them: rows that are done leave the batch, and others stay who they are."""
    with torch.no_grad():
        expected = torch.softmax(model(torch.tensor([[5, 6, 7]])).logits[0, -1], -1)
    found = sample(model, [[5, 6, 7]] * 4000, Sampling(3), ends=(1,), generator=torch.Generator().manual_seed(1))
    count = torch.bincount(torch.tensor([one.tokens[0] for one in found]), minlength=len(expected)) / 4000
    assert (count - expected).abs().max() < 0.03
    assert {len(one.tokens) for one in found} == {1, 2, 3}


def test_a_seed_is_repeated(model: Any) -> None:
    one, same, other = (
        sample(model, PROMPTS, Sampling(8), ends=(1,), generator=torch.Generator().manual_seed(seed))
        for seed in (4, 4, 5)
    )
    assert one == same != other


def test_a_hot_model_is_flatter(model: Any) -> None:
    cold, hot = (
        sample(model, [[5, 6]] * 300, Sampling(4, temperature=t), ends=(1,), generator=torch.Generator().manual_seed(0))
        for t in (0.05, 1.5)
    )
    assert len({tuple(one.tokens) for one in cold}) < len({tuple(one.tokens) for one in hot})


def test_training_mode_is_given_back(model: Any) -> None:
    model.train()
    sample(model, PROMPTS, Sampling(2), ends=(1,))
    assert model.training


def test_a_model_without_weights_in_common_is_written_whole_or_not(model: Any, tmp_path: Path) -> None:
    from palaestra.errors import InputError
    from palaestra.learn.backbone import load_tokenizer
    from palaestra.learn.language_model import write_model

    folder = Path(small_model(tmp_path / "model", seed=3))
    tokenizer = load_tokenizer(str(folder))
    write_model(tmp_path / "copy", model, tokenizer, {"README.md": "# a copy\n"})
    again, _ = load_trainable(str(tmp_path / "copy"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    with pytest.raises(InputError, match="there already"):
        write_model(tmp_path / "copy", model, tokenizer)
    with torch.no_grad():
        next(iter(again.parameters()))[0, 0] = torch.nan
    with pytest.raises(InputError, match="no numbers"):
        write_model(tmp_path / "broken", again, tokenizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "model"]
