"""Votes with the prompts that they were given on, coded once: for whatever learns who is better at what.

    votes       any format of `formats.py` with conversations, or with a column prompt, instruction or question; an
                arena's database
    judged      the same with question_id (or another id) instead, beside a file of prompts
    outcomes    a table with one row a prompt and, for each model, a column of right or wrong: `gpt-4_correct`, or all
                columns that hold nothing else. Both right is a tie, both wrong is both bad

The prompt is what the user has said, turn by turn, joined by a blank line; a vote without one is malformed.
Not here: what is learnt (`p2l/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.errors import VoteFileError
from palaestra.schema import Winner
from palaestra.store.formats import read_votes
from palaestra.store.prompts import read_prompts
from palaestra.store.records import read_rows
from palaestra.store.sources import is_database

Integers = NDArray[np.int32]
OUTCOMES = [winner.value for winner in Winner]

_TEXTS = ("prompt", "instruction", "question")
_TALKS = ("conversation_a", "conversation_b")
_IDS = ("question_id", "prompt_id", "instruction_id", "uid")
_ABOUT = ("voter", "category", "subject", "language")
_SUFFIXES = ("_correct", "_score")
_TWO = 2


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
        skip_bad: how many malformed rows may be left out.
        baseline: for verdicts that do not name the model against which they were given.

    Raises:
        VoteFileError: a vote without its prompt, or malformed; the row is named.
        InputError: a file cannot be read.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        return _of_ledger(str(source))
    path = Path(source)
    if (outcomes := _outcomes(path, skip_bad)) is not None:
        return outcomes
    votes = read_votes(path, skip_bad=skip_bad, baseline=baseline, wanted=_wanted(prompts)).frame
    text_B = _texts(votes, str(path), prompts)
    if missing := text_B.is_null().arg_true().to_list():
        raise VoteFileError(
            f"{path}: vote {missing[0] + 1}: found a vote without its prompt ({len(missing)} of {len(votes)} votes), "
            f"expected conversations, or a column {', '.join(_TEXTS)}, or --prompts with the ids of the votes"
        )
    return _coded(votes, text_B)


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
            return _without_empty(votes[name])
    if _TALKS[0] in votes.columns:
        return _without_empty(_asked(votes[_TALKS[0]]))
    raise VoteFileError(
        f"{source}: found votes without their prompts (columns {', '.join(votes.columns)}), expected "
        f"conversation_a, or a column {', '.join(_TEXTS)}; where votes name prompts by an id, give --prompts FILE"
    )


def _without_empty(text_B: pl.Series) -> pl.Series:
    return pl.select(pl.when(text_B.str.strip_chars() != "").then(text_B)).to_series()


def _asked(talk_B: pl.Series) -> pl.Series:
    """The user's turns of conversations."""
    if talk_B.dtype == pl.String:
        talk_B = talk_B.str.json_decode(pl.List(pl.Struct({"role": pl.String, "content": pl.String})))
    message = pl.element().struct
    content = message.field("content")
    if not isinstance(talk_B.dtype, pl.List) or not isinstance(talk_B.dtype.inner, pl.Struct):
        raise VoteFileError(f"column {talk_B.name}: found {talk_B.dtype}, expected a list of messages")
    kinds = {field.name: field.dtype for field in talk_B.dtype.inner.fields}
    if isinstance(kinds.get("content"), pl.List):  # typed parts
        content = content.list.eval(pl.element().struct.field("text")).list.join("\n\n", ignore_nulls=True)
    said = talk_B.list.eval(pl.when(message.field("role") == "user").then(content))
    return said.list.drop_nulls().list.join("\n\n")


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


def _of_ledger(source: str) -> PromptedVotes:
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
    return _coded(frame, pl.Series(texts, dtype=pl.String))


def _outcomes(path: Path, skip_bad: int) -> PromptedVotes | None:
    """The votes that a table of right and wrong holds, or None if this is no such table."""
    if not path.is_file():
        return None
    rows = read_rows(path, "votes") if _may_hold_outcomes(path) else []
    if not rows or {"winner", "game1", "games", "preference"} & rows[0].keys():
        return None
    text = next((name for name in _TEXTS if name in rows[0]), None)
    columns = _models_of(rows[0])
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
        prompt = prompts.setdefault(str(row[text]), len(prompts))
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
        lazy = {".parquet": pl.scan_parquet, ".csv": pl.scan_csv}
        kind = path.suffixes[-2] if path.suffix in {".gz", ".zst"} and len(path.suffixes) > 1 else path.suffix
        if kind == ".csv":
            head = pl.read_csv(path, n_rows=5, infer_schema_length=5, truncate_ragged_lines=True)
        elif kind in lazy:
            head = pl.scan_parquet(path).head(5).collect()
        else:
            with path.open("rb") as file:
                first = file.readline(1_000_000)
            head = pl.read_ndjson(first) if kind in {".jsonl", ".ndjson"} else pl.DataFrame()
    except (OSError, pl.exceptions.PolarsError):
        return False
    if "winner" in head.columns or not any(name in head.columns for name in _TEXTS):
        return False
    return len(_models_of(head.row(0, named=True) if len(head) else {})) >= _TWO


def _models_of(row: dict[str, object]) -> dict[str, str]:
    """The models of a table of outcomes, and their columns, sorted by name."""
    marked = {name[: -len(end)]: name for name in row for end in _SUFFIXES if name.endswith(end)}
    plain = {name: name for name, value in row.items() if name not in {*_TEXTS, *_ABOUT} and _right(value) is not None}
    return dict(sorted((marked or plain).items()))


def _right(value: object) -> bool | None:
    said = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    return said.get(str(value).lower())


def _outcome(first: bool | None, second: bool | None) -> int:  # noqa: FBT001 - two of a kind
    if first == second:
        return 2 if first else 3
    return 0 if first else 1
