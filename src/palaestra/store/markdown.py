r"""How much of something a text holds: tokens, headers, list items, bold texts. Both rankings and judges count by it.

Counting is by the public rule (FastChat's `add_markdown_info.py`) in the text without its fenced code: headers are
lines that begin with 1 to 6 `#` and a blank, list items lines that begin with a number and a dot or with `-`, `*`, `+`,
and a blank, bold is `**...**` or `__...__` within a line. Tokens are estimated by words and marks, `\w+|[^\w\s]`, and
by single characters in scripts that put no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese): an
estimate, no tokenizer's count. Not here: which text is an answer (`ranking/messages.py`, `judge/style.py`).
"""

from __future__ import annotations

import polars as pl

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
TOKEN = rf"[{_UNSPACED}]|[\w--[{_UNSPACED}]]+|[^\w\s]"
WITHOUT_CODE = pl.col("text").str.replace_all(r"(?s)```.*?```", "``````")
"""The text without what stands between fences, which stay, so that nothing after them begins a line."""
MARKDOWN = {
    "header": (r"(?m)^#{1,6}\s",),
    "list": (r"(?m)^\s*(?:\d+\.|[-*+])\s",),
    "bold": (r"\*\*[^*\n]+\*\*", r"__[^_\n]+__"),
}
"""Patterns of each mark."""


def count_in_texts(text_B: pl.Series) -> pl.DataFrame:
    """Counts of each text: `length` in tokens, `header`, `list`, `bold`, shape (B, 4), null where there is no text."""
    marks = [
        sum((pl.col("bare").str.count_matches(pattern) for pattern in patterns), start=pl.lit(0)).alias(name)
        for name, patterns in MARKDOWN.items()
    ]
    frame = pl.DataFrame({"text": text_B.cast(pl.String)}).with_columns(bare=WITHOUT_CODE)
    return frame.select(pl.col("text").str.count_matches(TOKEN).alias("length"), *marks)
