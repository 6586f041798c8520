"""The world: its domains by name, their examples in three splits that share no prompt, and whether a reply is right.

A prompt belongs to one split for ever, by a hash of its text: eight parts in ten train, one is for validation, one is
for the test. Same domain, split and seed: same examples. Not here: models (`small_model.py`), grades (`grading.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal, get_args

from palaestra.errors import InputError
from palaestra.posttrain.examples import Example
from palaestra.recipes.experts_to_generalist.calendar_domains import CALENDAR_DOMAINS
from palaestra.recipes.experts_to_generalist.domain import Domain, Task, answer_in, working
from palaestra.recipes.experts_to_generalist.number_domains import NUMBER_DOMAINS
from palaestra.recipes.experts_to_generalist.symbol_domains import SYMBOL_DOMAINS
from palaestra.recipes.experts_to_generalist.word_domains import WORD_DOMAINS
from palaestra.schema import Message

Split = Literal["train", "validation", "test"]
Says = Literal["answer", "working", "nothing"]

DOMAINS: dict[str, Domain] = {
    domain.tag: domain for domain in (*NUMBER_DOMAINS, *WORD_DOMAINS, *CALENDAR_DOMAINS, *SYMBOL_DOMAINS)
}
LONGEST_PROMPT, LONGEST_ANSWER, LONGEST_WORKING = 24, 16, 80
"""In characters, which are tokens."""

_PARTS: tuple[Split, ...] = ("test", "validation", *("train",) * 8)
_PATIENCE = 1000
"""Draws for one more prompt that was not there before, before a split counts as used up."""


def domain_of(name: str) -> Domain:
    """The domain of this name.

    Raises:
        InputError: there is none.
    """
    if name not in DOMAINS:
        raise InputError(f"found the domain {name!r}, expected one of {', '.join(DOMAINS)}")
    return DOMAINS[name]


def split_of(prompt: str) -> Split:
    """The split to which a prompt belongs."""
    return _PARTS[int.from_bytes(hashlib.blake2b(prompt.encode(), digest_size=8).digest()) % len(_PARTS)]


def examples(domain: str, split: Split, count: int, seed: int, *, says: Says = "answer") -> list[Example]:
    """Examples of one domain.

    Args:
        domain: its name.
        split: `train` may have a prompt twice; the others have none twice.
        count: how many.
        seed: of the draw; other seeds of one split may have prompts in common.
        says: what the completion is: the gold answer, a verbose working that ends in it, or nothing. The answer is in
            `reference` whatever this is.

    Raises:
        InputError: there is no such domain or split, or the split has not so many prompts.
    """
    asked = domain_of(domain)
    if split not in get_args(Split):
        raise InputError(f"found the split {split!r}, expected one of {', '.join(get_args(Split))}")
    tasks = _tasks(asked, split, Random(f"{seed} {domain} {split}"))  # noqa: S311 - made-up questions
    return [
        _example(asked, f"{domain}-{split}-{seed}-{place}", next(tasks), says) for place, _ in enumerate(range(count))
    ]


def mixture(
    split: Split, count: int, seed: int, *, says: Says = "answer", domains: Sequence[str] = ()
) -> list[Example]:
    """So many examples of each domain, of all of them unless some are named, in the order of a shuffle.

    Raises:
        InputError: as `examples` says.
    """
    found = [each for domain in domains or DOMAINS for each in examples(domain, split, count, seed, says=says)]
    Random(f"{seed} mixture {split}").shuffle(found)  # noqa: S311 - an order
    return found


def score(domain: str, prompt: str, reply: str) -> bool:
    """Whether a reply is right: its answer is all that stands after its last `#`, or all of it.

    Raises:
        InputError: there is no such domain, or the prompt is none of its.
    """
    asked = domain_of(domain)
    tag, _, body = prompt.partition(" ")
    if tag != asked.tag or not body:
        raise InputError(f"found the prompt {prompt!r} for the domain {domain}, expected {asked.tag!r} and a question")
    try:
        return asked.check(body, answer_in(reply))
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(
            f"found the prompt {prompt!r}, which is no question of the domain {domain}: {error}"
        ) from error


def world_table() -> str:
    """The domains as a table in Markdown: an example each, a working, and how many prompts there are."""
    lines = ["| domain | asks for | prompt | answer | working | prompts |", "|---|---|---|---|---|---|"]
    for name, domain in DOMAINS.items():
        ask, said = (examples(name, "train", 1, 0, says=says)[0] for says in ("answer", "working"))
        cells = (name, domain.title, *(f"`{text}`" for text in (ask.asked, ask.reply, said.reply)), f"{domain.space:,}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _tasks(domain: Domain, split: Split, rng: Random) -> Iterator[Task]:
    seen: set[str] = set()
    missed = 0
    while missed < _PATIENCE:
        task = domain.draw(rng)
        if split_of(domain.prompt(task.body)) != split or task.body in seen:
            missed += 1
            continue
        missed = 0
        if split != "train":
            seen.add(task.body)
        yield task
    raise InputError(
        f"found {len(seen)} prompts of the domain {domain.tag} for {split} and no more, expected fewer to be asked for"
    )


def _example(domain: Domain, name: str, task: Task, says: Says) -> Example:
    said = {"answer": task.answer, "working": working(task), "nothing": None}[says]
    return Example(
        id=name,
        prompt=(Message.of("user", domain.prompt(task.body)),),
        completion=() if said is None else (Message.of("assistant", said),),
        domain=domain.tag,
        reference=task.answer,
    )
