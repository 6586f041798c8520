"""What a model answers to held-out prompts: is it right, and in how many tokens.

The likeliest token each time, or samples at a temperature. What is right is said by a callable, as in `rl.py`. Not
here: figures of several models beside each other (`frontier.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.learn.backbone import conversation_text, encode, libraries
from palaestra.learn.generation import Sampling, end_tokens, sample
from palaestra.learn.trainer import quiet
from palaestra.posttrain.examples import Example
from palaestra.posttrain.rollout_scores import RewardFunction
from palaestra.store.records import read_rows, write_lines

_RIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Answered:
    """One reply to one prompt."""

    id: str
    """Of the example."""
    domain: str
    right: float
    """1 or 0."""
    tokens: int
    """Of the reply, its end counted."""
    reply: str


def answers(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    examples: Sequence[Example],
    correct: RewardFunction,
    how: Sampling,
    *,
    max_prompt: int = 1024,
    samples: int = 1,
    seed: int = 0,
) -> tuple[Answered, ...]:
    """Replies to each prompt, prompt by prompt.

    Args:
        model: a causal language model.
        tokenizer: the model's.
        examples: with references, where `correct` needs them.
        correct: a reply is right where it says more than 0.5.
        how: length and temperature; 0 takes the likeliest token.
        max_prompt: tokens of a prompt.
        samples: replies to each.
        seed: of chance.

    Raises:
        InputError: there is no example.
    """
    torch, _ = libraries()
    if not examples:
        raise InputError("found no example to answer, expected at least one")
    asked = [example for example in examples for _ in range(samples)]
    prompts = [encode(tokenizer, conversation_text(tokenizer, one.prompt), max_prompt)[0] for one in asked]
    chance = torch.Generator(model.device).manual_seed(seed)
    with quiet():
        drawn = sample(model, prompts, how, ends=end_tokens(model, tokenizer), generator=chance)
    texts = tokenizer.batch_decode([one.tokens for one in drawn], skip_special_tokens=True)
    right = correct(
        [one.prompt for one in asked], texts, [one.reference for one in asked], [one.domain for one in asked]
    )
    return tuple(
        Answered(example.id, example.domain, float(is_right > _RIGHT), len(said.tokens), text)
        for example, said, text, is_right in zip(asked, drawn, texts, right, strict=True)
    )


def by_domain(found: Sequence[Answered]) -> dict[str, float]:
    """The share that is right, domain by domain."""
    right: dict[str, list[float]] = {}
    for one in found:
        right.setdefault(one.domain, []).append(one.right)
    return {name: sum(values) / len(values) for name, values in sorted(right.items())}


def write_answers(path: Path, found: Sequence[Answered]) -> None:
    """Write answers as JSON lines.

    Raises:
        InputError: the path cannot be written.
    """
    write_lines(path, (asdict(one) for one in found))


def read_answers(path: Path) -> tuple[Answered, ...]:
    """Read answers: id, domain, right, tokens, reply.

    Raises:
        InputError: it cannot be read, or a row lacks one of these.
    """
    rows = read_rows(path, "answers")
    try:
        return tuple(
            Answered(
                str(row["id"]), str(row.get("domain") or "all"), float(row["right"]), int(row["tokens"]),
                str(row.get("reply") or ""),
            )
            for row in rows
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: found rows without {error}, expected id, right and tokens in each") from error
