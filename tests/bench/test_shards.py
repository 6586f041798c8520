"""Chunks and parts worked off by actors of Ray Data are those that are worked off here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from crowds import DIMENSIONS, crowd, embeddings_endpoint

from palaestra.bench import embeddings
from palaestra.bench.embeddings import EmbedderSource, embed
from palaestra.bench.features import FEATURES
from palaestra.bench.scorer import Scorer, Weights, scorer_bytes
from palaestra.bench.shards import _checked, _EmbedsChunks, _ScoresParts, score_parts
from palaestra.bench.stages import Work
from palaestra.errors import InputError, MissingPartError
from palaestra.schema import ModelSpec


@pytest.fixture(scope="module")
def source() -> Iterator[EmbedderSource]:
    with embeddings_endpoint() as url:
        yield EmbedderSource("words", specs=(ModelSpec(name="words", endpoint=url),))


def scorer(embedder: str) -> Scorer:
    width, names = DIMENSIONS + len(FEATURES), "specificity domain_knowledge complexity problem_solving creativity"
    rng = np.random.default_rng(0)
    every = [*names.split(), "technical_accuracy", "real_world"]
    return Scorer(
        embedder=embedder,
        judge="j",
        labels=100,
        criteria={name: Weights(intercept=0.1, weights=tuple(rng.normal(size=width).tolist())) for name in every},
        features=FEATURES,
        mean=(0.0,) * width,
        scale=(1.0,) * width,
        cuts=tuple(range(1, 8)),
    )


@pytest.mark.slow
def test_ray_gives_the_same_vectors_and_scores(
    source: EmbedderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # read at import: every port on the loopback interface
    pytest.importorskip("ray")
    monkeypatch.setattr(embeddings, "CHUNK", 40)
    import ray

    prompts, _ = crowd(90)
    texts = [prompt.text for prompt in prompts]
    parts = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for number, part in enumerate(parts):
        rows = [{"id": prompt.id, "prompt": prompt.text} for prompt in prompts[number::3]]
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "scorer.json").write_bytes(scorer_bytes(scorer("words@words")))
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    try:
        far = embed(texts, source, Work(tmp_path / "far"), "key", ray=True)
        scored = score_parts(parts, tmp_path / "scorer.json", source, ray=True, actors=2)
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    here = embed(texts, source, Work(tmp_path / "here"), "key")
    assert np.array_equal(far.vectors_PD, here.vectors_PD)
    assert scored.equals(score_parts(parts, tmp_path / "scorer.json", source))
    assert scored["id"].to_list() == [prompt.id for number in range(3) for prompt in prompts[number::3]]
    assert scored.columns == ["part", "id", "score", *scorer("e").criteria]


def test_what_fails_in_an_actor_comes_back_as_what_it_is(source: EmbedderSource, tmp_path: Path) -> None:
    path = tmp_path / "gone.jsonl"
    row = {name: values[0] for name, values in _ScoresParts(source, scorer("words@words").to_dict())(
        {"number": [3], "path": [str(path)]}
    ).items()}  # fmt: skip
    with pytest.raises(InputError, match=r"no file .*gone\.jsonl"):
        _checked(row)
    lost = {name: values[0] for name, values in _EmbedsChunks(EmbedderSource("nobody"))(
        {"number": [0], "texts": [["a"]]}
    ).items()}  # fmt: skip
    with pytest.raises(InputError, match="found the embedder 'nobody'"):
        _checked(lost)


def test_what_does_not_go_together_is_said(source: EmbedderSource, tmp_path: Path) -> None:
    (tmp_path / "scorer.json").write_bytes(scorer_bytes(scorer("local:minilm/float32")))
    (tmp_path / "a.jsonl").write_text('{"prompt": "Explain the keel of a boat"}\n')
    with pytest.raises(InputError, match="the scorer has learnt from local:minilm"):
        score_parts([tmp_path / "a.jsonl"], tmp_path / "scorer.json", source)
    with pytest.raises(InputError, match="found no paths of parts"):
        score_parts([], tmp_path / "scorer.json", source)


def test_without_ray_the_command_that_helps_is_named(
    source: EmbedderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPartError, match=r"pip install 'palaestra\[ray\]'"):
        embed(["a text"], source, Work(tmp_path), "key", ray=True)
