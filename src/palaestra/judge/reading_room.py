"""A run of judges read back, so that people can look at answers and verdicts: questions, answers, verdicts together.

The files are held against each other and against the run's record: the questions must be those that were asked (by
their SHA-256), the verdicts as many as were written, each about an answer that is there. Verdicts of another run over
older answers would otherwise stand beside texts that no judge saw.

Not here: the pages (`reading_room_folder.py` and the files that it names), and any statistics.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from palaestra.errors import InputError
from palaestra.judge.answers import Answer, read_answers
from palaestra.judge.config import planned_baseline
from palaestra.judge.reading_room_games import Compared, Heard, Question
from palaestra.judge.verdict import Grade
from palaestra.judge.verdict_files import read_verdicts
from palaestra.judge.writing import ANSWERS_FOLDER, FAILURES_FILE, GRADES_FILE, VERDICTS_FILE
from palaestra.schema import Prompt, RunCard, from_table
from palaestra.store.prompts import read_prompts
from palaestra.store.records import read_rows
from palaestra.store.runs import file_sha256, read_run

_COMMAND = "judge run"
Kind = Literal["verdicts", "grades"]


@dataclass(frozen=True, slots=True)
class Room:
    """A run of judges, whole."""

    name: str
    card: RunCard
    kind: Kind
    questions: tuple[Question, ...]
    models: tuple[str, ...]
    """Whose answers were judged, in the order of the run."""
    judges: tuple[str, ...]
    protocol: str
    baseline: str | None
    """The single one that the run was planned with, if there is one."""
    verdicts: pl.DataFrame
    """As `read_verdicts` gives them; no rows where answers were graded."""
    failures: dict[tuple[str, str], str]
    """Why an answer did not come, by model and question."""

    @property
    def compared(self) -> Iterable[Compared]:
        """All pairs on all questions, or all graded answers."""
        return (each for question in self.questions for each in question.compared)


def read_room(folder: str | Path, questions: str | Path | None = None) -> Room:
    """Read a run's folder.

    Args:
        folder: of `palaestra judge run`.
        questions: where the questions are now, if they are no longer where the run read them.

    Raises:
        InputError: this is no such folder, it has no verdicts yet, or its files are not those of one run.
    """
    folder = Path(folder)
    card = read_run(folder)
    if card.command != _COMMAND:
        raise InputError(f"{folder} holds a run of {card.command!r}, expected one of {_COMMAND!r}")
    kind = _kind(folder, card)
    prompts = _prompts(folder, card, questions)
    answers = _answers(folder)
    failures = _failures(folder)
    frame = read_verdicts(folder) if kind == "verdicts" else pl.DataFrame()
    heard = _verdicts(frame) if kind == "verdicts" else _grades(folder)
    _check(folder, card, prompts, answers, heard)
    judged = {name for games in heard.values() for each in games for name in (each.a, each.b) if name is not None}
    every = dict.fromkeys(model for _, model in answers)
    models = _in_order(card, [name for name in every if name in judged])
    to_baseline = card.config.get("schedule") == "baseline"
    place = None if to_baseline else {name: number for number, name in enumerate(models)}
    by_question = {name: _compared(games, place) for name, games in heard.items()}
    return Room(
        name=folder.resolve().name,
        card=card,
        kind=kind,
        questions=tuple(
            Question(
                number,
                prompt,
                {model: answers[prompt.id, model] for model in every if (prompt.id, model) in answers},
                by_question.get(prompt.id, ()),
            )
            for number, prompt in enumerate(prompts, start=1)
        ),
        models=models,
        judges=tuple(dict.fromkeys(each.judge for games in heard.values() for each in games)),
        protocol=next((str(each) for each in _protocols(folder, kind, frame)), ""),
        baseline=planned_baseline(card.config),
        verdicts=frame,
        failures=failures,
    )


def _kind(folder: Path, card: RunCard) -> Kind:
    for kind, file in (("verdicts", VERDICTS_FILE), ("grades", GRADES_FILE)):
        if (folder / file).is_file():
            return "verdicts" if kind == "verdicts" else "grades"
    if not card.config.get("judges"):
        raise InputError(f"{folder} holds answers that nobody has judged; run it with --judge NAME")
    raise InputError(
        f"{folder} has no verdicts yet: found neither {VERDICTS_FILE} nor {GRADES_FILE} (the run is {card.state}); go "
        "on with the same `palaestra judge run` and --resume"
    )


def _prompts(folder: Path, card: RunCard, given: str | Path | None) -> list[Prompt]:
    recorded = str(card.config.get("questions"))
    path = Path(given or recorded)
    if not path.exists():
        raise InputError(f"{folder} was run on the questions {path}, which are not there; give --questions PATH")
    prompts = read_prompts(path, identified=path.is_file())
    known = {file.path: file.sha256 for file in card.inputs}.get(recorded)
    if known is not None and file_sha256(path) != known:
        raise InputError(
            f"the questions {path} have changed since {folder} was run on them (another SHA-256); give those of the "
            "run: --questions PATH"
        )
    return prompts


def _answers(folder: Path) -> dict[tuple[str, str], Answer]:
    path = folder / ANSWERS_FOLDER
    if not path.is_dir():
        raise InputError(f"found no {ANSWERS_FOLDER} in {folder}, expected what the models said")
    return {(answer.question_id, answer.model): answer for answer in read_answers(path)}


def _failures(folder: Path) -> dict[tuple[str, str], str]:
    path = folder / FAILURES_FILE
    if not path.is_file() or not path.stat().st_size:
        return {}
    return {
        (str(row.get("model")), str(row.get("question_id"))): f"{row.get('kind')}: {row.get('detail')}"
        for row in read_rows(path, "failures")
    }


def _verdicts(frame: pl.DataFrame) -> dict[str, list[Heard]]:
    found: dict[str, list[Heard]] = defaultdict(list)
    names = ("question_id", "judge", "model_a", "model_b", "game", "label", "text", "error")
    for question, judge, a, b, game, label, text, error in frame.select(names).iter_rows():
        found[question].append(Heard(judge, a, b, game, label, None, text, error))
    return found


def _grades(folder: Path) -> dict[str, list[Heard]]:
    path = folder / GRADES_FILE
    try:
        grades = from_table(Grade, pq.read_table(path))
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path}: {said}; expected the grades that a run wrote") from error
    found: dict[str, list[Heard]] = defaultdict(list)
    for each in grades:
        found[each.question_id].append(Heard(each.judge, each.model, None, 1, None, each.rating, each.text, each.error))
    return found


def _protocols(folder: Path, kind: Kind, frame: pl.DataFrame) -> list[Any]:
    if kind == "verdicts":
        return frame["protocol"].unique(maintain_order=True).to_list()
    return pl.read_parquet(folder / GRADES_FILE, columns=["protocol"])["protocol"].unique(maintain_order=True).to_list()


def _check(
    folder: Path,
    card: RunCard,
    prompts: list[Prompt],
    answers: Mapping[tuple[str, str], Answer],
    heard: Mapping[str, list[Heard]],
) -> None:
    """Whether these files are those of one run."""
    if wrong := next(_wrong(card, {prompt.id for prompt in prompts}, answers, heard), None):
        raise InputError(f"the files of {folder} have been changed: {wrong}; run it anew, with --overwrite")


def _wrong(
    card: RunCard,
    known: set[str],
    answers: Mapping[tuple[str, str], Answer],
    heard: Mapping[str, list[Heard]],
) -> Iterator[str]:
    games = sum(map(len, heard.values()))
    if "games" in card.metrics and games != card.metrics["games"]:
        yield f"found {games} games, and run.json says {card.metrics['games']:g}"
    for name in (*heard, *(question for question, _ in answers)):
        if name not in known:
            yield f"found the question {name!r}, which is none of those that were asked"
    for question, said in heard.items():
        for model in dict.fromkeys(name for each in said for name in (each.a, each.b) if name is not None):
            if (question, model) not in answers:
                yield f"found a verdict on the answer of {model} to {question!r}, and no such answer"


def _compared(games: Iterable[Heard], place: Mapping[str, int] | None) -> tuple[Compared, ...]:
    """Games of one question by their pairs.

    A pair is seen from the model that comes first by `place`; without that, from the one that met its baseline, which
    is B in the first game.
    """
    pairs: dict[tuple[str, str | None], list[Heard]] = {}
    for each in games:
        if each.b is None:
            seen: tuple[str, str | None] = each.a, None
        elif place is None:
            seen = (each.b, each.a) if each.game == 1 else (each.a, each.b)
        else:
            seen = (each.a, each.b) if place[each.a] < place[each.b] else (each.b, each.a)
        pairs.setdefault(seen, []).append(each)
    return tuple(Compared(a, b, tuple(said)) for (a, b), said in pairs.items())


def _in_order(card: RunCard, names: list[str]) -> tuple[str, ...]:
    """Models as the run names them; others behind them."""
    listed = card.config.get("models")
    named = [name for name in listed if name in names] if isinstance(listed, list) else []
    return tuple(dict.fromkeys([*(str(name) for name in named), *names]))


def counts(room: Room) -> dict[str, int]:
    """How much there is of what, for a summary."""
    compared = list(room.compared)
    marks = Counter(mark for each in compared for mark in each.marks)
    pairs = room.kind == "verdicts"
    found = {
        "questions": len(room.questions),
        "models": len(room.models),
        "judges": len(room.judges),
        "pairs" if pairs else "graded_answers": len(compared),
        "games": sum(len(each.heard) for each in compared),
        "unread": sum(each.label is None and each.rating is None for pair in compared for each in pair.heard),
        "judges_disagree": marks["disagree"],
    }
    return found | {"flips": marks["flip"], "strong": marks["strong"], "ties": marks["tie"]} if pairs else found


def same_text(one: Answer | None, other: Answer | None) -> bool:
    """Whether two answers say the same."""
    return one is not None and other is not None and one.turns == other.turns


def described(room: Room) -> dict[str, str]:
    """The settings by which two runs may differ."""
    config = room.card.config
    how = config.get("protocol")
    return {
        "protocol": room.protocol,
        "what the protocol says": json.dumps(how, sort_keys=True, ensure_ascii=False) if isinstance(how, dict) else "",
        "judges": ", ".join(room.judges),
        "schedule": str(config.get("schedule")),
        "baseline": room.baseline or "none, or several",
        "rubric": str(config.get("rubric")),
        "seed": str(room.card.seed),
    }
