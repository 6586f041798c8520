"""Scores on held-out examples against transformers' own generation and loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_llama import make_tiny_llama

from palaestra.errors import InputError
from palaestra.learn.backbone import conversation_text, load_backbone
from palaestra.posttrain.examples import Example
from palaestra.posttrain.held_out import halves, metric_of, scored


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = load_backbone(str(make_tiny_llama(tmp_path_factory.mktemp("model") / "m", seed=4)))
    with torch.no_grad():  # so that it ends now and then
        found.model.lm_head.weight[1] *= 6
    return found


def prompts(model: Any) -> list[Any]:
    asked = [Example.of("ab" * (1 + number % 5) + str(number), "x") for number in range(24)]
    return [model.tokenizer(conversation_text(model.tokenizer, one.prompt), return_tensors="pt") for one in asked]


def test_exact_match_is_whether_the_likeliest_completion_is_the_reference(model: Any) -> None:
    examples, expected = [], []
    for number, said in enumerate(prompts(model)):
        whole = model.model.generate(**said, do_sample=False, max_new_tokens=12, pad_token_id=0)
        tokens = whole[0, said["input_ids"].shape[1] :].tolist()
        ended = tokens[-1] == 1
        letters = model.tokenizer.convert_ids_to_tokens(tokens[: -1 if ended else None])
        right = number % 2 == 0 and ended and not set(letters) & {"<unk>", "<turn>"} and bool("".join(letters).strip())
        reference = "".join(letters) if right else "no"
        asked = "ab" * (1 + number % 5) + str(number)
        examples.append(Example.of(asked, reference=reference, domain=f"d{number % 3}"))
        expected.append(right)
    found = scored(model.model, model.tokenizer, examples, metric_of(examples))
    assert 0 < sum(expected) < len(expected)
    assert found.score_B.tolist() == expected
    by_domain = [
        np.mean([hit for hit, one in zip(expected, examples, strict=True) if one.domain == f"d{n}"]) for n in range(3)
    ]
    assert list(found.domains.values()) == pytest.approx(by_domain)
    assert found.mean == pytest.approx(np.mean(by_domain))


def test_log_loss_is_that_of_transformers_over_the_completion_and_its_end(model: Any) -> None:
    replies = ["x", "one two", "a much longer reply, to pad the others"]
    examples = [Example.of(f"say {reply[0]}", reply) for reply in replies]
    found = scored(model.model, model.tokenizer, examples, metric_of(examples))
    assert found.metric == "log-loss"
    for example, score in zip(examples, found.score_B, strict=True):
        before = model.tokenizer(conversation_text(model.tokenizer, example.prompt))["input_ids"]
        after = [*model.tokenizer(example.reply)["input_ids"], 1]
        labels = torch.tensor([[-100] * len(before) + after])
        loss = model.model(torch.tensor([before + after]), labels=labels).loss
        assert score == pytest.approx(-float(loss), abs=1e-5)


def test_examples_without_what_the_metric_needs_are_refused() -> None:
    bare, full = Example.of("a"), Example.of("b", "c", reference="c")
    assert metric_of([full]) == "exact-match"
    with pytest.raises(InputError, match="1 examples without a completion"):
        metric_of([bare, full])
    with pytest.raises(InputError, match="without a reference"):
        metric_of([bare, full], "exact-match")


def test_halves_keep_prompts_whole_and_domains_in_both() -> None:
    examples = [
        Example.of(f"{domain} {prompt}", str(copy), domain=domain)
        for domain, size in (("a", 2), ("b", 7), ("c", 30))
        for prompt in range(size)
        for copy in range(2)
    ]
    one, two = halves(examples, 3)
    assert not {each.asked for each in one} & {each.asked for each in two}
    assert {each.id for each in one} | {each.id for each in two} == {each.id for each in examples}
    for domain, size in (("a", 2), ("b", 7), ("c", 30)):
        counts = [len({each.asked for each in part if each.domain == domain}) for part in (one, two)]
        assert sorted(counts) == [size // 2, size - size // 2]
    assert halves(examples, 3) == (one, two)
    with pytest.raises(InputError, match="no domain with two prompts"):
        halves([Example.of("a", "b")])
