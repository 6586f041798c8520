"""A tokenizer of characters: printable ASCII and the end of a line, an arrow where the assistant begins, an end, a pad.

    add 47+38→85<end>

It is an ordinary `PreTrainedTokenizerFast` with a chat template: whatever reads a folder of Hugging Face reads it.
What it has no token for becomes `<unk>`.
"""

from __future__ import annotations

from typing import Any

from palaestra.learn.backbone import libraries

ARROW = "→"
PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
CHARACTERS = ("\n", *map(chr, range(32, 127)))
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{- '" + ARROW + "' + message['content'] + '" + END + "' -}}"
    "{%- elif message['role'] == 'user' -%}{{- message['content'] -}}"
    "{%- else -%}{{- raise_exception('only users and assistants speak here') -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '" + ARROW + "' -}}{%- endif -%}"
)


def letter_tokenizer() -> Any:  # noqa: ANN401 - of transformers
    """The tokenizer, which pads on the left.

    Raises:
        MissingPartError: the extra `train` is not installed.
    """
    _, transformers = libraries()
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: place for place, token in enumerate((PAD, END, UNKNOWN, ARROW, *CHARACTERS))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
