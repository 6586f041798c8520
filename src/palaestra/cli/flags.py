"""Flags that mean the same wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from palaestra.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from palaestra.store.runs import Again

JsonTarget = Annotated[
    str | None,
    Parameter(
        name="--json",
        allow_leading_hyphen=True,
        help="Write the result as JSON to this path, or to standard output for -.",
    ),
]

Flag = Parameter(negative=())
"""A flag that is given or not, without a --no- of its own."""


SkipBad = Annotated[int, Parameter(help="How many malformed rows may be left out.")]
Seed = Annotated[int, Parameter(help="Of chance.")]
Resume = Annotated[bool, Parameter(negative=(), help="Go on with the run in the folder.")]
Overwrite = Annotated[bool, Parameter(negative=(), help="Begin anew; replies that were paid for are kept.")]


def again(*, resume: bool, overwrite: bool) -> Again:
    """What --resume and --overwrite say of an earlier run.

    Raises:
        InputError: both are given.
    """
    if resume and overwrite:
        raise InputError("found --resume and --overwrite, expected one of them")
    return "resume" if resume else "overwrite" if overwrite else "ask"


HtmlTarget = Annotated[
    Path | None,
    Parameter(name="--html", help="Write a page that stands alone to this path."),
]


def pairs(flag: str, text: str | None, kind: Callable[[str], Any]) -> dict[str, Any] | None:
    """What stands in a text as a=1,b=2; None where there is no text.

    Args:
        flag: its name, for the message.
        text: of the command line.
        kind: what a value is made by.

    Raises:
        InputError: it has another form.
    """
    if text is None:
        return None
    found = {}
    for part in text.split(","):
        name, equals, value = part.strip().rpartition("=")
        try:
            if not (name and equals):
                raise ValueError(part)  # noqa: TRY301
            found[name] = kind(value)
        except ValueError as error:
            raise InputError(f"--{flag}: found {part!r}, expected name=number, with commas between") from error
    return found


def checked_config(kind: type[Any], **values: object) -> Any:  # noqa: ANN401 - a config of this kind
    """The config of these values.

    Raises:
        InputError: one of them is not allowed; each is named with its flag.
    """
    from pydantic import ValidationError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = (
            f"--{'.'.join(map(str, one['loc'])).replace('_', '-')}: found {one['input']!r}: {one['msg']}"
            for one in error.errors()
        )
        raise InputError("; ".join(faults)) from error
