"""Vectors of many texts, in chunks that are kept on disk as they come: what was embedded stays embedded.

Texts are sorted by length before they are cut into chunks, so that those that are computed together need little
padding. The chunks are the same whether they are computed in one run or in five, here or by Ray, and so are their
texts.

Not here: the embedders (`gateway/embed.py`), and the tasks of Ray (`shards.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palaestra.bench.stages import Artefact, Work, read_artefact, write_artefact
from palaestra.gateway.embed import Embedder, Precision, Vectors, embedder
from palaestra.schema import ModelSpec

CHUNK = 1024
"""Texts that are kept at once: about half a minute of one machine."""


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """How to come by an embedder, on this machine or another."""

    name: str
    precision: Precision = "auto"
    specs: tuple[ModelSpec, ...] = ()

    @property
    def identity(self) -> list[str]:
        """What tells its vectors from those of another: also of another endpoint of the same name."""
        where = [f"{spec.endpoint} {spec.api_name}" for spec in self.specs if spec.name == self.name]
        return [self.name, *(where or [self.precision])]

    def make(self) -> Embedder:
        """The embedder, loaded."""
        return embedder(self.name, self.specs, self.precision)


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of their texts, and what made them."""

    vectors_PD: Vectors
    made_by: str

    def take(self, places: NDArray[np.bool_]) -> Embedded:
        """Those of the texts for which this is true."""
        return Embedded(self.vectors_PD[places], self.made_by)


def embed(texts: Sequence[str], source: EmbedderSource, work: Work, key: str, *, ray: bool = False) -> Embedded:
    """A vector for each text.

    Args:
        texts: at least one.
        source: what embeds them; loaded only if a chunk is missing.
        work: where chunks are kept.
        key: a hash of the texts.
        ray: compute chunks in actors of Ray Data; the vectors may differ in their last digits, as those of two
        machines.

    Raises:
        InputError: there is no such embedder, or a chunk cannot be written.
        MissingPartError: what it needs is not installed.
        ModelError: an endpoint did not answer.
    """
    order_P = np.array(sorted(range(len(texts)), key=lambda place: (len(texts[place]), place)))
    cuts = [order_P[start : start + CHUNK] for start in range(0, len(order_P), CHUNK)]
    folder_key = {"texts": key, "embedder": source.identity, "chunk": CHUNK}
    if ray:
        _with_ray(texts, cuts, source, work, folder_key)
    loaded: list[Embedder] = []

    def chunk(number: int) -> Artefact:
        if not loaded:
            loaded.append(source.make())
        return embedded_chunk([texts[place] for place in cuts[number]], loaded[0])

    found = work.chunks("embedding", folder_key, len(cuts), chunk)
    return _joined(found, order_P)


def embedded_chunk(texts: Sequence[str], embed_: Embedder) -> Artefact:
    """The vectors of one chunk, with the name of what made them."""
    return Artefact({"vectors": embed_(texts)}, {"made_by": embed_.name})


def _with_ray(
    texts: Sequence[str], cuts: Sequence[NDArray[np.int64]], source: EmbedderSource, work: Work, key: dict
) -> None:
    """Compute the chunks that are missing, many at once."""
    from palaestra.bench.shards import embed_in_actors

    folder = work.parts("embedding", key)
    paths = [folder / f"{number:05}.npz" for number in range(len(cuts))]
    missing = [number for number, path in enumerate(paths) if read_artefact(path) is None]
    chunks = {number: [texts[place] for place in cuts[number]] for number in missing}
    for done, (number, artefact) in enumerate(embed_in_actors(chunks, source), start=1):
        write_artefact(paths[number], artefact)
        work.tell("embedding", len(cuts) - len(missing) + done, len(cuts))


def _joined(chunks: Sequence[Artefact], order_P: NDArray[np.int64]) -> Embedded:
    sorted_PD = np.concatenate([chunk["vectors"] for chunk in chunks])
    vectors_PD = np.empty_like(sorted_PD)
    vectors_PD[order_P] = sorted_PD
    return Embedded(vectors_PD, " and ".join(sorted({str(chunk.meta["made_by"]) for chunk in chunks})))
