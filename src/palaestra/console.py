"""What the terminal shows: results on standard output, everything else on standard error.

`complain` is the one way to say that something went wrong, `write_json` the one way to print a result for machines.
Colours follow NO_COLOR and go off in a pipe; both are rich's own rules.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palaestra.errors import InputError

out = Console(markup=False, emoji=False)
"""Standard output: results only. Text is shown as it is: a model may be called [red] or :bug:."""

err = Console(stderr=True)
"""Standard error: progress, notes, complaints."""


def complain(message: str) -> None:
    """Say on standard error what went wrong. Nothing in the message is read as markup."""
    err.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


def warn(message: str) -> None:
    """Say on standard error what the reader of a result should know."""
    err.print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def note(message: str) -> None:
    """Say something in passing, on standard error."""
    err.print(Text(message), soft_wrap=True)


def show(table: Table) -> None:
    """Print a table as the result. In a pipe it takes the width it needs instead of the terminal's."""
    (out if out.is_terminal else Console(width=200, markup=False, emoji=False)).print(table)


def give(data: Any, json_target: str | None, *tables: Table) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Give a result: as JSON to where that was asked for, else as tables.

    Raises:
        InputError: the path for the JSON cannot be written.
    """
    if json_target is not None:
        write_json(data, json_target)
        return
    for table in tables:
        show(table)


def write_json(data: Any, target: str) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Write JSON to a path, or to standard output for `-`.

    Raises:
        InputError: the path cannot be written.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write JSON to {target!r}: {error.strerror}; give a writable path, or - for standard output"
        ) from error
