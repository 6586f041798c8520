"""Replies of a file, scored in chunks that are kept: an interrupted run goes on where it was.

    preferences     whatever `store/preferences.py` reads: every reply; how often is the better one higher?
    answers         question_id, model, text, with a file of prompts
    any table       prompt (text or messages) and reply (also response, answer, output); reference for verifiers

The table of scores repeats prompt and reply, so that it can be given as a reward itself: `scores:FILE`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from palaestra.errors import InputError
from palaestra.rewards.calibration import Figure
from palaestra.rewards.comparisons import Comparisons, Floats, compared
from palaestra.rewards.evaluation import Judged, Part
from palaestra.rewards.model import Reward, UncertainReward
from palaestra.rewards.vectors import asked
from palaestra.schema import Message, Preference
from palaestra.store.preferences import read_preferences
from palaestra.store.prompts import read_prompts
from palaestra.store.records import read_rows, write_text
from palaestra.whole_file import whole_file

ScoreFormat = Literal["parquet", "jsonl", "csv"]
CHUNK = 256
_REPLIES = ("reply", "response", "answer", "output", "text")
_PROMPTS = ("prompt", "messages", "instruction", "question")
_MESSAGES = TypeAdapter(tuple[Message, ...])


@dataclass(frozen=True, slots=True)
class Replies:
    """What is scored; `preferences` where it is known which replies are better."""

    id_N: tuple[str, ...]
    prompt_N: tuple[tuple[Message, ...], ...]
    reply_N: tuple[str, ...]
    model_N: tuple[str | None, ...]
    references: dict[str, str]
    preferences: tuple[Preference, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the better of two replies has the higher reward."""

    pairs: int
    level_pairs: int
    accuracy: Figure
    parts: tuple[Part, ...]


def read_replies(source: str | Path, prompts: Path | None = None, skip_bad: int = 0) -> Replies:
    """Read what is to be scored.

    Args:
        source: a file as above, or an arena's database.
        prompts: the questions to which answers refer by question_id.
        skip_bad: how many malformed preferences may be left out.

    Raises:
        InputError: unreadable, of no known shape, or a row without its prompt or reply; the row is named.
    """
    path = Path(source)
    if path.is_file():
        rows = read_rows(path, "replies")
        if prompts is not None:
            return _answers(path, rows, prompts)
        if _is_table(rows[0]):
            return _table(path, rows)
    elif prompts is not None:
        raise InputError(f"found {source} with --prompts, expected a file of answers")
    return _of_preferences(source, skip_bad)


def score_replies(
    reward: Reward, replies: Replies, folder: Path, tell: Callable[[int, int], None] = lambda _done, _all: None
) -> tuple[Floats, Floats | None]:
    """Rewards of all replies, and their spread where the reward knows it; chunks are kept in the folder.

    Raises:
        InputError: a reply cannot be scored, or the folder cannot be written.
    """
    parts = []
    total = len(replies.reply_N)
    for number, start in enumerate(range(0, total, CHUNK)):
        at = slice(start, start + CHUNK)
        file = folder / f"{number:05}-{_digest(replies.prompt_N[at], replies.reply_N[at])}.json"
        if file.is_file():
            parts.append(json.loads(file.read_text(encoding="utf-8")))
        else:
            parts.append(_scored(reward, replies.prompt_N[at], replies.reply_N[at]))
            write_text(file, json.dumps(parts[-1]))
        tell(min(start + CHUNK, total), total)
    frame = pl.DataFrame([row for part in parts for row in part], schema=["reward", "spread"], orient="row")
    spread = frame["spread"].cast(pl.Float64)
    return frame["reward"].to_numpy(), None if spread.null_count() else spread.to_numpy()


def agreement(replies: Replies, reward_N: Floats, confidence: float) -> Agreement | None:
    """How the rewards agree with known ranks; None where there are none, or all are level.

    Raises:
        InputError: the confidence is not between nought and one.
    """
    check_confidence(confidence)
    if all(one.is_tie for one in replies.preferences):
        return None
    comparisons: Comparisons = compared(replies.preferences)
    judged = Judged(comparisons, confidence)
    level = len(comparisons.first_B) - len(judged.first_B)
    parts = judged.parts(reward_N, replies.preferences)
    return Agreement(len(judged.first_B), level, judged.accuracy(reward_N), parts)


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that no interval can have.

    Raises:
        InputError: it is not between nought and one.
    """
    if not 0 < confidence < 1:
        raise InputError(f"found the confidence {confidence:g}, expected one between 0 and 1, as 0.95")


def write_scores(path: Path, replies: Replies, reward_N: Floats, spread_N: Floats | None) -> None:
    """Write the table of scores; whole or not at all.

    Raises:
        InputError: the path cannot be written, or has another suffix.
    """
    frame = pl.DataFrame(
        {
            "id": replies.id_N,
            "model": pl.Series(replies.model_N, dtype=pl.String),
            "prompt": [asked(prompt) for prompt in replies.prompt_N],
            "reply": replies.reply_N,
            "reward": reward_N,
        }
    )
    if spread_N is not None:
        frame = frame.with_columns(spread=pl.Series(spread_N))
    if replies.preferences:
        frame = frame.with_columns(rank=pl.Series([rank for one in replies.preferences for rank in one.ranks]))
    writers: dict[str, Callable[[Any], None]] = {
        ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson, ".csv": frame.write_csv,
    }  # fmt: skip
    if path.suffix not in writers:
        raise InputError(f"found {path.name!r}, expected a name that ends in {', '.join(writers)}")
    with whole_file(path, "scores to ") as part:
        writers[path.suffix](part)


def _scored(
    reward: Reward, prompts: Sequence[tuple[Message, ...]], replies: Sequence[str]
) -> list[tuple[float, float | None]]:
    if isinstance(reward, UncertainReward):
        reward_N, spread_N = reward.score_with_spread(prompts, replies)
        return list(zip(_finite(reward, reward_N).tolist(), spread_N.tolist(), strict=True))
    return [(value, None) for value in _finite(reward, reward.score(prompts, replies)).tolist()]


def _finite(reward: Reward, reward_N: Floats) -> Floats:
    """The rewards, if they are numbers: what is none would count as a wrong choice."""
    if not np.isfinite(reward_N).all():
        raise InputError(f"{reward.name}: found rewards with NaN or infinity, expected numbers")
    return reward_N


def _digest(prompts: Sequence[tuple[Message, ...]], replies: Sequence[str]) -> str:
    """Of what a chunk was asked: a ledger may have grown since, and its chunks with it."""
    digest = hashlib.sha256()
    for prompt, reply in zip(prompts, replies, strict=True):
        talk = json.dumps([[turn.role, turn.text] for turn in prompt] + [reply])
        digest.update(f"{talk}\n".encode())
    return digest.hexdigest()[:16]


def _is_table(row: dict[str, Any]) -> bool:
    """Whether a row is one reply to one prompt."""
    prompts, replies = ([name for name in names if name in row] for names in (_PROMPTS, _REPLIES))
    return bool(prompts and replies and "winner" not in row and "chosen" not in row and "label" not in row)


def _of_preferences(source: str | Path, skip_bad: int) -> Replies:
    found = read_preferences(source, skip_bad=skip_bad)
    kept = found.preferences
    return Replies(
        id_N=tuple(one.id for one in kept for _ in one.replies),
        prompt_N=tuple(one.prompt for one in kept for _ in one.replies),
        reply_N=tuple(reply for one in kept for reply in one.replies),
        model_N=tuple(model for one in kept for model in (one.models or (None,) * len(one.replies))),
        references=_references(str(source), ((one.text, one.labels.get("reference")) for one in kept)),
        preferences=kept,
        skipped=found.skipped,
    )


def _references(source: str, given: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The right answer to each prompt that has one.

    Raises:
        InputError: a prompt has two.
    """
    found: dict[str, str] = {}
    for prompt, reference in given:
        if reference is not None and found.setdefault(prompt, str(reference)) != str(reference):
            raise InputError(
                f"{source}: found the references {found[prompt]!r:.40} and {str(reference)!r:.40} for the prompt "
                f"{prompt!r:.60}, expected one right answer to each prompt"
            )
    return found


def _answers(path: Path, rows: Sequence[dict[str, Any]], prompts: Path) -> Replies:
    asked_of = {prompt.id: prompt for prompt in read_prompts(prompts, identified=True)}
    talks = []
    for number, row in enumerate(rows, start=1):
        prompt = asked_of.get(str(row.get("question_id")))
        if prompt is None:
            raise InputError(
                f"{path}: row {number}: found the question_id {row.get('question_id')!r}, expected one of {prompts}"
            )
        talks.append((Message.of("user", "\n\n".join(prompt.turns)),))
    return _rows(path, rows, talks)


def _table(path: Path, rows: Sequence[dict[str, Any]]) -> Replies:
    talks = []
    for number, row in enumerate(rows, start=1):
        value = next((row[name] for name in _PROMPTS if row.get(name)), None)
        try:
            talk = _MESSAGES.validate_python(value) if isinstance(value, list) else (Message.of("user", str(value)),)
        except ValidationError as error:
            raise InputError(f"{path}: row {number}: found {value!r:.60}, expected a prompt or messages") from error
        if value is None or not talk:
            raise InputError(f"{path}: row {number}: found no prompt, expected one in {', '.join(_PROMPTS)}")
        talks.append(talk)
    return _rows(path, rows, talks)


def _rows(path: Path, rows: Sequence[dict[str, Any]], talks: Sequence[tuple[Message, ...]]) -> Replies:
    texts = [next((row[name] for name in _REPLIES if row.get(name) is not None), None) for row in rows]
    if (bad := next((number for number, text in enumerate(texts, 1) if not isinstance(text, str)), None)) is not None:
        raise InputError(f"{path}: row {bad}: found no reply, expected a text in one of {', '.join(_REPLIES)}")
    return Replies(
        id_N=tuple(
            next((str(row[name]) for name in ("id", "question_id") if row.get(name) is not None), str(number))
            for number, row in enumerate(rows, 1)
        ),
        prompt_N=tuple(talks),
        reply_N=tuple(str(text) for text in texts),
        model_N=tuple(None if row.get("model") is None else str(row["model"]) for row in rows),
        references=_references(str(path), zip(map(asked, talks), (row.get("reference") for row in rows), strict=True)),
    )
