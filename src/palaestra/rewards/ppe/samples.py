"""Many replies to one prompt, each right or wrong: the correctness side's files, read as they are published.

    best of K   a row a prompt: prompt, response_1 ... response_N, scores (a list of N, right or wrong), and
                question_id, model_name, sampled_conflict_pairs (pairs of a right and a wrong reply, from 0) where known

A file of best of K is one domain, named by the file; in a long one the column `domain` says which. Not here: votes and
preferences (`store/preferences.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.schema import Message
from palaestra.store.records import read_rows

Row = Mapping[str, Any]

_RESPONSE = re.compile(r"response_(\d+)")
_PUBLISHED = re.compile(r"(?:PPE-)?(.+?)(?:-Best-of-K)?(?:-train)?")
_RIGHT = {True: True, False: False, "1": True, "0": False, "true": True, "false": False,
          "True": True, "False": False, "1.0": True, "0.0": False}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Samples:
    """The replies of one model to one prompt."""

    id: str
    """Its own in the file: question_id, with the model's name where several answer one question."""
    question: str
    """Rows of one question are resampled together."""
    prompt: tuple[Message, ...]
    replies: tuple[str, ...]
    right: tuple[bool, ...]
    domain: str
    model: str | None = None
    pairs: tuple[tuple[int, int], ...] = ()
    """Pairs of a right and a wrong reply that the file asks about; numbered from 0."""


def read_samples(path: str | Path, domain: str | None = None) -> tuple[Samples, ...]:
    """Read samples.

    Args:
        path: Parquet, CSV, JSON lines or JSON.
        domain: its name; if not given, the file's, or what the column `domain` says.

    Raises:
        InputError: the file has columns of neither kind, or a row that is malformed; it is named.
    """
    path = Path(path)
    rows = read_rows(path, "replies that are right or wrong")
    named = domain or _domain_of(path)
    if "scores" in rows[0] and any(_RESPONSE.fullmatch(name) for name in rows[0]):
        found = list(_numbered(path, rows, lambda row, number: _best_of(row, number, named)))
    elif {"prompt", "response", "correct"} <= rows[0].keys():
        found = list(_grouped(path, rows, domain or named, given=domain is not None))
    else:
        raise InputError(
            f"{path}: found the columns {', '.join(rows[0])}, expected prompt, response_1 ... response_N and scores, "
            "or question_id, prompt, response and correct"
        )
    return _distinct(path, found)


def _domain_of(path: Path) -> str:
    stem = path.name.partition(".")[0]
    found = _PUBLISHED.fullmatch(stem)
    return found[1] if found else stem


def _numbered(path: Path, rows: Sequence[Row], translate: Callable[[Row, int], Samples]) -> Iterator[Samples]:
    for number, row in enumerate(rows, start=1):
        try:
            yield translate(row, number)
        except (ValueError, TypeError, KeyError) as error:
            said = f"found no {error.args[0]}, expected one" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}: row {number}: {said}") from error


def _best_of(row: Row, number: int, domain: str) -> Samples:
    places = sorted(int(found[1]) for name in row if (found := _RESPONSE.fullmatch(name)) and row[name] is not None)
    scores = row["scores"]
    if not isinstance(scores, list) or len(scores) != len(places):
        count = len(scores) if isinstance(scores, list) else repr(scores)
        raise ValueError(f"found {len(places)} responses and {count} scores, expected one for each")
    right = tuple(map(_right, scores))
    pairs = tuple((int(one), int(other)) for one, other in row.get("sampled_conflict_pairs") or ())
    for one, other in pairs:
        if not (0 <= one < len(right) and 0 <= other < len(right)) or right[one] == right[other]:
            raise ValueError(f"sampled_conflict_pairs: found {[one, other]}, expected a right and a wrong response")
    question = str(number if row.get("question_id") is None else row["question_id"])
    return _checked(
        Samples(
            id=question,
            question=question,
            prompt=_asked(row["prompt"]),
            replies=tuple(str(row[f"response_{place}"]) for place in places),
            right=right,
            domain=domain,
            model=_name(row, "model_name", "model"),
            pairs=pairs,
        )
    )


def _grouped(path: Path, rows: Sequence[Row], domain: str, *, given: bool) -> Iterator[Samples]:
    groups: dict[tuple[str, str, str | None], list[tuple[int, Row]]] = {}
    for number, row in enumerate(rows, start=1):
        own = domain if given else str(row.get("domain") or domain)
        question = str(row["prompt"] if row.get("question_id") is None else row["question_id"])
        groups.setdefault((own, question, _name(row, "model_name", "model")), []).append((number, row))
    for (own, question, model), found in groups.items():
        replies, right = [], []
        for number, row in found:
            if row.get("response") is None or row.get("prompt") != found[0][1].get("prompt"):
                raise InputError(
                    f"{path}: row {number}: found no response, or another prompt than the question's first"
                )
            try:
                right.append(_right(row.get("correct")))
            except ValueError as error:
                raise InputError(f"{path}: row {number}: {error}") from error
            replies.append(str(row["response"]))
        try:
            prompt = _asked(found[0][1]["prompt"])
            yield _checked(Samples(question, question, prompt, tuple(replies), tuple(right), own, model))
        except ValueError as error:
            raise InputError(f"{path}: row {found[0][0]}: {error}") from error


def _checked(found: Samples) -> Samples:
    if len(found.replies) < 2:  # noqa: PLR2004 - one reply has no better one
        raise ValueError(f"found {len(found.replies)} replies to {found.id!r}, expected at least two")
    return found


def _right(value: object) -> bool:
    try:
        return _RIGHT[value]  # ty: ignore[invalid-argument-type]
    except (KeyError, TypeError) as error:
        raise ValueError(f"found the correctness {value!r:.40}, expected true or false, 1 or 0") from error


def _asked(prompt: object) -> tuple[Message, ...]:
    if isinstance(prompt, str) and prompt.strip():
        return (Message.of("user", prompt),)
    if isinstance(prompt, list) and prompt:
        return tuple(Message.model_validate({"role": turn["role"], "content": turn["content"]}) for turn in prompt)
    raise ValueError(f"found the prompt {prompt!r:.40}, expected what was asked")


def _name(row: Row, *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name) is not None), None)


def _distinct(path: Path, found: Sequence[Samples]) -> tuple[Samples, ...]:
    """The same with ids that occur once: question, and where that is not enough, the model."""
    seen: dict[str, int] = {}
    for one in found:
        seen[one.id] = seen.get(one.id, 0) + 1
    named = tuple(
        one
        if seen[one.id] == 1
        else Samples(
            f"{one.id}:{one.model}", one.question, one.prompt, one.replies, one.right, one.domain, one.model, one.pairs
        )
        for one in found
    )
    ids = [(one.domain, one.id) for one in named]
    if len(set(ids)) < len(ids):
        again = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise InputError(f"{path}: found two rows of {again[1]!r}, expected one for each question and model")
    return named
