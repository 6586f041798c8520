"""The reading room as a folder of pages: there whole or not at all.

    index.html      board, pairs, questions with their filters
    q/0001.html     a question
    changes.html    what changed against another run, where one was given
    room.css room.js questions.js, and room.json, by which a room is known

Everything is opened from disk; nothing is loaded from anywhere else.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.judge.reading_room import Room, counts
from palaestra.judge.reading_room_changes import Changes
from palaestra.judge.reading_room_changes_page import changes_page
from palaestra.judge.reading_room_index import Standings, data_script, index_page
from palaestra.judge.reading_room_look import DATA_FILE, SCRIPT_FILE, STYLE_FILE, script, style_sheet
from palaestra.judge.reading_room_question import file_of, question_page

MARK_FILE, INDEX_FILE, CHANGES_FILE = "room.json", "index.html", "changes.html"
ANSWERS_A_WORKER = 500
"""With fewer answers than these for each, a second process costs more than it saves."""
_SCHEMA = "palaestra.reading-room/1"
_READABLE = 0o755


def check_out(out: str | Path, *, overwrite: bool) -> None:
    """Whether a room may be written there, before anything is read.

    Raises:
        InputError: there is something already, and nobody said to overwrite it, or it is no reading room.
    """
    out = Path(out)
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise InputError(f"found {out}, which exists; give another folder, or --overwrite")
    if out.is_symlink() or not (out / MARK_FILE).is_file():
        raise InputError(
            f"found {out}, which is no reading room (it has no {MARK_FILE}): it is not overwritten; give another folder"
        )


def write_room(
    out: str | Path, room: Room, standings: Standings, changes: Changes | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the room, and say what is in it.

    Args:
        out: the folder; it must not be there, or be a reading room that may be overwritten.
        room: what is shown.
        standings: its board.
        changes: against another run.
        overwrite: whether an older room gives way.

    Returns:
        The content of room.json: counts, pages, bytes.

    Raises:
        InputError: the folder is there, or cannot be written.
        MissingPartError: the extra `pages` is not installed.
    """
    out = Path(out)
    check_out(out, overwrite=overwrite)
    sheet = style_sheet()
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
        part.chmod(_READABLE)
        summary = _fill(part, room, standings, changes, sheet)
        _replace(part, out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; give a path that can be written") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
    return summary


def _fill(part: Path, room: Room, standings: Standings, changes: Changes | None, sheet: str) -> dict[str, Any]:
    size = 0

    def put(name: str, text: str) -> None:
        nonlocal size
        data = text.encode("utf-8", "replace")  # a lone surrogate in an answer is no text
        (part / name).write_bytes(data)
        size += len(data)

    (part / "q").mkdir()
    put(STYLE_FILE, sheet)
    put(SCRIPT_FILE, script())
    put(DATA_FILE, data_script(room))
    put(INDEX_FILE, index_page(room, standings, changed=changes is not None))
    if changes is not None:
        put(CHANGES_FILE, changes_page(changes, room))
    for question, page in zip(room.questions, _pages(room), strict=True):
        put(file_of(question.number), page)
    pages = len(room.questions) + 1 + (changes is not None)
    summary: dict[str, Any] = {"schema": _SCHEMA, "run": room.name, "kind": room.kind, "protocol": room.protocol}
    summary |= {**counts(room), "pages": pages, "bytes": size}
    put(MARK_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def _pages(room: Room) -> Iterator[str]:
    """The questions' pages in their order; many answers are rendered by as many processes as there are processors."""
    answers = sum(len(question.answers) for question in room.questions)
    workers = min(os.cpu_count() or 1, answers // ANSWERS_A_WORKER)
    if workers < 2:  # noqa: PLR2004 - one is this process
        yield from (question_page(room, question) for question in room.questions)
        return
    lean = replace(room, verdicts=room.verdicts.clear())
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_take, initargs=(lean,)) as pool:
        yield from pool.map(_page, range(len(room.questions)), chunksize=4)


_taken: list[Room] = []
"""The room of a process that renders pages."""


def _take(room: Room) -> None:
    _taken.append(room)


def _page(place: int) -> str:
    room = _taken[0]
    return question_page(room, room.questions[place])


def _replace(part: Path, out: Path) -> None:
    """Put the new room in the place of the old one, which stays until then."""
    if not out.exists():
        part.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.rename(old / out.name)
    try:
        part.rename(out)
    except OSError:
        (old / out.name).rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
