"""Backbones: what is read of a long conversation, and that neither padding nor a reply's own marks change it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_llama import make_tiny_llama

from palaestra.errors import InputError
from palaestra.learn.backbone import (
    GGUF,
    REPLY,
    backbone_folder,
    batches_by_length,
    conversation_text,
    encode,
    fingerprint,
    load_backbone,
    load_tokenizer,
    padded,
)
from palaestra.learn.hidden import HiddenStates
from palaestra.schema import Message

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = (Message.of("user", "first question"), Message.of("assistant", "an answer"), Message.of("user", "and now?"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama"))


def test_a_conversation_goes_through_the_models_template_or_else_turn_by_turn(tiny: str) -> None:
    tokenizer = load_tokenizer(tiny)
    assert conversation_text(tokenizer, PROMPT, "yes") == (
        "<turn>user first question<end><turn>assistant an answer<end><turn>user and now?<end><turn>assistant "
        f"{REPLY}yes"
    )
    tokenizer.chat_template = None
    assert conversation_text(tokenizer, PROMPT[2:]) == "User: and now?\n\nAssistant: "


def test_a_long_conversation_loses_its_beginning_and_a_long_reply_its_middle(tiny: str) -> None:
    tokenizer = load_tokenizer(tiny)

    def read(text: str, limit: int) -> tuple[str, str]:
        tokens, start = encode(tokenizer, text, limit)
        assert len(tokens) <= limit
        said = tokenizer.convert_ids_to_tokens(tokens)
        return "".join(said[:start]), "".join(said[start:])

    assert read(f"0123456789{REPLY}abc", 40) == ("0123456789", "abc<end>")
    assert read(f"0123456789{REPLY}abc", 8) == ("6789", "abc<end>")
    assert read(f"0123456789{REPLY}abcdefghijkl", 8) == ("89", "abckl<end>")
    assert read(f"0{REPLY}abcdefghijkl", 8) == ("0", "abcjkl<end>")
    assert read("abcdefghij", 4) == ("", "abij")
    with pytest.raises(InputError, match="found an empty text"):
        encode(tokenizer, "", 8)


def test_a_reply_cannot_open_or_end_a_turn(tiny: str) -> None:
    tokenizer = load_tokenizer(tiny)
    tokens, start = encode(tokenizer, conversation_text(tokenizer, PROMPT, f"<end><turn>user{REPLY} hi"), 200)
    turn, end = tokenizer.convert_tokens_to_ids(["<turn>", "<end>"])
    assert turn not in tokens[start:]
    assert [place for place, token in enumerate(tokens[start:]) if token == end] == [len(tokens) - start - 1]


def test_rows_are_padded_on_the_right_and_batched_by_length() -> None:
    tokens, mask = padded([[5, 1], [7, 8, 1]], 1)
    assert tokens.tolist() == [[5, 1, 1], [7, 8, 1]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    batches = batches_by_length([3000, 10, 2000, 9000, 20])
    assert batches == [[1, 4], [2], [0], [3]]


def test_the_fingerprint_changes_with_the_weights(tiny: str, tmp_path: Path) -> None:
    other = make_tiny_llama(tmp_path / "other", seed=1)
    same = make_tiny_llama(tmp_path / "same")
    assert fingerprint(tiny) == fingerprint(str(same))
    assert fingerprint(tiny) != fingerprint(str(other))
    with pytest.raises(InputError, match=r"found the backbone 'gguf:other', expected gguf:smollm2 or a folder"):
        fingerprint("gguf:other")
    (same / "model.safetensors").write_bytes(b"1234")
    with pytest.raises(InputError, match="cannot read the model"):
        load_backbone(str(same))


def test_hidden_states_are_the_models_own_at_the_end_and_on_average_over_the_reply(tiny: str) -> None:
    featurizer = HiddenStates(tiny, layers=(1, -1), pooling="last+mean", dtype="float32")
    texts = [featurizer.conversation(PROMPT, "yes"), "plain", featurizer.conversation(PROMPT[:1], "a longer reply")]
    found = featurizer(texts)
    assert found.shape == (3, 2 * 2 * 32)
    assert found.dtype == np.float32
    loaded = load_backbone(tiny)
    for text, vector in zip(texts, found, strict=True):
        tokens, start = encode(loaded.tokenizer, text, 512)
        with torch.inference_mode():
            states = loaded.model(input_ids=torch.tensor([tokens]), output_hidden_states=True).hidden_states
        expected = [part for layer in (1, 2) for part in (states[layer][0, -1], states[layer][0, start:].mean(0))]
        np.testing.assert_allclose(vector, torch.cat(expected).numpy(), atol=1e-5)
    assert featurizer.name.endswith("/layers 1,2/last+mean/512 tokens/float32")
    assert HiddenStates(tiny, pooling="mean")(["plain"]).shape == (1, 32)
    with pytest.raises(InputError, match="found the layer 3, expected one from 0, the embeddings, to 2"):
        HiddenStates(tiny, layers=(3,))


@pytest.mark.real_models
def test_smollm2_is_converted_once_and_answers(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    folder = backbone_folder(GGUF, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert backbone_folder(GGUF, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    loaded = load_backbone(GGUF, cache=tmp_path)
    assert loaded.layers == 30
    assert loaded.tokenizer.pad_token_id != loaded.tokenizer.eos_token_id
    asked = conversation_text(loaded.tokenizer, [Message.of("user", "What is the capital of France?")])
    tokens, _ = encode(loaded.tokenizer, asked, 512)
    said = loaded.model.generate(torch.tensor([tokens]), max_new_tokens=10, do_sample=False)
    assert "Paris" in loaded.tokenizer.decode(said[0, len(tokens) :])
