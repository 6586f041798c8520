"""What makes vectors of prompts, by name.

    local:minilm              all-MiniLM-L6-v2, the first 256 tokens; English: of Korean or Thai it sees little
    gguf:smollm2, a folder    a language model's hidden states, their mean over at most 512 tokens: of SmolLM2 the
                              middle layer's, of a folder of Hugging Face the last layer's
    a model's name            of a models.toml: its endpoint is asked for `/embeddings`

Not here: vectors on disk (`learn/features.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from palaestra.gateway.embed import embedder
from palaestra.learn.features import Featurizer
from palaestra.learn.hidden import hidden_states, is_language_model
from palaestra.schema import ModelSpec

SMOLLM2 = "gguf:smollm2"
_MIDDLE = (15,)
"""Half way up the thirty layers of SmolLM2-135M: the last layers have turned to the next token."""


def featurizer_named(name: str, specs: Sequence[ModelSpec] = ()) -> Featurizer:
    """The featurizer of this name.

    Raises:
        InputError: there is none.
        MissingPartError: what it needs is not installed.
    """
    if is_language_model(name):
        return hidden_states(name, layers=_MIDDLE if name.startswith(SMOLLM2) else (-1,), pooling="mean")
    return embedder(name, specs)
