"""A trained language model as a reward: a folder of Hugging Face that also says what it is, and its scores.

The folder is a sequence classifier of one label, which transformers and TRL load as they load any. `palaestra.json`
adds the kind, how much of a conversation it was trained on, and a hash of the weights: what was cut short or changed is
refused. The score is the classifier's number at the token that ends the reply.

Not here: how it is trained (`backbone_train.py`), and heads on frozen vectors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.learn.backbone import (
    Dtype,
    batches_by_length,
    conversation_text,
    encode,
    libraries,
    load_tokenizer,
    padded,
    resolved_dtype,
    unreadable,
)
from palaestra.rewards.seen import Marks
from palaestra.schema import Message

KIND = "reward-backbone"
ABOUT_FILE, WEIGHTS_FILE, SEEN_FILE = "palaestra.json", "model.safetensors", "trained_on.npy"


class BackboneReward:
    """A trained language model that scores replies; higher is better.

    Args:
        folder: as `train_backbone` wrote it.
        dtype: what the layers compute in.

    Raises:
        InputError: there is no such reward, or its weights were cut short or changed.
        MissingPartError: the extra `train` is not installed.
    """

    def __init__(self, folder: str | Path, *, dtype: Dtype = "float32") -> None:
        folder = Path(folder)
        self.about = read_about(folder)
        self.name = str(folder)
        self.trained_on = read_seen(folder)
        torch, transformers = libraries()
        self._tokenizer = load_tokenizer(str(folder))
        try:
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=getattr(torch, resolved_dtype(dtype)), local_files_only=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise unreadable(folder, error) from error
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> NDArray[np.float64]:
        """Scores (N,) on a scale of natural log-odds.

        Raises:
            InputError: a score is no number.
        """
        rows = [
            encode(self._tokenizer, conversation_text(self._tokenizer, prompt, reply), self.about["max_tokens"])[0]
            for prompt, reply in zip(prompts, replies, strict=True)
        ]
        return scores(self._model, rows, self._tokenizer.pad_token_id, self.name)


def scores(model: Any, rows: Sequence[list[int]], padding: int, name: str) -> NDArray[np.float64]:  # noqa: ANN401
    """What a sequence classifier of one label gives for rows of tokens, (N,).

    Raises:
        InputError: a score is no number.
    """
    torch, _ = libraries()
    found_N = np.empty(len(rows))
    for batch in batches_by_length([len(row) for row in rows]) if rows else []:
        tokens_NT, mask_NT = (
            torch.from_numpy(array).to(model.device) for array in padded([rows[number] for number in batch], padding)
        )
        with torch.inference_mode():
            logits_N1 = model(input_ids=tokens_NT, attention_mask=mask_NT, use_cache=False).logits
        found_N[batch] = logits_N1[:, 0].double().cpu().numpy()
    if not np.isfinite(found_N).all():
        raise InputError(f"{name} gave a score that is no number; train it anew at a lower learning rate")
    return found_N


def read_about(folder: Path) -> dict[str, Any]:
    """What a reward's folder says of itself, checked against its weights.

    Raises:
        InputError: this is no such folder, or its weights were cut short or changed.
    """
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {folder / ABOUT_FILE}; expected the folder of a trained reward") from error
    if not isinstance(about, dict) or about.get("palaestra_kind") != KIND:
        raise InputError(f"found another model in {folder}, expected one of kind {KIND}")
    if weights_sha256(folder) != about["weights_sha256"]:
        raise InputError(
            f"found {folder / WEIGHTS_FILE} with another hash than its {ABOUT_FILE} says, expected the weights as they "
            "were written; the file was cut short or changed: copy or train the model anew"
        )
    return about


def read_seen(folder: Path) -> Marks | None:
    """Marks of the prompts that a reward was trained on; None where its folder does not say.

    Raises:
        InputError: the file was cut short.
    """
    path = folder / SEEN_FILE
    if not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}; copy or train the model anew") from error


def weights_sha256(folder: Path) -> str:
    """The hash of a folder's weights.

    Raises:
        InputError: there are none.
    """
    try:
        with (folder / WEIGHTS_FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {folder / WEIGHTS_FILE}; expected the reward's weights") from error
