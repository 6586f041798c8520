"""What makes vectors of prompts, by name.

    local:minilm      all-MiniLM-L6-v2, the first 256 tokens; English: of Korean or Thai it sees little
    a model's name    of a models.toml: its endpoint is asked for `/embeddings`

Not here: vectors on disk (`learn/features.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from palaestra.gateway.embed import embedder
from palaestra.learn.features import Featurizer
from palaestra.schema import ModelSpec


def featurizer_named(name: str, specs: Sequence[ModelSpec] = ()) -> Featurizer:
    """The featurizer of this name.

    Raises:
        InputError: there is none.
        MissingPartError: what it needs is not installed.
    """
    return embedder(name, specs)
