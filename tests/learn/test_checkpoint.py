"""Checkpoints: whole, of the kind that is asked for, and refused where they were cut short or changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palaestra.errors import InputError
from palaestra.learn.checkpoint import kind_of, read_checkpoint, write_checkpoint

ARRAYS = {"w": np.arange(6.0).reshape(2, 3), "names": np.array([1, 2], dtype=np.int32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "model", "p2l-head", {"models": ["a", "b"]}, ARRAYS, texts={"card.md": "# A model\n"})
    return tmp_path / "model"


def test_what_is_written_is_read_again(folder: Path) -> None:
    found = read_checkpoint(folder, "reward-head", "p2l-head")
    assert found.config == {"models": ["a", "b"]}
    assert kind_of(folder) == "p2l-head"
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors", "card.md"}
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


def test_another_kind_a_cut_file_and_a_changed_one_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"found a model of kind 'p2l-head' in .*, expected reward-head"):
        read_checkpoint(folder, "reward-head")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for changed in (whole[:-7], whole[:-1] + b"\x01", b""):
        weights.write_bytes(changed)
        with pytest.raises(InputError, match="cut short or changed"):
            read_checkpoint(folder, "p2l-head")
    weights.unlink()
    with pytest.raises(InputError, match=r"cannot read .*model.safetensors"):
        read_checkpoint(folder, "p2l-head")
    (folder / "config.json").write_text('{"a":')
    with pytest.raises(InputError, match=r"cannot read .*config.json"):
        read_checkpoint(folder, "p2l-head")


def test_weights_that_are_no_numbers_and_folders_with_something_in_them_are_not_written(folder: Path) -> None:
    with pytest.raises(InputError, match="found weights 'w' that are no numbers"):
        write_checkpoint(folder.parent / "other", "p2l-head", {}, {"w": np.array([1.0, np.nan])})
    with pytest.raises(InputError, match="there already"):
        write_checkpoint(folder, "p2l-head", {}, ARRAYS)
    assert [file.name for file in folder.parent.iterdir()] == ["model"]
