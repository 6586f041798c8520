"""Votes with the prompts that they were given on, coded once: for whatever learns who is better at what.

    votes       any format of `formats.py` with conversations, or with a column prompt, instruction or question; an
                arena's database
    judged      the same with question_id (or another id) instead, beside a file of prompts
    outcomes    a table with one row a prompt and, for each model, a column of right or wrong: `gpt-4_correct`, or all
                columns that begin with one, ids aside. Both right is a tie, both wrong is both bad

The prompt is what the user has said, turn by turn, joined by a blank line; a vote without one is malformed. Spaces
around a prompt and the ends of its lines (CR LF or LF) make no other prompt of it: else one prompt would be both
learnt from and held out.
Not here: what is learnt (`p2l/`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from palaestra.errors import VoteFileError
from palaestra.schema import Winner
from palaestra.store.formats import read_votes
from palaestra.store.prompts import read_prompts
from palaestra.store.records import kind_of, read_rows
from palaestra.store.sources import is_database

Integers = NDArray[np.int32]
OUTCOMES = [winner.value for winner in Winner]

_TEXTS = ("prompt", "instruction", "question")
_TALKS = ("conversation_a", "conversation_b")
_IDS = ("question_id", "prompt_id", "instruction_id", "uid")
_NUMBERS = ("id", "index", "idx", "row", "turn", "turns", "weight", *_IDS)
"""Columns of a table of outcomes that are no models, even where they hold 0 and 1 alone."""
_ABOUT = ("voter", "category", "subject", "language")
_VERDICTS = {"winner", "game1", "games", "preference"}
_SUFFIXES = ("_correct", "_score")
_TWO = 2
_HEAD = 5
"""Rows by which a table of outcomes is known; votes may be millions."""


@dataclass(frozen=True, slots=True)
class PromptedVotes:
    """B votes among M models on P distinct prompts.

    Outcomes are 0 (first wins), 1 (second wins), 2 (tie), 3 (both bad). `voter_B` is -1 where nobody is named.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    prompt_B: Integers
    first_B: Integers
    second_B: Integers
    outcome_B: NDArray[np.int8]
    weight_B: NDArray[np.float64]
    voter_B: Integers
    voters: tuple[str, ...] = ()
    category_P: tuple[str | None, ...] = ()

    def take(self, kept_B: NDArray[np.bool_]) -> PromptedVotes:
        """Some of the votes; prompts, models and voters keep their numbers."""
        names = ("prompt_B", "first_B", "second_B", "outcome_B", "weight_B", "voter_B")
        return replace(self, **{name: getattr(self, name)[kept_B] for name in names})

    def of_prompts(self, kept_P: NDArray[np.bool_]) -> PromptedVotes:
        """The votes on some of the prompts; prompts, models and voters keep their numbers."""
        return self.take(kept_P[self.prompt_B])

    @property
    def sha256(self) -> str:
        """A hash of what the votes say: equal for equal prompts, models and votes in the same order."""
        said = hashlib.sha256(json.dumps([self.prompts, self.models]).encode())
        for one_B in (self.prompt_B, self.first_B, self.second_B, self.outcome_B, self.weight_B):
            said.update(np.ascontiguousarray(one_B).tobytes())
        return said.hexdigest()

    def __len__(self) -> int:
        """The number of votes."""
        return len(self.prompt_B)


def read_prompted_votes(
    source: str | Path, *, prompts: str | Path | None = None, skip_bad: int = 0, baseline: str | None = None
) -> PromptedVotes:
    """Read votes with their prompts.

    Args:
        source: a file of votes, of verdicts or of outcomes, or the URL of an arena's database.
        prompts: a file of prompts, where the votes name them by an id only.
        skip_bad: how many malformed rows may be left out, those without a prompt among them.
        baseline: for verdicts that do not name the model against which they were given.

    Raises:
        VoteFileError: a vote without its prompt, or malformed; the row is named.
        InputError: a file cannot be read.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        return _of_ledger(str(source), skip_bad)
    path = Path(source)
    if (outcomes := _outcomes(path, skip_bad)) is not None:
        return outcomes
    read = read_votes(path, skip_bad=skip_bad, baseline=baseline, wanted=_wanted(prompts))
    text_B = _texts(read.frame, str(path), prompts)
    return _coded(*_with_prompts(str(path), read.frame, text_B, skip_bad - len(read.skipped)))


def _with_prompts(source: str, votes: pl.DataFrame, text_B: pl.Series, skip_bad: int) -> tuple[pl.DataFrame, pl.Series]:
    """The votes whose prompts say something, with these prompts as they are told apart.

    Raises:
        VoteFileError: more have none than may be left out, or all.
    """
    text_B = pl.Series([None if text is None else _plain(text) for text in text_B.to_list()], dtype=pl.String)
    said_B = (text_B != "").fill_null(value=False)
    missing = (~said_B).arg_true().to_list()
    if len(missing) > max(skip_bad, 0) or len(missing) == len(votes):
        raise VoteFileError(
            f"{source}: vote {missing[0] + 1}: found a vote without its prompt ({len(missing)} of {len(votes)} votes), "
            f"expected conversations, or a column {', '.join(_TEXTS)}, or --prompts with the ids of the votes; "
            "--skip-bad leaves out as many as it says"
        )
    return votes.filter(said_B), text_B.filter(said_B)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _wanted(prompts: str | Path | None) -> Callable[[Sequence[str]], list[str]]:
    names = (*_ABOUT, *(_IDS if prompts else (*_TEXTS, _TALKS[0])), "judge", "judge_hash", "user")

    def wanted(there: Sequence[str]) -> list[str]:
        return [name for name in there if name in names]

    return wanted


def _texts(votes: pl.DataFrame, source: str, prompts: str | Path | None) -> pl.Series:
    """The prompt of each vote, null where there is none."""
    if prompts is not None:
        name = next((name for name in _IDS if name in votes.columns), None)
        if name is None:
            raise VoteFileError(f"{source}: found no column {', '.join(_IDS)}, expected one to look prompts up by")
        known = {prompt.id: prompt.text for prompt in read_prompts(prompts, identified=True)}
        return votes[name].cast(pl.String).replace_strict(known, default=None, return_dtype=pl.String)
    for name in _TEXTS:
        if name in votes.columns and votes[name].dtype == pl.String:
            return votes[name]
    if _TALKS[0] in votes.columns:
        return _asked(votes[_TALKS[0]], source)
    raise VoteFileError(
        f"{source}: found votes without their prompts (columns {', '.join(votes.columns)}), expected "
        f"conversation_a, or a column {', '.join(_TEXTS)}; where votes name prompts by an id, give --prompts FILE"
    )


def _asked(talk_B: pl.Series, source: str) -> pl.Series:
    """The user's turns of conversations."""
    if talk_B.dtype == pl.String:
        return pl.Series([_asked_in(text) for text in talk_B.to_list()], dtype=pl.String)
    message = pl.element().struct
    content = message.field("content")
    inner = talk_B.dtype.inner if isinstance(talk_B.dtype, pl.List) else None
    kinds = {field.name: field.dtype for field in inner.fields} if isinstance(inner, pl.Struct) else {}
    if not {"role", "content"} <= kinds.keys():
        raise VoteFileError(
            f"{source}: column {talk_B.name}: found {talk_B.dtype}, expected a list of messages with role and content"
        )
    said_of = kinds["content"]
    if isinstance(said_of, pl.List):  # typed parts
        parts = {field.name for field in said_of.inner.fields} if isinstance(said_of.inner, pl.Struct) else set()
        if "text" not in parts:
            return pl.Series([None] * len(talk_B), dtype=pl.String)
        content = content.list.eval(pl.element().struct.field("text")).list.join("\n\n", ignore_nulls=True)
    said = talk_B.list.eval(pl.when(message.field("role") == "user").then(content))
    return said.list.drop_nulls().list.join("\n\n")


def _asked_in(text: str | None) -> str | None:
    """The user's turns of a conversation that is written as JSON; None where it is none."""
    try:
        talk = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(talk, list):
        return None
    said = [_text_of(one.get("content")) for one in talk if isinstance(one, Mapping) and one.get("role") == "user"]
    return "\n\n".join(one for one in said if one is not None).encode("utf-8", "replace").decode()


def _text_of(content: Any) -> str | None:  # noqa: ANN401 - as JSON has it
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n\n".join(part for part in parts if isinstance(part, str))


def _coded(votes: pl.DataFrame, text_B: pl.Series) -> PromptedVotes:
    prompts, prompt_B = _numbered(text_B)
    kind = votes["model_a"].dtype
    models = kind.categories.to_list() if isinstance(kind, pl.Enum) else []
    first_B, second_B = (votes[name].to_physical().to_numpy().astype(np.int32) for name in ("model_a", "model_b"))
    there_M = np.zeros(len(models), dtype=bool)
    there_M[first_B] = there_M[second_B] = True
    place_M = np.cumsum(there_M, dtype=np.int32) - 1
    voters, voter_B = _numbered(votes["voter"]) if "voter" in votes.columns else ((), _nobody(len(votes)))
    about = next((name for name in ("category", "subject") if name in votes.columns), None)
    category_P: tuple[str | None, ...] = ()
    if about is not None:
        first = dict(zip(prompt_B[::-1].tolist(), votes[about].cast(pl.String)[::-1].to_list(), strict=True))
        category_P = tuple(first[place] for place in range(len(prompts)))
    return PromptedVotes(
        prompts=prompts,
        models=tuple(name for name, there in zip(models, there_M, strict=True) if there),
        prompt_B=prompt_B,
        first_B=place_M[first_B],
        second_B=place_M[second_B],
        outcome_B=votes["winner"].cast(pl.Enum(OUTCOMES)).to_physical().to_numpy().astype(np.int8),
        weight_B=votes["weight"].to_numpy().astype(float) if "weight" in votes.columns else np.ones(len(votes)),
        voter_B=voter_B,
        voters=voters,
        category_P=category_P,
    )


def _nobody(votes: int) -> Integers:
    return np.full(votes, -1, dtype=np.int32)


def _numbered(text_B: pl.Series) -> tuple[tuple[str, ...], Integers]:
    """Distinct texts in the order of their first vote, and the number of each vote's; -1 for none."""
    text_B = text_B.cast(pl.String)
    distinct = text_B.drop_nulls().unique(maintain_order=True)
    codes = text_B.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32).fill_null(-1)
    return tuple(distinct.to_list()), codes.to_numpy().astype(np.int32)


def _of_ledger(source: str, skip_bad: int) -> PromptedVotes:
    from palaestra.store.ballots import read_battles

    battles = read_battles(source)
    if not battles:
        raise VoteFileError("the ledger: found no votes, expected at least one")
    texts = ["\n\n".join(said.text for said in one.conversation_a if said.role == "user") for one in battles]
    names = sorted({name for battle in battles for name in (battle.model_a, battle.model_b)})
    columns = {
        name: [getattr(battle, name) for battle in battles] for name in ("model_a", "model_b", "voter", "weight")
    }
    frame = pl.DataFrame(
        columns | {"winner": [battle.winner.value for battle in battles]},
        schema_overrides={"model_a": pl.Enum(names), "model_b": pl.Enum(names), "voter": pl.String},
    )
    return _coded(*_with_prompts("the ledger", frame, pl.Series(texts, dtype=pl.String), skip_bad))


def _outcomes(path: Path, skip_bad: int) -> PromptedVotes | None:
    """The votes that a table of right and wrong holds, or None if this is no such table."""
    if not path.is_file():
        return None
    rows = read_rows(path, "votes") if _may_hold_outcomes(path) else []
    if not rows or _VERDICTS & rows[0].keys():
        return None
    text = next((name for name in _TEXTS if name in rows[0]), None)
    columns = _models_of(rows)
    if text is None or len(columns) < _TWO:
        return None
    prompts: dict[str, int] = {}
    category: dict[int, str | None] = {}
    found: list[tuple[int, int, int, int]] = []
    bad: list[str] = []
    for number, row in enumerate(rows, start=1):
        right = {place: _right(row.get(column)) for place, column in enumerate(columns.values())}
        odd = [column for column, value in zip(columns.values(), right.values(), strict=True) if value is None]
        if not str(row.get(text) or "").strip() or (odd and any(row.get(name) not in {None, ""} for name in odd)):
            said = f"column {odd[0]}: found {row.get(odd[0])!r}, expected right or wrong" if odd else "found no prompt"
            bad.append(f"{path}: row {number}: {said}")
            if len(bad) > skip_bad:
                raise VoteFileError(bad[-1])
            continue
        prompt = prompts.setdefault(_plain(str(row[text])), len(prompts))
        category.setdefault(prompt, next((str(row[name]) for name in ("category", "subject") if row.get(name)), None))
        known = [place for place, value in right.items() if value is not None]
        found += [(prompt, one, other, _outcome(right[one], right[other])) for one, other in combinations(known, 2)]
    if not found:
        raise VoteFileError(f"{path}: found no prompt with outcomes of two models, expected at least one")
    table = np.array(found, dtype=np.int32)
    return PromptedVotes(
        prompts=tuple(prompts),
        models=tuple(columns),
        prompt_B=table[:, 0].copy(),
        first_B=table[:, 1].copy(),
        second_B=table[:, 2].copy(),
        outcome_B=table[:, 3].astype(np.int8),
        weight_B=np.ones(len(table)),
        voter_B=_nobody(len(table)),
        category_P=tuple(category[place] for place in range(len(prompts))),
    )


def _may_hold_outcomes(path: Path) -> bool:
    """Whether its columns look like outcomes; a look at the head only, since votes may be millions."""
    try:
        head = _head(path, kind_of(path))
    except (OSError, ValueError, pl.exceptions.PolarsError, pa.ArrowException):
        return False
    known = head[0].keys() if head else ()
    if _VERDICTS & {*known} or not any(name in known for name in _TEXTS):
        return False
    return len(_models_of(head)) >= _TWO


def _head(path: Path, kind: str) -> list[dict[str, Any]]:
    if kind == ".csv":
        return pl.read_csv(path, n_rows=_HEAD, infer_schema_length=_HEAD, truncate_ragged_lines=True).to_dicts()
    if kind == ".parquet":
        return pl.scan_parquet(path).head(_HEAD).collect().to_dicts()
    if kind not in {".jsonl", ".ndjson", ".json"}:
        return []
    with pa.input_stream(str(path)) as stream:  # takes the compression from the suffix
        if kind == ".json":
            rows = json.loads(stream.read())
        else:
            rows = [json.loads(line) for line in stream.read(1_000_000).splitlines()[:_HEAD] if line.strip()]
    return [row for row in rows[:_HEAD] if isinstance(row, dict)] if isinstance(rows, list) else []


def _models_of(rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """The models of a table of outcomes, and their columns, sorted by name.

    A column whose first value that is there is right or wrong is a model's: a blank in the first row hides nobody, and
    what is neither further down is named.
    """
    first: dict[str, object] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None and value != "":
                first.setdefault(name, value)
    names = dict.fromkeys(name for row in rows for name in row)
    marked = {name[: -len(end)]: name for name in names for end in _SUFFIXES if name.endswith(end)}
    about = {*_TEXTS, *_ABOUT, *_NUMBERS}
    plain = {name: name for name, value in first.items() if name not in about and _right(value) is not None}
    return dict(sorted((marked or plain).items()))


def _right(value: object) -> bool | None:
    said = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    return said.get(str(value).lower())


def _outcome(first: bool | None, second: bool | None) -> int:  # noqa: FBT001 - two of a kind
    if first == second:
        return 2 if first else 3
    return 0 if first else 1
