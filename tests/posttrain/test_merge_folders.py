"""Merged folders: whole or not there, loadable, the same however they are cut; and all that is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import copy_tokenizer, make_family, weights_of

from palaestra.errors import InputError
from palaestra.learn.backbone import load_tokenizer
from palaestra.posttrain.merging.merge import merge
from palaestra.posttrain.merging.recipe import MergeRecipe, read_recipe, recipe_of
from palaestra.posttrain.merging.shards import INDEX, WHOLE


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_family(tmp_path_factory.mktemp("family"), 2)


def recipe(folders: list[Path], method: str = "dare-ties", **more: object) -> MergeRecipe:
    return recipe_of(
        {"base": str(folders[0]), "method": method, "expert": [{"model": str(one)} for one in folders[1:]], **more}
    )


def test_a_merge_is_a_model_with_its_bases_tokenizer_and_a_card(family: list[Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    told: list[tuple[int, int]] = []
    done = merge(recipe(family), tmp_path / "merged", tell=lambda *at: told.append(at))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert model(torch.tensor([[5, 6]])).logits.isfinite().all()
    assert load_tokenizer(str(tmp_path / "merged")).chat_template
    assert "by dare-ties of 2 experts of base" in (tmp_path / "merged" / "README.md").read_text()
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["density"] == 0.5
    assert (done.models, done.tensors) == (2, len(weights_of(tmp_path / "merged")))
    assert done.parameters == sum(weight.numel() for weight in weights_of(family[0]).values())
    assert told[-1] == (done.tensors, done.tensors)
    assert [file.name for file in tmp_path.iterdir()] == ["merged"]


@pytest.mark.parametrize("method", ["dare", "della", "ties", "karcher"])
def test_shards_change_nothing_and_neither_does_a_second_run(method: str, family: list[Path], tmp_path: Path) -> None:
    merge(recipe(family, method), tmp_path / "one")
    merge(recipe(family, method), tmp_path / "again")
    merge(recipe(family, method), tmp_path / "cut", shard_bytes=20_000)
    assert (tmp_path / "one" / WHOLE).read_bytes() == (tmp_path / "again" / WHOLE).read_bytes()
    index = json.loads((tmp_path / "cut" / INDEX).read_text())
    assert len(set(index["weight_map"].values())) > 2
    one, cut = weights_of(tmp_path / "one"), weights_of(tmp_path / "cut")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in cut.values())
    assert one.keys() == cut.keys() == index["weight_map"].keys()
    assert all(torch.equal(one[name], cut[name]) for name in one)
    merge(recipe([tmp_path / "cut", *family[1:]], method), tmp_path / "from shards")  # and reads what it wrote
    if method.startswith("d"):
        merge(recipe(family, method, seed=1), tmp_path / "other")
        assert (tmp_path / "one" / WHOLE).read_bytes() != (tmp_path / "other" / WHOLE).read_bytes()


def test_a_merge_of_copies_is_the_copy(family: list[Path], tmp_path: Path) -> None:
    for method in ("linear", "slerp", "model-stock", "karcher", "task-arithmetic"):
        merge(recipe([family[0], family[1], family[1]], method), tmp_path / method)
        for name, tensor in weights_of(tmp_path / method).items():
            torch.testing.assert_close(tensor, weights_of(family[1])[name], rtol=0, atol=1e-6)


def test_a_recipe_file_names_folders_from_where_it_lies(family: list[Path], tmp_path: Path) -> None:
    file = family[0].parent / "merge.toml"
    file.write_text(
        'base = "base"\nmethod = "linear"\n[domains]\nmath = 3.0\ncode = 1.0\n'
        '[[expert]]\nmodel = "expert0"\ndomain = "math"\n[[expert]]\nmodel = "expert1"\ndomain = "code"\n'
    )
    merge(read_recipe(file), tmp_path / "merged")
    one, two = weights_of(family[1]), weights_of(family[2])
    for name, tensor in weights_of(tmp_path / "merged").items():
        torch.testing.assert_close(tensor, 0.75 * one[name] + 0.25 * two[name], rtol=0, atol=1e-6)
    for broken in ("base = ", 'base = "base"\nexperts = 3', "\x00"):
        file.write_text(broken)
        with pytest.raises(InputError, match=r"merge\.toml"):
            read_recipe(file)
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def test_whole_numbers_are_kept_and_must_be_the_same(family: list[Path], tmp_path: Path) -> None:
    folders = []
    for number, source in enumerate(family):
        folders.append(tmp_path / f"m{number}")
        shutil.copytree(source, folders[-1])
        save_file(load_file(source / WHOLE) | {"steps": torch.tensor([7, 8])}, folders[-1] / WHOLE)
    merge(recipe(folders), tmp_path / "merged")
    assert weights_of(tmp_path / "merged")["steps"].tolist() == [7, 8]
    save_file(load_file(folders[2] / WHOLE) | {"steps": torch.tensor([7, 9])}, folders[2] / WHOLE)
    with pytest.raises(InputError, match="other whole numbers steps"):
        merge(recipe(folders), tmp_path / "refused")


def nan(folder: Path) -> None:
    weights = load_file(folder / WHOLE)
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, folder / WHOLE)


def short(folder: Path) -> None:
    (folder / WHOLE).write_bytes((folder / WHOLE).read_bytes()[:-1000])


def no_head(folder: Path) -> None:
    (folder / WHOLE).write_bytes(b"\xff" * 40)


def shape(folder: Path) -> None:
    weights = load_file(folder / WHOLE)
    weights["model.norm.weight"] = torch.ones(31)
    save_file(weights, folder / WHOLE)


def lacking(folder: Path) -> None:
    weights = load_file(folder / WHOLE)
    del weights["model.norm.weight"]
    save_file(weights, folder / WHOLE)


def config(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"num_attention_heads": 2}))


def architecture(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"model_type": "mistral"}))


def vocabulary(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    told = json.loads(text)
    words = told["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (folder / "tokenizer.json").write_text(json.dumps(told))


def no_shard(folder: Path) -> None:
    (folder / WHOLE).rename(folder / "gone")
    weight_map = {"model.norm.weight": "model-00001-of-00002.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


def outside(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": "../base/model.safetensors"}}))


def adapter(folder: Path) -> None:
    (folder / WHOLE).unlink()
    (folder / "adapter_config.json").write_text("{}")


def eight_bits(folder: Path) -> None:
    weights = load_file(folder / WHOLE)
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float8_e4m3fn)
    save_file(weights, folder / WHOLE)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (shutil.rmtree, "expert: found the backbone"),
        (lambda folder: (folder / WHOLE).unlink(), "found neither model.safetensors"),
        (no_shard, "found no model-00001-of-00002.safetensors"),
        (outside, "expected one beside it"),
        (lambda folder: (folder / INDEX).write_text("{}"), "expected a weight_map"),
        (adapter, "found a LoRA adapter"),
        (nan, "found weights model.norm.weight .* no numbers"),
        (short, "was it cut short"),
        (no_head, "was it cut short"),
        (shape, r"found model.norm.weight of shape \(31,\)"),
        (lacking, "found no tensor model.norm.weight"),
        (config, "found num_attention_heads 2"),
        (architecture, "models of one architecture"),
        (vocabulary, "found another vocabulary .* 2 of which differ: 'a', 'b'"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "cannot read the model"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot read the model"),
        (eight_bits, "in F8_E4M3"),
    ],
)
def test_what_cannot_be_merged_is_refused_and_nothing_is_left(
    harm: Callable, said: str, family: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(family[2], bad)
    harm(bad)
    with pytest.raises(InputError, match=said):
        merge(recipe([family[0], family[1], bad], "ties"), tmp_path / "merged")
    assert {file.name for file in tmp_path.iterdir()} <= {"bad"}


def test_a_folder_with_something_in_it_is_not_written_over(family: list[Path], tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine").write_text("keep")
    with pytest.raises(InputError, match="expected a new folder"):
        merge(recipe(family), tmp_path / "merged")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write the model"):
        merge(recipe(family), tmp_path / "file" / "merged")


MERGE = """
import resource, sys
from pathlib import Path
from palaestra.errors import InputError
from palaestra.learn.backbone import load_tokenizer
from palaestra.posttrain.merging.merge import merge
from palaestra.posttrain.merging.recipe import recipe_of
base, *experts, out = sys.argv[1:]
"""


def test_a_full_disk_is_said_and_leaves_nothing(family: list[Path], tmp_path: Path) -> None:
    program = MERGE + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: merge(recipe_of({'base': base, 'expert': [{'model': one} for one in experts]}), out)\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, family), str(tmp_path / "merged")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "cannot write the model" in done.stdout
    assert "nothing was left" in done.stdout
    assert list(tmp_path.iterdir()) == []


MEASURED = (
    MERGE
    + """
import torch, transformers, safetensors
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
for method in ("ties", "karcher"):
    told = {"base": base, "method": method, "expert": [{"model": one} for one in experts]}
    small = {"base": base + "-tiny", "method": method, "expert": [{"model": base + "-tiny"}] * 2}
    merge(recipe_of(small), out + "-tiny-" + method)  # what any merge loads
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    merge(recipe_of(told), out + method, shard_bytes=20_000_000)
    print(method, peak() - before)
"""
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is measured as Linux counts it")
def test_memory_is_that_of_one_tensor_of_each_model(tmp_path: Path) -> None:
    """A base and five experts of 67 MB each; the largest tensor has 4 MB, and six of them 25 MB."""
    from tiny_llama import make_tiny_llama
    from transformers import LlamaConfig, LlamaForCausalLM

    make_tiny_llama(tmp_path / "m0-tiny")
    largest = 1024 * 1024 * 4
    for number in range(6):
        told = LlamaConfig(
            vocab_size=98, hidden_size=512, intermediate_size=2048, num_hidden_layers=4, num_attention_heads=8
        )
        LlamaForCausalLM(told).save_pretrained(tmp_path / f"m{number}", max_shard_size="30MB")
        copy_tokenizer(tmp_path / "m0-tiny", tmp_path / f"m{number}")
    size = sum(file.stat().st_size for file in tmp_path.glob("m?/*.safetensors"))
    assert size > 350e6
    plain = dict(os.environ) | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # or the C library keeps what was let go
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *(str(tmp_path / f"m{number}") for number in range(6)), str(tmp_path / "out")],
        capture_output=True, text=True, check=True, env=plain,
    )  # fmt: skip
    grown = {name: float(value) * 2**20 for name, value in (line.split() for line in done.stdout.splitlines())}
    print({name: f"{value / 1e6:.1f} MB" for name, value in grown.items()}, f"of {size / 1e6:.0f} MB")
    assert set(grown) == {"ties", "karcher"}
    assert max(grown.values()) < 20 * largest
