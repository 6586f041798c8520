"""The world's tokenizer, its small model, and the grades of a model whose replies are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.learn.backbone import REPLY, conversation_text, encode, load_tokenizer
from palaestra.learn.language_model import load_trainable, same_vocabulary, write_model
from palaestra.posttrain.examples import Example
from palaestra.recipes.experts_to_generalist.grading import Reply, grade, graded
from palaestra.recipes.experts_to_generalist.letters import ARROW, CHARACTERS, END, PAD, letter_tokenizer
from palaestra.recipes.experts_to_generalist.small_model import small_model
from palaestra.recipes.experts_to_generalist.world import examples, mixture
from palaestra.schema import Message
from palaestra.stats import clustered

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TOKENIZER = letter_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "model"
    write_model(path, small_model(32, 2, heads=2), letter_tokenizer())
    return path


@given(text=st.text(st.sampled_from(CHARACTERS)))
@settings(deadline=None)
def test_a_text_comes_back_from_its_tokens_one_a_letter(text: str) -> None:
    tokens = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert len(tokens) == len(text)
    assert TOKENIZER.decode(tokens) == text


def test_what_has_no_token_is_told_from_what_has_one() -> None:
    assert TOKENIZER.convert_ids_to_tokens(TOKENIZER("aé")["input_ids"]) == ["a", "<unk>"]
    assert len({TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.unk_token_id}) == 3


def test_a_conversation_is_the_question_an_arrow_the_answer_and_an_end() -> None:
    turns = [{"role": "user", "content": "add 2+2"}, {"role": "assistant", "content": "4"}]
    said = TOKENIZER.apply_chat_template(turns, tokenize=False)
    assert said == f"add 2+2{ARROW}4{END}"
    assert said.startswith(TOKENIZER.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True))
    again = [*turns, {"role": "user", "content": "add 2+3"}]
    assert TOKENIZER.apply_chat_template(again, tokenize=False, add_generation_prompt=True) == f"{said}add 2+3{ARROW}"
    assert TOKENIZER.convert_ids_to_tokens(TOKENIZER(said)["input_ids"])[-2:] == ["4", END]
    with pytest.raises(InputError, match="only users and assistants speak here"):
        conversation_text(TOKENIZER, [Message.of("system", "be brief"), Message.of("user", "add 2+2")])


def test_the_folder_is_an_ordinary_one(folder: Path) -> None:
    loaded = load_tokenizer(str(folder))
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    assert (loaded.eos_token, loaded.pad_token, loaded.padding_side) == (END, PAD, "left")
    assert {"tokenizer.json", "config.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    text = conversation_text(loaded, [Message.of("user", "rev abc")], "cba")
    assert text == f"rev abc{ARROW}{REPLY}cba"
    tokens, start = encode(loaded, text, 64)
    assert "".join(loaded.convert_ids_to_tokens(tokens[:start])) == f"rev abc{ARROW}"
    assert "".join(loaded.convert_ids_to_tokens(tokens[start:])) == f"cba{END}"
    assert same_vocabulary(str(folder), str(folder)) is None


def test_the_model_is_small_tied_and_made_by_its_seed() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (small_model(32, 2, heads=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
    assert one.lm_head.weight is one.model.embed_tokens.weight
    assert 3.0e6 < sum(weight.numel() for weight in small_model().parameters()) < 3.4e6
    with pytest.raises(InputError, match="found the width 30 and 4 heads, expected a multiple of 8"):
        small_model(30, 2, heads=4)


def test_a_model_that_learnt_ten_questions_is_right_on_them(folder: Path) -> None:
    """A few steps on few examples: greedy replies are the gold ones, whatever else is in the batch."""
    model, tokenizer = load_trainable(str(folder))
    known = examples("vow", "train", 10, 0)
    rows = [encode(tokenizer, conversation_text(tokenizer, each.prompt, each.reply), 64) for each in known]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        for tokens, start in rows:
            row = torch.tensor([tokens])
            labels = row.clone()
            labels[:, :start] = -100
            (model(input_ids=row, labels=labels).loss / len(rows)).backward()
        optimizer.step()
        optimizer.zero_grad()
    found = grade(model, [*known, *examples("rev", "test", 5, 0)], tokenizer=tokenizer)
    assert [reply.text for reply in found.replies[:10]] == [each.reference for each in known]
    assert found.accuracy["vow"].value == 1.0
    assert found.tokens["vow"] == 2.0
    assert found.accuracy["rev"].value == 0.0
    assert found.mean.value == pytest.approx(0.5)
    assert model.training


def test_a_folder_is_graded_as_the_model_in_memory_is(folder: Path) -> None:
    model, tokenizer = load_trainable(str(folder))
    asked = mixture("test", 2, 0, says="nothing")
    assert grade(folder, asked) == grade(model, asked, tokenizer=tokenizer, rows=7)
    with pytest.raises(InputError, match="found no example to grade"):
        grade(folder, [])


def test_domains_have_wilsons_interval_and_the_mean_counts_each_the_same() -> None:
    found = graded([*_replies("add", 30, 40), *_replies("rev", 10, 10)])
    assert list(found.accuracy) == ["add", "rev"]
    alone = clustered.share(torch.tensor([1.0] * 30 + [0.0] * 10).numpy(), torch.arange(40).numpy(), 0.95)
    assert found.accuracy["add"] == alone
    assert found.mean.value == pytest.approx((0.75 + 1.0) / 2)
    assert found.mean_tokens == pytest.approx(3.0)
    add, rev = found.accuracy.values()
    half = ((add.value - _bound(add.lower)) ** 2 + (rev.value - _bound(rev.lower)) ** 2) ** 0.5 / 2
    assert found.mean.lower == pytest.approx(found.mean.value - half)
    assert graded(_replies("add", 1, 1)).mean.lower is None


def test_the_interval_of_the_mean_covers_what_it_should() -> None:
    """Over 400 worlds of six domains, 40 questions each, the truth is inside in about 95 of 100."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([0.02, 0.3, 0.6, 0.9, 0.97, 1.0])
    inside = 0
    for _ in range(400):
        hits = torch.binomial(torch.full((6,), 40.0), truth, generator=generator)
        mean = graded([r for at, hit in enumerate(hits) for r in _replies(f"d{at}", int(hit), 40)]).mean
        inside += _bound(mean.lower) <= float(truth.mean()) <= _bound(mean.upper)
    assert 0.93 <= inside / 400 <= 0.995


def _bound(value: float | None) -> float:
    assert value is not None
    return value


def _replies(domain: str, right: int, count: int) -> list[Reply]:
    asked: Any = Example.of("x", domain=domain)
    return [Reply(asked, "", 3, at < right) for at in range(count)]
