"""Embedding and scoring on more than one machine: the same code in actors of Ray Data.

An actor loads the embedder once, and works off batches. For a build (`--ray`) a batch is a chunk of `embeddings.py`,
whose vectors come back to the build; for `score_parts` it is a file of prompts, of which only scores come back, so that
millions of prompts never meet on one machine. Ray is started on the loopback interface and stopped again, unless
`ray.init` has been called before: then that Ray is used, a cluster perhaps, and left running.
"""

from __future__ import annotations

import io
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from palaestra.bench.criteria import NAMES
from palaestra.bench.embeddings import EmbedderSource, embedded_chunk
from palaestra.bench.features import text_features
from palaestra.bench.scorer import Scorer, read_scorer
from palaestra.bench.stages import Artefact
from palaestra.errors import InputError, MissingPartError, PalaestraError
from palaestra.gateway.embed import Embedder
from palaestra.store.prompts import read_prompts
from palaestra.store.ray_session import ray_session


def embed_in_actors(
    chunks: Mapping[int, Sequence[str]], source: EmbedderSource, *, actors: int | None = None
) -> Iterator[tuple[int, Artefact]]:
    """The vectors of chunks of texts, as they are done.

    Args:
        chunks: texts by the number of their chunk.
        source: what embeds them, loaded by every actor.
        actors: how many; one for each core, if left out.

    Raises:
        InputError: there is no such embedder, or Ray would listen on the network.
        MissingPartError: Ray, or what the embedder needs, is not installed.
    """
    rows = [{"number": number, "texts": list(texts)} for number, texts in chunks.items()]
    for row in _mapped(rows, _EmbedsChunks, (source,), actors):
        vectors_PD = np.load(io.BytesIO(row["result"]), allow_pickle=False)
        yield int(row["number"]), Artefact({"vectors": vectors_PD}, {"made_by": str(row["made_by"])})


def score_parts(
    parts: Sequence[str | Path],
    scorer: str | Path,
    source: EmbedderSource,
    *,
    ray: bool = False,
    actors: int | None = None,
) -> pl.DataFrame:
    """Scores of prompts that lie in several files: one row a prompt with `part`, `id`, `score` and the seven chances.

    Args:
        parts: files of prompts, of any format; with Ray on a cluster, the paths must lead to them on each machine.
        scorer: the file of a trained scorer.
        source: what embeds; it must be what the scorer was trained with.
        ray: score each part in an actor of Ray Data.
        actors: how many; one for each core, if left out.

    Raises:
        InputError: a part holds no prompts, the scorer is none or of another embedder, or Ray would listen on the
        network. MissingPartError: what is needed is not installed.
    """
    trained = read_scorer(scorer)
    paths = [str(Path(part).absolute()) for part in parts]
    if not paths:
        raise InputError("found no paths of parts, expected at least one")
    if not ray:
        embed = source.make()
        return pl.concat([_scored_part(path, embed, trained) for path in paths])
    rows = [{"number": number, "path": path} for number, path in enumerate(paths)]
    found = sorted(_mapped(rows, _ScoresParts, (source, trained.to_dict()), actors), key=lambda row: row["number"])
    return pl.concat([pl.read_ipc(io.BytesIO(row["result"])) for row in found])


class _Actor(ABC):
    """Loads an embedder, and works off rows. What fails comes back as a row: Ray would wrap it beyond recognition."""

    def __init__(self, source: EmbedderSource) -> None:
        self._load = cache(source.make)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        made = [{"number": int(row["number"]), "kind": "", "error": ""} | self._tried(row) for row in rows]
        return {name: [row[name] for row in made] for name in ("number", "kind", "error", "result", "made_by")}

    def _tried(self, row: Mapping[str, Any]) -> dict[str, Any]:
        try:
            embed = self._load()
            return {"result": self.work(row, embed), "made_by": embed.name}
        except PalaestraError as error:
            return {"kind": type(error).__name__, "error": str(error), "result": b"", "made_by": ""}

    @abstractmethod
    def work(self, row: Mapping[str, Any], embed: Embedder) -> bytes:
        """What is made of a row."""


class _EmbedsChunks(_Actor):
    def work(self, row: Mapping[str, Any], embed: Embedder) -> bytes:
        np.save(stream := io.BytesIO(), embedded_chunk(list(row["texts"]), embed)["vectors"], allow_pickle=False)
        return stream.getvalue()


class _ScoresParts(_Actor):
    def __init__(self, source: EmbedderSource, scorer: Mapping[str, Any]) -> None:
        super().__init__(source)
        self._scorer = Scorer.from_dict(scorer)

    def work(self, row: Mapping[str, Any], embed: Embedder) -> bytes:
        _scored_part(str(row["path"]), embed, self._scorer).write_ipc(stream := io.BytesIO())
        return stream.getvalue()


def _scored_part(path: str, embed: Embedder, scorer: Scorer) -> pl.DataFrame:
    if embed.name.partition("/")[0] != scorer.embedder.partition("/")[0]:
        raise InputError(
            f"found the embedder {embed.name}, the scorer has learnt from {scorer.embedder}: give that one"
        )
    prompts = read_prompts(path)
    texts = [prompt.text for prompt in prompts]
    chance_PC = scorer.chances(embed(texts), text_features(texts))
    known = {"part": [Path(path).name] * len(prompts), "id": [prompt.id for prompt in prompts]}
    columns = {name: chance_PC[:, place] for place, name in enumerate(NAMES)}
    return pl.DataFrame(known | {"score": chance_PC.sum(axis=1)} | columns)


def _mapped(
    rows: Sequence[Mapping[str, Any]], actor: type, given: tuple[Any, ...], actors: int | None
) -> Iterator[dict[str, Any]]:
    """Each row through an actor, one at a time, in no order."""
    if not rows:
        return
    with ray_session("embedding in actors") as ray:
        import ray.data

        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        size = min(actors or os.cpu_count() or 1, len(rows))
        mapped = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map_batches(
            actor, fn_constructor_args=given, batch_size=1, compute=ray.data.ActorPoolStrategy(size=size), num_cpus=1
        )
        for row in mapped.iter_rows():
            yield _checked(dict(row))


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """The row, if nothing failed."""
    if row["error"]:
        known = {kind.__name__: kind for kind in (InputError, MissingPartError)}
        raise known.get(row["kind"], PalaestraError)(row["error"])
    return row
