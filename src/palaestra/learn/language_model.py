"""Language models that are trained whole: loaded with gradients, and written as folders of Hugging Face.

A folder is there whole or not at all, also when the disk is full, and holds what its maker has to say of it beside
config, safetensors and tokenizer. Not here: models that only read (`backbone.py`), or that get a head (`trainer.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.learn.backbone import Dtype, backbone_folder, libraries, load_backbone


def load_trainable(name: str, *, dtype: Dtype = "float32", cache: Path | None = None) -> tuple[Any, Any]:
    """A model whose weights are trained, and its tokenizer, which pads on the left.

    Args:
        name: `gguf:smollm2`, or a folder.
        dtype: of the weights; 16-bit ones lose small updates.
        cache: where converted models are kept; the user's cache if left out.

    Raises:
        InputError: there is no such model, or it cannot be read.
        MissingPartError: the extra `train` is not installed.
    """
    found = load_backbone(name, dtype=dtype, cache=cache)
    found.model.requires_grad_(requires_grad=True).train()
    found.tokenizer.padding_side = "left"
    if found.tokenizer.pad_token_id is None:
        found.tokenizer.pad_token = found.tokenizer.eos_token
    return found.model, found.tokenizer


def write_model(
    folder: str | Path,
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a model's folder.

    Args:
        folder: must not be there yet, or be empty.
        model: of transformers; changes by LoRA are merged into it first (`merge_and_unload`).
        tokenizer: the model's.
        texts: more files, by name: `README.md`, the model's card.

    Raises:
        InputError: the folder is there with something in it, cannot be written, or a weight is no number.
    """
    torch, _ = libraries()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"found {folder} there already, expected a new folder for the model")
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise InputError(f"found weights {name} that are no numbers, expected finite ones; nothing was written")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        for name, text in (texts or {}).items():
            (part / name).write_text(text, encoding="utf-8")
        part.replace(folder)
    except (OSError, RuntimeError) as error:  # safetensors has an error of its own for a full disk
        raise InputError(f"cannot write the model to {folder}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def same_vocabulary(one: str, other: str, cache: Path | None = None) -> str | None:
    """Why two models' tokens do not mean the same; None if they do.

    Raises:
        InputError: one of the two is no model.
    """
    _, transformers = libraries()
    first, second = (
        transformers.AutoTokenizer.from_pretrained(backbone_folder(name, cache), local_files_only=True).get_vocab()
        for name in (one, other)
    )
    if first == second:
        return None
    differ = sorted(token for token in first.keys() | second.keys() if first.get(token) != second.get(token))
    shown = ", ".join(repr(token) for token in differ[:3])
    return f"{len(first)} and {len(second)} tokens, {len(differ)} of which differ: {shown}"
