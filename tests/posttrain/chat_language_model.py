"""A small language model over characters whose template has turns, for tests of chat."""

from __future__ import annotations

from pathlib import Path

import torch


def chat_model(folder: Path, template: str | None, *, layers: int = 2, width: int = 32) -> str:
    """A folder of Hugging Face: a tokenizer of one token a character, `<s>` begins a turn and `<e>` ends it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    characters = [*map(chr, range(32, 127)), "\n"]
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<e>", "<unk>", "<s>", *characters])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<e>", unk_token="<unk>",
        additional_special_tokens=["<s>"], chat_template=template,
    )  # fmt: skip
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=None,
        eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
