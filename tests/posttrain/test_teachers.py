from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_language_model import small_model

from palaestra.errors import InputError
from palaestra.learn.backbone import load_backbone
from palaestra.posttrain.teachers import Folders, Row

ROWS = [Row([5, 6, 7, 8, 1], 2), Row([9, 10, 1], 1), Row([4, 5, 6, 7, 8, 9, 10, 11], 6)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("teachers")
    return {name: small_model(root / name, seed) for seed, name in enumerate(("student", "one", "two"))} | {
        "wide": small_model(root / "wide", 5, width=48)
    }


def expected(folder: str) -> torch.Tensor:
    model = load_backbone(folder).model
    with torch.no_grad():
        found = [torch.log_softmax(model(torch.tensor([row.tokens])).logits[0, row.start - 1 : -1], -1) for row in ROWS]
    return torch.cat(found)


def test_each_teacher_says_what_it_would_alone_and_they_take_turns_in_one_place(folders: dict[str, str]) -> None:
    teachers = Folders(folders, folders["student"], dtype="float32")
    for name in ("one", "two", "wide", "one", "one", "student"):
        told = teachers[name](ROWS)
        assert told.token_NK is None
        torch.testing.assert_close(told.logprob_NK, expected(folders[name]), atol=2e-5, rtol=1e-4)


def test_the_likeliest_tokens_are_told_with_their_log_probabilities(folders: dict[str, str]) -> None:
    told = Folders(folders, folders["student"], top=5, dtype="float32")["two"](ROWS)
    whole = expected(folders["two"])
    assert told.logprob_NK.shape == (len(whole), 5)
    torch.testing.assert_close(told.logprob_NK, whole.gather(1, told.token_NK), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(told.logprob_NK, whole.topk(5).values, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(told.rest_N, (1 - told.logprob_NK.exp().sum(1)).log(), atol=1e-4, rtol=1e-4)


def test_an_adapter_is_its_base_with_the_changes_in_it(folders: dict[str, str], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folders["one"])
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=6, target_modules="all-linear"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.2)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    merged: Any = adapted.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    for file in Path(folders["one"]).glob("tokenizer*"):
        (tmp_path / "merged" / file.name).write_bytes(file.read_bytes())
    teachers = Folders(
        {"adapter": str(tmp_path / "adapter"), "plain": folders["one"]}, folders["student"], dtype="float32"
    )
    torch.testing.assert_close(
        teachers["adapter"](ROWS).logprob_NK, expected(str(tmp_path / "merged")), atol=2e-5, rtol=1e-4
    )
    torch.testing.assert_close(teachers["plain"](ROWS).logprob_NK, expected(folders["one"]), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["norm"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"bias": "lora_only"}, "bias"),
        ({"target_modules": ["embed_tokens", "q_proj"]}, "lora_embedding_A"),
    ],
)
def test_an_adapter_that_is_more_than_plain_lora_is_refused(
    more: dict[str, Any], said: str, folders: dict[str, str], tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    settings: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": 2, "target_modules": ["q_proj"]} | more
    base = AutoModelForCausalLM.from_pretrained(folders["one"])
    get_peft_model(base, LoraConfig(**settings)).save_pretrained(str(tmp_path / "adapter"))
    with pytest.raises(InputError, match=said):
        Folders({"odd": str(tmp_path / "adapter")}, folders["student"])


def broken(kind: str, folders: dict[str, str], tmp_path: Path) -> str:
    if kind == "vocabulary":
        return small_model(tmp_path / "other", characters="abc")
    folder = Path(small_model(tmp_path / "broken", 1))
    weights = folder / "model.safetensors"
    if kind == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif kind == "weights gone":
        weights.unlink()
    elif kind == "no number":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        tensors["model.norm.weight"][0] = torch.inf
        save_file(tensors, weights)
    elif kind in {"a tensor too few", "a tensor too many"}:
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        if kind == "a tensor too few":
            del tensors["model.layers.1.mlp.up_proj.weight"]
        else:
            tensors["model.layers.9.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"].clone()
        save_file(tensors, weights)
    elif kind == "wider":
        import json as json_text

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(64)
        model.save_pretrained(folder)
        assert json_text.loads((folder / "config.json").read_text())["vocab_size"] == 64
    elif kind == "missing":
        return str(tmp_path / "nowhere")
    elif kind == "adapter without base":
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/nowhere"}))
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("vocabulary", "the teacher bad in .* has another vocabulary than the student: 6 and 46 tokens"),
        ("cut short", "cannot read .*model.safetensors.*expected a teacher's weights, whole"),
        ("weights gone", "found no safetensors"),
        ("no number", "the teacher bad in .* has weights that are no numbers"),
        ("missing", "expected gguf:smollm2 or a folder"),
        ("adapter without base", "expected a folder with a config.json"),
        ("a tensor too few", "found no weights model.layers.1.mlp.up_proj.weight"),
        ("a tensor too many", "found the weights model.layers.9.mlp.up_proj.weight"),
        ("wider", "64 and 46 logits"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_before_the_first_step(
    kind: str, said: str, folders: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        Folders({"bad": broken(kind, folders, tmp_path)}, folders["student"])


def test_logits_that_are_no_numbers_are_named(folders: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(small_model(tmp_path / "huge", 1))
    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][:] = 3e38
    tensors["model.embed_tokens.weight"] *= 1e5
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"the teacher huge .* gave logits that are no numbers"):
        Folders({"huge": str(folder)}, folders["student"], dtype="float32")["huge"](ROWS)
