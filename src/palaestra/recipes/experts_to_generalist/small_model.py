"""A small Llama for the letters of this world: about three million weights, its embeddings tied.

Not here: how it is trained. A model of any other size, or of another family, does as well.
"""

from __future__ import annotations

from typing import Any

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries
from palaestra.recipes.experts_to_generalist.letters import letter_tokenizer

_HEAD = 64
_WIDER = 8 / 3
"""Hidden units of a gated block: as many weights as a plain one of four times the width has (Shazeer, 2020)."""
_STEP = 16


def small_model(
    width: int = 256, layers: int = 4, *, heads: int | None = None, longest: int = 256, seed: int = 0
) -> Any:  # noqa: ANN401 - of transformers
    """A `LlamaForCausalLM` with random weights.

    Args:
        width: of the residual stream.
        layers: how many blocks.
        heads: of attention; of about 64 columns each if left out.
        longest: the most tokens that it is made for.
        seed: of the weights; torch's own chance is left as it was.

    Raises:
        InputError: the width cannot be shared among the heads.
        MissingPartError: the extra `train` is not installed.
    """
    torch, transformers = libraries()
    heads = heads or max(1, width // _HEAD)
    if width % (2 * heads):
        raise InputError(f"found the width {width} and {heads} heads, expected a multiple of {2 * heads}")
    tokenizer = letter_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=round(_WIDER * width / _STEP) * _STEP,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=longest,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.LlamaForCausalLM(config)
