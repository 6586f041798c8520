"""Tensors of a model's folder read one at a time, and a folder written tensor by tensor, each where it belongs.

A tensor is mapped from its shard for as long as it is used and then let go, so that a merge of twenty models takes the
memory of one tensor of each. Writing goes by the shapes, which are known beforehand: every shard is laid out at first,
with its head and all its room (so a full disk says so at once), and a tensor goes straight to its place. The folder
gets its name when it is whole.

Not here: models in memory (`learn/language_model.py`), and weights that were pickled, which nothing here reads.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries
from palaestra.posttrain.merging.methods import Tensor

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000
"""Of one file, as the Hub cuts them."""
_CARRIED = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Endings of what goes with the weights: config and tokenizer."""
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Slot:
    """What is known of a tensor before it is read."""

    file: str
    dtype: str
    """As safetensors names it."""
    shape: tuple[int, ...]

    @property
    def floats(self) -> bool:
        """Whether it can be merged; whole numbers cannot."""
        return self.dtype in _DTYPES


@dataclass(frozen=True, slots=True)
class Shards:
    """A model's tensors on disk."""

    folder: Path
    slots: Mapping[str, Slot]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """What a folder holds.

        Raises:
            InputError: it holds no safetensors, one of its shards is missing or was cut short, or a tensor is in none.
        """
        if (folder / "adapter_config.json").is_file() and not (folder / WHOLE).is_file():
            raise InputError(
                f"found a LoRA adapter in {folder}, expected a whole model; merge it into its base first "
                "(merge_and_unload of peft)"
            )
        place = _places(folder)
        slots: dict[str, Slot] = {}
        for file in dict.fromkeys(place.values()):
            with _opened(folder / file) as shard:
                for name in shard.keys():  # noqa: SIM118 - no dictionary
                    part = shard.get_slice(name)
                    slots[name] = Slot(file, part.get_dtype(), tuple(part.get_shape()))
                    if slots[name].dtype not in _WIDTHS:
                        raise InputError(
                            f"found {name} in {folder} in {slots[name].dtype}, expected weights of 16, 32 or 64 bits"
                        )
        if lost := sorted(set(place) - set(slots) - {WHOLE}):
            raise InputError(f"found no {lost[0]} in the shards of {folder}, expected it in {place[lost[0]]}")
        return cls(folder, slots)

    def read(self, name: str) -> Tensor:
        """One tensor, mapped from its file.

        Raises:
            InputError: it cannot be read, or holds what is no number.
        """
        torch, _ = libraries()
        with _opened(self.folder / self.slots[name].file) as shard:
            tensor = shard.get_tensor(name)
        if self.slots[name].floats and tensor.numel() and not torch.isfinite(torch.stack(tensor.aminmax())).all():
            raise InputError(f"found weights {name} in {self.folder} that are no numbers, expected finite ones")
        return tensor


def check_alike(base: Shards, other: Shards) -> None:
    """Whether two models have the same tensors.

    Raises:
        InputError: they have not; names the first that differs.
    """
    for one, two in ((base, other), (other, base)):
        if lost := sorted(set(one.slots) - set(two.slots)):
            raise InputError(
                f"found no tensor {lost[0]} in {two.folder}, which {one.folder} has (and {len(lost) - 1} more); "
                "expected models of one architecture"
            )
    for name, slot in base.slots.items():
        if slot.shape != other.slots[name].shape:
            raise InputError(
                f"found {name} of shape {other.slots[name].shape} in {other.folder} and {slot.shape} in {base.folder}, "
                "expected models of one shape"
            )


def write_shards(
    folder: str | Path,
    like: Shards,
    tensors: Iterator[tuple[str, Tensor]],
    texts: Mapping[str, str],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model's folder, whole or not at all, with the config and tokenizer of another.

    Args:
        folder: must not be there yet, or be empty.
        like: whose names, shapes and dtypes the tensors have, and whose other files are carried over.
        tensors: all of them, in any order.
        texts: more files, by name: the card.
        shard_bytes: of one file, at most; a larger tensor has a file of its own.

    Raises:
        InputError: the folder is there with something in it, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"found {folder} there already, expected a new folder for the model")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for file in sorted(like.folder.iterdir()):
            if file.suffix in _CARRIED and file.name != INDEX and file.is_file():
                shutil.copyfile(file, part / file.name)
        for name, text in texts.items():
            (part / name).write_text(text, encoding="utf-8")
        _fill(part, _layout(like.slots, shard_bytes), tensors)
        part.replace(folder)
    except OSError as error:
        raise InputError(
            f"cannot write the model to {folder}: {error.strerror or error}; nothing was left there; expected room for "
            f"{sum(_bytes(slot) for slot in like.slots.values()) / 1e9:.2f} GB"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(part: Path, files: Mapping[str, Mapping[str, Slot]], tensors: Iterator[tuple[str, Tensor]]) -> None:
    """Lay out all files, and put each tensor in its place."""
    torch, _ = libraries()
    place: dict[str, tuple[Path, int, Slot]] = {}
    for file, slots in files.items():
        place.update({name: (part / file, at, slots[name]) for name, at in _lay_out(part / file, slots).items()})
    if len(files) > 1:
        total = sum(_bytes(slot) for _, _, slot in place.values())
        index = {"metadata": {"total_size": total}, "weight_map": {name: at[0].name for name, at in place.items()}}
        (part / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for name, tensor in tensors:
        path, offset, slot = place.pop(name)
        ready = tensor.to(getattr(torch, _DTYPES[slot.dtype])) if slot.floats else tensor
        with path.open("r+b", buffering=0) as file:
            file.seek(offset)
            _write_all(file, memoryview(ready.contiguous().reshape(-1).view(torch.uint8).numpy()))
    if place:
        raise InputError(f"found no tensor {min(place)} to write, expected all {len(place)} that are left")


def _write_all(file: Any, data: memoryview) -> None:  # noqa: ANN401 - a raw file
    while data:
        data = data[file.write(data) :]


def _lay_out(path: Path, slots: Mapping[str, Slot]) -> dict[str, int]:
    """A file of safetensors with its head and room for its tensors; where in it each begins."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, slot in slots.items():
        size = _bytes(slot)
        head[name] = {"dtype": slot.dtype, "shape": list(slot.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.flush()
        if hasattr(os, "posix_fallocate") and at:
            os.posix_fallocate(file.fileno(), 8 + len(text), at)
    return {name: 8 + len(text) + head[name]["data_offsets"][0] for name in slots}


def _layout(slots: Mapping[str, Slot], shard_bytes: int) -> dict[str, dict[str, Slot]]:
    """Which tensors each file holds, in the order of the model; a file is full when the next would not fit."""
    groups: list[dict[str, Slot]] = [{}]
    room = shard_bytes
    for name, slot in slots.items():
        if groups[-1] and _bytes(slot) > room:
            groups.append({})
            room = shard_bytes
        groups[-1][name] = slot
        room -= _bytes(slot)
    if len(groups) == 1:
        return {WHOLE: groups[0]}
    return {f"model-{number:05}-of-{len(groups):05}.safetensors": group for number, group in enumerate(groups, start=1)}


def _bytes(slot: Slot) -> int:
    return math.prod(slot.shape) * _WIDTHS[slot.dtype]


def _places(folder: Path) -> dict[str, str]:
    """The file of each tensor, as the index says; the one file there is, under its own name, where there is none."""
    index = folder / INDEX
    if not index.is_file():
        if not (folder / WHOLE).is_file():
            raise InputError(
                f"found neither {WHOLE} nor {INDEX} in {folder}, expected a model's weights as safetensors"
            )
        return {WHOLE: WHOLE}
    try:
        found = {
            str(name): str(file) for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"cannot read {index}: {error!r:.80}; expected a weight_map of names to files") from error
    for file in found.values():
        if Path(file).name != file:
            raise InputError(f"found the file {file!r} in {index}, expected one beside it")
    return found


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    """A shard's tensors.

    Raises:
        InputError: it is missing, was cut short, or is none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as shard:
            yield shard
    except FileNotFoundError as error:
        raise InputError(f"found no {path.name} in {path.parent}, expected this shard of the model") from error
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"cannot read {path}: {error}; expected a whole file of safetensors: was it cut short?"
        ) from error
