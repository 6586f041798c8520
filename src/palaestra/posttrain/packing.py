"""Several examples in one row, without seeing each other (Krell, Kosec, Perez and Fitzgibbon, 2021).

    packed    which examples share a row: the longest first, each where it leaves the least room (best fit decreasing)
    batch     rows as tensors: positions that begin anew with every example, and no attention mask, of which
              transformers makes a mask by blocks (eager, sdpa, flex) or boundaries (flash attention)

Not every architecture keeps examples of a row apart: `check_apart` looks, before anything is trained. Not here: which
examples belong to a step (`mixing.py`).
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

from palaestra.errors import InputError
from palaestra.learn.backbone import libraries
from palaestra.posttrain.tokens import Tokens

MASKED = -100
"""The label of a token that is not learnt, as in torch."""
_APART = 1e-2
"""Of the spread of logits: what 16 bits may change."""


def packed(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Rows as the numbers of what is in them.

    Args:
        lengths: in tokens; each at most `room`.
        room: of a row, in tokens.

    Raises:
        InputError: something is longer than a row.
    """
    if lengths and max(lengths) > room:
        raise InputError(f"found an example of {max(lengths)} tokens, expected at most the {room} of a row")
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # sorted room and number of each row
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        place = bisect.bisect_left(free, (lengths[number], -1))
        if place == len(free):
            rows.append([])
            left, row = room, len(rows) - 1
        else:
            left, row = free.pop(place)
        rows[row].append(number)
        bisect.insort(free, (left - lengths[number], row))
    return rows


def dealt(lengths: Sequence[int], parts: int) -> list[list[int]]:
    """Numbers dealt to parts of about as many tokens: the longest first, each to the part that has the least."""
    found: list[list[int]] = [[] for _ in range(parts)]
    load = [0] * parts
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        least = min(range(parts), key=lambda part: (load[part], part))
        found[least].append(number)
        load[least] += lengths[number]
    return found


def batch(rows: Sequence[Tokens], room: int, padding: int, *, flat: bool = False) -> dict[str, Any]:
    """Examples as packed rows, shapes (R, T): input_ids, position_ids and labels.

    Args:
        rows: the examples.
        room: of a row, in tokens; 0 gives each example a row of its own, in their order.
        padding: a token that fills up.
        flat: all in one row, with the boundaries that flash attention reads.
    """
    torch, _ = libraries()
    if flat:
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        return DataCollatorForLanguageModeling(padding, padding_free=True)(
            [{"input_ids": list(row.tokens), "labels": _labels(row)} for row in rows]
        )
    together = packed([len(row.tokens) for row in rows], room) if room else [[number] for number in range(len(rows))]
    longest = max(sum(len(rows[number].tokens) for number in each) for each in together)
    ids_RT = torch.full((len(together), longest), padding)
    labels_RT = torch.full((len(together), longest), MASKED)
    place_RT = torch.zeros((len(together), longest), dtype=torch.long)
    for row, numbers in enumerate(together):
        end = 0
        for number in numbers:
            start, end = end, end + len(rows[number].tokens)
            ids_RT[row, start:end] = torch.tensor(rows[number].tokens)
            labels_RT[row, start:end] = torch.tensor(_labels(rows[number]))
            place_RT[row, start:end] = torch.arange(end - start)
        place_RT[row, end:] = torch.arange(longest - end)  # what fills up is an example of its own
    return {"input_ids": ids_RT, "position_ids": place_RT, "labels": labels_RT}


def check_apart(model: Any, rows: Sequence[Tokens], padding: int) -> None:  # noqa: ANN401 - of transformers
    """See that two examples in a row do not see each other.

    Args:
        model: a causal language model.
        rows: examples; the two shortest are looked at.
        padding: a token that fills up.

    Raises:
        InputError: the second one reads otherwise beside the first than alone.
    """
    torch, _ = libraries()
    if len(rows) < 2:  # noqa: PLR2004 - a pair
        return
    pair = sorted(rows, key=lambda row: -len(row.tokens))[-2:]
    second = pair[packed([len(row.tokens) for row in pair], sum(len(row.tokens) for row in pair))[0][1]]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            beside, alone = (logits(model, each, padding)[0, -len(second.tokens) :] for each in (pair, [second]))
    finally:
        model.train(was_training)
    apart = float((beside - alone).abs().max() / alone.std().clamp(min=1e-9))
    if not apart <= _APART:
        raise InputError(
            f"found that examples in one row see each other in this model (logits differ by {apart:.2g} of their "
            "spread), expected none to; train without packing (pack_to 0)"
        )


def logits(model: Any, rows: Sequence[Tokens], padding: int) -> Any:  # noqa: ANN401 - of transformers
    """Logits (1, T, V) of examples that share one row."""
    made = batch(rows, sum(len(row.tokens) for row in rows), padding)
    return model(
        input_ids=made["input_ids"].to(model.device),
        position_ids=made["position_ids"].to(model.device),
        use_cache=False,
    ).logits.float()


def _labels(row: Tokens) -> list[int]:
    return [token if learnt else MASKED for token, learnt in zip(row.tokens, row.learnt, strict=True)]
